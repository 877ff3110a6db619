//! A member of a consumer group (KIP-848), by raw requests: what it reads is told by the answers to
//! its heartbeats, and what it is told it takes at once, so that its next heartbeat says so.

use std::io;
use std::time::Instant;

use serde_json::{Value, json};

use super::super::client::Client;
use super::member::{Assigned, UNKNOWN_MEMBER, unexpected};

/// `FENCED_MEMBER_EPOCH`.
const FENCED: i64 = 110;

/// The epochs of a member that joins, and of one that leaves.
const JOINING: i64 = 0;
const LEAVING: i64 = -1;

/// One member, and its connection.
#[derive(Debug)]
pub(super) struct ConsumerMember {
    client: Client,
    group: String,
    topic: String,
    /// Its own choice, for good.
    id: String,
    epoch: i64,
    /// As the broker told it: topic ids and partitions.
    owned: Value,
    /// Whether the coordinator has yet to be told everything: at first, and over each connection.
    tells_all: bool,
    beat_sent: Instant,
}

impl ConsumerMember {
    /// A member that has not joined.
    pub(super) fn over(client: Client, group: &str, topic: &str, id: String) -> Self {
        Self {
            client,
            group: group.to_owned(),
            topic: topic.to_owned(),
            id,
            epoch: JOINING,
            owned: json!([]),
            tells_all: true,
            beat_sent: Instant::now(),
        }
    }

    /// Goes on as the same member over a new connection.
    pub(super) fn reconnect(&mut self, client: Client) {
        self.client = client;
        self.tells_all = true;
    }

    /// Joins, if it is no member, and says what it owns.
    ///
    /// # Errors
    /// If the connection is gone, or the broker answers what a member cannot act upon.
    pub(super) fn join(&mut self) -> io::Result<Assigned> {
        while self.tells_all || self.epoch == JOINING {
            self.heartbeat()?;
        }
        let topics = self.owned.as_array().map_or(&[][..], Vec::as_slice);
        let partitions = topics.iter().filter_map(|topic| {
            let partitions = topic["partitions"].as_array()?.iter();
            Some(partitions.filter_map(|index| u8::try_from(index.as_u64()?).ok()))
        });
        Ok(Assigned {
            generation: self.epoch,
            partitions: partitions.flatten().collect(),
            join_sent: self.beat_sent,
            synced: Instant::now(),
        })
    }

    /// Whether everything is as it was. If not, [`join`](Self::join) tells how it is.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub(super) fn heartbeat(&mut self) -> io::Result<bool> {
        let all = self.tells_all || self.epoch == JOINING;
        let body = json!({
            "groupId": self.group, "memberId": self.id, "memberEpoch": self.epoch,
            "rebalanceTimeoutMs": if all { 10_000 } else { -1 },
            "subscribedTopicNames": if all { json!([self.topic]) } else { Value::Null },
            "topicPartitions": self.owned
        });
        self.beat_sent = Instant::now();
        let answer = self.client.ask("ConsumerGroupHeartbeat", 1, &body)?;
        match answer["errorCode"].as_i64() {
            Some(0) => {}
            Some(FENCED | UNKNOWN_MEMBER) => {
                (self.epoch, self.owned) = (JOINING, json!([]));
                return Ok(false);
            }
            other => return Err(unexpected("ConsumerGroupHeartbeat", other)),
        }
        self.tells_all = false;
        let epoch = answer["memberEpoch"].as_i64().unwrap_or(JOINING);
        let told = &answer["assignment"]["topicPartitions"];
        let same = epoch == self.epoch && (told.is_null() || *told == self.owned);
        self.epoch = epoch;
        if told.is_array() {
            self.owned = told.clone();
        }
        Ok(same)
    }

    /// Leaves the group.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub(super) fn leave(&mut self) -> io::Result<()> {
        let body = json!({
            "groupId": self.group, "memberId": self.id, "memberEpoch": LEAVING
        });
        let answer = self.client.ask("ConsumerGroupHeartbeat", 1, &body)?;
        match answer["errorCode"].as_i64() {
            // Somebody who was held up for longer than a session is none already.
            Some(0 | UNKNOWN_MEMBER) => {
                (self.epoch, self.owned) = (JOINING, json!([]));
                Ok(())
            }
            code => Err(unexpected("ConsumerGroupHeartbeat", code)),
        }
    }

    /// Commits an offset; the code.
    ///
    /// # Errors
    /// If the connection is gone.
    pub(super) fn commit(&mut self, topic: &str, partition: i32, offset: i64) -> io::Result<i64> {
        let body = json!({
            "groupId": self.group, "generationIdOrMemberEpoch": self.epoch,
            "memberId": self.id, "groupInstanceId": null,
            "topics": [{"name": topic, "partitions": [{
                "partitionIndex": partition, "committedOffset": offset,
                "committedLeaderEpoch": -1, "committedMetadata": ""}]}]
        });
        let answer = self.client.ask("OffsetCommit", 9, &body)?;
        let code = &answer["topics"][0]["partitions"][0]["errorCode"];
        Ok(code.as_i64().unwrap_or(-1))
    }
}
