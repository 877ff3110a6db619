//! How partitions go from one member to another.

use super::bench::{Bench, Client, settle};
use crate::coordinator::consumer::Partitions;

#[test]
fn a_lone_member_is_assigned_everything_with_the_first_answer() {
    let mut bench = Bench::new(&[("t", 3)]);
    let mut a = Client::new("a", &["t"]);
    a.join(&mut bench);
    assert_eq!(a.epoch, 1);
    assert_eq!(
        a.told,
        Some(bench.partitions(&[("t", 0), ("t", 1), ("t", 2)]))
    );
    assert_eq!((bench.epochs(), bench.state()), ((1, 1, vec![1]), "Stable"));
}

#[test]
fn a_partition_waits_until_it_is_given_up() {
    let mut bench = Bench::new(&[("t", 2)]);
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    a.join(&mut bench);
    a.follow(&mut bench);
    b.join(&mut bench);
    // It is there, with nothing yet.
    assert_eq!((b.epoch, b.told.take()), (2, Some(Partitions::new())));
    assert_eq!(bench.state(), "Reconciling");
    b.stay(&mut bench);
    assert_eq!(b.told, None);
    a.stay(&mut bench);
    assert_eq!(
        (a.epoch, a.told.clone()),
        (1, Some(bench.partitions(&[("t", 0)])))
    );
    // As long as it may still read, nobody else does.
    a.stay(&mut bench);
    b.stay(&mut bench);
    assert_eq!((a.epoch, b.told.clone()), (1, None));
    a.follow(&mut bench);
    assert_eq!(a.epoch, 2);
    b.stay(&mut bench);
    assert_eq!(b.told, Some(bench.partitions(&[("t", 1)])));
    assert_eq!(
        (bench.epochs(), bench.state()),
        ((2, 2, vec![2, 2]), "Stable")
    );
}

#[test]
fn others_read_on_while_one_gives_up() {
    let mut bench = Bench::new(&[("t", 6)]);
    let mut clients: Vec<Client> = ["a", "b", "c"].map(|id| Client::new(id, &["t"])).into();
    for client in &mut clients {
        client.join(&mut bench);
    }
    let [a, b, c] = clients.as_mut_slice() else {
        panic!()
    };
    settle(&mut bench, &mut [a, b, c]);
    c.leave(&mut bench);
    assert_eq!(bench.state(), "Assigning");
    a.follow(&mut bench);
    // It had to give up nothing, and took what was free at once.
    assert_eq!(
        (a.epoch, a.told.as_ref().map(Partitions::count)),
        (4, Some(3))
    );
    b.follow(&mut bench);
    settle(&mut bench, &mut [a, b]);
    assert_eq!((a.owned.count(), b.owned.count()), (3, 3));
}

#[test]
fn whoever_comes_back_to_a_target_of_long_ago_goes_to_the_latest() {
    let mut bench = Bench::new(&[("t", 4)]);
    let mut a = Client::new("a", &["t"]);
    a.join(&mut bench);
    a.follow(&mut bench);
    let mut others: Vec<Client> = ["b", "c", "d"].map(|id| Client::new(id, &["t"])).into();
    for other in &mut others {
        other.join(&mut bench);
    }
    let [b, c, d] = others.as_mut_slice() else {
        panic!()
    };
    settle(&mut bench, &mut [&mut a, b, c, d]);
    assert!(
        [&a, b, c, d]
            .iter()
            .all(|each| each.owned.count() == 1 && each.epoch == 4)
    );
}

#[test]
fn topics_that_grow_come_or_go_are_noticed_with_the_next_heartbeat() {
    let mut bench = Bench::new(&[("t", 1), ("other", 1)]);
    let mut a = Client::new("a", &["t", "later"]);
    a.join(&mut bench);
    settle(&mut bench, &mut [&mut a]);
    bench.touch();
    bench.create("unrelated", 3);
    a.follow(&mut bench);
    assert_eq!(bench.epochs().0, 1);
    bench.grow("t", 2);
    settle(&mut bench, &mut [&mut a]);
    assert_eq!((a.epoch, a.owned.count()), (2, 2));
    bench.create("later", 1);
    settle(&mut bench, &mut [&mut a]);
    assert_eq!((a.epoch, a.owned.count()), (3, 3));
    bench.delete("later");
    settle(&mut bench, &mut [&mut a]);
    assert_eq!((a.epoch, a.owned.count()), (4, 2));
    // Created anew it is another topic.
    bench.create("t", 2);
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(
        (a.epoch, a.owned.clone()),
        (5, bench.partitions(&[("t", 0), ("t", 1)]))
    );
}

#[test]
fn a_new_subscription_raises_the_epoch_and_the_same_again_does_not() {
    let mut bench = Bench::new(&[("t", 1), ("u", 1)]);
    let mut a = Client::new("a", &["t", "u", "t"]);
    a.join(&mut bench);
    settle(&mut bench, &mut [&mut a]);
    let request = a.full();
    a.send(&mut bench, &request).unwrap();
    assert_eq!(bench.epochs().0, 1);
    assert_eq!(a.told, Some(a.owned.clone()), "who says all is told all");
    a.topics = Some(vec!["u".to_owned()]);
    let request = a.full();
    a.send(&mut bench, &request).unwrap();
    settle(&mut bench, &mut [&mut a]);
    assert_eq!(
        (a.epoch, a.owned.clone()),
        (2, bench.partitions(&[("u", 0)]))
    );
}

#[test]
fn members_vote_for_the_assignor() {
    let mut bench = Bench::new(&[("t", 2), ("u", 2)]);
    let assignor = |bench: &Bench| bench.describe().assignor.name();
    let mut a = Client::new("a", &["t", "u"]);
    a.assignor = Some("range".to_owned());
    a.join(&mut bench);
    assert_eq!(assignor(&bench), "range");
    let mut b = Client::new("b", &["t", "u"]);
    b.assignor = Some("uniform".to_owned());
    b.join(&mut bench);
    assert_eq!(
        assignor(&bench),
        "uniform",
        "the first that is configured, if they are even"
    );
    let mut c = Client::new("c", &["t", "u"]);
    c.assignor = Some("range".to_owned());
    c.join(&mut bench);
    assert_eq!(assignor(&bench), "range");
}

#[test]
fn a_member_that_does_not_give_up_in_time_is_removed() {
    let mut bench = Bench::new(&[("t", 2)]);
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    a.join(&mut bench);
    a.follow(&mut bench);
    b.join(&mut bench);
    a.stay(&mut bench);
    for _ in 0..7 {
        bench.pass(super::bench::REBALANCE_MS / 8);
        a.stay(&mut bench);
        b.stay(&mut bench);
    }
    assert_eq!(bench.describe().members.len(), 2);
    bench.pass(super::bench::REBALANCE_MS / 8);
    assert_eq!(bench.describe().members.len(), 1);
    b.stay(&mut bench);
    assert_eq!(b.told.as_ref().map(Partitions::count), Some(2));
}

/// Clients that come, go, fall silent and do as they are told in any order; the bench checks
/// after each event that no partition has two owners.
#[test]
fn random_members_never_share_a_partition_and_settle_in_the_end() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bench = Bench::new(&[("t", 5), ("u", 3)]);
        let mut clients: Vec<Client> = Vec::new();
        let subscriptions: [&[&str]; 3] = [&["t"], &["t", "u"], &["u"]];
        for step in 0..120 {
            match random.u32(0..12) {
                0 if clients.len() < 6 => {
                    let topics = subscriptions[random.usize(0..3)];
                    let mut client = Client::new(&format!("m{step}"), topics);
                    client.join(&mut bench);
                    clients.push(client);
                }
                1 if !clients.is_empty() => {
                    let gone = clients.swap_remove(random.usize(0..clients.len()));
                    if random.bool() {
                        gone.leave(&mut bench);
                    }
                }
                2 => bench.grow("t", 5 + step / 20),
                3 => bench.restart(),
                4 => bench.pass(random.u64(0..3_000)),
                _ if !clients.is_empty() => {
                    let place = random.usize(0..clients.len());
                    let client = &mut clients[place];
                    match random.bool() {
                        true => client.follow(&mut bench),
                        false => client.stay(&mut bench),
                    }
                }
                _ => {}
            }
            // What a client reads nobody else was told to read.
            for (place, a) in clients.iter().enumerate() {
                for b in &clients[..place] {
                    assert!(!a.owned.intersects(&b.owned), "seed {seed} step {step}");
                }
            }
        }
        // Those that fell silent are missed, and the others get everything.
        for _ in 0..12 {
            bench.pass(5_000);
            for client in &mut clients {
                client.follow(&mut bench);
            }
        }
        let mut clients: Vec<&mut Client> = clients.iter_mut().collect();
        if !clients.is_empty() {
            settle(&mut bench, &mut clients);
        }
        assert_eq!(
            bench.try_describe().map_or(0, |group| group.members.len()),
            clients.len()
        );
    }
}
