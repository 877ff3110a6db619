//! Starts after a crash where the journal says what was on disk: a test for each row of the table in
//! `storage/load/recover.rs`.

use super::*;
use crate::io::{MemoryIo, OpenMode};

const BATCHES: i64 = 12;

/// A directory after a crash, and its journal of a moment when the first `durable` batches were on
/// disk; each has one record. Values are "value 0", "value 1" and so on.
struct Crashed {
    bed: Bed,
    durable: i64,
}

impl Crashed {
    fn new(durable: i64, segment_batches: Option<u64>) -> Self {
        let mut bed = Bed::new(MemoryIo::shared(), Path::new("/"));
        bed.config.segment_bytes = segment_batches.map_or(1 << 30, |count| count * len() as u64);
        bed.config.index_interval_bytes = 100;
        let (store, _) = bed.open();
        let partition = bed.attach(&store, 1);
        let append = |number: i64| {
            let value = format!("value {number:04}");
            let done = partition.append(batch(&[&value]), false).unwrap();
            wait_committed(&partition, done.next_offset).unwrap();
        };
        (0..durable).for_each(append);
        let mark = partition.log().unwrap().published().load().end;
        (durable..BATCHES).for_each(append);
        drop((partition, store));
        bed.forget_durable();
        let crashed = Self { bed, durable };
        crashed.note_durable(mark.offset, mark.segment, mark.position);
        crashed
    }

    fn note_durable(&self, offset: Offset, segment: Offset, position: u64) {
        use crate::storage::format::journal::{DurablePoint, Kind, Record};
        let record = Record {
            sequence: 1,
            kind: Kind::Snapshot,
            entries: vec![(
                self.bed.spec(1).id,
                DurablePoint {
                    offset,
                    segment,
                    position,
                },
            )],
        };
        let mut content = record.encode();
        content.resize(content.len() * 8, 0);
        self.write("../klamm-durable-offsets", &content);
    }

    fn path(&self, name: &str) -> PathBuf {
        match name.strip_prefix("../") {
            Some(name) => self.bed.dir.join(name),
            None => self.bed.dir.join("topic.1-0").join(name),
        }
    }

    fn write(&self, name: &str, content: &[u8]) {
        let file = self
            .bed
            .io
            .open(&self.path(name), OpenMode::Create)
            .unwrap();
        file.set_len(0).unwrap();
        file.write_all_at(&[content], 0).unwrap();
    }

    fn change(&self, segment: i64, change: impl FnOnce(&mut Vec<u8>)) {
        let name = format!("{segment:020}.log");
        let mut content = self.bed.io.read(&self.path(&name)).unwrap();
        change(&mut content);
        self.write(&name, &content);
    }

    fn logs(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = self.bed.io.read_dir(&self.path("")).unwrap();
        let logs = entries.into_iter().map(|entry| entry.path);
        logs.filter(|path| path.extension() == Some("log".as_ref()))
            .map(|path| (path.clone(), self.bed.io.read(&path).unwrap()))
            .collect()
    }

    /// Recovers twice, and appends: the log end that was found, which offsets are refused, and how
    /// many stretches were reported. Nothing durable is cut, no offset is given twice, and the
    /// second start finds what the first one left.
    fn recovered(&self) -> (i64, Vec<i64>, u64) {
        let once = self.start();
        let logs = self.logs();
        let (store, _) = self.bed.open();
        let partition = self.bed.attach(&store, 1);
        let offsets = partition.offsets().unwrap();
        assert_eq!(self.logs(), logs, "recovering again changed bytes");
        assert!(offsets.log_end >= Offset(self.durable));
        let done = partition.append(batch(&["next"]), false).unwrap();
        assert_eq!(done.base_offset, offsets.log_end);
        wait_committed(&partition, done.next_offset).unwrap();
        let read = read_all(&partition, done.base_offset.0, 100, Isolation::LogEnd);
        assert_eq!(read, [(done.base_offset.0, "next".to_owned())]);
        once
    }

    fn start(&self) -> (i64, Vec<i64>, u64) {
        let (store, opened) = self.bed.open();
        assert!(!opened.clean);
        let partition = self.bed.attach(&store, 1);
        let end = partition.offsets().unwrap().log_end.0;
        let mut refused = Vec::new();
        for offset in 0..end {
            match partition.read(Offset(offset), 1, true, Isolation::LogEnd) {
                Ok(outcome) => {
                    let bytes = bytes_of(&outcome.records);
                    let value = format!("value {offset:04}");
                    assert!(
                        bytes.windows(value.len()).any(|at| at == value.as_bytes()),
                        "offset {offset}"
                    );
                }
                Err(ReadError::Corrupt { .. }) => refused.push(offset),
                Err(error) => panic!("{error}"),
            }
        }
        (end, refused, store.damage_count())
    }
}

/// Bytes of a batch.
fn len() -> usize {
    batch(&["value 0000"]).bytes.len()
}

#[test]
fn a_torn_tail_above_the_durable_offset_is_cut() {
    for cut in [0, 1, 61, len() - 3] {
        for zeros in [0, 1, 700] {
            let crashed = Crashed::new(8, None);
            crashed.change(0, |log| {
                log.truncate(10 * len() + cut);
                log.resize(log.len() + zeros, 0);
            });
            assert_eq!(crashed.recovered(), (10, vec![], 0), "{cut} {zeros}");
        }
    }
}

#[test]
fn old_bytes_behind_the_durable_offset_are_cut() {
    // A batch of before, whole, with its checksum; then one of another log.
    let crashed = Crashed::new(8, None);
    crashed.change(0, |log| {
        let old = log[3 * len()..5 * len()].to_vec();
        log.truncate(9 * len());
        log.extend(old);
    });
    assert_eq!(crashed.recovered(), (9, vec![], 0));
    let crashed = Crashed::new(8, None);
    let other = batch(&["other"]);
    crashed.change(0, |log| {
        log.truncate(9 * len());
        log.extend(other.patched_prefix(Offset(500), LeaderEpoch(0)));
        log.extend_from_slice(&other.bytes[16..]);
    });
    assert_eq!(crashed.recovered(), (9, vec![], 0));
}

#[test]
fn damage_above_the_durable_offset_with_a_batch_behind_it_is_kept_and_reported() {
    let crashed = Crashed::new(8, None);
    crashed.change(0, |log| log[9 * len() + 70] ^= 1);
    assert_eq!(crashed.recovered(), (BATCHES, vec![9], 1));
}

#[test]
fn damage_below_the_durable_offset_is_found_when_it_is_read() {
    let crashed = Crashed::new(8, None);
    crashed.change(0, |log| log[4 * len() + 70] ^= 1);
    assert_eq!(crashed.recovered(), (BATCHES, vec![4], 1));
}

#[test]
fn where_no_batch_begins_at_the_durable_offset_the_whole_segment_is_checked() {
    // Bytes that never were there, before it.
    let crashed = Crashed::new(8, None);
    crashed.change(0, |log| {
        log.splice(2 * len()..2 * len(), [0x5a; 40]);
    });
    assert_eq!(crashed.recovered(), (BATCHES, vec![], 1));
    // A journal that speaks of another position, as after a repair.
    let crashed = Crashed::new(8, None);
    crashed.note_durable(Offset(8), Offset(0), 8 * len() as u64 - 5);
    assert_eq!(crashed.recovered(), (BATCHES, vec![], 0));
}

#[test]
fn a_file_that_ends_before_the_durable_offset_leaves_its_offsets_refused() {
    for cut in [5 * len(), 5 * len() + 30, 0] {
        let crashed = Crashed::new(8, None);
        crashed.change(0, |log| log.truncate(cut));
        let whole = (cut / len()) as i64;
        let (end, refused, _) = crashed.recovered();
        assert_eq!((end, refused), (8, (whole..8).collect()), "cut at {cut}");
    }
}

#[test]
fn damage_that_reaches_over_the_durable_offset_to_the_end_is_kept() {
    let crashed = Crashed::new(8, None);
    crashed.change(0, |log| log[6 * len()..].fill(0));
    let (end, refused, damage) = crashed.recovered();
    assert_eq!((end, refused, damage), (8, vec![6, 7], 1));
}

#[test]
fn a_roll_that_did_not_reach_the_disk_is_undone() {
    // The journal knows the first of three segments in part.
    for content in [vec![], vec![0; 500], vec![0x5a; 77]] {
        let crashed = Crashed::new(2, Some(4));
        crashed.change(4, |log| *log = content.clone());
        crashed.change(8, Vec::clear);
        assert_eq!(crashed.recovered(), (4, vec![], 0));
        // And the tail of the segment before it is torn.
        let crashed = Crashed::new(2, Some(4));
        crashed.change(0, |log| log.truncate(3 * len() + 9));
        crashed.change(4, |log| *log = content.clone());
        crashed.change(8, Vec::clear);
        assert_eq!(crashed.recovered(), (3, vec![], 0));
    }
}

#[test]
fn batches_missing_before_a_segment_that_is_there_are_refused_and_reported() {
    let crashed = Crashed::new(2, Some(4));
    crashed.change(0, |log| log.truncate(3 * len() + 9));
    assert_eq!(crashed.recovered(), (BATCHES, vec![3], 1));
    // A segment in the middle is gone.
    let crashed = Crashed::new(10, Some(4));
    let gone = crashed.path("00000000000000000004.log");
    crashed.bed.io.remove_file(&gone).unwrap();
    let (end, refused, damage) = crashed.recovered();
    assert_eq!((end, refused, damage), (BATCHES, vec![4, 5, 6, 7], 1));
}

#[test]
fn a_missing_or_torn_journal_leaves_the_recovery_points_to_go_by() {
    for journal in [None, Some(vec![0; 4096]), Some(b"rubbish".to_vec())] {
        let crashed = Crashed::new(8, None);
        match &journal {
            None => {
                let path = crashed.path("../klamm-durable-offsets");
                crashed.bed.io.remove_file(&path).unwrap();
            }
            Some(content) => crashed.write("../klamm-durable-offsets", content),
        }
        let points = b"0\n1\ntopic.1 0 7\n";
        crashed.write("../recovery-point-offset-checkpoint", points);
        crashed.change(0, |log| log.truncate(6 * len()));
        // Of the offset 7 and beyond nobody knows.
        let (store, _) = crashed.bed.open();
        let partition = crashed.bed.attach(&store, 1);
        assert_eq!(partition.offsets().unwrap().log_end, Offset(7));
        let lost = partition.read(Offset(6), 1, true, Isolation::LogEnd);
        assert!(matches!(lost, Err(ReadError::Corrupt { .. })), "{lost:?}");
    }
}

#[test]
fn indexes_of_before_are_believed_as_far_as_they_name_batches() {
    let harms: [fn(&mut Vec<u8>); 5] = [
        Vec::clear,
        |index| index.truncate(8),
        |index| index.fill(0),
        |index| index.iter_mut().for_each(|byte| *byte ^= 0x11),
        |index| index.extend_from_slice(&[0; 80]),
    ];
    for harm in harms {
        for (name, lying) in [
            ("index", None),
            ("timeindex", None),
            ("index", Some(6)),
            ("timeindex", Some(6)),
        ] {
            let crashed = Crashed::new(8, None);
            let log = crashed.logs().remove(0).1;
            let (mut offsets, mut position) = (Vec::new(), 0);
            while let Ok(header) = BatchHeader::parse(&log[position..]) {
                let entry = crate::storage::format::offset_index::OffsetEntry {
                    relative_offset: header.last_offset().0 as u32,
                    position: position as u32,
                };
                if position > 0 {
                    offsets.push(entry);
                }
                position += header.total_len();
            }
            let index = crate::storage::format::offset_index::encode(&offsets);
            crashed.write("00000000000000000000.index", &index);
            // All records have the same time, so there is one entry; where it is another, the
            // indexes say more than they may.
            let time = crate::storage::format::time_index::TimeEntry {
                timestamp: NOW,
                relative_offset: lying.unwrap_or(0),
            };
            let times = crate::storage::format::time_index::encode(&[time]);
            crashed.write("00000000000000000000.timeindex", &times);
            let path = format!("00000000000000000000.{name}");
            let mut content = crashed.bed.io.read(&crashed.path(&path)).unwrap();
            harm(&mut content);
            crashed.write(&path, &content);
            assert_eq!(crashed.recovered(), (BATCHES, vec![], 0));
            let (store, _) = crashed.bed.open();
            let partition = crashed.bed.attach(&store, 1);
            let first = partition.first_at_or_after(NOW, Isolation::LogEnd).unwrap();
            if lying.is_none() {
                assert_eq!(first.map(|found| found.offset), Some(Offset(0)));
            }
        }
    }
}

#[test]
fn a_clean_marker_beside_a_log_that_went_on_is_not_believed() {
    let crashed = Crashed::new(8, Some(4));
    crashed.write(
        "../.kafka_cleanshutdown",
        b"{\"version\":0,\"brokerEpoch\":-1}",
    );
    let points = b"0\n1\ntopic.1 0 6\n";
    crashed.write("../recovery-point-offset-checkpoint", points);
    crashed.change(8, |log| log.truncate(3 * len() + 20));
    let (store, opened) = crashed.bed.open();
    assert!(opened.clean);
    let partition = crashed.bed.attach(&store, 1);
    assert_eq!(partition.offsets().unwrap().log_end, Offset(11));
    assert_eq!(crashed.logs().last().unwrap().1.len(), 3 * len());
}
