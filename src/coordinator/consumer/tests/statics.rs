//! Static members: their place outlasts them (KIP-345, KIP-848).

use super::bench::{Bench, Client, SESSION_MS, settle};
use crate::coordinator::Failure;
use crate::coordinator::consumer::{ConsumerHeartbeat, LEAVING, LEAVING_FOR_A_WHILE, Partitions};

fn go_away(client: &Client, bench: &mut Bench) {
    let request = ConsumerHeartbeat {
        epoch: LEAVING_FOR_A_WHILE,
        ..client.short()
    };
    let left = bench.beat(&request).expect("leaves");
    assert_eq!(left.epoch, LEAVING_FOR_A_WHILE);
}

#[test]
fn a_static_member_comes_back_to_what_it_had() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut a = Client::static_("a", "one", &["t"]);
    let mut b = Client::static_("b", "two", &["t"]);
    a.join(&mut bench);
    b.join(&mut bench);
    settle(&mut bench, &mut [&mut a, &mut b]);
    let epochs = bench.epochs().0;
    go_away(&a, &mut bench);
    b.follow(&mut bench);
    assert_eq!(b.told, None, "nobody gets what it had");
    let mut again = Client::static_("a2", "one", &["t"]);
    again.join(&mut bench);
    assert_eq!(again.told, Some(a.owned.clone()));
    assert_eq!((again.epoch, bench.epochs().0), (epochs, epochs));
    settle(&mut bench, &mut [&mut again, &mut b]);
    assert_eq!(bench.describe().members.len(), 2);
    assert_eq!(bench.refused(&a.short()), Failure::FencedInstanceId);
}

#[test]
fn the_place_of_a_static_member_ends_with_its_session() {
    let mut bench = Bench::new(&[("t", 2)]);
    let mut a = Client::static_("a", "one", &["t"]);
    let mut b = Client::new("b", &["t"]);
    a.join(&mut bench);
    b.join(&mut bench);
    settle(&mut bench, &mut [&mut a, &mut b]);
    go_away(&a, &mut bench);
    bench.pass(SESSION_MS - 1);
    b.follow(&mut bench);
    assert_eq!(bench.describe().members.len(), 2);
    bench.pass(1);
    settle(&mut bench, &mut [&mut b]);
    assert_eq!(b.owned.count(), 2);
}

#[test]
fn an_instance_id_is_held_until_its_member_says_that_it_leaves() {
    let mut bench = Bench::new(&[("t", 2)]);
    let mut a = Client::static_("a", "one", &["t"]);
    a.join(&mut bench);
    settle(&mut bench, &mut [&mut a]);
    let second = Client::static_("b", "one", &["t"]);
    assert_eq!(bench.refused(&second.full()), Failure::UnreleasedInstanceId);
    let beat = ConsumerHeartbeat {
        epoch: 1,
        ..second.short()
    };
    assert_eq!(bench.refused(&beat), Failure::FencedInstanceId);
    let leaves = ConsumerHeartbeat {
        epoch: LEAVING,
        ..second.short()
    };
    assert_eq!(bench.refused(&leaves), Failure::FencedInstanceId);
    let stranger = Client::static_("c", "three", &["t"]);
    let beat = ConsumerHeartbeat {
        epoch: 1,
        ..stranger.short()
    };
    assert_eq!(bench.refused(&beat), Failure::UnknownMemberId);
    a.follow(&mut bench);
    a.leave(&mut bench);
    assert_eq!(bench.state(), "Empty");
    let mut second = second;
    second.join(&mut bench);
    assert_eq!(second.told.as_ref().map(Partitions::count), Some(2));
}

#[test]
fn a_static_member_may_subscribe_anew_when_it_comes_back() {
    let mut bench = Bench::new(&[("t", 1), ("u", 1)]);
    let mut a = Client::static_("a", "one", &["t"]);
    a.join(&mut bench);
    settle(&mut bench, &mut [&mut a]);
    go_away(&a, &mut bench);
    let mut again = Client::static_("a2", "one", &["u"]);
    again.join(&mut bench);
    settle(&mut bench, &mut [&mut again]);
    assert_eq!(again.owned, bench.partitions(&[("u", 0)]));
    bench.restart();
    settle(&mut bench, &mut [&mut again]);
    assert_eq!(again.owned, bench.partitions(&[("u", 0)]));
}
