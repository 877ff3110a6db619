//! Who may commit, and what is kept.

use crate::coordinator::classic::Join;
use crate::coordinator::testing::{
    BEGIN, Bench, SESSION_MS, commit, identity, join, join_static, nobody, protocol,
};
use crate::coordinator::{Commit, Failure, Reply};
use crate::model::Timestamp;
use crate::wire::groups::GroupRecord;

#[test]
fn a_commit_is_kept_as_it_was_made() {
    let mut bench = Bench::new();
    let metadata = "\u{0}é\u{1f980}".to_owned();
    let made = Commit {
        metadata: metadata.clone(),
        ..commit("t", 3, 42)
    };
    assert_eq!(bench.commit(&nobody(), &[made]), [Ok(())]);
    let kept = bench.shard.committed("g", "t", 3).unwrap();
    assert_eq!((kept.offset, kept.leader_epoch), (42, 3));
    assert_eq!((&kept.metadata, kept.at), (&metadata, BEGIN));
    assert_eq!(kept.topic_id.as_u128(), 1);
    assert_eq!(bench.shard.committed("g", "t", 0), None);
    assert_eq!(bench.shard.all_committed("g").count(), 1);
}

#[test]
fn anybody_commits_for_a_group_without_members() {
    let mut bench = Bench::new();
    assert_eq!(bench.state(), "none");
    assert_eq!(bench.commit(&nobody(), &[commit("t", 0, 1)]), [Ok(())]);
    assert_eq!(bench.state(), "Empty");
    // Of a group that does not exist nobody can be a member.
    let mut bench = Bench::new();
    let refused = bench.commit(&identity("a", 0), &[commit("t", 0, 1)]);
    assert_eq!(refused, [Err(Failure::GroupIdNotFound)]);
    assert_eq!(bench.state(), "none");
}

#[test]
fn a_group_with_members_takes_commits_from_those_of_its_generation() {
    let mut bench = Bench::new();
    let joined = bench.alone(join(""));
    let id = joined.member_id.as_str();
    let cases = [
        (nobody(), Err(Failure::UnknownMemberId)),
        (identity("other", 1), Err(Failure::UnknownMemberId)),
        (identity(id, 0), Err(Failure::IllegalGeneration)),
        (identity(id, 2), Err(Failure::IllegalGeneration)),
        (identity(id, -1), Err(Failure::IllegalGeneration)),
        (identity(id, 1), Ok(())),
    ];
    for (who, result) in cases {
        assert_eq!(
            bench.commit(&who, &[commit("t", 0, 1)]),
            [result],
            "{who:?}"
        );
    }
}

#[test]
fn a_static_member_that_was_taken_over_commits_no_more() {
    let mut bench = Bench::new();
    let before = bench.alone(join_static("", "i"));
    let waiter = bench.join(join_static("", "i"));
    let after = bench.joined(waiter);
    let as_static = |member: &str| {
        let mut who = identity(member, 1);
        who.instance_id = Some("i".to_owned());
        who
    };
    let old = bench.commit(&as_static(&before.member_id), &[commit("t", 0, 1)]);
    assert_eq!(old, [Err(Failure::FencedInstanceId)]);
    let new = bench.commit(&as_static(&after.member_id), &[commit("t", 0, 1)]);
    assert_eq!(new, [Ok(())]);
}

#[test]
fn members_commit_before_they_join_again_but_not_before_they_have_synced() {
    let mut bench = Bench::new();
    let first = bench.alone(join(""));
    let who = identity(&first.member_id, 1);
    let second = bench.join_new();
    assert_eq!(bench.state(), "PreparingRebalance");
    assert_eq!(bench.commit(&who, &[commit("t", 0, 1)]), [Ok(())]);
    let again = bench.join(join(&first.member_id));
    bench.joined(again);
    bench.joined(second);
    assert_eq!(bench.state(), "CompletingRebalance");
    let late = bench.commit(&who, &[commit("t", 0, 2)]);
    assert_eq!(late, [Err(Failure::IllegalGeneration)]);
    let early = bench.commit(&identity(&first.member_id, 2), &[commit("t", 0, 2)]);
    assert_eq!(early, [Err(Failure::RebalanceInProgress)]);
    assert_eq!(bench.committed("t", 0), Some(1));
}

#[test]
fn who_commits_is_alive() {
    let mut bench = Bench::new();
    let joined = bench.alone(join(""));
    bench.pass(SESSION_MS - 1);
    bench.commit(&identity(&joined.member_id, 1), &[commit("t", 0, 1)]);
    bench.pass(SESSION_MS - 1);
    assert_eq!(bench.state(), "Stable");
}

#[test]
fn each_partition_has_its_own_answer() {
    let mut bench = Bench::new();
    let long = Commit {
        metadata: "x".repeat(11),
        ..commit("t", 1, 2)
    };
    // Ten UTF-16 units, but more bytes.
    let wide = Commit {
        metadata: "é".repeat(10),
        ..commit("t", 2, 3)
    };
    let commits = [
        commit("t", 0, 1),
        long,
        wide,
        commit("t", 4, 1),
        commit("t", -1, 1),
        commit("nope", 0, 1),
    ];
    let unknown = Err(Failure::UnknownTopicOrPartition);
    assert_eq!(
        bench.commit(&nobody(), &commits),
        [
            Ok(()),
            Err(Failure::OffsetMetadataTooLarge),
            Ok(()),
            unknown,
            unknown,
            unknown
        ]
    );
    // What is wrong with the topic is told first.
    let stranger = identity("a", 5);
    assert_eq!(
        bench.commit(&stranger, &[commit("nope", 0, 1), commit("t", 0, 9)]),
        [unknown, Err(Failure::UnknownMemberId)]
    );
    assert_eq!(bench.committed("t", 0), Some(1));
}

#[test]
fn clients_of_long_ago_choose_how_long_an_offset_is_kept() {
    let mut bench = Bench::new();
    bench.commit_kept(&nobody(), &[commit("t", 0, 1)], Some(5_000));
    let kept = bench.shard.committed("g", "t", 0).unwrap();
    assert_eq!(kept.expires, Some(Timestamp(BEGIN.0 + 5_000)));
    let (_, value) = bench.log.last().unwrap().encode().unwrap();
    assert_eq!(value.unwrap()[..2], [0, 1]);
    bench.commit(&nobody(), &[commit("t", 0, 1)]);
    let (_, value) = bench.log.last().unwrap().encode().unwrap();
    assert_eq!(value.unwrap()[..2], [0, 4]);
}

fn delete(
    bench: &mut Bench,
    partitions: &[(&str, i32)],
) -> Result<Vec<Result<(), Failure>>, Failure> {
    let named = |(topic, partition): &(&str, i32)| ((*topic).to_owned(), *partition);
    let partitions: Vec<_> = partitions.iter().map(named).collect();
    let waiter =
        bench.ask(|shard, waiter, moment| shard.delete_offsets("g", &partitions, waiter, moment));
    match bench.reply(waiter) {
        Some(Reply::OffsetsDeleted(results)) => results,
        other => panic!("{other:?}"),
    }
}

#[test]
fn offsets_are_deleted_of_topics_that_nobody_subscribes_to() {
    let mut bench = Bench::new();
    assert_eq!(
        delete(&mut bench, &[("t", 0)]),
        Err(Failure::GroupIdNotFound)
    );
    bench.commit(&nobody(), &[commit("t", 0, 1), commit("u", 0, 2)]);
    bench.alone(join(""));
    let results = delete(&mut bench, &[("t", 0), ("u", 0), ("u", 1), ("nope", 0)]);
    assert_eq!(
        results.unwrap(),
        [
            Err(Failure::GroupSubscribedToTopic),
            Ok(()),
            Ok(()),
            Err(Failure::UnknownTopicOrPartition)
        ]
    );
    assert_eq!(bench.committed("t", 0), Some(1));
    assert_eq!(bench.committed("u", 0), None);
    // What was not there has left no record.
    let tombstones = bench.log.iter();
    let tombstones =
        tombstones.filter(|record| matches!(record, GroupRecord::OffsetCommit(_, None)));
    assert_eq!(tombstones.count(), 1);
}

#[test]
fn offsets_of_other_protocols_are_deleted_when_nobody_is_there() {
    let mut bench = Bench::new();
    bench.commit(&nobody(), &[commit("t", 0, 1)]);
    bench.alone(Join {
        protocol_type: "connect".to_owned(),
        ..join("")
    });
    assert_eq!(delete(&mut bench, &[("u", 0)]), Err(Failure::NonEmptyGroup));
    bench.pass(SESSION_MS);
    assert_eq!(delete(&mut bench, &[("t", 0)]), Ok(vec![Ok(())]));
    assert_eq!(bench.committed("t", 0), None);
}

#[test]
fn a_subscription_that_cannot_be_read_is_to_everything() {
    let mut bench = Bench::new();
    let mut garbage = protocol("range", &[]);
    garbage.metadata = bytes::Bytes::from_static(&[1]);
    bench.commit(&nobody(), &[commit("u", 0, 1)]);
    bench.alone(Join {
        protocols: vec![garbage],
        ..join("")
    });
    let results = delete(&mut bench, &[("u", 0)]);
    assert_eq!(results, Ok(vec![Err(Failure::GroupSubscribedToTopic)]));
}
