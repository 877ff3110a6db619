//! Idempotent producers: every row of Kafka's rules, and that they survive restarts.

use super::*;
use crate::storage::SequenceProblem::{NewEpoch, NoState, NotNext};

const MAX: i32 = i32::MAX;

/// What an append came to.
#[derive(Debug, PartialEq)]
enum Came {
    New(i64),
    Duplicate(i64),
    Sequence(SequenceProblem),
    Epoch(i16),
}

fn append(partition: &Partition, batch: ValidBatch, strict: bool) -> Came {
    match partition.append(batch, strict) {
        Ok(done) if done.duplicate => Came::Duplicate(done.base_offset.0),
        Ok(done) => Came::New(done.base_offset.0),
        Err(AppendError::OutOfOrderSequence(refusal)) => Came::Sequence(refusal.problem),
        Err(AppendError::InvalidProducerEpoch { last, .. }) => Came::Epoch(last),
        Err(error) => panic!("{error}"),
    }
}

fn on_a_partition(check: impl Fn(&Partition)) {
    let bed = Bed::new(crate::io::MemoryIo::shared(), Path::new("/"));
    let (store, _) = bed.open();
    check(&bed.attach(&store, 1));
}

#[test]
fn sequences_follow_kafkas_table() {
    on_a_partition(|partition| {
        // (epoch, first sequence, count, strict) in the order of arrival, and what comes of it.
        let steps = [
            ((0, 3, 1, true), Came::Sequence(NoState)),
            ((0, 3, 2, false), Came::New(0)),
            ((0, 5, 1, true), Came::New(2)),
            ((0, 7, 1, false), Came::Sequence(NotNext { last: 5 })),
            ((0, 5, 2, false), Came::Sequence(NotNext { last: 5 })),
            ((0, 3, 2, false), Came::Duplicate(0)),
            ((0, 5, 1, false), Came::Duplicate(2)),
            (
                (2, 1, 1, false),
                Came::Sequence(NewEpoch {
                    epoch: 2,
                    current: 0,
                }),
            ),
            ((2, 0, 1, false), Came::New(3)),
            ((1, 6, 1, false), Came::Epoch(2)),
            ((0, 5, 1, false), Came::Epoch(2)),
            ((2, 0, 1, false), Came::Duplicate(3)),
            ((2, 1, 1, false), Came::New(4)),
        ];
        for ((epoch, first, count, strict), came) in steps {
            let got = append(partition, sequenced(9, epoch, first, count), strict);
            assert_eq!(
                got, came,
                "epoch {epoch}, sequence {first}, {count} records"
            );
        }
    });
}

#[test]
fn sequences_wrap_from_the_largest_to_zero() {
    on_a_partition(|partition| {
        assert_eq!(
            append(partition, sequenced(1, 0, MAX - 1, 2), false),
            Came::New(0)
        );
        assert_eq!(
            append(partition, sequenced(1, 0, 0, 1), false),
            Came::New(2)
        );
        assert_eq!(
            append(partition, sequenced(1, 0, MAX - 1, 2), false),
            Came::Duplicate(0)
        );
        assert_eq!(
            append(partition, sequenced(2, 0, MAX - 1, 5), false),
            Came::New(3)
        );
        assert_eq!(
            append(partition, sequenced(2, 0, MAX - 1, 5), false),
            Came::Duplicate(3)
        );
        assert_eq!(
            append(partition, sequenced(2, 0, 3, 1), false),
            Came::New(8)
        );
    });
}

#[test]
fn retries_of_the_last_five_batches_are_known_and_no_older_ones() {
    on_a_partition(|partition| {
        for sequence in 0..7 {
            append(partition, sequenced(1, 0, sequence, 1), false);
        }
        for sequence in 2..7 {
            let retry = append(partition, sequenced(1, 0, sequence, 1), false);
            assert_eq!(retry, Came::Duplicate(i64::from(sequence)));
        }
        let old = append(partition, sequenced(1, 0, 1, 1), false);
        assert_eq!(old, Came::Sequence(NotNext { last: 6 }));
    });
}

#[test]
fn a_retry_is_answered_like_the_original() {
    on_a_partition(|partition| {
        let original = partition.append(sequenced(1, 0, 0, 3), false).unwrap();
        partition.append(batch(&["other"]), false).unwrap();
        let retry = partition.append(sequenced(1, 0, 0, 3), false).unwrap();
        assert_eq!(retry.base_offset, original.base_offset);
        assert_eq!(retry.next_offset, original.next_offset);
        assert_eq!(
            retry.log_append_time,
            Some(NOW),
            "Kafka answers the batch's time"
        );
        assert_eq!(partition.offsets().unwrap().log_end, Offset(4));
    });
}

#[test]
fn refusals_are_in_kafkas_words() {
    on_a_partition(|partition| {
        let refused = |batch, strict| partition.append(batch, strict).unwrap_err().to_string();
        assert_eq!(
            refused(sequenced(5, 0, 1, 1), true),
            "Invalid sequence number for producer 5 at offset 0 in partition topic.1-0: 1 \
             (incoming seq. number). Expected sequence 0 for transactions v2 idempotent producer \
             with no existing state."
        );
        partition.append(sequenced(5, 1, 0, 1), true).unwrap();
        assert_eq!(
            refused(sequenced(5, 1, 4, 1), true),
            "Out of order sequence number for producer 5 at offset 1 in partition topic.1-0: 4 \
             (incoming seq. number), 0 (current end sequence number)"
        );
        assert_eq!(
            refused(sequenced(5, 2, 4, 1), true),
            "Invalid sequence number for new epoch of producer 5at offset 1 in partition \
             topic.1-0: 2 (request epoch), 4 (seq. number), 1 (current producer epoch)"
        );
        assert_eq!(
            refused(sequenced(5, 0, 0, 1), true),
            "Epoch of producer 5 at offset 1 in topic.1-0 is 0, which is smaller than the last \
             seen epoch 1"
        );
    });
}

#[test]
fn the_last_five_batches_are_known_after_every_kind_of_restart() {
    on_every_io(|io, dir| {
        // After a clean stop the snapshot holds one batch, after an unclean one possibly none.
        for (clean, drop_snapshots) in [(true, false), (true, true), (false, false), (false, true)]
        {
            let mut bed = Bed::new(io.clone(), &dir.join(format!("{clean}-{drop_snapshots}")));
            bed.config.segment_bytes = 300;
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            for sequence in 0..9 {
                append(&partition, sequenced(1, 0, sequence, 1), false);
                append(&partition, sequenced(2, 3, sequence * 2, 2), false);
            }
            wait_committed(&partition, Offset(27)).unwrap();
            if clean {
                store.close().unwrap();
            }
            drop((partition, store));
            if drop_snapshots {
                for entry in bed.io.read_dir(&bed.dir.join("topic.1-0")).unwrap() {
                    if entry.path.extension() == Some("snapshot".as_ref()) {
                        bed.io.remove_file(&entry.path).unwrap();
                    }
                }
            }
            let (store, _) = bed.open();
            let partition = bed.attach(&store, 1);
            for sequence in 4..9_i32 {
                let at = i64::from(sequence) * 3;
                let retry = append(&partition, sequenced(1, 0, sequence, 1), true);
                assert_eq!(retry, Came::Duplicate(at), "{clean} {drop_snapshots}");
                let retry = append(&partition, sequenced(2, 3, sequence * 2, 2), true);
                assert_eq!(retry, Came::Duplicate(at + 1), "{clean} {drop_snapshots}");
            }
            let old = append(&partition, sequenced(1, 0, 3, 1), true);
            assert_eq!(old, Came::Sequence(NotNext { last: 8 }));
            assert_eq!(
                append(&partition, sequenced(1, 0, 9, 1), true),
                Came::New(27)
            );
        }
    });
}

#[test]
fn a_producer_that_was_silent_for_long_is_forgotten() {
    let bed = Bed::new(crate::io::MemoryIo::shared(), Path::new("/"));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    assert_eq!(
        append(&partition, sequenced(1, 0, 0, 1), true),
        Came::New(0)
    );
    bed.clock.advance(Duration::from_secs(86_400 - 1));
    assert_eq!(
        append(&partition, sequenced(1, 0, 0, 1), true),
        Came::Duplicate(0)
    );
    bed.clock.advance(Duration::from_secs(600));
    assert_eq!(
        append(&partition, sequenced(1, 0, 1, 1), true),
        Came::Sequence(NoState)
    );
    assert_eq!(
        append(&partition, sequenced(1, 0, 0, 1), true),
        Came::New(1)
    );
}
