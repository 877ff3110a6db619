//! What members of a group committed: what they sent, and what was acknowledged.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::client::Client;
use super::member::find_coordinator;

/// How long a coordinator may load.
const LOADING_MAX: Duration = Duration::from_secs(10);

/// Offsets of the partitions of a topic. Each commit of a partition is one offset above the last.
#[derive(Debug)]
pub(super) struct Account {
    /// The last that was sent for each partition.
    sent: Vec<AtomicI64>,
    /// The largest that was acknowledged, or that a broker told.
    promised: Vec<AtomicI64>,
    commits: AtomicU64,
}

/// What a broker knows that it must not, and does not know that it must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::reliability) struct Found {
    /// Partitions whose offset is below one that was acknowledged.
    pub(in crate::reliability) lost: u64,
    /// Partitions whose offset was never sent.
    pub(in crate::reliability) invented: u64,
}

impl Found {
    pub(in crate::reliability) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.invented += other.invented;
    }
}

impl Account {
    /// Nothing sent yet.
    pub(super) fn new(partitions: u8) -> Self {
        let none = || (0..partitions).map(|_| AtomicI64::new(-1)).collect();
        Self {
            sent: none(),
            promised: none(),
            commits: AtomicU64::new(0),
        }
    }

    /// The offset that is to be committed next.
    pub(super) fn send(&self, partition: u8) -> Option<i64> {
        let sent = self.sent.get(usize::from(partition))?;
        Some(sent.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// An offset was acknowledged.
    pub(super) fn acknowledge(&self, partition: u8, offset: i64) {
        if let Some(promised) = self.promised.get(usize::from(partition)) {
            promised.fetch_max(offset, Ordering::SeqCst);
            self.commits.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Commits acknowledged so far.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// Holds what a broker knows against the account. What it tells now it has to know later, too.
    pub(super) fn look(
        &self,
        client: &mut Client,
        group: &str,
        topic: &str,
    ) -> Result<Found, String> {
        let known = committed(client, group, topic, self.sent.len())?;
        let offset = |partition: usize| known.get(&partition).copied().unwrap_or(-1);
        Ok(self.judge(group, offset))
    }

    fn judge(&self, group: &str, offset: impl Fn(usize) -> i64) -> Found {
        let mut found = Found::default();
        for (partition, (sent, promised)) in self.sent.iter().zip(&self.promised).enumerate() {
            let offset = offset(partition);
            let (sent, promised_before) = (
                sent.load(Ordering::SeqCst),
                promised.fetch_max(offset, Ordering::SeqCst),
            );
            if offset < promised_before {
                eprintln!(
                    "{group}, partition {partition}: {offset} is committed, {promised_before} was \
                     acknowledged"
                );
                found.lost += 1;
            }
            if offset > sent {
                eprintln!("{group}, partition {partition}: {offset} is committed, {sent} was sent");
                found.invented += 1;
            }
        }
        found
    }
}

/// The committed offsets of partitions that have one.
fn committed(
    client: &mut Client,
    group: &str,
    topic: &str,
    partitions: usize,
) -> Result<HashMap<usize, i64>, String> {
    let begin = Instant::now();
    let partitions: Vec<usize> = (0..partitions).collect();
    let body = json!({
        "groupId": group, "topics": [{"name": topic, "partitionIndexes": partitions}],
        "requireStable": true
    });
    loop {
        let asked =
            find_coordinator(client, group).and_then(|()| client.ask("OffsetFetch", 7, &body));
        let answer = match asked {
            Err(error) if error.kind() != std::io::ErrorKind::NotConnected => {
                return Err(format!("asking for the offsets of {group}: {error}"));
            }
            Err(_) => None,
            Ok(answer) => Some(answer),
        };
        match answer.as_ref().map(|answer| answer["errorCode"].as_i64()) {
            Some(Some(0)) => {
                let answer = answer.unwrap_or_default();
                let partitions = answer["topics"][0]["partitions"].as_array();
                let known = partitions.into_iter().flatten().filter_map(|partition| {
                    let index = partition["partitionIndex"].as_u64()?;
                    Some((
                        usize::try_from(index).ok()?,
                        partition["committedOffset"].as_i64()?,
                    ))
                });
                return Ok(known.collect());
            }
            // It is loading, or not known yet.
            None | Some(Some(14..=16)) if begin.elapsed() < LOADING_MAX => {
                std::thread::sleep(Duration::from_millis(5));
            }
            _ => return Err(format!("OffsetFetch of {group} is answered {answer:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_and_acknowledged() -> Account {
        let account = Account::new(2);
        for partition in [0, 0, 0, 1] {
            account.send(partition);
        }
        account.acknowledge(0, 1);
        account
    }

    #[test]
    fn a_commit_that_was_not_answered_may_be_there_or_not() {
        let account = sent_and_acknowledged();
        let found = account.judge("g", |partition| [1, -1][partition]);
        assert_eq!(found, Found::default());
        let found = account.judge("g", |partition| [2, 0][partition]);
        assert_eq!(found, Found::default());
    }

    #[test]
    fn a_commit_that_was_answered_or_told_and_is_gone_is_lost() {
        let account = sent_and_acknowledged();
        assert_eq!(account.judge("g", |partition| [0, -1][partition]).lost, 1);
        assert_eq!(account.judge("g", |partition| [2, 0][partition]).lost, 0);
        assert_eq!(account.judge("g", |partition| [1, 0][partition]).lost, 1);
    }

    #[test]
    fn an_offset_that_nobody_sent_is_invented() {
        let account = sent_and_acknowledged();
        let found = account.judge("g", |partition| [3, 1][partition]);
        assert_eq!((found.lost, found.invented), (0, 2));
    }
}
