//! The broker dies in the midst of rebalances and commits: what was committed is there afterwards,
//! and the members come back.
//!
//! Members of one group commit one offset after the other for what they own, heartbeat, and leave
//! now and then to join again, so that there is always a rebalance under way. The broker is killed,
//! every other time together with its power. The next one has to know every commit that was
//! acknowledged, and nothing that was never sent; all members must be settled again within the
//! session timeout and a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::client::Client;
use super::super::disk::{Cut, Disk, on_disk};
use super::super::figure::Figure;
use super::super::load::Topic;
use super::super::node::Launch;
use super::super::{Entry, Options};
use super::board::Board;
use super::member::{Member, SESSION_MS};

/// The figure.
pub const ENTRY: Entry = Entry {
    name: "group-kills",
    about: "kills and power cuts amid rebalances: commits lost, none; members back in time",
    run,
};

const MEMBERS: usize = 6;
const PARTITIONS: u8 = 12;
const DISK_MIB: u64 = 256;

/// Commits between two heartbeats.
const COMMITS_BETWEEN: usize = 8;

/// What all members share.
struct Shared {
    /// Where the broker is; nowhere while it is dead.
    address: Mutex<Option<String>>,
    over: AtomicBool,
    /// Whether members leave now and then.
    restless: AtomicBool,
    board: Mutex<Board>,
    /// The last offset that was sent for each partition.
    sent: Vec<AtomicI64>,
    /// The largest that was acknowledged.
    acknowledged: Vec<AtomicI64>,
    commits: AtomicI64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(options: &Options) -> Figure {
    on_disk(options, DISK_MIB, |disk, figure| {
        let offsets = || (0..PARTITIONS).map(|_| AtomicI64::new(-1)).collect();
        let shared = Shared {
            address: Mutex::default(),
            over: AtomicBool::new(false),
            restless: AtomicBool::new(true),
            board: Mutex::default(),
            sent: offsets(),
            acknowledged: offsets(),
            commits: AtomicI64::new(0),
        };
        std::thread::scope(|scope| {
            for number in 0..MEMBERS {
                let (shared, seed) = (&shared, options.seed + number as u64);
                lock(&shared.board).members.insert(number, None);
                scope.spawn(move || shared.live(number, seed));
            }
            let killed = kill_often(options, &shared, disk, figure);
            shared.over.store(true, Ordering::SeqCst);
            killed
        })
    })
}

fn kill_often(
    options: &Options,
    shared: &Shared,
    disk: &mut Disk,
    figure: &mut Figure,
) -> Result<(), String> {
    let kills = if options.quick { 6 } else { 60 };
    let log = options.scratch.join("broker.log");
    let launch = Launch::new(&options.klamm, &disk.path().join("data"), &log)
        .set("klamm.durability", "fsync")
        .set("group.min.session.timeout.ms", "500");
    let back_max = Duration::from_millis(SESSION_MS.unsigned_abs().into()) + Duration::from_secs(1);
    let mut random = fastrand::Rng::with_seed(options.seed);
    let mut found = Found::default();
    let mut slowest = Duration::ZERO;
    for kill in 0..=kills {
        let promised: Vec<i64> = (shared.acknowledged.iter())
            .map(|offset| offset.load(Ordering::SeqCst))
            .collect();
        let node = launch.start()?;
        let mut client = node.client().map_err(|error| error.to_string())?;
        match kill {
            0 => Topic {
                name: "t".to_owned(),
                partitions: i32::from(PARTITIONS),
                configs: Vec::new(),
            }
            .create(&mut client)?,
            _ => found.look(&mut client, shared, &promised)?,
        }
        let ready = Instant::now();
        *lock(&shared.address) = Some(node.address().to_owned());
        slowest = slowest.max(shared.settled_after(ready, back_max * 3)?);
        if kill == kills {
            break;
        }
        shared.restless.store(true, Ordering::SeqCst);
        let fuse = match kill % 2 {
            0 => None,
            _ => Some(disk.fuse(Cut::Now)?),
        };
        std::thread::sleep(Duration::from_millis(random.u64(100..900)));
        let with_power = fuse.is_some();
        // What is answered once the power is being cut would not have reached anybody.
        *lock(&shared.address) = None;
        if let Some(fuse) = fuse {
            fuse.blow()?;
        }
        node.kill();
        shared.restless.store(false, Ordering::SeqCst);
        shared.wait_until_all_are_gone()?;
        if with_power {
            disk.unmount()?;
            disk.mount()?;
        }
    }
    figure.set("kills", kills);
    figure.set("commits", shared.commits.load(Ordering::SeqCst));
    figure.none("commits_lost", found.lost);
    figure.none("commits_invented", found.invented);
    let slowest = slowest.as_secs_f64() * 1_000.0;
    figure.at_most(
        "back_ms_max",
        slowest.round(),
        back_max.as_secs_f64() * 1_000.0,
    );
    match lock(&shared.board).failures.first() {
        Some(failure) => Err(failure.clone()),
        None => Ok(()),
    }
}

#[derive(Debug, Default)]
struct Found {
    lost: u64,
    invented: u64,
}

impl Found {
    /// Holds what the broker knows against what it had acknowledged.
    fn look(
        &mut self,
        client: &mut Client,
        shared: &Shared,
        promised: &[i64],
    ) -> Result<(), String> {
        let known = committed(client)?;
        for ((partition, promised), sent) in (0..).zip(promised).zip(&shared.sent) {
            let offset = known.get(&partition).copied().unwrap_or(-1);
            if offset < *promised {
                eprintln!(
                    "partition {partition}: {offset} is committed, {promised} was acknowledged"
                );
                self.lost += 1;
            }
            if offset > sent.load(Ordering::SeqCst) {
                self.invented += 1;
            }
        }
        Ok(())
    }
}

fn committed(client: &mut Client) -> Result<HashMap<i64, i64>, String> {
    let begin = Instant::now();
    loop {
        let partitions: Vec<u8> = (0..PARTITIONS).collect();
        let body = json!({
            "groupId": "restless", "topics": [{"name": "t", "partitionIndexes": partitions}],
            "requireStable": true
        });
        let answer = client.ask("OffsetFetch", 7, &body);
        let answer = answer.map_err(|error| error.to_string())?;
        match answer["errorCode"].as_i64() {
            Some(0) => {
                let partitions = answer["topics"][0]["partitions"].as_array();
                let known = partitions.into_iter().flatten().filter_map(|partition| {
                    let offset = partition["committedOffset"].as_i64()?;
                    Some((partition["partitionIndex"].as_i64()?, offset))
                });
                return Ok(known.collect());
            }
            // It is loading.
            Some(14..=16) if begin.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(5));
            }
            _ => return Err(format!("OffsetFetch is answered {answer}")),
        }
    }
}

impl Shared {
    /// A member, over the lives of all brokers.
    fn live(&self, number: usize, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut member: Option<Member> = None;
        while !self.over.load(Ordering::SeqCst) {
            let Some(address) = lock(&self.address).clone() else {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            let connected = match &mut member {
                Some(member) => member.reconnect(&address),
                None => Member::connect(&address, "restless", PARTITIONS)
                    .map(|fresh| member = Some(fresh)),
            };
            if connected.is_ok()
                && let Some(member) = &mut member
                && let Err(error) = self.take_part(member, number, &mut random)
                && lock(&self.address).as_ref() == Some(&address)
                && is_an_answer(&error)
            {
                let failure = format!("member {number}: {error}");
                lock(&self.board).failures.push(failure);
            }
            lock(&self.board).members.insert(number, None);
        }
    }

    /// Takes part until the connection is gone.
    fn take_part(
        &self,
        member: &mut Member,
        number: usize,
        random: &mut fastrand::Rng,
    ) -> std::io::Result<()> {
        while !self.over.load(Ordering::SeqCst) {
            lock(&self.board).members.insert(number, None);
            let assigned = member.join()?;
            lock(&self.board)
                .members
                .insert(number, Some(assigned.clone()));
            while !self.over.load(Ordering::SeqCst) {
                for partition in assigned.partitions.iter().cycle().take(COMMITS_BETWEEN) {
                    self.commit(member, *partition)?;
                }
                if self.restless.load(Ordering::SeqCst) && random.u8(..64) == 0 {
                    member.leave()?;
                    break;
                }
                if !member.heartbeat()? {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }

    fn commit(&self, member: &mut Member, partition: u8) -> std::io::Result<()> {
        let (Some(sent), Some(acknowledged)) = (
            self.sent.get(usize::from(partition)),
            self.acknowledged.get(usize::from(partition)),
        ) else {
            return Ok(());
        };
        let offset = sent.fetch_add(1, Ordering::SeqCst) + 1;
        // A refusal is one of those that the next heartbeat gets, too.
        let code = member.commit("t", i32::from(partition), offset)?;
        if code == 0 && lock(&self.address).is_some() {
            acknowledged.fetch_max(offset, Ordering::SeqCst);
            self.commits.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    /// How long after `ready` all members were in one generation that began later.
    fn settled_after(&self, ready: Instant, patience: Duration) -> Result<Duration, String> {
        while ready.elapsed() < patience {
            let settled = lock(&self.board).settled(PARTITIONS);
            if let Some(settled) = settled.filter(|settled| settled.synced > ready) {
                return Ok(settled.synced - ready);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let board = lock(&self.board);
        Err(format!(
            "the members are not back after {patience:?}: {board:?}"
        ))
    }

    fn wait_until_all_are_gone(&self) -> Result<(), String> {
        let begin = Instant::now();
        while lock(&self.board).members.values().any(Option::is_some) {
            if begin.elapsed() > Duration::from_secs(30) {
                return Err("members are still connected to a dead broker".to_owned());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Whether the broker answered something that a member cannot act upon; all else is a connection
/// that is gone.
fn is_an_answer(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::Other
}
