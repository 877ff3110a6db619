//! Offsets that groups commit.

use super::{Unavailable, another_answer};
use crate::broker::Broker;
use crate::coordinator::{Committed, Failure, Identity, OffsetCommit, Reply, Shard, Topics};

/// Whose offsets are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetFetch {
    /// Group.
    pub group: String,
    /// The member that asks, if one does.
    pub who: Option<Identity>,
    /// Partitions, topic by topic; `None` for all that there are offsets for.
    pub partitions: Option<Vec<(String, Vec<i32>)>>,
}

/// What a group has committed for a partition; `None` for nothing.
pub type FetchedOffset = (i32, Option<Committed>);

/// Committed offsets, topic by topic, in the order of the question.
pub type OffsetsOfGroup = Vec<(String, Vec<FetchedOffset>)>;

impl Broker {
    /// OffsetCommit: partition by partition, as asked.
    pub async fn commit_offsets(
        &self,
        group: &str,
        request: &OffsetCommit,
    ) -> Result<Vec<Result<(), Failure>>, Unavailable> {
        let (topic, partition) = self.made_home(group)?;
        let shards = &self.groups.shards;
        let reply = shards
            .ask(self, &topic, partition, |shard, waiter, moment| {
                shard.commit(group, request, waiter, moment)
            })
            .await?;
        match reply {
            Reply::Committed(results) => Ok(results),
            _ => Err(another_answer()),
        }
    }

    /// OffsetFetch of one group. Waits until what it tells is durable, so that no offset that was
    /// told goes back.
    pub async fn committed_offsets(
        &self,
        request: &OffsetFetch,
    ) -> Result<Result<OffsetsOfGroup, Failure>, Unavailable> {
        let (topic, partition) = self.home(&request.group)?;
        let image = self.catalog.image();
        let shards = &self.groups.shards;
        let look = |shard: &Shard| {
            if let Some(member) = &request.who {
                shard.may_fetch(&request.group, member)?;
            }
            Ok(look_up(shard, request, &*image))
        };
        shards.look(self, &topic, partition, look).await
    }

    /// OffsetDelete: partition by partition, as asked.
    pub async fn delete_offsets(
        &self,
        group: &str,
        partitions: &[(String, i32)],
    ) -> Result<Result<Vec<Result<(), Failure>>, Failure>, Unavailable> {
        let (topic, partition) = self.home(group)?;
        let shards = &self.groups.shards;
        let reply = shards
            .ask(self, &topic, partition, |shard, waiter, moment| {
                shard.delete_offsets(group, partitions, waiter, moment)
            })
            .await?;
        match reply {
            Reply::OffsetsDeleted(results) => Ok(results),
            _ => Err(another_answer()),
        }
    }
}

fn look_up(shard: &Shard, request: &OffsetFetch, topics: &dyn Topics) -> OffsetsOfGroup {
    let of_topic_now = |topic: &str, committed: &Committed| {
        let there = topics.topic(topic);
        there.is_some_and(|there| committed.is_of(there.id))
    };
    if let Some(asked) = &request.partitions {
        let topic = |(topic, partitions): &(String, Vec<i32>)| {
            let partition = |partition: &i32| {
                let committed = shard.committed(&request.group, topic, *partition);
                let committed = committed.filter(|committed| of_topic_now(topic, committed));
                (*partition, committed.cloned())
            };
            (topic.clone(), partitions.iter().map(partition).collect())
        };
        return asked.iter().map(topic).collect();
    }
    let mut all = OffsetsOfGroup::new();
    for (topic, partition, committed) in shard.all_committed(&request.group) {
        if !of_topic_now(topic, committed) {
            continue;
        }
        let found = (partition, Some(committed.clone()));
        match all.last_mut() {
            Some((last, partitions)) if last == topic => partitions.push(found),
            _ => all.push((topic.to_owned(), vec![found])),
        }
    }
    all
}
