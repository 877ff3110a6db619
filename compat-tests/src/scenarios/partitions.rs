//! CreatePartitions.

use serde_json::{Value, json};

use crate::session::Session;

fn grow(name: &str, count: i32, assignments: Value) -> Value {
    json!({
        "topics": [{"name": name, "count": count, "assignments": assignments}],
        "timeoutMs": 10_000
    })
}

pub(super) fn versions(s: &mut Session) {
    for version in 0..=3 {
        let name = format!("create-partitions-{version}");
        s.topic(&name, 1, &[]);
        s.case("only validate");
        let mut body = grow(&name, 4, Value::Null);
        body["validateOnly"] = json!(true);
        s.ask("CreatePartitions", version, body);
        s.case("three");
        s.ask("CreatePartitions", version, grow(&name, 3, Value::Null));
        s.settle();
        s.case("five, assigned");
        let assigned = json!([{"brokerIds": [1]}, {"brokerIds": [1]}]);
        s.ask("CreatePartitions", version, grow(&name, 5, assigned));
        s.settle();
        s.case("what is there");
        s.ask("Metadata", 12, json!({"topics": [{"name": name}]}));
        s.case("no topics");
        s.ask("CreatePartitions", version, json!({"timeoutMs": 10_000}));
    }
}

pub(super) fn refused(s: &mut Session) {
    let name = "create-partitions-refused";
    s.topic(name, 3, &[]);
    for version in 0..=3 {
        for count in [3, 2, 0, -1] {
            s.case(format!("{count} of 3"));
            s.ask("CreatePartitions", version, grow(name, count, Value::Null));
        }
        s.case("unknown topic");
        s.ask(
            "CreatePartitions",
            version,
            grow("create-partitions-nothing", 3, Value::Null),
        );
        s.case("empty name");
        s.ask("CreatePartitions", version, grow("", 3, Value::Null));
        for (case, assignments) in [
            ("an empty assignment", json!([])),
            ("too few assignments", json!([{"brokerIds": [1]}])),
            (
                "too many assignments",
                json!([{"brokerIds": [1]}, {"brokerIds": [1]}, {"brokerIds": [1]}]),
            ),
            (
                "an unknown broker",
                json!([{"brokerIds": [1]}, {"brokerIds": [9]}]),
            ),
            (
                "a broker twice",
                json!([{"brokerIds": [1, 1]}, {"brokerIds": [1]}]),
            ),
            ("no brokers", json!([{"brokerIds": []}, {"brokerIds": [1]}])),
            (
                "more replicas than the topic has",
                json!([{"brokerIds": [1, 2]}, {"brokerIds": [1, 2]}]),
            ),
        ] {
            s.case(case);
            let mut body = grow(name, 5, assignments);
            body["validateOnly"] = json!(true);
            s.ask("CreatePartitions", version, body);
        }
        s.case("the same topic twice");
        let one = json!({"name": name, "count": 9, "assignments": null});
        s.ask(
            "CreatePartitions",
            version,
            json!({"topics": [one, one], "timeoutMs": 10_000}),
        );
        s.case("a bad and a good one");
        let bad = json!({"name": "create-partitions-nothing", "count": 9, "assignments": null});
        let body = json!({"topics": [one, bad], "timeoutMs": 10_000, "validateOnly": true});
        s.ask("CreatePartitions", version, body);
    }
}
