//! Looking through a broker that came back: the tail of every log each time, everything at the end.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::time::Duration;

use serde_json::json;

use super::check::{self, Verdict};
use super::client::Client;
use super::figure::Figure;
use super::groups::Found;
use super::ledger::{Kept, Ledger, Partition, Value};
use super::load::{Existence, Load};
use super::node::Launch;
use super::reading::{self, Reading};

/// What was read so far. What a consumer saw has to stay what it was.
#[derive(Debug, Default)]
pub struct Auditor {
    seen: BTreeMap<Partition, Seen>,
    /// All faults found so far, and records that are not what they were.
    pub verdict: Verdict,
    /// Records that were read, and later were not there or something else.
    pub changed: u64,
    /// Records that retention took, as the last look found it.
    retained_away: u64,
    /// Records that compaction took.
    compacted_away: u64,
    /// Topics whose existence is not what was answered.
    pub topics: Vec<String>,
    /// Committed offsets that are not what was acknowledged.
    commits: Found,
}

#[derive(Debug, Default)]
struct Seen {
    values: BTreeMap<i64, Value>,
    log_start: i64,
    end: i64,
}

impl Auditor {
    /// A look at a broker that came back, while the load waits for it: committed offsets, topics,
    /// and the new ends of the logs of those that stay.
    ///
    /// # Errors
    /// If the broker cannot be asked.
    pub fn look(&mut self, client: &mut Client, load: &Load) -> Result<(), String> {
        self.look_at_commits(client, load)?;
        let side_topics = load.side_topics();
        self.look_for_topics(client, &side_topics)
            .and_then(|()| {
                let mut ledger = load.ledger();
                ledger.retain(|(topic, _)| !side_topics.contains_key(topic));
                self.look_at_tails(client, &ledger, load)
            })
            .map_err(|error| format!("looking through the logs: {error}"))
    }

    /// Reads everything after the load has stopped: from a broker that was not stopped cleanly,
    /// then from one that was.
    ///
    /// # Errors
    /// If the broker does not start, or stop, or cannot be asked.
    pub fn finish(&mut self, launch: &Launch, load: &Load) -> Result<(), String> {
        let side_topics = load.side_topics();
        let mut ledger = load.ledger();
        ledger.retain(|(topic, _)| {
            side_topics
                .get(topic)
                .is_none_or(|one| *one == Existence::There)
        });
        for clean in [false, true] {
            let node = launch.start()?;
            let failed = |error: io::Error| format!("reading everything: {error}");
            let mut client = node.client().map_err(failed)?;
            self.look_at_commits(&mut client, load)?;
            self.look_for_topics(&mut client, &side_topics)
                .map_err(failed)?;
            // The second time counts faults alone.
            let counted = (
                self.verdict.acknowledged,
                self.verdict.refused,
                self.verdict.lost_without_promise,
            );
            (self.retained_away, self.compacted_away) = (0, 0);
            let refused = self
                .look_at_everything(&mut client, &ledger)
                .map_err(failed)?;
            for (partition, stretches) in refused {
                ledger.excuse(&partition, &stretches);
            }
            if clean {
                (
                    self.verdict.acknowledged,
                    self.verdict.refused,
                    self.verdict.lost_without_promise,
                ) = counted;
            }
            let ended = node.terminate(Duration::from_secs(30));
            if !ended.is_some_and(|status| status.success()) {
                return Err(format!("a clean stop ended as {ended:?}"));
            }
        }
        Ok(())
    }

    /// Tells everything, and fails the figure on any fault.
    pub fn tell(&self, figure: &mut Figure, load: &Load) {
        self.verdict.tell(figure);
        if !load.groups().is_empty() {
            load.groups().tell(figure, self.commits);
        }
        figure.none("changed", self.changed);
        figure.none("topics_wrong", self.topics.len() as u64);
        let complaints = load.complaints();
        figure.none("complaints", complaints.len() as u64);
        figure.set("retained_away", self.retained_away);
        figure.set("compacted_away", self.compacted_away);
        figure.set("lost_with_acks_1", self.verdict.lost_without_promise);
    }

    /// Reads what is new in the logs since the last look and checks it.
    fn look_at_tails(
        &mut self,
        client: &mut Client,
        ledger: &Ledger,
        load: &Load,
    ) -> io::Result<()> {
        for (partition, account) in ledger.partitions() {
            let name = name(partition);
            let seen = self.seen.entry(partition.clone()).or_default();
            // In a compacted log it is not only the end that changes.
            let from = match account.kept {
                Kept::All | Kept::Newest => seen.end,
                Kept::LatestByKey => 0,
            };
            let reading = reading::read(client, &partition.0, partition.1, from)?;
            let mut found = check::check_from(&name, account, &reading, from);
            // Nothing was acknowledged since the fault. What comes is no reason to expect them.
            load.excuse(partition, &reading.refused);
            if reading.log_start < seen.log_start {
                found.returned += 1;
                eprintln!(
                    "  {name}: began at {}, now {}",
                    seen.log_start, reading.log_start
                );
            }
            // All of it is counted when everything is read.
            found.acknowledged = 0;
            found.refused = 0;
            found.lost_without_promise = 0;
            self.verdict.add(found);
            if reading.end < seen.end {
                self.changed += 1;
                eprintln!("  {name}: ends at {}, {} was read", reading.end, seen.end);
            }
            seen.take(&reading, account.kept);
        }
        Ok(())
    }

    /// Reads everything and checks it, against what was read before, too. What is refused as
    /// damaged.
    ///
    /// # Errors
    /// If the broker cannot be asked.
    pub fn look_at_everything(
        &mut self,
        client: &mut Client,
        ledger: &Ledger,
    ) -> io::Result<Vec<(Partition, Vec<Range<i64>>)>> {
        let mut refused = Vec::new();
        for (partition, account) in ledger.partitions() {
            let name = name(partition);
            let reading = reading::read(client, &partition.0, partition.1, 0)?;
            let found = check::check(&name, account, &reading);
            let there = reading.records.len() as u64;
            match account.kept {
                Kept::All => {}
                Kept::Newest => self.retained_away += reading.log_start.unsigned_abs(),
                Kept::LatestByKey => {
                    self.compacted_away += found.acknowledged.saturating_sub(there);
                }
            }
            self.verdict.add(found);
            refused.push((partition.clone(), reading.refused.clone()));
            let Some(seen) = self.seen.get(partition) else {
                continue;
            };
            let now: BTreeMap<i64, Value> = values(&reading).collect();
            for (offset, value) in seen.values.range(reading.log_start..) {
                if now.get(offset) != Some(value) {
                    self.changed += 1;
                    if self.changed < 20 {
                        let holds = now.get(offset);
                        eprintln!("  {name}: {offset} held {value}, and now {holds:?}");
                    }
                }
            }
        }
        Ok(refused)
    }

    /// Holds the committed offsets against what was acknowledged: how many are lost.
    ///
    /// # Errors
    /// If the broker cannot be asked.
    pub fn look_at_commits(&mut self, client: &mut Client, load: &Load) -> Result<u64, String> {
        let found = load.groups().look(client)?;
        self.commits.add(found);
        Ok(found.lost)
    }

    /// Checks that topics are there or not, as was answered.
    fn look_for_topics(
        &mut self,
        client: &mut Client,
        expected: &BTreeMap<String, Existence>,
    ) -> io::Result<()> {
        let answer = client.ask("Metadata", 12, &json!({"topics": null}))?;
        let there: Vec<&str> = answer["topics"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .filter_map(|topic| topic["name"].as_str())
            .collect();
        for (name, existence) in expected {
            let is_there = there.contains(&name.as_str());
            if (*existence == Existence::There && !is_there)
                || (*existence == Existence::Gone && is_there)
            {
                let what = format!("{name} was answered to be {existence:?}: {is_there}");
                eprintln!("  {what}");
                self.topics.push(what);
            }
        }
        Ok(())
    }

    /// Whether nothing is wrong so far.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.verdict.is_clean()
            && self.changed == 0
            && self.topics.is_empty()
            && self.commits == Found::default()
    }
}

impl Seen {
    fn take(&mut self, reading: &Reading, kept: Kept) {
        if kept != Kept::LatestByKey {
            self.values.extend(values(reading));
        }
        self.log_start = self.log_start.max(reading.log_start);
        self.end = self.end.max(reading.end);
    }
}

fn values(reading: &Reading) -> impl Iterator<Item = (i64, Value)> + '_ {
    reading
        .records
        .iter()
        .filter_map(|record| Some((record.offset, record.value?)))
}

fn name((topic, partition): &Partition) -> String {
    format!("{topic}-{partition}")
}
