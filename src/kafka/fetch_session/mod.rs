//! Incremental fetch sessions (KIP-227): a consumer names its partitions once, then sends and
//! receives only what changed.
//!
//! The rules are those of Kafka's `FetchManager`, `FetchSession` and `FetchSessionCache`:
//!
//! | session id, epoch of the request | what happens |
//! | --- | --- |
//! | any, -1 (final) | the session of that id is closed; this fetch has none |
//! | any, 0 (initial) | the session of that id is closed; a new one is made if there is room |
//! | unknown id, above 0 | `FETCH_SESSION_ID_NOT_FOUND` |
//! | known id, not the next epoch | `INVALID_FETCH_SESSION_EPOCH` |
//! | known id, next epoch, but ids instead of names or the other way round | `FETCH_SESSION_TOPIC_ID_ERROR` |
//! | known id, next epoch | partitions are added, changed and forgotten, then all are fetched; a session that becomes empty is closed |
//!
//! The state machine is pure: time comes in as an argument, and the only randomness is that of
//! session ids, from a seed. Kafka splits its cache into eight shards of an eighth of the slots;
//! here it is one, so that the whole of `max.incremental.fetch.session.cache.slots` is usable.
//! What the sessions remember is bounded beside their number: partitions over all sessions by
//! [`FETCH_SESSION_PARTITIONS_MAX`], and no session remembers a name that no topic can have. A new
//! session that would go beyond is not made; an old one that would is closed, and its client
//! told that it was not found, after which it sends a full request.
//! There are no followers on one node, so no session is privileged.
//!
//! *Owns:* what is remembered between the fetches of one client. *May use:* plain data of `model`.
//! *Must not know:* the broker, what is stored, the form of requests and responses.
//!
//! *Invariants:* a session is changed only by the request that carries its next epoch, and by the
//! answer to that one; the lock of the cache is taken before that of a session, never after it.

mod cache;
mod order;
mod partition;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::limits::FETCH_SESSION_PARTITIONS_MAX;

use self::cache::Cache;
use self::partition::without_duplicates;
pub(crate) use self::partition::{Answered, PartitionKey, TopicKey, Wanted};
use self::session::{FINAL_EPOCH, INITIAL_EPOCH, Session};

/// Why a request cannot go on with its session. Each has a Kafka code of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionError {
    /// Closed, evicted or never there.
    #[error("the fetch session was not found")]
    IdNotFound,
    /// A request was lost or sent twice.
    #[error("the fetch session epoch is not the next one")]
    InvalidEpoch,
    /// A session goes on with names or with ids, as it began.
    #[error("the fetch session was made with the other kind of topic key")]
    TopicIdMismatch,
}

/// One fetch: its partitions in order, and what it has to do with sessions.
#[derive(Debug)]
pub(crate) struct FetchContext {
    /// What to fetch, each partition once.
    pub(crate) partitions: Vec<(PartitionKey, Wanted)>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Every partition is answered and nothing is remembered.
    Sessionless,
    /// Every partition is answered and remembered, if there is room.
    Full { uses_ids: bool },
    /// What changed is answered.
    Incremental {
        id: i32,
        session: Arc<Mutex<Session>>,
        next_epoch: i32,
    },
}

/// Which partitions to answer, under which session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Session id for the response; 0 for none.
    pub(crate) session_id: i32,
    /// For each partition of the context, whether it is part of the response. `None`: all are.
    pub(crate) keep: Option<Vec<bool>>,
}

/// The session fields of a request. Before version 7 there are none: see [`Self::LEGACY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionRequest {
    /// Session id; 0 for none.
    pub(crate) id: i32,
    /// Session epoch.
    pub(crate) epoch: i32,
}

impl SessionRequest {
    /// A client that knows nothing of sessions.
    pub(crate) const LEGACY: Self = Self {
        id: 0,
        epoch: FINAL_EPOCH,
    };
}

/// All fetch sessions of one broker: any connection may go on with any of them.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    cache: Mutex<Cache>,
}

impl FetchSessions {
    /// A cache with room for `slots` sessions (`max.incremental.fetch.session.cache.slots`);
    /// `seed` is for the ids.
    pub(crate) fn new(slots: usize, seed: u64) -> Self {
        Self {
            cache: Mutex::new(Cache::new(slots, FETCH_SESSION_PARTITIONS_MAX, seed)),
        }
    }

    /// Number of sessions.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.cache.lock().len()
    }

    /// Finds out what a request means: `wanted` and `forgotten` are its two lists, `uses_ids`
    /// whether its version names topics by id, `now` a monotonic time, for those that need it.
    pub(crate) fn begin(
        &self,
        request: SessionRequest,
        uses_ids: bool,
        wanted: Vec<(PartitionKey, Wanted)>,
        forgotten: impl IntoIterator<Item = PartitionKey>,
        now: impl FnOnce() -> Duration,
    ) -> Result<FetchContext, SessionError> {
        if matches!(request.epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            if request.id != 0 {
                self.cache.lock().close(request.id);
            }
            let kind = match request.epoch {
                FINAL_EPOCH => Kind::Sessionless,
                _ if !are_memorable(&wanted) => Kind::Sessionless,
                _ => Kind::Full { uses_ids },
            };
            return Ok(FetchContext {
                partitions: without_duplicates(wanted),
                kind,
            });
        }
        let mut cache = self.cache.lock();
        let shared = cache.get(request.id).ok_or(SessionError::IdNotFound)?;
        let mut session = shared.lock();
        session.accepts(request.epoch, uses_ids)?;
        let memorable = are_memorable(&wanted);
        session.update(wanted, forgotten);
        let has_room = cache.note_use(request.id, session.len(), now());
        if !(memorable && has_room) {
            cache.close(request.id);
            return Err(SessionError::IdNotFound);
        }
        if session.len() == 0 {
            cache.close(request.id);
            return Ok(FetchContext {
                partitions: Vec::new(),
                kind: Kind::Sessionless,
            });
        }
        drop(cache);
        let partitions = session.advance();
        let next_epoch = session.epoch();
        drop(session);
        let kind = Kind::Incremental {
            id: request.id,
            session: shared,
            next_epoch,
        };
        Ok(FetchContext { partitions, kind })
    }

    /// Chooses what to send of the answers, one for each partition of the context, and remembers
    /// it in the session.
    pub(crate) fn finish(
        &self,
        context: &FetchContext,
        answers: &[Answered],
        now: impl FnOnce() -> Duration,
    ) -> Result<Selection, SessionError> {
        match &context.kind {
            Kind::Sessionless => Ok(Selection {
                session_id: 0,
                keep: None,
            }),
            Kind::Full { uses_ids } => {
                let session_id = self.create(*uses_ids, &context.partitions, answers, now());
                Ok(Selection {
                    session_id,
                    keep: None,
                })
            }
            Kind::Incremental {
                id,
                session,
                next_epoch,
            } => {
                let mut session = session.lock();
                if session.epoch() != *next_epoch {
                    return Err(SessionError::InvalidEpoch);
                }
                let answered = context.partitions.iter().zip(answers);
                let keep = answered.map(|((key, _), answer)| session.changed(key, answer));
                Ok(Selection {
                    session_id: *id,
                    keep: Some(keep.collect()),
                })
            }
        }
    }

    /// A new session, if there is room or some can be made; else 0.
    fn create(
        &self,
        uses_ids: bool,
        partitions: &[(PartitionKey, Wanted)],
        answers: &[Answered],
        now: Duration,
    ) -> i32 {
        let mut cache = self.cache.lock();
        match cache.make_room(partitions.len(), now) {
            true => cache.add(Session::new(uses_ids, partitions, answers), now),
            false => 0,
        }
    }
}

fn are_memorable(wanted: &[(PartitionKey, Wanted)]) -> bool {
    wanted.iter().all(|(key, _)| key.is_memorable())
}
