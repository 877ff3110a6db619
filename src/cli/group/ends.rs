//! Offsets of many partitions, looked up where their leaders are.

use std::collections::{BTreeMap, BTreeSet};

use super::super::CommandError;
use crate::kafka::client::{Client, OffsetSpec};
use crate::model::Offset;

/// A partition of a topic.
pub(super) type Place = (String, i32);

/// What `spec` means in each of these partitions; those that do not exist are left out.
pub(super) async fn offsets(
    client: &mut Client,
    places: &BTreeSet<Place>,
    spec: OffsetSpec,
) -> Result<BTreeMap<Place, Offset>, CommandError> {
    let topics: BTreeSet<_> = places.iter().map(|(topic, _)| topic.clone()).collect();
    let topics: Vec<_> = topics.into_iter().collect();
    let cluster = client.cluster(Some(&topics), false).await?;
    let mut found = BTreeMap::new();
    for topic in cluster.topics {
        let mut leaders: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for partition in &topic.partitions {
            let wanted = places.contains(&(topic.name.clone(), partition.number));
            if let (true, Some(leader)) = (wanted, partition.leader) {
                leaders.entry(leader).or_default().push(partition.number);
            }
        }
        for (leader, numbers) in leaders {
            let offsets = client.offsets(leader, &topic.name, &numbers, spec).await?;
            let offsets = offsets.into_iter();
            found.extend(offsets.map(|(number, offset)| ((topic.name.clone(), number), offset)));
        }
    }
    Ok(found)
}
