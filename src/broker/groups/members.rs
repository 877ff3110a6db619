//! Members of classic groups.

use super::{Unavailable, another_answer};
use crate::broker::Broker;
use crate::coordinator::classic::{Join, Joined, Leave, LeftMember, Sync, Synced};
use crate::coordinator::{Failure, Identity, Reply};

impl Broker {
    /// JoinGroup: waits until the group has a new generation.
    pub async fn join_group(&self, group: &str, join: Join) -> Result<Joined, Unavailable> {
        let (topic, partition) = self.made_home(group)?;
        let shards = &self.groups.shards;
        let reply = shards
            .ask(self, &topic, partition, |shard, waiter, moment| {
                shard.join(group, join, waiter, moment)
            })
            .await?;
        match reply {
            Reply::Joined(joined) => Ok(*joined),
            _ => Err(another_answer()),
        }
    }

    /// SyncGroup: waits until the leader has assigned.
    pub async fn sync_group(&self, group: &str, sync: Sync) -> Result<Synced, Unavailable> {
        let (topic, partition) = self.home(group)?;
        let shards = &self.groups.shards;
        let reply = shards
            .ask(self, &topic, partition, |shard, waiter, moment| {
                shard.sync(group, sync, waiter, moment)
            })
            .await?;
        match reply {
            Reply::Synced(synced) => Ok(synced),
            _ => Err(another_answer()),
        }
    }

    /// Heartbeat.
    pub async fn heartbeat(
        &self,
        group: &str,
        who: &Identity,
    ) -> Result<Result<(), Failure>, Unavailable> {
        let (topic, partition) = self.home(group)?;
        let shards = &self.groups.shards;
        let reply = shards
            .ask(self, &topic, partition, |shard, waiter, moment| {
                shard.heartbeat(group, who, waiter, moment)
            })
            .await?;
        match reply {
            Reply::Alive(alive) => Ok(alive),
            _ => Err(another_answer()),
        }
    }

    /// LeaveGroup: what became of each.
    pub async fn leave_group(
        &self,
        group: &str,
        leaving: Vec<Leave>,
    ) -> Result<Result<Vec<LeftMember>, Failure>, Unavailable> {
        let (topic, partition) = self.home(group)?;
        let shards = &self.groups.shards;
        let reply = shards
            .ask(self, &topic, partition, |shard, waiter, moment| {
                shard.leave(group, leaving, waiter, moment)
            })
            .await?;
        match reply {
            Reply::Left(left) => Ok(left),
            _ => Err(another_answer()),
        }
    }
}
