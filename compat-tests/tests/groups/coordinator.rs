//! What the coordinator says about a group.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use compat_tests::session::Session;
use serde_json::{Value, json};

/// Longer than any session timeout of the scenario.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than the fetches of any member wait. Some clients pass on what the last fetch before a
/// rebalance brings, of partitions that are not theirs any more.
const FETCHES: Duration = Duration::from_millis(250);

/// By which protocol members are in a group.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    Classic,
    /// KIP-848.
    Consumer,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

/// A group as its members see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group<'a> {
    pub(crate) address: &'a str,
    pub(crate) name: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) partitions: i32,
    pub(crate) session_ms: u32,
    pub(crate) protocol: Protocol,
}

impl Group<'_> {
    fn ask(&self, api: &str, version: i16, body: Value) -> Value {
        Session::new(self.address, Duration::ZERO).aside(api, version, body)
    }

    /// Its state, and how many members have partitions.
    fn state(&self) -> (String, usize) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let members = |group: &Value, has: fn(&Value) -> bool| {
            let members = group["members"].as_array().cloned().unwrap_or_default();
            members.iter().filter(|member| has(member)).count()
        };
        match self.protocol {
            Protocol::Classic => {
                let answer = self.ask("DescribeGroups", 4, json!({"groups": [self.name]}));
                let group = &answer["groups"][0];
                let assigned = |member: &Value| member["memberAssignment"] != "";
                (text(&group["groupState"]), members(group, assigned))
            }
            Protocol::Consumer => {
                let body = json!({"groupIds": [self.name]});
                let answer = self.ask("ConsumerGroupDescribe", 0, body);
                let group = &answer["groups"][0];
                let assigned = |member: &Value| {
                    let topics = member["assignment"]["topicPartitions"].as_array();
                    topics.is_some_and(|topics| !topics.is_empty())
                };
                (text(&group["groupState"]), members(group, assigned))
            }
        }
    }

    /// Waits until so many members have their partitions, and nothing is being reassigned.
    pub(crate) fn settles(&self, members: usize, what: &str) {
        let wanted = if members == 0 { "empty" } else { "stable" };
        self.eventually(what, || {
            let (state, assigned) = self.state();
            let settled = state.eq_ignore_ascii_case(wanted) && assigned == members;
            settled
                .then_some(())
                .ok_or(format!("{assigned} members, {state}"))
        });
        std::thread::sleep(FETCHES);
    }

    /// Waits until the committed offsets are these, by partition.
    pub(crate) fn commits(&self, ends: &BTreeMap<i32, i64>, what: &str) {
        self.eventually(what, || {
            let committed = self.committed();
            let there = committed == *ends;
            there
                .then_some(())
                .ok_or(format!("{committed:?} are committed, not {ends:?}"))
        });
    }

    fn committed(&self) -> BTreeMap<i32, i64> {
        let partitions: Vec<_> = (0..self.partitions).collect();
        let topic = json!({"name": self.topic, "partitionIndexes": partitions});
        let body = json!({"groupId": self.name, "topics": [topic]});
        let answer = self.ask("OffsetFetch", 5, body);
        let partitions = answer["topics"][0]["partitions"].as_array().cloned();
        let number = |partition: &Value, name: &str| partition[name].as_i64().unwrap_or(-1);
        partitions
            .unwrap_or_default()
            .iter()
            .map(|partition| {
                let index = number(partition, "partitionIndex");
                let index = i32::try_from(index).expect("an index");
                (index, number(partition, "committedOffset"))
            })
            .collect()
    }

    /// Tries until it is so.
    pub(crate) fn eventually(&self, what: &str, attempt: impl Fn() -> Result<(), String>) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(reason) = attempt() {
            assert!(Instant::now() < deadline, "{} {what}: {reason}", self.name);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
