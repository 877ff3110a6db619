//! Consumer groups (KIP-848): ConsumerGroupHeartbeat and ConsumerGroupDescribe.

use serde_json::{Value, json};

use super::bodies::{NO_ID, with};
use super::groups::{forget, join, leave};
use crate::session::Session;

/// A first heartbeat, or one that says everything anew.
fn joining(group: &str, member: &Value, topic: &str) -> Value {
    json!({
        "groupId": group, "memberId": member, "memberEpoch": 0, "rebalanceTimeoutMs": 30_000,
        "subscribedTopicNames": [topic], "topicPartitions": []
    })
}

/// A heartbeat that says nothing new.
fn beat(group: &str, member: &Value, epoch: i32) -> Value {
    json!({"groupId": group, "memberId": member, "memberEpoch": epoch})
}

fn describe(s: &mut Session, group: &str) {
    for version in 0..=1 {
        let body = json!({"groupIds": [group], "includeAuthorizedOperations": true});
        s.ask("ConsumerGroupDescribe", version, body);
    }
}

pub(super) fn one_member(s: &mut Session) {
    s.coordinate_groups();
    let topic = "consumer-group";
    let id = s.topic(topic, 3, &[]);
    for version in 0..=1 {
        let group = format!("consumer-group-{version}");
        // From version 1 on members choose their ids.
        let member = match version {
            0 => json!(""),
            _ => json!("b5vrU1bATRW8CkhAWN5XuA"),
        };
        s.case("joins");
        let answer = s.ask(
            "ConsumerGroupHeartbeat",
            version,
            joining(&group, &member, topic),
        );
        let member = answer["memberId"].clone();
        describe(s, &group);
        s.case("has taken what it was given");
        let owned = json!([{"topicId": id, "partitions": [0, 1, 2]}]);
        let taken = with(beat(&group, &member, 1), json!({"topicPartitions": owned}));
        s.ask("ConsumerGroupHeartbeat", version, taken);
        s.ask("ConsumerGroupHeartbeat", version, beat(&group, &member, 1));
        s.settle();
        describe(s, &group);
        s.ask("DescribeGroups", 6, json!({"groups": [&group]}));
        s.ask("ListGroups", 5, json!({"typesFilter": ["consumer"]}));
        for epoch in [2, -3, 0] {
            s.case(format!("epoch {epoch}"));
            s.ask(
                "ConsumerGroupHeartbeat",
                version,
                beat(&group, &member, epoch),
            );
        }
        s.case("nobody");
        s.ask(
            "ConsumerGroupHeartbeat",
            version,
            beat(&group, &json!("nobody"), 1),
        );
        s.case("an unknown instance");
        let body = with(beat(&group, &member, 1), json!({"instanceId": "i"}));
        s.ask("ConsumerGroupHeartbeat", version, body);
        for (case, who, epoch) in [
            ("a commit", member.clone(), 1),
            ("a commit of an epoch to come", member.clone(), 2),
            ("a commit of an epoch before", member.clone(), 0),
            ("a commit of nobody", json!("nobody"), 1),
            ("a commit without a member", json!(""), -1),
        ] {
            s.case(case);
            let topics = json!([{"name": topic, "partitions": [
                {"partitionIndex": 0, "committedOffset": 1}
            ]}]);
            let body = json!({
                "groupId": group, "memberId": who, "generationIdOrMemberEpoch": epoch,
                "topics": topics, "retentionTimeMs": -1
            });
            s.ask("OffsetCommit", 9, body.clone());
            s.ask("OffsetCommit", 8, body);
            s.case(format!("{case}, looked up"));
            let of = json!({
                "groupId": group, "memberId": who, "memberEpoch": epoch, "topics": null
            });
            s.ask("OffsetFetch", 9, json!({"groups": [of]}));
        }
        s.case("offsets to delete");
        let topics = json!([{"name": topic, "partitions": [{"partitionIndex": 0}]}]);
        s.ask(
            "OffsetDelete",
            0,
            json!({"groupId": group, "topics": topics}),
        );
        s.ask("DeleteGroups", 2, json!({"groupsNames": [&group]}));
        s.case("leaves");
        s.ask("ConsumerGroupHeartbeat", version, beat(&group, &member, -1));
        s.ask("ConsumerGroupHeartbeat", version, beat(&group, &member, -1));
        s.ask("ConsumerGroupHeartbeat", version, beat(&group, &member, 1));
        describe(s, &group);
        s.ask("DeleteGroups", 2, json!({"groupsNames": [&group]}));
        describe(s, &group);
    }
}

pub(super) fn refused(s: &mut Session) {
    s.coordinate_groups();
    let (topic, group) = ("consumer-group-refused", "consumer-group-refused");
    let member = json!("b5vrU1bATRW8CkhAWN5XuA");
    s.topic(topic, 1, &[]);
    let good = joining(group, &member, topic);
    for version in 0..=1 {
        for (case, changes) in [
            ("no group", json!({"groupId": ""})),
            ("no member", json!({"memberId": "", "memberEpoch": 1})),
            ("an epoch that nobody has", json!({"memberEpoch": -3})),
            (
                "leaving for a while without an instance",
                json!({"memberEpoch": -2}),
            ),
            ("an instance without a name", json!({"instanceId": ""})),
            ("a rack without a name", json!({"rackId": ""})),
            ("no time to rebalance", json!({"rebalanceTimeoutMs": -1})),
            ("no topics", json!({"subscribedTopicNames": null})),
            ("partitions that it has", json!({"topicPartitions": null})),
            (
                "partitions that it takes along",
                json!({"topicPartitions": [{"topicId": NO_ID, "partitions": [0]}]}),
            ),
            (
                "an assignor that is not there",
                json!({"serverAssignor": "nothing"}),
            ),
            ("a group that is not there", json!({"memberEpoch": 1})),
            (
                "leaving a group that is not there",
                json!({"memberEpoch": -1}),
            ),
        ] {
            s.case(case);
            s.ask(
                "ConsumerGroupHeartbeat",
                version,
                with(good.clone(), changes),
            );
        }
    }
    s.case("an expression that is none");
    let regex = json!({"subscribedTopicNames": null, "subscribedTopicRegex": "("});
    s.ask("ConsumerGroupHeartbeat", 1, with(good.clone(), regex));
    describe(s, group);
    describe(s, "");
    s.case("a classic group");
    let joined = s.ask(
        "JoinGroup",
        3,
        with(join(group, &json!("")), json!({"protocolType": "connect"})),
    );
    s.ask("ConsumerGroupHeartbeat", 1, good);
    describe(s, group);
    s.ask("LeaveGroup", 5, leave(group, &joined["memberId"]));
    forget(s, group);
}

/// Classic members that a consumer group with a member does not take.
pub(super) fn classics(s: &mut Session) {
    s.coordinate_groups();
    let topic = "consumer-group-classics";
    s.topic(topic, 1, &[]);
    s.settle();
    let group = topic;
    s.case("a member of the new protocol");
    let member = json!("new");
    s.ask("ConsumerGroupHeartbeat", 1, joining(group, &member, topic));
    for version in [0, 3, 4, 5, 9] {
        for (case, changes) in [
            ("a member that is not there", json!({"memberId": "nobody"})),
            (
                "another member, and nonsense for a subscription",
                json!({"memberId": "nobody", "protocols": [{"name": "x", "metadata": ""}]}),
            ),
            ("no protocols", json!({"protocols": []})),
            ("another protocol type", json!({"protocolType": "connect"})),
            ("no protocol type", json!({"protocolType": ""})),
        ] {
            s.case(case);
            s.ask("JoinGroup", version, with(join(group, &json!("")), changes));
        }
        s.case("nonsense for a subscription");
        let nonsense = json!([{"name": "x", "metadata": "0000"}]);
        let body = with(join(group, &json!("")), json!({"protocols": nonsense}));
        let asked = s.ask("JoinGroup", version, body.clone());
        if version >= 4 {
            let known = json!({"memberId": asked["memberId"]});
            s.ask("JoinGroup", version, with(body, known));
        }
        if version >= 5 {
            s.case("an instance that is not there");
            let body = with(
                join(group, &json!("nobody")),
                json!({"groupInstanceId": "i"}),
            );
            s.ask("JoinGroup", version, body);
        }
    }
    s.case("requests of classic members, of one that is none");
    for id in ["new", "nobody"] {
        let body = json!({"groupId": group, "generationId": 1, "memberId": id});
        s.ask("Heartbeat", 4, body.clone());
        let more = json!({"protocolType": "consumer", "protocolName": "range", "assignments": []});
        s.ask("SyncGroup", 5, with(body, more));
    }
    s.ask("LeaveGroup", 5, leave(group, &json!("nobody")));
    describe(s, group);
    s.ask("LeaveGroup", 5, leave(group, &member));
    describe(s, group);
    forget(s, group);
}
