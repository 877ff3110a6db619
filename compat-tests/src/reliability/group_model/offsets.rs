//! What was committed, exactly: every commit that was accepted, and why it went.

use std::collections::BTreeMap;

use klamm::coordinator::Shard;
use klamm::wire::groups::{OffsetCommitKey, OffsetCommitValue};

use super::bed::{RETENTION_MS, Topic};

/// Group, topic, partition.
type Key = (String, String, i32);

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) offset: i64,
    pub(super) metadata: String,
    pub(super) topic_id: u128,
    pub(super) at_ms: i64,
}

/// One commit of a request.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) metadata: String,
}

/// Why offsets may be deleted by what just happened.
#[derive(Debug)]
pub(super) enum Cause<'a> {
    /// An administrator asked for these.
    Asked(&'a [(String, i32)]),
    /// The group was deleted.
    GroupDeleted,
    /// Time went by, or the log was loaded.
    Time {
        topics: &'a BTreeMap<String, Topic>,
        busy_ms: Option<i64>,
        wall_ms: i64,
    },
    /// Nothing is a reason.
    None,
}

/// Every commit and deletion, with the batch that holds it.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    writes: BTreeMap<Key, Vec<(usize, Option<Value>)>>,
}

impl Offsets {
    fn last(&self, key: &Key) -> Option<&Value> {
        self.writes.get(key)?.last()?.1.as_ref()
    }

    fn write(&mut self, key: Key, batch: usize, value: Option<Value>) {
        self.writes.entry(key).or_default().push((batch, value));
    }

    /// A commit was accepted.
    pub(super) fn committed(
        &mut self,
        group: &str,
        wanted: &Wanted,
        topic: Topic,
        at_ms: i64,
        batch: usize,
    ) {
        let value = Value {
            offset: wanted.offset,
            metadata: wanted.metadata.clone(),
            topic_id: topic.id,
            at_ms,
        };
        let key = (group.to_owned(), wanted.topic.clone(), wanted.partition);
        self.write(key, batch, Some(value));
    }

    /// A record of a commit must be one that was accepted.
    pub(super) fn check_commit(
        &self,
        key: &OffsetCommitKey,
        value: &OffsetCommitValue,
    ) -> Result<(), String> {
        let place = (key.group.clone(), key.topic.clone(), key.partition);
        let said = Value {
            offset: value.offset,
            metadata: value.metadata.clone(),
            topic_id: value.topic_id.as_u128(),
            at_ms: value.commit_timestamp,
        };
        match self.last(&place) == Some(&said) {
            true => Ok(()),
            false => Err(format!(
                "a record says {said:?} of {place:?}; accepted was {:?}",
                self.last(&place)
            )),
        }
    }

    /// A record deletes an offset, for which there must be a reason.
    pub(super) fn delete(
        &mut self,
        key: &OffsetCommitKey,
        batch: usize,
        cause: &Cause<'_>,
    ) -> Result<(), String> {
        let place = (key.group.clone(), key.topic.clone(), key.partition);
        let before = self.last(&place).cloned();
        self.write(place.clone(), batch, None);
        let Some(before) = before else {
            return Ok(());
        };
        let is_right = match cause {
            Cause::Asked(asked) => asked.contains(&(key.topic.clone(), key.partition)),
            Cause::GroupDeleted => true,
            Cause::Time {
                topics,
                busy_ms,
                wall_ms,
            } => {
                let is_lost = topics
                    .get(&key.topic)
                    .is_none_or(|topic| topic.id != before.topic_id);
                let since = busy_ms.map_or(before.at_ms, |busy| busy.min(before.at_ms));
                is_lost || wall_ms - since >= RETENTION_MS
            }
            Cause::None => false,
        };
        match is_right {
            true => Ok(()),
            false => Err(format!(
                "{before:?} of {place:?} is deleted: {cause:?} is no reason"
            )),
        }
    }

    /// Nothing may be left of a group that was deleted.
    pub(super) fn check_gone(&self, group: &str) -> Result<(), String> {
        self.check_all_gone(|(of, _, _), _| of == group)
    }

    /// Nothing may be left of a topic that was deleted.
    pub(super) fn check_topic_gone(&self, topic: Topic) -> Result<(), String> {
        self.check_all_gone(|_, value| value.topic_id == topic.id)
    }

    /// Nothing may be left that is older than this in groups that were left by then.
    pub(super) fn check_expired(
        &self,
        at_ms: i64,
        is_left: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        self.check_all_gone(|(group, _, _), value| value.at_ms <= at_ms && is_left(group))
    }

    fn check_all_gone(&self, gone: impl Fn(&Key, &Value) -> bool) -> Result<(), String> {
        for key in self.writes.keys() {
            if let Some(value) = self.last(key).filter(|value| gone(key, value)) {
                return Err(format!("{value:?} of {key:?} is still there"));
            }
        }
        Ok(())
    }

    /// Whether an offset is there that a deletion would have to delete.
    pub(super) fn has(&self, group: &str, topic: &str, partition: i32) -> bool {
        let key = (group.to_owned(), topic.to_owned(), partition);
        self.last(&key).is_some()
    }

    /// Whether any offset of a group is there.
    pub(super) fn has_any(&self, group: &str) -> bool {
        self.of_group(group).next().is_some()
    }

    /// What a group has committed, topic by topic, partition by partition.
    fn of_group(&self, group: &str) -> impl Iterator<Item = (&str, i32, &Value)> {
        let keys = self.writes.keys().filter(move |(of, ..)| of == group);
        keys.filter_map(|key| Some((key.1.as_str(), key.2, self.last(key)?)))
    }

    /// Who asks for all that a group has committed is told just that, in order.
    pub(super) fn check_all(&self, shard: &Shard, group: &str) -> Result<(), String> {
        let told = shard.all_committed(group);
        let told: Vec<_> = told
            .map(|(topic, partition, told)| (topic, partition, told.offset))
            .collect();
        let due = self.of_group(group);
        let due: Vec<_> = due
            .map(|(topic, partition, value)| (topic, partition, value.offset))
            .collect();
        match told == due {
            true => Ok(()),
            false => Err(format!("{group} has {due:?}, and is told {told:?}")),
        }
    }

    /// The log has been cut.
    pub(super) fn cut(&mut self, batches: usize) {
        for writes in self.writes.values_mut() {
            writes.retain(|(batch, _)| *batch < batches);
        }
    }

    /// What a shard tells must be what was accepted last.
    pub(super) fn check(&self, shard: &Shard) -> Result<(), String> {
        for key @ (group, topic, partition) in self.writes.keys() {
            let told = shard.committed(group, topic, *partition).map(|told| Value {
                offset: told.offset,
                metadata: told.metadata.clone(),
                topic_id: told.topic_id.as_u128(),
                at_ms: told.at.0,
            });
            if told.as_ref() != self.last(key) {
                return Err(format!(
                    "{key:?} was committed as {:?}, and is told as {told:?}",
                    self.last(key)
                ));
            }
        }
        Ok(())
    }
}
