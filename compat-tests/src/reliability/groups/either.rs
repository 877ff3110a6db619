//! A member of either protocol, to whom it makes no difference which.

use std::io;

use super::super::client::Client;
use super::consumer::ConsumerMember;
use super::member::{Assigned, Member};
use super::restless::{Cast, Protocol};

/// A member of either protocol.
#[derive(Debug)]
pub(super) enum Either {
    Classic(Member),
    Consumer(ConsumerMember),
}

impl Either {
    /// A member that has not joined; what it chooses by itself it chooses at random.
    pub(super) fn over(client: Client, cast: &Cast, random: &mut fastrand::Rng) -> Self {
        match cast.protocol {
            Protocol::Classic => Self::Classic(Member::over(client, cast.group, cast.partitions)),
            Protocol::Consumer => {
                let id = uuid::Uuid::from_u128(random.u128(..)).to_string();
                Self::Consumer(ConsumerMember::over(client, cast.group, &cast.topic, id))
            }
        }
    }

    pub(super) fn reconnect(&mut self, client: Client) {
        match self {
            Self::Classic(member) => member.reconnect(client),
            Self::Consumer(member) => member.reconnect(client),
        }
    }

    pub(super) fn join(&mut self) -> io::Result<Assigned> {
        match self {
            Self::Classic(member) => member.join(),
            Self::Consumer(member) => member.join(),
        }
    }

    pub(super) fn heartbeat(&mut self) -> io::Result<bool> {
        match self {
            Self::Classic(member) => member.heartbeat(),
            Self::Consumer(member) => member.heartbeat(),
        }
    }

    pub(super) fn leave(&mut self) -> io::Result<()> {
        match self {
            Self::Classic(member) => member.leave(),
            Self::Consumer(member) => member.leave(),
        }
    }

    pub(super) fn commit(&mut self, topic: &str, partition: i32, offset: i64) -> io::Result<i64> {
        match self {
            Self::Classic(member) => member.commit(topic, partition, offset),
            Self::Consumer(member) => member.commit(topic, partition, offset),
        }
    }
}
