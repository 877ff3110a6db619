//! What is known to be damaged, and was reported: nothing of it is ever served, and nothing deleted.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::model::{Offset, TopicPartition};

/// Most stretches that are listed; beyond it they are counted and logged alone.
const LISTED_MAX: usize = 10_000;

/// A stretch of a log where something else was written than what is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The partition.
    pub partition: TopicPartition,
    /// Name of its directory.
    pub directory: String,
    /// First offset of the segment, and its name.
    pub segment: Offset,
    /// The bytes of the segment's `.log` file; none where whole batches are missing.
    pub bytes: Range<u64>,
    /// The offsets that cannot be read.
    pub offsets: Range<Offset>,
    /// What is wrong.
    pub reason: String,
}

/// The offsets that cannot be read, and the bytes of the segment that stand in their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Lost {
    pub(in crate::storage) bytes: Range<u64>,
    pub(in crate::storage) offsets: Range<Offset>,
}

/// The damage that a store came by since it was opened.
#[derive(Debug, Default)]
pub(in crate::storage) struct DamageList {
    count: AtomicU64,
    listed: Mutex<Listed>,
}

#[derive(Debug, Default)]
struct Listed {
    damages: Vec<Damage>,
    /// Partition, segment and position of each.
    places: HashSet<(TopicPartition, Offset, u64)>,
}

impl DamageList {
    /// Notes and logs damage, unless that place is known.
    pub(in crate::storage) fn report(&self, damage: Damage) {
        let mut listed = self.listed.lock();
        let place = (damage.partition, damage.segment, damage.bytes.start);
        if listed.places.len() < LISTED_MAX && !listed.places.insert(place) {
            return;
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            partition = damage.directory,
            segment = damage.segment.0,
            position = damage.bytes.start,
            bytes = damage.bytes.end - damage.bytes.start,
            from = damage.offsets.start.0,
            to = damage.offsets.end.0,
            reason = damage.reason,
            "damaged batches: kept, and refused to readers"
        );
        if listed.damages.len() < LISTED_MAX {
            listed.damages.push(damage);
        }
    }

    /// How many stretches were found.
    pub(in crate::storage) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The stretches, as many as are listed.
    pub(in crate::storage) fn list(&self) -> Vec<Damage> {
        self.listed.lock().damages.clone()
    }

    /// Forgets what was found in a partition that is gone.
    pub(in crate::storage) fn forget(&self, partition: TopicPartition) {
        let mut listed = self.listed.lock();
        listed.places.retain(|(of, _, _)| *of != partition);
        listed
            .damages
            .retain(|damage| damage.partition != partition);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PartitionId, TopicId};

    #[test]
    fn damage_is_counted_once_and_forgotten_with_its_partition() {
        let list = DamageList::default();
        let partition = |number| TopicPartition {
            topic: TopicId::METADATA,
            partition: PartitionId(number),
        };
        let damage = |number, position| Damage {
            partition: partition(number),
            directory: format!("t-{number}"),
            segment: Offset(0),
            bytes: position..position + 9,
            offsets: Offset(3)..Offset(5),
            reason: "its checksum does not match".to_owned(),
        };
        for place in [(0, 7), (0, 7), (0, 8), (1, 7)] {
            list.report(damage(place.0, place.1));
        }
        assert_eq!(list.count(), 3);
        assert_eq!(list.list(), [damage(0, 7), damage(0, 8), damage(1, 7)]);
        list.forget(partition(0));
        assert_eq!(list.list(), [damage(1, 7)]);
    }
}
