//! InitProducerId, and sequences of idempotent producers.

use serde_json::{Value, json};

use super::bodies::{fetch, produce};
use crate::records::Batch;
use crate::session::Session;

pub(super) fn ids(s: &mut Session) {
    for version in 0..=5 {
        s.case("a new producer");
        let fresh = json!({"transactionalId": null, "transactionTimeoutMs": 60_000});
        let made = s.ask("InitProducerId", version, fresh.clone());
        s.case("another");
        s.ask("InitProducerId", version, fresh);
        s.case("a timeout that makes no sense");
        for timeout in [0, -1, i32::MAX] {
            let body = json!({"transactionalId": null, "transactionTimeoutMs": timeout});
            s.ask("InitProducerId", version, body);
        }
        s.case("an empty transactional id");
        let body = json!({"transactionalId": "", "transactionTimeoutMs": 60_000});
        s.ask("InitProducerId", version, body);
        if version >= 3 {
            s.case("an epoch that goes on");
            for (id, epoch) in [
                (made["producerId"].clone(), 0),
                (made["producerId"].clone(), 5),
                (json!(-1), 0),
                (json!(-2), 0),
                (made["producerId"].clone(), -1),
                (made["producerId"].clone(), i32::from(i16::MAX)),
            ] {
                let body = json!({
                    "transactionalId": null, "transactionTimeoutMs": 60_000,
                    "producerId": id, "producerEpoch": epoch
                });
                s.ask("InitProducerId", version, body);
            }
        }
    }
}

/// One append to partition 0.
struct Step(&'static str, i16, i32, usize);

fn append(s: &mut Session, topic: &str, id: &str, producer: &Value, steps: &[Step]) {
    for Step(case, epoch, sequence, count) in steps {
        let values: Vec<String> = (0..*count).map(|number| number.to_string()).collect();
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let producer = producer.as_i64().unwrap_or(0);
        let batch = Batch::of(&values).from_producer(producer, *epoch, *sequence);
        s.case(*case);
        s.ask("Produce", 9, produce(topic, id, 0, &batch));
    }
}

fn new_producer(s: &mut Session) -> Value {
    s.case("a producer id");
    let body = json!({"transactionalId": null, "transactionTimeoutMs": 60_000});
    s.ask("InitProducerId", 4, body)["producerId"].clone()
}

pub(super) fn sequences(s: &mut Session) {
    let id = s.topic("idempotence", 1, &[]);
    let producer = new_producer(s);
    append(
        s,
        "idempotence",
        &id,
        &producer,
        &[
            Step("the first batch", 0, 0, 2),
            Step("the first batch again", 0, 0, 2),
            Step("the second", 0, 2, 1),
            Step("the third", 0, 3, 1),
            Step("the first, two batches ago", 0, 0, 2),
            Step("a gap", 0, 5, 1),
            Step("back, and not what was there", 0, 1, 2),
            Step("first sequence as before, another length", 0, 2, 2),
            Step("the fourth", 0, 4, 3),
            Step("the fifth", 0, 7, 1),
            Step("the sixth", 0, 8, 1),
            Step("the seventh", 0, 9, 1),
            Step("the third again, five batches are remembered", 0, 3, 1),
            Step("the second again, it is forgotten", 0, 2, 1),
            Step("the first again, it is forgotten", 0, 0, 2),
            Step("the last again", 0, 9, 1),
            Step("on", 0, 10, 1),
        ],
    );
    s.case("what is stored");
    s.ask("Fetch", 12, fetch("idempotence", &id, 0, 0));
    let other = new_producer(s);
    append(
        s,
        "idempotence",
        &id,
        &other,
        &[
            Step("an unknown producer may start anywhere", 3, i32::MAX - 1, 1),
            Step("to the last sequence", 3, i32::MAX, 1),
            Step("and around", 3, 0, 2),
            Step("around, again", 3, 0, 2),
            Step("on after that", 3, 2, 1),
        ],
    );
    let wrapping = new_producer(s);
    append(
        s,
        "idempotence",
        &id,
        &wrapping,
        &[
            Step("near the last sequence", 0, i32::MAX - 1, 1),
            Step("a batch that crosses it", 0, i32::MAX, 3),
            Step("the same again", 0, i32::MAX, 3),
            Step("on", 0, 2, 1),
        ],
    );
    let strict = new_producer(s);
    for version in [12, 13, 11] {
        s.case("an unknown producer that does not start at 0");
        let batch = Batch::of(&["a"]).from_producer(strict.as_i64().unwrap_or(0), 0, 7);
        s.ask("Produce", version, produce("idempotence", &id, 0, &batch));
    }
}

pub(super) fn epochs(s: &mut Session) {
    let id = s.topic("idempotence-epochs", 1, &[]);
    let producer = new_producer(s);
    append(
        s,
        "idempotence-epochs",
        &id,
        &producer,
        &[
            Step("epoch 1", 1, 0, 2),
            Step("epoch 0 is over", 0, 2, 1),
            Step("epoch 0 is over, first sequence", 0, 0, 2),
            Step("epoch 2 has to start at 0", 2, 2, 1),
            Step("epoch 2", 2, 0, 2),
            Step("epoch 2 again", 2, 0, 2),
            Step("epoch 1 is over, and a batch of it", 1, 0, 2),
            Step("on in epoch 2", 2, 2, 1),
            Step("epoch 5", 5, 0, 1),
        ],
    );
    let other = new_producer(s);
    for version in [3, 9, 13] {
        s.case("epoch 4");
        let number = other.as_i64().unwrap_or(0);
        let batch = Batch::of(&["a"]).from_producer(number, 4, 0);
        s.ask(
            "Produce",
            version,
            produce("idempotence-epochs", &id, 0, &batch),
        );
        s.case("epoch 3 is over");
        let batch = Batch::of(&["a"]).from_producer(number, 3, 0);
        s.ask(
            "Produce",
            version,
            produce("idempotence-epochs", &id, 0, &batch),
        );
        s.case("a gap");
        let batch = Batch::of(&["a"]).from_producer(number, 4, 9);
        s.ask(
            "Produce",
            version,
            produce("idempotence-epochs", &id, 0, &batch),
        );
    }
    s.case("what is stored");
    s.ask("Fetch", 12, fetch("idempotence-epochs", &id, 0, 0));
}
