//! The few frames that floors read and write, each in one layout.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use klamm::wire::{DecodeError, EncodeError, Reader, Writer};

/// API keys, and the versions in which they are spoken: those of Produce have one layout.
pub(crate) const PRODUCE: i16 = 0;
pub(crate) const FETCH: i16 = 1;
pub(crate) const LIST_OFFSETS: i16 = 2;
pub(crate) const METADATA: i16 = 3;
pub(crate) const API_VERSIONS: i16 = 18;
const VERSIONS: [(i16, i16, i16); 5] = [
    (PRODUCE, 9, 12),
    (FETCH, 12, 12),
    (LIST_OFFSETS, 6, 6),
    (METADATA, 12, 12),
    (API_VERSIONS, 3, 3),
];

/// ListOffsets' word for the first record; all else is taken for the end.
const EARLIEST: i64 = -2;

const NODE: i32 = 1;

/// The topic that a floor has.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions, from 0 on.
    pub partitions: i32,
}

/// A Produce request for one batch of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Produce {
    /// To be put into the answer.
    pub(crate) correlation: i32,
    /// Its partition.
    pub(crate) partition: i32,
    /// Where its batch is in the frame.
    pub(crate) batch: Range<usize>,
}

/// What a Fetch asks of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Its number.
    pub(crate) partition: i32,
    /// The first offset.
    pub(crate) offset: i64,
    /// How many bytes at most, but at least one batch.
    pub(crate) bytes: usize,
}

/// A Fetch request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fetch {
    pub(crate) correlation: i32,
    /// How long to wait for news.
    pub(crate) wait: Duration,
    pub(crate) wanted: Vec<Wanted>,
}

/// A frame that this end does not understand.
pub(crate) fn malformed(error: DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn too_long(error: EncodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// The API key at the start of a frame.
pub(crate) fn key(frame: &[u8]) -> io::Result<i16> {
    Reader::new(frame).i16().map_err(malformed)
}

/// The correlation id, behind key and version.
pub(crate) fn correlation(frame: &[u8]) -> io::Result<i32> {
    let mut from = Reader::new(frame);
    from.i32().and_then(|_| from.i32()).map_err(malformed)
}

/// Steps over header version 2; the correlation id.
fn header(from: &mut Reader<'_>) -> Result<i32, DecodeError> {
    from.i32()?;
    let correlation = from.i32()?;
    let client = from.string_length(false)?.unwrap_or(0);
    from.take(client)?;
    tags(from)?;
    Ok(correlation)
}

fn string(from: &mut Reader<'_>) -> Result<(), DecodeError> {
    let length = from.string_length(true)?.unwrap_or(0);
    from.take(length).map(|_| ())
}

fn tags(from: &mut Reader<'_>) -> Result<(), DecodeError> {
    for _ in 0..from.uvarint()? {
        from.uvarint()?;
        let length = from.uvarint()?;
        from.take(length as usize)?;
    }
    Ok(())
}

/// Reads a Produce request; of several partitions, all but the last are passed over.
pub(crate) fn produce(frame: &[u8]) -> Result<Produce, DecodeError> {
    let mut from = Reader::new(frame);
    let mut found = Produce {
        correlation: header(&mut from)?,
        partition: -1,
        batch: 0..0,
    };
    string(&mut from)?;
    // Acknowledgements and timeout.
    from.take(6)?;
    for _ in 0..from.length(true)?.unwrap_or(0) {
        string(&mut from)?;
        for _ in 0..from.length(true)?.unwrap_or(0) {
            found.partition = from.i32()?;
            let length = from.length(true)?.unwrap_or(0);
            let begin = frame.len() - from.remaining();
            from.take(length)?;
            found.batch = begin..begin + length;
            tags(&mut from)?;
        }
        tags(&mut from)?;
    }
    tags(&mut from)?;
    from.finish()?;
    Ok(found)
}

/// Reads a Fetch request.
pub(crate) fn fetch(frame: &[u8], into: &mut Fetch) -> Result<(), DecodeError> {
    let mut from = Reader::new(frame);
    into.correlation = header(&mut from)?;
    into.wanted.clear();
    // The replica.
    from.i32()?;
    into.wait = Duration::from_millis(u64::try_from(from.i32()?).unwrap_or(0));
    // Least and most bytes, isolation, session and its epoch: whatever there is, is enough.
    from.take(4 + 4 + 1 + 4 + 4)?;
    for _ in 0..from.length(true)?.unwrap_or(0) {
        string(&mut from)?;
        for _ in 0..from.length(true)?.unwrap_or(0) {
            let partition = from.i32()?;
            from.i32()?;
            let offset = from.i64()?;
            // The last epoch, and a follower's log start.
            from.take(12)?;
            let bytes = usize::try_from(from.i32()?).unwrap_or(0);
            tags(&mut from)?;
            into.wanted.push(Wanted {
                partition,
                offset,
                bytes,
            });
        }
        tags(&mut from)?;
    }
    Ok(())
}

/// Reads a ListOffsets request: partitions, and whether their first offset is asked for.
pub(crate) fn list_offsets(frame: &[u8]) -> Result<(i32, Vec<(i32, bool)>), DecodeError> {
    let mut from = Reader::new(frame);
    let correlation = header(&mut from)?;
    let mut asked = Vec::new();
    // Replica and isolation.
    from.take(5)?;
    for _ in 0..from.length(true)?.unwrap_or(0) {
        string(&mut from)?;
        for _ in 0..from.length(true)?.unwrap_or(0) {
            let partition = from.i32()?;
            from.i32()?;
            asked.push((partition, from.i64()? == EARLIEST));
            tags(&mut from)?;
        }
        tags(&mut from)?;
    }
    Ok((correlation, asked))
}

/// Answers, written once as far as they are always the same.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    topic: Topic,
    /// Produce's, and where the fields are that differ.
    produce: Vec<u8>,
    partition_at: usize,
}

impl Answers {
    pub(crate) fn new(topic: &Topic) -> io::Result<Self> {
        let mut answers = Self {
            topic: topic.clone(),
            produce: Vec::new(),
            partition_at: 0,
        };
        answers.write_produce().map_err(too_long)?;
        Ok(answers)
    }

    /// The name in front of its partitions, of which there are so many.
    fn named(&self, out: &mut Writer, partitions: usize) -> Result<(), EncodeError> {
        out.length(Some(1), true)?;
        out.string_length(Some(self.topic.name.len()), true)?;
        out.raw(self.topic.name.as_bytes());
        out.length(Some(partitions), true)
    }

    fn write_produce(&mut self) -> Result<(), EncodeError> {
        let mut out = begin();
        // No tagged fields, here and below.
        out.uvarint(0);
        self.named(&mut out, 1)?;
        let before = out.into_bytes();
        self.partition_at = before.len();
        let mut out = Writer::new();
        out.raw(&before);
        out.i32(0);
        out.i16(0);
        out.i64(0);
        // No append time, log start 0, no errors of records, no message.
        out.i64(-1);
        out.i64(0);
        out.length(Some(0), true)?;
        out.string_length(None, true)?;
        out.raw(&[0, 0]);
        // The throttle time.
        out.i32(0);
        out.uvarint(0);
        self.produce = whole(out, 0)?;
        Ok(())
    }

    /// That a batch begins at this offset.
    pub(crate) fn produced(&self, request: &Produce, base_offset: i64, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&self.produce);
        let at = begin + self.partition_at;
        for (at, value) in [
            (begin + 4, &request.correlation.to_be_bytes()[..]),
            (at, &request.partition.to_be_bytes()),
            (at + 6, &base_offset.to_be_bytes()),
        ] {
            if let Some(field) = out.get_mut(at..at + value.len()) {
                field.copy_from_slice(value);
            }
        }
    }

    pub(crate) fn api_versions(&self, correlation: i32) -> io::Result<Vec<u8>> {
        let written = || {
            let mut out = begin();
            out.i16(0);
            out.length(Some(VERSIONS.len()), true)?;
            for (key, oldest, newest) in VERSIONS {
                out.i16(key);
                out.i16(oldest);
                out.i16(newest);
                out.uvarint(0);
            }
            out.i32(0);
            out.uvarint(0);
            whole(out, correlation)
        };
        written().map_err(too_long)
    }

    /// One broker at `address` that leads all.
    pub(crate) fn metadata(&self, correlation: i32, address: SocketAddr) -> io::Result<Vec<u8>> {
        let written = || {
            let mut out = begin();
            out.uvarint(0);
            out.i32(0);
            out.length(Some(1), true)?;
            out.i32(NODE);
            let host = address.ip().to_string();
            out.string_length(Some(host.len()), true)?;
            out.raw(host.as_bytes());
            out.i32(i32::from(address.port()));
            // No rack, and no cluster id.
            out.string_length(None, true)?;
            out.uvarint(0);
            out.string_length(None, true)?;
            out.i32(NODE);
            out.length(Some(1), true)?;
            out.i16(0);
            out.string_length(Some(self.topic.name.len()), true)?;
            out.raw(self.topic.name.as_bytes());
            // No topic id, not internal.
            out.raw(&[0; 17]);
            out.length(usize::try_from(self.topic.partitions).ok(), true)?;
            for partition in 0..self.topic.partitions {
                out.i16(0);
                out.i32(partition);
                out.i32(NODE);
                out.i32(0);
                for _ in ["replicas", "in-sync ones"] {
                    out.length(Some(1), true)?;
                    out.i32(NODE);
                }
                out.length(Some(0), true)?;
                out.uvarint(0);
            }
            // Operations are not told.
            out.i32(i32::MIN);
            out.raw(&[0, 0]);
            whole(out, correlation)
        };
        written().map_err(too_long)
    }

    /// Offsets of partitions.
    pub(crate) fn offsets(&self, correlation: i32, all: &[(i32, i64)]) -> io::Result<Vec<u8>> {
        let written = || {
            let mut out = begin();
            out.uvarint(0);
            out.i32(0);
            self.named(&mut out, all.len())?;
            for (partition, offset) in all {
                out.i32(*partition);
                out.i16(0);
                out.i64(-1);
                out.i64(*offset);
                out.i32(0);
                out.uvarint(0);
            }
            out.raw(&[0, 0]);
            whole(out, correlation)
        };
        written().map_err(too_long)
    }

    /// What stands in front of the first partition of Fetch's answer; of so many partitions, with
    /// so many bytes of records and of heads. The frame ends with [`FETCHED`].
    pub(crate) fn fetched(
        &self,
        correlation: i32,
        partitions: usize,
        bytes: usize,
    ) -> io::Result<Vec<u8>> {
        let written = || {
            let mut out = begin();
            out.uvarint(0);
            // Throttle time, error, no session.
            out.raw(&[0; 10]);
            self.named(&mut out, partitions)?;
            let mut head = out.into_bytes();
            let length = head.len() + bytes + FETCHED.len();
            finish(&mut head, length, correlation)?;
            Ok(head)
        };
        written().map_err(too_long)
    }
}

/// The end of Fetch's answer: tagged fields of the topic and of all.
pub(crate) const FETCHED: [u8; 2] = [0; 2];

/// What stands in front of the records of a partition; behind them stands a zero.
pub(crate) fn fetched_head(partition: i32, end: i64, bytes: usize) -> io::Result<Vec<u8>> {
    let mut out = Writer::new();
    out.i32(partition);
    out.i16(0);
    out.i64(end);
    out.i64(end);
    out.i64(0);
    // No aborted transactions, no other replica.
    out.uvarint(0);
    out.i32(-1);
    out.length(Some(bytes), true).map_err(too_long)?;
    Ok(out.into_bytes())
}

/// Room for length and correlation id.
fn begin() -> Writer {
    let mut out = Writer::new();
    out.raw(&[0; 8]);
    out
}

fn whole(out: Writer, correlation: i32) -> Result<Vec<u8>, EncodeError> {
    let mut frame = out.into_bytes();
    let length = frame.len();
    finish(&mut frame, length, correlation)?;
    Ok(frame)
}

/// Writes length and correlation id into a frame that will have so many bytes in all.
fn finish(frame: &mut [u8], length: usize, correlation: i32) -> Result<(), EncodeError> {
    let length = length - 4;
    let length = i32::try_from(length).map_err(|_| EncodeError::Length(length))?;
    for (at, value) in [(0, length), (4, correlation)] {
        if let Some(field) = frame.get_mut(at..at + 4) {
            field.copy_from_slice(&value.to_be_bytes());
        }
    }
    Ok(())
}
