//! Joining, leaving, and what members that do not keep to the protocol are told.

use super::bench::{Bench, Client, GROUP, SESSION_MS, settle};
use crate::coordinator::consumer::{
    Assignor, ConsumerHeartbeat, LEAVING, LEAVING_FOR_A_WHILE, Partitions,
};
use crate::coordinator::{Failure, Identity};

#[test]
fn a_group_begins_with_a_member_that_joins_and_with_no_other() {
    let mut bench = Bench::new(&[("t", 1)]);
    let mut a = Client::new("a", &["t"]);
    for epoch in [1, LEAVING, LEAVING_FOR_A_WHILE] {
        let request = ConsumerHeartbeat { epoch, ..a.short() };
        assert_eq!(bench.refused(&request), Failure::GroupIdNotFound);
    }
    assert!(bench.log.is_empty() && bench.try_describe().is_none());
    a.join(&mut bench);
    let b = ConsumerHeartbeat {
        epoch: 1,
        ..Client::new("b", &["t"]).short()
    };
    assert_eq!(bench.refused(&b), Failure::UnknownMemberId);
    let b = ConsumerHeartbeat {
        epoch: LEAVING,
        ..b
    };
    assert_eq!(bench.refused(&b), Failure::UnknownMemberId);
}

#[test]
fn a_member_that_brings_no_id_gets_one() {
    let mut bench = Bench::new(&[("t", 1)]);
    let request = Client::new("", &["t"]).full();
    let first = bench.beat(&request).unwrap();
    let second = bench.beat(&request).unwrap();
    assert!(first.member_id.len() == 22 && first.member_id != second.member_id);
    assert_eq!(bench.describe().members.len(), 2);
}

#[test]
fn only_the_epoch_of_a_member_or_a_missed_answer_is_accepted() {
    let mut bench = Bench::new(&[("t", 2)]);
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    a.join(&mut bench);
    a.follow(&mut bench);
    b.join(&mut bench);
    settle(&mut bench, &mut [&mut a, &mut b]);
    assert_eq!(a.epoch, 2);
    let at = |epoch, owned: &Partitions| ConsumerHeartbeat {
        epoch,
        owned: Some(owned.clone()),
        ..a.short()
    };
    assert_eq!(bench.refused(&at(3, &a.owned)), Failure::FencedMemberEpoch);
    // It has not heard of its epoch, and has no more than it may.
    assert!(bench.beat(&at(1, &a.owned)).is_ok());
    assert!(bench.beat(&at(1, &Partitions::new())).is_ok());
    assert_eq!(bench.refused(&at(1, &b.owned)), Failure::FencedMemberEpoch);
    let silent = ConsumerHeartbeat {
        owned: None,
        ..at(1, &a.owned)
    };
    assert_eq!(bench.refused(&silent), Failure::FencedMemberEpoch);
    assert_eq!(bench.refused(&a.at_join()), Failure::FencedMemberEpoch);
}

impl Client {
    fn at_join(&self) -> ConsumerHeartbeat {
        ConsumerHeartbeat {
            epoch: 0,
            owned: Some(Partitions::new()),
            ..self.full()
        }
    }
}

#[test]
fn an_answer_to_a_join_that_was_lost_is_given_again() {
    let mut bench = Bench::new(&[("t", 1)]);
    let mut a = Client::new("a", &["t"]);
    a.join(&mut bench);
    let told = a.told.clone();
    a.join(&mut bench);
    assert_eq!((a.epoch, &a.told), (1, &told));
    assert_eq!(bench.epochs(), (1, 1, vec![1]));
}

#[test]
fn a_member_that_is_not_heard_of_is_removed() {
    let mut bench = Bench::new(&[("t", 2)]);
    let (mut a, mut b) = (Client::new("a", &["t"]), Client::new("b", &["t"]));
    a.join(&mut bench);
    b.join(&mut bench);
    settle(&mut bench, &mut [&mut a, &mut b]);
    bench.pass(SESSION_MS - 1);
    a.follow(&mut bench);
    bench.pass(1);
    assert_eq!(bench.describe().members.len(), 1);
    a.follow(&mut bench);
    assert_eq!(
        (a.epoch, a.told.as_ref().map(Partitions::count)),
        (3, Some(2))
    );
    assert_eq!(bench.refused(&b.short()), Failure::UnknownMemberId);
    b.join(&mut bench);
    settle(&mut bench, &mut [&mut a, &mut b]);
}

#[test]
fn the_session_timeout_of_a_group_may_be_its_own() {
    let mut bench = Bench::new(&[("t", 2)]);
    let mut a = Client::new("a", &["t"]);
    bench.override_session(60_000);
    a.join(&mut bench);
    bench.pass(59_999);
    assert_eq!(bench.describe().members.len(), 1);
    bench.pass(1);
    assert_eq!((bench.state(), bench.epochs()), ("Empty", (2, 1, vec![])));
}

#[test]
fn an_empty_group_keeps_its_epoch() {
    let mut bench = Bench::new(&[("t", 1)]);
    let mut a = Client::new("a", &["t"]);
    a.join(&mut bench);
    a.leave(&mut bench);
    assert_eq!((bench.state(), bench.epochs()), ("Empty", (2, 1, vec![])));
    a.join(&mut bench);
    assert_eq!((a.epoch, bench.epochs()), (3, (3, 3, vec![3])));
}

#[test]
fn a_full_group_takes_nobody_in() {
    let mut bench = Bench::new(&[("t", 1)]);
    bench.settings.consumer.size_max = 1;
    let mut a = Client::new("a", &["t"]);
    a.join(&mut bench);
    let b = Client::new("b", &["t"]).full();
    assert_eq!(bench.refused(&b), Failure::GroupMaxSizeReached);
    a.follow(&mut bench);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let joins = Client::new("a", &["t"]).full();
    let check = |version, request: &ConsumerHeartbeat| {
        let assignors = [Assignor::Uniform];
        let checked = request.check(version, GROUP, &assignors);
        checked.err().map(|refusal| refusal.failure)
    };
    let invalid = Some(Failure::InvalidRequest);
    assert_eq!(check(1, &joins), None);
    let no_id = ConsumerHeartbeat {
        member_id: String::new(),
        ..joins.clone()
    };
    assert_eq!((check(0, &no_id), check(1, &no_id)), (None, invalid));
    let leaves = ConsumerHeartbeat {
        epoch: LEAVING,
        ..no_id
    };
    assert_eq!(check(0, &leaves), invalid);
    let empty = Some(String::new());
    let away = ConsumerHeartbeat {
        epoch: LEAVING_FOR_A_WHILE,
        ..joins.clone()
    };
    let owned: Partitions = [(uuid::Uuid::nil(), 0)].into_iter().collect();
    for request in [
        ConsumerHeartbeat {
            instance_id: empty.clone(),
            ..joins.clone()
        },
        ConsumerHeartbeat {
            rack_id: empty,
            ..joins.clone()
        },
        ConsumerHeartbeat {
            rebalance_timeout_ms: None,
            ..joins.clone()
        },
        ConsumerHeartbeat {
            owned: None,
            ..joins.clone()
        },
        ConsumerHeartbeat {
            owned: Some(owned),
            ..joins.clone()
        },
        ConsumerHeartbeat {
            topics: None,
            ..joins.clone()
        },
        ConsumerHeartbeat {
            epoch: -3,
            ..joins.clone()
        },
        away,
    ] {
        assert_eq!(check(1, &request), invalid, "{request:?}");
    }
    for blank in ["", " ", "\t\n"] {
        assert!(joins.check(1, blank, &[]).is_err(), "{blank:?}");
        let member_id = blank.to_owned();
        let nameless = ConsumerHeartbeat {
            member_id,
            ..joins.clone()
        };
        assert_eq!(check(1, &nameless), invalid, "{blank:?}");
    }
    let assignor = Some("range".to_owned());
    let wants = ConsumerHeartbeat { assignor, ..joins };
    assert_eq!(check(1, &wants), Some(Failure::UnsupportedAssignor));
}

#[test]
fn offsets_are_taken_from_members_at_their_epoch() {
    let mut bench = Bench::new(&[("t", 1)]);
    let mut a = Client::new("a", &["t"]);
    a.join(&mut bench);
    let who = |member: &str, generation| Identity {
        member_id: member.to_owned(),
        instance_id: None,
        generation,
    };
    let fetch = |bench: &Bench, who| bench.shard.may_fetch(GROUP, &who);
    assert_eq!(fetch(&bench, who("a", 1)), Ok(()));
    assert_eq!(fetch(&bench, who("", -1)), Err(Failure::UnknownMemberId));
    assert_eq!(fetch(&bench, who("a", 0)), Err(Failure::StaleMemberEpoch));
    assert_eq!(fetch(&bench, who("b", 1)), Err(Failure::UnknownMemberId));
    assert_eq!(bench.commit(who("a", 1)), Ok(()));
    assert_eq!(bench.commit(who("a", 2)), Err(Failure::StaleMemberEpoch));
    assert_eq!(bench.commit(who("b", 1)), Err(Failure::UnknownMemberId));
    assert_eq!(bench.commit(who("", -1)), Err(Failure::UnknownMemberId));
    a.leave(&mut bench);
    assert_eq!(bench.commit(who("", -1)), Ok(()));
}

impl Bench {
    fn commit(&mut self, who: Identity) -> Result<(), Failure> {
        use crate::coordinator::{Commit, OffsetCommit, Reply};
        let commit = Commit {
            topic: "t".to_owned(),
            partition: 0,
            offset: 5,
            leader_epoch: -1,
            metadata: String::new(),
        };
        let request = OffsetCommit {
            who,
            commits: vec![commit],
            knows_epochs: true,
            retention_ms: None,
        };
        let waiter =
            self.run(|shard, waiter, moment| shard.commit(GROUP, &request, waiter, moment));
        match self.answer(waiter) {
            Some(Reply::Committed(committed)) => committed[0],
            other => panic!("{other:?}"),
        }
    }
}
