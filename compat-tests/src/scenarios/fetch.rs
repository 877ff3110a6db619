//! Fetch.

use serde_json::{Value, json};

use super::bodies::{NO_ID, ZERO_ID, at, fetch as body, fetch_of, with};
use crate::records::Batch;
use crate::session::Session;

pub(super) fn versions(s: &mut Session) {
    let id = s.topic("fetch", 2, &[]);
    s.append("fetch", &Batch::of(&["a", "b", "c"]));
    s.append("fetch", &Batch::of(&["d"]));
    for version in 4..=18 {
        s.case("from the start");
        s.ask("Fetch", version, body("fetch", &id, 0, 0));
        s.case("an empty partition");
        s.ask("Fetch", version, body("fetch", &id, 1, 0));
        s.case("read committed");
        s.ask(
            "Fetch",
            version,
            with(body("fetch", &id, 0, 0), json!({"isolationLevel": 1})),
        );
        s.case("an isolation level that does not exist");
        s.ask(
            "Fetch",
            version,
            with(body("fetch", &id, 0, 0), json!({"isolationLevel": 7})),
        );
        s.case("no topics");
        s.ask("Fetch", version, fetch_of(&json!([])));
        s.case("unknown topic");
        s.ask("Fetch", version, body("fetch-nothing", NO_ID, 0, 0));
        s.case("unknown partition");
        s.ask("Fetch", version, body("fetch", &id, 9, 0));
        s.case("an offset past the end");
        s.ask("Fetch", version, body("fetch", &id, 0, 99));
        s.case("two partitions, one unknown topic");
        let one = json!({"partition": 0, "fetchOffset": 3, "partitionMaxBytes": 10_000});
        let two = json!({"partition": 1, "fetchOffset": 0, "partitionMaxBytes": 10_000});
        s.ask(
            "Fetch",
            version,
            fetch_of(&json!([
                {"topic": "fetch", "topicId": id, "partitions": [one, two]},
                {"topic": "fetch-nothing", "topicId": NO_ID, "partitions": [one]}
            ])),
        );
    }
    for version in [13, 18] {
        s.case("zero id");
        s.ask("Fetch", version, body("", ZERO_ID, 0, 0));
    }
    s.case("empty name");
    s.ask("Fetch", 12, body("", ZERO_ID, 0, 0));
    s.case("the same partition twice");
    let one = json!({"partition": 0, "fetchOffset": 3, "partitionMaxBytes": 10_000});
    let topics = json!([{"topic": "fetch", "topicId": id, "partitions": [one, one]}]);
    s.ask("Fetch", 12, fetch_of(&topics));
    s.case("a rack");
    s.ask(
        "Fetch",
        12,
        with(body("fetch", &id, 0, 0), json!({"rackId": "somewhere"})),
    );
    s.case("the id of a cluster");
    s.ask(
        "Fetch",
        12,
        with(body("fetch", &id, 0, 0), json!({"clusterId": "another"})),
    );
}

pub(super) fn positions(s: &mut Session) {
    let id = s.topic("fetch-positions", 2, &[]);
    s.append("fetch-positions", &Batch::of(&["a", "b", "c"]));
    s.append("fetch-positions", &Batch::of(&["d", "e"]));
    for version in [4, 11, 12, 13, 18] {
        for offset in [-2, -1, 0, 1, 2, 3, 4, 5, 6, i64::MAX] {
            s.case(format!("offset {offset}"));
            s.ask("Fetch", version, body("fetch-positions", &id, 0, offset));
            s.case(format!("offset {offset}, read committed"));
            let committed = json!({"isolationLevel": 1});
            s.ask(
                "Fetch",
                version,
                with(body("fetch-positions", &id, 0, offset), committed),
            );
        }
        for offset in [0, 1] {
            s.case(format!("empty partition, offset {offset}"));
            s.ask("Fetch", version, body("fetch-positions", &id, 1, offset));
        }
    }
    s.case("start moved");
    s.ask(
        "DeleteRecords",
        2,
        json!({"timeoutMs": 10_000, "topics": [
            {"name": "fetch-positions", "partitions": [{"partitionIndex": 0, "offset": 1}]}
        ]}),
    );
    for offset in 0..=3 {
        for version in [4, 12] {
            s.case(format!("offset {offset} after the start moved to 1"));
            s.ask("Fetch", version, body("fetch-positions", &id, 0, offset));
        }
    }
    s.case("log start offset of a follower's kind");
    let one = body("fetch-positions", &id, 0, 1);
    s.ask(
        "Fetch",
        12,
        at(one, "/topics/0/partitions/0/logStartOffset", json!(5)),
    );
}

pub(super) fn limits(s: &mut Session) {
    let id = s.topic("fetch-limits", 3, &[]);
    for size in [10, 20, 3000, 40, 50] {
        s.append("fetch-limits", &Batch::of(&["x".repeat(size).as_str()]));
    }
    let partition_max = "/topics/0/partitions/0/partitionMaxBytes";
    for version in [4, 12, 18] {
        for most in [0, 1, 77, 78, 79, 160, 1000, 4000, -1, i32::MAX] {
            s.case(format!("at most {most} bytes of the partition"));
            let request = body("fetch-limits", &id, 0, 0);
            s.ask("Fetch", version, at(request, partition_max, json!(most)));
            s.case(format!(
                "at most {most} bytes of the partition from a large batch"
            ));
            let request = body("fetch-limits", &id, 0, 2);
            s.ask("Fetch", version, at(request, partition_max, json!(most)));
            s.case(format!("at most {most} bytes in all"));
            let request = with(body("fetch-limits", &id, 0, 0), json!({"maxBytes": most}));
            s.ask("Fetch", version, request);
        }
        s.case("nothing to wait for: enough bytes are there");
        let wait = json!({"minBytes": 100, "maxWaitMs": 10_000});
        s.ask(
            "Fetch",
            version,
            with(body("fetch-limits", &id, 0, 0), wait),
        );
        s.case("nothing to wait for: an error");
        let wait = json!({"minBytes": 100, "maxWaitMs": 10_000});
        s.ask(
            "Fetch",
            version,
            with(body("fetch-limits", &id, 0, 77), wait),
        );
        s.case("nothing to wait for: no partitions");
        let wait = json!({"minBytes": 100, "maxWaitMs": 10_000});
        s.ask("Fetch", version, with(fetch_of(&json!([])), wait));
        s.case("a short wait for nothing");
        let wait = json!({"minBytes": 1, "maxWaitMs": 30});
        s.ask(
            "Fetch",
            version,
            with(body("fetch-limits", &id, 0, 5), wait),
        );
        s.case("a negative wait");
        let wait = json!({"minBytes": 1, "maxWaitMs": -1});
        s.ask(
            "Fetch",
            version,
            with(body("fetch-limits", &id, 0, 5), wait),
        );
        s.case("an empty partition before a full one");
        let wait = json!({"minBytes": 1, "maxWaitMs": 10_000});
        let empty = json!({"partition": 1, "fetchOffset": 0, "partitionMaxBytes": 1000});
        let full = json!({"partition": 0, "fetchOffset": 3, "partitionMaxBytes": 1});
        let topics =
            json!([{"topic": "fetch-limits", "topicId": id, "partitions": [empty, full, full]}]);
        s.ask("Fetch", version, with(fetch_of(&topics), wait));
    }
}

pub(super) fn epochs(s: &mut Session) {
    let id = s.topic("fetch-epochs", 1, &[]);
    s.append("fetch-epochs", &Batch::of(&["a", "b"]));
    let current = "/topics/0/partitions/0/currentLeaderEpoch";
    let last = "/topics/0/partitions/0/lastFetchedEpoch";
    for version in [9, 11, 12, 13, 16, 18] {
        for epoch in [-2, -1, 0, 1, 99] {
            s.case(format!("current leader epoch {epoch}"));
            s.ask(
                "Fetch",
                version,
                at(body("fetch-epochs", &id, 0, 0), current, json!(epoch)),
            );
        }
        for epoch in [-2, -1, 0, 1, 99] {
            for offset in [0, 2, 3] {
                s.case(format!("last fetched epoch {epoch} at offset {offset}"));
                let request = body("fetch-epochs", &id, 0, offset);
                s.ask("Fetch", version, at(request, last, json!(epoch)));
            }
        }
    }
}

fn session(topics: &Value, id: &Value, epoch: i32) -> Value {
    with(
        fetch_of(topics),
        json!({"sessionId": id, "sessionEpoch": epoch}),
    )
}

pub(super) fn sessions(s: &mut Session) {
    for version in [7, 11, 12, 13, 17, 18] {
        let (first, second) = (
            format!("fetch-session-{version}-a"),
            format!("fetch-session-{version}-b"),
        );
        let one = s.topic(&first, 2, &[]);
        let two = s.topic(&second, 1, &[]);
        s.append(&first, &Batch::of(&["a"]));
        let partition = |partition: i32, offset: i64| json!({"partition": partition, "fetchOffset": offset, "partitionMaxBytes": 100_000});
        let of = |name: &str, id: &str, partitions: Vec<Value>| json!({"topic": name, "topicId": id, "partitions": partitions});
        s.case("open a session");
        let all = json!([
            of(&first, &one, vec![partition(0, 0), partition(1, 0)]),
            of(&second, &two, vec![partition(0, 0)])
        ]);
        let id = s.ask("Fetch", version, session(&all, &json!(0), 0))["sessionId"].clone();
        s.case("nothing moved, the same data again");
        s.ask("Fetch", version, session(&json!([]), &id, 1));
        s.case("move on");
        let moved = json!([of(&first, &one, vec![partition(0, 1)])]);
        s.ask("Fetch", version, session(&moved, &id, 2));
        s.case("nothing new");
        s.ask("Fetch", version, session(&json!([]), &id, 3));
        s.append(&second, &Batch::of(&["b"]));
        s.case("news of another partition");
        s.ask("Fetch", version, session(&json!([]), &id, 4));
        s.case("an error shows");
        let wrong = json!([of(&first, &one, vec![partition(1, 50)])]);
        s.ask("Fetch", version, session(&wrong, &id, 5));
        s.case("the error shows again");
        s.ask("Fetch", version, session(&json!([]), &id, 6));
        s.case("a partition leaves");
        let forget = json!({"forgottenTopicsData": [
            {"topic": first, "topicId": one, "partitions": [1]}
        ]});
        s.ask(
            "Fetch",
            version,
            with(session(&json!([]), &id, 7), forget.clone()),
        );
        s.case("a partition that is not there leaves");
        s.ask("Fetch", version, with(session(&json!([]), &id, 8), forget));
        s.case("an unknown topic joins");
        let unknown = json!([of("fetch-nothing", NO_ID, vec![partition(0, 0)])]);
        s.ask("Fetch", version, session(&unknown, &id, 9));
        s.case("and shows again");
        s.ask("Fetch", version, session(&json!([]), &id, 10));
        s.case("it leaves");
        let forget = json!({"forgottenTopicsData": [
            {"topic": "fetch-nothing", "topicId": NO_ID, "partitions": [0]}
        ]});
        s.ask("Fetch", version, with(session(&json!([]), &id, 11), forget));
        s.case("another limit");
        let one_byte = json!({"partition": 0, "fetchOffset": 0, "partitionMaxBytes": 1});
        let limited = json!([of(&first, &one, vec![one_byte])]);
        s.ask("Fetch", version, session(&limited, &id, 12));
        s.case("the session from another connection");
        let other = s.connect();
        s.ask_on(other, "Fetch", version, session(&json!([]), &id, 13));
        s.case("close it");
        s.ask("Fetch", version, session(&json!([]), &id, -1));
        s.case("it is closed");
        s.ask("Fetch", version, session(&json!([]), &id, 14));
    }
}

pub(super) fn sessions_refused(s: &mut Session) {
    let topic = s.topic("fetch-sessions-refused", 1, &[]);
    s.append("fetch-sessions-refused", &Batch::of(&["a"]));
    let all = json!([{"topic": "fetch-sessions-refused", "topicId": topic, "partitions": [
        {"partition": 0, "fetchOffset": 0, "partitionMaxBytes": 100_000}
    ]}]);
    for version in [7, 12, 13, 18] {
        s.case("a session that never was");
        s.ask("Fetch", version, session(&all, &json!(12345), 1));
        s.case("id 0 and an epoch");
        s.ask("Fetch", version, session(&all, &json!(0), 5));
        s.case("no session");
        s.ask("Fetch", version, session(&all, &json!(0), -1));
        s.case("a session without partitions");
        s.ask("Fetch", version, session(&json!([]), &json!(0), 0));
        s.case("open a session");
        let id = s.ask("Fetch", version, session(&all, &json!(0), 0))["sessionId"].clone();
        s.case("an epoch too far");
        s.ask("Fetch", version, session(&json!([]), &id, 2));
        s.case("an epoch too old");
        s.ask("Fetch", version, session(&json!([]), &id, 0));
        s.case("open a session");
        let id = s.ask("Fetch", version, session(&all, &json!(0), 0))["sessionId"].clone();
        s.case("on");
        s.ask("Fetch", version, session(&json!([]), &id, 1));
        s.case("the same epoch again");
        s.ask("Fetch", version, session(&json!([]), &id, 1));
        s.case("a full fetch that takes the place of the session");
        let next = s.ask("Fetch", version, session(&all, &id, 0))["sessionId"].clone();
        s.case("the replaced one is gone");
        s.ask("Fetch", version, session(&json!([]), &id, 2));
        s.case("its successor lives");
        s.ask("Fetch", version, session(&json!([]), &next, 1));
        s.case("close it with a last full fetch");
        s.ask("Fetch", version, session(&all, &next, -1));
        s.case("a negative epoch");
        s.ask("Fetch", version, session(&all, &json!(0), -2));
    }
    // The version that knows names and the one that knows ids do not share a session.
    s.case("open a session by id");
    let id = s.ask("Fetch", 13, session(&all, &json!(0), 0))["sessionId"].clone();
    s.case("go on by name");
    s.ask("Fetch", 12, session(&json!([]), &id, 1));
    s.case("open a session by name");
    let id = s.ask("Fetch", 12, session(&all, &json!(0), 0))["sessionId"].clone();
    s.case("go on by id");
    s.ask("Fetch", 13, session(&json!([]), &id, 1));
}

pub(super) fn as_replica(s: &mut Session) {
    let id = s.topic("fetch-as-replica", 1, &[]);
    s.append("fetch-as-replica", &Batch::of(&["a", "b"]));
    for version in [4, 11, 12, 13, 15, 18] {
        for replica in [0, 1, 2, -2, -3] {
            for offset in [0, 2, 3] {
                s.case(format!("replica {replica} at offset {offset}"));
                let request = body("fetch-as-replica", &id, 0, offset);
                let state = json!({"replicaId": replica, "replicaEpoch": -1});
                let request = with(
                    request,
                    json!({"replicaId": replica, "replicaState": state}),
                );
                s.ask("Fetch", version, request);
            }
        }
    }
}
