//! Another broker loads the log.

use crate::coordinator::Failure;
use crate::coordinator::testing::{
    Bench, SESSION_MS, commit, identity, join, join_static, leave, nobody, sync,
};
use crate::wire::groups::{ConsumerGroupMetadataValue, GroupKey, GroupMetadataValue, GroupRecord};

#[test]
fn members_go_on_as_if_nothing_had_happened() {
    let mut bench = Bench::new();
    let (first, second) = bench.pair(join(""), join_static("", "i"));
    bench.commit(&identity(&first.member_id, 2), &[commit("t", 0, 7)]);
    let before = bench.shard.describe("g");
    bench.restart();
    assert_eq!(bench.shard.describe("g"), before);
    assert_eq!(bench.committed("t", 0), Some(7));
    assert_eq!(bench.heartbeat(&first.member_id, 2), Ok(()));
    let waiter = bench.sync(sync(&second, &[]));
    assert_eq!(bench.synced(waiter).assignment, "b");
    let again = bench.join(join(&first.member_id));
    assert_eq!(
        bench.reply(again),
        None,
        "the leader may want to assign anew"
    );
}

#[test]
fn who_does_not_come_back_is_out_after_its_session() {
    let mut bench = Bench::new();
    let (first, _) = bench.pair(join(""), join(""));
    bench.pass(SESSION_MS - 1);
    bench.heartbeat(&first.member_id, 2).unwrap();
    bench.restart();
    // Sessions begin anew with the broker.
    bench.pass(SESSION_MS - 1);
    assert_eq!(bench.heartbeat(&first.member_id, 2), Ok(()));
    bench.pass(1);
    assert_eq!(bench.state(), "PreparingRebalance");
    let again = bench.join(join(&first.member_id));
    assert_eq!(bench.joined(again).members.len(), 1);
}

#[test]
fn a_rebalance_that_was_not_over_begins_from_the_generation_before() {
    let mut bench = Bench::new();
    let first = bench.alone(join(""));
    let second = bench.join_new();
    let again = bench.join(join(&first.member_id));
    bench.joined(again);
    let second = bench.joined(second);
    assert_eq!(second.generation, 2);
    bench.restart();
    assert_eq!(bench.state(), "Stable");
    let waiter = bench.sync(sync(&second, &[]));
    assert_eq!(bench.synced(waiter).failure, Some(Failure::UnknownMemberId));
    let ahead = bench.heartbeat(&first.member_id, 2);
    assert_eq!(ahead, Err(Failure::IllegalGeneration));
    assert_eq!(bench.heartbeat(&first.member_id, 1), Ok(()));
}

#[test]
fn an_empty_group_keeps_its_generation() {
    let mut bench = Bench::new();
    let joined = bench.alone(join(""));
    bench.commit(&identity(&joined.member_id, 1), &[commit("t", 0, 7)]);
    bench.leave(&[leave(&joined.member_id)]).unwrap();
    bench.restart();
    assert_eq!((bench.state(), bench.committed("t", 0)), ("Empty", Some(7)));
    let waiter = bench.join_new();
    assert_eq!(bench.joined(waiter).generation, 3);
}

#[test]
fn the_last_record_of_a_key_counts() {
    let mut bench = Bench::new();
    for offset in 0..5 {
        bench.commit(&nobody(), &[commit("t", 0, offset)]);
    }
    bench.restart();
    assert_eq!(bench.committed("t", 0), Some(4));
    let joined = bench.alone(join(""));
    bench.leave(&[leave(&joined.member_id)]).unwrap();
    let joined = bench.alone(join(""));
    bench.restart();
    assert_eq!(bench.heartbeat(&joined.member_id, 3), Ok(()));
}

#[test]
fn offsets_outlive_a_consumer_group_that_was_about_to_become_a_classic_one() {
    let mut bench = Bench::new();
    bench.commit(&nobody(), &[commit("t", 0, 7)]);
    let group = |value| {
        let key = GroupKey {
            group: "g".to_owned(),
        };
        GroupRecord::ConsumerGroup(key, value)
    };
    bench.log.push(group(Some(ConsumerGroupMetadataValue {
        epoch: 3,
        metadata_hash: 0,
    })));
    // Somebody joined by the classic protocol, and nothing was decided before the broker stopped.
    bench.log.push(group(None));
    bench.restart();
    assert_eq!((bench.state(), bench.committed("t", 0)), ("Empty", Some(7)));
}

#[test]
fn records_that_make_no_sense_do_no_harm() {
    let mut bench = Bench::new();
    let group = |value| {
        let key = crate::wire::groups::GroupKey {
            group: "g".to_owned(),
        };
        GroupRecord::ClassicGroup(key, value)
    };
    bench.log = vec![
        group(None),
        group(Some(GroupMetadataValue {
            generation: i32::MAX,
            current_state_timestamp: 1,
            leader: Some("nobody".to_owned()),
            members: vec![Default::default(), Default::default()],
            ..GroupMetadataValue::default()
        })),
    ];
    bench.restart();
    assert_eq!(bench.state(), "Stable");
    bench.pass(60_000);
    // The members, without name and timeout, are gone; generations begin anew.
    assert_eq!(bench.state(), "Empty");
    let waiter = bench.join_new();
    assert_eq!(bench.joined(waiter).failure, None);
}
