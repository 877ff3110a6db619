//! Members leave, and groups end.

use crate::coordinator::classic::{Join, Leave};
use crate::coordinator::testing::{
    Bench, SESSION_MS, commit, identity, join, join_static, leave, leave_static, nobody,
};
use crate::coordinator::{Failure, Reply};
use crate::wire::groups::GroupRecord;

#[test]
fn who_leaves_is_gone_at_once_and_the_others_rebalance() {
    let mut bench = Bench::new();
    let (first, second) = bench.pair(join(""), join(""));
    let left = bench.leave(&[leave(&first.member_id)]).unwrap();
    assert_eq!(left[0].failure, None);
    assert_eq!(bench.state(), "PreparingRebalance");
    let waiter = bench.join(join(&second.member_id));
    let joined = bench.joined(waiter);
    assert_eq!((joined.generation, joined.leader), (3, second.member_id));
}

#[test]
fn the_last_one_leaves_an_empty_group_with_a_record_of_that() {
    let mut bench = Bench::new();
    let joined = bench.alone(join(""));
    bench.leave(&[leave(&joined.member_id)]).unwrap();
    assert_eq!(bench.state(), "Empty");
    let Some(GroupRecord::ClassicGroup(_, Some(value))) = bench.log.last() else {
        panic!("{:?}", bench.log);
    };
    assert_eq!((value.generation, value.members.len()), (2, 0));
    assert_eq!((&value.protocol, &value.leader), (&None, &None));
    assert_eq!(value.protocol_type, "consumer");
    let waiter = bench.join_new();
    assert_eq!(bench.joined(waiter).generation, 3);
}

#[test]
fn each_who_leaves_has_an_answer() {
    let mut bench = Bench::new();
    let (_, second) = bench.pair(join(""), join_static("", "i"));
    let named_twice = Leave {
        member_id: "other".to_owned(),
        instance_id: Some("i".to_owned()),
    };
    let leaving = [
        leave("nobody"),
        leave_static("nobody"),
        leave(""),
        named_twice,
        leave_static("i"),
        leave(&second.member_id),
    ];
    let left = bench.leave(&leaving).unwrap();
    let failures: Vec<_> = left.iter().map(|each| each.failure).collect();
    let unknown = Some(Failure::UnknownMemberId);
    let fenced = Some(Failure::FencedInstanceId);
    assert_eq!(failures, [unknown, unknown, unknown, fenced, None, unknown]);
    assert_eq!(bench.state(), "PreparingRebalance");
}

#[test]
fn nobody_leaves_a_group_that_does_not_exist() {
    let mut bench = Bench::new();
    assert_eq!(bench.leave(&[leave("a")]), Err(Failure::UnknownMemberId));
}

#[test]
fn whoever_waits_for_something_hears_that_it_was_removed() {
    let mut bench = Bench::new();
    let first = bench.alone(join(""));
    let second = bench.join(join_static("", "i"));
    assert_eq!(bench.reply(second), None);
    bench.leave(&[leave_static("i")]).unwrap();
    assert_eq!(bench.joined(second).failure, Some(Failure::UnknownMemberId));
    assert_eq!(bench.state(), "PreparingRebalance");
    let waiter = bench.join(join(&first.member_id));
    assert_eq!(bench.joined(waiter).generation, 2);
}

fn delete(bench: &mut Bench, group: &str) -> Result<(), Failure> {
    let waiter = bench.ask(|shard, waiter, _| shard.delete(group, waiter));
    match bench.reply(waiter) {
        Some(Reply::Deleted(deleted)) => deleted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_group_is_deleted_with_its_offsets_and_no_other() {
    let mut bench = Bench::new();
    assert_eq!(delete(&mut bench, "g"), Err(Failure::GroupIdNotFound));
    let joined = bench.alone(join(""));
    let who = identity(&joined.member_id, 1);
    assert_eq!(bench.commit(&who, &[commit("t", 0, 5)]), [Ok(())]);
    assert_eq!(delete(&mut bench, "g"), Err(Failure::NonEmptyGroup));
    bench.leave(&[leave(&joined.member_id)]).unwrap();
    assert_eq!(delete(&mut bench, "g"), Ok(()));
    assert_eq!((bench.state(), bench.committed("t", 0)), ("none", None));
    bench.restart();
    assert_eq!((bench.state(), bench.committed("t", 0)), ("none", None));
    // A group of offsets alone is one, too.
    bench.commit(&nobody(), &[commit("t", 0, 5)]);
    assert_eq!(bench.state(), "Empty");
    assert_eq!(delete(&mut bench, "g"), Ok(()));
    assert_eq!(bench.committed("t", 0), None);
}

#[test]
fn members_are_described_with_what_they_want_while_the_group_is_stable() {
    let mut bench = Bench::new();
    let (_, second) = bench.pair(join(""), join_static("", "i"));
    let group = bench.shard.describe("g").unwrap();
    assert_eq!((group.state, &*group.protocol_type), ("Stable", "consumer"));
    assert_eq!(group.protocol, "range");
    let member = group.members.iter();
    let member = member
        .clone()
        .find(|each| each.instance_id.is_some())
        .unwrap();
    assert_eq!(member.member_id, second.member_id);
    assert_eq!(
        (&*member.client_id, &*member.client_host),
        ("client", "/127.0.0.1")
    );
    assert_eq!(member.assignment, "b");
    assert!(!member.metadata.is_empty());
    bench.join_new();
    let group = bench.shard.describe("g").unwrap();
    assert_eq!((group.state, &*group.protocol), ("PreparingRebalance", ""));
    let second = group.members.iter();
    let second = second
        .clone()
        .find(|each| each.instance_id.is_some())
        .unwrap();
    assert!(second.metadata.is_empty());
    assert_eq!(second.assignment, "b");
    let listed: Vec<_> = bench.shard.list().collect();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&*listed[0].group, listed[0].state),
        ("g", "PreparingRebalance")
    );
    assert_eq!(listed[0].kind.name(), "classic");
}

#[test]
fn who_was_known_to_a_deleted_group_is_not_missed_by_its_successor() {
    let mut bench = Bench::new();
    let waiter = bench.join(Join {
        requires_known_member_id: true,
        ..join("")
    });
    assert_eq!(
        bench.joined(waiter).failure,
        Some(Failure::MemberIdRequired)
    );
    let waiter = bench.ask(|shard, waiter, _| shard.delete("g", waiter));
    assert_eq!(bench.reply(waiter), Some(Reply::Deleted(Ok(()))));
    let successor = bench.alone(Join {
        session_timeout_ms: 2 * SESSION_MS,
        ..join("")
    });
    bench.pass(SESSION_MS);
    assert_eq!(
        bench.heartbeat(&successor.member_id, successor.generation),
        Ok(())
    );
}
