//! Writes a Fetch response around stored bytes, versions 4 to 18.
//!
//! The generated codec copies records into its buffer; here they stay [`Chunk::Records`] between
//! the fields, so that the connection may send them from the file. The layout is that of Kafka's
//! `FetchResponse.json`; every version is checked against the generated decoder below.
//!
//! ```text
//! throttle 4 | error 2 (7+) | session 4 (7+) | topics: name, or id 16 (13+) | partitions:
//!   index 4 | error 2 | high watermark 8 | last stable 8 | log start 8 (5+)
//!   | aborted: producer 8, first offset 8 | preferred replica 4 (11+) | length, records
//!   | tags (12+): 0 diverging epoch, 1 current leader
//! | tags (16+): 0 node endpoints
//! ```
//!
//! From version 12 on strings, arrays and bytes are compact and every structure ends with tags.

use bytes::BufMut;
use smallvec::SmallVec;

use super::fetch_session::TopicKey;
use super::reply::{Body, Chunk};
use crate::model::{LeaderEpoch, NodeId, Offset, PartitionId};
use crate::storage::{AbortedTransaction, RecordBytes};

/// First version with compact encodings and tagged fields.
const FLEXIBLE: i16 = 12;

/// Bytes before the records of a partition, at most but for long names and lists.
const HEAD_BYTES: usize = 128;

/// The fields of one partition, before which its topic is known.
#[derive(Clone, Debug)]
pub(crate) struct PartitionAnswer {
    /// Its number.
    pub(crate) partition: PartitionId,
    /// Kafka's error code.
    pub(crate) error_code: i16,
    /// -1 with an error.
    pub(crate) high_watermark: i64,
    /// -1 with an error.
    pub(crate) last_stable: i64,
    /// -1 with an error.
    pub(crate) log_start: i64,
    /// A list for `read_committed`, `None` for `read_uncommitted`.
    pub(crate) aborted: Option<Vec<AbortedTransaction>>,
    /// Whole batches. Empty, never null: librdkafka refuses null.
    pub(crate) records: RecordBytes,
    /// Largest epoch below which client and broker agree, and its end (12+).
    pub(crate) diverging: Option<(LeaderEpoch, Offset)>,
    /// Told to a client whose leader epoch is wrong (12+, KIP-951).
    pub(crate) current_leader: Option<(NodeId, LeaderEpoch)>,
}

/// Where a node is to be reached (16+, KIP-951).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Node.
    pub(crate) node: NodeId,
    /// Host name or address.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
}

/// The fields of the response outside its topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// Kafka's error code, sent from version 7 on.
    pub(crate) error_code: i16,
    /// Session, or 0; sent from version 7 on.
    pub(crate) session_id: i32,
    /// Endpoints of the leaders that partitions name, sent from version 16 on.
    pub(crate) endpoints: Vec<Endpoint>,
}

/// Writes the response, and takes the records out of the answers. Those that follow one another and
/// have the same topic share its entry.
pub(crate) fn write(
    version: i16,
    envelope: &Envelope,
    answers: &mut [(&TopicKey, PartitionAnswer)],
) -> Body {
    let topics = answers.chunk_by(|one, next| one.0 == next.0).count();
    let mut writer = Writer::new(version);
    writer.bytes.put_i32(0);
    if version >= 7 {
        writer.bytes.put_i16(envelope.error_code);
        writer.bytes.put_i32(envelope.session_id);
    }
    writer.array_length(topics);
    for answers in answers.chunk_by_mut(|one, next| one.0 == next.0) {
        if let Some((topic, _)) = answers.first() {
            writer.topic(topic);
        }
        writer.array_length(answers.len());
        for (_, answer) in answers {
            writer.partition(answer);
        }
        writer.no_tags();
    }
    writer.endpoints(&envelope.endpoints);
    writer.finish()
}

struct Writer {
    version: i16,
    bytes: Vec<u8>,
    chunks: SmallVec<[Chunk; 1]>,
}

impl Writer {
    fn new(version: i16) -> Self {
        Self {
            version,
            bytes: Vec::with_capacity(HEAD_BYTES),
            chunks: SmallVec::new(),
        }
    }

    /// Behind records there is no buffer, since nothing may follow. What does is mostly as long as
    /// what came before them.
    fn make_room(&mut self) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(HEAD_BYTES);
        }
    }

    fn flexible(&self) -> bool {
        self.version >= FLEXIBLE
    }

    fn topic(&mut self, topic: &TopicKey) {
        self.make_room();
        match topic {
            TopicKey::Id(id) => self.bytes.put_slice(id.0.as_bytes()),
            TopicKey::Name(name) => {
                if self.flexible() {
                    put_compact_length(&mut self.bytes, name.len());
                } else {
                    // A name of more than 32,767 bytes does not arrive: it came in this encoding.
                    self.bytes
                        .put_i16(i16::try_from(name.len()).unwrap_or(i16::MAX));
                }
                self.bytes.put_slice(name.as_bytes());
            }
        }
    }

    /// Takes the records out of the answer.
    fn partition(&mut self, answer: &mut PartitionAnswer) {
        self.make_room();
        self.bytes.put_i32(answer.partition.0);
        self.bytes.put_i16(answer.error_code);
        self.bytes.put_i64(answer.high_watermark);
        self.bytes.put_i64(answer.last_stable);
        if self.version >= 5 {
            self.bytes.put_i64(answer.log_start);
        }
        self.aborted(answer.aborted.as_deref());
        if self.version >= 11 {
            // No preferred read replica: there is one node.
            self.bytes.put_i32(-1);
        }
        self.records(std::mem::replace(&mut answer.records, RecordBytes::EMPTY));
        if self.flexible() {
            self.partition_tags(answer.diverging, answer.current_leader);
        }
    }

    fn aborted(&mut self, aborted: Option<&[AbortedTransaction]>) {
        let Some(aborted) = aborted else {
            match self.flexible() {
                true => self.bytes.put_u8(0),
                false => self.bytes.put_i32(-1),
            }
            return;
        };
        self.array_length(aborted.len());
        for transaction in aborted {
            self.bytes.put_i64(transaction.producer_id);
            self.bytes.put_i64(transaction.first_offset.0);
            self.no_tags();
        }
    }

    fn records(&mut self, records: RecordBytes) {
        if self.flexible() {
            put_compact_length(&mut self.bytes, records.len());
        } else {
            // A read is bounded by the 32-bit sizes of its request, or is a single batch.
            self.bytes
                .put_i32(i32::try_from(records.len()).unwrap_or(i32::MAX));
        }
        if !records.is_empty() {
            self.chunks
                .push(Chunk::Bytes(std::mem::take(&mut self.bytes)));
            self.chunks.push(Chunk::Records(records));
        }
    }

    fn partition_tags(
        &mut self,
        diverging: Option<(LeaderEpoch, Offset)>,
        leader: Option<(NodeId, LeaderEpoch)>,
    ) {
        put_uvarint(
            &mut self.bytes,
            usize::from(diverging.is_some()) + usize::from(leader.is_some()),
        );
        if let Some((epoch, end)) = diverging {
            put_tag(&mut self.bytes, 0, 4 + 8 + 1);
            self.bytes.put_i32(epoch.0);
            self.bytes.put_i64(end.0);
            self.no_tags();
        }
        if let Some((node, epoch)) = leader {
            put_tag(&mut self.bytes, 1, 4 + 4 + 1);
            self.bytes.put_i32(node.0);
            self.bytes.put_i32(epoch.0);
            self.no_tags();
        }
    }

    fn endpoints(&mut self, endpoints: &[Endpoint]) {
        if self.version < 16 || endpoints.is_empty() {
            self.no_tags();
            return;
        }
        let mut list = Vec::new();
        put_compact_length(&mut list, endpoints.len());
        for Endpoint { node, host, port } in endpoints {
            list.put_i32(node.0);
            put_compact_length(&mut list, host.len());
            list.put_slice(host.as_bytes());
            list.put_i32(i32::from(*port));
            // No rack, no tags.
            list.put_u8(0);
            list.put_u8(0);
        }
        put_uvarint(&mut self.bytes, 1);
        put_tag(&mut self.bytes, 0, list.len());
        self.bytes.put_slice(&list);
    }

    fn array_length(&mut self, length: usize) {
        if self.flexible() {
            put_compact_length(&mut self.bytes, length);
        } else {
            self.bytes
                .put_i32(i32::try_from(length).unwrap_or(i32::MAX));
        }
    }

    fn no_tags(&mut self) {
        if self.flexible() {
            self.bytes.put_u8(0);
        }
    }

    fn finish(mut self) -> Body {
        if !self.bytes.is_empty() {
            self.chunks.push(Chunk::Bytes(self.bytes));
        }
        Body {
            chunks: self.chunks,
        }
    }
}

/// A compact length is one more than the length; 0 stands for null.
fn put_compact_length(to: &mut Vec<u8>, length: usize) {
    put_uvarint(to, length + 1);
}

fn put_tag(to: &mut Vec<u8>, tag: usize, length: usize) {
    put_uvarint(to, tag);
    put_uvarint(to, length);
}

fn put_uvarint(to: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        to.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::messages::FetchResponse;
    use kafka_protocol::protocol::Decodable;
    use uuid::Uuid;

    use super::*;
    use crate::model::TopicId;

    fn flatten(body: Body) -> Bytes {
        let mut all = BytesMut::new();
        for chunk in body.chunks {
            match chunk {
                Chunk::Bytes(bytes) => all.extend_from_slice(&bytes),
                Chunk::Records(RecordBytes::Memory(bytes)) => all.extend_from_slice(&bytes),
                Chunk::Records(RecordBytes::Region { .. }) => unreachable!("memory only"),
            }
        }
        all.freeze()
    }

    fn topic(version: i16, number: u128) -> TopicKey {
        match version {
            13.. => TopicKey::Id(TopicId(Uuid::from_u128(number))),
            _ => TopicKey::Name(format!("topic-{number}").into()),
        }
    }

    fn answer(partition: i32, records: &'static [u8]) -> PartitionAnswer {
        PartitionAnswer {
            partition: PartitionId(partition),
            error_code: 0,
            high_watermark: 100 + i64::from(partition),
            last_stable: 90,
            log_start: 3,
            aborted: None,
            records: RecordBytes::Memory(Bytes::from_static(records)),
            diverging: None,
            current_leader: None,
        }
    }

    #[test]
    fn every_version_is_what_the_generated_decoder_reads() {
        for version in 4..=18 {
            let (first, second) = (topic(version, 1), topic(version, 2));
            let aborted = vec![
                AbortedTransaction {
                    producer_id: 7,
                    first_offset: Offset(20),
                },
                AbortedTransaction {
                    producer_id: 8,
                    first_offset: Offset(21),
                },
            ];
            let fenced = PartitionAnswer {
                error_code: 74,
                current_leader: Some((NodeId(1), LeaderEpoch(5))),
                diverging: Some((LeaderEpoch(4), Offset(44))),
                ..answer(2, b"")
            };
            let mut answers = vec![
                (&first, answer(0, b"first")),
                (
                    &first,
                    PartitionAnswer {
                        aborted: Some(aborted),
                        ..answer(1, &[9; 300])
                    },
                ),
                (&first, fenced),
                (
                    &second,
                    PartitionAnswer {
                        aborted: Some(Vec::new()),
                        ..answer(3, b"")
                    },
                ),
                (&first, answer(4, b"last")),
            ];
            let endpoint = Endpoint {
                node: NodeId(1),
                host: "h".to_owned(),
                port: 9092,
            };
            let envelope = Envelope {
                error_code: 0,
                session_id: 55,
                endpoints: vec![endpoint],
            };
            let mut bytes = flatten(write(version, &envelope, &mut answers));
            let decoded = FetchResponse::decode(&mut bytes, version).unwrap();
            assert!(
                bytes.is_empty(),
                "v{version}: {} bytes are left",
                bytes.len()
            );
            assert_eq!(decoded.session_id, if version >= 7 { 55 } else { 0 });
            assert_eq!(decoded.responses.len(), 3);
            for (entry, expected) in decoded.responses.iter().zip([&first, &second, &first]) {
                match expected {
                    TopicKey::Name(name) => assert_eq!(entry.topic.as_str(), &**name),
                    TopicKey::Id(id) => assert_eq!(entry.topic_id, id.0),
                }
            }
            let partitions: Vec<_> = decoded
                .responses
                .iter()
                .flat_map(|entry| &entry.partitions)
                .collect();
            assert_eq!(partitions.len(), 5);
            for (number, partition) in (0..).zip(&partitions) {
                assert_eq!(partition.partition_index, number);
                assert_eq!(partition.high_watermark, 100 + i64::from(number));
                assert_eq!(partition.last_stable_offset, 90);
                assert_eq!(
                    partition.log_start_offset,
                    if version >= 5 { 3 } else { -1 }
                );
                assert_eq!(partition.preferred_read_replica, -1);
            }
            assert_eq!(partitions[0].records, Some(Bytes::from_static(b"first")));
            assert_eq!(partitions[0].aborted_transactions, None);
            assert_eq!(partitions[1].records.as_ref().unwrap().len(), 300);
            let aborted = partitions[1].aborted_transactions.as_ref().unwrap();
            assert_eq!((aborted[1].producer_id.0, aborted[1].first_offset), (8, 21));
            assert_eq!(partitions[2].error_code, 74);
            assert_eq!(partitions[2].records, Some(Bytes::new()), "empty, not null");
            assert_eq!(partitions[3].aborted_transactions, Some(Vec::new()));
            assert_eq!(partitions[4].records, Some(Bytes::from_static(b"last")));
            if version >= 12 {
                assert_eq!(partitions[2].current_leader.leader_id.0, 1);
                assert_eq!(partitions[2].current_leader.leader_epoch, 5);
                assert_eq!(partitions[2].diverging_epoch.epoch, 4);
                assert_eq!(partitions[2].diverging_epoch.end_offset, 44);
            }
            assert_eq!(decoded.node_endpoints.len(), usize::from(version >= 16));
        }
    }

    #[test]
    fn an_error_is_an_envelope_without_topics() {
        for version in 4..=18 {
            let envelope = Envelope {
                error_code: 70,
                ..Envelope::default()
            };
            let mut bytes = flatten(write(version, &envelope, &mut []));
            let decoded = FetchResponse::decode(&mut bytes, version).unwrap();
            assert!(bytes.is_empty());
            assert_eq!(decoded.error_code, if version >= 7 { 70 } else { 0 });
            assert!(decoded.responses.is_empty());
        }
    }

    #[test]
    fn records_stay_a_piece_of_their_own() {
        let topic = topic(18, 1);
        let body = write(
            18,
            &Envelope::default(),
            &mut [(&topic, answer(0, b"records"))],
        );
        let kinds: Vec<_> = body
            .chunks
            .iter()
            .map(|chunk| matches!(chunk, Chunk::Records(_)))
            .collect();
        assert_eq!(kinds, [false, true, false]);
    }
}
