//! The validator against answers that were recorded from Apache Kafka 4.1.2.
//!
//! `testdata/kafka-4.1.2-validation.jsonl`: what was sent to a topic with certain settings, and
//! what came back: code, messages, and the bytes that were stored.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;

use super::super::header::ATTRIBUTES_AT;
use super::super::testing::{from_hex, recorded};
use super::super::{BatchBuilder, DecompressError, Header, RecordFormatError, records};
use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// The settings of the topics that were written to.
fn rules_of(topic: &str) -> Rules {
    let defaults = Rules::default();
    match topic {
        "plain" => defaults,
        "compacted" => Rules {
            compacted: true,
            ..defaults
        },
        "lat" => Rules {
            log_append_time: true,
            ..defaults
        },
        "gz" => Rules {
            compression: fixed(Codec::Gzip),
            ..defaults
        },
        "un" => Rules {
            compression: fixed(Codec::None),
            ..defaults
        },
        "before" => Rules {
            timestamp_before_max_ms: 1000,
            ..defaults
        },
        "small" => Rules {
            max_message_bytes: 1000,
            ..defaults
        },
        "smallun" => Rules {
            max_message_bytes: 1000,
            compression: fixed(Codec::None),
            ..defaults
        },
        "latgz" => Rules {
            log_append_time: true,
            compression: fixed(Codec::Gzip),
            ..defaults
        },
        unknown => panic!("no rules for {unknown}"),
    }
}

fn fixed(codec: Codec) -> CompressionTarget {
    CompressionTarget::Fixed(codec, Level::Default)
}

/// The code that Kafka gives for what a variant names.
fn code(error: &BatchError) -> i64 {
    match error {
        BatchError::Unframed(_) | BatchError::UnframedTail(_) | BatchError::Checksum { .. } => 2,
        BatchError::TooLarge { .. } | BatchError::DecompressedTooLarge(_) => 10,
        BatchError::Records(rejections) if rejections.is_timestamp() => 32,
        BatchError::NoBatch
        | BatchError::OldMagic(_)
        | BatchError::MoreThanOneBatch
        | BatchError::BaseOffset(_)
        | BatchError::OffsetRange(_)
        | BatchError::RecordCount(_)
        | BatchError::CountMismatch { .. }
        | BatchError::ControlBatch
        | BatchError::Sequence { .. }
        | BatchError::Format(_)
        | BatchError::Records(_) => 87,
        BatchError::Codec(_)
        | BatchError::Undecodable(_)
        | BatchError::OffsetGaps
        | BatchError::Compress(_) => -1,
    }
}

fn validated(case: &Value, rules: &Rules) -> Result<Validated, BatchError> {
    let sent = from_hex(case["sent"].as_str().unwrap());
    validate(
        Bytes::from(sent),
        rules,
        Timestamp(case["now"].as_i64().unwrap()),
    )
}

/// Compares what is stored from the magic on: what comes before is patched at the append. Two
/// gzip encoders differ in their bytes, so recompressed batches are compared by their records.
fn assert_stored_alike(name: &str, ours: &Validated, theirs: &[u8]) {
    let theirs = Bytes::copy_from_slice(theirs);
    let header = BatchHeader::parse(&theirs).unwrap();
    if header.codec() == Ok(Codec::Gzip) && ours.batch.bytes.len() != theirs.len() {
        let unsized_header = BatchHeader {
            length: 0,
            crc: 0,
            leader_epoch: Default::default(),
            base_offset: Default::default(),
            ..header
        };
        let mut mine = ours.batch.header;
        mine.length = 0;
        mine.crc = 0;
        mine.leader_epoch = Default::default();
        assert_eq!(mine, unsized_header, "{name}");
        let (a, b) = (
            records(&ours.batch.bytes).unwrap(),
            records(&theirs).unwrap(),
        );
        for (a, b) in a.iter().zip(b.iter()) {
            let (a, b) = (a.unwrap(), b.unwrap());
            assert_eq!(
                (a.timestamp, a.key, a.value),
                (b.timestamp, b.key, b.value),
                "{name}"
            );
        }
        return;
    }
    assert_eq!(ours.batch.bytes[16..], theirs[16..], "{name}");
}

fn check_against_kafka(rules_for: impl Fn(&str) -> Rules, deliberate: &[&str], messages: bool) {
    for case in recorded(include_str!("../testdata/kafka-4.1.2-validation.jsonl")) {
        let name = case["name"].as_str().unwrap();
        let topic = case["topic"].as_str().unwrap();
        let result = validated(&case, &rules_for(topic));
        let ours = result.as_ref().map_or_else(code, |_| 0);
        let theirs = case["code"].as_i64().unwrap();
        if deliberate.contains(&name) {
            assert_ne!(ours, theirs, "{name} is no longer a difference");
            continue;
        }
        assert_eq!(ours, theirs, "{name}: {result:?}");
        match result {
            Ok(ours) => {
                assert_stored_alike(name, &ours, &from_hex(case["stored"].as_str().unwrap()));
            }
            Err(BatchError::Records(rejections)) if messages => {
                let partition = format!("{topic}-0");
                assert_eq!(case["message"], rejections.message(&partition), "{name}");
                let each: Vec<_> = rejections
                    .first
                    .iter()
                    .map(|rejection| {
                        serde_json::json!([rejection.index, rejection.fault.message(&partition)])
                    })
                    .collect();
                assert_eq!(case["errors"], Value::from(each), "{name}");
            }
            Err(error @ BatchError::Unframed(_)) => {
                assert_eq!(case["message"], error.to_string(), "{name}");
            }
            Err(_) if messages => assert_eq!(case["message"], Value::Null, "{name}"),
            Err(_) => {}
        }
    }
}

#[test]
fn codes_messages_and_stored_bytes_are_kafkas() {
    let accepted = [
        "gz garbage",
        "gz cut",
        "gz cut trailer",
        "gz count 2 of 1",
        "gz count 1 of 2",
        "gz gap offsets",
        "snappy garbage",
        "lz4 garbage",
        "zstd garbage",
    ];
    check_against_kafka(
        rules_of,
        &[&accepted[..], &["rec varint too long"]].concat(),
        true,
    );
}

#[test]
fn where_batches_are_looked_into_every_answer_is_kafkas() {
    // A bound that no record reaches makes the validator look at every record.
    let looking = |topic: &str| {
        let rules = rules_of(topic);
        let before = rules.timestamp_before_max_ms.min(i64::MAX - 1);
        Rules {
            timestamp_before_max_ms: before,
            ..rules
        }
    };
    check_against_kafka(looking, &["rec varint too long"], false);
}

fn sample(codec: Codec) -> ValidBatch {
    let mut builder = BatchBuilder::new().compression(codec, Level::Default);
    let headers = [
        Header {
            key: b"h",
            value: Some(b"1"),
        },
        Header {
            key: b"h",
            value: None,
        },
    ];
    builder.push_with_headers(NOW, Some(b"key"), Some(b"value"), &headers);
    builder.push(Timestamp(NOW.0 + 1), Some(b"other key"), None);
    builder.build().unwrap()
}

/// Rules under which every record of every batch is looked at.
fn looking() -> Rules {
    Rules {
        compacted: true,
        ..Rules::default()
    }
}

#[test]
fn a_good_batch_is_stored_as_the_very_bytes_that_were_sent() {
    for codec in Codec::ALL {
        for rules in [Rules::default(), looking()] {
            let sent = sample(codec).bytes;
            let stored = validate(sent.clone(), &rules, NOW).unwrap().batch.bytes;
            assert_eq!(stored.as_ptr(), sent.as_ptr(), "{codec:?}: copied");
            assert_eq!(stored, sent);
        }
    }
}

#[test]
fn any_flipped_byte_is_refused_or_does_not_matter() {
    let sent = sample(Codec::None).bytes;
    for at in 0..sent.len() {
        for bit in 0..8 {
            let mut damaged = sent.to_vec();
            damaged[at] ^= 1 << bit;
            let result = validate(Bytes::from(damaged), &Rules::default(), NOW);
            // The leader epoch is overwritten at the append.
            assert_eq!(
                result.is_ok(),
                (12..16).contains(&at),
                "byte {at} bit {bit}"
            );
        }
    }
}

#[test]
fn every_codec_is_turned_into_every_other() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            let rules = Rules {
                compression: fixed(to),
                ..Rules::default()
            };
            let sent = sample(from);
            let stored = validate(sent.bytes.clone(), &rules, NOW).unwrap().batch;
            assert_eq!(BatchHeader::parse(&stored.bytes), Ok(stored.header));
            assert!(stored.header.crc_matches(&stored.bytes));
            assert_eq!(stored.header.codec(), Ok(to));
            let (before, after) = (
                records(&sent.bytes).unwrap(),
                records(&stored.bytes).unwrap(),
            );
            assert_eq!(
                before.iter().map(|r| format!("{r:?}")).collect::<Vec<_>>(),
                after.iter().map(|r| format!("{r:?}")).collect::<Vec<_>>(),
                "{from:?} to {to:?}"
            );
        }
    }
}

#[test]
fn log_append_time_is_stamped_on_the_header_with_a_new_checksum() {
    let rules = Rules {
        log_append_time: true,
        ..Rules::default()
    };
    let now = Timestamp(NOW.0 + 77);
    for codec in Codec::ALL {
        let validated = validate(sample(codec).bytes, &rules, now).unwrap();
        assert_eq!(validated.log_append_time, Some(now));
        let stored = validated.batch;
        assert!(stored.header.is_log_append_time());
        assert!(stored.header.crc_matches(&stored.bytes));
        for record in records(&stored.bytes).unwrap().iter() {
            assert_eq!(record.unwrap().timestamp, now);
        }
    }
}

#[test]
fn bombs_are_refused_while_they_unpack() {
    let mut builder = BatchBuilder::new();
    builder.push(NOW, Some(b"key"), Some(&vec![0; 70 << 20]));
    let bomb = builder;
    for (codec, mib) in [
        (Codec::Gzip, 64),
        (Codec::Snappy, 8),
        (Codec::Lz4, 64),
        (Codec::Zstd, 8),
    ] {
        let batch = bomb
            .clone()
            .compression(codec, Level::Default)
            .build()
            .unwrap();
        let rules = Rules {
            max_message_bytes: 5 << 20,
            ..looking()
        };
        assert_eq!(
            validate(batch.bytes.clone(), &rules, NOW),
            Err(BatchError::DecompressedTooLarge(mib << 20)),
            "{codec:?}"
        );
        let rules = Rules {
            compression: fixed(Codec::None),
            ..rules
        };
        assert!(
            matches!(
                validate(batch.bytes, &rules, NOW),
                Err(BatchError::TooLarge { .. })
            ),
            "{codec:?}"
        );
    }
}

#[test]
fn a_million_bad_records_do_not_become_a_million_rejections() {
    let mut builder = BatchBuilder::new().compression(Codec::Zstd, Level::Default);
    for _ in 0..100_000 {
        builder.push(NOW, None, None);
    }
    let batch = builder.build().unwrap().bytes;
    let Err(BatchError::Records(rejections)) = validate(batch, &looking(), NOW) else {
        panic!("accepted");
    };
    assert_eq!(
        (rejections.total, rejections.first.len()),
        (100_000, REJECTIONS_KEPT)
    );
}

#[test]
fn the_brokers_own_control_batches_pass_uncompressed() {
    let mut builder = BatchBuilder::new().control();
    builder.push(NOW, Some(&[0, 0, 0, 2]), Some(b"leader"));
    let batch = builder.build().unwrap().bytes;
    assert_eq!(
        validate(batch.clone(), &Rules::default(), NOW),
        Err(BatchError::ControlBatch)
    );
    let own = Rules {
        origin: Origin::Broker,
        compression: fixed(Codec::Gzip),
        ..Rules::default()
    };
    assert_eq!(
        validate(batch.clone(), &own, NOW).unwrap().batch.bytes,
        batch
    );
}

#[test]
fn batches_that_clients_sent_are_accepted_and_read() {
    for case in recorded(include_str!("../testdata/client-batches.jsonl")) {
        let client = format!("{} {}", case["client"], case["codec"]);
        let bytes = Bytes::from(from_hex(case["batch"].as_str().unwrap()));
        let sent_at = BatchHeader::parse(&bytes).unwrap().max_timestamp;
        for rules in [Rules::default(), looking()] {
            let stored = validate(bytes.clone(), &rules, sent_at)
                .expect(&client)
                .batch;
            assert_eq!(stored.bytes, bytes, "{client}");
        }
        let opened = records(&bytes).unwrap();
        assert_eq!(opened.iter().count(), 20, "{client}");
        for (index, record) in opened.iter().enumerate() {
            let record = record.expect(&client);
            let value = format!("value {index} of a stream that runs through a gorge");
            assert_eq!(
                record.key,
                Some(format!("key-{index}").as_bytes()),
                "{client}"
            );
            assert_eq!(record.value, Some(value.as_bytes()), "{client}");
            if client.contains("kcat") {
                let headers: Vec<_> = record.headers.iter().map(|h| (h.key, h.value)).collect();
                let expected: [(&[u8], Option<&[u8]>); 2] =
                    [(b"h", Some(b"1")), (b"h", Some(b"2"))];
                assert_eq!(headers, expected, "{client}: the same key twice");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Damage behind the checksum, with the checksum made good again.
    #[test]
    fn damaged_batches_never_panic(
        id in 0_i16..5,
        at: prop::sample::Index,
        to: u8,
        compacted: bool,
        recompress in proptest::option::of(0_i16..5),
    ) {
        let mut bytes = sample(Codec::from_id(id).unwrap()).bytes.to_vec();
        let range = bytes.len() - ATTRIBUTES_AT;
        bytes[ATTRIBUTES_AT + at.index(range)] = to;
        let header = BatchHeader::parse(&bytes).unwrap();
        let sealed = seal(header, bytes).unwrap();
        let compression = match recompress {
            Some(id) => fixed(Codec::from_id(id).unwrap()),
            None => CompressionTarget::Producer,
        };
        let rules = Rules { compacted, compression, ..Rules::default() };
        if let Ok(validated) = validate(sealed.bytes, &rules, NOW) {
            let stored = validated.batch;
            prop_assert!(stored.header.crc_matches(&stored.bytes));
            prop_assert_eq!(stored.header.total_len(), stored.bytes.len());
        }
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(validate(Bytes::from(noise), &Rules::default(), NOW).is_err());
    }

    /// The walk of a slice and the walk of a stream agree about every payload.
    #[test]
    fn slices_and_streams_are_judged_alike(
        at: prop::sample::Index,
        to: u8,
        cut: prop::sample::Index,
    ) {
        let mut payload = sample(Codec::None).bytes[61..].to_vec();
        let len = payload.len();
        payload[at.index(len)] = to;
        payload.truncate(cut.index(len * 4).min(len));
        let packed = super::super::compress(Codec::Lz4, Level::Default, &payload).unwrap();
        let with = |codec: Codec, payload: &[u8]| {
            let header = sample(codec).header;
            let bytes = [&[0; 61], payload].concat();
            validate(seal(header, bytes).unwrap().bytes, &looking(), NOW)
        };
        let (slice, streamed) = (with(Codec::None, &payload), with(Codec::Lz4, &packed));
        match (slice, streamed) {
            // Slices are not asked for gaps.
            (Ok(_), Ok(_) | Err(BatchError::OffsetGaps)) => {}
            (Err(a), Err(b)) => prop_assert_eq!(code(&a), code(&b), "{} / {}", a, b),
            (a, b) => prop_assert!(false, "{:?} / {:?}", a, b),
        }
    }
}

#[test]
fn errors_of_decompression_keep_their_kind() {
    assert_eq!(
        BatchError::from(DecompressError::TooLarge(7)),
        BatchError::DecompressedTooLarge(7)
    );
    assert_eq!(
        BatchError::from(RecordFormatError::Truncated),
        BatchError::Format(RecordFormatError::Truncated)
    );
}
