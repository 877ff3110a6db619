//! Recovery of images that no broker wrote.

use proptest::prelude::*;

use super::*;
use crate::batch::EndMarker;
use crate::storage::checks::recovery::{SegmentImage, check_recovery};

/// A log of a few batches, with every offset in its place.
fn sound_log(batches: u8) -> Vec<u8> {
    let (mut log, mut next) = (Vec::new(), Offset(0));
    for index in 0..batches {
        let batch = match index % 5 {
            0 => batch(&["a", "b"]),
            1 => sequenced(7, 0, i32::from(index), 3),
            2 => transactional(8, i32::from(index)),
            3 => abort(8),
            _ => batch(&[&"long ".repeat(usize::from(index) * 9)]),
        };
        log.extend_from_slice(&batch.patched_prefix(next, LeaderEpoch(i32::from(index / 4))));
        log.extend_from_slice(&batch.bytes[16..]);
        next = next.plus(i64::from(batch.header.record_count));
    }
    log
}

fn transactional(id: i64, first_sequence: i32) -> ValidBatch {
    let mut builder = BatchBuilder::new()
        .producer(ProducerId(id), ProducerEpoch(0), first_sequence)
        .transactional();
    builder.push(NOW, None, Some(b"value"));
    builder.build().unwrap()
}

fn abort(id: i64) -> ValidBatch {
    let marker = EndMarker {
        committed: false,
        coordinator_epoch: 0,
    };
    let marker = marker.batch(ProducerId(id), ProducerEpoch(0), NOW);
    marker.unwrap()
}

#[derive(Clone, Debug)]
enum Harm {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Zero(prop::sample::Index, u8),
    Repeat(prop::sample::Index, prop::sample::Index),
}

fn harm() -> impl Strategy<Value = Harm> {
    use prop::sample::Index;
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, bits)| Harm::Flip(at, bits)),
        any::<Index>().prop_map(Harm::Cut),
        (any::<Index>(), any::<u8>()).prop_map(|(at, len)| Harm::Zero(at, len)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, at)| Harm::Repeat(from, at)),
    ]
}

fn apply(log: &mut Vec<u8>, harm: &Harm) {
    if log.is_empty() {
        return;
    }
    match harm {
        Harm::Flip(at, bits) => {
            let at = at.index(log.len());
            log[at] ^= bits;
        }
        Harm::Cut(at) => log.truncate(at.index(log.len())),
        Harm::Zero(at, len) => {
            let at = at.index(log.len());
            let end = (at + usize::from(*len)).min(log.len());
            log[at..end].fill(0);
        }
        Harm::Repeat(from, at) => {
            let stale = log[from.index(log.len())..].to_vec();
            log.splice(at.index(log.len()).., stale);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_harm_to_a_log_leaves_what_recovery_promises(
        batches in 0..14_u8,
        harms in prop::collection::vec(harm(), 0..4),
        offset_index in prop::collection::vec(any::<u8>(), 0..40),
        time_index in prop::collection::vec(any::<u8>(), 0..40),
        txn_index in prop::collection::vec(any::<u8>(), 0..80),
        snapshot in prop::collection::vec(any::<u8>(), 0..20),
        txn_indexes in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut log = sound_log(batches);
        let sound = log.clone();
        harms.iter().for_each(|harm| apply(&mut log, harm));
        let image = SegmentImage {
            log: &log,
            offset_index: &offset_index,
            time_index: &time_index,
            txn_index: &txn_index,
            snapshot: &snapshot,
            leader_epochs: b"0\n1\n0 0\n",
            txn_indexes: &txn_indexes,
        };
        let kept = check_recovery(image);
        prop_assert!(kept.is_ok(), "{kept:?}");
        if log == sound {
            prop_assert_eq!(kept.unwrap(), sound);
        }
    }
}

#[test]
fn a_length_that_reaches_beyond_the_cut_of_an_earlier_recovery_costs_nothing_more() {
    let mut log = sound_log(12);
    let len = log.len();
    // The first batch claims bytes up to within the torn tail, a later one is damaged as well.
    let claimed = i32::try_from(len + 500).unwrap();
    log[8..12].copy_from_slice(&claimed.to_be_bytes());
    log[len / 2] ^= 1;
    log.extend_from_slice(&[10; 1500]);
    let image = SegmentImage {
        log: &log,
        leader_epochs: b"0\n1\n0 0\n",
        ..SegmentImage::default()
    };
    assert_eq!(check_recovery(image).map(|kept| kept.len()), Ok(len));
}

#[test]
fn an_open_transaction_behind_a_gap_keeps_readers_of_what_is_committed_waiting_there() {
    // The first five offsets may have been cleaned away; the transaction was never ended.
    let log = &sound_log(3)[sound_log(2).len()..];
    let image = SegmentImage {
        log,
        leader_epochs: b"0\n1\n0 0\n",
        ..SegmentImage::default()
    };
    assert_eq!(check_recovery(image), Ok(log.to_vec()));
}

#[test]
fn damage_before_a_batch_of_an_odd_epoch_and_a_torn_one_is_cut_with_them() {
    let sound = sound_log(5);
    let at = |index: usize| {
        let lens = (0..index).scan(0, |at, _| {
            *at += BatchHeader::parse(&sound[*at..]).unwrap().total_len();
            Some(*at)
        });
        lens.last().unwrap_or(0)
    };
    // Where the fourth batch was are old bytes; then the fourth, whose leader epoch is flipped, and
    // the fifth, torn. That one is in line with the third and shows that the fourth is not.
    let mut log = sound[..at(3)].to_vec();
    log.extend_from_slice(&sound[at(1)..at(3)]);
    let fourth = log.len();
    log.extend_from_slice(&sound[at(3)..sound.len() - 21]);
    log[fourth + 12] ^= 1;
    let image = SegmentImage {
        log: &log,
        offset_index: &[],
        time_index: &[],
        txn_index: &[],
        snapshot: &[],
        leader_epochs: b"0\n1\n0 0\n",
        txn_indexes: &[],
    };
    assert_eq!(check_recovery(image).map(|kept| kept.len()), Ok(at(3)));
}
