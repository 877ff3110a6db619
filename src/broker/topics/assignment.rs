//! Replicas that a client chose by hand.

use std::collections::BTreeSet;

use crate::model::{NodeId, PartitionId};

/// Why an assignment by hand was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    /// A partition without replicas.
    #[error("The manual partition assignment includes an empty replica list.")]
    Empty,
    /// A node that is not in the cluster.
    #[error(
        "The manual partition assignment includes broker {0}, but no such broker is registered."
    )]
    UnknownBroker(NodeId),
    /// A node twice in one partition.
    #[error("The manual partition assignment includes the broker {0} more than once.")]
    Repeated(NodeId),
    /// A partition twice in one topic.
    #[error("Found multiple manual partition assignments for partition {0}")]
    PartitionTwice(PartitionId),
    /// The partitions are not 0, 1, 2, …
    #[error("partitions should be a consecutive 0-based integer sequence")]
    Gaps,
    /// As many assignments as new partitions are needed.
    #[error(
        "Attempted to add {wanted} additional partition(s), but only {given} assignment(s) were specified."
    )]
    Count {
        /// Partitions to add.
        wanted: usize,
        /// Assignments in the request.
        given: usize,
    },
}

/// Checks the replicas of one partition against the only node, `node`.
pub(super) fn check_replicas(replicas: &[NodeId], node: NodeId) -> Result<(), AssignmentError> {
    if replicas.is_empty() {
        return Err(AssignmentError::Empty);
    }
    let mut sorted = replicas.to_vec();
    sorted.sort_unstable();
    let mut previous = None;
    for replica in sorted {
        if replica != node {
            return Err(AssignmentError::UnknownBroker(replica));
        }
        if previous == Some(replica) {
            return Err(AssignmentError::Repeated(replica));
        }
        previous = Some(replica);
    }
    Ok(())
}

/// Checks the assignments of a new topic; gives the number of partitions.
pub(super) fn check_topic(
    assignments: &[(PartitionId, Vec<NodeId>)],
    node: NodeId,
) -> Result<usize, AssignmentError> {
    let mut seen = BTreeSet::new();
    for (partition, replicas) in assignments {
        if !seen.insert(partition.get()) {
            return Err(AssignmentError::PartitionTwice(*partition));
        }
        check_replicas(replicas, node)?;
    }
    let consecutive = seen
        .iter()
        .zip(0..)
        .all(|(partition, expected)| *partition == expected);
    if consecutive {
        Ok(seen.len())
    } else {
        Err(AssignmentError::Gaps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(1);

    /// Partitions and their nodes.
    type ByHand = &'static [(i32, &'static [i32])];

    fn of(partitions: ByHand) -> Vec<(PartitionId, Vec<NodeId>)> {
        partitions
            .iter()
            .map(|(partition, nodes)| {
                (
                    PartitionId(*partition),
                    nodes.iter().copied().map(NodeId).collect(),
                )
            })
            .collect()
    }

    #[test]
    fn the_order_of_partitions_does_not_matter() {
        assert_eq!(check_topic(&of(&[(1, &[1]), (0, &[1])]), NODE), Ok(2));
    }

    #[test]
    fn assignments_are_refused_as_kafka_refuses_them() {
        use AssignmentError as E;
        let cases: [(ByHand, E); 7] = [
            (&[(0, &[1]), (0, &[1])], E::PartitionTwice(PartitionId(0))),
            (&[(0, &[1]), (2, &[1])], E::Gaps),
            (&[(-1, &[1])], E::Gaps),
            (&[(0, &[1]), (1, &[])], E::Empty),
            (&[(0, &[2])], E::UnknownBroker(NodeId(2))),
            (&[(0, &[1, 2])], E::UnknownBroker(NodeId(2))),
            (&[(0, &[1, 1])], E::Repeated(NodeId(1))),
        ];
        for (partitions, error) in cases {
            assert_eq!(
                check_topic(&of(partitions), NODE),
                Err(error),
                "{partitions:?}"
            );
        }
    }
}
