//! Offsets expire, or go with their topics.

use crate::coordinator::classic::Join;
use crate::coordinator::testing::{
    Bench, SESSION_MS, commit, identity, join, leave, nobody, protocol,
};

/// Seven days.
const RETENTION_MS: i32 = 7 * 24 * 3_600_000;
/// Ten minutes.
const CHECK_MS: i32 = 600_000;

fn keep_alive(bench: &mut Bench, member: &str, generation: i32, ms: i32) {
    for _ in 0..ms / (SESSION_MS - 1) + 1 {
        bench.pass(SESSION_MS - 1);
        assert_eq!(bench.heartbeat(member, generation), Ok(()));
    }
}

#[test]
fn offsets_that_belong_to_nobody_expire_each_in_its_time() {
    let mut bench = Bench::new();
    bench.commit(&nobody(), &[commit("t", 0, 1)]);
    bench.pass(CHECK_MS);
    bench.commit(&nobody(), &[commit("t", 1, 1)]);
    bench.pass(RETENTION_MS - CHECK_MS);
    assert_eq!(bench.committed("t", 0), None);
    assert_eq!(bench.committed("t", 1), Some(1));
    bench.pass(CHECK_MS);
    assert_eq!(bench.committed("t", 1), None);
    // The group goes with the last one.
    assert_eq!(bench.state(), "none");
    bench.restart();
    assert_eq!(bench.state(), "none");
}

#[test]
fn offsets_of_a_group_expire_after_its_last_member_has_left() {
    let mut bench = Bench::new();
    let joined = bench.alone(join(""));
    bench.commit(&identity(&joined.member_id, 1), &[commit("t", 0, 1)]);
    keep_alive(&mut bench, &joined.member_id, 1, CHECK_MS);
    bench.leave(&[leave(&joined.member_id)]).unwrap();
    bench.pass(RETENTION_MS - CHECK_MS);
    assert_eq!(bench.committed("t", 0), Some(1));
    bench.restart();
    bench.pass(2 * CHECK_MS);
    assert_eq!((bench.committed("t", 0), bench.state()), (None, "none"));
}

#[test]
fn a_stable_group_keeps_the_offsets_that_it_subscribes_to() {
    let mut bench = Bench::new();
    bench.settings.offsets_retention_ms = 60_000;
    let joined = bench.alone(join(""));
    let who = identity(&joined.member_id, 1);
    bench.commit(&who, &[commit("t", 0, 1), commit("u", 0, 2)]);
    keep_alive(&mut bench, &joined.member_id, 1, CHECK_MS);
    assert_eq!(bench.committed("t", 0), Some(1));
    assert_eq!(bench.committed("u", 0), None);
}

#[test]
fn members_of_other_protocols_keep_everything() {
    let mut bench = Bench::new();
    bench.settings.offsets_retention_ms = 60_000;
    let joined = bench.alone(Join {
        protocol_type: "connect".to_owned(),
        protocols: vec![protocol("default", &["t"])],
        ..join("")
    });
    bench.commit(&identity(&joined.member_id, 1), &[commit("u", 0, 2)]);
    keep_alive(&mut bench, &joined.member_id, 1, CHECK_MS);
    assert_eq!(bench.committed("u", 0), Some(2));
}

#[test]
fn a_time_that_the_client_chose_counts_instead() {
    let mut bench = Bench::new();
    bench.commit_kept(&nobody(), &[commit("t", 0, 1)], Some(1_000));
    bench.commit_kept(
        &nobody(),
        &[commit("t", 1, 1)],
        Some(i64::from(2 * CHECK_MS)),
    );
    bench.pass(CHECK_MS);
    assert_eq!(bench.committed("t", 0), None);
    assert_eq!(bench.committed("t", 1), Some(1));
}

#[test]
fn a_group_that_is_left_without_offsets_goes_at_the_next_look() {
    let mut bench = Bench::new();
    let joined = bench.alone(join(""));
    bench.leave(&[leave(&joined.member_id)]).unwrap();
    assert_eq!(bench.state(), "Empty");
    bench.pass(CHECK_MS);
    assert_eq!(bench.state(), "none");
}

#[test]
fn however_many_expire_all_of_them_go() {
    let mut bench = Bench::new();
    for number in 0..700 {
        let name = format!("topic-{number}");
        bench.create_topic(&name, 1000 + number);
        let commits: Vec<_> = (0..4)
            .map(|partition| commit(&name, partition, 1))
            .collect();
        bench.commit(&nobody(), &commits);
    }
    bench.pass(RETENTION_MS);
    assert_eq!(bench.shard.all_committed("g").count(), 0);
    assert_eq!(bench.state(), "none");
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut bench = Bench::new();
    bench.commit(&nobody(), &[commit("t", 0, 1), commit("u", 0, 2)]);
    let id = bench.delete_topic("t");
    bench.topics_deleted(&[("t", id)]);
    assert_eq!(bench.committed("t", 0), None);
    assert_eq!(bench.committed("u", 0), Some(2));
    // Told late, when there is a topic of the same name: that one keeps what is its own.
    bench.create_topic("t", 9);
    bench.commit(&nobody(), &[commit("t", 0, 7)]);
    bench.topics_deleted(&[("t", id)]);
    assert_eq!(bench.committed("t", 0), Some(7));
}

#[test]
fn a_topic_that_was_deleted_while_nobody_looked_is_found_out() {
    let mut bench = Bench::new();
    bench.commit(&nobody(), &[commit("t", 0, 1), commit("u", 0, 2)]);
    bench.delete_topic("t");
    bench.delete_topic("u");
    bench.create_topic("u", 9);
    bench.restart();
    assert_eq!(bench.committed("t", 0), None);
    assert_eq!(bench.committed("u", 0), None);
}
