//! Frames that are no requests, and requests of versions and APIs that are not there. Kafka closes
//! the connection; what each is answered says the recording.

use serde_json::json;

use crate::codec;
use crate::schema;
use crate::session::{Session, framed};

pub(super) fn malformed(s: &mut Session) {
    let good = codec::request_frame(schema::request("Metadata"), 1, 7, &json!({"topics": []}));
    for (case, bytes) in [
        ("length 0", 0i32.to_be_bytes().to_vec()),
        ("length -1", (-1i32).to_be_bytes().to_vec()),
        ("the smallest length", i32::MIN.to_be_bytes().to_vec()),
        (
            "a length above the limit",
            104_857_601i32.to_be_bytes().to_vec(),
        ),
        ("the largest length", i32::MAX.to_be_bytes().to_vec()),
        ("one byte", framed(&[0])),
        ("a key alone", framed(&good[..2])),
        ("a key and a version", framed(&good[..4])),
        ("a header without a client id", framed(&good[..8])),
        ("half a client id", framed(&good[..12])),
        ("no body", framed(&good[..16])),
        ("half a body", framed(&good[..18])),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        ),
        (
            "TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
    ] {
        s.case(case);
        s.ask_bytes("bytes", bytes);
    }
    for (case, api, version, body) in [
        (
            "bytes behind the body",
            "Metadata",
            1,
            vec![0, 0, 0, 0, 1, 2, 3],
        ),
        (
            "bytes behind a flexible body",
            "Metadata",
            9,
            vec![1, 1, 0, 0, 0, 9, 9],
        ),
        (
            "a count of topics that lies",
            "Metadata",
            1,
            vec![0x7f, 0xff, 0xff, 0xff, 0],
        ),
        ("a count of -2", "Metadata", 1, vec![0xff, 0xff, 0xff, 0xfe]),
        (
            "null where it is not allowed",
            "Metadata",
            0,
            vec![0xff, 0xff, 0xff, 0xff],
        ),
        (
            "a compact count that lies",
            "Metadata",
            9,
            vec![0xff, 0xff, 0xff, 0xff, 0x0f],
        ),
        ("a varint that does not end", "Metadata", 9, vec![0xff; 12]),
        (
            "a name longer than the frame",
            "Metadata",
            1,
            vec![0, 0, 0, 1, 0x7f, 0xff, b'a'],
        ),
        (
            "a name that is not UTF-8",
            "Metadata",
            4,
            vec![0, 0, 0, 1, 0, 2, 0xc3, 0x28, 0],
        ),
        (
            "a null name",
            "Metadata",
            4,
            vec![0, 0, 0, 1, 0xff, 0xff, 0],
        ),
        (
            "an unknown tag",
            "Metadata",
            9,
            vec![1, 0, 0, 0, 1, 50, 2, 7, 7],
        ),
        (
            "an unknown tag longer than the frame",
            "Metadata",
            9,
            vec![1, 0, 0, 0, 1, 50, 99, 7],
        ),
        (
            "tags out of order",
            "Metadata",
            9,
            vec![1, 0, 0, 0, 2, 51, 1, 7, 50, 1, 7],
        ),
        (
            "a count of tags that lies",
            "Metadata",
            9,
            vec![1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f],
        ),
        ("an empty body", "Produce", 9, vec![]),
        ("an empty body", "Fetch", 12, vec![]),
        ("an empty body", "ListOffsets", 7, vec![]),
        ("an empty body", "CreateTopics", 7, vec![]),
        ("an empty body", "DescribeConfigs", 4, vec![]),
        (
            "records longer than the frame",
            "Produce",
            3,
            b"\xff\xff\0\x01\0\0\0\x01\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\x7f\xff\xff\xff".to_vec(),
        ),
    ] {
        s.case(case);
        let frame = s.frame_with_body(api, version, &body);
        s.ask_raw(api, version, frame);
    }
    s.case("a client id that is not UTF-8");
    let mut frame = good.clone();
    frame[10] = 0xff;
    s.ask_raw("Metadata", 1, frame);
    s.case("a null client id");
    let mut frame = good[..8].to_vec();
    frame.extend((-1i16).to_be_bytes());
    frame.extend([0; 4]);
    s.ask_raw("Metadata", 1, frame);
    s.case("a client id of length -2");
    let mut frame = good[..8].to_vec();
    frame.extend((-2i16).to_be_bytes());
    frame.extend([0; 4]);
    s.ask_raw("Metadata", 1, frame);
    s.case("tags in a header");
    let mut frame = codec::header(3, 9, 7);
    frame.extend([1, 50, 2, 7, 7]);
    codec::encode(schema::request("Metadata"), 9, &json!({}), &mut frame);
    s.ask_raw("Metadata", 9, frame);
    s.case("a negative correlation id");
    let mut frame = good;
    frame[4..8].copy_from_slice(&(-5i32).to_be_bytes());
    s.ask_raw("Metadata", 1, frame);
}

pub(super) fn unsupported(s: &mut Session) {
    for message in schema::all().iter().filter(|message| message.request) {
        if message.name == "ApiVersions" {
            continue;
        }
        let last = if message.name == "InitProducerId" {
            5
        } else {
            message.versions.max
        };
        for version in [message.versions.min - 1, last + 1, i16::MAX] {
            s.case("a version that is not there");
            let frame = s.frame_with_body(&message.name, version, &[0; 20]);
            s.ask_raw(&message.name, version, frame);
        }
    }
    for version in 0..=2 {
        s.case("Produce of a version that is listed and not served");
        let frame = s.frame_with_body("Produce", version, &[0, 1, 0, 0, 0, 9, 0, 0, 0, 0]);
        s.ask_raw("Produce", version, frame);
    }
    for key in [
        4i16,
        5,
        6,
        7,
        52,
        53,
        54,
        56,
        58,
        59,
        62,
        63,
        67,
        70,
        73,
        82,
        93,
        200,
        -1,
        i16::MAX,
    ] {
        s.case("an API that is not there");
        s.ask_bytes(&format!("key {key}"), framed(&codec::header(key, 0, 3)));
    }
}
