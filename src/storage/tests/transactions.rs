//! Transactions: the last stable offset, the aborted list, and that both survive anything that may
//! happen to the files they can be found again from.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::batch::EndMarker;
use crate::io::PowerCutIo;
use crate::io::{MemoryIo, OpenMode};
use crate::storage::format::names::{self, SegmentFile};
use crate::storage::format::txn_index;

/// A batch of a transaction.
fn transactional(id: i64, epoch: i16, first_sequence: i32, count: usize) -> ValidBatch {
    let mut builder = BatchBuilder::new()
        .producer(ProducerId(id), ProducerEpoch(epoch), first_sequence)
        .transactional();
    for _ in 0..count {
        builder.push(NOW, None, Some(b"value"));
    }
    builder.build().unwrap()
}

fn marker(id: i64, epoch: i16, committed: bool, coordinator_epoch: i32) -> ValidBatch {
    let marker = EndMarker {
        committed,
        coordinator_epoch,
    };
    marker
        .batch(ProducerId(id), ProducerEpoch(epoch), NOW)
        .unwrap()
}

/// First offset, next offset, and aborted transactions by producer and first offset.
type Piece = (i64, i64, Vec<(i64, i64)>);

/// Offsets and aborted transactions as `read_committed` readers see them, read in pieces.
fn committed_view(partition: &Partition, max_bytes: usize) -> Vec<Piece> {
    let mut from = partition.offsets().unwrap().log_start;
    let mut pieces = Vec::new();
    loop {
        let read = partition
            .read(from, max_bytes, true, Isolation::ReadCommitted)
            .unwrap();
        let bytes = bytes_of(&read.records);
        let mut rest = bytes.as_slice();
        let mut next = from;
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest).unwrap();
            next = header.next_offset();
            rest = &rest[header.total_len()..];
        }
        if next == from {
            assert!(read.aborted.is_empty());
            return pieces;
        }
        let aborted = read.aborted.iter();
        let aborted = aborted.map(|each| (each.producer_id, each.first_offset.0));
        pieces.push((from.0, next.0, aborted.collect()));
        from = next;
    }
}

#[test]
fn a_transaction_hides_what_follows_until_its_marker_is_committed() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    partition.append(batch(&["a"]), false).unwrap();
    partition.append(transactional(7, 0, 0, 2), false).unwrap();
    partition.append(batch(&["b"]), false).unwrap();
    wait_committed(&partition, Offset(4)).unwrap();
    let offsets = partition.offsets().unwrap();
    assert_eq!(
        (offsets.last_stable, offsets.high_watermark),
        (Offset(1), Offset(4))
    );
    assert_eq!(committed_view(&partition, 1000), [(0, 1, vec![])]);
    let at = |isolation| partition.first_at_or_after(NOW, isolation).unwrap();
    assert_eq!(at(Isolation::ReadCommitted).unwrap().offset, Offset(0));
    let late = Timestamp(NOW.0 + 1);
    assert_eq!(
        partition
            .first_at_or_after(late, Isolation::ReadCommitted)
            .unwrap(),
        None
    );

    partition.append(marker(7, 0, false, 0), false).unwrap();
    wait_committed(&partition, Offset(5)).unwrap();
    assert_eq!(partition.offsets().unwrap().last_stable, Offset(5));
    assert_eq!(committed_view(&partition, 1000), [(0, 5, vec![(7, 1)])]);
    // Whoever reads what is not committed is told of nothing.
    let read = partition.read(Offset(0), 1000, true, Isolation::ReadUncommitted);
    assert!(read.unwrap().aborted.is_empty());
}

#[test]
fn only_what_overlaps_the_records_is_listed() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    // 0: of 1, 1: of 2, 2: 1 aborts, 3: 2 aborts, 4: of 1 again, 5: commits.
    for batch in [
        transactional(1, 0, 0, 1),
        transactional(2, 0, 0, 1),
        marker(1, 0, false, 0),
        marker(2, 0, false, 0),
        transactional(1, 0, 1, 1),
        marker(1, 0, true, 0),
    ] {
        partition.append(batch, false).unwrap();
    }
    wait_committed(&partition, Offset(6)).unwrap();
    let expected = [
        (0, 1, vec![(1, 0)]),
        (1, 2, vec![(1, 0), (2, 1)]),
        (2, 3, vec![(1, 0), (2, 1)]),
        (3, 4, vec![(2, 1)]),
        (4, 5, vec![]),
        (5, 6, vec![]),
    ];
    assert_eq!(committed_view(&partition, 1), expected);
}

#[test]
fn what_does_not_belong_to_the_transaction_is_refused() {
    let bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    partition.append(transactional(7, 1, 0, 1), false).unwrap();
    let refused = partition.append(sequenced(7, 1, 1, 1), false).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Expected transactional write from producer 7 at offset (offset=1, segment=[-1:-1]) in \
         partition topic.1-0"
    );
    let older = partition.append(marker(7, 0, true, 5), false).unwrap_err();
    assert!(matches!(
        older,
        AppendError::InvalidProducerEpoch { last: 1, .. }
    ));
    partition.append(marker(7, 1, true, 5), false).unwrap();
    partition.append(sequenced(7, 1, 1, 1), false).unwrap();
    let zombie = partition.append(marker(7, 1, true, 4), false).unwrap_err();
    assert_eq!(
        zombie.to_string(),
        "Invalid coordinator epoch for producerId 7 at offset 3 in partition topic.1-0: 4 \
         (zombie), 5 (current)"
    );
    // One that ends nothing is appended, and fences older epochs.
    partition.append(marker(7, 2, false, 5), false).unwrap();
    partition.append(marker(8, 3, false, 0), false).unwrap();
    let fenced = partition
        .append(transactional(8, 2, 0, 1), false)
        .unwrap_err();
    assert!(matches!(
        fenced,
        AppendError::InvalidProducerEpoch { last: 3, .. }
    ));
    wait_committed(&partition, Offset(5)).unwrap();
    assert_eq!(partition.offsets().unwrap().last_stable, Offset(5));
    assert_eq!(committed_view(&partition, 1000), [(0, 5, vec![])]);
}

#[test]
fn a_producer_with_an_open_transaction_is_never_forgotten() {
    let mut bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    bed.config.retention_ms = -1;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    partition.append(transactional(7, 0, 0, 1), false).unwrap();
    bed.clock.advance(Duration::from_secs(40 * 86_400));
    partition.append(sequenced(8, 0, 0, 1), false).unwrap();
    partition.append(marker(7, 0, false, 0), false).unwrap();
    wait_committed(&partition, Offset(3)).unwrap();
    assert_eq!(committed_view(&partition, 1000), [(0, 3, vec![(7, 0)])]);
}

#[derive(Clone, Debug)]
enum Step {
    /// A batch of a producer's transaction, which begins if none is open.
    Append {
        producer: u8,
        records: u8,
    },
    End {
        producer: u8,
        committed: bool,
    },
    Plain {
        records: u8,
    },
    /// The next batch is too late for the active segment.
    Roll,
    /// Nothing before it is to be committed later than this.
    Wait,
    DeleteRecords {
        share: u8,
    },
    Read {
        max_bytes: u16,
    },
    /// Files that can be found again suffer while the store runs.
    Harm {
        damage: Damage,
    },
    Stop {
        clean: bool,
        damage: Damage,
    },
    /// The power goes, where the disk knows what that means, and else the process.
    Cut {
        seed: u64,
    },
}

/// What becomes of files that can be found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    None,
    Delete,
    Zero,
    Cut,
    Swap,
}

const PRODUCERS: u8 = 4;

fn step() -> impl Strategy<Value = Step> {
    let producer = 0..PRODUCERS;
    let damage = prop_oneof![
        3 => Just(Damage::None),
        1 => Just(Damage::Delete),
        1 => Just(Damage::Zero),
        1 => Just(Damage::Cut),
        1 => Just(Damage::Swap),
    ];
    prop_oneof![
        8 => (producer.clone(), 1..4_u8)
            .prop_map(|(producer, records)| Step::Append { producer, records }),
        6 => (producer, any::<bool>())
            .prop_map(|(producer, committed)| Step::End { producer, committed }),
        2 => (1..4_u8).prop_map(|records| Step::Plain { records }),
        2 => Just(Step::Roll),
        2 => Just(Step::Wait),
        1 => any::<u8>().prop_map(|share| Step::DeleteRecords { share }),
        2 => any::<u16>().prop_map(|max_bytes| Step::Read { max_bytes }),
        1 => damage.clone().prop_map(|damage| Step::Harm { damage }),
        2 => (any::<bool>(), damage).prop_map(|(clean, damage)| Step::Stop { clean, damage }),
        2 => any::<u64>().prop_map(|seed| Step::Cut { seed }),
    ]
}

/// The log as a list, from which every answer is computed anew.
#[derive(Default)]
struct Reference {
    batches: Vec<Entry>,
    log_start: i64,
}

#[derive(Clone, Copy)]
struct Entry {
    base: i64,
    next: i64,
    producer: Option<i64>,
    /// Whether it is a marker, and of a commit.
    ends: Option<bool>,
}

/// From its first offset to its marker.
struct Transaction {
    producer: i64,
    first: i64,
    end: Option<(i64, bool)>,
}

impl Reference {
    fn end(&self) -> i64 {
        self.batches.last().map_or(0, |last| last.next)
    }

    fn push(&mut self, records: i64, producer: Option<i64>, ends: Option<bool>) {
        let base = self.end();
        let next = base + records;
        self.batches.push(Entry {
            base,
            next,
            producer,
            ends,
        });
    }

    /// Forgets what begins at or after `end`.
    fn cut(&mut self, end: i64) {
        self.batches.retain(|entry| entry.base < end);
    }

    fn next_sequence(&self, producer: i64) -> i32 {
        let data = self.batches.iter();
        let data = data.filter(|entry| entry.producer == Some(producer) && entry.ends.is_none());
        data.map(|entry| (entry.next - entry.base) as i32).sum()
    }

    fn transactions(&self) -> Vec<Transaction> {
        let mut all: Vec<Transaction> = Vec::new();
        for entry in &self.batches {
            let Some(producer) = entry.producer else {
                continue;
            };
            let open = |each: &&mut Transaction| each.producer == producer && each.end.is_none();
            let open = all.iter_mut().find(open);
            match (entry.ends, open) {
                (Some(committed), Some(open)) => open.end = Some((entry.base, committed)),
                (None, None) => all.push(Transaction {
                    producer,
                    first: entry.base,
                    end: None,
                }),
                (Some(_), None) | (None, Some(_)) => {}
            }
        }
        all
    }

    fn last_stable(&self, high_watermark: i64) -> i64 {
        let unsettled = |each: &&Transaction| each.end.is_none_or(|(at, _)| at >= high_watermark);
        let transactions = self.transactions();
        let first = transactions.iter().filter(unsettled).map(|each| each.first);
        let first = first.min().unwrap_or(high_watermark);
        first.max(self.log_start).min(high_watermark)
    }

    /// By producer and first offset, in the order of markers.
    fn aborted(&self, from: i64, upper: i64) -> Vec<(i64, i64)> {
        let mut overlapping = BTreeMap::new();
        for each in self.transactions() {
            if let Some((at, false)) = each.end
                && at >= from
                && each.first < upper
            {
                overlapping.insert(at, (each.producer, each.first));
            }
        }
        overlapping.into_values().collect()
    }
}

struct World {
    bed: Bed,
    store: Arc<Store>,
    partition: Arc<Partition>,
    reference: Reference,
    sequences: [i32; PRODUCERS as usize],
    time: i64,
    /// The file system, if it knows what is on disk.
    disk: Option<Arc<PowerCutIo>>,
    /// Below it everything was told to be committed.
    committed: i64,
}

impl World {
    fn wait(&mut self) {
        self.committed = self.reference.end();
        wait_committed(&self.partition, Offset(self.committed)).unwrap();
    }

    fn append(&mut self, batch: ValidBatch) {
        let done = self.partition.append(batch, false).unwrap();
        assert_eq!(done.base_offset.0, self.reference.end());
    }

    fn step(&mut self, step: &Step) {
        let end = self.reference.end();
        match step {
            Step::Append { producer, records } => {
                let id = i64::from(*producer);
                let sequence = &mut self.sequences[usize::from(*producer)];
                let mut builder = BatchBuilder::new()
                    .producer(ProducerId(id), ProducerEpoch(0), *sequence)
                    .transactional();
                *sequence += i32::from(*records);
                for _ in 0..*records {
                    builder.push(Timestamp(self.time), None, Some(&[b'v'; 40]));
                }
                self.append(builder.build().unwrap());
                self.reference.push(i64::from(*records), Some(id), None);
            }
            Step::End {
                producer,
                committed,
            } => {
                let id = i64::from(*producer);
                let marker = EndMarker {
                    committed: *committed,
                    coordinator_epoch: 3,
                };
                let marker = marker.batch(ProducerId(id), ProducerEpoch(0), Timestamp(self.time));
                self.append(marker.unwrap());
                self.reference.push(1, Some(id), Some(*committed));
            }
            Step::Plain { records } => {
                let mut builder = BatchBuilder::new();
                for _ in 0..*records {
                    builder.push(Timestamp(self.time), None, Some(&[b'p'; 20]));
                }
                self.append(builder.build().unwrap());
                self.reference.push(i64::from(*records), None, None);
            }
            Step::Roll => {
                // A segment that is lost below one that is not would be damage: another test.
                if self.disk.is_some() {
                    self.wait();
                }
                self.time += 2_000;
            }
            Step::Wait => self.wait(),
            Step::DeleteRecords { share } => {
                self.wait();
                let before = end * i64::from(*share) / 255;
                self.reference.log_start = self.reference.log_start.max(before);
                self.partition.delete_records(Offset(before)).unwrap();
            }
            Step::Read { max_bytes } => self.check_reads(usize::from(*max_bytes) / 16),
            Step::Harm { damage } => {
                self.wait();
                self.harm(*damage);
            }
            Step::Stop { clean, damage } => {
                self.wait();
                if *clean {
                    self.store.close().unwrap();
                }
                self.restart(*damage);
            }
            Step::Cut { seed } => {
                if let Some(disk) = &self.disk {
                    let left = disk.after_cut(&mut fastrand::Rng::with_seed(*seed));
                    self.bed.io = left.clone();
                    self.disk = Some(left);
                } else {
                    self.wait();
                }
                self.restart(Damage::None);
            }
        }
        self.check_offsets();
    }

    fn check_offsets(&self) {
        let offsets = self.partition.offsets().unwrap();
        assert_eq!(
            offsets.last_stable.0,
            self.reference.last_stable(offsets.high_watermark.0),
            "{offsets:?}"
        );
    }

    /// Everything, in pieces of this size.
    fn check_reads(&mut self, max_bytes: usize) {
        self.wait();
        let last_stable = self.reference.last_stable(self.reference.end());
        let mut at = self.reference.log_start;
        for (from, next, aborted) in committed_view(&self.partition, max_bytes) {
            assert_eq!(from, at);
            assert_eq!(
                aborted,
                self.reference.aborted(from, next),
                "{from} to {next}"
            );
            at = next;
        }
        assert_eq!(at, last_stable.max(self.reference.log_start));
    }

    fn harm(&self, damage: Damage) {
        let dir = self.bed.dir.join("topic.1-0");
        if self.bed.io.read_dir(&dir).is_ok() {
            damage_files(&self.bed.io, &dir, damage);
        }
    }

    fn restart(&mut self, damage: Damage) {
        // Nothing of the old store runs on.
        let idle = Bed::new(MemoryIo::shared(), Path::new("/"));
        let (empty, _) = idle.open();
        self.partition = idle.attach(&empty, 1);
        self.store = empty;
        self.harm(damage);
        let (store, _) = self.bed.open();
        self.partition = self.bed.attach(&store, 1);
        store.recover();
        self.store = store;
        let offsets = self.partition.offsets().unwrap();
        assert!(offsets.log_end.0 >= self.committed, "{offsets:?}");
        self.reference.cut(offsets.log_end.0);
        assert_eq!(
            (offsets.log_start.0, offsets.log_end.0),
            (self.reference.log_start, self.reference.end())
        );
        for (id, sequence) in (0_i64..).zip(&mut self.sequences) {
            *sequence = self.reference.next_sequence(id);
        }
    }
}

fn damage_files(io: &SharedIo, dir: &Path, damage: Damage) {
    let index = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        matches!(SegmentFile::parse(name), Some((SegmentFile::TxnIndex, _)))
            || name == names::TXN_INDEXES
    };
    let entries = io.read_dir(dir).unwrap();
    let paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path).collect();
    let paths: Vec<PathBuf> = paths.into_iter().filter(index).collect();
    let rewrite = |path: &Path, content: &[u8]| {
        let file = io.open(path, OpenMode::Create).unwrap();
        file.set_len(0).unwrap();
        file.write_all_at(&[content], 0).unwrap();
    };
    for path in &paths {
        let len = io.read(path).unwrap().len();
        match damage {
            Damage::None | Damage::Swap => {}
            Damage::Delete => io.remove_file(path).unwrap(),
            Damage::Zero => rewrite(path, &vec![0; len]),
            Damage::Cut => {
                let kept =
                    io.read(path).unwrap()[..len.saturating_sub(txn_index::ENTRY_LENGTH)].to_vec();
                rewrite(path, &kept);
            }
        }
    }
    if damage == Damage::Swap && paths.len() > 1 {
        let contents: Vec<Vec<u8>> = paths.iter().map(|path| io.read(path).unwrap()).collect();
        for (path, content) in paths.iter().zip(contents.iter().cycle().skip(1)) {
            rewrite(path, content);
        }
    }
}

fn run(steps: &[Step], disk: Option<Arc<PowerCutIo>>) {
    let io: SharedIo = match &disk {
        Some(disk) => disk.clone(),
        None => MemoryIo::shared(),
    };
    let mut bed = Bed::new(io, Path::new("/"));
    if disk.is_none() {
        bed.config.segment_bytes = 1_500;
    }
    bed.config.index_interval_bytes = 200;
    bed.config.segment_ms = 1_000;
    bed.open_files_max = 3;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    let mut world = World {
        bed,
        store,
        partition,
        reference: Reference::default(),
        sequences: [0; PRODUCERS as usize],
        time: NOW.0,
        disk,
        committed: 0,
    };
    for step in steps {
        world.step(step);
    }
    world.check_reads(300);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn transactions_are_as_a_list_of_batches_tells(steps in prop::collection::vec(step(), 1..60)) {
        run(&steps, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn after_power_cuts_transactions_are_as_what_is_left_tells(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        run(&steps, Some(PowerCutIo::new()));
    }
}

#[test]
fn aborted_transactions_are_in_kafkas_index_after_a_clean_stop() {
    let mut bed = Bed::new(MemoryIo::shared(), Path::new("/"));
    bed.config.segment_bytes = 300;
    let (store, _) = bed.open();
    let partition = bed.attach(&store, 1);
    for round in 0..6 {
        partition
            .append(transactional(round, 0, 0, 3), false)
            .unwrap();
        partition
            .append(marker(round, 0, round % 2 == 0, 0), false)
            .unwrap();
    }
    wait_committed(&partition, Offset(24)).unwrap();
    store.close().unwrap();
    let dir = bed.dir.join("topic.1-0");
    let mut seen = HashSet::new();
    let mut entries = bed.io.read_dir(&dir).unwrap();
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    for entry in entries {
        let name = entry.path.file_name().unwrap().to_str().unwrap();
        let Some((SegmentFile::TxnIndex, base)) = SegmentFile::parse(name) else {
            continue;
        };
        for entry in txn_index::decode(&bed.io.read(&entry.path).unwrap()).unwrap() {
            assert!(entry.last >= base);
            assert_eq!(entry.last_stable, entry.last.plus(1));
            assert!(seen.insert((entry.producer_id, entry.first.0, entry.last.0)));
        }
    }
    assert_eq!(seen, HashSet::from([(1, 4, 7), (3, 12, 15), (5, 20, 23)]));
}
