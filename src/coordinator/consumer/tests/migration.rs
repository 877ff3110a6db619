//! Groups that change their kind while members go on, and members of both kinds in one group.

use bytes::Bytes;

use super::bench::{Bench, Client, GROUP, REBALANCE_MS, settle};
use super::classics::{Classic, assigned, joined};
use crate::coordinator::Migration;
use crate::coordinator::classic::Join;
use crate::coordinator::consumer::{ConsumerHeartbeat, Partitions};
use crate::coordinator::{Failure, GroupKind};
use crate::wire::consumer_protocol::Assignment;

fn kind(bench: &Bench) -> GroupKind {
    bench.shard.list().next().expect("a group").kind
}

#[test]
fn a_classic_group_becomes_a_consumer_group_while_its_members_read_on() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut old = Classic::begin("t", 4, &mut bench);
    assert_eq!((kind(&bench), old.generation), (GroupKind::Classic, 1));
    let mut new = Client::new("new", &["t"]);
    new.join(&mut bench);
    assert_eq!(kind(&bench), GroupKind::Consumer);
    // It waits for what the other one has.
    assert_eq!((new.epoch, new.told.take()), (2, Some(Partitions::new())));
    assert_eq!(old.beat(&mut bench), Err(Failure::RebalanceInProgress));
    old.try_join(&mut bench).unwrap();
    // It is told what it may keep, gives up the rest, and joins again.
    assert_eq!(old.sync(&mut bench, &[]), Ok(2));
    new.follow(&mut bench);
    assert_eq!(new.told, None);
    old.follow(&mut bench);
    new.follow(&mut bench);
    new.follow(&mut bench);
    assert_eq!((old.count(), new.owned.count()), (2, 2));
    assert_eq!(bench.state(), "Stable");
    assert_eq!(old.beat(&mut bench), Ok(()));
    let members = bench.describe().members;
    assert_eq!(members.iter().filter(|member| member.is_classic).count(), 1);
    bench.restart();
    assert_eq!(old.beat(&mut bench), Ok(()));
}

#[test]
fn a_consumer_group_becomes_a_classic_group_when_its_last_new_member_leaves() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut old = Classic::begin("t", 4, &mut bench);
    let mut new = Client::new("new", &["t"]);
    new.join(&mut bench);
    old.follow(&mut bench);
    old.follow(&mut bench);
    settle(&mut bench, &mut [&mut new]);
    new.leave(&mut bench);
    bench.pass(0);
    assert_eq!(kind(&bench), GroupKind::Classic);
    assert!(bench.try_describe().is_none());
    // Its members are asked to assign among themselves.
    assert_eq!(old.beat(&mut bench), Err(Failure::RebalanceInProgress));
    let joined = old.try_join(&mut bench).unwrap();
    assert_eq!(
        (joined.leader.as_str(), joined.members.len()),
        (old.id.as_str(), 1)
    );
    let id = old.id.clone();
    let all = assigned("t", &[0, 1, 2, 3]);
    assert_eq!(old.sync(&mut bench, &[(id, all)]), Ok(4));
    assert_eq!(old.beat(&mut bench), Ok(()));
    // What compaction keeps says nothing of the consumer group.
    bench.restart();
    assert_eq!(
        (kind(&bench), old.beat(&mut bench)),
        (GroupKind::Classic, Ok(()))
    );
}

#[test]
fn a_new_member_that_falls_silent_is_no_reason_to_stay_a_consumer_group() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut old = Classic::begin("t", 4, &mut bench);
    let mut new = Client::new("new", &["t"]);
    new.join(&mut bench);
    for _ in 0..10 {
        bench.pass(5_000);
        if kind(&bench) == GroupKind::Consumer {
            old.follow(&mut bench);
        }
    }
    assert_eq!(kind(&bench), GroupKind::Classic);
}

#[test]
fn the_policy_says_which_way_groups_may_go() {
    for (policy, up, down) in [
        ("disabled", false, false),
        ("UPGRADE", true, false),
        ("downgrade", false, true),
        ("Bidirectional", true, true),
    ] {
        let migration = Migration::by_name(policy);
        assert_eq!((migration.upgrade, migration.downgrade), (up, down));
        let mut bench = Bench::new(&[("t", 4)]);
        bench.settings.consumer.migration = migration;
        let _old = Classic::begin("t", 4, &mut bench);
        let mut new = Client::new("new", &["t"]);
        if !up {
            assert_eq!(bench.refused(&new.full()), Failure::GroupIdNotFound);
            assert_eq!(kind(&bench), GroupKind::Classic);
            continue;
        }
        new.join(&mut bench);
        new.leave(&mut bench);
        bench.pass(0);
        assert_eq!(kind(&bench) == GroupKind::Classic, down);
    }
}

#[test]
fn groups_of_other_protocols_and_of_custom_assignors_stay_classic() {
    let mut bench = Bench::new(&[("t", 4)]);
    let connect = Join {
        protocol_type: "connect".to_owned(),
        requires_known_member_id: false,
        ..Classic::new(&[]).request()
    };
    bench.run(|shard, waiter, moment| shard.join(GROUP, connect, waiter, moment));
    let new = Client::new("new", &["t"]);
    assert_eq!(bench.refused(&new.full()), Failure::GroupIdNotFound);

    let mut bench = Bench::new(&[("t", 4)]);
    let mut old = Classic::new(&["t"]);
    old.try_join(&mut bench).unwrap();
    let custom = Assignment {
        user_data: Some(Bytes::from_static(b"x")),
        ..Assignment::default()
    };
    let id = old.id.clone();
    old.sync(&mut bench, &[(id, custom.to_bytes(1).unwrap())])
        .unwrap();
    assert_eq!(bench.refused(&new.full()), Failure::GroupIdNotFound);
    assert_eq!(old.beat(&mut bench), Ok(()));
}

#[test]
fn whoever_waits_for_a_classic_rebalance_is_asked_to_join_again() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut old = Classic::begin("t", 4, &mut bench);
    let mut second = Classic::new(&["t"]);
    let required = second.send(&mut bench);
    second.id = joined(&mut bench, required).unwrap().member_id;
    let waiting = second.send(&mut bench);
    assert!(joined(&mut bench, waiting).is_none());
    let mut new = Client::new("new", &["t"]);
    new.join(&mut bench);
    let failure = joined(&mut bench, waiting).unwrap().failure;
    assert_eq!(failure, Some(Failure::RebalanceInProgress));
    second.try_join(&mut bench).unwrap();
    second.sync(&mut bench, &[]).unwrap();
    for _ in 0..4 {
        old.follow(&mut bench);
        second.follow(&mut bench);
        new.follow(&mut bench);
    }
    let mut counts = [old.count(), second.count(), new.owned.count()];
    counts.sort_unstable();
    assert_eq!((counts, bench.state()), ([1, 1, 2], "Stable"));
}

#[test]
fn an_empty_group_becomes_one_of_either_kind() {
    let mut bench = Bench::new(&[("t", 1)]);
    let mut new = Client::new("new", &["t"]);
    new.join(&mut bench);
    new.leave(&mut bench);
    let old = Classic::begin("t", 1, &mut bench);
    assert_eq!(kind(&bench), GroupKind::Classic);
    bench.restart();
    assert_eq!(
        (kind(&bench), old.beat(&mut bench)),
        (GroupKind::Classic, Ok(()))
    );
    old.leave(&mut bench);
    assert_eq!(kind(&bench), GroupKind::Classic);
    new.join(&mut bench);
    assert_eq!((kind(&bench), new.epoch), (GroupKind::Consumer, 1));
    bench.restart();
    assert_eq!(kind(&bench), GroupKind::Consumer);
}

#[test]
fn a_classic_member_joins_a_consumer_group() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut new = Client::new("new", &["t"]);
    new.join(&mut bench);
    settle(&mut bench, &mut [&mut new]);
    let mut old = Classic::new(&["t"]);
    let joined = old.try_join(&mut bench).unwrap();
    assert_eq!((joined.generation, joined.leader.as_str()), (2, ""));
    assert_eq!(joined.protocol.as_deref(), Some("cooperative-sticky"));
    assert_eq!(old.sync(&mut bench, &[]), Ok(0));
    // Not before there is something for it.
    assert_eq!(old.beat(&mut bench), Ok(()));
    new.follow(&mut bench);
    new.follow(&mut bench);
    assert_eq!(old.beat(&mut bench), Err(Failure::RebalanceInProgress));
    old.try_join(&mut bench).unwrap();
    assert_eq!(old.sync(&mut bench, &[]), Ok(2));
    old.leave(&mut bench);
    settle(&mut bench, &mut [&mut new]);
    assert_eq!(new.owned.count(), 4);
}

#[test]
fn classic_members_of_a_consumer_group_keep_to_their_protocol() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut new = Client::new("new", &["t"]);
    new.join(&mut bench);
    let mut old = Classic::new(&["t"]);
    let other = |change: fn(&mut Join)| {
        let mut request = old.request();
        change(&mut request);
        request
    };
    let inconsistent = Failure::InconsistentGroupProtocol;
    for (request, failure) in [
        (
            other(|request| request.protocol_type = "connect".to_owned()),
            inconsistent,
        ),
        (other(|request| request.protocols.clear()), inconsistent),
        (
            other(|request| request.protocols[0].metadata = Bytes::from_static(b"\0")),
            Failure::UnknownServerError,
        ),
    ] {
        let request = Join {
            member_id: "stranger".to_owned(),
            requires_known_member_id: false,
            ..request
        };
        let waiter = bench.run(|shard, waiter, moment| shard.join(GROUP, request, waiter, moment));
        let answer = joined(&mut bench, waiter).unwrap();
        assert_eq!(answer.failure, Some(failure));
        assert_eq!(answer.member_id, "");
    }
    old.try_join(&mut bench).unwrap();
    let mut third = Classic::new(&["t"]).request();
    third.protocols[0].name = "another".to_owned();
    let waiter = bench.run(|shard, waiter, moment| shard.join(GROUP, third, waiter, moment));
    let failure = joined(&mut bench, waiter).unwrap().failure;
    assert_eq!(failure, Some(Failure::InconsistentGroupProtocol));
    old.sync(&mut bench, &[]).unwrap();
    let late = Classic {
        generation: 1,
        id: old.id.clone(),
        ..Classic::new(&["t"])
    };
    assert_eq!(late.beat(&mut bench), Err(Failure::IllegalGeneration));
    let stranger = Classic {
        generation: 2,
        id: "x".to_owned(),
        ..Classic::new(&["t"])
    };
    assert_eq!(stranger.beat(&mut bench), Err(Failure::UnknownMemberId));
    let wrong = Classic {
        generation: 2,
        id: "new".to_owned(),
        ..Classic::new(&["t"])
    };
    assert_eq!(wrong.beat(&mut bench), Err(Failure::UnknownMemberId));
}

#[test]
fn a_classic_member_that_does_not_sync_or_join_in_time_is_removed() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut new = Client::new("new", &["t"]);
    new.join(&mut bench);
    let mut old = Classic::new(&["t"]);
    old.try_join(&mut bench).unwrap();
    // It is heard of, and never asks for what it has.
    for _ in 0..REBALANCE_MS / 5_000 {
        assert_eq!(bench.describe().members.len(), 2);
        bench.pass(5_000);
        new.follow(&mut bench);
        let _ = old.beat(&mut bench);
    }
    assert_eq!(bench.describe().members.len(), 1);
    old.id.clear();
    old.try_join(&mut bench).unwrap();
    old.sync(&mut bench, &[]).unwrap();
    let mut third = Client::new("third", &["t"]);
    third.join(&mut bench);
    let mut told = 0;
    for _ in 0..REBALANCE_MS / 5_000 + 2 {
        bench.pass(5_000);
        new.follow(&mut bench);
        third.follow(&mut bench);
        told += usize::from(old.beat(&mut bench) == Err(Failure::RebalanceInProgress));
    }
    assert!(told > 10);
    assert_eq!(bench.describe().members.len(), 2);
}

#[test]
fn a_static_member_changes_its_protocol_and_keeps_its_place() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut old = Classic {
        instance_id: Some("one".to_owned()),
        ..Classic::new(&["t"])
    };
    old.try_join(&mut bench).unwrap();
    let id = old.id.clone();
    old.sync(&mut bench, &[(id, assigned("t", &[0, 1, 2, 3]))])
        .unwrap();
    let mut again = Client::static_("again", "one", &["t"]);
    again.join(&mut bench);
    assert_eq!(again.told.as_ref().map(Partitions::count), Some(4));
    assert_eq!(bench.describe().members.len(), 1);
    settle(&mut bench, &mut [&mut again]);
    // And back: nobody is left who speaks the new protocol.
    let away = ConsumerHeartbeat {
        epoch: -2,
        ..again.short()
    };
    bench.beat(&away).unwrap();
    let mut back = Classic {
        instance_id: Some("one".to_owned()),
        ..Classic::new(&["t"])
    };
    back.try_join(&mut bench).unwrap();
    bench.pass(0);
    assert_eq!(kind(&bench), GroupKind::Classic);
    let joined = back.try_join(&mut bench).unwrap();
    assert_eq!(joined.members.len(), 1);
}

#[test]
fn a_downgrade_leaves_every_member_what_it_has() {
    let mut bench = Bench::new(&[("t", 4)]);
    let old = Classic::begin("t", 4, &mut bench);
    let mut new = Client::new("new", &["t"]);
    new.join(&mut bench);
    // It shall have some of the partitions, all of which the first one still has.
    let mut second = Classic::new(&["t"]);
    second.try_join(&mut bench).unwrap();
    new.leave(&mut bench);
    assert_eq!(kind(&bench), GroupKind::Classic);
    // The rebalance is due, and has not begun.
    assert_eq!(second.sync(&mut bench, &[]), Ok(0));
    assert_eq!(old.count(), 4);
    bench.pass(0);
    let again = Failure::RebalanceInProgress;
    assert_eq!(second.sync(&mut bench, &[]), Err(again));
}

#[test]
fn what_a_member_has_stays_its_own_through_a_migration_and_back() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut old = Classic::begin("t", 4, &mut bench);
    let mut new = Client::new("new", &["t"]);
    new.join(&mut bench);
    // The old one shall have two partitions, and reads on all four: nobody has told it yet.
    new.leave(&mut bench);
    bench.pass(0);
    let mut next = Client::new("next", &["t"]);
    next.join(&mut bench);
    assert_eq!(kind(&bench), GroupKind::Consumer);
    assert_eq!(next.told.take(), Some(Partitions::new()));
    for _ in 0..4 {
        old.try_join(&mut bench).unwrap();
        old.sync(&mut bench, &[]).unwrap();
        next.follow(&mut bench);
    }
    assert_eq!((old.count(), next.owned.count()), (2, 2));
}

#[test]
fn what_no_leader_has_assigned_yet_is_assigned_by_a_migration() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut old = Classic {
        instance_id: Some("one".to_owned()),
        ..Classic::new(&["t"])
    };
    // It leads, and has not assigned yet when it comes back with the consumer protocol.
    old.try_join(&mut bench).unwrap();
    let mut new = Client::static_("new", "one", &["t"]);
    new.join(&mut bench);
    assert_eq!(kind(&bench), GroupKind::Consumer);
    new.follow(&mut bench);
    assert_eq!(new.owned.count(), 4);
}

#[test]
fn a_rebalance_that_a_member_began_after_a_downgrade_is_not_begun_again() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut old = Classic::begin("t", 4, &mut bench);
    let mut new = Client::new("new", &["t"]);
    new.join(&mut bench);
    new.leave(&mut bench);
    let joined = old.try_join(&mut bench).unwrap();
    assert_eq!(joined.leader, old.id);
    bench.pass(0);
    let (id, all) = (old.id.clone(), assigned("t", &[0, 1, 2, 3]));
    assert_eq!(old.sync(&mut bench, &[(id, all)]), Ok(4));
}

#[test]
fn a_rebalance_that_a_downgrade_owes_outlives_the_broker() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut old = Classic::begin("t", 4, &mut bench);
    let mut new = Client::new("new", &["t"]);
    new.join(&mut bench);
    for _ in 0..4 {
        old.follow(&mut bench);
        new.follow(&mut bench);
    }
    assert_eq!(old.count(), 2);
    // What the new one has is nobody's once it has left.
    new.leave(&mut bench);
    bench.restart();
    assert_eq!(old.beat(&mut bench), Err(Failure::RebalanceInProgress));
    let joined = old.try_join(&mut bench).unwrap();
    assert_eq!((joined.members.len(), &joined.leader), (1, &old.id));
    let all = assigned("t", &[0, 1, 2, 3]);
    let id = old.id.clone();
    assert_eq!(old.sync(&mut bench, &[(id, all)]), Ok(4));
    // It is over, and is not repeated.
    bench.restart();
    assert_eq!(old.beat(&mut bench), Ok(()));
}

#[test]
fn a_group_that_was_empty_when_the_broker_started_rebalances_once() {
    let mut bench = Bench::new(&[("t", 1)]);
    let mut new = Client::new("new", &["t"]);
    new.join(&mut bench);
    new.leave(&mut bench);
    bench.restart();
    let old = Classic::begin("t", 1, &mut bench);
    bench.pass(0);
    assert_eq!((old.generation, old.beat(&mut bench)), (1, Ok(())));
}
