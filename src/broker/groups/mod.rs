//! Groups: their members, and the offsets that they commit.
//!
//! Each group lives in one shard, which is one partition of `__consumer_offsets`: that of the
//! hash of its name. What happens there is [`crate::coordinator`]'s; how it is driven, the
//! `shards`'.

mod admin;
mod consumers;
mod members;
mod offsets;
#[cfg(test)]
mod tests;
mod world;

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::Broker;
use super::shards::{Host, Shards};
use crate::batch::Codec;
use crate::catalog::Topic;
use crate::config::{Config, keys};
use crate::coordinator::{Shard, hash};

pub use super::shards::Unavailable;
pub use offsets::{FetchedOffset, OffsetFetch, OffsetsOfGroup};

/// The internal topic of groups.
const TOPIC: &str = "__consumer_offsets";

/// The groups of a broker.
#[derive(Debug)]
pub struct Groups {
    shards: Shards<Shard>,
    settings: ArcSwapOption<world::Cached>,
}

impl Groups {
    /// Nothing is loaded yet; `seed` is for member ids.
    pub(super) fn new(config: &Config, seed: u64) -> Self {
        let codec = i16::try_from(config.get(keys::OFFSETS_TOPIC_COMPRESSION_CODEC));
        let codec = codec.ok().and_then(|id| Codec::from_id(id).ok());
        let read_bytes = usize::try_from(config.get(keys::OFFSETS_LOAD_BUFFER_SIZE));
        let host = Host {
            topic: TOPIC,
            make: Shard::new,
            world: Broker::group_world,
            codec: codec.unwrap_or(Codec::None),
            read_bytes: read_bytes.unwrap_or(usize::MAX),
        };
        Self {
            shards: Shards::new(host, seed),
            settings: ArcSwapOption::empty(),
        }
    }
}

impl Broker {
    /// Makes sure that there is a coordinator for groups (FindCoordinator): this broker, with the
    /// topic that it needs.
    pub async fn find_group_coordinator(&self) -> Result<(), Unavailable> {
        let shards = &self.groups.shards;
        shards.make_topic(self)?;
        shards.topic_durable(self).await
    }

    /// Loads all groups, then has their deadlines pass when it is time. Never ends.
    pub async fn keep_groups(&self) {
        self.groups.shards.keep_time(self).await;
    }

    /// Lets every deadline of groups that has passed by now have its consequences.
    pub fn pass_time_of_groups(&self) {
        self.groups.shards.pass_time(self);
    }

    /// Where a group lives, if there is such a place yet.
    fn home(&self, group: &str) -> Result<(Arc<Topic>, i32), Unavailable> {
        let topic = self.groups.shards.topic(self);
        let topic = topic.ok_or(Unavailable::NotCoordinator)?;
        let partition = partition_of(group, &topic);
        Ok((topic, partition))
    }

    /// Where a group lives or will live.
    fn made_home(&self, group: &str) -> Result<(Arc<Topic>, i32), Unavailable> {
        let topic = self.groups.shards.make_topic(self)?;
        let partition = partition_of(group, &topic);
        Ok((topic, partition))
    }
}

fn partition_of(group: &str, topic: &Topic) -> i32 {
    let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
    hash::partition_for(group, partitions)
}

/// What stands where a machine gave an answer to another question.
fn another_answer() -> Unavailable {
    Unavailable::Unwritable("the coordinator answered another question".to_owned())
}
