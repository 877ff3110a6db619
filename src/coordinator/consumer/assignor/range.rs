//! The range assignor (Kafka's `RangeAssignor`).
//!
//! The members stand in a row that does not change while they stay: static members by instance id,
//! then the others by member id. The partitions of each topic are dealt along the row of those who
//! subscribe to it, in ranges of equal length; the first ranges are one longer if they do not
//! divide evenly. So topics of the same size, with the same subscribers, are dealt alike, which
//! joins of them rely on.

use super::{Subscriber, TopicSizes};
use crate::coordinator::consumer::Partitions;

/// Assigns the partitions of every topic that somebody subscribes to.
pub(super) fn assign(members: &[Subscriber<'_>], sizes: &TopicSizes) -> Vec<Partitions> {
    let mut row: Vec<(usize, &Subscriber<'_>)> = members.iter().enumerate().collect();
    row.sort_by_key(|(_, each)| (each.instance_id.is_none(), each.instance_id, each.id));
    let mut assigned = vec![Partitions::new(); members.len()];
    for (topic, size) in sizes {
        let subscribers = || row.iter().filter(|(_, each)| each.topics.contains(topic));
        for ((place, _), range) in subscribers().zip(ranges(*size, subscribers().count())) {
            if let Some(partitions) = assigned.get_mut(*place) {
                partitions.extend(range.map(|partition: i32| (*topic, partition)));
            }
        }
    }
    assigned
}

/// Splits `size` partitions into so many ranges.
fn ranges(size: i32, count: usize) -> impl Iterator<Item = std::ops::Range<i32>> {
    let count = i32::try_from(count).unwrap_or(i32::MAX).max(1);
    let (length, extra) = (size / count, size % count);
    (0..count).map(move |place| {
        let start = place * length + place.min(extra);
        start..start + length + i32::from(place < extra)
    })
}
