//! Members that describe their topics.

use super::bench::{Bench, Client, settle};
use crate::coordinator::Failure;
use crate::wire::groups::GroupRecord;

fn expressions_of(bench: &Bench) -> usize {
    let is_expression =
        |record: &&GroupRecord| matches!(record, GroupRecord::RegularExpression(..));
    bench.log.iter().filter(is_expression).count()
}

#[test]
fn a_member_reads_all_topics_that_match() {
    let mut bench = Bench::new(&[("foo", 1), ("foobar", 1), ("xfoo", 1)]);
    let mut a = Client::matching("a", "foo.*");
    a.join(&mut bench);
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(a.owned, bench.partitions(&[("foo", 0), ("foobar", 0)]));
    assert_eq!(a.epoch, 1);
}

#[test]
fn new_topics_that_match_are_found_within_ten_seconds() {
    let mut bench = Bench::new(&[("foo", 1)]);
    let mut a = Client::matching("a", "foo.*");
    a.join(&mut bench);
    settle(&mut bench, &mut [&mut a]);
    bench.create("foo-2", 1);
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(a.owned.count(), 2);
    bench.create("foo-3", 1);
    a.follow(&mut bench);
    assert_eq!(a.told, None, "it was looked a moment ago");
    bench.pass(10_000);
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(a.owned.count(), 3);
    bench.pass(10_000);
    bench.delete("foo-3");
    bench.create("bar", 1);
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(a.owned.count(), 2);
    let before = bench.log.len();
    bench.pass(10_000);
    bench.create("unrelated", 1);
    a.follow(&mut bench);
    assert_eq!(bench.log.len(), before, "nothing that matters has changed");
}

#[test]
fn names_and_an_expression_go_together() {
    let mut bench = Bench::new(&[("foo", 1), ("bar", 1), ("baz", 1)]);
    let mut a = Client::matching("a", "fo+");
    a.topics = Some(vec!["bar".to_owned()]);
    a.join(&mut bench);
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(a.owned, bench.partitions(&[("bar", 0), ("foo", 0)]));
    // An empty expression takes it away.
    a.expression = Some(String::new());
    let request = a.full();
    a.send(&mut bench, &request).unwrap();
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(a.owned, bench.partitions(&[("bar", 0)]));
    assert_eq!(expressions_of(&bench), 2);
}

#[test]
fn an_expression_that_is_none_is_refused() {
    let mut bench = Bench::new(&[("foo", 1)]);
    let bad = Client::matching("a", "foo[");
    assert_eq!(
        bench.refused(&bad.full()),
        Failure::InvalidRegularExpression
    );
    assert!(bench.log.is_empty() && bench.try_describe().is_none());
    let mut a = Client::matching("a", "foo");
    a.join(&mut bench);
    settle(&mut bench, &mut [&mut a]);
    a.expression = Some("foo[".to_owned());
    assert_eq!(bench.refused(&a.full()), Failure::InvalidRegularExpression);
    a.expression = Some("foo".to_owned());
    a.follow(&mut bench);
    assert_eq!(a.epoch, 1);
}

#[test]
fn an_expression_is_kept_as_long_as_somebody_uses_it() {
    let mut bench = Bench::new(&[("foo", 2)]);
    let (mut a, mut b) = (Client::matching("a", "foo"), Client::matching("b", "foo"));
    a.join(&mut bench);
    b.join(&mut bench);
    assert_eq!(expressions_of(&bench), 1);
    settle(&mut bench, &mut [&mut a, &mut b]);
    a.leave(&mut bench);
    assert_eq!(expressions_of(&bench), 1);
    settle(&mut bench, &mut [&mut b]);
    assert_eq!(b.owned.count(), 2);
    b.leave(&mut bench);
    assert_eq!(expressions_of(&bench), 2);
}

#[test]
fn what_an_expression_matched_outlasts_a_restart() {
    let mut bench = Bench::new(&[("foo", 1)]);
    let mut a = Client::matching("a", "foo.*");
    a.join(&mut bench);
    settle(&mut bench, &mut [&mut a]);
    bench.restart();
    settle(&mut bench, &mut [&mut a]);
    assert_eq!((a.epoch, a.owned.count()), (1, 1));
    bench.create("foo-2", 1);
    bench.restart();
    settle(&mut bench, &mut [&mut a]);
    assert_eq!((a.epoch, a.owned.count()), (2, 2));
}
