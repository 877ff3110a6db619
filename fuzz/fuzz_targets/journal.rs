//! The journal of durable offsets.
//!
//! Properties: nothing panics; what is read has offsets that a log can have, and is read back the
//! same from a journal that begins anew with it.
#![no_main]

use klamm::storage::format::journal::{self, Area, Kind, Record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(found) = journal::decode(data) else {
        return;
    };
    for point in found.points.values() {
        assert!(0 <= point.segment.0 && point.segment <= point.offset);
    }
    let snapshot = Record {
        sequence: found.sequence,
        kind: Kind::Snapshot,
        entries: found.points.clone().into_iter().collect(),
    };
    let mut file = snapshot.encode();
    file.resize(2 * file.len(), 0);
    let again = journal::decode(&file).expect("a whole snapshot");
    assert_eq!((again.area, again.sequence), (Area::First, found.sequence));
    assert_eq!(again.points, found.points);
});
