//! Static members (KIP-345): they keep their place while their clients start again.

use crate::coordinator::Failure;
use crate::coordinator::classic::{Join, Sync};
use crate::coordinator::testing::{
    Bench, REBALANCE_MS, SESSION_MS, identity, join, join_static, leave_static, protocol, sync,
};

#[test]
fn a_static_member_joins_without_asking_for_an_id_first() {
    let mut bench = Bench::new();
    let joined = bench.alone(Join {
        requires_known_member_id: true,
        ..join_static("", "i")
    });
    assert!(joined.member_id.starts_with("i-"));
    assert_eq!(joined.members[0].instance_id.as_deref(), Some("i"));
}

#[test]
fn a_follower_that_comes_back_finds_its_place_without_a_rebalance() {
    let mut bench = Bench::new();
    let (leader, before) = bench.pair(join_static("", "a"), join_static("", "b"));
    let waiter = bench.join(join_static("", "b"));
    let after = bench.joined(waiter);
    assert_eq!((after.failure, after.generation), (None, 2));
    assert_ne!(after.member_id, before.member_id);
    assert_eq!(after.leader, leader.member_id);
    assert_eq!((bench.state(), after.members.len()), ("Stable", 0));
    let waiter = bench.sync(Sync {
        instance_id: Some("b".to_owned()),
        ..sync(&after, &[])
    });
    assert_eq!(bench.synced(waiter).assignment, "b");
    // Its former self is fenced, and the place outlives a restart.
    let mut old = identity(&before.member_id, 2);
    old.instance_id = Some("b".to_owned());
    assert_eq!(bench.heartbeat_of(&old), Err(Failure::FencedInstanceId));
    bench.restart();
    let mut new = identity(&after.member_id, 2);
    new.instance_id = Some("b".to_owned());
    assert_eq!(bench.heartbeat_of(&new), Ok(()));
}

#[test]
fn a_leader_that_comes_back_does_not_assign() {
    let mut bench = Bench::new();
    let before = bench.alone(join_static("", "a"));
    // An older client is told that its former self leads; a newer one to keep the assignment.
    let waiter = bench.join(join_static("", "a"));
    let older = bench.joined(waiter);
    assert_eq!((older.leader, older.members.len()), (before.member_id, 0));
    let waiter = bench.join(Join {
        supports_skipping_assignment: true,
        ..join_static("", "a")
    });
    let newer = bench.joined(waiter);
    assert!(newer.skip_assignment);
    assert_eq!(newer.leader, newer.member_id);
    assert_eq!(newer.members.len(), 1);
    let waiter = bench.sync(sync(&newer, &[]));
    assert_eq!(bench.synced(waiter).assignment, "all");
}

#[test]
fn a_member_that_comes_back_wanting_another_protocol_begins_a_rebalance() {
    let mut bench = Bench::new();
    bench.alone(join_static("", "a"));
    let waiter = bench.join(Join {
        protocols: vec![protocol("sticky", &["t"])],
        ..join_static("", "a")
    });
    assert_eq!(
        bench.joined(waiter).failure,
        Some(Failure::InconsistentGroupProtocol)
    );
    let waiter = bench.join(Join {
        protocols: vec![protocol("sticky", &["t"]), protocol("range", &["t"])],
        ..join_static("", "a")
    });
    let joined = bench.joined(waiter);
    assert_eq!(
        (joined.generation, joined.protocol.as_deref()),
        (2, Some("sticky"))
    );
}

#[test]
fn coming_back_while_assignments_are_awaited_begins_anew() {
    let mut bench = Bench::new();
    let waiter = bench.join(join_static("", "a"));
    let before = bench.joined(waiter);
    let waiter = bench.join(join_static("", "a"));
    let after = bench.joined(waiter);
    assert_eq!(
        (after.generation, after.leader.clone()),
        (2, after.member_id)
    );
    let waiter = bench.sync(sync(&before, &[]));
    assert_eq!(bench.synced(waiter).failure, Some(Failure::UnknownMemberId));
}

#[test]
fn whoever_waits_under_the_old_id_is_fenced() {
    let mut bench = Bench::new();
    let first = bench.alone(join(""));
    let old = bench.join(join_static("", "b"));
    let new = bench.join(join_static("", "b"));
    assert_eq!(bench.joined(old).failure, Some(Failure::FencedInstanceId));
    let again = bench.join(join(&first.member_id));
    assert_eq!(bench.joined(again).members.len(), 2);
    assert_eq!(bench.joined(new).failure, None);
}

#[test]
fn a_static_member_outlasts_a_rebalance_but_not_its_session() {
    let mut bench = Bench::new();
    let patient = Join {
        session_timeout_ms: 60_000,
        ..join_static("", "s")
    };
    let (first, second) = bench.pair(join(""), patient);
    let third = bench.join_new();
    let again = bench.join(join(&first.member_id));
    bench.pass(REBALANCE_MS);
    // The dynamic ones go on, with the static one among them.
    let joined = bench.joined(again);
    assert_eq!((joined.generation, joined.members.len()), (3, 3));
    let third = bench.joined(third);
    for member in [&joined.member_id, &third.member_id] {
        assert_eq!(bench.heartbeat(member, 3), Ok(()));
    }
    bench.pass(SESSION_MS - 1);
    let mut who = identity(&second.member_id, 3);
    who.instance_id = Some("s".to_owned());
    assert_eq!(bench.heartbeat_of(&who), Ok(()));
}

#[test]
fn static_members_alone_wait_for_one_of_them() {
    let mut bench = Bench::new();
    let lasting = |instance| Join {
        session_timeout_ms: 60_000,
        ..join_static("", instance)
    };
    let (first, second) = bench.pair(lasting("a"), lasting("b"));
    bench.leave(&[leave_static("a")]).unwrap();
    bench.pass(REBALANCE_MS);
    assert_eq!(bench.state(), "PreparingRebalance");
    let waiter = bench.join(Join {
        member_id: second.member_id.clone(),
        ..lasting("b")
    });
    let joined = bench.joined(waiter);
    assert_eq!(joined.leader, second.member_id);
    assert_ne!(joined.leader, first.member_id);
}

#[test]
fn a_session_that_ends_takes_the_place_away() {
    let mut bench = Bench::new();
    bench.alone(join_static("", "a"));
    bench.pass(SESSION_MS);
    assert_eq!(bench.state(), "Empty");
    let waiter = bench.join(join_static("", "a"));
    assert_eq!(bench.joined(waiter).generation, 3);
}

#[test]
fn an_instance_id_belongs_to_one_member() {
    let mut bench = Bench::new();
    bench.alone(join_static("", "a"));
    let waiter = bench.join(join_static("somebody", "a"));
    assert_eq!(
        bench.joined(waiter).failure,
        Some(Failure::FencedInstanceId)
    );
    let waiter = bench.join(join_static("somebody", "b"));
    assert_eq!(bench.joined(waiter).failure, Some(Failure::UnknownMemberId));
}
