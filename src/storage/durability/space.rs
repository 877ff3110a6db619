//! Room on the disk for what must go on when it is full: offset commits, metadata, deletions.
//!
//! Two means, because neither does alone:
//!
//! - a *mark*: while less is free than the reserve, records of clients are refused, and the
//!   broker's own are not. It says in advance what will not fit, and costs a comparison for an
//!   append, since the file system is asked only after so many bytes, and at least once a second.
//!   But another program may fill the disk at any time, past any mark.
//! - a *ballast*: a file that holds blocks of its own, and gives them up bit by bit when even the
//!   broker's own records meet a full disk. It comes back by itself when there is room again.
//!
//! | free, the ballast counted in | records of clients | the broker's own | ballast |
//! | --- | --- | --- | --- |
//! | the reserve, or more | written | written | held, or restored |
//! | less, since when it was less | refused until it is the reserve and an eighth | written | held, as far as there is room |
//! | nothing, a write failed | refused | written into what the ballast gives up | given up in eighths |
//!
//! A refusal is KAFKA_STORAGE_ERROR, which clients try again; nothing remembers it, so writing
//! resumes with the first look that finds room. While room is low, what was deleted is freed at
//! once and not after `file.delete.delay.ms`.
//!
//! Invariants: no look and no ballast changes what is acknowledged; a write that was given room
//! by the ballast is tried again, a sync never is (see [`offline`](crate::storage::durability::offline)).

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::SharedClock;
use crate::io::{OpenMode, SharedIo};

use crate::storage::core::Core;
use crate::storage::format::names;
use crate::storage::options::{Durability, StoreOptions};
use crate::storage::thread::Thread;
use crate::storage::upkeep::trim::Haste;
use crate::storage::upkeep::worker;

/// Longest time between two looks while appends come.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The same while room is low: how late an append may learn that there is room again.
const LOOK_INTERVAL_LOW: Duration = Duration::from_millis(100);

/// Most bytes that are appended between two looks.
const LOOK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How often the keeper looks while room is low, or the ballast is not whole.
const KEEPER_INTERVAL: Duration = Duration::from_millis(500);

/// How often, while room is low, segments are looked for that may go. What is deleted on request
/// goes soon, whatever this says.
const PASS_INTERVAL: Duration = Duration::from_secs(10);

/// The ballast can wait until a start is over.
const KEEPER_DELAY: Duration = Duration::from_secs(1);

/// Bounds of the reserve where it goes by the size of the file system.
const RESERVE_BYTES_MIN: u64 = 4 * 1024 * 1024;
const RESERVE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Most bytes of ballast: room for more than 100,000 offset commits.
const BALLAST_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Least bytes that the ballast gives up at a time.
const BALLAST_STEP_MIN: u64 = 64 * 1024;

/// How much is kept free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    /// Below this, clients are refused.
    reserve: u64,
    /// From this on, they are not any more.
    resume: u64,
    /// The part of it that is a file.
    ballast: u64,
}

impl Marks {
    /// For a file system of `total` bytes: a sixteenth, at least 4 MiB unless that is more than an
    /// eighth, at most 256 MiB; or as many bytes as the setting says.
    fn of(total: u64, setting: Option<u64>) -> Self {
        let least = RESERVE_BYTES_MIN.min(total / 8);
        let reserve = setting.unwrap_or((total / 16).clamp(least, RESERVE_BYTES_MAX));
        Self {
            reserve,
            resume: reserve + reserve / 8,
            ballast: (reserve / 4).min(BALLAST_BYTES_MAX),
        }
    }
}

/// Watches how much room there is.
#[derive(Debug)]
pub(in crate::storage) struct Space {
    /// Unguarded: the guard itself asks here for room.
    io: SharedIo,
    dir: PathBuf,
    clock: SharedClock,
    /// `klamm.disk.reserve.bytes`; `Some(0)` watches nothing.
    setting: Option<u64>,
    /// Whether clients are refused.
    low: AtomicBool,
    /// Bytes that may be appended before somebody looks again.
    credit: AtomicI64,
    /// When somebody looks at the latest, in milliseconds of the monotonic clock.
    next_look_ms: AtomicU64,
    /// Held by the one that looks; the others go by what was seen before.
    looking: Mutex<()>,
    ballast: Mutex<Ballast>,
    keeper: Mutex<Keeper>,
    poked: Condvar,
}

/// The file that holds room.
#[derive(Debug, Default)]
struct Ballast {
    /// Its length.
    held: u64,
    /// The length that it should have; unknown before the first look.
    wanted: u64,
    /// The file system does not set room aside.
    impossible: bool,
}

#[derive(Debug, Default)]
struct Keeper {
    stopped: bool,
    poked: bool,
    thread: Thread,
}

/// Whether a write failed for want of room.
pub(in crate::storage) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

impl Space {
    /// Watches the file system of a store's directory. Memory is bounded elsewhere.
    pub(in crate::storage) fn new(options: &StoreOptions) -> Self {
        Self {
            io: options.io.clone(),
            dir: options.dir.clone(),
            clock: options.clock.clone(),
            setting: match options.durability {
                Durability::Memory => Some(0),
                Durability::Fsync | Durability::Os => options.reserve_bytes,
            },
            low: AtomicBool::new(false),
            credit: AtomicI64::new(0),
            next_look_ms: AtomicU64::new(0),
            looking: Mutex::new(()),
            ballast: Mutex::default(),
            keeper: Mutex::default(),
            poked: Condvar::new(),
        }
    }

    /// Takes over the ballast that an earlier broker left, so many bytes of it.
    pub(in crate::storage) fn set_held(&self, bytes: u64) {
        let mut ballast = self.ballast.lock();
        (ballast.held, ballast.wanted) = (bytes, bytes);
    }

    /// Starts the thread that keeps the ballast and has deleted files freed while room is low.
    pub(in crate::storage) fn start(core: &Arc<Core>) {
        if core.space.setting == Some(0) || core.io.space(&core.dir).is_none() {
            return;
        }
        let shared = Arc::clone(core);
        match Thread::start("klamm-space", 128, move || keep(&shared)) {
            Ok(thread) => core.space.keeper.lock().thread = thread,
            // The mark works without it.
            Err(error) => tracing::warn!(%error, "no thread to keep room on the disk"),
        }
    }

    /// Ends the thread and waits for it.
    pub(in crate::storage) fn stop(&self) {
        let thread = {
            let mut keeper = self.keeper.lock();
            keeper.stopped = true;
            std::mem::take(&mut keeper.thread)
        };
        self.poked.notify_one();
        thread.join();
    }

    /// Whether so few bytes are free that clients are refused.
    pub(in crate::storage) fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// Whether records of a client, so many bytes of them, may be appended.
    pub(in crate::storage) fn admit(&self, bytes: u64) -> bool {
        if self.setting == Some(0) {
            return true;
        }
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let credit = self.credit.fetch_sub(bytes, Ordering::Relaxed);
        let due = self.next_look_ms.load(Ordering::Relaxed);
        if credit < bytes || milliseconds(self.clock.monotonic()) >= due {
            self.look();
        }
        !self.is_low()
    }

    /// Whether so many bytes can be written for a while, before others of the same go, and clients
    /// still are not refused.
    pub(in crate::storage) fn has_room_for(&self, bytes: u64) -> bool {
        if self.setting == Some(0) {
            return true;
        }
        let Some((total, usable)) = self.io.space(&self.dir).filter(|(total, _)| *total > 0) else {
            return true;
        };
        let free = usable.saturating_add(self.ballast.lock().held);
        free >= Marks::of(total, self.setting).resume.saturating_add(bytes)
    }

    /// What clients are told who are refused.
    pub(in crate::storage) fn refusal(&self) -> String {
        "the disk is nearly full: what is free is kept for offsets, metadata and deletions \
         (klamm.disk.reserve.bytes)"
            .to_owned()
    }

    /// Has the next append look: a write just failed for want of room.
    pub(in crate::storage) fn note_full(&self) {
        self.next_look_ms.store(0, Ordering::Relaxed);
        self.poke();
    }

    /// Does what must not fail for want of room, if there is a way: where it does, the ballast
    /// gives up some, and it is tried again.
    pub(in crate::storage) fn in_reserve<T>(
        &self,
        mut work: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match work() {
                Err(error) if is_full(&error) && self.give_up() => {}
                done => return done,
            }
        }
    }

    /// Asks the file system how much is free, and judges.
    fn look(&self) {
        let Some(_looking) = self.looking.try_lock() else {
            return;
        };
        let now = self.clock.monotonic();
        let Some((total, usable)) = self.io.space(&self.dir).filter(|(total, _)| *total > 0) else {
            self.low.store(false, Ordering::Relaxed);
            self.look_again(now + LOOK_INTERVAL, LOOK_BYTES_MAX);
            return;
        };
        let marks = Marks::of(total, self.setting);
        let free = {
            let mut ballast = self.ballast.lock();
            ballast.wanted = marks.ballast;
            usable.saturating_add(ballast.held)
        };
        let was_low = self.is_low();
        let low = match was_low {
            true => free < marks.resume,
            false => free < marks.reserve,
        };
        self.low.store(low, Ordering::Relaxed);
        match (was_low, low) {
            (false, true) => {
                tracing::error!(
                    dir = %self.dir.display(),
                    free,
                    reserve = marks.reserve,
                    "the disk is nearly full: producers are refused until there is room"
                );
                self.poke();
            }
            (true, false) => {
                tracing::warn!(dir = %self.dir.display(), free, "there is room again");
            }
            (true, true) | (false, false) => {}
        }
        match low {
            // By time alone.
            true => self.look_again(now + LOOK_INTERVAL_LOW, u64::MAX),
            false => {
                let half = (free - marks.reserve) / 2;
                let bytes = half.clamp(marks.reserve / 16, LOOK_BYTES_MAX);
                self.look_again(now + LOOK_INTERVAL, bytes);
            }
        }
    }

    fn look_again(&self, at: Duration, after_bytes: u64) {
        let credit = i64::try_from(after_bytes).unwrap_or(i64::MAX);
        self.credit.store(credit, Ordering::Relaxed);
        self.next_look_ms.store(milliseconds(at), Ordering::Relaxed);
    }

    /// Frees an eighth of the ballast; false if there is none. So a program that takes whatever
    /// comes free cannot take all of it at once.
    fn give_up(&self) -> bool {
        let mut ballast = self.ballast.lock();
        if ballast.held == 0 {
            return false;
        }
        let step = (ballast.wanted / 8).max(BALLAST_STEP_MIN);
        let rest = ballast.held.saturating_sub(step);
        let path = self.path();
        let cut = self
            .io
            .open(&path, OpenMode::Write)
            .and_then(|file| file.set_len(rest));
        match cut {
            Ok(()) => {
                tracing::warn!(path = %path.display(), left = rest, "gave up some of the reserve");
                ballast.held = rest;
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot give up the reserve");
                ballast.held = 0;
            }
        }
        drop(ballast);
        self.poke();
        true
    }

    /// Makes the ballast as large as it should be, if there is room. Whether it is.
    fn restore(&self) -> bool {
        let mut ballast = self.ballast.lock();
        let (held, wanted) = (ballast.held, ballast.wanted);
        if held == wanted || ballast.impossible {
            return true;
        }
        let usable = self.io.space(&self.dir).map_or(0, |(_, usable)| usable);
        // Not to the last block: what goes on now needs some, too.
        if held < wanted && usable < (wanted - held) + wanted {
            return false;
        }
        let path = self.path();
        let set = self.io.open(&path, OpenMode::Create).and_then(|file| {
            if held < wanted {
                file.reserve(wanted)?;
            }
            file.set_len(wanted)
        });
        match set {
            Ok(()) => {
                ballast.held = wanted;
                true
            }
            Err(error) if is_full(&error) => false,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot set aside a reserve");
                ballast.impossible = true;
                true
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(names::RESERVE)
    }

    fn poke(&self) {
        self.keeper.lock().poked = true;
        self.poked.notify_one();
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The keeper: looks, frees, restores, as long as something is not as it should be; then it
/// sleeps until it is poked.
fn keep(core: &Core) {
    let space = &core.space;
    let mut wait = Some(KEEPER_DELAY);
    let mut next_pass = Duration::ZERO;
    loop {
        {
            let mut keeper = space.keeper.lock();
            match wait {
                _ if keeper.stopped || keeper.poked => {}
                Some(wait) => {
                    space.poked.wait_for(&mut keeper, wait);
                }
                None => space.poked.wait(&mut keeper),
            }
            if keeper.stopped {
                return;
            }
            keeper.poked = false;
        }
        wait = (!tend(core, &mut next_pass)).then_some(KEEPER_INTERVAL);
    }
}

/// One turn of the keeper, with the time before which it does not look again for segments that may
/// go; whether all is as it should be.
pub(in crate::storage) fn tend(core: &Core, next_pass: &mut Duration) -> bool {
    let space = &core.space;
    if core.refusal().is_some() || space.setting == Some(0) {
        return true;
    }
    space.look();
    let now = core.clock.monotonic();
    if !space.is_low() {
        *next_pass = now;
    } else if *next_pass <= now
        && let Some(partitions) = core.partitions.get().and_then(Weak::upgrade)
    {
        let freed = worker::pass_now(core, &partitions, Haste::AtOnce);
        if freed.bytes > 0 {
            tracing::info!(bytes = freed.bytes, "freed old segments");
        }
        *next_pass = now + PASS_INTERVAL;
        space.look();
    }
    space.restore() && !space.is_low()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_goes_by_the_size_of_the_file_system_within_bounds() {
        const MIB: u64 = 1024 * 1024;
        let marks = |total: u64| {
            let Marks {
                reserve, ballast, ..
            } = Marks::of(total, None);
            (reserve / MIB, ballast / MIB)
        };
        assert_eq!(marks(16 * MIB), (2, 0));
        assert_eq!(marks(56 * MIB), (4, 1));
        assert_eq!(marks(1024 * MIB), (64, 16));
        assert_eq!(marks(1024 * 1024 * MIB), (256, 16));
        let set = Marks::of(1024 * MIB, Some(100 * MIB));
        assert_eq!((set.reserve, set.ballast), (100 * MIB, 16 * MIB));
    }
}
