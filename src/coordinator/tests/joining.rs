//! Members join.

use crate::coordinator::Failure;
use crate::coordinator::classic::{Join, Joined};
use crate::coordinator::testing::{Bench, SESSION_MS, join, protocol, sync};

#[test]
fn the_first_member_leads_and_is_told_of_itself() {
    let mut bench = Bench::new();
    let waiter = bench.join_new();
    let joined = bench.joined(waiter);
    assert_eq!((joined.failure, joined.generation), (None, 1));
    assert_eq!(joined.leader, joined.member_id);
    assert!(joined.member_id.starts_with("client-"));
    assert_eq!(joined.protocol.as_deref(), Some("range"));
    assert_eq!(joined.members.len(), 1);
    assert_eq!(
        joined.members[0].metadata,
        protocol("range", &["t"]).metadata
    );
    assert_eq!(bench.state(), "CompletingRebalance");
    // Nothing is worth keeping before assignments are.
    assert!(bench.log.is_empty());
}

#[test]
fn a_newer_client_must_come_back_with_the_id_that_it_is_given() {
    let mut bench = Bench::new();
    let request = Join {
        requires_known_member_id: true,
        ..join("")
    };
    let waiter = bench.join(request.clone());
    let given = bench.joined(waiter);
    assert_eq!(given.failure, Some(Failure::MemberIdRequired));
    assert_eq!(bench.state(), "Empty");
    let again = Join {
        member_id: given.member_id.clone(),
        ..request
    };
    let waiter = bench.join(again);
    let joined = bench.joined(waiter);
    assert_eq!((joined.failure, joined.member_id), (None, given.member_id));
}

#[test]
fn an_id_that_was_given_out_is_good_for_a_session_timeout() {
    let mut bench = Bench::new();
    let request = Join {
        requires_known_member_id: true,
        ..join("")
    };
    let waiter = bench.join(request.clone());
    let given = bench.joined(waiter).member_id;
    bench.pass(SESSION_MS);
    let waiter = bench.join(Join {
        member_id: given,
        ..request
    });
    assert_eq!(bench.joined(waiter).failure, Some(Failure::UnknownMemberId));
}

#[test]
fn an_id_that_was_given_out_holds_up_a_rebalance_until_it_comes_or_expires() {
    let mut bench = Bench::new();
    let first = bench.alone(join(""));
    let asks = bench.join(Join {
        requires_known_member_id: true,
        session_timeout_ms: 5_000,
        ..join("")
    });
    bench.joined(asks);
    let third = bench.join_new();
    let again = bench.join(join(&first.member_id));
    bench.pass(4_999);
    assert_eq!(bench.reply(again), None);
    bench.pass(1);
    assert_eq!(bench.joined(again).generation, 2);
    assert_eq!(bench.joined(third).generation, 2);
}

#[test]
fn a_second_member_has_the_first_one_join_again() {
    let mut bench = Bench::new();
    let first = bench.alone(join(""));
    let second = bench.join_new();
    assert_eq!(bench.reply(second), None);
    assert_eq!(bench.state(), "PreparingRebalance");
    assert_eq!(
        bench.heartbeat(&first.member_id, 1),
        Err(Failure::RebalanceInProgress)
    );
    let again = bench.join(join(&first.member_id));
    let (first, second) = (bench.joined(again), bench.joined(second));
    assert_eq!((first.generation, second.generation), (2, 2));
    assert_eq!((first.members.len(), second.members.len()), (2, 0));
    assert_eq!(second.leader, first.member_id);
}

#[test]
fn who_does_not_join_again_within_the_slowest_members_time_is_out() {
    let mut bench = Bench::new();
    let slow = Join {
        rebalance_timeout_ms: 8_000,
        ..join("")
    };
    let first = bench.alone(slow);
    let second = bench.join(Join {
        rebalance_timeout_ms: 5_000,
        ..join("")
    });
    bench.pass(7_999);
    assert_eq!(bench.reply(second), None);
    bench.pass(1);
    let second = bench.joined(second);
    assert_eq!(second.leader, second.member_id);
    assert_eq!(second.members.len(), 1);
    assert_eq!(
        bench.heartbeat(&first.member_id, 2),
        Err(Failure::UnknownMemberId)
    );
}

#[test]
fn a_member_that_is_not_heard_of_is_out_and_one_that_waits_is_not() {
    let mut bench = Bench::new();
    let (first, second) = bench.pair(join(""), join(""));
    bench.pass(SESSION_MS - 1);
    assert_eq!(bench.heartbeat(&first.member_id, 2), Ok(()));
    bench.pass(1);
    assert_eq!(bench.state(), "PreparingRebalance");
    assert_eq!(
        bench.heartbeat(&second.member_id, 2),
        Err(Failure::UnknownMemberId)
    );
    // Sessions of those who wait for the others do not run out.
    let third = bench.join_new();
    let again = bench.join(join(&first.member_id));
    assert_eq!(bench.joined(again).generation, 3);
    assert_eq!(bench.joined(third).failure, None);
}

#[test]
fn a_new_member_does_not_wait_for_ever() {
    let mut bench = Bench::new();
    let patient = Join {
        rebalance_timeout_ms: 3_600_000,
        session_timeout_ms: 60_000,
        ..join("")
    };
    let first = bench.alone(patient.clone());
    let second = bench.join(patient);
    for _ in 0..10 {
        bench.pass(30_000);
        let alive = bench.heartbeat(&first.member_id, 1);
        assert_eq!(alive, Err(Failure::RebalanceInProgress));
    }
    // Five minutes: its client may have gone away and asked anew.
    assert_eq!(bench.joined(second).failure, Some(Failure::UnknownMemberId));
}

#[test]
fn the_protocol_is_one_that_all_offer_and_most_prefer() {
    let mut bench = Bench::new();
    let offers = |names: &[&str]| Join {
        protocols: names.iter().map(|name| protocol(name, &["t"])).collect(),
        ..join("")
    };
    let first = bench.alone(offers(&["range", "sticky", "robin"]));
    let second = bench.join(offers(&["robin", "sticky"]));
    let third = bench.join(offers(&["sticky", "robin"]));
    let again = bench.join(Join {
        member_id: first.member_id,
        ..offers(&["range", "sticky", "robin"])
    });
    assert_eq!(bench.joined(again).protocol.as_deref(), Some("sticky"));
    assert_eq!(bench.joined(second).protocol.as_deref(), Some("sticky"));
    assert_eq!(bench.joined(third).protocol.as_deref(), Some("sticky"));
}

#[test]
fn members_that_cannot_agree_do_not_come_together() {
    let mut bench = Bench::new();
    let refused = |bench: &mut Bench, request: Join| {
        let waiter = bench.join(request);
        bench.joined(waiter).failure
    };
    let inconsistent = Some(Failure::InconsistentGroupProtocol);
    let none = Join {
        protocols: Vec::new(),
        ..join("")
    };
    assert_eq!(refused(&mut bench, none), inconsistent);
    bench.alone(join(""));
    let other_type = Join {
        protocol_type: "connect".to_owned(),
        ..join("")
    };
    assert_eq!(refused(&mut bench, other_type), inconsistent);
    let other_protocol = Join {
        protocols: vec![protocol("sticky", &["t"])],
        ..join("")
    };
    assert_eq!(refused(&mut bench, other_protocol), inconsistent);
    assert_eq!(bench.state(), "Stable");
}

#[test]
fn session_timeouts_have_bounds_and_members_of_no_group_are_unknown() {
    let mut bench = Bench::new();
    for (session_timeout_ms, refused) in [(999, true), (1_000, false), (60_001, true)] {
        let waiter = bench.join(Join {
            session_timeout_ms,
            ..join("")
        });
        let failure = bench.reply(waiter).map(|reply| format!("{reply:?}"));
        let named = failure.is_some_and(|reply| reply.contains("InvalidSessionTimeout"));
        assert_eq!(named, refused, "{session_timeout_ms}");
    }
    let mut bench = Bench::new();
    let waiter = bench.join(join("somebody"));
    assert_eq!(bench.joined(waiter).failure, Some(Failure::UnknownMemberId));
    assert_eq!(bench.state(), "none");
}

#[test]
fn an_empty_group_can_wait_for_more_members() {
    let mut bench = Bench::new();
    bench.settings.initial_rebalance_delay_ms = 3_000;
    let first = bench.join_new();
    bench.pass(2_000);
    let second = bench.join_new();
    bench.pass(2_000);
    // One came, so the wait began again.
    assert_eq!(
        (bench.reply(first), bench.state()),
        (None, "PreparingRebalance")
    );
    bench.pass(2_000);
    assert_eq!(bench.joined(first).generation, 1);
    assert_eq!(bench.joined(second).generation, 1);
}

#[test]
fn the_wait_for_more_members_ends_with_the_rebalance_timeout() {
    let mut bench = Bench::new();
    bench.settings.initial_rebalance_delay_ms = 3_000;
    let short = || Join {
        rebalance_timeout_ms: 7_000,
        ..join("")
    };
    let first = bench.join(short());
    for _ in 0..3 {
        bench.pass(2_000);
        bench.join(short());
    }
    bench.pass(999);
    assert_eq!(bench.reply(first), None);
    bench.pass(1);
    assert_eq!(bench.joined(first).members.len(), 4);
}

#[test]
fn a_full_group_takes_nobody_and_keeps_those_who_are_in() {
    let mut bench = Bench::new();
    bench.settings.size_max = 2;
    let (first, second) = bench.pair(join(""), join(""));
    let third = bench.join_new();
    let third = bench.joined(third);
    assert_eq!(third.failure, Some(Failure::GroupMaxSizeReached));
    assert_eq!(third.member_id, "");
    let again = bench.join(join(&first.member_id));
    assert_eq!(bench.reply(again), None);
    let other = bench.join(join(&second.member_id));
    assert_eq!(bench.joined(again).failure, None);
    assert_eq!(bench.joined(other).failure, None);
}

#[test]
fn a_lowered_limit_leaves_out_who_joins_again_last() {
    let mut bench = Bench::new();
    let (first, second) = bench.pair(join(""), join(""));
    bench.settings.size_max = 1;
    let again = bench.join(join(&first.member_id));
    let other = bench.join(join(&second.member_id));
    assert_eq!(
        bench.joined(other).failure,
        Some(Failure::GroupMaxSizeReached)
    );
    bench.pass(SESSION_MS);
    assert_eq!(bench.joined(again).members.len(), 1);
}

#[test]
fn who_did_not_hear_the_answer_asks_again_and_gets_it() {
    let mut bench = Bench::new();
    let waiter = bench.join_new();
    let first = bench.joined(waiter);
    // While the others wait for assignments, and in peace unless the leader asks.
    let waiter = bench.join(join(&first.member_id));
    assert_eq!(bench.joined(waiter), first);
    let waiter = bench.sync(sync(&first, &[]));
    bench.synced(waiter);
    let second = bench.join_new();
    let waiter = bench.join(join(&first.member_id));
    bench.joined(waiter);
    let second = bench.joined(second);
    let waiter = bench.sync(sync(&of_generation(&first, 2), &[]));
    bench.synced(waiter);
    let waiter = bench.join(join(&second.member_id));
    assert_eq!(bench.joined(waiter), second);
    assert_eq!(bench.state(), "Stable");
    bench.join(join(&first.member_id));
    assert_eq!(bench.state(), "PreparingRebalance");
}

fn of_generation(joined: &Joined, generation: i32) -> Joined {
    Joined {
        generation,
        ..joined.clone()
    }
}

#[test]
fn a_member_that_wants_something_else_begins_a_rebalance() {
    let mut bench = Bench::new();
    let (_, second) = bench.pair(join(""), join(""));
    let changed = Join {
        protocols: vec![protocol("range", &["t", "u"])],
        ..join(&second.member_id)
    };
    let waiter = bench.join(changed);
    assert_eq!(bench.reply(waiter), None);
    assert_eq!(bench.state(), "PreparingRebalance");
}
