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

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::limits::{FETCH_SESSION_PARTITIONS_MAX, TOPIC_NAME_LENGTH_MAX};
use crate::model::{LeaderEpoch, Offset, PartitionId, TopicId};

/// How long a session is safe from a larger one, and how long an unused one is kept against any
/// other (`ServerConfigs.MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
const EVICTION_AGE: Duration = Duration::from_secs(120);

/// A topic as the fetching client names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    /// Up to version 12. Copied, so that a session does not hold on to a request's buffer.
    Name(Arc<str>),
    /// From version 13.
    Id(TopicId),
}

/// One partition of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PartitionKey {
    /// Its topic.
    pub(crate) topic: TopicKey,
    /// Its number.
    pub(crate) partition: PartitionId,
}

/// What the client wants of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// First offset.
    pub(crate) offset: Offset,
    /// Most bytes of this partition.
    pub(crate) max_bytes: i32,
    /// Leader epoch that the client knows.
    pub(crate) current_leader_epoch: Option<LeaderEpoch>,
    /// Epoch of the last record that the client has.
    pub(crate) last_fetched_epoch: Option<LeaderEpoch>,
}

/// What a session has to know of an answer to decide whether it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Whether there are records.
    pub(crate) has_records: bool,
    /// High watermark as it is sent; -1 with an error.
    pub(crate) high_watermark: i64,
    /// Log start offset as it is sent.
    pub(crate) log_start: i64,
    /// Whether it is an error.
    pub(crate) failed: bool,
    /// Whether it tells the client to truncate.
    pub(crate) diverging: bool,
}

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

const INITIAL_EPOCH: i32 = 0;
const FINAL_EPOCH: i32 = -1;

/// Epochs run from 1 to the largest integer and start over at 1.
const fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        ..0 => FINAL_EPOCH,
        i32::MAX => 1,
        _ => epoch + 1,
    }
}

/// All fetch sessions of one broker: any connection may go on with any of them.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    slots: usize,
    partitions_max: usize,
    cache: Mutex<Cache>,
}

#[derive(Debug)]
struct Cache {
    entries: HashMap<i32, Entry>,
    random: fastrand::Rng,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Mutex<Session>>,
    created: Duration,
    last_used: Duration,
    /// Partitions at the last use.
    size: usize,
    /// Whether it was old enough at its last use to make way for a larger one.
    evictable: bool,
}

#[derive(Debug)]
struct Session {
    uses_ids: bool,
    /// The epoch that the next request must carry.
    epoch: i32,
    partitions: Ordered,
}

/// Partitions in order of service: what had data goes to the back, so that a client that asks for
/// little at a time gets to see all of its partitions.
#[derive(Debug, Default)]
struct Ordered {
    places: HashMap<PartitionKey, u64>,
    partitions: BTreeMap<u64, (PartitionKey, Cached)>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Cached {
    wanted: Wanted,
    /// As sent last; -1 after an error, so that recovery from it is sent too.
    high_watermark: i64,
    /// As sent last.
    log_start: i64,
}

impl Ordered {
    fn push(&mut self, key: PartitionKey, cached: Cached) {
        self.places.insert(key.clone(), self.next);
        self.partitions.insert(self.next, (key, cached));
        self.next += 1;
    }

    fn get_mut(&mut self, key: &PartitionKey) -> Option<&mut Cached> {
        let place = self.places.get(key)?;
        self.partitions.get_mut(place).map(|(_, cached)| cached)
    }

    fn remove(&mut self, key: &PartitionKey) -> Option<Cached> {
        let place = self.places.remove(key)?;
        self.partitions.remove(&place).map(|(_, cached)| cached)
    }

    fn move_to_back(&mut self, key: &PartitionKey) {
        if self.places.len() > 1
            && let Some(cached) = self.remove(key)
        {
            self.push(key.clone(), cached);
        }
    }
}

impl FetchSessions {
    /// A cache with room for `slots` sessions (`max.incremental.fetch.session.cache.slots`);
    /// `seed` is for the ids.
    pub(crate) fn new(slots: usize, seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self {
            slots,
            partitions_max: FETCH_SESSION_PARTITIONS_MAX,
            cache: Mutex::new(Cache {
                entries: HashMap::new(),
                random,
            }),
        }
    }

    /// Number of sessions.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.cache.lock().entries.len()
    }

    /// Finds out what a request means: `wanted` and `forgotten` are its two lists, `uses_ids`
    /// whether its version names topics by id, `now` a monotonic time.
    pub(crate) fn begin(
        &self,
        request: SessionRequest,
        uses_ids: bool,
        wanted: Vec<(PartitionKey, Wanted)>,
        forgotten: impl IntoIterator<Item = PartitionKey>,
        now: Duration,
    ) -> Result<FetchContext, SessionError> {
        if matches!(request.epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            if request.id != 0 {
                self.cache.lock().entries.remove(&request.id);
            }
            let kind = match request.epoch {
                FINAL_EPOCH => Kind::Sessionless,
                _ if !wanted.iter().all(is_memorable) => Kind::Sessionless,
                _ => Kind::Full { uses_ids },
            };
            return Ok(FetchContext {
                partitions: without_duplicates(wanted),
                kind,
            });
        }
        let mut cache = self.cache.lock();
        let entry = cache
            .entries
            .get(&request.id)
            .ok_or(SessionError::IdNotFound)?;
        let shared = Arc::clone(&entry.session);
        let mut session = shared.lock();
        if session.epoch != request.epoch {
            return Err(SessionError::InvalidEpoch);
        }
        if session.uses_ids != uses_ids {
            return Err(SessionError::TopicIdMismatch);
        }
        let memorable = wanted.iter().all(is_memorable);
        session.update(wanted, forgotten);
        let size = session.partitions.places.len();
        let grows_by = size.saturating_sub(entry.size);
        if !memorable || (grows_by > 0 && cache.partitions() + grows_by > self.partitions_max) {
            cache.entries.remove(&request.id);
            return Err(SessionError::IdNotFound);
        }
        if size == 0 {
            cache.entries.remove(&request.id);
            return Ok(FetchContext {
                partitions: Vec::new(),
                kind: Kind::Sessionless,
            });
        }
        if let Some(entry) = cache.entries.get_mut(&request.id) {
            entry.last_used = now;
            entry.size = size;
            entry.evictable = now.saturating_sub(entry.created) > EVICTION_AGE;
        }
        drop(cache);
        session.epoch = next_epoch(session.epoch);
        let next_epoch = session.epoch;
        let partitions = session
            .partitions
            .partitions
            .values()
            .map(|(key, cached)| (key.clone(), cached.wanted))
            .collect();
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
        now: Duration,
    ) -> Result<Selection, SessionError> {
        match &context.kind {
            Kind::Sessionless => Ok(Selection {
                session_id: 0,
                keep: None,
            }),
            Kind::Full { uses_ids } => {
                let session_id = self.create(*uses_ids, &context.partitions, answers, now);
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
                if session.epoch != *next_epoch {
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
        let size = partitions.len();
        let fits = |cache: &Cache| {
            cache.entries.len() < self.slots && cache.partitions() + size <= self.partitions_max
        };
        while !fits(&cache) {
            if !cache.evict(size, now) {
                return 0;
            }
        }
        let mut ordered = Ordered::default();
        for ((key, wanted), answer) in partitions.iter().zip(answers) {
            let Answered {
                high_watermark,
                log_start,
                ..
            } = *answer;
            ordered.push(
                key.clone(),
                Cached {
                    wanted: *wanted,
                    high_watermark,
                    log_start,
                },
            );
        }
        let epoch = next_epoch(INITIAL_EPOCH);
        let session = Arc::new(Mutex::new(Session {
            uses_ids,
            epoch,
            partitions: ordered,
        }));
        let id = cache.unused_id();
        let entry = Entry {
            session,
            created: now,
            last_used: now,
            size,
            evictable: false,
        };
        cache.entries.insert(id, entry);
        id
    }
}

impl Cache {
    /// Partitions of all sessions, as of their last use.
    fn partitions(&self) -> usize {
        self.entries.values().map(|entry| entry.size).sum()
    }

    fn unused_id(&mut self) -> i32 {
        loop {
            let id = self.random.i32(1..=i32::MAX);
            if !self.entries.contains_key(&id) {
                return id;
            }
        }
    }

    /// Makes room for a session of `size` partitions: the one unused for longest goes if it is
    /// stale, else the smallest that is old enough, if it is smaller than the new one.
    ///
    /// Looks at every entry; it runs only when all slots are taken and a client wants another.
    fn evict(&mut self, size: usize, now: Duration) -> bool {
        let oldest = self
            .entries
            .iter()
            .min_by_key(|&(&id, entry)| (entry.last_used, id));
        let stale = oldest
            .filter(|(_, entry)| now.saturating_sub(entry.last_used) > EVICTION_AGE)
            .map(|(&id, _)| id);
        let evicted = stale.or_else(|| {
            let evictable = self.entries.iter().filter(|(_, entry)| entry.evictable);
            let smallest = evictable.map(|(&id, entry)| (entry.size, id)).min();
            smallest
                .filter(|&(smallest, _)| smallest < size)
                .map(|(_, id)| id)
        });
        evicted.and_then(|id| self.entries.remove(&id)).is_some()
    }
}

impl Session {
    fn update(
        &mut self,
        wanted: Vec<(PartitionKey, Wanted)>,
        forgotten: impl IntoIterator<Item = PartitionKey>,
    ) {
        for (key, wanted) in wanted {
            match self.partitions.get_mut(&key) {
                Some(cached) => cached.wanted = wanted,
                None => {
                    self.partitions.push(
                        key,
                        Cached {
                            wanted,
                            high_watermark: -1,
                            log_start: -1,
                        },
                    );
                }
            }
        }
        for key in forgotten {
            self.partitions.remove(&key);
        }
    }

    /// Whether an answer has to be sent, and takes note of it.
    fn changed(&mut self, key: &PartitionKey, answer: &Answered) -> bool {
        let Some(cached) = self.partitions.get_mut(key) else {
            return true;
        };
        let changed = answer.has_records
            || answer.failed
            || answer.diverging
            || cached.high_watermark != answer.high_watermark
            || cached.log_start != answer.log_start;
        cached.high_watermark = if answer.failed {
            -1
        } else {
            answer.high_watermark
        };
        cached.log_start = answer.log_start;
        if answer.has_records {
            self.partitions.move_to_back(key);
        }
        changed
    }
}

/// Whether a session may remember the partition: not if no topic can have its name.
fn is_memorable((key, _): &(PartitionKey, Wanted)) -> bool {
    match &key.topic {
        TopicKey::Name(name) => name.len() <= TOPIC_NAME_LENGTH_MAX,
        TopicKey::Id(_) => true,
    }
}

/// Each partition once, at its first place and as it was wanted last.
fn without_duplicates(wanted: Vec<(PartitionKey, Wanted)>) -> Vec<(PartitionKey, Wanted)> {
    if wanted.len() < 2 {
        return wanted;
    }
    let mut places = HashMap::with_capacity(wanted.len());
    let mut once: Vec<(PartitionKey, Wanted)> = Vec::with_capacity(wanted.len());
    for (key, wanted) in wanted {
        match places
            .get(&key)
            .and_then(|&place: &usize| once.get_mut(place))
        {
            Some((_, earlier)) => *earlier = wanted,
            None => {
                places.insert(key.clone(), once.len());
                once.push((key, wanted));
            }
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn key(topic: &str, partition: i32) -> PartitionKey {
        PartitionKey {
            topic: TopicKey::Name(topic.into()),
            partition: PartitionId(partition),
        }
    }

    fn wanted(offset: i64) -> Wanted {
        Wanted {
            offset: Offset(offset),
            max_bytes: 100,
            current_leader_epoch: None,
            last_fetched_epoch: None,
        }
    }

    fn partitions(count: i32) -> Vec<(PartitionKey, Wanted)> {
        (0..count)
            .map(|number| (key("t", number), wanted(0)))
            .collect()
    }

    fn full(id: i32) -> SessionRequest {
        SessionRequest { id, epoch: 0 }
    }

    const QUIET: Answered = Answered {
        has_records: false,
        high_watermark: 5,
        log_start: 0,
        failed: false,
        diverging: false,
    };

    /// Makes a session of `count` partitions and gives its id.
    fn create(sessions: &FetchSessions, count: i32, now: Duration) -> i32 {
        let context = sessions
            .begin(full(0), false, partitions(count), [], now)
            .unwrap();
        let answers = vec![QUIET; context.partitions.len()];
        sessions.finish(&context, &answers, now).unwrap().session_id
    }

    /// Goes on with a session without changing it; which partitions are sent.
    fn go_on(
        sessions: &FetchSessions,
        id: i32,
        epoch: i32,
        answer: impl Fn(&PartitionKey) -> Answered,
        now: Duration,
    ) -> Result<Vec<i32>, SessionError> {
        let context = sessions.begin(SessionRequest { id, epoch }, false, Vec::new(), [], now)?;
        let answers: Vec<_> = context
            .partitions
            .iter()
            .map(|(key, _)| answer(key))
            .collect();
        let selection = sessions.finish(&context, &answers, now)?;
        let keep = selection.keep.unwrap_or_else(|| vec![true; answers.len()]);
        let kept = context
            .partitions
            .iter()
            .zip(keep)
            .filter(|(_, keep)| *keep);
        Ok(kept.map(|((key, _), _)| key.partition.0).collect())
    }

    #[test]
    fn a_full_request_makes_a_session_and_answers_every_partition() {
        let sessions = FetchSessions::new(10, 1);
        let context = sessions
            .begin(full(0), false, partitions(3), [], seconds(0))
            .unwrap();
        let selection = sessions.finish(&context, &[QUIET; 3], seconds(0)).unwrap();
        assert!(selection.session_id > 0);
        assert_eq!(selection.keep, None);
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn a_request_of_the_final_epoch_has_no_session_and_closes_the_one_it_names() {
        let sessions = FetchSessions::new(10, 1);
        let id = create(&sessions, 1, seconds(0));
        let request = SessionRequest { id, epoch: -1 };
        let context = sessions
            .begin(request, false, partitions(2), [], seconds(0))
            .unwrap();
        assert_eq!(context.partitions.len(), 2);
        let selection = sessions.finish(&context, &[QUIET; 2], seconds(0)).unwrap();
        assert_eq!(
            selection,
            Selection {
                session_id: 0,
                keep: None
            }
        );
        assert_eq!(sessions.len(), 0);
    }

    #[test]
    fn a_full_request_closes_the_session_it_names_and_makes_another() {
        let sessions = FetchSessions::new(10, 1);
        let first = create(&sessions, 1, seconds(0));
        let context = sessions
            .begin(full(first), false, partitions(1), [], seconds(0))
            .unwrap();
        let second = sessions
            .finish(&context, &[QUIET], seconds(0))
            .unwrap()
            .session_id;
        assert_ne!(first, second);
        assert_eq!(sessions.len(), 1);
        assert_eq!(
            go_on(&sessions, first, 1, |_| QUIET, seconds(0)),
            Err(SessionError::IdNotFound)
        );
    }

    #[test]
    fn unknown_ids_wrong_epochs_and_the_other_topic_key_are_refused() {
        let sessions = FetchSessions::new(10, 1);
        assert_eq!(
            go_on(&sessions, 77, 1, |_| QUIET, seconds(0)),
            Err(SessionError::IdNotFound)
        );
        assert_eq!(
            go_on(&sessions, 0, 1, |_| QUIET, seconds(0)),
            Err(SessionError::IdNotFound)
        );
        let id = create(&sessions, 1, seconds(0));
        for epoch in [2, 3, -2, i32::MAX] {
            let refused = go_on(&sessions, id, epoch, |_| QUIET, seconds(0));
            assert_eq!(refused, Err(SessionError::InvalidEpoch), "{epoch}");
        }
        let request = SessionRequest { id, epoch: 1 };
        let refused = sessions.begin(request, true, Vec::new(), [], seconds(0));
        assert_eq!(refused.err(), Some(SessionError::TopicIdMismatch));
        assert_eq!(go_on(&sessions, id, 1, |_| QUIET, seconds(0)), Ok(vec![]));
        assert_eq!(
            go_on(&sessions, id, 1, |_| QUIET, seconds(0)),
            Err(SessionError::InvalidEpoch)
        );
        assert_eq!(go_on(&sessions, id, 2, |_| QUIET, seconds(0)), Ok(vec![]));
    }

    #[test]
    fn epochs_start_over_at_one() {
        assert_eq!(next_epoch(0), 1);
        assert_eq!(next_epoch(41), 42);
        assert_eq!(next_epoch(i32::MAX), 1);
        assert_eq!(next_epoch(-1), -1);
    }

    #[test]
    fn an_incremental_answer_lists_only_what_changed() {
        let sessions = FetchSessions::new(10, 1);
        let id = create(&sessions, 6, seconds(0));
        let answer = |key: &PartitionKey| match key.partition.0 {
            0 => Answered {
                has_records: true,
                ..QUIET
            },
            1 => Answered {
                high_watermark: 6,
                ..QUIET
            },
            2 => Answered {
                log_start: 1,
                ..QUIET
            },
            3 => Answered {
                failed: true,
                high_watermark: -1,
                log_start: -1,
                ..QUIET
            },
            4 => Answered {
                diverging: true,
                ..QUIET
            },
            _ => QUIET,
        };
        assert_eq!(
            go_on(&sessions, id, 1, answer, seconds(0)),
            Ok(vec![0, 1, 2, 3, 4])
        );
        // The moved offsets are known now; the error goes on; the data is taken as read.
        let answer = |key: &PartitionKey| match key.partition.0 {
            0 => QUIET,
            4 => QUIET,
            _ => answer(key),
        };
        assert_eq!(go_on(&sessions, id, 2, answer, seconds(0)), Ok(vec![3]));
        // The end of an error is news although the high watermark is what it was before.
        let answer = |key: &PartitionKey| match key.partition.0 {
            3 => QUIET,
            _ => answer(key),
        };
        assert_eq!(go_on(&sessions, id, 3, answer, seconds(0)), Ok(vec![3]));
        assert_eq!(go_on(&sessions, id, 4, answer, seconds(0)), Ok(vec![]));
    }

    #[test]
    fn partitions_with_data_go_to_the_back_of_the_order() {
        let sessions = FetchSessions::new(10, 1);
        let id = create(&sessions, 3, seconds(0));
        let data_at = |number| {
            move |key: &PartitionKey| Answered {
                has_records: key.partition.0 == number,
                ..QUIET
            }
        };
        go_on(&sessions, id, 1, data_at(0), seconds(0)).unwrap();
        let request = SessionRequest { id, epoch: 2 };
        let context = sessions
            .begin(request, false, Vec::new(), [], seconds(0))
            .unwrap();
        let order: Vec<_> = context
            .partitions
            .iter()
            .map(|(key, _)| key.partition.0)
            .collect();
        assert_eq!(order, [1, 2, 0]);
    }

    #[test]
    fn partitions_are_added_changed_and_forgotten() {
        let sessions = FetchSessions::new(10, 1);
        let id = create(&sessions, 3, seconds(0));
        let request = SessionRequest { id, epoch: 1 };
        let update = vec![(key("t", 1), wanted(9)), (key("u", 0), wanted(4))];
        let forgotten = [key("t", 0), key("never there", 0)];
        let context = sessions
            .begin(request, false, update, forgotten, seconds(0))
            .unwrap();
        let expected = vec![
            (key("t", 1), wanted(9)),
            (key("t", 2), wanted(0)),
            (key("u", 0), wanted(4)),
        ];
        assert_eq!(context.partitions, expected);
        let selection = sessions.finish(&context, &[QUIET; 3], seconds(0)).unwrap();
        // What is new is always answered: its offsets were never sent.
        assert_eq!(selection.keep, Some(vec![false, false, true]));
    }

    #[test]
    fn a_session_without_partitions_is_closed() {
        let sessions = FetchSessions::new(10, 1);
        let id = create(&sessions, 1, seconds(0));
        let request = SessionRequest { id, epoch: 1 };
        let context = sessions
            .begin(request, false, Vec::new(), [key("t", 0)], seconds(0))
            .unwrap();
        assert!(context.partitions.is_empty());
        assert_eq!(
            sessions
                .finish(&context, &[], seconds(0))
                .unwrap()
                .session_id,
            0
        );
        assert_eq!(sessions.len(), 0);
    }

    #[test]
    fn an_answer_is_refused_when_the_session_went_on_without_it() {
        let sessions = FetchSessions::new(10, 1);
        let id = create(&sessions, 1, seconds(0));
        let first = sessions
            .begin(
                SessionRequest { id, epoch: 1 },
                false,
                Vec::new(),
                [],
                seconds(0),
            )
            .unwrap();
        sessions
            .begin(
                SessionRequest { id, epoch: 2 },
                false,
                Vec::new(),
                [],
                seconds(0),
            )
            .unwrap();
        assert_eq!(
            sessions.finish(&first, &[QUIET], seconds(0)),
            Err(SessionError::InvalidEpoch)
        );
    }

    #[test]
    fn a_partition_named_twice_is_fetched_once_as_it_was_wanted_last() {
        let sessions = FetchSessions::new(10, 1);
        let twice = vec![
            (key("t", 0), wanted(1)),
            (key("t", 1), wanted(2)),
            (key("t", 0), wanted(3)),
        ];
        let context = sessions
            .begin(SessionRequest::LEGACY, false, twice, [], seconds(0))
            .unwrap();
        assert_eq!(
            context.partitions,
            [(key("t", 0), wanted(3)), (key("t", 1), wanted(2))]
        );
    }

    #[test]
    fn no_session_is_made_without_room() {
        let none = FetchSessions::new(0, 1);
        assert_eq!(create(&none, 1, seconds(0)), 0);
        let sessions = FetchSessions::new(2, 1);
        assert_ne!(create(&sessions, 1, seconds(0)), 0);
        assert_ne!(create(&sessions, 1, seconds(0)), 0);
        // Both are too young to make way, however large the new one.
        assert_eq!(create(&sessions, 100, seconds(120)), 0);
    }

    #[test]
    fn a_stale_session_makes_way_for_any_other() {
        let sessions = FetchSessions::new(2, 1);
        let stale = create(&sessions, 50, seconds(0));
        let fresh = create(&sessions, 50, seconds(1));
        assert_ne!(create(&sessions, 1, seconds(121)), 0);
        assert_eq!(
            go_on(&sessions, stale, 1, |_| QUIET, seconds(121)),
            Err(SessionError::IdNotFound)
        );
        assert!(go_on(&sessions, fresh, 1, |_| QUIET, seconds(121)).is_ok());
    }

    #[test]
    fn an_old_session_in_use_makes_way_only_for_a_larger_one() {
        let sessions = FetchSessions::new(2, 1);
        let large = create(&sessions, 20, seconds(0));
        let small = create(&sessions, 10, seconds(0));
        for (epoch, now) in [(1, 100), (2, 121)] {
            go_on(&sessions, large, epoch, |_| QUIET, seconds(now)).unwrap();
            go_on(&sessions, small, epoch, |_| QUIET, seconds(now)).unwrap();
        }
        assert_eq!(create(&sessions, 10, seconds(122)), 0);
        assert_ne!(create(&sessions, 11, seconds(122)), 0);
        assert_eq!(
            go_on(&sessions, small, 3, |_| QUIET, seconds(122)),
            Err(SessionError::IdNotFound)
        );
        assert!(go_on(&sessions, large, 3, |_| QUIET, seconds(122)).is_ok());
    }

    #[test]
    fn what_sessions_remember_is_bounded() {
        let mut sessions = FetchSessions::new(10, 1);
        sessions.partitions_max = 10;
        assert_eq!(create(&sessions, 11, seconds(0)), 0);
        let first = create(&sessions, 6, seconds(0));
        assert_eq!(create(&sessions, 5, seconds(0)), 0);
        let second = create(&sessions, 4, seconds(0));
        assert!(go_on(&sessions, first, 1, |_| QUIET, seconds(0)).is_ok());
        let request = SessionRequest {
            id: second,
            epoch: 1,
        };
        let grown = sessions.begin(request, false, partitions(5), [], seconds(0));
        assert_eq!(grown.err(), Some(SessionError::IdNotFound));
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn a_name_that_no_topic_can_have_is_not_remembered() {
        let sessions = FetchSessions::new(10, 1);
        let long = || vec![(key(&"x".repeat(250), 0), wanted(0))];
        let context = sessions
            .begin(full(0), false, long(), [], seconds(0))
            .unwrap();
        assert_eq!(context.partitions.len(), 1);
        assert_eq!(
            sessions
                .finish(&context, &[QUIET], seconds(0))
                .unwrap()
                .session_id,
            0
        );
        let id = create(&sessions, 1, seconds(0));
        let request = SessionRequest { id, epoch: 1 };
        let refused = sessions.begin(request, false, long(), [], seconds(0));
        assert_eq!(refused.err(), Some(SessionError::IdNotFound));
    }
}
