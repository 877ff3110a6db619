//! What was sent, and what was answered: the account that a broker's log is held against.
//!
//! It lives in the memory of the test, out of reach of the faults that the broker suffers.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// A value that is sent once: its producer, and its number among those of the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(u64);

/// Bits of the number; the producer stands above them.
const NUMBER_BITS: u32 = 40;

/// Keys of a producer.
const KEYS: u64 = 97;

impl Value {
    /// The `number`th value of a producer.
    #[must_use]
    pub fn new(producer: u16, number: u64) -> Self {
        Self(u64::from(producer) << NUMBER_BITS | number)
    }

    /// Who sent it.
    #[must_use]
    pub fn producer(self) -> u16 {
        (self.0 >> NUMBER_BITS) as u16
    }

    /// Its number among those of its producer.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0 & ((1 << NUMBER_BITS) - 1)
    }

    /// The value so many numbers later.
    #[must_use]
    pub fn plus(self, numbers: u64) -> Self {
        Self(self.0 + numbers)
    }

    /// The bytes of a record's value: the number, and filler that follows from it, so that not one
    /// bit of a record can change unseen.
    #[must_use]
    pub fn payload(self) -> Vec<u8> {
        let mut bytes = self.0.to_be_bytes().to_vec();
        let mut filler = self.0 | 1;
        for _ in 0..4 + self.0 % 5 {
            filler = filler
                .wrapping_mul(6_364_136_223_846_793_005)
                .rotate_left(17);
            bytes.extend(filler.to_be_bytes());
        }
        bytes
    }

    /// The key of the value where keys are compacted: one of few of its producer.
    #[must_use]
    pub fn key(self) -> Vec<u8> {
        format!("{}/{}", self.producer(), self.number() % KEYS).into_bytes()
    }

    /// The value with this payload, if it is one, to the last byte.
    #[must_use]
    pub fn from_payload(bytes: &[u8]) -> Option<Self> {
        let number = bytes.first_chunk::<8>()?;
        let value = Self(u64::from_be_bytes(*number));
        (value.payload() == bytes).then_some(value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.producer(), self.number())
    }
}

/// A topic's partition.
pub type Partition = (String, i32);

/// A batch that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Value of the first record; the others follow.
    pub first: Value,
    /// Number of records.
    pub count: u32,
    /// Producer id, epoch and sequence of the first record.
    pub producer: (i64, i16, i32),
    /// Whether an answer promises anything: `acks=all`.
    pub promised: bool,
    /// Where the broker said that it is.
    pub answered: Option<i64>,
}

/// Where a batch stands in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Its partition.
    pub partition: Partition,
    index: usize,
}

/// What of a log has to stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// All that nobody asked to delete.
    #[default]
    All,
    /// All from some offset on, which only rises (`retention.bytes`).
    Newest,
    /// The latest of every key (`cleanup.policy=compact`).
    LatestByKey,
}

/// What is known of one partition.
#[derive(Clone, Debug, Default)]
pub struct PartitionLedger {
    /// Every batch, in the order of sending for each producer.
    pub sent: Vec<Sent>,
    /// Below this everything was deleted, as the broker answered.
    pub deleted_to: i64,
    /// Below this it may be deleted: somebody asked.
    pub delete_asked_to: i64,
    /// What has to stay.
    pub kept: Kept,
    /// Stretches that were found damaged after a fault, above all that was acknowledged then.
    pub excused: Vec<Range<i64>>,
}

impl PartitionLedger {
    /// The offset after the last promised record that was acknowledged: all below it was durable.
    #[must_use]
    pub fn acknowledged_to(&self) -> i64 {
        let promised = self.sent.iter().filter(|sent| sent.promised);
        let ends = promised.filter_map(|sent| Some(sent.answered? + i64::from(sent.count)));
        ends.max().unwrap_or(0)
    }

    /// Whether a stretch may be damaged: all of it is above what was acknowledged, or was found so
    /// before.
    #[must_use]
    pub fn excuses(&self, stretch: &Range<i64>) -> bool {
        let (mut at, durable) = (stretch.start, self.acknowledged_to().min(stretch.end));
        while at < durable {
            match self.excused.iter().find(|excused| excused.contains(&at)) {
                Some(excused) => at = excused.end,
                None => return false,
            }
        }
        true
    }
}

/// The account of all partitions.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    partitions: BTreeMap<Partition, PartitionLedger>,
}

impl Ledger {
    /// Notes a batch before it is sent.
    pub fn send(&mut self, partition: &Partition, sent: Sent) -> Ticket {
        let batches = &mut self.partitions.entry(partition.clone()).or_default().sent;
        batches.push(sent);
        Ticket {
            partition: partition.clone(),
            index: batches.len() - 1,
        }
    }

    /// Notes what of a partition has to stay.
    pub fn keep(&mut self, partition: &Partition, kept: Kept) {
        self.of_mut(partition).kept = kept;
    }

    /// Notes that a batch was answered.
    ///
    /// # Errors
    /// If it was answered before, with another offset: a retry has to be told the first one's.
    pub fn answer(&mut self, ticket: &Ticket, offset: i64) -> Result<(), String> {
        let sent = &mut self.of_mut(&ticket.partition).sent[ticket.index];
        match sent.answered.replace(offset) {
            Some(earlier) if earlier != offset => Err(format!(
                "{:?}: {} was acknowledged at {earlier}, and again at {offset}",
                ticket.partition, sent.first
            )),
            _ => Ok(()),
        }
    }

    /// Notes that records are going to be deleted.
    pub fn ask_to_delete(&mut self, partition: &Partition, below: i64) {
        let ledger = self.of_mut(partition);
        ledger.delete_asked_to = ledger.delete_asked_to.max(below);
    }

    /// Notes that records are deleted.
    pub fn deleted(&mut self, partition: &Partition, below: i64) {
        let ledger = self.of_mut(partition);
        ledger.deleted_to = ledger.deleted_to.max(below);
    }

    /// Notes stretches that a fault left damaged, so that they are not held against later answers.
    pub fn excuse(&mut self, partition: &Partition, stretches: &[Range<i64>]) {
        let excused = &mut self.of_mut(partition).excused;
        for stretch in stretches {
            if !excused.contains(stretch) {
                excused.push(stretch.clone());
            }
        }
    }

    /// Drops a partition whose topic is deleted.
    pub fn forget(&mut self, partition: &Partition) {
        self.partitions.remove(partition);
    }

    /// Keeps the partitions of which this is true.
    pub fn retain(&mut self, keep: impl Fn(&Partition) -> bool) {
        self.partitions.retain(|partition, _| keep(partition));
    }

    /// One partition's account.
    #[must_use]
    pub fn of(&self, partition: &Partition) -> Option<&PartitionLedger> {
        self.partitions.get(partition)
    }

    fn of_mut(&mut self, partition: &Partition) -> &mut PartitionLedger {
        self.partitions.entry(partition.clone()).or_default()
    }

    /// All partitions.
    pub fn partitions(&self) -> impl Iterator<Item = (&Partition, &PartitionLedger)> {
        self.partitions.iter()
    }

    /// Records that were promised.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.partitions
            .values()
            .flat_map(|ledger| &ledger.sent)
            .filter(|sent| sent.promised && sent.answered.is_some())
            .map(|sent| u64::from(sent.count))
            .sum()
    }

    /// Writes everything down, one batch a line, for whoever looks for the cause of a failure.
    ///
    /// # Errors
    /// As writing does.
    pub fn write_to(&self, path: &std::path::Path) -> std::io::Result<()> {
        use std::io::Write;
        let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
        for ((topic, partition), ledger) in &self.partitions {
            writeln!(
                out,
                "{topic}-{partition}: deleted to {}, asked to {}",
                ledger.deleted_to, ledger.delete_asked_to
            )?;
            for sent in &ledger.sent {
                let (id, epoch, sequence) = sent.producer;
                writeln!(
                    out,
                    "{topic}-{partition} {}+{} id={id} epoch={epoch} sequence={sequence} promised={} at={:?}",
                    sent.first, sent.count, sent.promised, sent.answered
                )?;
            }
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_by_its_payload_and_only_by_all_of_it() {
        for number in 0..50 {
            let value = Value::new(3, number);
            let mut payload = value.payload();
            assert_eq!(Value::from_payload(&payload), Some(value));
            for at in 0..payload.len() {
                payload[at] ^= 4;
                assert_eq!(Value::from_payload(&payload), None, "{number} {at}");
                payload[at] ^= 4;
            }
            assert_eq!(Value::from_payload(&payload[..payload.len() - 1]), None);
        }
    }

    #[test]
    fn an_answer_that_changes_is_noticed() {
        let mut ledger = Ledger::default();
        let partition = ("t".to_owned(), 0);
        let sent = Sent {
            first: Value::new(1, 0),
            count: 2,
            producer: (1, 0, 0),
            promised: true,
            answered: None,
        };
        let ticket = ledger.send(&partition, sent);
        assert_eq!(ledger.acknowledged(), 0);
        assert!(ledger.answer(&ticket, 5).is_ok());
        assert!(ledger.answer(&ticket, 5).is_ok());
        assert!(ledger.answer(&ticket, 7).is_err());
        assert_eq!(ledger.acknowledged(), 2);
    }
}
