//! The uniform assignor, where members subscribe to different topics.
//!
//! Members keep what they have; what is free goes to the subscriber with the least; then
//! partitions move from a member to one with at least two less, for as long as there is such a
//! pair that subscribes to the same topic. Nothing moves between members that are even.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{Subscriber, TopicSizes, keep};
use crate::coordinator::consumer::Partitions;

/// Most rounds over all topics. Each one lessens the differences; a few suffice unless
/// subscriptions form a long chain, and there a slightly uneven assignment must do.
const ROUNDS_MAX: usize = 64;

/// A member by its place in what was given.
type Place = usize;

/// Assigns the partitions of every topic that somebody subscribes to.
pub(super) fn assign(members: &[Subscriber<'_>], sizes: &TopicSizes) -> Vec<Partitions> {
    let kept = keep(members, sizes);
    let mut loads: Vec<usize> = kept.of_member.iter().map(Vec::len).collect();
    let mut topics = topics(members, sizes);
    for (place, partitions) in kept.of_member.iter().enumerate() {
        for (topic, partition) in partitions {
            if let Some(topic) = topics.get_mut(topic) {
                topic.owned.entry(place).or_default().insert(*partition);
            }
        }
    }
    // Topics that few can read come first: the others even things out.
    let mut in_order: Vec<(Uuid, Topic)> = topics.into_iter().collect();
    in_order.sort_by_key(|(id, topic)| (topic.subscribers.len(), *id));
    for (id, topic) in &mut in_order {
        let free = (0..topic.size).filter(|partition| !kept.taken.contains(&(*id, *partition)));
        let free: Vec<i32> = free.collect();
        topic.hand_out(free, &mut loads);
    }
    for _ in 0..ROUNDS_MAX {
        let moved = in_order.iter_mut().fold(false, |moved, (_, topic)| {
            topic.even_out(&mut loads) || moved
        });
        if !moved {
            break;
        }
    }
    let mut assigned = vec![Partitions::new(); members.len()];
    for (id, topic) in in_order {
        for (place, partitions) in topic.owned {
            if let Some(assigned) = assigned.get_mut(place) {
                assigned.extend(partitions.into_iter().map(|partition| (id, partition)));
            }
        }
    }
    assigned
}

/// A topic while its partitions are assigned.
struct Topic {
    size: i32,
    subscribers: Vec<Place>,
    owned: BTreeMap<Place, BTreeSet<i32>>,
}

/// The topics that somebody subscribes to.
fn topics(members: &[Subscriber<'_>], sizes: &TopicSizes) -> BTreeMap<Uuid, Topic> {
    let mut topics: BTreeMap<Uuid, Topic> = BTreeMap::new();
    for (place, member) in members.iter().enumerate() {
        for id in member.topics {
            let Some(size) = sizes.get(id) else {
                continue;
            };
            let topic = topics.entry(*id).or_insert_with(|| Topic {
                size: *size,
                subscribers: Vec::new(),
                owned: BTreeMap::new(),
            });
            topic.subscribers.push(place);
        }
    }
    topics
}

impl Topic {
    /// Its subscribers, those with the least first.
    fn by_load(&self, loads: &[usize]) -> BTreeSet<(usize, Place)> {
        let load = |place: &Place| Some((*loads.get(*place)?, *place));
        self.subscribers.iter().filter_map(load).collect()
    }

    /// Gives each partition of `free` to the subscriber that has the least.
    fn hand_out(&mut self, free: Vec<i32>, loads: &mut [usize]) {
        if free.is_empty() {
            return;
        }
        let mut subscribers = self.by_load(loads);
        for partition in free {
            let Some((load, place)) = subscribers.pop_first() else {
                return;
            };
            self.owned.entry(place).or_default().insert(partition);
            subscribers.insert((load + 1, place));
        }
        note(subscribers, loads);
    }

    /// Moves partitions to subscribers that have at least two less; whether there were any.
    fn even_out(&mut self, loads: &mut [usize]) -> bool {
        let mut subscribers = self.by_load(loads);
        let owner = |each: &&(usize, Place)| self.owned.contains_key(&each.1);
        let mut owners: BTreeSet<(usize, Place)> =
            subscribers.iter().filter(owner).copied().collect();
        let mut moved = false;
        while let (Some(most), Some(least)) = (owners.last().copied(), subscribers.first().copied())
            && most.0 >= least.0 + 2
        {
            let Some(partitions) = self.owned.get_mut(&most.1) else {
                break;
            };
            let Some(partition) = partitions.pop_last() else {
                break;
            };
            let owns_more = !partitions.is_empty();
            if !owns_more {
                self.owned.remove(&most.1);
            }
            self.owned.entry(least.1).or_default().insert(partition);
            for (before, after) in [(most, most.0 - 1), (least, least.0 + 1)] {
                subscribers.remove(&before);
                owners.remove(&before);
                subscribers.insert((after, before.1));
            }
            if owns_more {
                owners.insert((most.0 - 1, most.1));
            }
            owners.insert((least.0 + 1, least.1));
            moved = true;
        }
        note(subscribers, loads);
        moved
    }
}

/// Takes in the loads of some members.
fn note(members: BTreeSet<(usize, Place)>, loads: &mut [usize]) {
    for (load, place) in members {
        if let Some(noted) = loads.get_mut(place) {
            *noted = load;
        }
    }
}
