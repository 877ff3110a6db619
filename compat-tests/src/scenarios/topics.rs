//! CreateTopics and DeleteTopics.

use serde_json::{Value, json};

use super::bodies::{NO_ID, ZERO_ID};
use crate::session::Session;

fn topic(name: &str, partitions: i32, factor: i32) -> Value {
    json!({"name": name, "numPartitions": partitions, "replicationFactor": factor})
}

fn create(topics: &Value) -> Value {
    json!({"topics": topics, "timeoutMs": 10_000})
}

pub(super) fn create_versions(s: &mut Session) {
    for version in 2..=7 {
        let name = |suffix: &str| format!("create-topics-{version}-{suffix}");
        for suffix in ["a", "b", "c", "d", "defaults"] {
            s.forget_later(&name(suffix));
        }
        s.case("one topic");
        s.ask(
            "CreateTopics",
            version,
            create(&json!([topic(&name("a"), 3, 1)])),
        );
        s.case("two topics");
        let topics = json!([topic(&name("b"), 1, 1), topic(&name("c"), 2, 1)]);
        s.ask("CreateTopics", version, create(&topics));
        s.case("it exists");
        s.settle();
        s.ask(
            "CreateTopics",
            version,
            create(&json!([topic(&name("a"), 3, 1)])),
        );
        s.case("one exists, one does not");
        let topics = json!([topic(&name("a"), 1, 1), topic(&name("d"), 2, 1)]);
        s.ask("CreateTopics", version, create(&topics));
        s.case("the broker's defaults");
        s.ask(
            "CreateTopics",
            version,
            create(&json!([topic(&name("defaults"), -1, -1)])),
        );
        s.case("only validate");
        let mut body = create(&json!([topic(&name("never"), 3, 1)]));
        body["validateOnly"] = json!(true);
        s.ask("CreateTopics", version, body);
        s.case("only validate, it exists");
        let mut body = create(&json!([topic(&name("a"), 3, 1)]));
        body["validateOnly"] = json!(true);
        s.ask("CreateTopics", version, body);
        s.case("no topics");
        s.ask("CreateTopics", version, create(&json!([])));
        s.settle();
        s.case("what is there");
        let names =
            ["a", "b", "c", "d", "defaults", "never"].map(|suffix| json!({"name": name(suffix)}));
        let body = json!({"topics": names, "allowAutoTopicCreation": false});
        s.ask("Metadata", 12, body);
    }
}

pub(super) fn create_refused(s: &mut Session) {
    s.topic("create-topics-refused.a", 1, &[]);
    let (long, longer) = ("y".repeat(249), "y".repeat(250));
    for name in ["create-topics-refused-twice", &long] {
        s.forget_later(name);
    }
    for version in 2..=7 {
        for name in [
            "", ".", "..", "a b", "a/b", "a\\b", "ü", "a,b", "a:b", &longer,
        ] {
            s.case(format!(
                "name {}",
                name.chars().take(10).collect::<String>()
            ));
            s.ask("CreateTopics", version, create(&json!([topic(name, 1, 1)])));
        }
        for name in [
            "create-topics-refused_a",
            "__consumer_offsets_x",
            "__cluster_metadata",
        ] {
            let mut body = create(&json!([topic(name, 1, 1)]));
            body["validateOnly"] = json!(true);
            s.case(format!("name {name}"));
            s.ask("CreateTopics", version, body);
        }
        for partitions in [0, -2, i32::MIN] {
            s.case(format!("{partitions} partitions"));
            let one = topic("create-topics-refused-b", partitions, 1);
            s.ask("CreateTopics", version, create(&json!([one])));
        }
        for factor in [0, 2, 3, -2, 32767] {
            s.case(format!("replication factor {factor}"));
            let one = topic("create-topics-refused-b", 1, factor);
            s.ask("CreateTopics", version, create(&json!([one])));
        }
        s.case("the same name twice");
        let one = topic("create-topics-refused-twice", 1, 1);
        s.ask("CreateTopics", version, create(&json!([one, one])));
        s.case("the same name twice, and another");
        let other = topic("create-topics-refused.a", 1, 1);
        s.ask("CreateTopics", version, create(&json!([one, other, one])));
        s.case("a bad and a good one");
        let mut body = create(&json!([
            topic("a b", 1, 1),
            topic("create-topics-refused-c", 1, 1)
        ]));
        body["validateOnly"] = json!(true);
        s.ask("CreateTopics", version, body);
    }
    s.case("the longest name");
    s.ask("CreateTopics", 7, create(&json!([topic(&long, 1, 1)])));
    s.case("more partitions than anyone wants");
    let mut body = create(&json!([topic("create-topics-refused-many", 1_000_000, 1)]));
    body["validateOnly"] = json!(true);
    s.ask("CreateTopics", 7, body);
}

pub(super) fn create_configs(s: &mut Session) {
    let with = |name: &str, configs: Value| {
        let mut one = topic(name, 1, 1);
        one["configs"] = configs;
        one
    };
    for version in 2..=7 {
        let name = format!("create-topics-configs-{version}");
        s.forget_later(&name);
        s.case("two settings");
        let configs = json!([
            {"name": "retention.ms", "value": "1000000000"},
            {"name": "cleanup.policy", "value": "compact,delete"}
        ]);
        s.ask(
            "CreateTopics",
            version,
            create(&json!([with(&name, configs)])),
        );
    }
    for (key, value) in [
        ("no.such.setting", Some("1")),
        ("", Some("1")),
        ("retention.ms", None),
        ("retention.ms", Some("")),
        ("retention.ms", Some("soon")),
        ("retention.ms", Some("-2")),
        ("retention.ms", Some(" 5000 ")),
        ("retention.ms", Some("9223372036854775808")),
        ("segment.bytes", Some("13")),
        ("segment.bytes", Some("2147483648")),
        ("cleanup.policy", Some("archive")),
        ("cleanup.policy", Some("")),
        ("cleanup.policy", Some("delete,delete")),
        ("cleanup.policy", Some("delete, compact")),
        ("cleanup.policy", Some("Delete")),
        ("compression.type", Some("brotli")),
        ("compression.type", Some("none")),
        ("compression.type", Some("GZIP")),
        ("compression.gzip.level", Some("0")),
        ("compression.gzip.level", Some("-1")),
        ("compression.lz4.level", Some("18")),
        ("compression.zstd.level", Some("23")),
        ("message.timestamp.type", Some("Sometime")),
        ("message.timestamp.after.max.ms", Some("-1")),
        ("min.cleanable.dirty.ratio", Some("1.5")),
        ("min.cleanable.dirty.ratio", Some("0.25")),
        ("min.insync.replicas", Some("0")),
        ("min.insync.replicas", Some("2")),
        ("preallocate", Some("yes")),
        ("preallocate", Some("TRUE")),
        ("unclean.leader.election.enable", Some("true")),
        ("remote.storage.enable", Some("true")),
        ("remote.storage.enable", Some("false")),
        ("remote.log.copy.disable", Some("true")),
        ("leader.replication.throttled.replicas", Some("*")),
        ("leader.replication.throttled.replicas", Some("0:1,1:1")),
        ("leader.replication.throttled.replicas", Some("x")),
        ("max.message.bytes", Some("-1")),
        ("max.compaction.lag.ms", Some("0")),
        ("min.compaction.lag.ms", Some("-1")),
        ("index.interval.bytes", Some("-1")),
        ("segment.index.bytes", Some("3")),
        ("segment.ms", Some("0")),
        ("flush.messages", Some("0")),
        ("local.retention.ms", Some("-3")),
        ("local.retention.bytes", Some("-1")),
        ("message.format.version", Some("3.0")),
        ("message.downconversion.enable", Some("true")),
        ("message.timestamp.difference.max.ms", Some("1")),
        ("log.retention.ms", Some("1000")),
    ] {
        s.case(format!("{key}={value:?}"));
        let configs = json!([{"name": key, "value": value}]);
        let mut body = create(&json!([with("create-topics-configs-x", configs)]));
        body["validateOnly"] = json!(true);
        s.ask("CreateTopics", 7, body);
    }
    s.case("lag settings that contradict each other");
    let configs = json!([
        {"name": "min.compaction.lag.ms", "value": "10000"},
        {"name": "max.compaction.lag.ms", "value": "5000"}
    ]);
    let mut body = create(&json!([with("create-topics-configs-x", configs)]));
    body["validateOnly"] = json!(true);
    s.ask("CreateTopics", 7, body);
    s.case("local retention above retention");
    let configs = json!([
        {"name": "retention.ms", "value": "1000"}, {"name": "local.retention.ms", "value": "2000"}
    ]);
    let mut body = create(&json!([with("create-topics-configs-x", configs)]));
    body["validateOnly"] = json!(true);
    s.ask("CreateTopics", 7, body);
    s.case("one setting twice");
    let configs = json!([
        {"name": "retention.ms", "value": "1000"}, {"name": "retention.ms", "value": "2000"}
    ]);
    let mut body = create(&json!([with("create-topics-configs-x", configs)]));
    body["validateOnly"] = json!(true);
    s.ask("CreateTopics", 7, body);
    s.case("a setting that Kafka keeps for its own tests");
    let configs = json!([{"name": "internal.segment.bytes", "value": "1000"}]);
    let mut body = create(&json!([with("create-topics-configs-x", configs)]));
    body["validateOnly"] = json!(true);
    s.ask("CreateTopics", 7, body);
}

pub(super) fn create_assigned(s: &mut Session) {
    let assigned = |name: &str, assignments: Value| {
        let mut one = topic(name, -1, -1);
        one["assignments"] = assignments;
        one
    };
    let to = |partition: i32, brokers: &[i32]| json!({"partitionIndex": partition, "brokerIds": brokers});
    for version in 2..=7 {
        let name = format!("create-topics-assigned-{version}");
        s.forget_later(&name);
        s.case("two partitions");
        let both = json!([to(0, &[1]), to(1, &[1])]);
        s.ask(
            "CreateTopics",
            version,
            create(&json!([assigned(&name, both)])),
        );
        for (case, assignments) in [
            ("a gap", json!([to(0, &[1]), to(2, &[1])])),
            ("does not start at 0", json!([to(1, &[1])])),
            ("a negative partition", json!([to(-1, &[1])])),
            (
                "the same partition twice",
                json!([to(0, &[1]), to(0, &[1])]),
            ),
            ("an unknown broker", json!([to(0, &[99])])),
            ("a negative broker", json!([to(0, &[-1])])),
            ("a broker twice", json!([to(0, &[1, 1])])),
            ("no brokers", json!([to(0, &[])])),
            (
                "different replication factors",
                json!([to(0, &[1]), to(1, &[1, 2])]),
            ),
        ] {
            s.case(case);
            let mut body = create(&json!([assigned("create-topics-assigned-x", assignments)]));
            body["validateOnly"] = json!(true);
            s.ask("CreateTopics", version, body);
        }
        s.case("an assignment and a number of partitions");
        let mut one = assigned("create-topics-assigned-x", json!([to(0, &[1])]));
        one["numPartitions"] = json!(1);
        s.ask("CreateTopics", version, create(&json!([one])));
        s.case("an assignment and a replication factor");
        let mut one = assigned("create-topics-assigned-x", json!([to(0, &[1])]));
        one["replicationFactor"] = json!(1);
        s.ask("CreateTopics", version, create(&json!([one])));
    }
}

pub(super) fn delete_versions(s: &mut Session) {
    for version in 1..=6 {
        let (a, b) = (
            format!("delete-topics-{version}-a"),
            format!("delete-topics-{version}-b"),
        );
        let id = s.topic(&a, 1, &[]);
        s.topic(&b, 2, &[]);
        let (topics, names) = if version < 6 {
            (json!([]), json!([a, b]))
        } else {
            (
                json!([{"name": null, "topicId": id}, {"name": b}]),
                json!([]),
            )
        };
        let body = json!({"topics": topics, "topicNames": names, "timeoutMs": 10_000});
        s.case("two topics");
        s.ask("DeleteTopics", version, body.clone());
        s.settle();
        s.case("they are gone");
        s.ask("DeleteTopics", version, body);
        let topics = json!([{"name": a}, {"name": b}]);
        let body = json!({"topics": topics, "allowAutoTopicCreation": false});
        s.ask("Metadata", 12, body);
        s.case("its id is unknown");
        let topics = json!([{"name": null, "topicId": id}]);
        s.ask(
            "Metadata",
            12,
            json!({"topics": topics, "allowAutoTopicCreation": false}),
        );
        s.case("no topics");
        s.ask("DeleteTopics", version, json!({"timeoutMs": 10_000}));
        s.case("the same name again");
        s.topic(&a, 1, &[]);
        s.case("it has another id");
        s.ask("Metadata", 12, json!({"topics": [{"name": a}]}));
    }
}

pub(super) fn delete_refused(s: &mut Session) {
    let id = s.topic("delete-topics-refused", 1, &[]);
    for version in 1..=5 {
        for name in ["delete-topics-nothing", "", "a b", "__cluster_metadata"] {
            s.case(format!("name {name}"));
            let body = json!({"topicNames": [name], "timeoutMs": 10_000});
            s.ask("DeleteTopics", version, body);
        }
        s.case("an unknown name twice");
        let names = ["delete-topics-nothing", "delete-topics-nothing"];
        s.ask(
            "DeleteTopics",
            version,
            json!({"topicNames": names, "timeoutMs": 10_000}),
        );
        s.case("a known name twice");
        let names = ["delete-topics-refused", "delete-topics-refused"];
        s.ask(
            "DeleteTopics",
            version,
            json!({"topicNames": names, "timeoutMs": 10_000}),
        );
    }
    let name = "delete-topics-refused";
    for (case, topics) in [
        ("unknown id", json!([{"name": null, "topicId": NO_ID}])),
        (
            "null name and zero id",
            json!([{"name": null, "topicId": ZERO_ID}]),
        ),
        ("name and id", json!([{"name": name, "topicId": id}])),
        (
            "name and another id",
            json!([{"name": name, "topicId": NO_ID}]),
        ),
        ("unknown name", json!([{"name": "delete-topics-nothing"}])),
        ("empty name", json!([{"name": ""}])),
        (
            "the same name twice",
            json!([{"name": name}, {"name": name}]),
        ),
        (
            "the same id twice",
            json!([{"name": null, "topicId": id}, {"name": null, "topicId": id}]),
        ),
        (
            "unknown id twice",
            json!([{"name": null, "topicId": NO_ID}, {"name": null, "topicId": NO_ID}]),
        ),
        (
            "its name, then its id",
            json!([{"name": name}, {"name": null, "topicId": id}]),
        ),
    ] {
        s.case(case);
        s.ask(
            "DeleteTopics",
            6,
            json!({"topics": topics, "timeoutMs": 10_000}),
        );
    }
    s.settle();
    s.case("what is left");
    let topics = json!([{"name": name}]);
    s.ask(
        "Metadata",
        12,
        json!({"topics": topics, "allowAutoTopicCreation": false}),
    );
}
