//! Waiting, and waking those who wait, with few system calls.
//!
//! *Owns:* who waits for a change ([`Waiters`], [`Changed`]), how tasks of another thread are
//! woken ([`Bell`]), and until when somebody waits ([`Alarm`]). *May use:* nothing. *Must not
//! know:* what it is that changes.
//!
//! *Invariants:* a change that comes after it was counted wakes whoever waits since that count, or
//! finds it awake; nobody is woken while a lock is held; a thread is signalled once for all that is
//! woken on it until it looks.

mod alarm;
mod bell;
mod waiters;

pub use alarm::{Alarm, Passed};
pub use bell::Bell;
pub use waiters::{Changed, Waiters};
