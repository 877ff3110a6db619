//! Members of consumer groups.

use super::{Unavailable, another_answer};
use crate::broker::Broker;
use crate::config::keys;
use crate::coordinator::consumer::{
    ConsumerBeat, ConsumerDescription, ConsumerHeartbeat, JOINING, Refusal,
};
use crate::coordinator::{Reply, Shard};

impl Broker {
    /// Whether there are consumer groups (`group.coordinator.rebalance.protocols`).
    pub fn has_consumer_groups(&self) -> bool {
        let config = self.effective_config();
        let protocols = config.get(keys::GROUP_COORDINATOR_REBALANCE_PROTOCOLS);
        protocols.iter().any(|protocol| protocol == "consumer")
    }

    /// ConsumerGroupHeartbeat, in the version that the client speaks.
    pub async fn consumer_heartbeat(
        &self,
        group: &str,
        version: i16,
        request: &ConsumerHeartbeat,
    ) -> Result<Result<ConsumerBeat, Refusal>, Unavailable> {
        let settings = self.group_world().settings;
        let checked = request.check(version, group, &settings.consumer.assignors);
        if let Err(refusal) = checked {
            return Ok(Err(refusal));
        }
        let (topic, partition) = match request.epoch {
            JOINING => self.made_home(group)?,
            _ => self.home(group)?,
        };
        let shards = &self.groups.shards;
        let reply = shards
            .ask(self, &topic, partition, |shard, waiter, moment| {
                shard.consumer_heartbeat(group, request, waiter, moment)
            })
            .await?;
        match reply {
            Reply::ConsumerBeat(beat) => Ok(beat.map(|beat| *beat)),
            _ => Err(another_answer()),
        }
    }

    /// A consumer group.
    pub async fn describe_consumer_group(
        &self,
        group: &str,
    ) -> Result<Result<ConsumerDescription, Refusal>, Unavailable> {
        let (topic, partition) = self.home(group)?;
        let world = self.group_world();
        let look = |shard: &Shard| shard.describe_consumers(group, &world);
        let shards = &self.groups.shards;
        shards.look(self, &topic, partition, look).await
    }
}
