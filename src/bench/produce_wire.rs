//! The frames of Produce: versions 9 to 12, which have the same fields and name topics.

use super::frame::{CORRELATION_AT, finish, request, skip_string, skip_tags};
use super::plan::Target;
use crate::model::Acks;
use crate::model::limits::BATCH_HEADER_LENGTH;
use crate::wire::{DecodeError, EncodeError, Reader, Writer};

/// Oldest and newest version that is spoken.
pub(crate) const VERSION_MIN: i16 = 9;
pub(crate) const VERSION_MAX: i16 = 12;

const KEY: i16 = 0;

/// How long the broker may take to commit a batch.
const TIMEOUT_MS: i32 = 30_000;

/// What ends a request: the tagged fields of the partition, of the topic, of the request.
pub(super) const TRAILER: [u8; 3] = [0; 3];

/// The request up to the records of its one batch.
#[derive(Clone, Debug)]
pub(super) struct RequestHead {
    bytes: Vec<u8>,
    partition_at: usize,
    batch_at: usize,
}

impl RequestHead {
    /// For batches of that many bytes.
    pub(super) fn new(target: &Target, acks: Acks, batch: usize) -> Result<Self, EncodeError> {
        let mut out = request(KEY, target.produce_version, &target.client_id)?;
        // No transaction.
        out.string_length(None, true)?;
        out.i16(acks.get());
        out.i32(TIMEOUT_MS);
        out.length(Some(1), true)?;
        out.string_length(Some(target.topic.len()), true)?;
        out.raw(target.topic.as_bytes());
        out.length(Some(1), true)?;
        let mut bytes = out.into_bytes();
        let partition_at = bytes.len();
        let mut out = Writer::new();
        out.i32(0);
        out.length(Some(batch), true)?;
        bytes.extend(out.into_bytes());
        let batch_at = bytes.len();
        bytes.resize(batch_at + BATCH_HEADER_LENGTH, 0);
        let length = batch_at + batch + TRAILER.len();
        finish(&mut bytes, length)?;
        Ok(Self {
            bytes,
            partition_at,
            batch_at,
        })
    }

    /// The request for this partition, up to the header of its batch.
    pub(super) fn fill(
        &mut self,
        correlation: i32,
        partition: i32,
        header: &[u8; BATCH_HEADER_LENGTH],
    ) -> &[u8] {
        let fields: [(usize, &[u8]); 3] = [
            (CORRELATION_AT, &correlation.to_be_bytes()),
            (self.partition_at, &partition.to_be_bytes()),
            (self.batch_at, header),
        ];
        for (at, value) in fields {
            if let Some(field) = self.bytes.get_mut(at..at + value.len()) {
                field.copy_from_slice(value);
            }
        }
        &self.bytes
    }
}

/// What became of the batch of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// To which request.
    pub(super) correlation: i32,
    /// 0, or why it was refused.
    pub(super) error: i16,
    /// Where its first record is.
    pub(super) base_offset: i64,
}

/// Reads an answer, which is about one partition.
pub(super) fn answer(frame: &[u8]) -> Result<Answer, DecodeError> {
    let mut from = Reader::new(frame);
    let correlation = from.i32()?;
    skip_tags(&mut from)?;
    let mut found = Answer {
        correlation,
        // UNKNOWN_SERVER_ERROR: nothing is said about the partition.
        error: -1,
        base_offset: -1,
    };
    for _ in 0..from.length(true)?.unwrap_or(0) {
        skip_string(&mut from)?;
        for _ in 0..from.length(true)?.unwrap_or(0) {
            from.i32()?;
            found.error = from.i16()?;
            found.base_offset = from.i64()?;
            // Append time and log start.
            from.take(16)?;
            for _ in 0..from.length(true)?.unwrap_or(0) {
                from.i32()?;
                skip_string(&mut from)?;
                skip_tags(&mut from)?;
            }
            skip_string(&mut from)?;
            skip_tags(&mut from)?;
        }
        skip_tags(&mut from)?;
    }
    // The throttle time.
    from.i32()?;
    skip_tags(&mut from)?;
    from.finish()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use bytes::{Buf, Bytes, BytesMut};
    use kafka_protocol::messages::produce_response::{
        BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
    };
    use kafka_protocol::messages::{ProduceRequest, ProduceResponse, RequestHeader};
    use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

    use super::*;

    #[test]
    fn the_codec_reads_the_request() {
        for version in VERSION_MIN..=VERSION_MAX {
            let target = Target {
                topic: "numbers".to_owned(),
                partitions: Vec::new(),
                produce_version: version,
                client_id: "me".to_owned(),
            };
            let mut head = RequestHead::new(&target, Acks::All, 300).unwrap();
            let mut frame = head.fill(77, 5, &[7; BATCH_HEADER_LENGTH]).to_vec();
            frame.extend_from_slice(&[8; 300 - BATCH_HEADER_LENGTH]);
            frame.extend_from_slice(&TRAILER);
            let mut frame = Bytes::from(frame);
            assert_eq!(frame.get_i32() as usize, frame.remaining());
            let header = RequestHeader::decode(&mut frame, 2).unwrap();
            assert_eq!(
                (header.request_api_key, header.request_api_version),
                (0, version)
            );
            assert_eq!(
                (header.correlation_id, header.client_id.unwrap().as_str()),
                (77, "me")
            );
            let request = ProduceRequest::decode(&mut frame, version).unwrap();
            assert!(!frame.has_remaining());
            assert_eq!((request.acks, request.timeout_ms), (-1, TIMEOUT_MS));
            let topic = &request.topic_data[0];
            assert_eq!(topic.name.0.as_str(), "numbers");
            let partition = &topic.partition_data[0];
            assert_eq!(partition.index, 5);
            let batch = partition.records.as_ref().unwrap();
            assert_eq!((batch.len(), batch[60], batch[61]), (300, 7, 8));
        }
    }

    #[test]
    fn an_answer_is_read_as_the_codec_writes_it() {
        for version in VERSION_MIN..=VERSION_MAX {
            let partition = PartitionProduceResponse::default()
                .with_index(5)
                .with_error_code(10)
                .with_base_offset(1234)
                .with_record_errors(vec![
                    BatchIndexAndErrorMessage::default()
                        .with_batch_index_error_message(Some(StrBytes::from_static_str("why"))),
                ])
                .with_error_message(Some(StrBytes::from_static_str("because")));
            let topic = TopicProduceResponse::default().with_partition_responses(vec![partition]);
            let response = ProduceResponse::default().with_responses(vec![topic]);
            let mut frame = BytesMut::from(&[0, 0, 0, 77, 0][..]);
            response.encode(&mut frame, version).unwrap();
            let expected = Answer {
                correlation: 77,
                error: 10,
                base_offset: 1234,
            };
            assert_eq!(answer(&frame), Ok(expected));
            for cut in 0..frame.len() {
                assert!(answer(&frame[..cut]).is_err(), "cut at {cut}");
            }
        }
    }
}
