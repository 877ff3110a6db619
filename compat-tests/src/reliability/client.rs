//! A Kafka client that is fast, and that shows what a client library hides: frames that overlap on
//! one connection, sequences, offsets, codes.
//!
//! It speaks versions of before KIP-482, which need no JSON to be written: Produce 7, Fetch 5,
//! ListOffsets 1, InitProducerId 0, DeleteRecords 0. For anything else there is [`Client::ask`].

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::session::{framed, read_frame};
use crate::{codec, schema};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the broker may take for a request.
const REQUEST_TIMEOUT_MS: i32 = 20_000;

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    correlation: i32,
    /// Correlation ids of what is in flight, oldest first.
    in_flight: std::collections::VecDeque<i32>,
    /// Once it is set, answers count for nothing.
    hung_up: Arc<AtomicBool>,
}

/// A batch for a partition, as bytes.
#[derive(Clone, Debug)]
pub struct ToPartition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The batch.
    pub batch: Vec<u8>,
}

/// What a partition answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Error code, 0 for none.
    pub code: i16,
    /// Offset of the batch's first record.
    pub base_offset: i64,
}

/// What a fetch of one partition gave.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Error code, 0 for none.
    pub code: i16,
    /// High watermark.
    pub high_watermark: i64,
    /// Log start.
    pub log_start: i64,
    /// Whole batches, and perhaps the beginning of one more.
    pub records: Vec<u8>,
}

impl Client {
    /// Connects to `HOST:PORT`.
    ///
    /// # Errors
    /// If nobody listens there.
    pub fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            correlation: 0,
            in_flight: std::collections::VecDeque::new(),
            hung_up: Arc::default(),
        })
    }

    /// Takes no answer any more once this is set, as if the connection were gone.
    pub fn hang_up_with(&mut self, hung_up: Arc<AtomicBool>) {
        self.hung_up = hung_up;
    }

    /// Waits no longer than this for an answer.
    ///
    /// # Errors
    /// As the socket does.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))
    }

    /// Sends a request without waiting for its answer.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn send(&mut self, key: i16, version: i16, body: &[u8]) -> io::Result<()> {
        self.correlation += 1;
        let mut frame = Vec::with_capacity(body.len() + 10);
        frame.extend(key.to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend(self.correlation.to_be_bytes());
        frame.extend((-1i16).to_be_bytes());
        frame.extend(body);
        self.in_flight.push_back(self.correlation);
        self.stream.write_all(&framed(&frame))
    }

    /// The answer to the oldest request in flight, behind its header.
    ///
    /// # Errors
    /// If the connection is gone, or answers something else.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut frame = read_frame(&mut self.stream)?;
        if self.hung_up.load(Ordering::SeqCst) {
            let error = "an answer when nobody listens any more";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, error));
        }
        let expected = self.in_flight.pop_front().map(i32::to_be_bytes);
        if frame.get(..4) != expected.as_ref().map(<[u8; 4]>::as_slice) {
            return Err(malformed("an answer to another request"));
        }
        Ok(frame.split_off(4))
    }

    /// Requests that were sent and not answered yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    fn call(&mut self, key: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
        self.send(key, version, body)?;
        self.receive()
    }

    /// Asks anything, in JSON.
    ///
    /// # Errors
    /// If the connection is gone, or the answer does not fit its layout.
    pub fn ask(&mut self, api: &str, version: i16, body: &Value) -> io::Result<Value> {
        self.correlation += 1;
        let request = schema::request(api);
        let frame = codec::request_frame(request, version, self.correlation, body);
        self.in_flight.push_back(self.correlation);
        self.stream.write_all(&framed(&frame))?;
        let mut answer = self.correlation.to_be_bytes().to_vec();
        answer.extend(self.receive()?);
        codec::decode_response(schema::response(api), version, &answer)
            .map_err(|reason| malformed(&reason))
    }

    /// Sends a Produce request. With `acks` 0 there is no answer to wait for.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn send_produce(&mut self, acks: i16, batches: &[ToPartition]) -> io::Result<()> {
        let mut body = (-1i16).to_be_bytes().to_vec();
        body.extend(acks.to_be_bytes());
        body.extend(REQUEST_TIMEOUT_MS.to_be_bytes());
        count(batches.len(), &mut body);
        for batch in batches {
            string(&batch.topic, &mut body);
            count(1, &mut body);
            body.extend(batch.partition.to_be_bytes());
            count(batch.batch.len(), &mut body);
            body.extend(&batch.batch);
        }
        self.send(0, 7, &body)?;
        if acks == 0 {
            self.in_flight.pop_back();
        }
        Ok(())
    }

    /// The answer to the oldest Produce in flight.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn receive_produce(&mut self) -> io::Result<Vec<Produced>> {
        let frame = self.receive()?;
        let mut input = Input(&frame);
        let mut all = Vec::new();
        for _ in 0..input.count()? {
            let topic = input.string()?;
            for _ in 0..input.count()? {
                let (partition, code, base_offset) = (input.i32()?, input.i16()?, input.i64()?);
                let (_append_time, _log_start) = (input.i64()?, input.i64()?);
                all.push(Produced {
                    topic: topic.clone(),
                    partition,
                    code,
                    base_offset,
                });
            }
        }
        Ok(all)
    }

    /// Sends one batch and waits for the answer.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn produce(&mut self, acks: i16, batch: ToPartition) -> io::Result<Produced> {
        self.send_produce(acks, &[batch])?;
        let answer = self.receive_produce()?.pop();
        answer.ok_or_else(|| malformed("an answer without partitions"))
    }

    /// Reads from an offset on, without waiting for more to come.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn fetch(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        bytes_max: i32,
    ) -> io::Result<Fetched> {
        let mut body = (-1i32).to_be_bytes().to_vec();
        // At most 0 ms for at least 0 bytes, uncommitted ones too.
        body.extend([0; 8]);
        body.extend(bytes_max.to_be_bytes());
        body.push(0);
        count(1, &mut body);
        string(topic, &mut body);
        count(1, &mut body);
        body.extend(partition.to_be_bytes());
        body.extend(offset.to_be_bytes());
        body.extend((-1i64).to_be_bytes());
        body.extend(bytes_max.to_be_bytes());
        let frame = self.call(1, 5, &body)?;
        let mut input = Input(&frame);
        input.i32()?;
        if input.count()? != 1 {
            return Err(malformed("another number of topics"));
        }
        input.string()?;
        if input.count()? != 1 {
            return Err(malformed("another number of partitions"));
        }
        input.i32()?;
        let (code, high_watermark) = (input.i16()?, input.i64()?);
        let (_last_stable, log_start) = (input.i64()?, input.i64()?);
        for _ in 0..input.count()? {
            input.take(16)?;
        }
        let length = input.count()?;
        Ok(Fetched {
            code,
            high_watermark,
            log_start,
            records: input.take(length)?.to_vec(),
        })
    }

    /// Code and offset for a time; -1 asks for the latest offset, -2 for the earliest.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn list_offset(
        &mut self,
        topic: &str,
        partition: i32,
        time: i64,
    ) -> io::Result<(i16, i64)> {
        let mut body = (-1i32).to_be_bytes().to_vec();
        count(1, &mut body);
        string(topic, &mut body);
        count(1, &mut body);
        body.extend(partition.to_be_bytes());
        body.extend(time.to_be_bytes());
        let frame = self.call(2, 1, &body)?;
        let mut input = Input(&frame);
        input.count()?;
        input.string()?;
        input.count()?;
        input.i32()?;
        let (code, _time) = (input.i16()?, input.i64()?);
        Ok((code, input.i64()?))
    }

    /// A producer id and epoch for an idempotent producer.
    ///
    /// # Errors
    /// If the connection is gone, or the broker refuses.
    pub fn producer_id(&mut self) -> io::Result<(i64, i16)> {
        let mut body = (-1i16).to_be_bytes().to_vec();
        body.extend(60_000i32.to_be_bytes());
        let frame = self.call(22, 0, &body)?;
        let mut input = Input(&frame);
        input.i32()?;
        match input.i16()? {
            0 => Ok((input.i64()?, input.i16()?)),
            code => Err(io::Error::other(format!("InitProducerId: code {code}"))),
        }
    }

    /// Deletes the records below `offset`: code and the log start.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn delete_records(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> io::Result<(i16, i64)> {
        let mut body = Vec::new();
        count(1, &mut body);
        string(topic, &mut body);
        count(1, &mut body);
        body.extend(partition.to_be_bytes());
        body.extend(offset.to_be_bytes());
        body.extend(REQUEST_TIMEOUT_MS.to_be_bytes());
        let frame = self.call(21, 0, &body)?;
        let mut input = Input(&frame);
        input.i32()?;
        input.count()?;
        input.string()?;
        input.count()?;
        input.i32()?;
        let low_watermark = input.i64()?;
        Ok((input.i16()?, low_watermark))
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn count(count: usize, out: &mut Vec<u8>) {
    out.extend(i32::try_from(count).expect("a small count").to_be_bytes());
}

fn string(text: &str, out: &mut Vec<u8>) {
    let length = i16::try_from(text.len()).expect("a short name");
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
}

/// The rest of an answer.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| malformed("an answer that ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as long as asked"))
    }

    fn i16(&mut self) -> io::Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> io::Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> io::Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// Elements of an array, or bytes; none where it is null.
    fn count(&mut self) -> io::Result<usize> {
        Ok(usize::try_from(self.i32()?).unwrap_or(0))
    }

    fn string(&mut self) -> io::Result<String> {
        let length = usize::try_from(self.i16()?).unwrap_or(0);
        let bytes = self.take(length)?.to_vec();
        String::from_utf8(bytes).map_err(|_| malformed("a name that is no text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reliability::ledger::Value as Sent;
    use crate::reliability::reading;

    #[test]
    fn what_is_produced_on_one_connection_can_be_read_and_deleted() {
        let broker = crate::klamm_like_kafka();
        let mut session = crate::session::Session::new(&broker.address(), Duration::ZERO);
        session.topic("fast", 2, &[]);
        let mut client = Client::connect(&broker.address()).expect("it listens");
        let (id, epoch) = client.producer_id().expect("an id");
        for sequence in [0, 3, 6] {
            let first = Sent::new(1, sequence);
            let batch = ToPartition {
                topic: "fast".to_owned(),
                partition: 1,
                batch: reading::batch(first, 3, (id, epoch, sequence as i32), 1_767_225_600_000),
            };
            client.send_produce(-1, &[batch]).expect("it is sent");
        }
        for base_offset in [0, 3, 6] {
            let answer = client.receive_produce().expect("an answer");
            assert_eq!((answer[0].code, answer[0].base_offset), (0, base_offset));
        }
        assert_eq!(client.list_offset("fast", 1, -1).expect("it is"), (0, 9));
        assert_eq!(client.delete_records("fast", 1, 4).expect("it is"), (0, 4));
        let read = reading::read(&mut client, "fast", 1, 0).expect("it reads");
        assert_eq!((read.log_start, read.end), (4, 9));
        let values: Vec<_> = read.records.iter().map(|one| one.value).collect();
        let expected: Vec<_> = (4..9).map(|number| Some(Sent::new(1, number))).collect();
        assert_eq!(values, expected);
    }
}
