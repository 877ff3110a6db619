//! What every assignment must hold to, and how little of it may move.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::*;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A group whose assignment is done again and again, while members and topics come and go.
#[derive(Clone, Default)]
struct Group {
    members: BTreeMap<String, (Option<String>, BTreeSet<Uuid>)>,
    sizes: TopicSizes,
    assigned: BTreeMap<String, Partitions>,
}

impl Group {
    fn new(topics: &[(u128, i32)]) -> Self {
        let sizes = topics.iter().map(|(topic, size)| (id(*topic), *size));
        Self {
            sizes: sizes.collect(),
            ..Self::default()
        }
    }

    fn member(mut self, name: &str, topics: &[u128]) -> Self {
        self.join(name, topics);
        self
    }

    fn join(&mut self, name: &str, topics: &[u128]) {
        let topics = topics.iter().copied().map(id).collect();
        self.members.insert(name.to_owned(), (None, topics));
    }

    fn leave(&mut self, name: &str) {
        self.members.remove(name);
        self.assigned.remove(name);
    }

    fn assign(&mut self, assignor: Assignor) {
        let nothing = Partitions::new();
        let members: Vec<Subscriber<'_>> = self
            .members
            .iter()
            .map(|(name, (instance_id, topics))| Subscriber {
                id: name,
                instance_id: instance_id.as_deref(),
                topics,
                current: self.assigned.get(name).unwrap_or(&nothing),
            })
            .collect();
        let assigned = assignor.assign(&members, &self.sizes);
        assert_eq!(assigned.len(), members.len());
        let names = self.members.keys().cloned();
        self.assigned = names.zip(assigned).collect();
        self.check();
    }

    /// Every partition that somebody subscribes to has one owner, and the owner subscribes to it.
    fn check(&self) {
        let mut owners: HashMap<(Uuid, i32), &str> = HashMap::new();
        for (name, partitions) in &self.assigned {
            for (topic, partition) in partitions.iter() {
                assert!(self.members[name].1.contains(&topic), "{name} never asked");
                assert!(partition < self.sizes[&topic], "no such partition");
                let other = owners.insert((topic, partition), name);
                assert_eq!(other, None, "two owners of {topic}-{partition}");
            }
        }
        for (topic, size) in &self.sizes {
            let wanted = self
                .members
                .values()
                .any(|(_, topics)| topics.contains(topic));
            let owned = (0..*size).filter(|each| owners.contains_key(&(*topic, *each)));
            assert_eq!(owned.count(), if wanted { *size as usize } else { 0 });
        }
    }

    fn of(&self, name: &str) -> Vec<(u128, i32)> {
        let partitions = self.assigned[name].iter();
        partitions
            .map(|(topic, each)| (topic.as_u128(), each))
            .collect()
    }

    fn counts(&self) -> Vec<usize> {
        self.assigned.values().map(Partitions::count).collect()
    }

    /// Partitions whose owner is another one than before, and still there.
    fn moved_since(&self, before: &Self) -> usize {
        let moved = |name: &str, topic, partition| {
            let now = self.assigned.get(name);
            self.sizes.get(&topic).is_some_and(|size| partition < *size)
                && now.is_some_and(|now| !now.contains(topic, partition))
        };
        let all = before.assigned.iter().flat_map(|(name, partitions)| {
            partitions
                .iter()
                .map(move |(topic, each)| (name, topic, each))
        });
        all.filter(|(name, topic, each)| moved(name, *topic, *each))
            .count()
    }
}

#[test]
fn names_are_kafkas() {
    assert_eq!(Assignor::by_name("uniform"), Some(Assignor::Uniform));
    assert_eq!(Assignor::by_name("range"), Some(Assignor::Range));
    assert_eq!(Assignor::by_name("Range"), None);
}

#[test]
fn nobody_and_nothing_can_be_assigned() {
    for assignor in Assignor::ALL {
        Group::new(&[(1, 3)]).assign(assignor);
        Group::new(&[]).member("a", &[]).assign(assignor);
        let mut unknown = Group::new(&[(1, 2)]).member("a", &[1, 9]).member("b", &[9]);
        unknown.assign(assignor);
        assert_eq!(unknown.of("a"), [(1, 0), (1, 1)]);
    }
}

#[test]
fn uniform_shares_differ_by_one_at_most() {
    let mut group = Group::new(&[(1, 3), (2, 4)]);
    for name in ["a", "b", "c"] {
        group.join(name, &[1, 2]);
    }
    group.assign(Assignor::Uniform);
    assert_eq!(group.counts(), [3, 2, 2]);
}

#[test]
fn uniform_moves_only_what_a_new_member_needs() {
    let mut group = Group::new(&[(1, 7)]).member("b", &[1]).member("c", &[1]);
    group.assign(Assignor::Uniform);
    let before = group.clone();
    group.join("a", &[1]);
    group.assign(Assignor::Uniform);
    assert_eq!(group.moved_since(&before), 2);
    // The larger share stays where it is, though another member comes first.
    assert_eq!(group.counts(), [2, 3, 2]);
}

#[test]
fn uniform_moves_nothing_when_a_member_leaves() {
    let mut group = Group::new(&[(1, 9)]);
    for name in ["a", "b", "c"] {
        group.join(name, &[1]);
    }
    group.assign(Assignor::Uniform);
    let before = group.clone();
    group.leave("b");
    group.assign(Assignor::Uniform);
    assert_eq!(group.moved_since(&before), 0);
    let again = group.clone();
    group.assign(Assignor::Uniform);
    assert_eq!(group.assigned, again.assigned);
}

#[test]
fn uniform_heeds_who_reads_what() {
    let mut group = Group::new(&[(1, 4), (2, 2)])
        .member("a", &[1])
        .member("b", &[1, 2]);
    group.assign(Assignor::Uniform);
    assert_eq!(group.counts(), [3, 3]);
    let before = group.clone();
    group.join("c", &[2]);
    group.assign(Assignor::Uniform);
    // As in Kafka, no partition moves only to let another one move.
    assert_eq!(group.counts(), [3, 2, 1]);
    assert_eq!(group.moved_since(&before), 1);
}

#[test]
fn a_partition_that_two_members_have_stays_with_one() {
    let mut group = Group::new(&[(1, 2), (2, 2)])
        .member("a", &[1])
        .member("b", &[1, 2]);
    for name in ["a", "b"] {
        let both = [(id(1), 0), (id(1), 1), (id(9), 0)].into_iter().collect();
        group.assigned.insert(name.to_owned(), both);
    }
    group.clone().assign(Assignor::Range);
    group.assign(Assignor::Uniform);
    group.join("a", &[1, 2]);
    group.assign(Assignor::Uniform);
}

#[test]
fn ranges_are_dealt_in_a_row() {
    let mut group = Group::new(&[(1, 3), (2, 3), (3, 1)])
        .member("a", &[1, 2])
        .member("b", &[1, 2, 3]);
    group.assign(Assignor::Range);
    assert_eq!(group.of("a"), [(1, 0), (1, 1), (2, 0), (2, 1)]);
    assert_eq!(group.of("b"), [(1, 2), (2, 2), (3, 0)]);
}

#[test]
fn ranges_leave_nothing_for_members_beyond_the_partitions() {
    let mut group = Group::new(&[(1, 2)]);
    for name in ["a", "b", "c"] {
        group.join(name, &[1]);
    }
    group.assign(Assignor::Range);
    assert_eq!(group.counts(), [1, 1, 0]);
}

#[test]
fn static_members_keep_their_ranges_under_new_member_ids() {
    let mut group = Group::new(&[(1, 4)]);
    let topics: BTreeSet<Uuid> = [id(1)].into();
    let mut add = |name: &str, instance: Option<&str>| {
        let member = (instance.map(str::to_owned), topics.clone());
        group.members.insert(name.to_owned(), member);
    };
    add("0", None);
    add("z", Some("first"));
    add("y", Some("second"));
    group.assign(Assignor::Range);
    assert_eq!(group.of("z"), [(1, 0), (1, 1)]);
    assert_eq!(group.of("y"), [(1, 2)]);
    assert_eq!(group.of("0"), [(1, 3)]);
}

/// Random members, topics and changes: `alike` if all subscribe to the same.
fn churn(assignor: Assignor, alike: bool, after: impl Fn(&Group, &Group)) {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut group = Group::new(&[]);
        for _ in 0..20 {
            let before = group.clone();
            match random.u32(0..6) {
                0 => {
                    group.sizes.remove(&id(random.u128(0..6)));
                }
                1 => {
                    let size = group.sizes.entry(id(random.u128(0..6))).or_insert(0);
                    *size += random.i32(1..9);
                }
                2 => group.leave(&format!("m{}", random.u32(0..9))),
                _ => {
                    let wanted = |_: &u128| alike || random.bool();
                    let topics: Vec<u128> = (0..6).filter(wanted).collect();
                    group.join(&format!("m{}", random.u32(0..9)), &topics);
                }
            }
            group.assign(assignor);
            after(&before, &group);
        }
    }
}

#[test]
fn uniform_is_even_and_moves_no_more_than_it_must() {
    churn(Assignor::Uniform, true, |before, after| {
        let counts = after.counts();
        let (least, most) = (counts.iter().min(), counts.iter().max());
        assert!(
            most.zip(least)
                .is_none_or(|(most, least)| most - least <= 1)
        );
        // What any even assignment takes away from members that have more than their share.
        let total: usize = counts.iter().sum();
        let (share, extra) = match counts.len() {
            0 => (0, 0),
            members => (total / members, total % members),
        };
        let mut kept: Vec<usize> = after
            .members
            .keys()
            .map(|name| {
                let before = before.assigned.get(name);
                let there = |(topic, each): &(Uuid, i32)| {
                    after.sizes.get(topic).is_some_and(|size| each < size)
                };
                before.map_or(0, |before| before.iter().filter(there).count())
            })
            .collect();
        kept.sort_unstable_by(|a, b| b.cmp(a));
        let needed = kept
            .iter()
            .enumerate()
            .map(|(place, kept)| kept.saturating_sub(share + usize::from(place < extra)));
        assert_eq!(after.moved_since(before), needed.sum::<usize>());
    });
}

#[test]
fn uneven_subscriptions_leave_no_pair_that_could_be_evened_out() {
    churn(Assignor::Uniform, false, |_, after| {
        for (name, partitions) in &after.assigned {
            for (topic, _) in partitions.iter() {
                for (other, (_, topics)) in &after.members {
                    let less = after.assigned[other].count() + 1 < partitions.count();
                    assert!(
                        !(topics.contains(&topic) && less),
                        "{name} could give to {other}"
                    );
                }
            }
        }
    });
}

#[test]
fn an_assignment_that_is_done_again_stays() {
    for alike in [true, false] {
        for assignor in Assignor::ALL {
            churn(assignor, alike, |_, after| {
                let mut again = after.clone();
                again.assign(assignor);
                assert_eq!(again.assigned, after.assigned);
            });
        }
    }
}

#[test]
fn ranges_of_topics_of_one_size_are_dealt_alike() {
    churn(Assignor::Range, true, |_, after| {
        for partitions in after.assigned.values() {
            let of: BTreeMap<Uuid, &BTreeSet<i32>> = partitions.by_topic().collect();
            for (a, size_a) in &after.sizes {
                for (b, size_b) in &after.sizes {
                    assert!(size_a != size_b || of.get(a) == of.get(b));
                }
            }
        }
    });
}

#[test]
fn a_large_group_is_assigned_quickly_enough_to_hold_a_shard() {
    let topics: Vec<(u128, i32)> = (0..200).map(|topic| (topic, 100)).collect();
    let mut group = Group::new(&topics);
    for member in 0..500_u128 {
        let topics: Vec<u128> = (0..200).filter(|topic| (topic + member) % 3 > 0).collect();
        group.join(&format!("m{member}"), &topics);
    }
    group.assign(Assignor::Uniform);
    assert_eq!(group.counts(), [40; 500]);
}
