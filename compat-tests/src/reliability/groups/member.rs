//! A member of a classic group, by raw requests: it joins, syncs, heartbeats, and joins again when
//! it must. The leader deals the partitions out in turn.

use std::io;
use std::time::Instant;

use serde_json::{Value, json};

use super::super::client::Client;

/// `UNKNOWN_MEMBER_ID`, `REBALANCE_IN_PROGRESS`, `ILLEGAL_GENERATION`, `MEMBER_ID_REQUIRED`.
pub(super) const UNKNOWN_MEMBER: i64 = 25;
const REBALANCING: i64 = 27;
const ILLEGAL_GENERATION: i64 = 22;
const ID_REQUIRED: i64 = 79;

/// Milliseconds without a heartbeat after which a member is gone.
pub(super) const SESSION_MS: i32 = 2_000;

/// One member, and its connection.
#[derive(Debug)]
pub(super) struct Member {
    client: Client,
    group: String,
    id: String,
    generation: i64,
    /// Partitions that are to be dealt out, if it leads.
    partitions: u8,
}

/// A generation, as a member sees it once it is synced.
#[derive(Clone, Debug)]
pub(super) struct Assigned {
    /// Generation.
    pub(super) generation: i64,
    /// What the member may read.
    pub(super) partitions: Vec<u8>,
    /// When its JoinGroup was sent.
    pub(super) join_sent: Instant,
    /// When its SyncGroup was answered.
    pub(super) synced: Instant,
}

impl Member {
    /// A member that has not joined.
    ///
    /// # Errors
    /// If nobody listens.
    pub(super) fn connect(address: &str, group: &str, partitions: u8) -> io::Result<Self> {
        let client = Client::connect(address)?;
        Ok(Self::over(client, group, partitions))
    }

    /// A member that has not joined, over this connection.
    pub(super) fn over(client: Client, group: &str, partitions: u8) -> Self {
        Self {
            client,
            group: group.to_owned(),
            id: String::new(),
            generation: -1,
            partitions,
        }
    }

    /// Goes on as the same member over a new connection.
    pub(super) fn reconnect(&mut self, client: Client) {
        self.client = client;
    }

    /// Its connection, for what is not about membership.
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Joins and syncs, as often as it takes.
    ///
    /// # Errors
    /// If the connection is gone, or the broker answers what a member cannot act upon.
    pub(super) fn join(&mut self) -> io::Result<Assigned> {
        loop {
            let join_sent = Instant::now();
            let body = json!({
                "groupId": self.group, "sessionTimeoutMs": SESSION_MS,
                "rebalanceTimeoutMs": 10_000, "memberId": self.id, "groupInstanceId": null,
                "protocolType": "consumer",
                "protocols": [{"name": "range", "metadata": ""}]
            });
            let joined = self.client.ask("JoinGroup", 5, &body)?;
            match joined["errorCode"].as_i64() {
                Some(0) => {}
                Some(ID_REQUIRED) => {
                    self.id = text(&joined["memberId"]);
                    continue;
                }
                Some(UNKNOWN_MEMBER) => {
                    self.id.clear();
                    continue;
                }
                other => return Err(unexpected("JoinGroup", other)),
            }
            self.id = text(&joined["memberId"]);
            self.generation = joined["generationId"].as_i64().unwrap_or(-1);
            if let Some(partitions) = self.sync(&joined)? {
                return Ok(Assigned {
                    generation: self.generation,
                    partitions,
                    join_sent,
                    synced: Instant::now(),
                });
            }
        }
    }

    /// Its assignment; `None` if it has to join again.
    fn sync(&mut self, joined: &Value) -> io::Result<Option<Vec<u8>>> {
        let mut assignments = Vec::new();
        if joined["leader"] == joined["memberId"] {
            let members = joined["members"].as_array().map_or(&[][..], Vec::as_slice);
            for (turn, member) in members.iter().enumerate() {
                let dealt = (0..self.partitions).skip(turn).step_by(members.len());
                let dealt: String = dealt.map(|partition| format!("{partition:02x}")).collect();
                assignments.push(json!({"memberId": member["memberId"], "assignment": dealt}));
            }
        }
        let body = json!({
            "groupId": self.group, "generationId": self.generation, "memberId": self.id,
            "groupInstanceId": null, "assignments": assignments
        });
        let synced = self.client.ask("SyncGroup", 3, &body)?;
        match synced["errorCode"].as_i64() {
            Some(0) => Ok(Some(bytes(&text(&synced["assignment"])))),
            code => self.again("SyncGroup", code).map(|()| None),
        }
    }

    /// Whether it still belongs to its generation.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub(super) fn heartbeat(&mut self) -> io::Result<bool> {
        let body = json!({
            "groupId": self.group, "generationId": self.generation, "memberId": self.id,
            "groupInstanceId": null
        });
        let answer = self.client.ask("Heartbeat", 3, &body)?;
        match answer["errorCode"].as_i64() {
            Some(0) => Ok(true),
            code => self.again("Heartbeat", code).map(|()| false),
        }
    }

    /// Leaves the group.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub(super) fn leave(&mut self) -> io::Result<()> {
        let body = json!({
            "groupId": self.group,
            "members": [{"memberId": self.id, "groupInstanceId": null}]
        });
        let answer = self.client.ask("LeaveGroup", 3, &body)?;
        match answer["errorCode"].as_i64() {
            // Somebody who was held up for longer than a session is none already.
            Some(0 | UNKNOWN_MEMBER) => Ok(()),
            code => Err(unexpected("LeaveGroup", code)),
        }
    }

    /// Commits an offset; the code.
    ///
    /// # Errors
    /// If the connection is gone.
    pub(super) fn commit(&mut self, topic: &str, partition: i32, offset: i64) -> io::Result<i64> {
        let body = json!({
            "groupId": self.group, "generationIdOrMemberEpoch": self.generation,
            "memberId": self.id, "groupInstanceId": null,
            "topics": [{"name": topic, "partitions": [{
                "partitionIndex": partition, "committedOffset": offset,
                "committedLeaderEpoch": -1, "committedMetadata": ""}]}]
        });
        let answer = self.client.ask("OffsetCommit", 7, &body)?;
        let code = &answer["topics"][0]["partitions"][0]["errorCode"];
        Ok(code.as_i64().unwrap_or(-1))
    }

    /// A code that says that it has to join again.
    fn again(&mut self, api: &str, code: Option<i64>) -> io::Result<()> {
        match code {
            Some(REBALANCING | ILLEGAL_GENERATION) => Ok(()),
            Some(UNKNOWN_MEMBER) => {
                self.id.clear();
                Ok(())
            }
            other => Err(unexpected(api, other)),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    let digits = pairs.map(|pair| std::str::from_utf8(pair).unwrap_or_default());
    digits
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect()
}

/// What a member cannot act upon. A coordinator that is loading, or elsewhere, is to be found again
/// like one that is gone.
pub(super) fn unexpected(api: &str, code: Option<i64>) -> io::Error {
    let kind = match code {
        Some(14..=16) => io::ErrorKind::NotConnected,
        Some(_) | None => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("{api} is answered {code:?}"))
}

/// Asks who coordinates a group, as clients do before anything else. It makes the topic of offsets.
///
/// # Errors
/// `NotConnected` while nobody coordinates it, else as any request.
pub(super) fn find_coordinator(client: &mut Client, group: &str) -> io::Result<()> {
    let body = json!({"key": group, "keyType": 0});
    match client.ask("FindCoordinator", 3, &body)?["errorCode"].as_i64() {
        Some(0) => Ok(()),
        code => Err(unexpected("FindCoordinator", code)),
    }
}
