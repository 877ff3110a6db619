//! Who owned which partition in which generation, over the lives of all brokers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::member::{Assigned, SESSION_MS};

/// Whoever was held up for longer may be out of the group by now, and not know it yet.
const IN_TIME: Duration = Duration::from_millis(SESSION_MS.unsigned_abs() as u64 / 2);

/// A partition has one owner in a generation (an epoch, in a consumer group), for ever: what a
/// member was told is in the log, so no later broker begins that generation once more. And it has
/// one owner at a time: the next gets it after the one before has joined anew or given it up.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// The number of the member, by generation and partition.
    ever: HashMap<(i64, u8), usize>,
    /// The number of the member, and when the broker heard of it at the earliest, by partition.
    now: HashMap<u8, (usize, Instant)>,
    doubles: u64,
}

impl Owners {
    /// Notes what a member of a group was told, before it says that it knows.
    pub(super) fn owns(&mut self, group: &str, member: usize, assigned: &Assigned) {
        self.owns_nothing(member);
        let generation = assigned.generation;
        let asked = assigned.join_sent;
        for partition in &assigned.partitions {
            let first = *self.ever.entry((generation, *partition)).or_insert(member);
            let before = self.now.insert(*partition, (member, assigned.synced));
            let still =
                before.filter(|(_, heard)| asked.elapsed() < IN_TIME && heard.elapsed() < IN_TIME);
            for owner in [Some(first), still.map(|(owner, _)| owner)] {
                if let Some(owner) = owner.filter(|owner| *owner != member) {
                    eprintln!(
                        "{group}, partition {partition}: member {member} has it in generation \
                         {generation}, and so has member {owner}"
                    );
                    self.doubles += 1;
                }
            }
        }
    }

    /// Notes that a member is about to give up everything.
    pub(super) fn owns_nothing(&mut self, member: usize) {
        self.now.retain(|_, (owner, _)| *owner != member);
    }

    /// Notes that the broker heard of a member after `sent`.
    pub(super) fn heard(&mut self, member: usize, sent: Instant) {
        let of_member = self.now.values_mut().filter(|(owner, _)| *owner == member);
        of_member.for_each(|(_, heard)| *heard = sent);
    }

    /// Nobody owns anything until the next broker says so.
    pub(super) fn broker_gone(&mut self) {
        self.now.clear();
    }

    /// How often a partition was somebody else's already.
    pub(super) fn doubles(&self) -> u64 {
        self.doubles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(generation: i64, partitions: &[u8]) -> Assigned {
        Assigned {
            generation,
            partitions: partitions.to_vec(),
            join_sent: Instant::now(),
            synced: Instant::now(),
        }
    }

    #[test]
    fn a_partition_may_change_its_owner_with_the_generation_alone() {
        let mut owners = Owners::default();
        owners.owns("g", 0, &assigned(1, &[0, 1]));
        owners.owns("g", 1, &assigned(1, &[2]));
        owners.owns_nothing(0);
        owners.owns("g", 1, &assigned(2, &[0, 1]));
        owners.broker_gone();
        owners.owns("g", 0, &assigned(1, &[0]));
        assert_eq!(owners.doubles(), 0);
        owners.broker_gone();
        owners.owns("g", 1, &assigned(1, &[1, 2]));
        assert_eq!(owners.doubles(), 1);
    }

    #[test]
    fn a_partition_that_its_owner_has_not_given_up_has_two() {
        let mut owners = Owners::default();
        owners.owns("g", 0, &assigned(1, &[0, 1]));
        owners.owns("g", 0, &assigned(1, &[0]));
        owners.owns("g", 1, &assigned(2, &[1]));
        assert_eq!(owners.doubles(), 0);
        owners.owns("g", 1, &assigned(2, &[0, 1]));
        assert_eq!(owners.doubles(), 1);
    }

    #[test]
    fn who_was_held_up_may_have_lost_what_it_had() {
        let Some(long_ago) = Instant::now().checked_sub(IN_TIME) else {
            return;
        };
        let mut owners = Owners::default();
        owners.owns("g", 0, &assigned(1, &[0]));
        owners.heard(0, long_ago);
        owners.owns("g", 1, &assigned(2, &[0]));
        let late = Assigned {
            join_sent: long_ago,
            ..assigned(1, &[0])
        };
        owners.owns("g", 0, &late);
        assert_eq!(owners.doubles(), 0);
    }
}
