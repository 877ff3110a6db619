//! Holds a log as it was read against the ledger.

use std::collections::HashMap;

use super::figure::Figure;
use super::ledger::{Kept, PartitionLedger, Value};
use super::reading::Reading;

/// Examples that are told of all faults together.
const EXAMPLES: usize = 20;

/// What was found, in records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Promised by an answer, and looked for.
    pub acknowledged: u64,
    /// Acknowledged and not there.
    pub lost: u64,
    /// At two offsets.
    pub duplicated: u64,
    /// Behind a later one of the same producer.
    pub reordered: u64,
    /// Acknowledged, and there at another offset than was answered.
    pub misplaced: u64,
    /// Not a value of ours to the last byte, or in a batch that cannot be read.
    pub corrupt: u64,
    /// Never sent to this partition.
    pub unknown: u64,
    /// Deleted, as was answered, and there.
    pub returned: u64,
    /// Offsets that are missing between two records.
    pub gaps: u64,
    /// Offsets that the broker refuses to read, as damaged. If an acknowledged record was there, it
    /// counts as lost; a power cut may leave such a stretch of records that nobody was promised.
    pub refused: u64,
    /// Those of them that cannot come from a fault: something behind them was acknowledged before,
    /// so they were on disk.
    pub refused_durable: u64,
    /// Records without promise (`acks=1`) that were answered and are not there.
    pub lost_without_promise: u64,
    /// The first faults, in words.
    pub examples: Vec<String>,
}

impl Verdict {
    /// Whether nothing is wrong. What was never promised may be lost.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults().iter().all(|(_, count)| *count == 0)
    }

    /// What there must be none of.
    #[must_use]
    pub fn faults(&self) -> [(&'static str, u64); 9] {
        [
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("misplaced", self.misplaced),
            ("corrupt", self.corrupt),
            ("unknown", self.unknown),
            ("returned", self.returned),
            ("gaps", self.gaps),
            ("refused_durable", self.refused_durable),
        ]
    }

    /// Adds another partition's verdict, or another time's.
    pub fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.misplaced += other.misplaced;
        self.corrupt += other.corrupt;
        self.unknown += other.unknown;
        self.returned += other.returned;
        self.gaps += other.gaps;
        self.refused += other.refused;
        self.refused_durable += other.refused_durable;
        self.lost_without_promise += other.lost_without_promise;
        let room = EXAMPLES.saturating_sub(self.examples.len());
        self.examples.extend(other.examples.into_iter().take(room));
    }

    /// Tells all counts, and fails the figure on any fault.
    pub fn tell(&self, figure: &mut Figure) {
        figure.set("acknowledged", self.acknowledged);
        for (name, count) in self.faults() {
            figure.none(name, count);
        }
        figure.set("refused", self.refused);
        for example in &self.examples {
            eprintln!("  {example}");
        }
    }

    /// Counts what is wrong with the reading as a whole.
    fn take(&mut self, name: &str, ledger: &PartitionLedger, reading: &Reading) {
        for fault in &reading.faults {
            self.corrupt += 1;
            self.example(|| format!("{name}: {fault}"));
        }
        for stretch in &reading.refused {
            let offsets = (stretch.end - stretch.start).unsigned_abs();
            self.refused += offsets;
            self.example(|| format!("{name}: {stretch:?} is refused as damaged"));
            if !ledger.excuses(stretch) {
                self.refused_durable += offsets;
                let to = ledger.acknowledged_to();
                self.example(|| format!("{name}: {stretch:?} was durable, as all below {to}"));
            }
        }
    }

    fn example(&mut self, what: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(what());
        }
    }
}

/// Checks a reading of a whole log.
#[must_use]
pub fn check(name: &str, ledger: &PartitionLedger, reading: &Reading) -> Verdict {
    check_from(name, ledger, reading, 0)
}

/// Checks a reading that begins at offset `from`; what was acknowledged below is not looked for.
/// A compacted log has to be read from its start.
#[must_use]
pub fn check_from(name: &str, ledger: &PartitionLedger, reading: &Reading, from: i64) -> Verdict {
    match ledger.kept {
        Kept::All => check_all(name, ledger, reading, from),
        // What retention took is gone as if somebody had asked for it.
        Kept::Newest => {
            let delete_asked_to = ledger.delete_asked_to.max(reading.log_start);
            let trimmed = PartitionLedger {
                delete_asked_to,
                ..ledger.clone()
            };
            check_all(name, &trimmed, reading, from)
        }
        Kept::LatestByKey => check_latest(name, ledger, reading),
    }
}

/// Checks a compacted log: no record but those that were sent, each once, under its key, in its
/// order, at the offset that was answered; and of every key one that is not older than the newest
/// that was acknowledged.
fn check_latest(name: &str, ledger: &PartitionLedger, reading: &Reading) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.take(name, ledger, reading);
    let sent = SentValues::new(ledger);
    let mut answered_at: HashMap<Value, i64> = HashMap::new();
    // Of every key the newest that was promised.
    let mut newest: HashMap<Vec<u8>, (i64, Value)> = HashMap::new();
    for (value, offset, promised) in answered(ledger, 0) {
        answered_at.insert(value, offset);
        if promised {
            verdict.acknowledged += 1;
            let newest = newest.entry(value.key()).or_insert((offset, value));
            *newest = (*newest).max((offset, value));
        }
    }
    let mut last_offset = -1;
    let mut latest: HashMap<&[u8], i64> = HashMap::new();
    let mut of_producer: HashMap<u16, Value> = HashMap::new();
    for record in &reading.records {
        let offset = record.offset;
        if offset <= last_offset {
            verdict.reordered += 1;
            verdict.example(|| format!("{name}: {offset} is behind {last_offset}"));
        }
        last_offset = offset;
        let (Some(value), Some(key)) = (record.value, record.key.as_deref()) else {
            verdict.corrupt += 1;
            verdict.example(|| format!("{name}: {offset} holds no value that was sent"));
            continue;
        };
        if key != value.key() {
            verdict.corrupt += 1;
            verdict.example(|| format!("{name}: {offset} holds {value} under another key"));
        }
        if !sent.contain(value) {
            verdict.unknown += 1;
            verdict
                .example(|| format!("{name}: {offset} holds {value}, which was never sent here"));
        }
        if answered_at
            .get(&value)
            .is_some_and(|answered| *answered != offset)
        {
            verdict.misplaced += 1;
            verdict.example(|| format!("{name}: {value} is at {offset}, not where was answered"));
        }
        latest.insert(key, offset);
        match of_producer.insert(value.producer(), value) {
            Some(before) if before == value => {
                verdict.duplicated += 1;
                verdict.example(|| format!("{name}: {value} is at {offset} and before"));
            }
            Some(before) if before > value => {
                verdict.reordered += 1;
                verdict.example(|| format!("{name}: {value} at {offset} is behind {before}"));
            }
            Some(_) | None => {}
        }
    }
    for (key, (offset, value)) in newest {
        if latest
            .get(key.as_slice())
            .is_none_or(|latest| *latest < offset)
        {
            verdict.lost += 1;
            verdict.example(|| {
                format!("{name}: nothing as new as {value}, acknowledged at {offset}, has its key")
            });
        }
    }
    verdict
}

/// Checks a log of which all has to stay.
fn check_all(name: &str, ledger: &PartitionLedger, reading: &Reading, from: i64) -> Verdict {
    let mut verdict = Verdict::default();
    verdict.take(name, ledger, reading);
    let sent = SentValues::new(ledger);
    let mut found: HashMap<Value, i64> = HashMap::with_capacity(reading.records.len());
    let mut newest: HashMap<u16, Value> = HashMap::new();
    let mut next_offset = None;
    for record in &reading.records {
        let offset = record.offset;
        let next_offset_found = next_offset.map(|next| reading.after_refused(next));
        if next_offset_found.is_some_and(|next| next != offset) {
            verdict.gaps += 1;
            verdict.example(|| format!("{name}: {offset} where {next_offset:?} comes next"));
        }
        next_offset = Some(offset + 1);
        if offset < ledger.deleted_to {
            verdict.returned += 1;
            verdict.example(|| {
                format!(
                    "{name}: {offset} is there, deleted to {}",
                    ledger.deleted_to
                )
            });
        }
        let Some(value) = record.value else {
            verdict.corrupt += 1;
            verdict.example(|| format!("{name}: {offset} holds no value that was sent"));
            continue;
        };
        if !sent.contain(value) {
            verdict.unknown += 1;
            verdict
                .example(|| format!("{name}: {offset} holds {value}, which was never sent here"));
        }
        let first_at = *found.entry(value).or_insert(offset);
        if first_at != offset {
            verdict.duplicated += 1;
            verdict.example(|| format!("{name}: {value} is at {first_at} and at {offset}"));
            continue;
        }
        let newest = newest.entry(value.producer()).or_insert(value);
        if value < *newest {
            verdict.reordered += 1;
            let newest = *newest;
            verdict.example(|| format!("{name}: {value} at {offset} is behind {newest}"));
        } else {
            *newest = value;
        }
    }
    next_offset = next_offset.map(|next| reading.after_refused(next));
    if next_offset.is_some_and(|next| next != reading.end) {
        verdict.gaps += 1;
        verdict.example(|| format!("{name}: ends at {next_offset:?}, not {}", reading.end));
    }
    if reading.log_start < ledger.deleted_to {
        verdict.returned += 1;
        verdict.example(|| {
            format!(
                "{name}: begins at {}, deleted to {}",
                reading.log_start, ledger.deleted_to
            )
        });
    }
    for (value, answered, promised) in answered(ledger, from) {
        // Somebody asked for it to go: it may be there or not.
        let may_be_gone = answered < ledger.delete_asked_to.max(from);
        verdict.acknowledged += u64::from(promised);
        match found.get(&value) {
            Some(&offset) if offset == answered => {}
            Some(&offset) => {
                verdict.misplaced += 1;
                verdict.example(|| {
                    format!("{name}: {value} was acknowledged at {answered} and is at {offset}")
                });
            }
            None if may_be_gone => {}
            None if promised => {
                verdict.lost += 1;
                verdict.example(|| {
                    format!("{name}: {value}, acknowledged at {answered}, is not there")
                });
            }
            None => verdict.lost_without_promise += 1,
        }
    }
    verdict
}

/// Every record that was answered, at `from` or later: value, offset, whether it was promised.
fn answered(ledger: &PartitionLedger, from: i64) -> impl Iterator<Item = (Value, i64, bool)> {
    ledger.sent.iter().flat_map(move |sent| {
        let base = sent.answered.filter(|base| *base >= from);
        base.into_iter().flat_map(move |base| {
            (0..sent.count).map(move |number| {
                let value = sent.first.plus(u64::from(number));
                (value, base + i64::from(number), sent.promised)
            })
        })
    })
}

/// The values that were sent to a partition.
struct SentValues {
    /// First value and count, sorted.
    runs: Vec<(Value, u32)>,
}

impl SentValues {
    fn new(ledger: &PartitionLedger) -> Self {
        let mut runs: Vec<_> = ledger
            .sent
            .iter()
            .map(|sent| (sent.first, sent.count))
            .collect();
        runs.sort_unstable();
        Self { runs }
    }

    fn contain(&self, value: Value) -> bool {
        let after = self.runs.partition_point(|(first, _)| *first <= value);
        let run = after.checked_sub(1).and_then(|at| self.runs.get(at));
        run.is_some_and(|&(first, count)| value < first.plus(u64::from(count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reliability::ledger::Sent;
    use crate::reliability::reading::ReadRecord;

    /// Two producers with two batches of two records each; the last is not answered.
    fn ledger() -> PartitionLedger {
        let sent = |producer, first, answered| Sent {
            first: Value::new(producer, first),
            count: 2,
            producer: (i64::from(producer), 0, first as i32),
            promised: true,
            answered,
        };
        PartitionLedger {
            sent: vec![
                sent(1, 0, Some(0)),
                sent(2, 0, Some(2)),
                sent(1, 2, Some(4)),
                sent(2, 2, None),
            ],
            ..PartitionLedger::default()
        }
    }

    const GOOD: [(u16, u64); 6] = [(1, 0), (1, 1), (2, 0), (2, 1), (1, 2), (1, 3)];

    fn reading(values: &[(u16, u64)]) -> Reading {
        let records = values
            .iter()
            .zip(0..)
            .map(|(&(producer, number), offset)| ReadRecord {
                offset,
                key: None,
                value: Some(Value::new(producer, number)),
                null: false,
            });
        Reading {
            log_start: 0,
            end: values.len() as i64,
            records: records.collect(),
            ..Reading::default()
        }
    }

    fn verdict(reading: &Reading) -> Verdict {
        check("t-0", &ledger(), reading)
    }

    /// The faults by name; the examples are for people.
    fn faults(verdict: &Verdict) -> Vec<(&'static str, u64)> {
        let mut faults = verdict.faults().to_vec();
        faults.retain(|(_, count)| *count > 0);
        faults
    }

    #[test]
    fn a_log_that_holds_everything_acknowledged_is_clean() {
        let verdict = verdict(&reading(&GOOD));
        assert!(verdict.is_clean(), "{verdict:?}");
        assert_eq!(verdict.acknowledged, 6);
    }

    #[test]
    fn what_was_not_answered_may_be_there() {
        let mut values = GOOD.to_vec();
        values.extend([(2, 2), (2, 3)]);
        assert!(verdict(&reading(&values)).is_clean());
    }

    #[test]
    fn a_missing_end_is_lost() {
        assert_eq!(faults(&verdict(&reading(&GOOD[..4]))), [("lost", 2)]);
    }

    #[test]
    fn a_missing_middle_is_lost_and_a_gap() {
        let mut reading = reading(&GOOD);
        reading.records.drain(2..4);
        assert_eq!(faults(&verdict(&reading)), [("lost", 2), ("gaps", 1)]);
    }

    #[test]
    fn a_stretch_that_is_refused_is_lost_where_it_was_acknowledged_and_only_counted_elsewhere() {
        let mut values = GOOD.to_vec();
        values.extend([(2, 2), (2, 3), (1, 4), (1, 5)]);
        let mut ledger = ledger();
        ledger.sent.push(Sent {
            first: Value::new(1, 4),
            answered: None,
            ..ledger.sent[0].clone()
        });
        let mut reading = reading(&values);
        reading.records.drain(6..8);
        reading.refused.push(6..8);
        let found = check("t-0", &ledger, &reading);
        assert!(found.is_clean(), "{found:?}");
        assert_eq!(found.refused, 2);
        ledger.sent[3].answered = Some(6);
        let found = check("t-0", &ledger, &reading);
        assert_eq!(faults(&found), [("lost", 2), ("refused_durable", 2)]);
    }

    #[test]
    fn a_stretch_that_is_refused_below_what_was_acknowledged_is_none_that_a_fault_left() {
        let mut values = GOOD.to_vec();
        values.extend([(2, 2), (2, 3), (1, 4), (1, 5)]);
        let mut ledger = ledger();
        ledger.sent.push(Sent {
            first: Value::new(1, 4),
            answered: Some(8),
            ..ledger.sent[0].clone()
        });
        let mut reading = reading(&values);
        reading.records.drain(6..8);
        reading.refused.push(6..8);
        let found = check("t-0", &ledger, &reading);
        assert_eq!(faults(&found), [("refused_durable", 2)]);
        // It was found before anything behind it was acknowledged: half of it, then all.
        ledger.excused.push(6..7);
        assert!(!check("t-0", &ledger, &reading).is_clean());
        ledger.excused.push(7..8);
        let found = check("t-0", &ledger, &reading);
        assert!(found.is_clean(), "{found:?}");
    }

    #[test]
    fn a_retry_that_was_appended_again_is_a_duplicate() {
        let mut values = GOOD.to_vec();
        values.extend([(1, 2), (1, 3)]);
        assert_eq!(faults(&verdict(&reading(&values))), [("duplicated", 2)]);
    }

    #[test]
    fn batches_of_a_producer_that_changed_places_are_reordered_and_misplaced() {
        let values = [(1, 2), (1, 3), (2, 0), (2, 1), (1, 0), (1, 1)];
        assert_eq!(
            faults(&verdict(&reading(&values))),
            [("reordered", 2), ("misplaced", 4)]
        );
    }

    #[test]
    fn another_offset_than_was_answered_is_misplaced() {
        let values = [(2, 0), (2, 1), (1, 0), (1, 1), (1, 2), (1, 3)];
        assert_eq!(faults(&verdict(&reading(&values))), [("misplaced", 4)]);
    }

    #[test]
    fn a_value_that_is_not_whole_is_corrupt_and_lost() {
        let mut reading = reading(&GOOD);
        reading.records[5].value = None;
        assert_eq!(faults(&verdict(&reading)), [("lost", 1), ("corrupt", 1)]);
    }

    #[test]
    fn a_batch_that_cannot_be_read_is_corrupt() {
        let mut reading = reading(&GOOD);
        reading.faults.push("a wrong checksum".to_owned());
        assert_eq!(faults(&verdict(&reading)), [("corrupt", 1)]);
    }

    #[test]
    fn a_value_of_another_partition_is_unknown() {
        let mut values = GOOD.to_vec();
        values.push((3, 0));
        assert_eq!(faults(&verdict(&reading(&values))), [("unknown", 1)]);
    }

    #[test]
    fn deleted_records_that_are_there_came_back() {
        let mut ledger = ledger();
        (ledger.deleted_to, ledger.delete_asked_to) = (2, 2);
        let found = check("t-0", &ledger, &reading(&GOOD));
        // Two records, and a log that begins too early.
        assert_eq!(faults(&found), [("returned", 3)]);
    }

    #[test]
    fn deleted_records_that_are_gone_are_not_lost_and_neither_are_those_that_were_asked_for() {
        let mut ledger = ledger();
        (ledger.deleted_to, ledger.delete_asked_to) = (2, 4);
        for gone in [2, 4] {
            let mut reading = reading(&GOOD);
            reading.log_start = gone;
            reading.records.drain(..gone as usize);
            let found = check("t-0", &ledger, &reading);
            assert!(found.is_clean(), "{found:?}");
        }
    }

    #[test]
    fn records_without_promise_are_counted_apart() {
        let mut ledger = ledger();
        ledger.sent[2].promised = false;
        let found = check("t-0", &ledger, &reading(&GOOD[..4]));
        assert!(found.is_clean());
        assert_eq!((found.acknowledged, found.lost_without_promise), (4, 2));
    }

    #[test]
    fn a_tail_is_checked_without_what_lies_below_it() {
        let mut reading = reading(&GOOD);
        reading.records.drain(..4);
        assert!(check_from("t-0", &ledger(), &reading, 4).is_clean());
        reading.records.drain(..1);
        let found = check_from("t-0", &ledger(), &reading, 4);
        assert_eq!(faults(&found), [("lost", 1)]);
    }

    /// What is left of [`GOOD`] when keys are compacted, one record for each.
    fn compacted() -> (PartitionLedger, Reading) {
        let ledger = PartitionLedger {
            kept: Kept::LatestByKey,
            ..ledger()
        };
        let mut reading = reading(&GOOD);
        for record in &mut reading.records {
            record.key = record.value.map(Value::key);
        }
        (ledger, reading)
    }

    #[test]
    fn a_compacted_log_has_to_keep_the_newest_of_every_key() {
        let (mut ledger, mut reading) = compacted();
        assert!(check("t-0", &ledger, &reading).is_clean());
        // One round of keys later the first two values of producer 1 may go.
        ledger.sent.push(Sent {
            first: Value::new(1, 97),
            answered: Some(6),
            ..ledger.sent[0].clone()
        });
        let newer: Vec<_> = (0..2)
            .map(|number| ReadRecord {
                offset: 6 + number,
                key: Some(Value::new(1, number as u64).key()),
                value: Some(Value::new(1, 97 + number as u64)),
                null: false,
            })
            .collect();
        reading.records.drain(..2);
        reading.records.extend(newer);
        let found = check("t-0", &ledger, &reading);
        assert!(found.is_clean(), "{found:?}");
        reading.records.pop();
        assert_eq!(faults(&check("t-0", &ledger, &reading)), [("lost", 1)]);
    }

    #[test]
    fn a_compacted_log_shows_what_is_old_moved_twice_there_or_under_another_key() {
        let (ledger, good) = compacted();
        let mut moved = good.clone();
        moved.records[5].offset = 9;
        assert_eq!(faults(&check("t-0", &ledger, &moved)), [("misplaced", 1)]);
        let mut swapped = good.clone();
        swapped.records[0].key = Some(Value::new(1, 5).key());
        let found = faults(&check("t-0", &ledger, &swapped));
        assert_eq!(found, [("lost", 1), ("corrupt", 1)]);
        let mut twice = good;
        let again = ReadRecord {
            offset: 6,
            ..twice.records[5].clone()
        };
        twice.records.push(again);
        let found = faults(&check("t-0", &ledger, &twice));
        assert_eq!(found, [("duplicated", 1), ("misplaced", 1)]);
    }

    #[test]
    fn what_retention_took_from_the_front_is_not_lost_and_a_hole_is() {
        let ledger = PartitionLedger {
            kept: Kept::Newest,
            ..ledger()
        };
        let mut reading = reading(&GOOD);
        reading.log_start = 2;
        reading.records.drain(..2);
        assert!(check("t-0", &ledger, &reading).is_clean());
        reading.records.pop();
        reading.end = 5;
        assert_eq!(faults(&check("t-0", &ledger, &reading)), [("lost", 1)]);
    }

    #[test]
    fn verdicts_add_up() {
        let mut sum = verdict(&reading(&GOOD[..4]));
        sum.add(verdict(&reading(&GOOD[..2])));
        assert_eq!((sum.lost, sum.acknowledged), (6, 12));
    }
}
