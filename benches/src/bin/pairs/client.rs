//! A client that sends one request at a time, in the oldest versions that Kafka 4 speaks: those have
//! one layout for floors, Klamm and Kafka alike.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use klamm::wire::{DecodeError, EncodeError, Reader, Writer};

/// API keys with their versions.
const PRODUCE: (i16, i16) = (0, 3);
const FETCH: (i16, i16) = (1, 4);
const LIST_OFFSETS: (i16, i16) = (2, 1);
const API_VERSIONS: (i16, i16) = (18, 0);
const INCREMENTAL_ALTER_CONFIGS: (i16, i16) = (44, 0);

const ALL_ACKS: i16 = -1;
const TIMEOUT_MS: i32 = 30_000;

/// What a setting belongs to, and what is done with it.
const TOPIC: i8 = 2;
const SET: i8 = 0;

const CONSUMER: i32 = -1;
const MAX_WAIT_MS: i32 = 500;

/// One batch is answered whatever the limit.
const ONE_BATCH: i32 = 1;

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    correlation: i32,
}

impl Client {
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            correlation: 0,
        })
    }

    /// Asks what is spoken, as every client does first.
    pub(crate) fn greet(&mut self) -> io::Result<()> {
        self.call(API_VERSIONS, Writer::new()).map(|_| ())
    }

    /// The first offset whose record is not older than that; -1 if there is none.
    pub(crate) fn offset_at(&mut self, topic: &str, timestamp: i64) -> io::Result<i64> {
        let mut body = Writer::new();
        body.i32(CONSUMER);
        partition_0(&mut body, topic).map_err(io::Error::other)?;
        body.i64(timestamp);
        let answer = self.call(LIST_OFFSETS, body)?;
        offset(&answer, topic).map_err(io::Error::other)?
    }

    /// How many bytes of records there are from an offset on, in one batch.
    pub(crate) fn batch_at(&mut self, topic: &str, offset: i64) -> io::Result<usize> {
        let mut body = Writer::new();
        for number in [CONSUMER, MAX_WAIT_MS, 1, ONE_BATCH] {
            body.i32(number);
        }
        // Read uncommitted.
        body.i8(0);
        partition_0(&mut body, topic).map_err(io::Error::other)?;
        body.i64(offset);
        body.i32(ONE_BATCH);
        let answer = self.call(FETCH, body)?;
        records(&answer, topic).map_err(io::Error::other)?
    }

    /// Appends a batch to partition 0.
    pub(crate) fn append(&mut self, topic: &str, batch: &[u8]) -> io::Result<()> {
        let mut body = Writer::new();
        // No transaction.
        body.i16(-1);
        body.i16(ALL_ACKS);
        body.i32(TIMEOUT_MS);
        partition_0(&mut body, topic).map_err(io::Error::other)?;
        body.length(Some(batch.len()), false)
            .map_err(io::Error::other)?;
        body.raw(batch);
        let answer = self.call(PRODUCE, body)?;
        answered(&mut Reader::new(&answer), topic).map_err(io::Error::other)?
    }

    /// Changes a setting of a topic.
    pub(crate) fn set(&mut self, topic: &str, key: &str, value: &str) -> io::Result<()> {
        let body = setting(topic, key, value).map_err(io::Error::other)?;
        let answer = self.call(INCREMENTAL_ALTER_CONFIGS, body)?;
        let mut from = Reader::new(&answer);
        // Throttle time, and the length of the array.
        from.i64().map_err(io::Error::other)?;
        outcome(from.i16().map_err(io::Error::other)?)
    }

    /// The answer behind its correlation id.
    fn call(&mut self, (key, version): (i16, i16), body: Writer) -> io::Result<Vec<u8>> {
        self.correlation += 1;
        let mut head = Writer::new();
        head.i16(key);
        head.i16(version);
        head.i32(self.correlation);
        // No client id.
        head.i16(-1);
        let (head, body) = (head.into_bytes(), body.into_bytes());
        let length = i32::try_from(head.len() + body.len()).map_err(io::Error::other)?;
        self.stream
            .write_all(&[&length.to_be_bytes()[..], &head, &body].concat())?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut answer)?;
        match answer.get(..4) == Some(&self.correlation.to_be_bytes()) {
            true => Ok(answer.split_off(4)),
            false => Err(io::Error::other("an answer to something else")),
        }
    }
}

/// An array of one topic with an array of one partition, up to its fields.
fn partition_0(body: &mut Writer, topic: &str) -> Result<(), EncodeError> {
    body.length(Some(1), false)?;
    body.string_length(Some(topic.len()), false)?;
    body.raw(topic.as_bytes());
    body.length(Some(1), false)?;
    body.i32(0);
    Ok(())
}

fn setting(topic: &str, key: &str, value: &str) -> Result<Writer, EncodeError> {
    let mut body = Writer::new();
    let string = |body: &mut Writer, text: &str| {
        body.string_length(Some(text.len()), false)?;
        body.raw(text.as_bytes());
        Ok::<_, EncodeError>(())
    };
    body.length(Some(1), false)?;
    body.i8(TOPIC);
    string(&mut body, topic)?;
    body.length(Some(1), false)?;
    string(&mut body, key)?;
    body.i8(SET);
    string(&mut body, value)?;
    // Not only to be checked.
    body.i8(0);
    Ok(body)
}

fn outcome(code: i16) -> io::Result<()> {
    match code {
        0 => Ok(()),
        code => Err(io::Error::other(format!("error {code}"))),
    }
}

/// The same in an answer, up to the fields behind the error.
fn answered(from: &mut Reader<'_>, topic: &str) -> Result<io::Result<()>, DecodeError> {
    // Both arrays have one element.
    from.i32()?;
    from.string_length(false)?;
    from.take(topic.len())?;
    from.i32()?;
    from.i32()?;
    from.i16().map(outcome)
}

fn offset(answer: &[u8], topic: &str) -> Result<io::Result<i64>, DecodeError> {
    let mut from = Reader::new(answer);
    let outcome = answered(&mut from, topic)?;
    from.i64()?;
    let offset = from.i64()?;
    Ok(outcome.map(|()| offset))
}

fn records(answer: &[u8], topic: &str) -> Result<io::Result<usize>, DecodeError> {
    let mut from = Reader::new(answer);
    // Throttle time.
    from.i32()?;
    let outcome = answered(&mut from, topic)?;
    // High watermark, last stable offset.
    from.i64()?;
    from.i64()?;
    // Aborted transactions, of which there are none.
    from.i32()?;
    let bytes = usize::try_from(from.i32()?).unwrap_or(0);
    Ok(outcome.map(|()| bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(numbers: impl Fn(&mut Writer), code: i16) -> Vec<u8> {
        let mut out = Writer::new();
        out.i32(1);
        out.i16(1);
        out.raw(b"t");
        out.i32(1);
        out.i32(0);
        out.i16(code);
        numbers(&mut out);
        out.into_bytes()
    }

    #[test]
    fn an_offset_is_found_behind_its_timestamp() {
        let numbers = |out: &mut Writer| {
            out.i64(1_000);
            out.i64(42);
        };
        let found = offset(&answer(numbers, 0), "t").expect("an answer");
        assert_eq!(found.expect("no error"), 42);
        assert!(
            offset(&answer(numbers, 3), "t")
                .expect("an answer")
                .is_err()
        );
        assert!(offset(&answer(|_| {}, 0), "t").is_err());
    }

    #[test]
    fn records_are_counted_and_not_read() {
        let numbers = |out: &mut Writer| {
            out.i64(7);
            out.i64(7);
            out.i32(-1);
            out.i32(99);
        };
        let whole = [&[0; 4][..], &answer(numbers, 0)].concat();
        let found = records(&whole, "t").expect("an answer");
        assert_eq!(found.expect("no error"), 99);
    }
}
