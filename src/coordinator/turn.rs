//! What a state machine is lent for one event.

use std::time::Duration;

use crate::model::Timestamp;

use super::outcome::{Outcome, Reply, Waiter};
use super::timers::Timers;
use super::world::{ConsumerTimeouts, GroupOverrides, GroupSettings, Topics};

/// What a deadline is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Deadline {
    /// The members of a classic group have had their time to join.
    Join { group: String },
    /// The members of a classic group have had their time to sync.
    Sync { group: String },
    /// Nothing was heard of a member for its session timeout, or the id that it was given was not
    /// used within it.
    Session { group: String, member: String },
    /// A member of a consumer group has had its time to give up partitions.
    Revocation { group: String, member: String },
    /// A classic member of a consumer group has had its time to join again.
    MemberJoin { group: String, member: String },
    /// A classic member of a consumer group has had its time to ask for what it has.
    MemberSync { group: String, member: String },
    /// A group may have to change its kind, or has just done so.
    Conversion { group: String },
    /// Expired offsets are looked for.
    Expiry,
}

impl Deadline {
    /// The group that it is about, if it is about one.
    pub(crate) fn group(&self) -> Option<&str> {
        match self {
            Self::Join { group }
            | Self::Sync { group }
            | Self::Session { group, .. }
            | Self::Revocation { group, .. }
            | Self::MemberJoin { group, .. }
            | Self::MemberSync { group, .. }
            | Self::Conversion { group } => Some(group),
            Self::Expiry => None,
        }
    }
}

/// What a state machine is lent for one event: the time, the settings, and where its consequences
/// go.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// Monotonic time: for deadlines.
    pub(crate) now: Duration,
    /// Wall-clock time: for records.
    pub(crate) wall: Timestamp,
    pub(crate) settings: &'a GroupSettings,
    pub(crate) topics: &'a dyn Topics,
    pub(crate) overrides: &'a dyn GroupOverrides,
    pub(crate) timers: &'a mut Timers<Deadline>,
    pub(crate) random: &'a mut fastrand::Rng,
    pub(crate) outcome: &'a mut Outcome,
}

impl Turn<'_> {
    /// Answers `waiter`, if there is one.
    pub(crate) fn reply(&mut self, waiter: Option<Waiter>, reply: impl Into<Reply>) {
        if let Some(waiter) = waiter {
            self.outcome.reply(waiter, reply);
        }
    }

    /// Sets a deadline so many milliseconds from now.
    pub(crate) fn set(&mut self, deadline: Deadline, ms: i32) {
        let delay = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        self.timers.set(deadline, self.now + delay);
    }

    /// The timeouts of a consumer group.
    pub(crate) fn consumer_timeouts(&self, group: &str) -> ConsumerTimeouts {
        let general = self.settings.consumer.timeouts;
        self.overrides.consumer_timeouts(group, general)
    }

    /// Whether a deadline is set.
    pub(crate) fn is_set(&self, deadline: &Deadline) -> bool {
        self.timers.is_set(deadline)
    }

    pub(crate) fn cancel(&mut self, deadline: &Deadline) {
        self.timers.cancel(deadline);
    }
}
