//! What records tell, as they are written and as a broker that starts finds them.

use std::collections::BTreeMap;

use klamm::wire::groups::GroupRecord;

use super::super::bed::Happened;
use super::super::classic::ClassicFacts;
use super::super::clients::{Classic, Consumer};
use super::super::consumer::{ConsumerFacts, Goes};
use super::super::offsets::Cause;
use super::{Asked, Run};

impl Run {
    pub(super) fn group_records(
        &mut self,
        asked: &Option<(String, Asked)>,
        what: &Happened,
    ) -> Result<(), String> {
        let now_ms = self.bed.now_ms;
        let mut of_consumers: BTreeMap<&str, Vec<&GroupRecord>> = BTreeMap::new();
        if let Some(group) = migrating(&what.records) {
            return self.migrate(group, asked, what);
        }
        for record in &what.records {
            if let GroupRecord::ClassicGroup(key, value) = record {
                let brought = match asked {
                    Some((group, Asked::Sync { plan, .. })) if *group == key.group => Some(plan),
                    _ => None,
                };
                if value.is_none() {
                    self.acknowledged.remove(&key.group);
                }
                self.of_classic(&key.group)
                    .record(value.as_ref(), brought, now_ms)?;
            } else if let Some(group) = group_of(record) {
                of_consumers.entry(group).or_default().push(record);
            }
        }
        for (group, records) in of_consumers {
            let goes = lets_go(asked, group);
            let facts = self.consumer_facts.entry(group.to_owned()).or_default();
            facts.records(&records, goes, now_ms)?;
        }
        Ok(())
    }

    pub(super) fn offset_records(
        &mut self,
        asked: &Option<(String, Asked)>,
        what: &Happened,
    ) -> Result<(), String> {
        for record in &what.records {
            let GroupRecord::OffsetCommit(key, value) = record else {
                continue;
            };
            if let Some(value) = value {
                self.offsets.check_commit(key, value)?;
                continue;
            }
            let cause = match asked {
                None => Cause::Time {
                    topics: &self.bed.known.topics,
                    busy_ms: self.busy_ms.get(&key.group).copied(),
                    wall_ms: self.bed.wall_ms(),
                },
                Some((group, Asked::DeleteOffsets { asked })) if *group == key.group => {
                    Cause::Asked(asked)
                }
                Some((group, Asked::DeleteGroup)) if *group == key.group => Cause::GroupDeleted,
                Some(_) => Cause::None,
            };
            self.offsets.delete(key, what.batch, &cause)?;
        }
        Ok(())
    }

    /// What the log still tells is what there is.
    pub(super) fn remember(&mut self, kept: usize) {
        self.classic_facts.clear();
        self.consumer_facts.clear();
        let now_ms = self.bed.now_ms;
        let batches = self.bed.records();
        let batches = batches.iter().take(kept);
        let records =
            batches.flat_map(|batch| batch.iter().map(|record| (migrating(batch), record)));
        let mut of_consumers: BTreeMap<&str, Vec<&GroupRecord>> = BTreeMap::new();
        for (migrating, record) in records {
            match record {
                GroupRecord::ClassicGroup(key, Some(value)) => {
                    if value.members.is_empty() {
                        // Whoever joined since then and did not sync has left no trace.
                        let since = value.current_state_timestamp;
                        let busy = self.busy_ms.entry(key.group.clone()).or_insert(since);
                        *busy = since.min(*busy);
                    }
                    let mut facts = ClassicFacts::load(value, now_ms);
                    let before = self.classic_facts.get(&key.group);
                    if migrating == Some(&key.group)
                        || before.is_some_and(|before| before.owes_still(value))
                    {
                        facts.owes_rebalance(now_ms);
                    }
                    self.classic_facts.insert(key.group.clone(), facts);
                }
                GroupRecord::ClassicGroup(key, None) => {
                    self.classic_facts.remove(&key.group);
                }
                record => {
                    if let Some(group) = group_of(record) {
                        of_consumers.entry(group).or_default().push(record);
                    }
                }
            }
        }
        for (group, records) in of_consumers {
            let facts = ConsumerFacts::load(&records, now_ms);
            self.consumer_facts.insert(group.to_owned(), facts);
        }
    }

    /// The broker stops, and another one finds so many batches.
    pub(crate) fn restart(&mut self, kept: usize, compacted: bool) -> Result<(), String> {
        self.counts.restarts += 1;
        self.tell(|| format!("restart with {kept} batches, compacted: {compacted}"));
        if kept < self.promised {
            return Err(format!(
                "{kept} batches are left, and answers told of {}",
                self.promised
            ));
        }
        self.needs.clear();
        self.asked.clear();
        self.classics.iter_mut().for_each(Classic::disconnect);
        self.consumers.iter_mut().for_each(Consumer::disconnect);
        self.offsets.cut(kept);
        let what = self.bed.restart(kept, compacted);
        self.remember(kept);
        for (group, generation) in &self.acknowledged {
            let known = self
                .classic_facts
                .get(group)
                .map_or(0, |facts| facts.generation);
            if known < *generation {
                return Err(format!(
                    "{group} goes back from generation {generation} to {known}"
                ));
            }
        }
        self.happened(None, what)?;
        self.offsets.check(&self.bed.shard)
    }

    /// A broker that would start now would know all that this one does.
    pub(crate) fn check_replay(&mut self) -> Result<(), String> {
        self.offsets.check(&self.bed.shard)?;
        for compacted in [false, true] {
            self.offsets.check(&self.bed.load(compacted))?;
        }
        self.bed.compare_consumers()
    }
}

/// The group that becomes one of the other kind by these records of one event, if one does.
fn migrating(records: &[GroupRecord]) -> Option<&str> {
    let classic = records.iter().find_map(|record| match record {
        GroupRecord::ClassicGroup(key, value) => Some((&key.group, value.is_some())),
        _ => None,
    });
    let (group, is_classic) = classic?;
    let is_other = |record: &GroupRecord| match record {
        GroupRecord::ConsumerGroup(key, value) => {
            key.group == *group && value.is_some() != is_classic
        }
        _ => false,
    };
    records.iter().any(is_other).then_some(group)
}

/// Whom a request lets go, if it is one to that group.
pub(super) fn lets_go<'a>(asked: &'a Option<(String, Asked)>, group: &str) -> Option<Goes<'a>> {
    let (of, asked) = asked.as_ref()?;
    if of != group {
        return None;
    }
    match asked {
        Asked::Consumer { beat, .. } => match beat.epoch {
            0 => Some(Goes {
                id: "",
                instance: beat.instance.as_deref(),
            }),
            epoch => (epoch < 0).then_some(Goes {
                id: &beat.id,
                instance: None,
            }),
        },
        Asked::Join { join, .. } => join.id.is_empty().then_some(Goes {
            id: "",
            instance: join.instance.as_deref(),
        }),
        Asked::Leave { id, instance, .. } => Some(Goes {
            id,
            instance: instance.as_deref().filter(|_| id.is_empty()),
        }),
        _ => None,
    }
}

/// The consumer group that a record is about.
pub(super) fn group_of(record: &GroupRecord) -> Option<&str> {
    match record {
        GroupRecord::ConsumerGroup(key, _) => Some(&key.group),
        GroupRecord::TargetAssignment(key, _) => Some(&key.group),
        GroupRecord::ConsumerGroupTopics(key, _) => Some(&key.group),
        GroupRecord::Member(key, _) => Some(&key.group),
        GroupRecord::TargetAssignmentMember(key, _) => Some(&key.group),
        GroupRecord::CurrentAssignment(key, _) => Some(&key.group),
        GroupRecord::RegularExpression(key, _) => Some(&key.group),
        GroupRecord::LegacyOffsetCommit(..)
        | GroupRecord::OffsetCommit(..)
        | GroupRecord::ClassicGroup(..) => None,
    }
}
