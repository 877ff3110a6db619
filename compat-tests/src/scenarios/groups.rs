//! Classic groups: FindCoordinator, JoinGroup, SyncGroup, Heartbeat, LeaveGroup, and their
//! administration.

use serde_json::{Value, json};

use super::bodies::with;
use crate::session::{Connection, Session};

/// A subscription to `t` by `ConsumerProtocolSubscription` version 1: nothing owned.
pub(super) const SUBSCRIPTION: &str = "00010000000100017400000000ffffffff";
/// An assignment of partition 0 of `t`, which no broker looks into.
const ASSIGNMENT: &str = "0001000000010001740000000100000000ffffffff";

/// Versions of SyncGroup, Heartbeat, LeaveGroup that go with one of JoinGroup.
fn beside(join: i16) -> (i16, i16, i16) {
    (join.min(5), join.min(4), join.min(5))
}

/// A JoinGroup of a consumer.
pub(super) fn join(group: &str, member: &Value) -> Value {
    json!({
        "groupId": group, "sessionTimeoutMs": 30_000, "rebalanceTimeoutMs": 30_000,
        "memberId": member, "protocolType": "consumer",
        "protocols": [{"name": "range", "metadata": SUBSCRIPTION}]
    })
}

/// A SyncGroup of a consumer, which assigns to itself.
pub(super) fn sync(group: &str, generation: i32, member: &Value) -> Value {
    json!({
        "groupId": group, "generationId": generation, "memberId": member,
        "protocolType": "consumer", "protocolName": "range",
        "assignments": [{"memberId": member, "assignment": ASSIGNMENT}]
    })
}

fn heartbeat(group: &str, generation: i32, member: &Value) -> Value {
    json!({"groupId": group, "generationId": generation, "memberId": member})
}

/// A LeaveGroup of one member, for all versions.
pub(super) fn leave(group: &str, member: &Value) -> Value {
    json!({"groupId": group, "memberId": member, "members": [{"memberId": member}]})
}

/// Has a group deleted, beside the record.
pub(super) fn forget(s: &mut Session, group: &str) {
    s.aside("DeleteGroups", 2, json!({"groupsNames": [group]}));
}

/// Joins as the only member; its id.
pub(super) fn alone(s: &mut Session, group: &str) -> Value {
    let asked = s.ask("JoinGroup", 9, join(group, &json!("")));
    let member = asked["memberId"].clone();
    s.ask("JoinGroup", 9, join(group, &member));
    s.ask("SyncGroup", 5, sync(group, 1, &member));
    member
}

pub(super) fn find_coordinator(s: &mut Session) {
    s.coordinate_groups();
    for version in 0..=6 {
        for key in ["a", ""] {
            s.case(format!("group {key:?}"));
            let body = json!({"key": key, "coordinatorKeys": [key, "b"]});
            s.ask("FindCoordinator", version, body);
        }
        for kind in [2, 3, -1] {
            s.case(format!("key type {kind}"));
            let body = json!({"key": "a", "keyType": kind, "coordinatorKeys": ["a"]});
            s.ask("FindCoordinator", version, body);
        }
    }
}

pub(super) fn one_member(s: &mut Session) {
    s.coordinate_groups();
    for version in 0..=9 {
        let group = format!("group-member-{version}");
        let (syncs, beats, leaves) = beside(version);
        s.case("joins");
        let asked = s.ask("JoinGroup", version, join(&group, &json!("")));
        let member = asked["memberId"].clone();
        if version >= 4 {
            s.case("joins with its id");
            s.ask("JoinGroup", version, join(&group, &member));
        }
        s.case("before it has synced");
        s.ask("Heartbeat", beats, heartbeat(&group, 1, &member));
        s.ask(
            "DescribeGroups",
            version.min(6),
            json!({"groups": [&group]}),
        );
        s.ask("JoinGroup", version, join(&group, &member));
        s.case("syncs");
        s.ask("SyncGroup", syncs, sync(&group, 1, &member));
        s.ask("SyncGroup", syncs, sync(&group, 1, &member));
        s.case("while it is stable");
        let body = json!({"groups": [&group, "nothing"], "includeAuthorizedOperations": true});
        s.ask("DescribeGroups", version.min(6), body);
        for (case, generation, id) in [
            ("a heartbeat", 1, member.clone()),
            ("a generation before", 0, member.clone()),
            ("a generation to come", 2, member.clone()),
            ("nobody", 1, json!("nobody")),
            ("no id", 1, json!("")),
        ] {
            s.case(case);
            s.ask("Heartbeat", beats, heartbeat(&group, generation, &id));
            s.ask("SyncGroup", syncs, sync(&group, generation, &id));
        }
        s.case("the leader joins again");
        s.ask("JoinGroup", version, join(&group, &member));
        s.ask("SyncGroup", syncs, sync(&group, 2, &member));
        s.case("leaves");
        s.ask("LeaveGroup", leaves, leave(&group, &json!("nobody")));
        s.ask("LeaveGroup", leaves, leave(&group, &member));
        s.ask("LeaveGroup", leaves, leave(&group, &member));
        s.case("of an empty group");
        s.ask("Heartbeat", beats, heartbeat(&group, 3, &member));
        s.ask("SyncGroup", syncs, sync(&group, 3, &member));
        s.ask("JoinGroup", version, join(&group, &member));
        s.ask(
            "DescribeGroups",
            version.min(6),
            json!({"groups": [&group]}),
        );
        forget(s, &group);
    }
}

/// Joins with an id that was given out before; the answer is to be received.
fn begin(s: &mut Session, on: Connection, group: &str) -> (Value, crate::session::Sent) {
    let asked = s.ask("JoinGroup", 9, join(group, &json!("")));
    let member = asked["memberId"].clone();
    let sent = s.send(on, "JoinGroup", 9, join(group, &member));
    (member, sent)
}

pub(super) fn two_members(s: &mut Session) {
    s.coordinate_groups();
    let group = "group-members";
    let (one, two) = (s.connect(), s.connect());
    s.case("the first");
    let first = alone(s, group);
    s.case("the second");
    let (second, waiting) = begin(s, two, group);
    s.case("the first is told");
    s.ask("Heartbeat", 4, heartbeat(group, 1, &first));
    s.ask("SyncGroup", 5, sync(group, 1, &first));
    s.ask("DescribeGroups", 6, json!({"groups": [group]}));
    s.case("both join");
    s.ask_on(one, "JoinGroup", 9, join(group, &first));
    s.receive(waiting);
    s.case("the second waits for the first");
    let follows = with(sync(group, 2, &second), json!({"assignments": []}));
    let waiting = s.send(two, "SyncGroup", 5, follows.clone());
    s.ask("DescribeGroups", 6, json!({"groups": [group]}));
    let both = json!([
        {"memberId": second, "assignment": "01"}, {"memberId": "nobody", "assignment": "02"}
    ]);
    let leads = with(sync(group, 2, &first), json!({"assignments": both}));
    s.ask_on(one, "SyncGroup", 5, leads);
    s.receive(waiting);
    s.ask("DescribeGroups", 6, json!({"groups": [group]}));
    s.case("the second joins again with nothing new");
    s.ask_on(two, "JoinGroup", 9, join(group, &second));
    s.ask("SyncGroup", 5, follows);
    s.case("the second wants something else");
    let other = json!([{"name": "range", "metadata": "0001000000000000000000000000"}]);
    let changed = with(join(group, &second), json!({"protocols": other}));
    let waiting = s.send(two, "JoinGroup", 9, changed);
    s.ask_on(one, "JoinGroup", 9, join(group, &first));
    s.receive(waiting);
    s.case("the leader leaves while assignments are awaited");
    let follows = with(sync(group, 3, &second), json!({"assignments": []}));
    let waiting = s.send(two, "SyncGroup", 5, follows);
    s.ask("LeaveGroup", 5, leave(group, &first));
    s.receive(waiting);
    s.ask("Heartbeat", 4, heartbeat(group, 3, &second));
    s.case("the second is alone");
    s.ask_on(two, "JoinGroup", 9, join(group, &second));
    s.ask_on(two, "SyncGroup", 5, sync(group, 4, &second));
    s.case("one who cannot agree");
    let sticky = json!([{"name": "sticky", "metadata": SUBSCRIPTION}]);
    let stranger = with(join(group, &json!("")), json!({"protocols": sticky}));
    s.ask("JoinGroup", 9, stranger);
    let stranger = with(join(group, &json!("")), json!({"protocolType": "connect"}));
    s.ask("JoinGroup", 9, stranger);
    s.ask("LeaveGroup", 5, leave(group, &second));
    forget(s, group);
}

fn join_static(group: &str, member: &Value, instance: &str) -> Value {
    with(join(group, member), json!({"groupInstanceId": instance}))
}

fn of_instance(body: Value, instance: &str) -> Value {
    with(body, json!({"groupInstanceId": instance}))
}

pub(super) fn static_members(s: &mut Session) {
    s.coordinate_groups();
    for version in 5..=9 {
        let group = format!("group-static-members-{version}");
        let (syncs, beats, leaves) = beside(version);
        let two = s.connect();
        s.case("joins at once");
        let joined = s.ask("JoinGroup", version, join_static(&group, &json!(""), "a"));
        let first = joined["memberId"].clone();
        s.ask(
            "SyncGroup",
            syncs,
            of_instance(sync(&group, 1, &first), "a"),
        );
        s.case("the leader comes back");
        let joined = s.ask("JoinGroup", version, join_static(&group, &json!(""), "a"));
        let again = joined["memberId"].clone();
        s.case("its former self");
        s.ask(
            "Heartbeat",
            beats,
            of_instance(heartbeat(&group, 1, &first), "a"),
        );
        s.ask("Heartbeat", beats, heartbeat(&group, 1, &first));
        s.ask(
            "SyncGroup",
            syncs,
            of_instance(sync(&group, 1, &first), "a"),
        );
        s.ask("JoinGroup", version, join_static(&group, &first, "a"));
        s.case("its present self");
        s.ask(
            "SyncGroup",
            syncs,
            of_instance(sync(&group, 1, &again), "a"),
        );
        s.ask(
            "Heartbeat",
            beats,
            of_instance(heartbeat(&group, 1, &again), "a"),
        );
        s.ask("Heartbeat", beats, heartbeat(&group, 1, &again));
        s.ask(
            "Heartbeat",
            beats,
            of_instance(heartbeat(&group, 1, &again), "b"),
        );
        s.ask("DescribeGroups", 6, json!({"groups": [&group]}));
        s.case("a second one");
        let waiting = s.send(
            two,
            "JoinGroup",
            version,
            join_static(&group, &json!(""), "b"),
        );
        s.ask("JoinGroup", version, join_static(&group, &again, "a"));
        let second = s.receive(waiting)["memberId"].clone();
        let both = json!([
            {"memberId": again, "assignment": "01"}, {"memberId": second, "assignment": "02"}
        ]);
        let leads = with(sync(&group, 2, &again), json!({"assignments": both}));
        s.ask("SyncGroup", syncs, leads);
        s.ask("SyncGroup", syncs, sync(&group, 2, &second));
        s.case("the follower comes back");
        let joined = s.ask("JoinGroup", version, join_static(&group, &json!(""), "b"));
        let second = joined["memberId"].clone();
        s.ask(
            "SyncGroup",
            syncs,
            of_instance(sync(&group, 2, &second), "b"),
        );
        s.case("leaves by instance");
        let by = |instance: &str, member: &str| {
            let member = json!({"memberId": member, "groupInstanceId": instance});
            json!({"groupId": group, "members": [member]})
        };
        s.ask("LeaveGroup", leaves, by("nobody", ""));
        s.ask("LeaveGroup", leaves, by("b", "somebody"));
        s.ask("LeaveGroup", leaves, by("b", ""));
        s.ask("LeaveGroup", leaves, by("a", ""));
        s.ask("DescribeGroups", 6, json!({"groups": [&group]}));
        forget(s, &group);
    }
}

pub(super) fn refused(s: &mut Session) {
    s.coordinate_groups();
    for version in [0, 3, 6, 9] {
        let (syncs, beats, leaves) = beside(version);
        let nobody = json!("nobody");
        s.case("a group without a name");
        s.ask("JoinGroup", version, join("", &json!("")));
        s.ask("SyncGroup", syncs, sync("", 1, &nobody));
        s.ask("Heartbeat", beats, heartbeat("", 1, &nobody));
        s.ask("LeaveGroup", leaves, leave("", &nobody));
        s.case("a group that is not there");
        s.ask("JoinGroup", version, join("group-refused", &nobody));
        s.ask("SyncGroup", syncs, sync("group-refused", 1, &nobody));
        s.ask("Heartbeat", beats, heartbeat("group-refused", 1, &nobody));
        s.ask("LeaveGroup", leaves, leave("group-refused", &nobody));
        for ms in [0, 5_999, 1_800_001, -1] {
            s.case(format!("a session timeout of {ms}"));
            let body = with(
                join("group-refused", &json!("")),
                json!({"sessionTimeoutMs": ms}),
            );
            s.ask("JoinGroup", version, body);
        }
        s.case("no protocols");
        let body = with(join("group-refused", &json!("")), json!({"protocols": []}));
        s.ask("JoinGroup", version, body);
        s.case("no type");
        let body = with(
            join("group-refused", &json!("")),
            json!({"protocolType": ""}),
        );
        s.ask("JoinGroup", version, body);
        forget(s, "group-refused");
    }
    let group = "group-refused-sync";
    let member = alone(s, group);
    for (name, value) in [
        ("protocolType", json!(null)),
        ("protocolName", json!(null)),
        ("protocolType", json!("connect")),
        ("protocolName", json!("sticky")),
        ("groupInstanceId", json!("i")),
    ] {
        s.case(format!("a sync whose {name} is {value}"));
        s.ask(
            "SyncGroup",
            5,
            with(sync(group, 1, &member), json!({name: value})),
        );
    }
    s.ask("LeaveGroup", 5, leave(group, &member));
    forget(s, group);
}

pub(super) fn list(s: &mut Session) {
    s.coordinate_groups();
    let commit = json!({"name": "list-groups", "partitions": [{"partitionIndex": 0}]});
    s.topic("list-groups", 1, &[]);
    let body = json!({"groupId": "list-groups-offsets", "topics": [commit], "retentionTimeMs": -1,
        "generationIdOrMemberEpoch": -1});
    s.case("groups to list");
    s.ask("OffsetCommit", 8, body);
    let member = alone(s, "list-groups-member");
    let other = with(
        join("list-groups-other", &json!("")),
        json!({"protocolType": "connect"}),
    );
    let joined = s.ask("JoinGroup", 3, other);
    // Kafka lists what it has made durable.
    s.settle();
    for version in 0..=5 {
        s.case("all");
        s.ask("ListGroups", version, json!({}));
    }
    for states in [
        json!(["Stable"]),
        json!(["stable", "EMPTY"]),
        json!(["CompletingRebalance"]),
        json!(["Nonsense"]),
        json!([""]),
    ] {
        s.case(format!("of states {states}"));
        s.ask("ListGroups", 4, json!({"statesFilter": states}));
        s.ask(
            "ListGroups",
            5,
            json!({"statesFilter": states, "typesFilter": ["classic"]}),
        );
    }
    for types in [json!(["classic"]), json!(["CONSUMER"]), json!(["Nonsense"])] {
        s.case(format!("of types {types}"));
        s.ask("ListGroups", 5, json!({"typesFilter": types}));
    }
    s.case("away with them");
    s.ask("LeaveGroup", 5, leave("list-groups-member", &member));
    s.ask(
        "LeaveGroup",
        5,
        leave("list-groups-other", &joined["memberId"]),
    );
    for group in [
        "list-groups-offsets",
        "list-groups-member",
        "list-groups-other",
    ] {
        forget(s, group);
    }
}

pub(super) fn delete(s: &mut Session) {
    s.coordinate_groups();
    let group = "delete-groups";
    let topics = json!([{"name": group, "partitions": [{"partitionIndex": 0}]}]);
    s.topic(group, 1, &[]);
    for version in 0..=2 {
        s.case("one with a member");
        let member = alone(s, group);
        let names = json!({"groupsNames": [group, "nothing", "", group]});
        s.ask("DeleteGroups", version, names.clone());
        s.case("an empty one with offsets");
        let body = json!({"groupId": group, "memberId": member, "topics": topics,
            "generationIdOrMemberEpoch": 1});
        s.ask("OffsetCommit", 8, body);
        s.ask("LeaveGroup", 5, leave(group, &member));
        s.ask("DeleteGroups", version, names);
        s.ask("DescribeGroups", 6, json!({"groups": [group]}));
        let body = json!({"groups": [{"groupId": group, "topics": null}]});
        s.ask("OffsetFetch", 8, body);
    }
}
