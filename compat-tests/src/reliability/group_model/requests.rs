//! Requests, as the shard gets them.

use bytes::Bytes;
use klamm::coordinator::classic::{Join, Leave, Protocol, Sync};
use klamm::coordinator::consumer::{ConsumerHeartbeat, Partitions};
use klamm::coordinator::{Commit, Identity, OffsetCommit, Waiter};
use uuid::Uuid;

use super::classic::{JoinFacts, Plan, Who};
use super::clients::{Classic, Phase, plan};
use super::consumer::Beat;
use super::offsets::Wanted;
use super::run::{Asked, Run, who_is};

impl Run {
    fn ask(&mut self, group: &str, asked: Asked) -> u64 {
        let waiter = self.bed.waiter();
        self.asked.insert(waiter, (group.to_owned(), asked));
        self.counts.requests += 1;
        waiter
    }

    /// A client joins.
    pub(super) fn join(&mut self, client: usize) -> Result<(), String> {
        self.classics[client].joins();
        let of = self.classics[client].clone();
        let facts = self.of_consumers(&of.group);
        if facts.is_some_and(|facts| !facts.has(&of.id)) {
            // Whoever was given up takes up nothing, whatever it says in this request that it has.
            self.classics[client].gives_up();
        }
        let join = JoinFacts {
            id: of.id.clone(),
            instance: of.instance.clone(),
            session_ms: of.session_ms,
            rebalance_ms: of.rebalance_ms,
            asks_for_id: of.asks_for_id,
            protocol_type: of.protocol_type.to_owned(),
            offers: of.offers(),
        };
        let size_max = self.bed.size_max;
        // One that nobody is in becomes a classic group.
        let facts = self
            .of_consumers(&of.group)
            .filter(|facts| !facts.is_empty());
        let due = facts.map(|facts| facts.due_join(&join, size_max));
        let waiter = self.ask(&of.group, Asked::Join { client, join, due });
        self.classics[client].phase = Phase::Joining(waiter);
        let request = join_request(&of);
        let group = &of.group;
        let what = self
            .bed
            .run(|shard, moment| shard.join(group, request, Waiter(waiter), moment));
        self.happened(Some(waiter), what)
    }

    /// Somebody whose protocols nobody shares would join a group with members.
    pub(super) fn intrude(&mut self, group: &str) -> Result<(), String> {
        let now_ms = self.bed.now_ms;
        let has_members = match self.of_consumers(group) {
            Some(facts) => !facts.is_empty(),
            None => self.of_classic(group).has_members(now_ms),
        };
        if !has_members {
            return Ok(());
        }
        let request = Join {
            member_id: String::new(),
            instance_id: None,
            client_id: "intruder".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: 2_000,
            rebalance_timeout_ms: 2_000,
            protocol_type: "intrusion".to_owned(),
            protocols: vec![Protocol {
                name: "range".to_owned(),
                metadata: Bytes::new(),
            }],
            requires_known_member_id: false,
            supports_skipping_assignment: false,
        };
        let waiter = self.ask(group, Asked::Intrude);
        let what = self
            .bed
            .run(|shard, moment| shard.join(group, request, Waiter(waiter), moment));
        self.happened(Some(waiter), what)
    }

    /// A client syncs; a leader brings its plan.
    pub(super) fn sync_client(&mut self, client: usize) -> Result<(), String> {
        let of = self.classics[client].clone();
        let planned = of
            .leads
            .as_ref()
            .map(|led| plan(led, &self.partitions(&of)));
        let who = who_is(&of);
        let waiter = self.sync_as(&of.group, Some(client), who, planned.unwrap_or_default())?;
        // It may have been answered: the answer has not left yet.
        self.classics[client].phase = Phase::Syncing(waiter);
        Ok(())
    }

    fn partitions(&self, of: &Classic) -> Vec<(String, i32)> {
        let topics = self.bed.known.topics.iter();
        let wanted = topics.filter(|(name, _)| of.topics.contains(*name));
        let each = wanted.flat_map(|(name, topic)| {
            (0..topic.partitions).map(|partition| (name.clone(), partition))
        });
        each.collect()
    }

    pub(super) fn sync_as(
        &mut self,
        group: &str,
        client: Option<usize>,
        who: Who,
        plan: Plan,
    ) -> Result<u64, String> {
        let assignments = plan.iter();
        let assignments = assignments.map(|(id, part)| (id.clone(), Bytes::from(part.clone())));
        let request = Sync {
            member_id: who.id.clone(),
            instance_id: who.instance.clone(),
            generation: who.generation,
            protocol_type: None,
            protocol: None,
            assignments: assignments.collect(),
        };
        let request = self.bed.meddler.sync(group, request);
        let facts = self.of_consumers(group);
        let due = facts.map(|facts| facts.due_sync(&who));
        let asked = Asked::Sync {
            client,
            who,
            plan,
            due,
        };
        let waiter = self.ask(group, asked);
        let what = self
            .bed
            .run(|shard, moment| shard.sync(group, request, Waiter(waiter), moment));
        self.happened(Some(waiter), what)?;
        Ok(waiter)
    }

    pub(super) fn heartbeat(
        &mut self,
        group: &str,
        client: Option<usize>,
        who: Who,
    ) -> Result<(), String> {
        let request = self.bed.meddler.who(group, identity(&who));
        let facts = self.of_consumers(group);
        let due = facts.map(|facts| facts.due_heartbeat(&who));
        let waiter = self.ask(group, Asked::Beat { client, who, due });
        let what = self
            .bed
            .run(|shard, moment| shard.heartbeat(group, &request, Waiter(waiter), moment));
        self.happened(Some(waiter), what)
    }

    pub(super) fn leave(
        &mut self,
        group: &str,
        id: String,
        instance: Option<String>,
    ) -> Result<(), String> {
        let leave = Leave {
            member_id: id.clone(),
            instance_id: instance.clone(),
        };
        let facts = self.of_consumers(group);
        let due = facts.map(|facts| facts.due_leave(&id, instance.as_deref()));
        let waiter = self.ask(group, Asked::Leave { id, instance, due });
        let what = self
            .bed
            .run(|shard, moment| shard.leave(group, vec![leave], Waiter(waiter), moment));
        self.happened(Some(waiter), what)
    }

    /// Commits some partitions, of which some may not be there.
    pub(super) fn commit(&mut self, group: &str, who: Who) -> Result<(), String> {
        let count = self.random.usize(1..4);
        let first = self.random.i32(0..6);
        let topic = if self.random.bool() { "a" } else { "b" };
        let wanted: Vec<Wanted> = (first..)
            .take(count)
            .map(|partition| Wanted {
                topic: topic.to_owned(),
                partition,
                offset: self.random.i64(0..1_000_000),
                metadata: format!("said at {}", self.bed.now_ms),
            })
            .collect();
        let commits = wanted.iter().map(|wanted| Commit {
            topic: wanted.topic.clone(),
            partition: wanted.partition,
            offset: wanted.offset,
            leader_epoch: 3,
            metadata: wanted.metadata.clone(),
        });
        let knows_epochs = self.random.u8(..16) > 0;
        let request = OffsetCommit {
            commits: commits.collect(),
            who: self.bed.meddler.who(group, identity(&who)),
            knows_epochs,
            retention_ms: None,
        };
        let waiter = self.ask(
            group,
            Asked::Commit {
                who,
                wanted,
                knows_epochs,
            },
        );
        let what = self
            .bed
            .run(|shard, moment| shard.commit(group, &request, Waiter(waiter), moment));
        self.happened(Some(waiter), what)
    }

    pub(super) fn delete_offsets(&mut self, group: &str) -> Result<(), String> {
        let topic = if self.random.bool() { "a" } else { "b" };
        let asked = vec![
            (topic.to_owned(), self.random.i32(0..4)),
            (topic.to_owned(), 4),
        ];
        let waiter = self.ask(
            group,
            Asked::DeleteOffsets {
                asked: asked.clone(),
            },
        );
        let what = self
            .bed
            .run(|shard, moment| shard.delete_offsets(group, &asked, Waiter(waiter), moment));
        self.happened(Some(waiter), what)
    }

    pub(super) fn delete_group(&mut self, group: &str) -> Result<(), String> {
        let waiter = self.ask(group, Asked::DeleteGroup);
        let what = self.bed.run(|shard, _| shard.delete(group, Waiter(waiter)));
        self.happened(Some(waiter), what)
    }

    pub(super) fn beat(
        &mut self,
        group: &str,
        client: Option<usize>,
        beat: Beat,
    ) -> Result<(), String> {
        let facts = self.of_consumers(group).cloned().unwrap_or_default();
        let expected = facts.expected(self.bed.size_max, &beat);
        let request = ConsumerHeartbeat {
            member_id: beat.id.clone(),
            epoch: beat.epoch,
            instance_id: beat.instance.clone(),
            rack_id: None,
            rebalance_timeout_ms: beat.rebalance_ms.and_then(|ms| i32::try_from(ms).ok()),
            topics: beat.topics.clone(),
            expression: beat.expression.clone(),
            assignor: None,
            owned: beat.owned.as_ref().map(|owned| {
                let each = owned
                    .iter()
                    .map(|(topic, each)| (Uuid::from_u128(*topic), *each));
                each.collect::<Partitions>()
            }),
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
        };
        let request = self.bed.meddler.consumer(request);
        let waiter = self.ask(
            group,
            Asked::Consumer {
                client,
                beat,
                expected,
            },
        );
        if let Some(client) = client {
            self.consumers[client].waits = Some(waiter);
        }
        let what = self
            .bed
            .run(|shard, moment| shard.consumer_heartbeat(group, &request, Waiter(waiter), moment));
        self.happened(Some(waiter), what)
    }
}

fn identity(who: &Who) -> Identity {
    Identity {
        member_id: who.id.clone(),
        instance_id: who.instance.clone(),
        generation: who.generation,
    }
}

fn join_request(of: &Classic) -> Join {
    let number = |ms: u64| i32::try_from(ms).expect("a timeout");
    let protocols = of.offers().into_iter().map(|(name, said)| Protocol {
        name,
        metadata: Bytes::from(said),
    });
    Join {
        member_id: of.id.clone(),
        instance_id: of.instance.clone(),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: number(of.session_ms),
        rebalance_timeout_ms: number(of.rebalance_ms),
        protocol_type: of.protocol_type.to_owned(),
        protocols: protocols.collect(),
        requires_known_member_id: of.asks_for_id,
        supports_skipping_assignment: of.asks_for_id,
    }
}
