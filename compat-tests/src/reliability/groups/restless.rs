//! Groups that never rest, over the lives of all brokers: their members commit one offset after the
//! other for what they own, heartbeat, and leave now and then to join again, so that a rebalance is
//! always near. What was sent and what was acknowledged is kept, and how soon all of them were back
//! after a broker came.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::beacon::Beacon;
use super::super::client::Client;
use super::super::figure::Figure;
use super::super::node::Launch;
use super::account::{Account, Found};
use super::board::Board;
use super::consumer::ConsumerMember;
use super::member::{Assigned, Member, SESSION_MS, find_coordinator};

/// Commits between two heartbeats.
const COMMITS_BETWEEN: usize = 8;

/// Of so many heartbeats one is the last before its member leaves.
const BEATS_BEFORE_LEAVING: u8 = 16;

/// How soon after a broker came all members have to be in their groups, every partition with one
/// owner: the longest that one can wait for another that is gone, and a second.
const BACK_MAX: Duration = Duration::from_millis(SESSION_MS.unsigned_abs() as u64 + 1_000);

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

    /// Commits acknowledged so far.
    pub(in crate::reliability) fn commits(&self) -> u64 {
        self.groups
            .iter()
            .map(|group| group.account.commits())
            .sum()
    }

    /// What members were told and must not be told.
    pub(in crate::reliability) fn failures(&self) -> Vec<String> {
        let groups = self.groups.iter();
        groups
            .flat_map(|group| group.state().board.failures.clone())
            .collect()
    }

    /// Who owns what, for whoever asks why nobody is back.
    pub(in crate::reliability) fn describe(&self) -> String {
        let states = self.groups.iter().map(|group| {
            let state = group.state();
            format!("{}: {:?}", group.cast.group, state.board.members)
        });
        states.collect::<Vec<_>>().join("; ")
    }

    /// Ends all members after what they are at.
    pub(in crate::reliability) fn end(&mut self) {
        self.beacon.end();
        for thread in self.threads.drain(..) {
            if thread.join().is_err()
                && let Some(group) = self.groups.first()
            {
                let failure = "a member panicked".to_owned();
                group.state().board.failures.push(failure);
            }
        }
    }
}

impl Drop for Restless {
    fn drop(&mut self) {
        self.end();
    }
}

/// How soon members were back, broker after broker.
#[derive(Debug, Default)]
pub(in crate::reliability) struct Returns {
    times: u32,
    slowest: Duration,
}

impl Returns {
    /// Notes the return under a broker that is about to go. If it goes before all were back, that
    /// says nothing unless they were late already.
    pub(in crate::reliability) fn note(&mut self, groups: &Restless) {
        let back = groups.back_after();
        let waited = groups.beacon.latest().map(|(_, since)| since.elapsed());
        let late = waited.filter(|waited| *waited > BACK_MAX);
        if back.is_none() && late.is_some() {
            eprintln!("late: {}", groups.describe());
        }
        if let Some(took) = back.or(late) {
            self.times += 1;
            self.slowest = self.slowest.max(took);
        }
    }

    /// Waits until all are back, or are far too late, and notes it.
    pub(in crate::reliability) fn wait(&mut self, groups: &Restless) {
        let begin = Instant::now();
        while groups.back_after().is_none() && begin.elapsed() < BACK_MAX * 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.note(groups);
    }

    /// Tells it; fails if they were too slow.
    pub(in crate::reliability) fn tell(&self, figure: &mut Figure) {
        figure.set("rejoins", self.times);
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        figure.at_most("rejoin_ms_max", ms(self.slowest).round(), ms(BACK_MAX));
    }
}

#[derive(Debug)]
struct Group {
    cast: Cast,
    account: Account,
    state: Mutex<State>,
}

/// Who owns what under one broker.
#[derive(Debug)]
struct State {
    board: Board,
    /// The broker's number.
    came: u64,
    /// How long after it came all members were in.
    back: Option<Duration>,
}

impl Group {
    fn new(cast: &Cast) -> Self {
        let board = Board {
            members: (0..cast.members).map(|number| (number, None)).collect(),
            failures: Vec::new(),
        };
        Self {
            cast: cast.clone(),
            account: Account::new(cast.partitions),
            state: Mutex::new(State {
                board,
                came: 0,
                back: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn back_after(&self, came: u64) -> Option<Duration> {
        let state = self.state();
        state.back.filter(|_| state.came == came)
    }

    fn is_settled(&self) -> bool {
        self.state().board.settled(self.cast.partitions).is_some()
    }

    /// Notes what a member owns under a broker; nothing about one that has a successor.
    fn note(&self, beacon: &Beacon, came: u64, number: usize, assigned: Option<Assigned>) {
        let Some(since) = beacon.latest().filter(|latest| latest.0 == came) else {
            return;
        };
        let mut state = self.state();
        if state.came < came {
            (state.came, state.back) = (came, None);
            state.board.members.values_mut().for_each(|one| *one = None);
        }
        if state.came > came {
            return;
        }
        state.board.members.insert(number, assigned);
        if state.back.is_none() && state.board.settled(self.cast.partitions).is_some() {
            state.back = Some(since.1.elapsed());
        }
    }

    /// A member, over the lives of all brokers.
    fn live(&self, beacon: &Beacon, number: usize, mut random: fastrand::Rng) {
        let mut member = None;
        while let Some((mut client, came)) = beacon.connect() {
            let ended = find_coordinator(&mut client, self.cast.group).and_then(|()| {
                let member = match member.take() {
                    None => member.insert(Either::over(client, &self.cast)),
                    Some(known) => {
                        let member: &mut Either = member.insert(known);
                        member.reconnect(client);
                        member
                    }
                };
                self.take_part(member, beacon, came, number, &mut random)
            });
            self.note(beacon, came, number, None);
            if let Err(error) = ended
                && is_an_answer(&error)
                && beacon.is_up(came)
            {
                let failure = format!("member {number} of {}: {error}", self.cast.group);
                eprintln!("{failure}");
                self.state().board.failures.push(failure);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes part until the connection is gone.
    fn take_part(
        &self,
        member: &mut Either,
        beacon: &Beacon,
        came: u64,
        number: usize,
        random: &mut fastrand::Rng,
    ) -> io::Result<()> {
        while !beacon.is_over() {
            self.note(beacon, came, number, None);
            let assigned = member.join()?;
            let partitions = assigned.partitions.clone();
            self.note(beacon, came, number, Some(assigned));
            while !beacon.is_over() {
                for partition in partitions.iter().cycle().take(COMMITS_BETWEEN) {
                    self.commit(member, beacon, came, *partition)?;
                }
                let restless = self.back_after(came).is_some();
                if restless && random.u8(..BEATS_BEFORE_LEAVING) == 0 {
                    member.leave()?;
                    break;
                }
                if !member.heartbeat()? {
                    break;
                }
                std::thread::sleep(self.cast.pause);
            }
        }
        Ok(())
    }

    fn commit(
        &self,
        member: &mut Either,
        beacon: &Beacon,
        came: u64,
        partition: u8,
    ) -> io::Result<()> {
        let Some(offset) = self.account.send(partition) else {
            return Ok(());
        };
        // A refusal is one of those that the next heartbeat gets, too.
        let code = member.commit(&self.cast.topic, i32::from(partition), offset)?;
        if code == 0 && beacon.is_up(came) {
            self.account.acknowledge(partition, offset);
        }
        Ok(())
    }
}

/// Whether the broker answered something that a member cannot act upon; all else is a connection
/// that is gone.
fn is_an_answer(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other
}

/// A member of either protocol.
#[derive(Debug)]
enum Either {
    Classic(Member),
    Consumer(ConsumerMember),
}

impl Either {
    fn over(client: Client, cast: &Cast) -> Self {
        match cast.protocol {
            Protocol::Classic => Self::Classic(Member::over(client, cast.group, cast.partitions)),
            Protocol::Consumer => {
                Self::Consumer(ConsumerMember::over(client, cast.group, &cast.topic))
            }
        }
    }

    fn reconnect(&mut self, client: Client) {
        match self {
            Self::Classic(member) => member.reconnect(client),
            Self::Consumer(member) => member.reconnect(client),
        }
    }

    fn join(&mut self) -> io::Result<Assigned> {
        match self {
            Self::Classic(member) => member.join(),
            Self::Consumer(member) => member.join(),
        }
    }

    fn heartbeat(&mut self) -> io::Result<bool> {
        match self {
            Self::Classic(member) => member.heartbeat(),
            Self::Consumer(member) => member.heartbeat(),
        }
    }

    fn leave(&mut self) -> io::Result<()> {
        match self {
            Self::Classic(member) => member.leave(),
            Self::Consumer(member) => member.leave(),
        }
    }

    fn commit(&mut self, topic: &str, partition: i32, offset: i64) -> io::Result<i64> {
        match self {
            Self::Classic(member) => member.commit(topic, partition, offset),
            Self::Consumer(member) => member.commit(topic, partition, offset),
        }
    }
}
