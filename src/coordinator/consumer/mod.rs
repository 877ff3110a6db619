//! Consumer groups: the coordinator assigns, and takes each member to what it shall have step by
//! step (KIP-848; Kafka's `GroupMetadataManager.consumerGroup…`, `ConsumerGroup`).
//!
//! | epoch | of | rises when |
//! | --- | --- | --- |
//! | group epoch | the group | a member comes, goes or subscribes anew; a topic of the group changes |
//! | assignment epoch | the target assignment | it is made anew, for the group epoch |
//! | member epoch | each member | the member has given up what it must, and so reaches the target |
//!
//! There are no generations and no barriers: while one member gives up partitions, the others read
//! on. What a member may do, its epoch says; `reconcile` has the table of a member's states.

mod admin;
pub mod assignor;
mod classics;
mod describe;
mod expressions;
mod group;
mod heartbeat;
mod leave;
mod member;
mod migrate;
mod partitions;
pub mod pattern;
mod re2;
mod re2_classes;
mod re2_items;
mod reconcile;
mod request;
#[cfg(test)]
mod tests;
mod view;

pub use assignor::Assignor;
pub use describe::{ConsumerDescription, ConsumerMemberDescription, DescribedTopic};
pub use group::ConsumerGroupState;
pub use member::{JOINING, LEAVING, LEAVING_FOR_A_WHILE, MemberState};
pub use partitions::Partitions;
pub use request::{ConsumerBeat, ConsumerHeartbeat, Refusal};

pub(crate) use group::ConsumerGroup;
pub(crate) use migrate::upgrade;
