//! The decode of requests by itself, and material to try it with: a door for fuzz targets and for
//! tests that measure the heap. No part of the library's interface.

use bytes::Bytes;

use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::protocol::Request as _;

use super::codec;
use super::dispatch::{self, APIS};
use super::request::{Content, examine};
use super::schema::sample;
pub use super::schema::{Count, Sample, Style, Width, varint};

/// What a frame was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of the frame that the header and the body take.
    pub consumed: usize,
    /// The same, as the codec found.
    pub consumed_by_codec: usize,
    /// Elements of arrays and unknown tagged fields.
    pub elements: usize,
    /// Bytes that were charged for them before they were decoded.
    pub charged: usize,
}

/// Key and versions of every API that is served.
pub fn apis() -> impl Iterator<Item = (i16, std::ops::RangeInclusive<i16>)> {
    APIS.iter().map(|api| (api.key, api.min..=api.max))
}

/// Does with a frame what a connection does before the work starts.
pub fn decode(mut frame: Vec<u8>) -> Result<Decoded, String> {
    let examined = examine(&mut frame, None).map_err(|error| error.to_string())?;
    let Content::Body { start, footprint } = examined.content else {
        return Err("the version is not served".to_owned());
    };
    let body = Bytes::from(frame).split_off(start);
    let consumed = examined.api.decode(body, examined.header.version);
    let consumed = consumed.map_err(|close| close.to_string())?;
    Ok(Decoded {
        consumed: start + footprint.consumed,
        consumed_by_codec: start + consumed,
        elements: footprint.elements,
        charged: footprint.bytes,
    })
}

/// A valid frame of that API and version, with its counts at their offsets in the frame.
pub fn frame(key: i16, version: i16, style: Style, seed: u64) -> Option<Sample> {
    let api = dispatch::api(key)?;
    let mut made = sample(api.schema, version, style, seed);
    let mut frame = Vec::from(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(7i32.to_be_bytes());
    frame.extend(4i16.to_be_bytes());
    frame.extend(b"test");
    if version >= api.schema.flexible {
        frame.push(0);
    }
    for count in &mut made.counts {
        count.at += frame.len();
    }
    frame.append(&mut made.body);
    Some(Sample {
        body: frame,
        counts: made.counts,
    })
}

/// What a Produce frame carries for its partitions, if it is one and decodes.
pub fn produced(mut frame: Vec<u8>) -> Vec<Bytes> {
    let Ok(examined) = examine(&mut frame, None) else {
        return Vec::new();
    };
    let Content::Body { start, .. } = examined.content else {
        return Vec::new();
    };
    if examined.api.key != ProduceRequest::KEY {
        return Vec::new();
    }
    let body = Bytes::from(frame).split_off(start);
    let decoded: Result<(ProduceRequest, _), _> =
        codec::Request::decode(body, examined.header.version);
    let topics = decoded
        .map(|(request, _)| request.topic_data)
        .unwrap_or_default();
    let partitions = topics.into_iter().flat_map(|topic| topic.partition_data);
    partitions
        .filter_map(|partition| partition.records)
        .collect()
}
