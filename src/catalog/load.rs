//! Replays batches of the metadata log, or of a snapshot, onto an image.

use std::path::PathBuf;

use super::{CommitError, Image, ReplayError};
use crate::batch::{BatchHeader, HeaderError, RecordFormatError, RecordsError, records};
use crate::model::Offset;
use crate::storage::ReadError;
use crate::wire::DecodeError;
use crate::wire::control::ControlRecord;
use crate::wire::metadata::MetadataRecord;

/// Why the metadata log could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// What stands there is no batch, or not a whole one.
    #[error("metadata log: no batch at offset {at}: {source}")]
    Batch {
        /// Offset that was expected.
        at: Offset,
        /// Why.
        source: RecordsError,
    },
    /// A batch does not have its checksum.
    #[error("metadata log: damaged batch at offset {at}")]
    Checksum {
        /// Its first offset.
        at: Offset,
    },
    /// A batch does not follow the one before it.
    #[error("metadata log: offset {found} follows where {expected} should")]
    Gap {
        /// Offset that was expected.
        expected: Offset,
        /// Offset of the batch.
        found: Offset,
    },
    /// A record cannot be read.
    #[error("metadata log: no record at offset {at}: {source}")]
    Record {
        /// Its offset.
        at: Offset,
        /// Why.
        source: DecodeError,
    },
    /// A record does not fit what came before it.
    #[error("metadata log: record at offset {at}: {source}")]
    Replay {
        /// Its offset.
        at: Offset,
        /// Why.
        source: ReplayError,
    },
    /// A batch whose records are malformed.
    #[error("metadata log: malformed record at offset {at}: {source}")]
    Format {
        /// First offset of the batch.
        at: Offset,
        /// Why.
        source: RecordFormatError,
    },
    /// A snapshot is not whole.
    #[error("a snapshot without its header or footer")]
    Unfinished,
    /// The log cannot be read.
    #[error("metadata log: {0}")]
    Read(#[from] ReadError),
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The first records of this start could not be appended.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// What a batch of control records said.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Batch {
    /// Records that were replayed.
    Replayed,
    /// Control records.
    Control(Vec<ControlRecord>),
}

/// Replays batch after batch.
#[derive(Debug)]
pub(super) struct Loader {
    image: Image,
    /// The image before a transaction that has begun.
    before_transaction: Option<Image>,
}

impl Loader {
    /// Goes on from `image`.
    pub(super) fn new(image: Image) -> Self {
        Self {
            image,
            before_transaction: None,
        }
    }

    /// The image, and whether the log ends within a transaction, which then does not count.
    pub(super) fn finish(self) -> (Image, bool) {
        match self.before_transaction {
            None => (self.image, false),
            Some(before) => (
                Image {
                    next_offset: self.image.next_offset,
                    ..before
                },
                true,
            ),
        }
    }

    /// First offset that was not replayed.
    pub(super) fn next_offset(&self) -> Offset {
        self.image.next_offset
    }

    /// Replays whole batches of the log; those that the image holds already are stepped over.
    pub(super) fn log(&mut self, mut bytes: &[u8]) -> Result<(), LoadError> {
        while !bytes.is_empty() {
            let (batch, header, rest) = self.split_batch(bytes)?;
            if header.next_offset() > self.image.next_offset {
                self.batch(batch, &header)?;
            }
            bytes = rest;
        }
        Ok(())
    }

    /// Takes the first batch off `bytes`.
    pub(super) fn split_batch<'a>(
        &self,
        bytes: &'a [u8],
    ) -> Result<(&'a [u8], BatchHeader, &'a [u8]), LoadError> {
        let at = self.image.next_offset;
        let header = BatchHeader::parse(bytes).map_err(|source| LoadError::Batch {
            at,
            source: source.into(),
        })?;
        let (batch, rest) =
            bytes
                .split_at_checked(header.total_len())
                .ok_or_else(|| LoadError::Batch {
                    at,
                    source: HeaderError::Truncated(bytes.len()).into(),
                })?;
        Ok((batch, header, rest))
    }

    /// Replays one batch, which must be the next one.
    pub(super) fn batch(&mut self, batch: &[u8], header: &BatchHeader) -> Result<Batch, LoadError> {
        let at = header.base_offset;
        if !header.crc_matches(batch) {
            return Err(LoadError::Checksum { at });
        }
        if at != self.image.next_offset {
            return Err(LoadError::Gap {
                expected: self.image.next_offset,
                found: at,
            });
        }
        let mut said = Vec::new();
        let records = records(batch).map_err(|source| LoadError::Batch { at, source })?;
        for record in &records {
            let record = record.map_err(|source| LoadError::Format { at, source })?;
            let value = record.value.unwrap_or_default();
            let decode_error = |source| LoadError::Record {
                at: record.offset,
                source,
            };
            if header.is_control() {
                let key = record.key.unwrap_or_default();
                said.push(ControlRecord::decode(key, value).map_err(decode_error)?);
            } else {
                let (decoded, _version) = MetadataRecord::decode(value).map_err(decode_error)?;
                self.record(&decoded).map_err(|source| LoadError::Replay {
                    at: record.offset,
                    source,
                })?;
            }
        }
        self.image.next_offset = header.next_offset();
        self.image.epoch = header.leader_epoch;
        self.image.timestamp = header.max_timestamp;
        Ok(if header.is_control() {
            Batch::Control(said)
        } else {
            Batch::Replayed
        })
    }

    fn record(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        match (record, self.before_transaction.is_some()) {
            (MetadataRecord::BeginTransaction(_), false) => {
                self.before_transaction = Some(self.image.clone());
                Ok(())
            }
            (MetadataRecord::EndTransaction(_), true) => {
                self.before_transaction = None;
                Ok(())
            }
            (MetadataRecord::AbortTransaction(_), true) => {
                if let Some(before) = self.before_transaction.take() {
                    self.image = before;
                }
                Ok(())
            }
            (record, _) => self.image.replay(record),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::snapshot::{self, SnapshotId};
    use crate::catalog::{ConfigResource, PartitionState};
    use crate::model::{LeaderEpoch, NodeId, PartitionId, ProducerId, TopicName};

    const LOG: &[u8] = include_bytes!("golden/kafka-4.1.2.log");
    const SNAPSHOT: &[u8] =
        include_bytes!("golden/kafka-4.1.2-00000000000000000052-0000000002.checkpoint");
    const BOOTSTRAP: &[u8] = include_bytes!("golden/kafka-4.1.2-bootstrap.checkpoint");
    const SNAPSHOT_ID: SnapshotId = SnapshotId {
        end: Offset(52),
        epoch: LeaderEpoch(2),
    };

    /// The batches of a file, with their headers.
    fn batches(mut bytes: &[u8]) -> Vec<(&[u8], BatchHeader)> {
        let mut batches = Vec::new();
        while !bytes.is_empty() {
            let header = BatchHeader::parse(bytes).unwrap();
            let (batch, rest) = bytes.split_at(header.total_len());
            batches.push((batch, header));
            bytes = rest;
        }
        batches
    }

    #[test]
    fn every_record_that_kafka_wrote_is_written_again_as_the_same_bytes() {
        let mut types = std::collections::BTreeSet::new();
        let mut control = 0;
        for file in [LOG, SNAPSHOT, BOOTSTRAP] {
            for (batch, header) in batches(file) {
                for record in &records(batch).unwrap() {
                    let record = record.unwrap();
                    let (key, value) = (record.key, record.value.unwrap());
                    if header.is_control() {
                        let decoded = ControlRecord::decode(key.unwrap(), value).unwrap();
                        assert_eq!(
                            decoded.encode().unwrap(),
                            (key.unwrap().to_vec(), value.to_vec()),
                            "{decoded:?}"
                        );
                        control += 1;
                    } else {
                        assert_eq!(key, None);
                        let (decoded, version) = MetadataRecord::decode(value).unwrap();
                        assert_eq!(decoded.encode_as(version).unwrap(), value, "{decoded:?}");
                        types.insert(value[1]);
                    }
                }
            }
        }
        assert_eq!(control, 6, "two leaders, two headers, two footers");
        assert_eq!(
            types.into_iter().collect::<Vec<_>>(),
            [0, 2, 3, 4, 5, 9, 12, 15, 17, 23, 24, 27]
        );
    }

    fn loaded(log: &[u8]) -> Image {
        let mut loader = Loader::new(Image::default());
        loader.log(log).unwrap();
        let (image, unfinished) = loader.finish();
        assert!(!unfinished);
        image
    }

    #[test]
    fn kafkas_log_replays_to_kafkas_state() {
        let image = loaded(LOG);
        assert_eq!(
            (image.next_offset(), image.epoch),
            (Offset(53), LeaderEpoch(2))
        );
        let names: Vec<_> = image.topics().map(|topic| topic.name.to_string()).collect();
        assert_eq!(names, ["late", "plain"]);
        let plain = image.topic_by_name("plain").unwrap();
        assert_eq!(plain.id.to_base64(), "nVsdJu1RTbe2k-G_nn1qaQ");
        assert_eq!(plain.partitions.len(), 5);
        assert_eq!(
            plain.partition(PartitionId(4)),
            Some(&PartitionState {
                replicas: vec![NodeId(1)],
                isr: Vec::new(),
                leader: NodeId(-1),
                leader_epoch: LeaderEpoch(3),
                partition_epoch: 3,
            }),
            "stopped, started and stopped again"
        );
        assert_eq!(image.next_producer_id(), ProducerId(1000));
        assert_eq!(image.features().get("metadata.version"), Some(&27));
        let topic = ConfigResource::Topic(TopicName::new("plain").unwrap());
        assert_eq!(
            image.configs(&topic).get("max.message.bytes").unwrap(),
            "2000"
        );
        let broker = ConfigResource::Broker(Some(NodeId(1)));
        assert_eq!(
            image.configs(&broker).get("log.cleaner.threads").unwrap(),
            "3"
        );
    }

    #[test]
    fn kafkas_snapshot_is_the_state_of_its_log() {
        let below: usize = batches(LOG)
            .iter()
            .filter(|(_, header)| header.next_offset() <= SNAPSHOT_ID.end)
            .map(|(batch, _)| batch.len())
            .sum();
        let from_log = loaded(&LOG[..below]);
        let mut from_snapshot = snapshot::decode(SNAPSHOT, SNAPSHOT_ID).unwrap();
        // Left over in Kafka's, see the README of the golden files.
        let deleted = ConfigResource::Topic(TopicName::new("with.config").unwrap());
        from_snapshot.configs.remove(&deleted);
        assert_eq!(from_snapshot, from_log);

        let mut loader = Loader::new(from_snapshot);
        loader.log(LOG).unwrap();
        assert_eq!(
            loader.finish().0,
            loaded(LOG),
            "what the snapshot holds is stepped over"
        );
    }

    #[test]
    fn damage_is_an_error_that_says_where() {
        let load = |log: &[u8]| Loader::new(Image::default()).log(log);
        let mut damaged = LOG.to_vec();
        damaged[91 + 100] ^= 1;
        assert!(matches!(
            load(&damaged),
            Err(LoadError::Checksum { at: Offset(1) })
        ));
        assert!(matches!(
            load(&LOG[..LOG.len() - 1]),
            Err(LoadError::Batch { at: Offset(52), .. })
        ));
        assert!(matches!(
            load(&LOG[91..]),
            Err(LoadError::Gap {
                expected: Offset(0),
                found: Offset(1)
            })
        ));
    }

    #[test]
    fn a_snapshot_without_its_end_or_beginning_is_not_whole() {
        let decode = |bytes: &[u8]| snapshot::decode(bytes, SNAPSHOT_ID);
        let footer = batches(SNAPSHOT).last().unwrap().0.len();
        assert!(matches!(
            decode(&SNAPSHOT[..SNAPSHOT.len() - footer]),
            Err(LoadError::Unfinished)
        ));
        assert!(matches!(decode(&[]), Err(LoadError::Unfinished)));
        assert!(matches!(decode(LOG), Err(LoadError::Unfinished)));
        for len in 0..SNAPSHOT.len() {
            assert!(decode(&SNAPSHOT[..len]).is_err(), "cut to {len}");
        }
    }
}
