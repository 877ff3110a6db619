//! Record batches for requests, good and bad, and a readable view of those in responses.

use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::hex;

/// Timestamp of the first record of every batch, in milliseconds: fixed, so that a recorded request
/// stays the same. Topics that take such records keep them for ever.
pub const TIME: i64 = 1_767_225_600_000;

/// Compression codecs by their number in the attributes.
pub const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// One record.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Names and values.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A batch of magic 2, every field of whose header can be made wrong.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Offset of the first record; 0 from a client.
    pub base_offset: i64,
    /// Leader epoch; brokers overwrite it.
    pub leader_epoch: i32,
    /// Format version.
    pub magic: i8,
    /// Bits beside the codec.
    pub attributes: i16,
    /// Compression codec.
    pub codec: i16,
    /// `lastOffsetDelta`, if not the count - 1.
    pub last_offset_delta: Option<i32>,
    /// Timestamp of the first record.
    pub base_timestamp: i64,
    /// `maxTimestamp`, if not that of the records.
    pub max_timestamp: Option<i64>,
    /// Producer id, -1 for none.
    pub producer_id: i64,
    /// Producer epoch.
    pub producer_epoch: i16,
    /// Sequence of the first record.
    pub base_sequence: i32,
    /// `recordCount`, if not that of the records.
    pub count: Option<i32>,
    /// Bits to flip in the checksum.
    pub crc_flip: u32,
    /// What the batch holds.
    pub records: Vec<Record>,
    /// Bytes behind the records, inside the batch's length.
    pub trailing: Vec<u8>,
}

impl Batch {
    /// Records with these values and no keys, one millisecond apart.
    #[must_use]
    pub fn of(values: &[&str]) -> Self {
        let records = values
            .iter()
            .zip(0..)
            .map(|(value, timestamp_delta)| Record {
                value: Some(value.as_bytes().to_vec()),
                timestamp_delta,
                ..Record::default()
            })
            .collect();
        Self {
            base_offset: 0,
            leader_epoch: -1,
            magic: 2,
            attributes: 0,
            codec: 0,
            last_offset_delta: None,
            base_timestamp: TIME,
            max_timestamp: None,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            count: None,
            crc_flip: 0,
            records,
            trailing: Vec::new(),
        }
    }

    /// Records with these keys and values.
    #[must_use]
    pub fn keyed(pairs: &[(&str, &str)]) -> Self {
        let values: Vec<&str> = pairs.iter().map(|(_, value)| *value).collect();
        let mut batch = Self::of(&values);
        for (record, (key, _)) in batch.records.iter_mut().zip(pairs) {
            record.key = Some(key.as_bytes().to_vec());
        }
        batch
    }

    /// As an idempotent producer sends it.
    #[must_use]
    pub fn from_producer(mut self, id: i64, epoch: i16, sequence: i32) -> Self {
        (self.producer_id, self.producer_epoch, self.base_sequence) = (id, epoch, sequence);
        self
    }

    /// Compressed with the codec of that number.
    #[must_use]
    pub fn compressed(mut self, codec: i16) -> Self {
        self.codec = codec;
        self
    }

    /// With another base timestamp.
    #[must_use]
    pub fn at(mut self, timestamp: i64) -> Self {
        self.base_timestamp = timestamp;
        self
    }

    /// The batch's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let count = i32::try_from(self.records.len()).expect("few records");
        let mut payload = Vec::new();
        for (record, offset_delta) in self.records.iter().zip(0..) {
            record.encode(offset_delta, &mut payload);
        }
        payload.extend(&self.trailing);
        let payload = compress(self.codec, &payload);
        let last = self
            .records
            .iter()
            .map(|record| record.timestamp_delta)
            .max()
            .unwrap_or(0);

        let mut body = Vec::new();
        body.extend((self.attributes | self.codec).to_be_bytes());
        body.extend(self.last_offset_delta.unwrap_or(count - 1).to_be_bytes());
        body.extend(self.base_timestamp.to_be_bytes());
        body.extend(
            self.max_timestamp
                .unwrap_or(self.base_timestamp + last)
                .to_be_bytes(),
        );
        body.extend(self.producer_id.to_be_bytes());
        body.extend(self.producer_epoch.to_be_bytes());
        body.extend(self.base_sequence.to_be_bytes());
        body.extend(self.count.unwrap_or(count).to_be_bytes());
        body.extend(payload);

        let mut batch = Vec::new();
        batch.extend(self.base_offset.to_be_bytes());
        batch.extend(
            i32::try_from(body.len() + 9)
                .expect("a small batch")
                .to_be_bytes(),
        );
        batch.extend(self.leader_epoch.to_be_bytes());
        batch.extend(self.magic.to_be_bytes());
        batch.extend((crc32c::crc32c(&body) ^ self.crc_flip).to_be_bytes());
        batch.extend(body);
        batch
    }

    /// The batch as a request's JSON value.
    #[must_use]
    pub fn json(&self) -> Value {
        json!(hex::encode(&self.bytes()))
    }
}

impl Record {
    fn encode(&self, offset_delta: i64, out: &mut Vec<u8>) {
        let mut body = vec![0];
        varint(self.timestamp_delta, &mut body);
        varint(offset_delta, &mut body);
        bytes(self.key.as_deref(), &mut body);
        bytes(self.value.as_deref(), &mut body);
        varint(
            i64::try_from(self.headers.len()).expect("few headers"),
            &mut body,
        );
        for (name, value) in &self.headers {
            bytes(Some(name.as_bytes()), &mut body);
            bytes(value.as_deref(), &mut body);
        }
        varint(i64::try_from(body.len()).expect("a small record"), out);
        out.extend(body);
    }
}

fn bytes(value: Option<&[u8]>, out: &mut Vec<u8>) {
    let length = value.map_or(-1, |value| {
        i64::try_from(value.len()).expect("a small field")
    });
    varint(length, out);
    out.extend(value.unwrap_or_default());
}

fn varint(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A message of the formats before batches, as a produce of magic 0 or 1 would carry it.
#[must_use]
pub fn old_message(magic: i8) -> Vec<u8> {
    let mut body = vec![magic as u8, 0];
    if magic == 1 {
        body.extend(TIME.to_be_bytes());
    }
    body.extend((-1i32).to_be_bytes());
    body.extend(1i32.to_be_bytes());
    body.push(b'x');
    let mut message = Vec::new();
    message.extend(0i64.to_be_bytes());
    message.extend(i32::try_from(body.len() + 4).expect("small").to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    message.extend(crc.sum().to_be_bytes());
    message.extend(body);
    message
}

fn compress(codec: i16, payload: &[u8]) -> Vec<u8> {
    match codec {
        1 => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(payload).expect("memory");
            encoder.finish().expect("memory")
        }
        2 => {
            // The framing of snappy-java: magic, version, lowest version, then sized blocks.
            let block = snap::raw::Encoder::new()
                .compress_vec(payload)
                .expect("memory");
            let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
            out.extend(u32::try_from(block.len()).expect("small").to_be_bytes());
            out.extend(block);
            out
        }
        3 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(payload).expect("memory");
            encoder.finish().expect("memory")
        }
        4 => zstd::encode_all(payload, 3).expect("memory"),
        _ => payload.to_vec(),
    }
}

pub(crate) fn decompress(codec: i16, payload: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let wrong = |error: std::io::Error| error.to_string();
    match codec {
        0 => out.extend(payload),
        1 => {
            flate2::read::MultiGzDecoder::new(payload)
                .read_to_end(&mut out)
                .map_err(wrong)?;
        }
        2 => {
            let mut blocks = payload.get(16..).ok_or("short snappy header")?;
            while let Some((length, rest)) = blocks.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                let block = rest.get(..length).ok_or("short snappy block")?;
                let mut decoder = snap::raw::Decoder::new();
                out.extend(
                    decoder
                        .decompress_vec(block)
                        .map_err(|error| error.to_string())?,
                );
                blocks = &rest[length..];
            }
        }
        3 => {
            lz4_flex::frame::FrameDecoder::new(payload)
                .read_to_end(&mut out)
                .map_err(wrong)?;
        }
        4 => out = zstd::decode_all(payload).map_err(wrong)?,
        other => return Err(format!("codec {other}")),
    }
    Ok(out)
}

/// The batches in a Fetch response, field by field, their records decompressed. A tail that is not
/// a whole batch is shown as its length.
#[must_use]
pub fn describe(mut bytes: &[u8]) -> Vec<Value> {
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        let length = bytes.get(8..12).map_or(0, |length| {
            12 + u32::from_be_bytes(length.try_into().expect("four bytes")) as usize
        });
        let Some(batch) = bytes.get(..length).filter(|batch| batch.len() >= 61) else {
            batches.push(json!({"partial": bytes.len()}));
            break;
        };
        batches.push(describe_one(batch));
        bytes = &bytes[length..];
    }
    batches
}

fn describe_one(batch: &[u8]) -> Value {
    let i64_at = |at: usize| i64::from_be_bytes(batch[at..at + 8].try_into().expect("eight"));
    let i32_at = |at: usize| i32::from_be_bytes(batch[at..at + 4].try_into().expect("four"));
    let i16_at = |at: usize| i16::from_be_bytes(batch[at..at + 2].try_into().expect("two"));
    let attributes = i16_at(21);
    let records = match decompress(attributes & 7, &batch[61..]) {
        Ok(records) => hex::encode(&records),
        Err(reason) => format!("undecodable: {reason}"),
    };
    let crc = u32::from_be_bytes(batch[17..21].try_into().expect("four"));
    json!({
        "baseOffset": i64_at(0),
        "batchLength": i32_at(8),
        "leaderEpoch": i32_at(12),
        "magic": batch[16],
        "crc": crc,
        "crcIsRight": crc == crc32c::crc32c(&batch[21..]),
        "attributes": attributes,
        "lastOffsetDelta": i32_at(23),
        "baseTimestamp": i64_at(27),
        "maxTimestamp": i64_at(35),
        "producerId": i64_at(43),
        "producerEpoch": i16_at(51),
        "baseSequence": i32_at(53),
        "count": i32_at(57),
        "records": records,
    })
}
