//! The uniform assignor, where all members subscribe to the same topics.
//!
//! No member has two partitions more than another. Members keep what they have up to their share;
//! the shares that are one larger, if the partitions do not divide evenly, go to members that have
//! so many already, so that no partition moves without need.

use uuid::Uuid;

use super::{Kept, Subscriber, TopicSizes, keep};
use crate::coordinator::consumer::Partitions;

/// Assigns the partitions of the topics that every member subscribes to.
pub(super) fn assign(members: &[Subscriber<'_>], sizes: &TopicSizes) -> Vec<Partitions> {
    let Some(first) = members.first() else {
        return Vec::new();
    };
    let topics: Vec<(Uuid, i32)> = first
        .topics
        .iter()
        .filter_map(|topic| Some((*topic, *sizes.get(topic)?)))
        .collect();
    let Kept {
        mut of_member,
        mut taken,
    } = keep(members, sizes);
    let shares = shares(&topics, &of_member);
    for (kept, share) in of_member.iter_mut().zip(&shares) {
        for excess in kept.drain((*share).min(kept.len())..) {
            taken.remove(&excess);
        }
    }
    let everything = topics
        .iter()
        .flat_map(|(topic, size)| (0..*size).map(|partition| (*topic, partition)));
    let mut free = everything.filter(|each| !taken.contains(each));
    let with_shares = of_member.into_iter().zip(shares);
    with_shares
        .map(|(kept, share)| {
            let missing = share - kept.len();
            kept.into_iter()
                .chain(free.by_ref().take(missing))
                .collect()
        })
        .collect()
}

/// How many partitions each member gets.
fn shares(topics: &[(Uuid, i32)], kept: &[Vec<(Uuid, i32)>]) -> Vec<usize> {
    let sizes = topics.iter().map(|(_, size)| usize::try_from(*size));
    let total: usize = sizes.map(Result::unwrap_or_default).sum();
    let least = total / kept.len().max(1);
    let mut extra = total % kept.len().max(1);
    let mut shares = vec![least; kept.len()];
    for have_it_already in [true, false] {
        for (share, kept) in shares.iter_mut().zip(kept) {
            if extra > 0 && *share == least && (kept.len() > least) == have_it_already {
                *share += 1;
                extra -= 1;
            }
        }
    }
    shares
}
