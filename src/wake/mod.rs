//! Waking many tasks that wait for one thing, with few signals.
//!
//! *Owns:* who waits for a change ([`Waiters`], [`Changed`]), and how tasks of another thread are
//! woken ([`Bell`]). *May use:* nothing. *Must not know:* what it is that changes.
//!
//! *Invariants:* a change that comes after it was counted wakes whoever waits since that count, or
//! finds it awake; nobody is woken while a lock is held; a thread is signalled once for all that is
//! woken on it until it looks.

mod bell;
mod waiters;

pub use bell::Bell;
pub use waiters::{Changed, Waiters};
