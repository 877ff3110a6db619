//! One member's next step towards what it shall have (Kafka's `CurrentAssignmentBuilder`).
//!
//! | state | goes on when | what it may do meanwhile |
//! | --- | --- | --- |
//! | Stable | there is a newer target | read what it has |
//! | UnrevokedPartitions | it no longer names the partitions that it must give up | commit and give up |
//! | UnreleasedPartitions | others have given up what it waits for | read what it has got so far |
//! | Unknown | it says that it has nothing | nothing: it is fenced |
//!
//! A partition goes to its next owner only after the one before has stopped naming it, or is gone:
//! so no partition has two owners.

use uuid::Uuid;

use super::Partitions;
use super::member::{Member, MemberState};

/// What a member shall have, and by which epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// Epoch of the target assignment.
    pub(crate) epoch: i32,
    /// The member's part of it.
    pub(crate) partitions: &'a Partitions,
}

/// A member that must give up everything, and join again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MustRejoin;

/// The member as it is after one step.
///
/// `owned` is what the member says that it has, if it says so, and `is_owned` tells what anybody
/// has, or has yet to give up.
pub(crate) fn step(
    member: &Member,
    target: Target<'_>,
    owned: Option<&Partitions>,
    is_owned: impl Fn(Uuid, i32) -> bool,
) -> Result<Member, MustRejoin> {
    let go_on = |epoch| next(member, epoch, target, owned, is_owned);
    match member.state {
        MemberState::Stable if member.epoch == target.epoch => Ok(member.clone()),
        MemberState::Stable | MemberState::UnreleasedPartitions => Ok(go_on(member.epoch)),
        MemberState::UnrevokedPartitions if still_has(owned, &member.revoking) => {
            Ok(member.clone())
        }
        // It has done its part, whether or not there is more to give up by now.
        MemberState::UnrevokedPartitions => Ok(go_on(member.epoch + 1)),
        MemberState::Unknown if owned.is_some_and(Partitions::is_empty) => Ok(go_on(target.epoch)),
        MemberState::Unknown => Err(MustRejoin),
    }
}

/// Whether the member may still have some of the partitions: who says nothing may have them all.
fn still_has(owned: Option<&Partitions>, partitions: &Partitions) -> bool {
    owned.is_none_or(|owned| partitions.intersects(owned))
}

/// The step itself; at `epoch` if there is something to give up first.
fn next(
    member: &Member,
    epoch: i32,
    target: Target<'_>,
    owned: Option<&Partitions>,
    is_owned: impl Fn(Uuid, i32) -> bool,
) -> Member {
    let shall_have =
        |(topic, partition): &(Uuid, i32)| target.partitions.contains(*topic, *partition);
    let (kept, dropped): (Vec<_>, Vec<_>) = member.assigned.iter().partition(shall_have);
    let mut assigned: Partitions = kept.into_iter().collect();
    let dropped: Partitions = dropped.into_iter().collect();
    let mut after = member.clone();
    if !dropped.is_empty() && still_has(owned, &dropped) {
        after.state = MemberState::UnrevokedPartitions;
        after.advance(epoch);
        after.assigned = assigned;
        after.revoking = dropped;
        return after;
    }
    let mut waits = false;
    for (topic, partition) in target.partitions.iter() {
        if member.assigned.contains(topic, partition) {
            continue;
        }
        // What it was about to give up is its own to take back.
        if is_owned(topic, partition) && !member.revoking.contains(topic, partition) {
            waits = true;
        } else {
            assigned.insert(topic, partition);
        }
    }
    after.state = match waits {
        true => MemberState::UnreleasedPartitions,
        false => MemberState::Stable,
    };
    after.advance(target.epoch);
    after.assigned = assigned;
    after.revoking = Partitions::new();
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Uuid = Uuid::from_u128(1);

    fn some(partitions: &[i32]) -> Partitions {
        partitions.iter().map(|each| (TOPIC, *each)).collect()
    }

    fn member(epoch: i32, state: MemberState, assigned: &[i32], revoking: &[i32]) -> Member {
        Member {
            epoch,
            previous_epoch: epoch - 1,
            state,
            assigned: some(assigned),
            revoking: some(revoking),
            ..Member::new("m")
        }
    }

    /// The step towards `target` at epoch 10, while others have the partitions of `taken`.
    fn after(
        member: &Member,
        target: &[i32],
        owned: Option<&[i32]>,
        taken: &[i32],
    ) -> Result<Member, MustRejoin> {
        let partitions = some(target);
        let owned = owned.map(some);
        let target = Target {
            epoch: 10,
            partitions: &partitions,
        };
        step(member, target, owned.as_ref(), |_, each| {
            taken.contains(&each)
                || member.assigned.contains(TOPIC, each)
                || member.revoking.contains(TOPIC, each)
        })
    }

    fn expect(after: &Member, epoch: i32, state: MemberState, assigned: &[i32], revoking: &[i32]) {
        let what = (after.epoch, after.state, &after.assigned, &after.revoking);
        assert_eq!(what, (epoch, state, &some(assigned), &some(revoking)));
    }

    use MemberState::{Stable, Unknown, UnreleasedPartitions, UnrevokedPartitions};

    #[test]
    fn a_member_that_is_there_stays() {
        let here = member(10, Stable, &[1, 2], &[]);
        assert_eq!(after(&here, &[1, 2], Some(&[1]), &[]), Ok(here.clone()));
    }

    #[test]
    fn a_stable_member_takes_what_is_free() {
        let new = after(&member(9, Stable, &[1], &[]), &[1, 2], None, &[]).unwrap();
        expect(&new, 10, Stable, &[1, 2], &[]);
        assert_eq!(new.previous_epoch, 9);
    }

    #[test]
    fn a_stable_member_first_gives_up_what_it_shall_not_have() {
        let new = after(&member(9, Stable, &[1, 2], &[]), &[2, 3], None, &[]).unwrap();
        // It stays at its epoch, and gets nothing more.
        expect(&new, 9, UnrevokedPartitions, &[2], &[1]);
        assert_eq!(new.previous_epoch, 9);
    }

    #[test]
    fn what_a_member_no_longer_names_it_has_given_up() {
        let new = after(&member(9, Stable, &[1, 2], &[]), &[2, 3], Some(&[2]), &[]).unwrap();
        expect(&new, 10, Stable, &[2, 3], &[]);
    }

    #[test]
    fn a_member_waits_for_what_others_have() {
        let waiting = after(&member(9, Stable, &[1], &[]), &[1, 2, 3], None, &[3]).unwrap();
        expect(&waiting, 10, UnreleasedPartitions, &[1, 2], &[]);
        let still = after(&waiting, &[1, 2, 3], None, &[3]).unwrap();
        expect(&still, 10, UnreleasedPartitions, &[1, 2], &[]);
        let done = after(&still, &[1, 2, 3], None, &[]).unwrap();
        expect(&done, 10, Stable, &[1, 2, 3], &[]);
    }

    #[test]
    fn a_waiting_member_may_have_to_give_up_something_new() {
        let waiting = member(9, UnreleasedPartitions, &[1, 2], &[]);
        let new = after(&waiting, &[2], Some(&[1, 2]), &[]).unwrap();
        expect(&new, 9, UnrevokedPartitions, &[2], &[1]);
    }

    #[test]
    fn a_member_stays_until_it_has_given_up_everything() {
        let revoking = member(8, UnrevokedPartitions, &[2], &[1]);
        for owned in [None, Some([1, 2].as_slice()), Some(&[1])] {
            assert_eq!(after(&revoking, &[2, 3], owned, &[]), Ok(revoking.clone()));
        }
        let new = after(&revoking, &[2, 3], Some(&[2]), &[]).unwrap();
        expect(&new, 10, Stable, &[2, 3], &[]);
    }

    #[test]
    fn a_member_that_has_to_give_up_more_goes_on_by_one_epoch() {
        let revoking = member(6, UnrevokedPartitions, &[2], &[1]);
        let new = after(&revoking, &[3], Some(&[2]), &[]).unwrap();
        expect(&new, 7, UnrevokedPartitions, &[], &[2]);
    }

    #[test]
    fn a_member_takes_back_what_it_was_about_to_give_up() {
        let revoking = member(8, UnrevokedPartitions, &[2], &[1]);
        let new = after(&revoking, &[1, 2], Some(&[2]), &[]).unwrap();
        expect(&new, 10, Stable, &[1, 2], &[]);
    }

    #[test]
    fn a_member_of_unknown_state_begins_anew() {
        let unknown = member(8, Unknown, &[1], &[]);
        assert_eq!(after(&unknown, &[1], None, &[]), Err(MustRejoin));
        assert_eq!(after(&unknown, &[1], Some(&[1]), &[]), Err(MustRejoin));
        let new = after(&unknown, &[1], Some(&[]), &[]).unwrap();
        expect(&new, 10, Stable, &[1], &[]);
    }
}
