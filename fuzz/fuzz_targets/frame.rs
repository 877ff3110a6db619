//! Frame → header → bounded decode → batch validation, for every API and version.
//!
//! Properties:
//! 1. nothing panics, and nothing is allocated that libFuzzer's limits forbid
//!    (`-malloc_limit_mb=64`);
//! 2. a frame that decodes is understood alike by the walk that bounds the decode and by the
//!    codec: both took the same bytes;
//! 3. every array element was charged for before it was decoded;
//! 4. whatever a Produce carries is judged, never trusted.
//!
//! Half of the inputs are frames as they are. The others begin with API, version, seed and
//! damage for a valid frame, so that the fuzzer need not find the form of each API by itself.
#![no_main]

use klamm::batch::{Rules, validate};
use klamm::kafka::hostile::{self, Style};
use klamm::model::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&how, rest)) = data.split_first() else {
        return;
    };
    let frame = if how % 2 == 0 {
        Some(rest.to_vec())
    } else {
        damaged(rest)
    };
    let Some(frame) = frame else {
        return;
    };
    if let Ok(decoded) = hostile::decode(frame.clone()) {
        assert_eq!(decoded.consumed, decoded.consumed_by_codec);
        assert!(decoded.consumed <= frame.len());
        assert!(decoded.elements == 0 || decoded.charged > 0);
    }
    for records in hostile::produced(frame) {
        let _ = validate(records, &Rules::default(), Timestamp(1_700_000_000_000));
    }
});

/// A valid frame with one to three bytes or counts changed.
fn damaged(data: &[u8]) -> Option<Vec<u8>> {
    let ([api, version, elements, seed, damages @ ..], _) = data.split_first_chunk::<16>()?;
    let apis: Vec<_> = hostile::apis().collect();
    let (key, versions) = apis.get(usize::from(*api) % apis.len())?.clone();
    let span = usize::try_from(versions.end() - versions.start()).ok()? + 1;
    let version = versions.clone().nth(usize::from(*version) % span)?;
    let style = Style::Full(usize::from(elements % 4).try_into().ok()?);
    let sample = hostile::frame(key, version, style, u64::from(*seed))?;
    let mut frame = sample.body;
    for damage in damages.chunks_exact(4) {
        let &[kind, high, low, value] = damage else {
            continue;
        };
        let at = usize::from(u16::from_be_bytes([high, low]));
        let place = match kind % 4 {
            0 => continue,
            1 => at % frame.len(),
            _ if sample.counts.is_empty() => continue,
            _ => sample.counts[at % sample.counts.len()].at,
        };
        match kind % 4 {
            3 => frame.truncate(place.max(1)),
            _ => *frame.get_mut(place)? = value,
        }
    }
    Some(frame)
}
