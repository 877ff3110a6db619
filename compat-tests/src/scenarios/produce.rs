//! Produce.

use serde_json::{Value, json};

use super::bodies::{NO_ID, ZERO_ID, at, fetch, produce as body, produce_records, with};
use crate::hex;
use crate::records::{Batch, CODECS, TIME, old_message};
use crate::session::Session;

pub(super) fn versions(s: &mut Session) {
    let id = s.topic("produce", 2, &[]);
    for version in 3..=13 {
        s.case("one batch");
        s.ask(
            "Produce",
            version,
            body("produce", &id, 0, &Batch::of(&["a", "b", "c"])),
        );
        s.case("two partitions");
        let one = json!({"index": 0, "records": Batch::of(&["x"]).json()});
        let two = json!({"index": 1, "records": Batch::of(&["y", "z"]).json()});
        let topics = json!([{"name": "produce", "topicId": id, "partitionData": [one, two]}]);
        s.ask(
            "Produce",
            version,
            json!({"acks": -1, "timeoutMs": 10_000, "topicData": topics}),
        );
        s.case("acks=1");
        let one = body("produce", &id, 0, &Batch::of(&["d"]));
        s.ask("Produce", version, with(one, json!({"acks": 1})));
        s.case("no topics");
        s.ask("Produce", version, json!({"acks": -1, "timeoutMs": 10_000}));
        s.case("what is stored");
        s.ask(
            "Fetch",
            4,
            fetch("produce", &id, 0, i64::from(version - 3) * 5),
        );
    }
}

pub(super) fn codecs(s: &mut Session) {
    let id = s.topic("produce-codecs", 5, &[]);
    for (codec, name) in (0..).zip(CODECS) {
        for version in [3, 6, 7, 9, 13] {
            s.case(format!("codec {name}"));
            let batch = Batch::keyed(&[("k", "v"), ("k2", "w")]).compressed(codec);
            s.ask(
                "Produce",
                version,
                body("produce-codecs", &id, i32::from(codec), &batch),
            );
        }
        s.case(format!("codec {name}, what is stored"));
        s.ask(
            "Fetch",
            12,
            fetch("produce-codecs", &id, i32::from(codec), 0),
        );
        if codec == 4 {
            s.case("zstd in a fetch that does not know it");
            s.ask("Fetch", 9, fetch("produce-codecs", &id, 4, 0));
        }
    }
    for codec in [5, 6, 7] {
        s.case(format!("codec {codec} that does not exist"));
        let batch = Batch {
            attributes: codec,
            ..Batch::of(&["a"])
        };
        s.ask("Produce", 9, body("produce-codecs", &id, 0, &batch));
    }
    for (codec, name) in (1..).zip(&CODECS[1..]) {
        s.case(format!("codec {name} in the attributes of plain records"));
        let batch = Batch {
            attributes: codec,
            ..Batch::of(&["not compressed at all"])
        };
        s.ask(
            "Produce",
            9,
            body("produce-codecs", &id, i32::from(codec), &batch),
        );
    }
}

pub(super) fn refused(s: &mut Session) {
    let id = s.topic("produce-refused", 1, &[]);
    let good = Batch::of(&["a"]);
    for version in 3..=13 {
        s.case("unknown topic");
        s.ask("Produce", version, body("produce-nothing", NO_ID, 0, &good));
        s.case("unknown partition");
        s.ask("Produce", version, body("produce-refused", &id, 1, &good));
        s.case("negative partition");
        s.ask("Produce", version, body("produce-refused", &id, -1, &good));
        s.case("acks=2");
        let two = with(body("produce-refused", &id, 0, &good), json!({"acks": 2}));
        s.ask("Produce", version, two);
        s.case("acks=-2");
        let two = with(body("produce-refused", &id, 0, &good), json!({"acks": -2}));
        s.ask("Produce", version, two);
        if [3, 9, 13].contains(&version) {
            s.case("null records");
            s.ask(
                "Produce",
                version,
                produce_records("produce-refused", &id, 0, Value::Null),
            );
        }
        s.case("empty records");
        s.ask(
            "Produce",
            version,
            produce_records("produce-refused", &id, 0, json!("")),
        );
        s.case("a wrong checksum");
        let wrong = Batch {
            crc_flip: 1,
            ..good.clone()
        };
        s.ask("Produce", version, body("produce-refused", &id, 0, &wrong));
        s.case("one good topic and one unknown");
        let one = json!({"index": 0, "records": good.json()});
        s.ask(
            "Produce",
            version,
            json!({"acks": -1, "timeoutMs": 10_000, "topicData": [
                {"name": "produce-refused", "topicId": id, "partitionData": [one]},
                {"name": "produce-nothing", "topicId": NO_ID, "partitionData": [one]}
            ]}),
        );
    }
    s.case("zero id");
    s.ask("Produce", 13, body("", ZERO_ID, 0, &good));
    s.case("empty name");
    s.ask("Produce", 12, body("", ZERO_ID, 0, &good));
    s.case("name that cannot be one");
    s.ask("Produce", 12, body("a b", ZERO_ID, 0, &good));
    s.case("same partition twice");
    let one = json!({"index": 0, "records": good.json()});
    let topics = json!([{"name": "produce-refused", "topicId": id, "partitionData": [one, one]}]);
    s.ask(
        "Produce",
        9,
        json!({"acks": -1, "timeoutMs": 10_000, "topicData": topics}),
    );
    s.case("same topic twice");
    let topic = json!({"name": "produce-refused", "topicId": id, "partitionData": [one]});
    s.ask(
        "Produce",
        9,
        json!({"acks": -1, "timeoutMs": 10_000, "topicData": [topic, topic]}),
    );
    for version in [3, 9, 11, 12] {
        s.case("a transactional id on batches that are not transactional");
        let batch = body("produce-refused", &id, 0, &good);
        s.ask(
            "Produce",
            version,
            with(batch, json!({"transactionalId": "t"})),
        );
        s.case("a transactional batch without a transactional id");
        let batch = Batch {
            attributes: 16,
            ..good.clone().from_producer(77, 0, 0)
        };
        s.ask("Produce", version, body("produce-refused", &id, 0, &batch));
    }
    s.case("what is stored");
    s.ask(
        "ListOffsets",
        7,
        json!({"replicaId": -1, "topics": [
            {"name": "produce-refused", "partitions": [{"partitionIndex": 0, "timestamp": -1}]}
        ]}),
    );
}

pub(super) fn batches(s: &mut Session) {
    let good = || Batch::of(&["a", "b", "c"]);
    let mut cases: Vec<(String, Vec<u8>)> = vec![
        ("a good one".into(), good().bytes()),
        (
            "base offset 1".into(),
            Batch {
                base_offset: 1,
                ..good()
            }
            .bytes(),
        ),
        (
            "base offset -1".into(),
            Batch {
                base_offset: -1,
                ..good()
            }
            .bytes(),
        ),
        (
            "leader epoch 77".into(),
            Batch {
                leader_epoch: 77,
                ..good()
            }
            .bytes(),
        ),
        ("no records".into(), Batch::of(&[]).bytes()),
        (
            "a control batch".into(),
            Batch {
                attributes: 32,
                ..good()
            }
            .bytes(),
        ),
        (
            "a delete horizon".into(),
            Batch {
                attributes: 64,
                ..good()
            }
            .bytes(),
        ),
        (
            "log append time from a client".into(),
            Batch {
                attributes: 8,
                ..good()
            }
            .bytes(),
        ),
        (
            "unused attribute bits".into(),
            Batch {
                attributes: 1 << 7,
                ..good()
            }
            .bytes(),
        ),
        (
            "high attribute bits".into(),
            Batch {
                attributes: 1 << 14,
                ..good()
            }
            .bytes(),
        ),
        (
            "bytes behind the records".into(),
            Batch {
                trailing: vec![0; 3],
                ..good()
            }
            .bytes(),
        ),
        (
            "too large".into(),
            Batch::of(&["x".repeat(1000).as_str()]).bytes(),
        ),
        (
            "as large as allowed".into(),
            Batch::of(&["x".repeat(931).as_str()]).bytes(),
        ),
        (
            "one byte more".into(),
            Batch::of(&["x".repeat(932).as_str()]).bytes(),
        ),
        (
            "two batches".into(),
            [good().bytes(), good().bytes()].concat(),
        ),
        ("magic 0".into(), old_message(0)),
        ("magic 1".into(), old_message(1)),
        (
            "producer id without a sequence".into(),
            good().from_producer(9, 0, -1).bytes(),
        ),
        (
            "producer id without an epoch".into(),
            good().from_producer(9, -1, 0).bytes(),
        ),
        (
            "sequence without a producer id".into(),
            good().from_producer(-1, 0, 0).bytes(),
        ),
        (
            "wrong maximum timestamp".into(),
            Batch {
                max_timestamp: Some(TIME + 99),
                ..good()
            }
            .bytes(),
        ),
        (
            "negative maximum timestamp".into(),
            Batch {
                max_timestamp: Some(-1),
                ..good()
            }
            .bytes(),
        ),
    ];
    for magic in [-1, 0, 1, 3, 127] {
        cases.push((
            format!("magic byte {magic}"),
            Batch { magic, ..good() }.bytes(),
        ));
    }
    for delta in [-1, 0, 1, 3, i32::MAX] {
        let batch = Batch {
            last_offset_delta: Some(delta),
            ..good()
        };
        cases.push((format!("last offset delta {delta}"), batch.bytes()));
    }
    for count in [-1, 0, 2, 4, i32::MAX] {
        let batch = Batch {
            count: Some(count),
            ..good()
        };
        cases.push((format!("record count {count}"), batch.bytes()));
        let batch = Batch {
            last_offset_delta: Some(count.wrapping_sub(1)),
            ..batch
        };
        cases.push((
            format!("record count {count} and offset delta with it"),
            batch.bytes(),
        ));
    }
    for codec in 1..=4 {
        let batch = Batch {
            count: Some(2),
            last_offset_delta: Some(1),
            ..good()
        };
        let name = format!(
            "one record fewer than there are, {}",
            CODECS[codec as usize]
        );
        cases.push((name, batch.compressed(codec).bytes()));
        let batch = Batch {
            count: Some(4),
            last_offset_delta: Some(3),
            ..good()
        };
        let name = format!("one record more than there are, {}", CODECS[codec as usize]);
        cases.push((name, batch.compressed(codec).bytes()));
        let two = [
            good().compressed(codec).bytes(),
            good().compressed(codec).bytes(),
        ]
        .concat();
        cases.push((format!("two batches of {}", CODECS[codec as usize]), two));
    }
    let whole = good().bytes();
    for length in [1, 11, 12, 16, 17, 60, 61, whole.len() - 1] {
        cases.push((
            format!("cut after {length} bytes"),
            whole[..length].to_vec(),
        ));
    }
    for claimed in [-1i32, 0, 13, 14, 48, 49, 1 << 20] {
        let mut bytes = good().bytes();
        bytes[8..12].copy_from_slice(&claimed.to_be_bytes());
        cases.push((format!("batch length {claimed}"), bytes));
    }
    let mut extra = good().bytes();
    extra.extend([0; 5]);
    cases.push(("bytes behind the batch".into(), extra));
    // A record whose own fields are wrong, under a right checksum.
    for (name, record) in [
        ("length past the end", vec![100, 0, 0, 0, 1, 1, 0]),
        ("length too small", vec![2, 0, 0, 0, 1, 1, 0]),
        ("negative length", vec![1, 0, 0, 0, 1, 1, 0]),
        ("key longer than the record", vec![12, 0, 0, 0, 100, 1, 0]),
        ("headers that are not there", vec![12, 0, 0, 0, 1, 1, 100]),
        ("negative count of headers", vec![12, 0, 0, 0, 1, 1, 1]),
        (
            "offset delta that is not its place",
            vec![12, 0, 0, 6, 1, 1, 0],
        ),
        ("attributes that are not zero", vec![12, 1, 0, 0, 1, 1, 0]),
    ] {
        for codec in [0, 1] {
            let batch = Batch {
                trailing: record.clone(),
                count: Some(1),
                last_offset_delta: Some(0),
                ..Batch::of(&[])
            };
            let name = format!("record with {name}, {}", CODECS[codec as usize]);
            cases.push((name, batch.compressed(codec).bytes()));
        }
    }
    // A partition for each, so that one that is taken does not move the others' offsets.
    let partitions = i32::try_from(cases.len()).expect("a few");
    let id = s.topic(
        "produce-batches",
        partitions,
        &[("max.message.bytes", "1000")],
    );
    for ((name, bytes), partition) in cases.into_iter().zip(0..) {
        for version in [9, 3] {
            s.case(&name);
            let records = json!(hex::encode(&bytes));
            s.ask(
                "Produce",
                version,
                produce_records("produce-batches", &id, partition, records),
            );
        }
        s.case(format!("{name}, what is stored"));
        s.ask("Fetch", 12, fetch("produce-batches", &id, partition, 0));
    }
}

pub(super) fn times(s: &mut Session) {
    let far = 9_000_000_000_000;
    let narrow = [
        ("message.timestamp.before.max.ms", "1000"),
        ("message.timestamp.after.max.ms", "1000"),
    ];
    let id = s.topic("produce-times", 1, &[]);
    let narrow_id = s.topic("produce-times-narrow", 1, &narrow);
    let now_id = s.topic(
        "produce-times-now",
        5,
        &[("message.timestamp.type", "LogAppendTime")],
    );
    for (name, topic, id) in [
        ("default window", "produce-times", &id),
        ("narrow window", "produce-times-narrow", &narrow_id),
        ("log append time", "produce-times-now", &now_id),
    ] {
        for timestamp in [-1, 0, TIME, far, i64::MAX, -2] {
            for version in [3, 8, 9] {
                s.case(format!("{name}, timestamp {timestamp}"));
                let mut batch = Batch::of(&["a"]).at(timestamp);
                batch.max_timestamp = Some(timestamp);
                s.ask("Produce", version, body(topic, id, 0, &batch));
            }
        }
        s.case(format!("{name}, one record of three is out of it"));
        let mut batch = Batch::of(&["a", "b", "c"]);
        batch.records[1].timestamp_delta = far - TIME;
        s.ask("Produce", 9, body(topic, id, 0, &batch));
        s.case(format!(
            "{name}, compressed, one record of three is out of it"
        ));
        s.ask("Produce", 9, body(topic, id, 0, &batch.compressed(1)));
        s.case(format!("{name}, what is stored"));
        s.ask("Fetch", 12, fetch(topic, id, 0, 0));
    }
    for (codec, name) in (1i16..).zip(&CODECS[1..]) {
        s.case(format!("log append time, {name}"));
        let batch = Batch::of(&["a", "b"]).compressed(codec);
        s.ask(
            "Produce",
            9,
            body("produce-times-now", &now_id, codec.into(), &batch),
        );
        s.ask(
            "Fetch",
            12,
            fetch("produce-times-now", &now_id, codec.into(), 0),
        );
    }
}

pub(super) fn compacted(s: &mut Session) {
    let id = s.topic("produce-compacted", 5, &[("cleanup.policy", "compact")]);
    let both = s.topic(
        "produce-compacted-both",
        1,
        &[("cleanup.policy", "compact,delete")],
    );
    for version in 3..=13 {
        s.case("null key");
        s.ask(
            "Produce",
            version,
            body("produce-compacted", &id, 0, &Batch::of(&["a"])),
        );
        s.case("second of three keys null");
        let mut batch = Batch::keyed(&[("k", "a"), ("l", "b"), ("m", "c")]);
        batch.records[1].key = None;
        s.ask(
            "Produce",
            version,
            body("produce-compacted", &id, 0, &batch),
        );
    }
    s.case("compact and delete");
    s.ask(
        "Produce",
        9,
        body("produce-compacted-both", &both, 0, &Batch::of(&["a", "b"])),
    );
    for (codec, name) in (0i16..).zip(CODECS) {
        s.case(format!("null keys, {name}"));
        let batch = Batch::of(&["a", "b"]).compressed(codec);
        s.ask(
            "Produce",
            9,
            body("produce-compacted", &id, codec.into(), &batch),
        );
        s.case(format!("keys, {name}"));
        let batch = Batch::keyed(&[("k", "a"), ("", "b")]).compressed(codec);
        s.ask(
            "Produce",
            9,
            body("produce-compacted", &id, codec.into(), &batch),
        );
    }
    s.case("a tombstone");
    let mut batch = Batch::keyed(&[("k", "")]);
    batch.records[0].value = None;
    s.ask("Produce", 9, body("produce-compacted", &id, 0, &batch));
    s.case("what is stored");
    s.ask("Fetch", 12, fetch("produce-compacted", &id, 0, 0));
}

pub(super) fn transcoding(s: &mut Session) {
    for target in ["uncompressed", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("produce-transcoding-{target}");
        let id = s.topic(&topic, 1, &[("compression.type", target)]);
        for (codec, name) in (0..).zip(CODECS) {
            s.case(format!("{name} into {target}"));
            let mut batch = Batch::keyed(&[("k", "v"), ("l", "w"), ("m", "x")]);
            let headers = &mut batch.records[1].headers;
            headers.push(("h".into(), Some(b"1".to_vec())));
            headers.push(("h".into(), None));
            s.ask("Produce", 9, body(&topic, &id, 0, &batch.compressed(codec)));
        }
        s.case(format!("idempotent into {target}"));
        let batch = Batch::of(&["a", "b"]).from_producer(4_000_000, 3, 0);
        s.ask("Produce", 9, body(&topic, &id, 0, &batch));
        s.case(format!("wrong maximum timestamp into {target}"));
        let batch = Batch {
            max_timestamp: Some(TIME + 99),
            ..Batch::of(&["a", "b"])
        };
        s.ask("Produce", 9, body(&topic, &id, 0, &batch));
        s.case(format!("what is stored in {target}"));
        s.ask("Fetch", 12, fetch(&topic, &id, 0, 0));
    }
}

pub(super) fn silent(s: &mut Session) {
    let id = s.topic("produce-silent", 1, &[]);
    let silent = |body: Value| with(body, json!({"acks": 0}));
    for version in 3..=13 {
        s.case("acks=0");
        let batch = Batch::of(&["a"]);
        s.tell(
            "Produce",
            version,
            silent(body("produce-silent", &id, 0, &batch)),
        );
        s.case("the next request is answered");
        s.ask(
            "Fetch",
            4,
            fetch("produce-silent", &id, 0, i64::from(version - 3)),
        );
    }
    for (name, request) in [
        (
            "unknown topic",
            body("produce-nothing", NO_ID, 0, &Batch::of(&["a"])),
        ),
        (
            "unknown partition",
            body("produce-silent", &id, 7, &Batch::of(&["a"])),
        ),
        (
            "wrong checksum",
            body(
                "produce-silent",
                &id,
                0,
                &Batch {
                    crc_flip: 1,
                    ..Batch::of(&["a"])
                },
            ),
        ),
        (
            "null records",
            produce_records("produce-silent", &id, 0, Value::Null),
        ),
    ] {
        for version in [9, 13] {
            s.case(format!("acks=0 and {name}"));
            s.tell("Produce", version, silent(request.clone()));
            s.case(format!("after acks=0 and {name}"));
            s.ask("ApiVersions", 0, json!({}));
        }
    }
}

pub(super) fn in_a_row(s: &mut Session) {
    let id = s.topic("produce-in-a-row", 2, &[]);
    s.case("eight at once, in order");
    let requests: Vec<_> = (0..8)
        .map(|number| {
            let batch = Batch::of(&[format!("number {number}").as_str()]);
            ("Produce", 9, body("produce-in-a-row", &id, 0, &batch))
        })
        .collect();
    s.ask_together(&requests);
    s.case("a produce and reads of it at once");
    let batch = body("produce-in-a-row", &id, 1, &Batch::of(&["last"]));
    let latest = json!({"replicaId": -1, "topics": [{"name": "produce-in-a-row", "partitions": [
        {"partitionIndex": 0, "timestamp": -1}, {"partitionIndex": 1, "timestamp": -1}
    ]}]});
    s.ask_together(&[
        ("Produce", 9, batch.clone()),
        ("ListOffsets", 7, latest),
        ("Fetch", 12, fetch("produce-in-a-row", &id, 1, 0)),
        ("Produce", 9, at(batch, "/acks", json!(1))),
        ("ApiVersions", 0, json!({})),
    ]);
}
