//! Groups that never rest, over the lives of all brokers: their members commit one offset after the
//! other for what they own, heartbeat, and now and then leave to join again, lose their connections,
//! or are gone without a word, so that a rebalance is always near. What was sent and what was acknowledged is kept, who owned what, and how soon all of
//! them were back after a broker came.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::beacon::Beacon;
use super::super::client::Client;
use super::super::figure::Figure;
use super::super::node::Launch;
use super::account::Found;
use super::group::Group;
use super::member::SESSION_MS;

/// How members are in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::reliability) enum Protocol {
    Classic,
    /// KIP-848.
    Consumer,
}

/// A group that is to be.
#[derive(Clone, Debug)]
pub(in crate::reliability) struct Cast {
    pub(in crate::reliability) group: &'static str,
    pub(in crate::reliability) protocol: Protocol,
    pub(in crate::reliability) topic: String,
    pub(in crate::reliability) partitions: u8,
    pub(in crate::reliability) members: usize,
    /// Between two heartbeats of a member.
    pub(in crate::reliability) pause: Duration,
    /// Whether members are gone now and then without a word. The group then waits for a session,
    /// so this is for brokers that live for longer.
    pub(in crate::reliability) vanishing: bool,
}

/// A broker under which members may have sessions as short as these have.
pub(in crate::reliability) fn settings(launch: Launch) -> Launch {
    let session = SESSION_MS.to_string();
    launch
        .set("group.min.session.timeout.ms", "500")
        .set("group.consumer.min.session.timeout.ms", "500")
        .set("group.consumer.session.timeout.ms", &session)
        .set("group.consumer.min.heartbeat.interval.ms", "100")
        .set("group.consumer.heartbeat.interval.ms", "500")
}

/// The running groups. Dropping them ends them, and everybody else at the same beacon.
#[derive(Debug)]
pub(in crate::reliability) struct Restless {
    beacon: Arc<Beacon>,
    groups: Vec<Arc<Group>>,
    threads: Vec<JoinHandle<()>>,
}

impl Restless {
    /// Starts the members; they wait for a broker.
    pub(in crate::reliability) fn start(casts: &[Cast], beacon: &Arc<Beacon>, seed: u64) -> Self {
        let groups: Vec<_> = casts
            .iter()
            .map(|cast| Arc::new(Group::new(cast)))
            .collect();
        let mut threads = Vec::new();
        for (group, turn) in groups.iter().zip(0..) {
            for number in 0..group.cast.members {
                let (group, beacon) = (Arc::clone(group), Arc::clone(beacon));
                let seed = seed ^ (turn << 40) ^ ((number as u64) << 48);
                threads.push(std::thread::spawn(move || {
                    group.live(&beacon, number, fastrand::Rng::with_seed(seed));
                }));
            }
        }
        Self {
            beacon: Arc::clone(beacon),
            groups,
            threads,
        }
    }

    /// Whether there is a group at all.
    pub(in crate::reliability) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Holds what a broker knows against what was acknowledged. No member may be at work meanwhile.
    ///
    /// # Errors
    /// If the broker cannot be asked.
    pub(in crate::reliability) fn look(&self, client: &mut Client) -> Result<Found, String> {
        let mut found = Found::default();
        for group in &self.groups {
            let (name, topic) = (group.cast.group, &group.cast.topic);
            found.add(group.account.look(client, name, topic)?);
        }
        Ok(found)
    }

    /// How long after the latest broker came all members were back; `None` if they are not yet.
    pub(in crate::reliability) fn back_after(&self) -> Option<Duration> {
        let (came, _) = self.beacon.latest()?;
        let groups = self.groups.iter().map(|group| group.back_after(came));
        groups.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// How long ago the latest broker came.
    pub(in crate::reliability) fn since_broker_came(&self) -> Option<Duration> {
        self.beacon.latest().map(|(_, since)| since.elapsed())
    }

    /// In how many groups a rebalance is under way.
    pub(in crate::reliability) fn rebalancing(&self) -> usize {
        let groups = self.groups.iter();
        groups.filter(|group| !group.is_settled()).count()
    }

    /// Waits a while until a rebalance is under way in a group.
    pub(in crate::reliability) fn wait_for_rebalance(&self, group: usize) {
        let begin = Instant::now();
        let group = self.groups.get(group);
        while group.is_some_and(|group| group.is_settled())
            && begin.elapsed() < Duration::from_secs(1)
        {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Tells what members did, and what was found of it; fails if it is not as they were told.
    pub(in crate::reliability) fn tell(&self, figure: &mut Figure, found: Found) {
        let sum = |count: fn(&Group) -> u64| -> u64 {
            let counts = self.groups.iter().map(|group| count(group));
            counts.sum()
        };
        let commits = sum(|group| group.account.commits());
        figure.set("commits", commits);
        if commits == 0 {
            figure.fail("no commit was acknowledged");
        }
        figure.none("commits_lost", found.lost);
        figure.none("commits_invented", found.invented);
        figure.none("double_owners", sum(Group::doubles));
        figure.set("members_left", sum(|group| group.partings().left));
        figure.set("members_hung_up", sum(|group| group.partings().hung_up));
        figure.set("members_vanished", sum(|group| group.partings().vanished));
    }

    /// What members were told and must not be told.
    pub(in crate::reliability) fn failures(&self) -> Vec<String> {
        let groups = self.groups.iter();
        groups.flat_map(|group| group.failures()).collect()
    }

    /// Who owns what, for whoever asks why nobody is back.
    pub(in crate::reliability) fn describe(&self) -> String {
        let groups: Vec<_> = self.groups.iter().map(|group| group.describe()).collect();
        groups.join("; ")
    }

    /// Ends all members after what they are at.
    pub(in crate::reliability) fn end(&mut self) {
        self.beacon.end();
        for thread in self.threads.drain(..) {
            if thread.join().is_err()
                && let Some(group) = self.groups.first()
            {
                group.complain("a member panicked".to_owned());
            }
        }
    }
}

impl Drop for Restless {
    fn drop(&mut self) {
        self.end();
    }
}
