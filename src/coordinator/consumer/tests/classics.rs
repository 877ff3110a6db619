//! A consumer that speaks the classic protocol, in groups of either kind.

use bytes::Bytes;

use super::bench::{Bench, GROUP, REBALANCE_MS};
use crate::coordinator::classic::{Join, Joined, Leave, Protocol, Sync, Synced};
use crate::coordinator::{Failure, Identity, Reply, Waiter};
use crate::wire::consumer_protocol::{Assignment, Subscription, TopicPartitions};
use crate::wire::{Schema, Writer};

/// A consumer that speaks the classic protocol, in its cooperative form (KIP-429).
pub(super) struct Classic {
    pub(super) id: String,
    pub(super) instance_id: Option<String>,
    pub(super) generation: i32,
    pub(super) topics: Vec<String>,
    pub(super) owned: Vec<TopicPartitions>,
}

pub(super) const SESSION_MS: i32 = 10_000;

pub(super) fn metadata(topics: &[String], owned: &[TopicPartitions]) -> Bytes {
    let subscription = Subscription {
        topics: topics.to_vec(),
        owned_partitions: owned.to_vec(),
        ..Subscription::default()
    };
    let mut writer = Writer::new();
    writer.i16(2);
    subscription.write(&mut writer, 2).unwrap();
    writer.into_bytes().into()
}

impl Classic {
    pub(super) fn new(topics: &[&str]) -> Self {
        Self {
            id: String::new(),
            instance_id: None,
            generation: -1,
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            owned: Vec::new(),
        }
    }

    pub(super) fn request(&self) -> Join {
        Join {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            client_id: "old".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: i32::try_from(REBALANCE_MS).unwrap(),
            protocol_type: "consumer".to_owned(),
            protocols: vec![Protocol {
                name: "cooperative-sticky".to_owned(),
                metadata: metadata(&self.topics, &self.owned),
            }],
            requires_known_member_id: true,
            supports_skipping_assignment: true,
        }
    }

    pub(super) fn send(&self, bench: &mut Bench) -> Waiter {
        let request = self.request();
        bench.run(|shard, waiter, moment| shard.join(GROUP, request, waiter, moment))
    }

    pub(super) fn try_join(&mut self, bench: &mut Bench) -> Result<Joined, Failure> {
        let waiter = self.send(bench);
        let joined = joined(bench, waiter).expect("an answer");
        if let Some(failure) = joined.failure {
            if failure == Failure::MemberIdRequired {
                self.id = joined.member_id;
                return self.try_join(bench);
            }
            return Err(failure);
        }
        self.id.clone_from(&joined.member_id);
        self.generation = joined.generation;
        Ok(joined)
    }

    pub(super) fn sync(
        &mut self,
        bench: &mut Bench,
        assign: &[(String, Bytes)],
    ) -> Result<usize, Failure> {
        let request = Sync {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            generation: self.generation,
            protocol_type: Some("consumer".to_owned()),
            protocol: Some("cooperative-sticky".to_owned()),
            assignments: assign.to_vec(),
        };
        let waiter = bench.run(|shard, waiter, moment| shard.sync(GROUP, request, waiter, moment));
        match bench.answer(waiter) {
            Some(Reply::Synced(Synced {
                failure: Some(failure),
                ..
            })) => Err(failure),
            Some(Reply::Synced(synced)) => {
                let assignment = Assignment::from_bytes(&synced.assignment).unwrap();
                self.owned = assignment.assigned_partitions;
                Ok(self.count())
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.owned.iter().map(|topic| topic.partitions.len()).sum()
    }

    pub(super) fn beat(&self, bench: &mut Bench) -> Result<(), Failure> {
        let who = Identity {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            generation: self.generation,
        };
        let waiter =
            bench.run(|shard, waiter, moment| shard.heartbeat(GROUP, &who, waiter, moment));
        match bench.answer(waiter) {
            Some(Reply::Alive(alive)) => alive,
            other => panic!("{other:?}"),
        }
    }

    /// Does what a heartbeat asks for, in a consumer group.
    pub(super) fn follow(&mut self, bench: &mut Bench) {
        match self.beat(bench) {
            Ok(()) => {}
            Err(Failure::RebalanceInProgress) => {
                self.try_join(bench).expect("joins");
                self.sync(bench, &[]).expect("syncs");
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Joins a classic group as its only member, and takes all partitions of the topic.
    pub(super) fn begin(topic: &str, partitions: i32, bench: &mut Bench) -> Self {
        let mut classic = Self::new(&[topic]);
        classic.try_join(bench).expect("joins");
        let all = assigned(topic, &(0..partitions).collect::<Vec<_>>());
        let id = classic.id.clone();
        classic.sync(bench, &[(id, all)]).expect("syncs");
        classic
    }

    pub(super) fn leave(&self, bench: &mut Bench) {
        let leaving = vec![Leave {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
        }];
        let waiter = bench.run(|shard, waiter, moment| shard.leave(GROUP, leaving, waiter, moment));
        match bench.answer(waiter) {
            Some(Reply::Left(Ok(left))) => assert_eq!(left[0].failure, None),
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn assigned(topic: &str, partitions: &[i32]) -> Bytes {
    let assignment = Assignment {
        assigned_partitions: vec![TopicPartitions {
            topic: topic.to_owned(),
            partitions: partitions.to_vec(),
        }],
        user_data: None,
    };
    assignment.to_bytes(2).unwrap()
}

pub(super) fn joined(bench: &mut Bench, waiter: Waiter) -> Option<Joined> {
    match bench.answer(waiter)? {
        Reply::Joined(joined) => Some(*joined),
        other => panic!("{other:?}"),
    }
}
