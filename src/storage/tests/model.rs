//! A log against a `Vec`, through any sequence of operations.

use proptest::prelude::*;

use super::*;
use crate::io::tests::ScratchDirectory;
use crate::io::{MemoryIo, RealIo};

#[derive(Clone, Debug)]
enum Step {
    Append {
        records: u8,
        bytes: u8,
    },
    Read {
        from: u8,
        max_bytes: u16,
        at_least_one: bool,
    },
    DeleteRecords {
        share: u8,
    },
    Roll,
    Stop {
        clean: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..5_u8, any::<u8>()).prop_map(|(records, bytes)| Step::Append { records, bytes }),
        4 => (any::<u8>(), any::<u16>(), any::<bool>()).prop_map(|(from, max_bytes, at_least_one)| {
            Step::Read { from, max_bytes, at_least_one }
        }),
        1 => any::<u8>().prop_map(|share| Step::DeleteRecords { share }),
        1 => Just(Step::Roll),
        1 => any::<bool>().prop_map(|clean| Step::Stop { clean }),
    ]
}

/// One stored batch.
struct Stored {
    base: i64,
    next: i64,
    len: usize,
}

fn run(mut bed: Bed, steps: &[Step]) {
    bed.config.segment_bytes = 4_000;
    bed.config.index_interval_bytes = 300;
    bed.config.segment_ms = 1_000;
    bed.open_files_max = 2;
    let (mut log, mut log_start) = (Vec::<Stored>::new(), 0);
    let (mut store, _) = bed.open();
    let mut partition = bed.attach(&store, 1);
    let mut time = NOW.0;
    for step in steps {
        let end = log.last().map_or(0, |last| last.next);
        match step {
            Step::Append { records, bytes } => {
                let value = vec![b'v'; usize::from(*bytes)];
                let mut builder = BatchBuilder::new();
                for _ in 0..*records {
                    builder.push(Timestamp(time), None, Some(&value));
                }
                let batch = builder.build().unwrap();
                let len = batch.bytes.len();
                let done = partition.append(batch, false).unwrap();
                assert_eq!(done.base_offset.0, end);
                assert_eq!(done.next_offset.0, end + i64::from(*records));
                log.push(Stored {
                    base: end,
                    next: done.next_offset.0,
                    len,
                });
            }
            Step::Read {
                from,
                max_bytes,
                at_least_one,
            } => {
                let from = i64::from(*from) % (end + 2);
                let max_bytes = usize::from(*max_bytes) / 8;
                let got = partition.read(Offset(from), max_bytes, *at_least_one, Isolation::LogEnd);
                if from < log_start || from > end {
                    assert!(matches!(got, Err(ReadError::OutOfRange { .. })));
                    continue;
                }
                check_read(
                    &bytes_of(&got.unwrap().records),
                    &log,
                    from,
                    max_bytes,
                    *at_least_one,
                );
            }
            Step::DeleteRecords { share } => {
                wait_committed(&partition, Offset(end)).unwrap();
                let before = end * i64::from(*share) / 255;
                log_start = log_start.max(before);
                assert_eq!(
                    partition.delete_records(Offset(before)).unwrap().0,
                    log_start
                );
            }
            // The next batch is too late for the active segment.
            Step::Roll => time += 2_000,
            Step::Stop { clean } => {
                wait_committed(&partition, Offset(end)).unwrap();
                if *clean {
                    store.close().unwrap();
                }
                drop((partition, store));
                let (opened, _) = bed.open();
                store = opened;
                partition = bed.attach(&store, 1);
                store.recover();
                let offsets = partition.offsets().unwrap();
                assert_eq!((offsets.log_start.0, offsets.log_end.0), (log_start, end));
            }
        }
    }
}

/// Whole batches from the one that contains `from`, within the bounds.
fn check_read(bytes: &[u8], log: &[Stored], from: i64, max_bytes: usize, at_least_one: bool) {
    let mut expected = log
        .iter()
        .skip_while(|stored| stored.next <= from)
        .peekable();
    let first_len = expected.peek().map_or(0, |stored| stored.len);
    let mut rest = bytes;
    while !rest.is_empty() {
        let header = BatchHeader::parse(rest).unwrap();
        assert!(header.crc_matches(rest));
        let stored = expected.next().unwrap();
        assert_eq!(
            (header.base_offset.0, header.total_len()),
            (stored.base, stored.len)
        );
        rest = &rest[header.total_len()..];
    }
    assert!(bytes.len() <= max_bytes || (at_least_one && bytes.len() == first_len));
    if bytes.is_empty() {
        assert!(first_len == 0 || (first_len > max_bytes && !at_least_one));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_log_in_memory_behaves_like_a_list(steps in prop::collection::vec(step(), 1..80)) {
        run(Bed::new(MemoryIo::shared(), Path::new("/")), &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_log_on_disk_behaves_like_a_list(steps in prop::collection::vec(step(), 1..60)) {
        let scratch = ScratchDirectory::new();
        run(Bed::new(RealIo::shared(), scratch.path()), &steps);
    }
}
