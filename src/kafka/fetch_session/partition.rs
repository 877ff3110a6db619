//! One partition of a fetch: how it is named, what the client wants of it, what it was answered.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::limits::TOPIC_NAME_LENGTH_MAX;
use crate::model::{LeaderEpoch, Offset, PartitionId, TopicId};

/// A topic as the fetching client names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    /// Up to version 12. Copied, so that a session does not hold on to a request's buffer.
    Name(Arc<str>),
    /// From version 13.
    Id(TopicId),
}

/// One partition of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PartitionKey {
    /// Its topic.
    pub(crate) topic: TopicKey,
    /// Its number.
    pub(crate) partition: PartitionId,
}

impl PartitionKey {
    /// Whether a session may remember the partition: not if no topic can have its name.
    pub(super) fn is_memorable(&self) -> bool {
        match &self.topic {
            TopicKey::Name(name) => name.len() <= TOPIC_NAME_LENGTH_MAX,
            TopicKey::Id(_) => true,
        }
    }
}

/// What the client wants of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// First offset.
    pub(crate) offset: Offset,
    /// Most bytes of this partition.
    pub(crate) max_bytes: i32,
    /// Leader epoch that the client knows.
    pub(crate) current_leader_epoch: Option<LeaderEpoch>,
    /// Epoch of the last record that the client has.
    pub(crate) last_fetched_epoch: Option<LeaderEpoch>,
}

/// What a session has to know of an answer to decide whether it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Whether there are records.
    pub(crate) has_records: bool,
    /// High watermark as it is sent; -1 with an error.
    pub(crate) high_watermark: i64,
    /// Log start offset as it is sent.
    pub(crate) log_start: i64,
    /// Whether it is an error.
    pub(crate) failed: bool,
    /// Whether it tells the client to truncate.
    pub(crate) diverging: bool,
}

/// Each partition once, at its first place and as it was wanted last.
pub(super) fn without_duplicates(
    wanted: Vec<(PartitionKey, Wanted)>,
) -> Vec<(PartitionKey, Wanted)> {
    if wanted.len() < 2 {
        return wanted;
    }
    let mut places = HashMap::with_capacity(wanted.len());
    let mut once: Vec<(PartitionKey, Wanted)> = Vec::with_capacity(wanted.len());
    for (key, wanted) in wanted {
        match places
            .get(&key)
            .and_then(|&place: &usize| once.get_mut(place))
        {
            Some((_, earlier)) => *earlier = wanted,
            None => {
                places.insert(key.clone(), once.len());
                once.push((key, wanted));
            }
        }
    }
    once
}
