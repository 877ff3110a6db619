//! `klamm group describe`: who is in a group, what it has read, and what it still has to read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::output::print;
use super::super::{CommandError, Format};
use super::ends::{self, Place};
use super::{or_dash, table};
use crate::kafka::client::{Client, GroupInfo, MemberInfo, OffsetSpec};
use crate::model::Offset;

/// A group with its partitions: those that it has committed, and those that a member has.
struct Described {
    group: GroupInfo,
    partitions: BTreeMap<Place, Partition>,
}

#[derive(Default)]
struct Partition {
    committed: Option<Offset>,
    end: Option<Offset>,
    /// Where its member is in the group's.
    member: Option<usize>,
}

impl Partition {
    /// Records that are not read yet. Less than none after records were lost.
    fn lag(&self) -> Option<i64> {
        let (end, committed) = (self.end?, self.committed?);
        Some(end.0.saturating_sub(committed.0))
    }
}

pub(super) async fn run(
    client: &mut Client,
    mut names: Vec<String>,
    format: Format,
) -> Result<(), CommandError> {
    if names.is_empty() {
        let groups = client.groups().await?;
        names.extend(groups.into_iter().map(|group| group.name));
    }
    let mut groups = Vec::new();
    for name in names {
        groups.push(describe(client, &name).await?);
    }
    match format {
        Format::Text => {
            let texts: Vec<_> = groups.iter().map(as_text).collect();
            print(&texts.join("\n"))
        }
        Format::Json => print(&format!(
            "{}\n",
            groups.iter().map(as_json).collect::<Value>()
        )),
    }
}

async fn describe(client: &mut Client, name: &str) -> Result<Described, CommandError> {
    let group = client.group(name).await?;
    let mut partitions: BTreeMap<Place, Partition> = BTreeMap::new();
    for committed in client.committed(name).await? {
        let place = (committed.topic, committed.partition);
        partitions.entry(place).or_default().committed = Some(committed.offset);
    }
    for (index, member) in group.members.iter().enumerate() {
        for (topic, numbers) in &member.assigned {
            for number in numbers {
                let place = (topic.clone(), *number);
                partitions.entry(place).or_default().member = Some(index);
            }
        }
    }
    let places: BTreeSet<_> = partitions.keys().cloned().collect();
    for (place, end) in ends::offsets(client, &places, OffsetSpec::Latest).await? {
        partitions.entry(place).or_default().end = Some(end);
    }
    Ok(Described { group, partitions })
}

impl Described {
    fn member(&self, partition: &Partition) -> Option<&MemberInfo> {
        self.group.members.get(partition.member?)
    }

    /// Members that have no partition.
    fn idle(&self) -> impl Iterator<Item = &MemberInfo> {
        let members = self.group.members.iter();
        members.filter(|member| member.assigned.is_empty())
    }
}

fn as_text(described: &Described) -> String {
    let group = &described.group;
    let lag: i64 = described
        .partitions
        .values()
        .filter_map(Partition::lag)
        .sum();
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "Group: {}\tType: {}\tState: {}\tAssignor: {}\tCoordinator: {}\tMembers: {}\tLag: {lag}",
        group.name,
        group.kind,
        group.state,
        or_dash(&group.assignor),
        group.coordinator,
        group.members.len(),
    );
    let header = [
        "TOPIC",
        "PARTITION",
        "COMMITTED",
        "END",
        "LAG",
        "MEMBER",
        "CLIENT",
        "HOST",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for ((topic, partition), state) in &described.partitions {
        let member = described.member(state);
        rows.push([
            topic.clone(),
            partition.to_string(),
            number(state.committed.map(|offset| offset.0)),
            number(state.end.map(|offset| offset.0)),
            number(state.lag()),
            or_dash(member.map_or("", |member| &member.id)),
            or_dash(member.map_or("", |member| &member.client)),
            or_dash(member.map_or("", |member| &member.host)),
        ]);
    }
    let dash = || "-".to_owned();
    rows.extend(described.idle().map(|member| {
        let (id, client, host) = (&member.id, &member.client, &member.host);
        let cells = [id, client, host].map(|cell| or_dash(cell));
        let [id, client, host] = cells;
        [dash(), dash(), dash(), dash(), dash(), id, client, host]
    }));
    if rows.len() > 1 {
        text.push_str(&table(&rows));
    }
    text
}

fn as_json(described: &Described) -> Value {
    let group = &described.group;
    let members = group.members.iter().map(|member| {
        json!({
            "member": member.id,
            "instance": member.instance,
            "client": member.client,
            "host": member.host,
        })
    });
    let partitions = described.partitions.iter().map(|((topic, number), state)| {
        json!({
            "topic": topic,
            "partition": number,
            "committed": state.committed.map(|offset| offset.0),
            "end": state.end.map(|offset| offset.0),
            "lag": state.lag(),
            "member": described.member(state).map(|member| &member.id),
        })
    });
    json!({
        "group": group.name,
        "type": group.kind,
        "state": group.state,
        "assignor": group.assignor,
        "coordinator": group.coordinator,
        "members": members.collect::<Value>(),
        "partitions": partitions.collect::<Value>(),
    })
}
