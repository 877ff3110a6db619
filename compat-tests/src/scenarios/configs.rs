//! DescribeConfigs, AlterConfigs and IncrementalAlterConfigs.

use serde_json::{Value, json};

use crate::session::Session;

/// Resource types.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// Operations of an incremental change.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn describe(kind: i8, name: &str, keys: &Value) -> Value {
    let resource = json!({"resourceType": kind, "resourceName": name, "configurationKeys": keys});
    json!({"resources": [resource], "includeSynonyms": true})
}

pub(super) fn describe_versions(s: &mut Session) {
    s.topic(
        "describe-configs",
        1,
        &[("segment.bytes", "2000000"), ("cleanup.policy", "compact")],
    );
    for version in 1..=4 {
        for (kind, name) in [(TOPIC, "describe-configs"), (BROKER, "1"), (BROKER, "")] {
            s.case(format!("everything of {name:?}"));
            s.ask(
                "DescribeConfigs",
                version,
                describe(kind, name, &Value::Null),
            );
            s.case(format!("nothing of {name:?}"));
            s.ask("DescribeConfigs", version, describe(kind, name, &json!([])));
            s.case(format!("some of {name:?}, without synonyms"));
            let keys = json!([
                "cleanup.policy",
                "segment.bytes",
                "log.segment.bytes",
                "num.partitions",
                "no.such.key",
                "retention.ms"
            ]);
            let mut body = describe(kind, name, &keys);
            body["includeSynonyms"] = json!(false);
            s.ask("DescribeConfigs", version, body);
        }
        s.case("two resources");
        let resources = json!([
            {"resourceType": TOPIC, "resourceName": "describe-configs",
                "configurationKeys": ["retention.ms"]},
            {"resourceType": BROKER, "resourceName": "1",
                "configurationKeys": ["log.retention.ms", "log.retention.hours"]}
        ]);
        s.ask("DescribeConfigs", version, json!({"resources": resources}));
        s.case("no resources");
        s.ask("DescribeConfigs", version, json!({}));
    }
}

pub(super) fn describe_refused(s: &mut Session) {
    s.topic("describe-configs-refused", 1, &[]);
    for version in 1..=4 {
        for (kind, name) in [
            (TOPIC, "describe-configs-nothing"),
            (TOPIC, ""),
            (TOPIC, "a b"),
            (BROKER, "2"),
            (BROKER, "-1"),
            (BROKER, "one"),
            (0, "x"),
            (1, "x"),
            (3, "x"),
            (5, "x"),
            (127, "x"),
            (-1, "x"),
        ] {
            s.case(format!("type {kind}, name {name:?}"));
            s.ask(
                "DescribeConfigs",
                version,
                describe(kind, name, &Value::Null),
            );
        }
        s.case("the same resource twice");
        let one = json!({"resourceType": TOPIC, "resourceName": "describe-configs-refused",
            "configurationKeys": ["retention.ms"]});
        s.ask("DescribeConfigs", version, json!({"resources": [one, one]}));
    }
}

pub(super) fn synonyms(s: &mut Session) {
    s.topic(
        "describe-configs-synonyms",
        1,
        &[("max.message.bytes", "5000")],
    );
    let keys = json!([
        "max.message.bytes",
        "retention.ms",
        "segment.ms",
        "cleanup.policy"
    ]);
    s.case("before");
    s.ask(
        "DescribeConfigs",
        4,
        describe(TOPIC, "describe-configs-synonyms", &keys),
    );
    for (name, key) in [("", "message.max.bytes"), ("1", "message.max.bytes")] {
        s.case(format!("{key} of broker {name:?}"));
        s.ask(
            "IncrementalAlterConfigs",
            1,
            incremental(BROKER, name, key, SET, json!("7000")),
        );
        s.settle();
        s.ask(
            "DescribeConfigs",
            4,
            describe(TOPIC, "describe-configs-synonyms", &keys),
        );
        let broker_keys = json!(["message.max.bytes", "log.retention.hours"]);
        s.ask("DescribeConfigs", 4, describe(BROKER, "1", &broker_keys));
        s.ask("DescribeConfigs", 4, describe(BROKER, "", &broker_keys));
    }
    for name in ["", "1"] {
        s.case(format!("broker {name:?} as before"));
        let body = incremental(BROKER, name, "message.max.bytes", DELETE, Value::Null);
        s.ask("IncrementalAlterConfigs", 1, body);
        s.settle();
        s.ask(
            "DescribeConfigs",
            4,
            describe(TOPIC, "describe-configs-synonyms", &keys),
        );
    }
}

/// Which resources have settings. Topics are those of other scenarios too, and so is everything
/// that an empty list of types asks for.
pub(super) fn resources(s: &mut Session) {
    let set = [
        (CLIENT_METRICS, "interval.ms", "60000"),
        (GROUP, "consumer.session.timeout.ms", "50000"),
    ];
    for (kind, key, value) in set {
        s.case(format!("set {key}"));
        let body = incremental(kind, "list-config-resources", key, SET, json!(value));
        s.ask("IncrementalAlterConfigs", 1, body);
    }
    s.settle();
    s.case("client-metrics subscriptions");
    s.ask("ListConfigResources", 0, json!({}));
    for types in [
        &[CLIENT_METRICS][..],
        &[GROUP],
        &[BROKER],
        &[BROKER_LOGGER],
        &[BROKER, CLIENT_METRICS, GROUP, BROKER, BROKER_LOGGER],
        &[0],
        &[1],
        &[64],
        &[-1],
        &[GROUP, 3],
    ] {
        s.case(format!("types {types:?}"));
        s.ask("ListConfigResources", 1, json!({"resourceTypes": types}));
    }
    for (kind, key, _) in set {
        s.case(format!("take {key} away"));
        let body = incremental(kind, "list-config-resources", key, DELETE, Value::Null);
        s.ask("IncrementalAlterConfigs", 1, body);
    }
    s.settle();
    s.case("no client-metrics subscription");
    s.ask("ListConfigResources", 0, json!({}));
}

fn alter(kind: i8, name: &str, configs: &Value) -> Value {
    json!({"resources": [{"resourceType": kind, "resourceName": name, "configs": configs}]})
}

fn incremental(kind: i8, name: &str, key: &str, operation: i8, value: Value) -> Value {
    let config = json!({"name": key, "configOperation": operation, "value": value});
    alter(kind, name, &json!([config]))
}

fn show(s: &mut Session, name: &str) {
    s.settle();
    let keys = json!([
        "cleanup.policy",
        "max.message.bytes",
        "retention.ms",
        "segment.bytes",
        "leader.replication.throttled.replicas"
    ]);
    s.ask("DescribeConfigs", 4, describe(TOPIC, name, &keys));
}

pub(super) fn alter_versions(s: &mut Session) {
    s.topic("alter-configs", 1, &[]);
    for version in 0..=2 {
        for (case, configs) in [
            (
                "one setting",
                json!([{"name": "segment.bytes", "value": "3000000"}]),
            ),
            (
                "another, the first is gone",
                json!([{"name": "max.message.bytes", "value": "99"}]),
            ),
            (
                "two",
                json!([
                    {"name": "segment.bytes", "value": "4000000"},
                    {"name": "cleanup.policy", "value": "compact"}
                ]),
            ),
            ("none", json!([])),
        ] {
            s.case(case);
            s.ask(
                "AlterConfigs",
                version,
                alter(TOPIC, "alter-configs", &configs),
            );
            show(s, "alter-configs");
        }
        s.case("only validate");
        let configs = json!([{"name": "segment.bytes", "value": "3000000"}]);
        let mut body = alter(TOPIC, "alter-configs", &configs);
        body["validateOnly"] = json!(true);
        s.ask("AlterConfigs", version, body);
        show(s, "alter-configs");
        s.case("no resources");
        s.ask("AlterConfigs", version, json!({}));
    }
}

pub(super) fn alter_refused(s: &mut Session) {
    s.topic("alter-configs-refused", 1, &[]);
    let good = json!([{"name": "segment.bytes", "value": "3000000"}]);
    for version in 0..=2 {
        for (kind, name) in [
            (TOPIC, "alter-configs-nothing"),
            (TOPIC, ""),
            (TOPIC, "a b"),
            (BROKER, "7"),
            (BROKER, "one"),
            (0, "x"),
            (1, "x"),
            (3, "x"),
            (127, "x"),
        ] {
            s.case(format!("type {kind}, name {name:?}"));
            s.ask("AlterConfigs", version, alter(kind, name, &good));
        }
        for (case, configs) in [
            (
                "unknown key",
                json!([{"name": "no.such.key", "value": "1"}]),
            ),
            (
                "bad value",
                json!([{"name": "segment.bytes", "value": "many"}]),
            ),
            (
                "null value",
                json!([{"name": "segment.bytes", "value": null}]),
            ),
            (
                "a key twice",
                json!([
                    {"name": "segment.bytes", "value": "3000000"},
                    {"name": "segment.bytes", "value": "4000000"}
                ]),
            ),
            (
                "remote storage",
                json!([{"name": "remote.storage.enable", "value": "true"}]),
            ),
        ] {
            s.case(case);
            s.ask(
                "AlterConfigs",
                version,
                alter(TOPIC, "alter-configs-refused", &configs),
            );
        }
        let one = json!({
            "resourceType": TOPIC, "resourceName": "alter-configs-refused", "configs": good
        });
        if version == 2 {
            s.case("the same resource twice");
            s.ask("AlterConfigs", version, json!({"resources": [one, one]}));
        }
        s.case("a good and a bad resource");
        let bad = json!({"resourceType": TOPIC, "resourceName": "nothing", "configs": good});
        s.ask("AlterConfigs", version, json!({"resources": [one, bad]}));
        s.case("afterwards");
        show(s, "alter-configs-refused");
    }
}

pub(super) fn incremental_versions(s: &mut Session) {
    s.topic("incremental-alter-configs", 1, &[]);
    let name = "incremental-alter-configs";
    for version in 0..=1 {
        for (case, key, operation, value) in [
            ("set", "segment.bytes", SET, json!("3000000")),
            ("set another", "max.message.bytes", SET, json!("99")),
            ("set it again", "max.message.bytes", SET, json!("100")),
            ("delete", "segment.bytes", DELETE, Value::Null),
            (
                "delete what is not set",
                "segment.bytes",
                DELETE,
                Value::Null,
            ),
            (
                "delete with a value",
                "max.message.bytes",
                DELETE,
                json!("5"),
            ),
        ] {
            s.case(case);
            let body = incremental(TOPIC, name, key, operation, value);
            s.ask("IncrementalAlterConfigs", version, body);
            show(s, name);
        }
        s.case("only validate");
        let mut body = incremental(TOPIC, name, "segment.bytes", SET, json!("3000000"));
        body["validateOnly"] = json!(true);
        s.ask("IncrementalAlterConfigs", version, body);
        show(s, name);
        s.case("no resources");
        s.ask("IncrementalAlterConfigs", version, json!({}));
        s.case("no settings");
        s.ask(
            "IncrementalAlterConfigs",
            version,
            alter(TOPIC, name, &json!([])),
        );
    }
}

pub(super) fn incremental_lists(s: &mut Session) {
    s.topic("incremental-lists", 1, &[]);
    let replicas = "leader.replication.throttled.replicas";
    for (case, key, operation, value) in [
        (
            "append to a default",
            "cleanup.policy",
            APPEND,
            json!("compact"),
        ),
        (
            "append what is there",
            "cleanup.policy",
            APPEND,
            json!("compact"),
        ),
        ("subtract", "cleanup.policy", SUBTRACT, json!("delete")),
        (
            "subtract what is not there",
            "cleanup.policy",
            SUBTRACT,
            json!("delete"),
        ),
        (
            "subtract the last",
            "cleanup.policy",
            SUBTRACT,
            json!("compact"),
        ),
        (
            "append what is not allowed",
            "cleanup.policy",
            APPEND,
            json!("archive"),
        ),
        (
            "append two",
            "cleanup.policy",
            APPEND,
            json!("delete,compact"),
        ),
        ("append null", "cleanup.policy", APPEND, Value::Null),
        ("append to what is empty", replicas, APPEND, json!("0:1")),
        ("append more", replicas, APPEND, json!("1:1,2:1")),
        ("subtract from the middle", replicas, SUBTRACT, json!("1:1")),
        ("subtract the rest", replicas, SUBTRACT, json!("0:1,2:1")),
        (
            "append to what is no list",
            "segment.bytes",
            APPEND,
            json!("1"),
        ),
        (
            "subtract from what is no list",
            "segment.bytes",
            SUBTRACT,
            json!("1"),
        ),
    ] {
        s.case(case);
        let body = incremental(TOPIC, "incremental-lists", key, operation, value);
        s.ask("IncrementalAlterConfigs", 1, body);
        show(s, "incremental-lists");
    }
}

pub(super) fn incremental_refused(s: &mut Session) {
    let name = "incremental-refused";
    s.topic(name, 1, &[]);
    for version in 0..=1 {
        for (kind, name) in [
            (TOPIC, "incremental-nothing"),
            (TOPIC, ""),
            (TOPIC, "a b"),
            (BROKER, "7"),
            (BROKER, "one"),
            (0, "x"),
            (1, "x"),
            (3, "x"),
            (127, "x"),
        ] {
            s.case(format!("type {kind}, name {name:?}"));
            let body = incremental(kind, name, "segment.bytes", SET, json!("3000000"));
            s.ask("IncrementalAlterConfigs", version, body);
        }
        for (case, key, operation, value) in [
            ("unknown key", "no.such.key", SET, json!("1")),
            ("empty key", "", SET, json!("1")),
            ("unknown key, delete", "no.such.key", DELETE, Value::Null),
            ("bad value", "segment.bytes", SET, json!("many")),
            ("value too small", "segment.bytes", SET, json!("1")),
            ("null value", "segment.bytes", SET, Value::Null),
            ("empty value", "segment.bytes", SET, json!("")),
            ("operation 4", "segment.bytes", 4, json!("3000000")),
            ("operation -1", "segment.bytes", -1, json!("3000000")),
            (
                "remote storage",
                "remote.storage.enable",
                SET,
                json!("true"),
            ),
            (
                "more replicas in sync than there are",
                "min.insync.replicas",
                SET,
                json!("2"),
            ),
            ("a broker's key", "log.retention.ms", SET, json!("1000")),
        ] {
            s.case(case);
            let body = incremental(TOPIC, name, key, operation, value);
            s.ask("IncrementalAlterConfigs", version, body);
        }
        s.case("a key twice");
        let set = json!({"name": "segment.bytes", "configOperation": SET, "value": "3000000"});
        let delete = json!({"name": "segment.bytes", "configOperation": DELETE, "value": null});
        let body = alter(TOPIC, name, &json!([set, delete]));
        s.ask("IncrementalAlterConfigs", version, body);
        s.case("a good and a bad key");
        let bad = json!({"name": "no.such.key", "configOperation": SET, "value": "1"});
        s.ask(
            "IncrementalAlterConfigs",
            version,
            alter(TOPIC, name, &json!([set, bad])),
        );
        s.case("the same resource twice");
        let one = json!({"resourceType": TOPIC, "resourceName": name, "configs": [set]});
        s.ask(
            "IncrementalAlterConfigs",
            version,
            json!({"resources": [one, one]}),
        );
        s.case("a good and a bad resource");
        let bad = json!({"resourceType": TOPIC, "resourceName": "nothing", "configs": [set]});
        s.ask(
            "IncrementalAlterConfigs",
            version,
            json!({"resources": [one, bad]}),
        );
        s.case("afterwards");
        show(s, name);
        let body = incremental(TOPIC, name, "segment.bytes", DELETE, Value::Null);
        s.ask("IncrementalAlterConfigs", version, body);
        s.settle();
    }
}

/// Every setting of a topic, with a value that it takes and one that it does not.
pub(super) fn topic_settings(s: &mut Session) {
    s.topic("topic-settings", 1, &[]);
    for (key, good, bad) in [
        ("cleanup.policy", "compact", "gone"),
        ("compression.gzip.level", "5", "10"),
        ("compression.lz4.level", "5", "0"),
        ("compression.type", "zstd", "zip"),
        ("compression.zstd.level", "-5", "x"),
        ("delete.retention.ms", "5", "-1"),
        ("file.delete.delay.ms", "5", "-1"),
        ("flush.messages", "5", "0"),
        ("flush.ms", "5", "-1"),
        ("follower.replication.throttled.replicas", "0:1", "0"),
        ("index.interval.bytes", "5", "-1"),
        ("leader.replication.throttled.replicas", "*", "*:*"),
        ("local.retention.bytes", "-2", "-3"),
        ("local.retention.ms", "5", "x"),
        ("max.compaction.lag.ms", "5", "0"),
        ("max.message.bytes", "5", "-1"),
        ("message.timestamp.after.max.ms", "5", "-1"),
        ("message.timestamp.before.max.ms", "5", "-1"),
        ("message.timestamp.type", "LogAppendTime", "logappendtime"),
        ("min.cleanable.dirty.ratio", "0.75", "-0.1"),
        ("min.compaction.lag.ms", "5", "-1"),
        ("min.insync.replicas", "1", "0"),
        ("preallocate", "true", "1"),
        ("remote.log.copy.disable", "true", "1"),
        ("remote.log.delete.on.disable", "true", "1"),
        ("remote.storage.enable", "false", "1"),
        ("retention.bytes", "5000", "x"),
        ("retention.ms", "5000", "-2"),
        ("segment.bytes", "1048576", "1048575"),
        ("segment.index.bytes", "5", "3"),
        ("segment.jitter.ms", "5", "-1"),
        ("segment.ms", "5", "0"),
        ("unclean.leader.election.enable", "true", "1"),
    ] {
        for value in [good, bad] {
            s.case(format!("{key}={value}"));
            let body = incremental(TOPIC, "topic-settings", key, SET, json!(value));
            s.ask("IncrementalAlterConfigs", 1, body);
        }
        s.settle();
        s.case(key);
        s.ask(
            "DescribeConfigs",
            4,
            describe(TOPIC, "topic-settings", &json!([key])),
        );
        s.case(format!("without {key}"));
        let body = incremental(TOPIC, "topic-settings", key, DELETE, Value::Null);
        s.ask("IncrementalAlterConfigs", 1, body);
        s.settle();
    }
}

/// Changes of the broker's settings, and which of them it refuses.
pub(super) fn broker_settings(s: &mut Session) {
    for (key, value) in [
        ("log.retention.ms", "5000000"),
        ("log.segment.bytes", "20000000"),
        ("log.cleaner.threads", "2"),
        ("num.io.threads", "9"),
        ("max.connections", "1000"),
        ("message.max.bytes", "-1"),
        ("message.max.bytes", "many"),
        ("compression.type", "gzip"),
        ("log.message.timestamp.type", "LogAppendTime"),
        ("min.insync.replicas", "1"),
        ("unclean.leader.election.enable", "true"),
        ("num.partitions", "7"),
        ("auto.create.topics.enable", "false"),
        ("log.dirs", "elsewhere"),
        ("node.id", "5"),
        ("process.roles", "broker"),
        ("listeners", "PLAINTEXT://127.0.0.1:1"),
        ("socket.request.max.bytes", "5"),
        ("no.such.key", "1"),
        ("default.replication.factor", "3"),
        ("delete.topic.enable", "false"),
        ("log.retention.hours", "5"),
        ("log.flush.interval.messages", "5"),
    ] {
        for name in ["", "1"] {
            s.case(format!("{key}={value} of broker {name:?}"));
            let body = incremental(BROKER, name, key, SET, json!(value));
            s.ask("IncrementalAlterConfigs", 1, body);
            s.settle();
            s.ask("DescribeConfigs", 4, describe(BROKER, name, &json!([key])));
            s.case(format!("{key} of broker {name:?} as before"));
            let body = incremental(BROKER, name, key, DELETE, Value::Null);
            s.ask("IncrementalAlterConfigs", 1, body);
            s.settle();
        }
    }
    s.case("replace the settings of all brokers");
    let configs = json!([{"name": "log.retention.ms", "value": "7000000"}]);
    s.ask("AlterConfigs", 2, alter(BROKER, "", &configs));
    s.settle();
    s.ask("DescribeConfigs", 4, describe(BROKER, "", &Value::Null));
    s.case("and take them away");
    s.ask("AlterConfigs", 2, alter(BROKER, "", &json!([])));
    s.settle();
    s.ask("DescribeConfigs", 4, describe(BROKER, "", &Value::Null));
}
