//! What records keep, and what they cannot break.

use super::bench::{Bench, Client, GROUP, SESSION_MS, settle};
use crate::coordinator::{Machine, Reply};
use crate::wire::groups::GroupRecord;

#[test]
fn a_restart_finds_everything_as_it_was() {
    let mut bench = Bench::new(&[("t", 4)]);
    let (mut a, mut b) = (
        Client::new("a", &["t"]),
        Client::static_("b", "one", &["t"]),
    );
    a.join(&mut bench);
    settle(&mut bench, &mut [&mut a]);
    b.join(&mut bench);
    a.stay(&mut bench);
    let before = bench.describe();
    bench.restart();
    assert_eq!(bench.describe(), before);
    settle(&mut bench, &mut [&mut a, &mut b]);
    assert_eq!((a.owned.count(), b.owned.count()), (2, 2));
    // Members have their whole session from then on.
    bench.restart();
    bench.pass(SESSION_MS - 1);
    assert_eq!(bench.describe().members.len(), 2);
    bench.pass(1);
    assert_eq!(bench.state(), "Empty");
}

#[test]
fn a_member_that_has_to_give_up_has_its_time_again_after_a_restart() {
    let mut bench = Bench::new(&[("t", 2)]);
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    a.join(&mut bench);
    a.follow(&mut bench);
    b.join(&mut bench);
    a.stay(&mut bench);
    bench.restart();
    for _ in 0..3 {
        bench.pass(super::bench::REBALANCE_MS / 3);
        b.stay(&mut bench);
        if bench.describe().members.len() == 2 {
            a.stay(&mut bench);
        }
    }
    assert_eq!(bench.describe().members.len(), 1);
}

#[test]
fn a_group_that_is_deleted_leaves_nothing() {
    let mut bench = Bench::new(&[("t", 1)]);
    let mut a = Client::matching("a", "t");
    a.join(&mut bench);
    let delete = |bench: &mut Bench| {
        let waiter = bench.run(|shard, waiter, _| shard.delete(GROUP, waiter));
        match bench.answer(waiter) {
            Some(Reply::Deleted(deleted)) => deleted,
            other => panic!("{other:?}"),
        }
    };
    assert!(delete(&mut bench).is_err());
    a.leave(&mut bench);
    assert_eq!(delete(&mut bench), Ok(()));
    assert!(bench.try_describe().is_none());
    bench.restart();
    assert!(bench.try_describe().is_none());
    // What compaction keeps is the last record of each key: none says anything.
    let mut last = std::collections::HashMap::new();
    for record in &bench.log {
        let (key, value) = record.encode().unwrap();
        last.insert(key, value);
    }
    assert!(last.values().all(Option::is_none));
}

#[test]
fn records_in_any_order_and_number_break_nothing() {
    let mut bench = Bench::new(&[("t", 4), ("u", 2)]);
    let (mut a, mut b) = (
        Client::matching("a", "t|u"),
        Client::static_("b", "one", &["t"]),
    );
    a.join(&mut bench);
    b.join(&mut bench);
    settle(&mut bench, &mut [&mut a, &mut b]);
    b.leave(&mut bench);
    a.follow(&mut bench);
    a.leave(&mut bench);
    let group = |id: &str| {
        GroupRecord::ClassicGroup(
            crate::wire::groups::GroupKey {
                group: id.to_owned(),
            },
            None,
        )
    };
    let mut records = bench.log.clone();
    records.push(group(GROUP));
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        random.shuffle(&mut records);
        let mut other = Bench::new(&[("t", 4), ("u", 2)]);
        let some = random.usize(0..=records.len());
        for record in &records[..some] {
            other.shard.load(record.clone());
        }
        other.run(|shard, _, moment| shard.loaded(moment));
        other.pass(3 * SESSION_MS);
        assert!(
            other
                .try_describe()
                .is_none_or(|group| group.members.is_empty())
        );
        let mut c = Client::new("c", &["t"]);
        c.join(&mut other);
        settle(&mut other, &mut [&mut c]);
        assert_eq!(c.owned.count(), 4, "seed {seed}");
    }
}

#[test]
fn members_write_no_records_when_nothing_changes() {
    let mut bench = Bench::new(&[("t", 4)]);
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::matching("b", "t"));
    a.join(&mut bench);
    b.join(&mut bench);
    settle(&mut bench, &mut [&mut a, &mut b]);
    let before = bench.log.len();
    for _ in 0..20 {
        bench.pass(5_000);
        a.follow(&mut bench);
        b.follow(&mut bench);
    }
    assert_eq!(bench.log.len(), before);
}
