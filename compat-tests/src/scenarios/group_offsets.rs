//! OffsetCommit, OffsetFetch and OffsetDelete.

use serde_json::{Value, json};

use super::bodies::with;
use super::groups::{alone, forget, join, leave, sync};
use crate::session::Session;

/// A commit by nobody in particular.
fn commit(group: &str, topics: &Value) -> Value {
    json!({
        "groupId": group, "generationIdOrMemberEpoch": -1, "retentionTimeMs": -1, "topics": topics
    })
}

/// One partition of one topic.
fn one(topic: &str, partition: i32, offset: i64) -> Value {
    json!([{"name": topic, "partitions": [
        {"partitionIndex": partition, "committedOffset": offset, "committedLeaderEpoch": 0,
            "committedMetadata": "kept"}
    ]}])
}

/// Asks in the form of the version: `None` for everything.
fn fetch(s: &mut Session, version: i16, group: &str, topics: Option<Value>) {
    let topics = topics.unwrap_or(Value::Null);
    let body = match version {
        ..8 => json!({"groupId": group, "topics": topics}),
        8.. => json!({"groups": [{"groupId": group, "topics": topics, "memberEpoch": -1}]}),
    };
    s.ask("OffsetFetch", version, body);
}

pub(super) fn versions(s: &mut Session) {
    s.coordinate_groups();
    let topic = "offset-commit";
    s.topic(topic, 3, &[]);
    for version in 1..=9 {
        let group = format!("offset-commit-{version}");
        let asked = json!([
            {"name": topic, "partitionIndexes": [0, 1, 7, 0]},
            {"name": "nothing", "partitionIndexes": [0]}
        ]);
        s.case("a group that is not there");
        fetch(s, version, &group, Some(asked.clone()));
        if version >= 2 {
            fetch(s, version, &group, None);
            s.case("a commit");
            let topics = json!([
                {"name": topic, "partitions": [
                    {"partitionIndex": 0, "committedOffset": 5, "committedLeaderEpoch": 3,
                        "committedMetadata": "what a client wants kept: é"},
                    {"partitionIndex": 2, "committedOffset": 0, "committedLeaderEpoch": -1,
                        "committedMetadata": null},
                    {"partitionIndex": 3, "committedOffset": 1},
                    {"partitionIndex": -1, "committedOffset": 1}
                ]},
                {"name": "nothing", "partitions": [{"partitionIndex": 0, "committedOffset": 1}]}
            ]);
            s.ask("OffsetCommit", version, commit(&group, &topics));
        }
        s.case("what is committed");
        fetch(s, version, &group, Some(asked));
        fetch(s, version, &group, Some(json!([])));
        if version >= 2 {
            fetch(s, version, &group, None);
        }
        forget(s, &group);
    }
    s.case("many groups");
    for group in ["offset-commit-a", "offset-commit-b"] {
        s.ask("OffsetCommit", 9, commit(group, &one(topic, 1, 8)));
    }
    for version in [8, 9] {
        let body = json!({"requireStable": true, "groups": [
            {"groupId": "offset-commit-a", "topics": null, "memberEpoch": -1},
            {"groupId": "offset-commit-c", "topics": null, "memberEpoch": -1},
            {"groupId": "offset-commit-b", "memberEpoch": -1,
                "topics": [{"name": topic, "partitionIndexes": [1, 0]}]},
            {"groupId": "offset-commit-a", "topics": [], "memberEpoch": -1}
        ]});
        s.ask("OffsetFetch", version, body);
    }
    forget(s, "offset-commit-a");
    forget(s, "offset-commit-b");
    s.case("a group without a name");
    s.ask("OffsetCommit", 9, commit("", &one(topic, 1, 8)));
    fetch(s, 9, "", None);
    fetch(s, 7, "", None);
    forget(s, "");
}

pub(super) fn refused(s: &mut Session) {
    s.coordinate_groups();
    let (topic, group) = ("offset-commit-refused", "offset-commit-refused");
    s.topic(topic, 1, &[]);
    for version in [2, 5, 8, 9] {
        s.case("a generation of a group that is not there");
        let body = with(
            commit(group, &one(topic, 0, 1)),
            json!({"memberId": "nobody", "generationIdOrMemberEpoch": 0}),
        );
        s.ask("OffsetCommit", version, body);
        for (case, length) in [("the longest metadata", 4096), ("longer metadata", 4097)] {
            s.case(case);
            let topics = json!([{"name": topic, "partitions": [
                {"partitionIndex": 0, "committedOffset": 1, "committedMetadata": "x".repeat(length)}
            ]}]);
            s.ask("OffsetCommit", version, commit(group, &topics));
        }
        s.case("nothing");
        s.ask("OffsetCommit", version, commit(group, &json!([])));
        s.case("a negative offset");
        s.ask("OffsetCommit", version, commit(group, &one(topic, 0, -1)));
        s.ask("OffsetCommit", version, commit(group, &one(topic, 0, -5)));
        fetch(s, version, group, None);
        forget(s, group);
    }
    for version in [2, 4] {
        s.case("a time to keep it");
        let body = with(
            commit(group, &one(topic, 0, 1)),
            json!({"retentionTimeMs": 100_000}),
        );
        s.ask("OffsetCommit", version, body);
        fetch(s, version, group, None);
        forget(s, group);
    }
}

/// Commits and deletions, some or all of them for what does not exist; topics named twice.
pub(super) fn nowhere(s: &mut Session) {
    s.coordinate_groups();
    let topic = "offset-commit-nowhere";
    let group = topic;
    s.topic(topic, 2, &[]);
    let of = |name: &str, partitions: &[i32]| {
        let partition = |index: &i32| json!({"partitionIndex": index, "committedOffset": 7});
        let partitions: Vec<_> = partitions.iter().map(partition).collect();
        json!({"name": name, "partitions": partitions})
    };
    let questions = [
        json!([]),
        json!([of(topic, &[])]),
        json!([of("nothing", &[])]),
        json!([of("nothing", &[0]), of(topic, &[])]),
        json!([of(topic, &[2, -1])]),
        json!([of(topic, &[0]), of(topic, &[]), of(topic, &[1])]),
        json!([of(topic, &[0]), of("nothing", &[0]), of(topic, &[1])]),
        json!([of(topic, &[0, 5]), of("nothing", &[0]), of(topic, &[1])]),
        json!([of("nothing", &[0]), of("nothing", &[1]), of("", &[])]),
    ];
    for version in [2, 9] {
        for topics in &questions {
            s.case("of anybody");
            s.ask("OffsetCommit", version, commit(group, topics));
            s.case("of no member");
            let member = json!({"memberId": "nobody", "generationIdOrMemberEpoch": 1});
            s.ask("OffsetCommit", version, with(commit(group, topics), member));
        }
    }
    s.case("deletions");
    for (name, index) in [("nothing", 0), (topic, 5), (topic, 0)] {
        let topics = json!([{"name": name, "partitions": [{"partitionIndex": index}]}]);
        let body = json!({"groupId": "offset-commit-no-group", "topics": topics});
        s.ask("OffsetDelete", 0, body);
    }
    forget(s, group);
}

pub(super) fn members(s: &mut Session) {
    s.coordinate_groups();
    let (topic, group) = ("offset-commit-members", "offset-commit-members");
    s.topic(topic, 1, &[]);
    let two = s.connect();
    let member = alone(s, group);
    let by = |member: &Value, generation: i32| {
        let who = json!({"memberId": member, "generationIdOrMemberEpoch": generation});
        with(commit(group, &one(topic, 0, 1)), who)
    };
    let all = [
        (json!(""), -1),
        (json!("nobody"), 1),
        (json!("nobody"), -1),
        (member.clone(), -1),
        (member.clone(), 0),
        (member.clone(), 1),
        (member.clone(), 2),
        (json!(""), 1),
    ];
    let everybody = |s: &mut Session, case: &str| {
        for (who, generation) in &all {
            s.case(format!("{case}, generation {generation}"));
            s.ask("OffsetCommit", 7, by(who, *generation));
            s.ask("OffsetCommit", 9, by(who, *generation));
        }
    };
    everybody(s, "stable");
    s.case("an instance that is not there");
    let stranger = with(by(&member, 1), json!({"groupInstanceId": "i"}));
    s.ask("OffsetCommit", 9, stranger);
    s.case("a second member");
    let asked = s.ask("JoinGroup", 9, join(group, &json!("")));
    let second = asked["memberId"].clone();
    let waiting = s.send(two, "JoinGroup", 9, join(group, &second));
    everybody(s, "preparing");
    s.case("both have joined");
    s.ask("JoinGroup", 9, join(group, &member));
    s.receive(waiting);
    everybody(s, "completing");
    s.ask("SyncGroup", 5, sync(group, 2, &member));
    s.ask("LeaveGroup", 5, leave(group, &member));
    s.ask("LeaveGroup", 5, leave(group, &second));
    everybody(s, "empty");
    fetch(s, 9, group, None);
    forget(s, group);
}

pub(super) fn delete(s: &mut Session) {
    s.coordinate_groups();
    let group = "offset-delete";
    s.topic("t", 2, &[]);
    s.topic("offset-delete", 2, &[]);
    let of = |topics: &[(&str, &[i32])]| {
        let topic = |(name, partitions): &(&str, &[i32])| {
            let partition = |index: &i32| json!({"partitionIndex": index});
            let partitions: Vec<Value> = partitions.iter().map(partition).collect();
            json!({"name": name, "partitions": partitions})
        };
        let topics: Vec<Value> = topics.iter().map(topic).collect();
        json!({"groupId": group, "topics": topics})
    };
    s.case("a group that is not there");
    s.ask("OffsetDelete", 0, of(&[("t", &[0])]));
    s.case("offsets to delete");
    for topic in ["t", "offset-delete"] {
        s.ask("OffsetCommit", 9, commit(group, &one(topic, 0, 4)));
    }
    s.case("with a member that subscribes to one of them");
    let member = alone(s, group);
    s.ask(
        "OffsetDelete",
        0,
        of(&[
            ("t", &[0, 1]),
            ("offset-delete", &[0, 1, 2]),
            ("nothing", &[0]),
        ]),
    );
    fetch(s, 9, group, None);
    s.case("nothing");
    s.ask("OffsetDelete", 0, of(&[]));
    s.case("with nobody");
    s.ask("LeaveGroup", 5, leave(group, &member));
    s.ask("OffsetDelete", 0, of(&[("t", &[0])]));
    fetch(s, 9, group, None);
    forget(s, group);
    s.case("with members of another protocol");
    let other = with(join(group, &json!("")), json!({"protocolType": "connect"}));
    let joined = s.ask("JoinGroup", 3, other);
    s.ask("OffsetDelete", 0, of(&[("t", &[0])]));
    s.ask("LeaveGroup", 5, leave(group, &joined["memberId"]));
    forget(s, group);
    s.case("a group without a name");
    s.ask("OffsetDelete", 0, json!({"groupId": "", "topics": []}));
}
