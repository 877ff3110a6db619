//! Writes a Produce response, versions 3 to 13.
//!
//! The generated codec wants a tree of vectors for the few bytes that most answers have. The layout
//! is that of Kafka's `ProduceResponse.json`; every version is checked against the generated
//! decoder below.
//!
//! ```text
//! topics: name, or id 16 (13+) | partitions:
//!   index 4 | error 2 | base offset 8 | append time 8 | log start 8 (5+)
//!   | record errors (8+): index 4, message | message (8+) | tags (10+): 0 current leader
//! | throttle 4 | tags (10+): 0 node endpoints
//! ```
//!
//! From version 9 on strings and arrays are compact and every structure ends with tags; there is
//! one node, so nobody is told of another leader.

use crate::model::TopicId;
use crate::storage::Appended;
use crate::wire::{EncodeError, Writer};

/// First version with compact encodings and tagged fields.
const FLEXIBLE: i16 = 9;
/// First version that tells what is wrong with which record.
const RECORD_ERRORS: i16 = 8;
/// First version that tells where the log starts.
const LOG_START: i16 = 5;
/// First version that names topics by id.
const TOPIC_ID: i16 = 13;

/// Bytes of an answer without its topics, and of one partition, at most if nothing is wrong.
const ENVELOPE_BYTES: usize = 16;
const PARTITION_BYTES: usize = 48;

/// What a partition is told.
#[derive(Debug)]
pub(crate) enum PartitionAnswer {
    /// The batch is in the log.
    Appended(Appended),
    /// It is not, or nobody knows.
    Refused(Refused),
}

/// Why a partition refused a batch.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Kafka's error code.
    pub(crate) error_code: i16,
    /// -1 where Kafka does not tell.
    pub(crate) log_start: i64,
    /// Index and message of each record that is at fault.
    pub(crate) records: Vec<(i32, String)>,
    /// A text for people.
    pub(crate) message: Option<String>,
}

/// Writes a response of that version.
#[derive(Debug)]
pub(crate) struct ProduceResponse {
    version: i16,
    out: Writer,
}

impl ProduceResponse {
    /// Begins a response with so many topics, that have so many partitions in all.
    pub(crate) fn new(version: i16, topics: usize, partitions: usize) -> Result<Self, EncodeError> {
        let names = topics * if version >= TOPIC_ID { 20 } else { 32 };
        let mut response = Self {
            version,
            out: Writer::with_capacity(ENVELOPE_BYTES + names + partitions * PARTITION_BYTES),
        };
        response.length(topics)?;
        Ok(response)
    }

    /// Begins the next topic.
    pub(crate) fn topic(
        &mut self,
        name: &str,
        id: TopicId,
        partitions: usize,
    ) -> Result<(), EncodeError> {
        if self.version >= TOPIC_ID {
            self.out.uuid(id.0);
        } else {
            self.text(Some(name))?;
        }
        self.length(partitions)
    }

    /// The next partition of the topic.
    pub(crate) fn partition(
        &mut self,
        index: i32,
        answer: &PartitionAnswer,
    ) -> Result<(), EncodeError> {
        let (error_code, base_offset, time, log_start) = match answer {
            PartitionAnswer::Appended(appended) => (
                0,
                appended.base_offset.0,
                appended.log_append_time.map_or(-1, |time| time.0),
                appended.log_start.0,
            ),
            PartitionAnswer::Refused(refused) => (refused.error_code, -1, -1, refused.log_start),
        };
        self.out.i32(index);
        self.out.i16(error_code);
        self.out.i64(base_offset);
        self.out.i64(time);
        if self.version >= LOG_START {
            self.out.i64(log_start);
        }
        if self.version >= RECORD_ERRORS {
            let (records, message) = match answer {
                PartitionAnswer::Appended(_) => (&[][..], None),
                PartitionAnswer::Refused(refused) => {
                    (refused.records.as_slice(), refused.message.as_deref())
                }
            };
            self.length(records.len())?;
            for (index, message) in records {
                self.out.i32(*index);
                self.text(Some(message))?;
                self.no_tags();
            }
            self.text(message)?;
        }
        self.no_tags();
        Ok(())
    }

    /// Ends the topic.
    pub(crate) fn end_topic(&mut self) {
        self.no_tags();
    }

    /// Ends the response.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        // Never throttled.
        self.out.i32(0);
        self.no_tags();
        self.out.into_bytes()
    }

    fn length(&mut self, length: usize) -> Result<(), EncodeError> {
        self.out.length(Some(length), self.version >= FLEXIBLE)
    }

    fn text(&mut self, text: Option<&str>) -> Result<(), EncodeError> {
        let flexible = self.version >= FLEXIBLE;
        self.out.string_length(text.map(str::len), flexible)?;
        self.out.raw(text.unwrap_or_default().as_bytes());
        Ok(())
    }

    fn no_tags(&mut self) {
        if self.version >= FLEXIBLE {
            self.out.uvarint(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::ProduceResponse as Decoded;
    use kafka_protocol::protocol::Decodable;
    use uuid::Uuid;

    use super::*;
    use crate::model::{Offset, Timestamp};

    #[test]
    fn every_version_is_read_by_the_codec() {
        let appended = Appended {
            base_offset: Offset(7),
            next_offset: Offset(9),
            log_append_time: Some(Timestamp(5)),
            log_start: Offset(3),
            duplicate: false,
        };
        let answers = [
            PartitionAnswer::Appended(appended),
            PartitionAnswer::Refused(Refused {
                error_code: 87,
                log_start: 2,
                records: vec![(1, "one".to_owned()), (4, "four".to_owned())],
                message: Some("why".to_owned()),
            }),
        ];
        let id = TopicId(Uuid::from_u128(77));
        for version in 3..=13 {
            let mut response = ProduceResponse::new(version, 2, 2).unwrap();
            response.topic("numbers", id, 2).unwrap();
            for (index, answer) in (40..).zip(&answers) {
                response.partition(index, answer).unwrap();
            }
            response.end_topic();
            response.topic("", id, 0).unwrap();
            response.end_topic();
            let bytes = response.finish();
            let mut bytes = bytes.as_slice();
            let decoded = Decoded::decode(&mut bytes, version).unwrap();
            assert!(bytes.is_empty(), "v{version}");
            assert_eq!(decoded.throttle_time_ms, 0);
            assert!(decoded.unknown_tagged_fields.is_empty());
            let [topic, other] = &decoded.responses[..] else {
                panic!("two topics");
            };
            match version {
                13.. => assert_eq!(topic.topic_id, id.0),
                _ => assert_eq!((topic.name.as_str(), other.name.as_str()), ("numbers", "")),
            }
            let [good, bad] = &topic.partition_responses[..] else {
                panic!("two partitions");
            };
            assert_eq!((good.index, good.error_code, good.base_offset), (40, 0, 7));
            assert_eq!(good.log_append_time_ms, 5);
            assert_eq!(
                (good.error_message.as_ref(), good.record_errors.len()),
                (None, 0)
            );
            assert_eq!((bad.index, bad.error_code, bad.base_offset), (41, 87, -1));
            assert_eq!(bad.log_append_time_ms, -1);
            let starts = (good.log_start_offset, bad.log_start_offset);
            assert_eq!(starts, if version >= 5 { (3, 2) } else { (-1, -1) });
            if version >= 8 {
                let errors = bad.record_errors.iter();
                let errors: Vec<_> = errors
                    .map(|error| {
                        let message = error.batch_index_error_message.as_deref();
                        (error.batch_index, message.unwrap())
                    })
                    .collect();
                assert_eq!(errors, [(1, "one"), (4, "four")]);
                assert_eq!(bad.error_message.as_deref(), Some("why"));
            }
        }
    }
}
