//! Members get their assignments.

use crate::coordinator::Failure;
use crate::coordinator::classic::Sync;
use crate::coordinator::testing::{Bench, REBALANCE_MS, SESSION_MS, identity, join, sync};
use crate::wire::groups::GroupRecord;

#[test]
fn all_get_what_the_leader_assigned_and_a_record_keeps_it() {
    let mut bench = Bench::new();
    let (first, second) = bench.pair(join(""), join(""));
    let Some(GroupRecord::ClassicGroup(key, Some(value))) = bench.log.last() else {
        panic!("{:?}", bench.log);
    };
    assert_eq!((&*key.group, value.generation), ("g", 2));
    assert_eq!(value.leader.as_deref(), Some(&*first.member_id));
    assert_eq!(value.protocol.as_deref(), Some("range"));
    let assigned = |member: &str| {
        let found = value.members.iter().find(|each| each.member_id == member);
        found.unwrap().assignment.clone()
    };
    assert_eq!(assigned(&first.member_id), "a");
    assert_eq!(assigned(&second.member_id), "b");
    assert_eq!(bench.log.len(), 2);
}

#[test]
fn followers_wait_for_the_leader_and_latecomers_do_not() {
    let mut bench = Bench::new();
    let first = bench.alone(join(""));
    let second = bench.join_new();
    let again = bench.join(join(&first.member_id));
    let (first, second) = (bench.joined(again), bench.joined(second));
    let waits = bench.sync(sync(&second, &[]));
    assert_eq!(bench.reply(waits), None);
    let leads = bench.sync(sync(&first, &[(&first.member_id, "a")]));
    assert_eq!(bench.synced(leads).assignment, "a");
    // Whom the leader forgot has nothing.
    assert_eq!(bench.synced(waits).assignment, "");
    let late = bench.sync(sync(&second, &[]));
    assert_eq!(bench.synced(late).failure, None);
}

#[test]
fn a_join_while_assignments_are_awaited_begins_anew() {
    let mut bench = Bench::new();
    let first = bench.alone(join(""));
    let second = bench.join_new();
    let again = bench.join(join(&first.member_id));
    bench.joined(again);
    let second = bench.joined(second);
    let waits = bench.sync(sync(&second, &[]));
    bench.join_new();
    assert_eq!(
        bench.synced(waits).failure,
        Some(Failure::RebalanceInProgress)
    );
    assert_eq!(bench.state(), "PreparingRebalance");
    let waiter = bench.sync(sync(&second, &[]));
    assert_eq!(
        bench.synced(waiter).failure,
        Some(Failure::RebalanceInProgress)
    );
}

#[test]
fn another_generation_member_or_protocol_is_refused() {
    let mut bench = Bench::new();
    let joined = bench.alone(join(""));
    let good = sync(&joined, &[]);
    let cases = [
        (
            Sync {
                generation: 2,
                ..good.clone()
            },
            Failure::IllegalGeneration,
        ),
        (
            Sync {
                member_id: "nobody".to_owned(),
                ..good.clone()
            },
            Failure::UnknownMemberId,
        ),
        (
            Sync {
                instance_id: Some("nobody".to_owned()),
                ..good.clone()
            },
            Failure::UnknownMemberId,
        ),
        (
            Sync {
                protocol_type: Some("connect".to_owned()),
                ..good.clone()
            },
            Failure::InconsistentGroupProtocol,
        ),
        (
            Sync {
                protocol: Some("sticky".to_owned()),
                ..good.clone()
            },
            Failure::InconsistentGroupProtocol,
        ),
    ];
    for (request, failure) in cases {
        let waiter = bench.sync(request);
        assert_eq!(bench.synced(waiter).failure, Some(failure));
    }
    // Older clients name neither type nor protocol.
    let waiter = bench.sync(Sync {
        protocol_type: None,
        protocol: None,
        ..good.clone()
    });
    assert_eq!(bench.synced(waiter).failure, None);
    let waiter = bench.ask(|shard, waiter, moment| shard.sync("other", good, waiter, moment));
    assert_eq!(bench.synced(waiter).failure, Some(Failure::UnknownMemberId));
}

#[test]
fn heartbeats_are_for_members_of_the_generation() {
    let mut bench = Bench::new();
    assert_eq!(bench.heartbeat("a", 1), Err(Failure::UnknownMemberId));
    let joined = bench.alone(join(""));
    let id = &joined.member_id;
    assert_eq!(bench.heartbeat(id, 1), Ok(()));
    assert_eq!(bench.heartbeat(id, 0), Err(Failure::IllegalGeneration));
    assert_eq!(bench.heartbeat("b", 1), Err(Failure::UnknownMemberId));
    let mut who = identity(id, 1);
    who.instance_id = Some("instance".to_owned());
    assert_eq!(bench.heartbeat_of(&who), Err(Failure::UnknownMemberId));
}

#[test]
fn who_does_not_sync_in_time_is_out() {
    let mut bench = Bench::new();
    let first = bench.alone(join(""));
    let second = bench.join_new();
    let again = bench.join(join(&first.member_id));
    bench.joined(again);
    let second = bench.joined(second);
    let waits = bench.sync(sync(&second, &[]));
    // Its heartbeats do not save a leader that assigns nothing.
    for _ in 0..4 {
        bench.pass(SESSION_MS - 2_000);
        let alive = bench.heartbeat(&first.member_id, 2);
        assert_eq!(alive.is_ok(), bench.state() == "CompletingRebalance");
        if alive.is_err() {
            break;
        }
    }
    assert_eq!(
        bench.synced(waits).failure,
        Some(Failure::RebalanceInProgress)
    );
    assert_eq!(
        bench.heartbeat(&first.member_id, 2),
        Err(Failure::UnknownMemberId)
    );
    assert_eq!(
        bench.heartbeat(&second.member_id, 2),
        Err(Failure::RebalanceInProgress)
    );
    const { assert!(4 * (SESSION_MS - 2_000) >= REBALANCE_MS) };
}

#[test]
fn who_waited_in_vain_for_an_assignment_has_a_session_again() {
    let mut bench = Bench::new();
    let first = bench.alone(join(""));
    let second = bench.join_new();
    let again = bench.join(join(&first.member_id));
    bench.joined(again);
    let second = bench.joined(second);
    let waits = bench.sync(sync(&second, &[]));
    // The leader is gone; the session of the other one would be over by now, too.
    bench.pass(SESSION_MS);
    assert_eq!(
        bench.synced(waits).failure,
        Some(Failure::RebalanceInProgress)
    );
    bench.pass(SESSION_MS - 1);
    assert_eq!(bench.state(), "PreparingRebalance");
    bench.pass(1);
    assert_eq!(bench.state(), "Empty");
}
