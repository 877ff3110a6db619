//! Looking at groups, and deleting them.

use std::sync::Arc;

use super::{Unavailable, another_answer};
use crate::broker::Broker;
use crate::catalog::Topic;
use crate::coordinator::{
    Failure, GroupDescription, GroupListing, GroupWorld, Moment, NotClassic, Reply, Shard,
};

impl Broker {
    /// All groups, in order of name.
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, Unavailable> {
        let shards = &self.groups.shards;
        let Some(topic) = shards.topic(self) else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for (partition, _) in (0..).zip(&topic.partitions) {
            let look = |shard: &Shard| shard.list().collect::<Vec<_>>();
            all.extend(shards.look(self, &topic, partition, look).await?);
        }
        all.sort_by(|a, b| a.group.cmp(&b.group));
        Ok(all)
    }

    /// A classic group.
    pub async fn describe_group(
        &self,
        group: &str,
    ) -> Result<Result<GroupDescription, NotClassic>, Unavailable> {
        let (topic, partition) = self.home(group)?;
        let look = |shard: &Shard| shard.describe(group);
        let shards = &self.groups.shards;
        shards.look(self, &topic, partition, look).await
    }

    /// Deletes a group that nobody is in, with its offsets.
    pub async fn delete_group(&self, group: &str) -> Result<Result<(), Failure>, Unavailable> {
        let (topic, partition) = self.home(group)?;
        let shards = &self.groups.shards;
        let reply = shards
            .ask(self, &topic, partition, |shard, waiter, _moment| {
                shard.delete(group, waiter)
            })
            .await?;
        match reply {
            Reply::Deleted(deleted) => Ok(deleted),
            _ => Err(another_answer()),
        }
    }

    /// Topics were deleted: offsets that groups committed for them go along. What cannot be
    /// written now is deleted when it is loaded again, since the ids of the topics are kept with
    /// it.
    pub(in crate::broker) async fn delete_offsets_of(&self, gone: &[Arc<Topic>]) {
        let shards = &self.groups.shards;
        for topic in gone {
            // A topic of groups may be among them, with all the groups.
            shards.forget_topic(topic.id);
        }
        let Some(offsets) = shards.topic(self).filter(|_| !gone.is_empty()) else {
            return;
        };
        let ids = gone
            .iter()
            .map(|topic| (topic.name.as_str().to_owned(), topic.id.0))
            .collect();
        for (partition, _) in (0..).zip(&offsets.partitions) {
            let forget = |shard: &mut Shard, _: Moment<'_, GroupWorld>| shard.topics_deleted(&ids);
            if let Err(error) = shards.tell(self, &offsets, partition, forget).await {
                tracing::warn!(partition, %error, "offsets of deleted topics stay for now");
            }
        }
    }
}
