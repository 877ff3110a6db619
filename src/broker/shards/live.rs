//! A machine that is loaded, and who waits for it.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{Unavailable, log};
use crate::batch::{Codec, Level};
use crate::coordinator::{Machine, Moment, Outcome, Waiter};
use crate::model::{Offset, Timestamp};
use crate::storage::Partition;

/// An answer, and what has to be durable before it may leave.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) reply: T,
    pub(super) log: Arc<Partition>,
    /// Everything below it.
    pub(super) end: Offset,
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Ran<T> {
    /// It is answered.
    Answered(Answer<T>),
    /// It will be.
    Waits(oneshot::Receiver<Answer<T>>),
}

/// A machine with its log.
#[derive(Debug)]
pub(super) struct Live<M: Machine> {
    machine: M,
    log: Arc<Partition>,
    codec: (Codec, Level),
    /// First offset after all that the machine has taken in.
    end: Offset,
    next_waiter: u64,
    waiters: HashMap<Waiter, oneshot::Sender<Answer<M::Reply>>>,
    /// What it wrote may not be there.
    failed: bool,
}

impl<M: Machine> Live<M> {
    /// Reads the log to its end. Waits for the disk.
    pub(super) fn load(
        log: Arc<Partition>,
        mut machine: M,
        codec: (Codec, Level),
        read_bytes: usize,
    ) -> Result<Self, Unavailable> {
        let end = log::read_all(&log, read_bytes, |record| machine.load(record)).inspect_err(
            |error| {
                tracing::error!(partition = ?log.id(), %error, "cannot load the records");
            },
        )?;
        Ok(Self {
            machine,
            log,
            codec,
            end,
            next_waiter: 0,
            waiters: HashMap::new(),
            failed: false,
        })
    }

    pub(super) fn machine(&self) -> &M {
        &self.machine
    }

    /// Whether it must be thrown away.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Everything is loaded: deadlines begin.
    pub(super) fn begin(&mut self, moment: Moment<'_, M::World>) -> Result<(), Unavailable> {
        let outcome = self.machine.loaded(moment);
        self.settle(outcome, None, moment.wall).map(drop)
    }

    /// Runs a request.
    pub(super) fn ask(
        &mut self,
        at: Timestamp,
        event: impl FnOnce(&mut M, Waiter) -> Outcome<M::Record, M::Reply>,
    ) -> Result<Ran<M::Reply>, Unavailable> {
        let waiter = Waiter(self.next_waiter);
        self.next_waiter += 1;
        let outcome = event(&mut self.machine, waiter);
        match self.settle(outcome, Some(waiter), at)? {
            Some(reply) => Ok(Ran::Answered(self.answer(reply))),
            None => {
                let (answers, waits) = oneshot::channel();
                self.waiters.insert(waiter, answers);
                Ok(Ran::Waits(waits))
            }
        }
    }

    /// Runs events until there is none.
    pub(super) fn settle_all(
        &mut self,
        at: Timestamp,
        mut event: impl FnMut(&mut M) -> Option<Outcome<M::Record, M::Reply>>,
    ) -> Result<(), Unavailable> {
        while let Some(outcome) = event(&mut self.machine) {
            self.settle(outcome, None, at)?;
        }
        Ok(())
    }

    /// An answer as of now.
    pub(super) fn answer<T>(&self, reply: T) -> Answer<T> {
        Answer {
            reply,
            log: Arc::clone(&self.log),
            end: self.end,
        }
    }

    /// Appends, replays, answers; the answer to `asking`, if it is among those.
    fn settle(
        &mut self,
        outcome: Outcome<M::Record, M::Reply>,
        asking: Option<Waiter>,
        at: Timestamp,
    ) -> Result<Option<M::Reply>, Unavailable> {
        if !outcome.records.is_empty() {
            // Soft state went ahead of what cannot be written now.
            self.failed = true;
            let batch = log::batch(&outcome.records, at, self.codec)?;
            let appended = self.log.append(batch, false).inspect_err(|error| {
                tracing::error!(partition = ?self.log.id(), %error, "cannot append records");
            })?;
            self.failed = false;
            self.end = appended.next_offset;
            for record in outcome.records {
                self.machine.replay(record);
            }
        }
        let mut own = None;
        for (waiter, reply) in outcome.replies {
            if Some(waiter) == asking {
                own = Some(reply);
            } else if let Some(answers) = self.waiters.remove(&waiter) {
                // Nobody listens where the client has gone.
                let _ = answers.send(self.answer(reply));
            }
        }
        Ok(own)
    }
}
