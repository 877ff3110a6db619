//! DescribeCluster, DescribeTopicPartitions, ListPartitionReassignments and DescribeLogDirs.

use serde_json::{Value, json};

use crate::records::Batch;
use crate::session::Session;

pub(super) fn describe_versions(s: &mut Session) {
    for version in 0..=2 {
        s.case("plainly");
        s.ask("DescribeCluster", version, json!({}));
        s.case("authorized operations");
        let body = json!({"includeClusterAuthorizedOperations": true});
        s.ask("DescribeCluster", version, body);
        for kind in [0, 1, 2, 3, -1] {
            s.case(format!("endpoint type {kind}"));
            s.ask("DescribeCluster", version, json!({"endpointType": kind}));
        }
        s.case("fenced brokers too");
        s.ask(
            "DescribeCluster",
            version,
            json!({"includeFencedBrokers": true}),
        );
    }
}

pub(super) fn topic_partitions(s: &mut Session) {
    s.topic("describe-topic-partitions-a", 3, &[]);
    s.topic("describe-topic-partitions-b", 2, &[]);
    let both = json!([
        {"name": "describe-topic-partitions-b"}, {"name": "describe-topic-partitions-a"}
    ]);
    s.case("two topics");
    s.ask("DescribeTopicPartitions", 0, json!({"topics": both}));
    for limit in [1, 3, 4, 5, 0, -1, i32::MAX] {
        s.case(format!("at most {limit} partitions"));
        let body = json!({"topics": both, "responsePartitionLimit": limit});
        s.ask("DescribeTopicPartitions", 0, body);
    }
    for (topic, partition) in [
        ("describe-topic-partitions-a", 1),
        ("describe-topic-partitions-a", 3),
        ("describe-topic-partitions-b", 0),
        ("describe-topic-partitions-a", 99),
        ("describe-topic-partitions-a", -1),
        ("describe-topic-partitions-aa", 0),
        ("z", 0),
        ("", 0),
    ] {
        s.case(format!("from {topic:?} {partition}"));
        let cursor = json!({"topicName": topic, "partitionIndex": partition});
        let body = json!({"topics": both, "cursor": cursor});
        s.ask("DescribeTopicPartitions", 0, body);
        s.case(format!("from {topic:?} {partition}, at most 2"));
        let body = json!({"topics": both, "cursor": cursor, "responsePartitionLimit": 2});
        s.ask("DescribeTopicPartitions", 0, body);
    }
    for name in ["describe-topic-partitions-nothing", "", "a b"] {
        s.case(format!("topic {name:?}"));
        s.ask(
            "DescribeTopicPartitions",
            0,
            json!({"topics": [{"name": name}]}),
        );
    }
    s.case("the same topic twice");
    let one = json!({"name": "describe-topic-partitions-b"});
    s.ask("DescribeTopicPartitions", 0, json!({"topics": [one, one]}));
}

pub(super) fn reassignments(s: &mut Session) {
    s.topic("list-reassignments", 2, &[]);
    for (case, topics) in [
        ("all", Value::Null),
        ("none", json!([])),
        (
            "of a topic",
            json!([{"name": "list-reassignments", "partitionIndexes": [0, 1]}]),
        ),
        (
            "of an unknown partition",
            json!([{"name": "list-reassignments", "partitionIndexes": [9]}]),
        ),
        (
            "of an unknown topic",
            json!([{"name": "nothing", "partitionIndexes": [0]}]),
        ),
        (
            "of no partitions",
            json!([{"name": "list-reassignments", "partitionIndexes": []}]),
        ),
    ] {
        s.case(case);
        s.ask(
            "ListPartitionReassignments",
            0,
            json!({"topics": topics, "timeoutMs": 10_000}),
        );
    }
}

pub(super) fn log_dirs(s: &mut Session) {
    let id = s.topic("describe-log-dirs", 3, &[]);
    s.append("describe-log-dirs", &Batch::of(&["a", "b"]));
    // A partition that nothing was asked of might not have its directory yet.
    for partition in 0..3 {
        s.case("touch the partition");
        s.ask(
            "Fetch",
            12,
            super::bodies::fetch("describe-log-dirs", &id, partition, 0),
        );
    }
    for version in 1..=4 {
        for (case, topics) in [
            (
                "one topic",
                json!([{"topic": "describe-log-dirs", "partitions": [0, 1, 2]}]),
            ),
            (
                "one partition",
                json!([{"topic": "describe-log-dirs", "partitions": [0]}]),
            ),
            (
                "an unknown partition",
                json!([{"topic": "describe-log-dirs", "partitions": [9]}]),
            ),
            (
                "an unknown topic",
                json!([{"topic": "nothing", "partitions": [0]}]),
            ),
            (
                "no partitions",
                json!([{"topic": "describe-log-dirs", "partitions": []}]),
            ),
            ("no topics", json!([])),
            ("everything", Value::Null),
        ] {
            s.case(case);
            s.ask("DescribeLogDirs", version, json!({"topics": topics}));
        }
    }
}
