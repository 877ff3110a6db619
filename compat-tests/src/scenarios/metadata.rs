//! Metadata.

use serde_json::{Value, json};

use super::bodies::{NO_ID, ZERO_ID};
use crate::session::Session;

pub(super) fn versions(s: &mut Session) {
    let id = s.topic("metadata-a", 1, &[]);
    s.topic("metadata-b", 3, &[]);
    for version in 0..=13 {
        s.case("one topic");
        s.ask(
            "Metadata",
            version,
            json!({"topics": [{"name": "metadata-b"}]}),
        );
        s.case("two topics");
        let topics = json!([{"name": "metadata-b"}, {"name": "metadata-a"}]);
        s.ask("Metadata", version, json!({"topics": topics}));
        s.case("one topic twice");
        let topics = json!([{"name": "metadata-a"}, {"name": "metadata-a"}]);
        s.ask("Metadata", version, json!({"topics": topics}));
        s.case("null topics");
        if version > 0 {
            s.ask("Metadata", version, json!({"topics": Value::Null}));
        }
        s.case("no topics");
        s.ask("Metadata", version, json!({"topics": []}));
        s.case("authorized operations");
        s.ask(
            "Metadata",
            version,
            json!({
                "topics": [{"name": "metadata-a"}],
                "includeClusterAuthorizedOperations": true,
                "includeTopicAuthorizedOperations": true
            }),
        );
    }
    for version in 10..=13 {
        s.case("by id");
        s.ask(
            "Metadata",
            version,
            json!({"topics": [{"name": null, "topicId": id}]}),
        );
        s.case("by id and name");
        let topic = json!({"name": "metadata-b", "topicId": id});
        s.ask("Metadata", version, json!({"topics": [topic]}));
    }
}

pub(super) fn unknown(s: &mut Session) {
    s.topic("metadata-unknown", 1, &[]);
    let long = "x".repeat(249);
    let longer = "x".repeat(250);
    let names = [
        "",
        ".",
        "..",
        "a b",
        "a/b",
        "ü",
        "a,b",
        "metadata-unknown-0",
        &long,
        &longer,
    ];
    for version in 4..=13 {
        for name in names {
            s.case(format!("name {}", &name[..name.len().min(20)]));
            let body = json!({"topics": [{"name": name}], "allowAutoTopicCreation": false});
            s.ask("Metadata", version, body);
        }
        s.case("known and unknown");
        let topics = json!([{"name": "metadata-nothing"}, {"name": "metadata-unknown"}]);
        s.ask(
            "Metadata",
            version,
            json!({"topics": topics, "allowAutoTopicCreation": false}),
        );
        s.case("unknown, authorized operations");
        s.ask(
            "Metadata",
            version,
            json!({
                "topics": [{"name": "metadata-nothing"}], "allowAutoTopicCreation": false,
                "includeClusterAuthorizedOperations": true,
                "includeTopicAuthorizedOperations": true
            }),
        );
    }
    for version in 0..=13 {
        for name in ["", "a b", ".", &longer] {
            s.case(format!("auto-creation of {}", &name[..name.len().min(20)]));
            s.ask("Metadata", version, json!({"topics": [{"name": name}]}));
        }
    }
    for version in 10..=13 {
        s.case("unknown id");
        s.ask(
            "Metadata",
            version,
            json!({"topics": [{"name": null, "topicId": NO_ID}]}),
        );
        s.case("null name and zero id");
        s.ask(
            "Metadata",
            version,
            json!({"topics": [{"name": null, "topicId": ZERO_ID}]}),
        );
        s.case("unknown id and a name");
        let topic = json!({"name": "metadata-unknown", "topicId": NO_ID});
        s.ask("Metadata", version, json!({"topics": [topic]}));
        s.case("ids and names");
        let topics = json!([{"name": null, "topicId": NO_ID}, {"name": "metadata-unknown"}]);
        s.ask("Metadata", version, json!({"topics": topics}));
    }
}

pub(super) fn auto_creation(s: &mut Session) {
    for version in 0..=13 {
        let name = format!("metadata-auto-creation-{version}");
        s.forget_later(&name);
        s.case("a topic that is created by being asked for");
        s.ask("Metadata", version, json!({"topics": [{"name": name}]}));
        s.settle();
        s.case("the topic afterwards");
        s.ask("Metadata", version, json!({"topics": [{"name": name}]}));
    }
    s.topic("metadata.auto_creation", 1, &[]);
    s.case("a name that collides with another");
    s.ask(
        "Metadata",
        12,
        json!({"topics": [{"name": "metadata_auto.creation"}]}),
    );
    s.settle();
    s.ask(
        "Metadata",
        12,
        json!({"topics": [{"name": "metadata_auto.creation"}]}),
    );
}
