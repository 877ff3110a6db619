//! The frames of Fetch: version 12, the last that names topics, with sessions (KIP-227).

use std::ops::Range;

use super::frame::{CORRELATION_AT, finish, request, skip_string, skip_tags};
use super::plan::{FetchSpec, Target};
use crate::batch::{BatchHeader, HeaderError};
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// The version that is spoken.
pub(crate) const VERSION: i16 = 12;

const KEY: i16 = 1;

/// A fetch session, as the broker knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Session {
    /// 0 for none.
    pub(super) id: i32,
    /// 0 where all partitions are named and a session is asked for.
    pub(super) epoch: i32,
}

impl Session {
    /// Whether the next request names all partitions.
    pub(super) fn is_full(self) -> bool {
        self.epoch == 0
    }

    /// The session of the request after one that was answered with this id.
    pub(super) fn after(self, answered: i32) -> Self {
        match (answered, self.epoch) {
            // The broker has no room for it.
            (0, _) => Self::default(),
            (id, i32::MAX) => Self { id, epoch: 1 },
            (id, epoch) => Self {
                id,
                epoch: epoch + 1,
            },
        }
    }
}

/// A partition and the offset that is wanted.
pub(super) type Wanted = (i32, i64);

/// A whole request.
pub(super) fn encode(
    target: &Target,
    spec: &FetchSpec,
    correlation: i32,
    session: Session,
    wanted: impl ExactSizeIterator<Item = Wanted>,
) -> Result<Vec<u8>, EncodeError> {
    let mut out = request(KEY, VERSION, &target.client_id)?;
    // No replica.
    out.i32(-1);
    out.i32(i32::try_from(spec.wait.as_millis()).unwrap_or(i32::MAX));
    out.i32(spec.min_bytes);
    out.i32(spec.max_bytes);
    // Uncommitted records are read, too.
    out.i8(0);
    out.i32(session.id);
    out.i32(session.epoch);
    let topics = usize::from(wanted.len() > 0);
    out.length(Some(topics), true)?;
    if topics > 0 {
        out.string_length(Some(target.topic.len()), true)?;
        out.raw(target.topic.as_bytes());
        out.length(Some(wanted.len()), true)?;
        for (partition, offset) in wanted {
            put_partition(&mut out, partition, offset, spec.partition_bytes);
        }
        out.uvarint(0);
    }
    // Nothing is forgotten, no rack, no tagged fields.
    out.length(Some(0), true)?;
    out.string_length(Some(0), true)?;
    out.uvarint(0);
    let mut frame = out.into_bytes();
    let length = frame.len();
    finish(&mut frame, length)?;
    if let Some(field) = frame.get_mut(CORRELATION_AT..CORRELATION_AT + 4) {
        field.copy_from_slice(&correlation.to_be_bytes());
    }
    Ok(frame)
}

fn put_partition(out: &mut Writer, partition: i32, offset: i64, bytes_max: i32) {
    out.i32(partition);
    // Any leader epoch.
    out.i32(-1);
    out.i64(offset);
    // The epoch of the last batch, and a follower's log start.
    out.i32(-1);
    out.i64(-1);
    out.i32(bytes_max);
    out.uvarint(0);
}

/// An answer, without its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// To which request.
    pub(super) correlation: i32,
    /// 0, or why all of it was refused.
    pub(super) error: i16,
    /// The session's id.
    pub(super) session: i32,
}

/// A partition in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Its number.
    pub(super) partition: i32,
    /// 0, or why it was refused.
    pub(super) error: i16,
    /// Where in the frame its batches are; the last may be cut.
    pub(super) records: Range<usize>,
}

/// Reads an answer; its partitions go to `parts`.
pub(super) fn answer(frame: &[u8], parts: &mut Vec<Part>) -> Result<Answer, DecodeError> {
    parts.clear();
    let mut from = Reader::new(frame);
    let correlation = from.i32()?;
    skip_tags(&mut from)?;
    // The throttle time.
    from.i32()?;
    let error = from.i16()?;
    let session = from.i32()?;
    for _ in 0..from.length(true)?.unwrap_or(0) {
        skip_string(&mut from)?;
        for _ in 0..from.length(true)?.unwrap_or(0) {
            parts.push(part(&mut from, frame.len())?);
        }
        skip_tags(&mut from)?;
    }
    skip_tags(&mut from)?;
    from.finish()?;
    Ok(Answer {
        correlation,
        error,
        session,
    })
}

fn part(from: &mut Reader<'_>, frame: usize) -> Result<Part, DecodeError> {
    let partition = from.i32()?;
    let error = from.i16()?;
    // High watermark, last stable offset and log start.
    from.take(24)?;
    for _ in 0..from.length(true)?.unwrap_or(0) {
        from.take(16)?;
        skip_tags(from)?;
    }
    // The preferred replica.
    from.i32()?;
    let length = from.length(true)?.unwrap_or(0);
    let begin = frame - from.remaining();
    from.take(length)?;
    skip_tags(from)?;
    Ok(Part {
        partition,
        error,
        records: begin..begin + length,
    })
}

/// The whole batches at the start of `bytes`: a cut one ends them.
#[derive(Clone, Debug)]
pub(super) struct Batches<'a>(&'a [u8]);

impl<'a> Batches<'a> {
    /// Those of a partition in an answer.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<(BatchHeader, &'a [u8]), HeaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        let header = match BatchHeader::parse(self.0) {
            Ok(header) => header,
            Err(HeaderError::Truncated(_)) => return None,
            Err(error) => {
                self.0 = &[];
                return Some(Err(error));
            }
        };
        let (batch, rest) = self.0.split_at_checked(header.total_len())?;
        self.0 = rest;
        Some(Ok((header, batch)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::{Buf, Bytes, BytesMut};
    use kafka_protocol::messages::fetch_response::{
        AbortedTransaction, FetchableTopicResponse, PartitionData,
    };
    use kafka_protocol::messages::{FetchRequest, FetchResponse, RequestHeader};
    use kafka_protocol::protocol::{Decodable, Encodable};

    use super::super::plan::Limit;
    use super::*;

    fn request_for(wanted: &[Wanted], session: Session) -> FetchRequest {
        let target = Target {
            topic: "numbers".to_owned(),
            partitions: Vec::new(),
            produce_version: 12,
            client_id: "me".to_owned(),
        };
        let spec = FetchSpec {
            consumers: 1,
            threads: 1,
            limit: Limit::Ends,
            wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 1000,
            partition_bytes: 100,
        };
        let frame = encode(&target, &spec, 77, session, wanted.iter().copied()).unwrap();
        let mut frame = Bytes::from(frame);
        assert_eq!(frame.get_i32() as usize, frame.remaining());
        let header = RequestHeader::decode(&mut frame, 2).unwrap();
        assert_eq!(
            (header.request_api_key, header.request_api_version),
            (1, 12)
        );
        assert_eq!(header.correlation_id, 77);
        let request = FetchRequest::decode(&mut frame, VERSION).unwrap();
        assert!(!frame.has_remaining());
        request
    }

    #[test]
    fn the_codec_reads_the_request() {
        let request = request_for(&[(3, 30), (4, 40)], Session { id: 9, epoch: 2 });
        assert_eq!((request.session_id, request.session_epoch), (9, 2));
        assert_eq!(
            (request.max_wait_ms, request.min_bytes, request.max_bytes),
            (500, 1, 1000)
        );
        let partitions = &request.topics[0].partitions;
        let asked: Vec<_> = partitions
            .iter()
            .map(|p| (p.partition, p.fetch_offset))
            .collect();
        assert_eq!(asked, [(3, 30), (4, 40)]);
        assert_eq!(partitions[0].partition_max_bytes, 100);
        assert!(
            request_for(&[], Session { id: 9, epoch: 3 })
                .topics
                .is_empty()
        );
    }

    #[test]
    fn an_answer_is_read_as_the_codec_writes_it() {
        let data = |partition: i32, records: &'static [u8]| {
            PartitionData::default()
                .with_partition_index(partition)
                .with_error_code(i16::try_from(partition).unwrap())
                .with_aborted_transactions(Some(vec![AbortedTransaction::default()]))
                .with_records(Some(Bytes::from_static(records)))
        };
        let topic = FetchableTopicResponse::default()
            .with_partitions(vec![data(3, b"three"), data(4, b"")]);
        let response = FetchResponse::default()
            .with_session_id(9)
            .with_responses(vec![topic]);
        let mut frame = BytesMut::from(&[0, 0, 0, 77, 0][..]);
        response.encode(&mut frame, VERSION).unwrap();
        let mut parts = Vec::new();
        let answered = answer(&frame, &mut parts).unwrap();
        assert_eq!(
            (answered.correlation, answered.error, answered.session),
            (77, 0, 9)
        );
        let seen: Vec<_> = parts
            .iter()
            .map(|part| (part.partition, part.error, &frame[part.records.clone()]))
            .collect();
        assert_eq!(seen, [(3, 3, &b"three"[..]), (4, 4, b"")]);
        for cut in 0..frame.len() {
            assert!(answer(&frame[..cut], &mut parts).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_session_goes_on_while_the_broker_keeps_it() {
        let first = Session::default().after(7);
        assert_eq!(first, Session { id: 7, epoch: 1 });
        assert_eq!(first.after(7), Session { id: 7, epoch: 2 });
        let last = Session {
            id: 7,
            epoch: i32::MAX,
        };
        assert_eq!(last.after(7), first);
        assert!(first.after(0).is_full());
    }
}
