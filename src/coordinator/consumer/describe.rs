//! A consumer group, as ConsumerGroupDescribe tells of it.

use super::group::{ConsumerGroup, ConsumerGroupState};
use super::{Assignor, Partitions};
use crate::coordinator::world::{GroupWorld, Topics};

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerDescription {
    /// Its state.
    pub state: ConsumerGroupState,
    /// Its epoch.
    pub epoch: i32,
    /// The epoch that the target assignment was made for.
    pub target_epoch: i32,
    /// The assignor that it would use now.
    pub assignor: Assignor,
    /// Members.
    pub members: Vec<ConsumerMemberDescription>,
}

/// A member of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerMemberDescription {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// Rack.
    pub rack_id: Option<String>,
    /// The epoch that it has got to.
    pub epoch: i32,
    /// Client id.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
    /// Topics that it names.
    pub topics: Vec<String>,
    /// Topics that it describes.
    pub expression: Option<String>,
    /// What it has.
    pub assigned: Vec<DescribedTopic>,
    /// What it shall have.
    pub target: Vec<DescribedTopic>,
    /// Whether it speaks the classic protocol.
    pub is_classic: bool,
}

/// Partitions of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedTopic {
    /// Id.
    pub id: uuid::Uuid,
    /// Name.
    pub name: String,
    /// Partitions.
    pub partitions: Vec<i32>,
}

impl ConsumerGroup {
    pub(crate) fn describe(&self, world: &GroupWorld) -> ConsumerDescription {
        let topics = world.topics.as_ref();
        let members = self
            .members
            .values()
            .map(|member| ConsumerMemberDescription {
                member_id: member.id.to_string(),
                instance_id: member.about.instance_id.clone(),
                rack_id: member.about.rack_id.clone(),
                epoch: member.epoch,
                client_id: member.about.client_id.clone(),
                client_host: member.about.client_host.clone(),
                topics: member.about.subscribed_topic_names.clone(),
                expression: member.about.subscribed_topic_regex.clone(),
                assigned: described(&member.assigned, topics),
                target: described(&self.target_of(&member.id), topics),
                is_classic: member.is_classic(),
            });
        ConsumerDescription {
            state: self.state(),
            epoch: self.epoch,
            target_epoch: self.target_epoch,
            assignor: self.assignor(self.members.values(), &world.settings.consumer.assignors),
            members: members.collect(),
        }
    }
}

/// Topics that are gone have no name any more, and are left out.
fn described(partitions: &Partitions, topics: &dyn Topics) -> Vec<DescribedTopic> {
    let named = partitions.by_topic().filter_map(|(id, partitions)| {
        Some(DescribedTopic {
            id,
            name: topics.name(id)?,
            partitions: partitions.iter().copied().collect(),
        })
    });
    named.collect()
}
