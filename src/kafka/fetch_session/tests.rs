//! What requests one after another make of sessions, and who makes way when there is no room.

use super::*;
use crate::model::{Offset, PartitionId};

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
        .begin(full(0), false, partitions(count), [], || now)
        .unwrap();
    let answers = vec![QUIET; context.partitions.len()];
    sessions
        .finish(&context, &answers, || now)
        .unwrap()
        .session_id
}

/// Goes on with a session without changing it; which partitions are sent.
fn go_on(
    sessions: &FetchSessions,
    id: i32,
    epoch: i32,
    answer: impl Fn(&PartitionKey) -> Answered,
    now: Duration,
) -> Result<Vec<i32>, SessionError> {
    let context = sessions.begin(SessionRequest { id, epoch }, false, Vec::new(), [], || now)?;
    let answers: Vec<_> = context
        .partitions
        .iter()
        .map(|(key, _)| answer(key))
        .collect();
    let selection = sessions.finish(&context, &answers, || now)?;
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
        .begin(full(0), false, partitions(3), [], || seconds(0))
        .unwrap();
    let selection = sessions
        .finish(&context, &[QUIET; 3], || seconds(0))
        .unwrap();
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
        .begin(request, false, partitions(2), [], || seconds(0))
        .unwrap();
    assert_eq!(context.partitions.len(), 2);
    let selection = sessions
        .finish(&context, &[QUIET; 2], || seconds(0))
        .unwrap();
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
        .begin(full(first), false, partitions(1), [], || seconds(0))
        .unwrap();
    let second = sessions
        .finish(&context, &[QUIET], || seconds(0))
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
    let refused = sessions.begin(request, true, Vec::new(), [], || seconds(0));
    assert_eq!(refused.err(), Some(SessionError::TopicIdMismatch));
    assert_eq!(go_on(&sessions, id, 1, |_| QUIET, seconds(0)), Ok(vec![]));
    assert_eq!(
        go_on(&sessions, id, 1, |_| QUIET, seconds(0)),
        Err(SessionError::InvalidEpoch)
    );
    assert_eq!(go_on(&sessions, id, 2, |_| QUIET, seconds(0)), Ok(vec![]));
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
        .begin(request, false, Vec::new(), [], || seconds(0))
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
        .begin(request, false, update, forgotten, || seconds(0))
        .unwrap();
    let expected = vec![
        (key("t", 1), wanted(9)),
        (key("t", 2), wanted(0)),
        (key("u", 0), wanted(4)),
    ];
    assert_eq!(context.partitions, expected);
    let selection = sessions
        .finish(&context, &[QUIET; 3], || seconds(0))
        .unwrap();
    // What is new is always answered: its offsets were never sent.
    assert_eq!(selection.keep, Some(vec![false, false, true]));
}

#[test]
fn a_session_without_partitions_is_closed() {
    let sessions = FetchSessions::new(10, 1);
    let id = create(&sessions, 1, seconds(0));
    let request = SessionRequest { id, epoch: 1 };
    let context = sessions
        .begin(request, false, Vec::new(), [key("t", 0)], || seconds(0))
        .unwrap();
    assert!(context.partitions.is_empty());
    assert_eq!(
        sessions
            .finish(&context, &[], || seconds(0))
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
            || seconds(0),
        )
        .unwrap();
    sessions
        .begin(
            SessionRequest { id, epoch: 2 },
            false,
            Vec::new(),
            [],
            || seconds(0),
        )
        .unwrap();
    assert_eq!(
        sessions.finish(&first, &[QUIET], || seconds(0)),
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
        .begin(SessionRequest::LEGACY, false, twice, [], || seconds(0))
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
    let sessions = FetchSessions {
        cache: Mutex::new(Cache::new(10, 10, 1)),
    };
    assert_eq!(create(&sessions, 11, seconds(0)), 0);
    let first = create(&sessions, 6, seconds(0));
    assert_eq!(create(&sessions, 5, seconds(0)), 0);
    let second = create(&sessions, 4, seconds(0));
    assert!(go_on(&sessions, first, 1, |_| QUIET, seconds(0)).is_ok());
    let request = SessionRequest {
        id: second,
        epoch: 1,
    };
    let grown = sessions.begin(request, false, partitions(5), [], || seconds(0));
    assert_eq!(grown.err(), Some(SessionError::IdNotFound));
    assert_eq!(sessions.len(), 1);
}

#[test]
fn a_name_that_no_topic_can_have_is_not_remembered() {
    let sessions = FetchSessions::new(10, 1);
    let long = || vec![(key(&"x".repeat(250), 0), wanted(0))];
    let context = sessions
        .begin(full(0), false, long(), [], || seconds(0))
        .unwrap();
    assert_eq!(context.partitions.len(), 1);
    assert_eq!(
        sessions
            .finish(&context, &[QUIET], || seconds(0))
            .unwrap()
            .session_id,
        0
    );
    let id = create(&sessions, 1, seconds(0));
    let request = SessionRequest { id, epoch: 1 };
    let refused = sessions.begin(request, false, long(), [], || seconds(0));
    assert_eq!(refused.err(), Some(SessionError::IdNotFound));
}
