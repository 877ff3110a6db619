//! The records of the metadata log, as Kafka 4.1.2 describes them
//! (`metadata/src/main/resources/common/metadata/*.json`).
//!
//! A record of the log has no key; its value is a frame (`MetadataRecordSerde`):
//!
//! ```text
//! uvarint  frame version, 1
//! uvarint  record type (Kafka: apiKey)
//! uvarint  version of the record
//! ...      the record in that version
//! ```
//!
//! To add a type: a row in `schema!` and its line in `record_set!`. A type that stands in
//! neither is refused when a log is loaded, never skipped: the image would be wrong.

use uuid::Uuid;

use super::{DecodeError, EncodeError, Reader, Schema, Writer, schema};

/// The only frame version (`AbstractApiMessageSerde.DEFAULT_FRAME_VERSION`).
const FRAME_VERSION: u32 = 1;

schema! {
    /// A listener of a node.
    pub Endpoint [versions 0..=3, flexible from 0] {
        /// Listener name.
        name: String = String::new(), since 0;
        /// Host to connect to.
        host: String = String::new(), since 0;
        /// Port to connect to.
        port: u16 = 0, since 0;
        /// `SecurityProtocol` id; 0 is PLAINTEXT.
        security_protocol: i16 = 0, since 0;
    }

    /// The levels of a feature that a node supports.
    pub SupportedFeature [versions 0..=3, flexible from 0] {
        /// Feature.
        name: String = String::new(), since 0;
        /// Lowest level.
        min_supported_version: i16 = 0, since 0;
        /// Highest level.
        max_supported_version: i16 = 0, since 0;
    }

    /// A broker process starts.
    pub RegisterBrokerRecord [versions 0..=3, flexible from 0] {
        /// Node id.
        broker_id: i32 = 0, since 0;
        /// Whether it migrates from ZooKeeper; false since Kafka 4.
        is_migrating_zk_broker: bool = false, since 2;
        /// Id of the process.
        incarnation_id: Uuid = Uuid::nil(), since 0;
        /// Epoch of the registration: the offset of its record.
        broker_epoch: i64 = 0, since 0;
        /// Its listeners.
        endpoints: Vec<Endpoint> = Vec::new(), since 0;
        /// What it supports.
        features: Vec<SupportedFeature> = Vec::new(), since 0;
        /// `broker.rack`.
        rack: Option<String> = None, since 0;
        /// Whether clients may not use it yet.
        fenced: bool = true, since 0;
        /// Whether it is about to stop.
        in_controlled_shutdown: bool = false, since 1;
        /// Ids of its data directories.
        log_dirs: Vec<Uuid> = Vec::new(), since 3, tag 0;
    }

    /// A broker leaves for good.
    pub UnregisterBrokerRecord [versions 0..=0, flexible from 0] {
        /// Node id.
        broker_id: i32 = 0, since 0;
        /// Epoch of its registration.
        broker_epoch: i64 = 0, since 0;
    }

    /// A topic; its partitions follow.
    pub TopicRecord [versions 0..=0, flexible from 0] {
        /// Name.
        name: String = String::new(), since 0;
        /// Id.
        topic_id: Uuid = Uuid::nil(), since 0;
    }

    /// A partition.
    pub PartitionRecord [versions 0..=2, flexible from 0] {
        /// Number.
        partition_id: i32 = -1, since 0;
        /// Topic.
        topic_id: Uuid = Uuid::nil(), since 0;
        /// Nodes that hold it, preferred leader first.
        replicas: Vec<i32> = Vec::new(), since 0;
        /// Those in sync.
        isr: Vec<i32> = Vec::new(), since 0;
        /// Those on their way out.
        removing_replicas: Vec<i32> = Vec::new(), since 0;
        /// Those on their way in.
        adding_replicas: Vec<i32> = Vec::new(), since 0;
        /// Leader, or -1.
        leader: i32 = -1, since 0;
        /// 1 while it recovers from an unclean election.
        leader_recovery_state: i8 = 0, since 0, tag 0;
        /// Term of the leader.
        leader_epoch: i32 = -1, since 0;
        /// Version of this state.
        partition_epoch: i32 = -1, since 0;
        /// Data directory of each replica (KIP-858).
        directories: Vec<Uuid> = Vec::new(), since 1;
        /// Eligible leader replicas (KIP-966).
        eligible_leader_replicas: Option<Vec<i32>> = None, since 2, tag 1;
        /// The last known of them.
        last_known_elr: Option<Vec<i32>> = None, since 2, tag 2;
    }

    /// A config key is set or removed.
    pub ConfigRecord [versions 0..=0, flexible from 0] {
        /// `ConfigResource.Type` id.
        resource_type: i8 = 0, since 0;
        /// Name of the resource; empty for all brokers.
        resource_name: String = String::new(), since 0;
        /// Key.
        name: String = String::new(), since 0;
        /// Value; null removes it.
        value: Option<String> = None, since 0;
    }

    /// Part of a partition's state changes.
    pub PartitionChangeRecord [versions 0..=2, flexible from 0] {
        /// Number.
        partition_id: i32 = -1, since 0;
        /// Topic.
        topic_id: Uuid = Uuid::nil(), since 0;
        /// New in-sync replicas, if they changed.
        isr: Option<Vec<i32>> = None, since 0, tag 0;
        /// New leader, -1 for none; -2 if it did not change. A record with another value, even
        /// of the same leader, raises the leader epoch.
        leader: i32 = -2, since 0, tag 1;
        /// New replicas, if they changed.
        replicas: Option<Vec<i32>> = None, since 0, tag 2;
        /// New replicas on their way out, if they changed.
        removing_replicas: Option<Vec<i32>> = None, since 0, tag 3;
        /// New replicas on their way in, if they changed.
        adding_replicas: Option<Vec<i32>> = None, since 0, tag 4;
        /// New recovery state; -1 if it did not change.
        leader_recovery_state: i8 = -1, since 0, tag 5;
        /// New eligible leader replicas, if they changed.
        eligible_leader_replicas: Option<Vec<i32>> = None, since 2, tag 6;
        /// The last known of them, if they changed.
        last_known_elr: Option<Vec<i32>> = None, since 2, tag 7;
        /// New data directories, if they changed.
        directories: Option<Vec<Uuid>> = None, since 1, tag 8;
    }

    /// A topic goes, with its partitions and its configs.
    pub RemoveTopicRecord [versions 0..=0, flexible from 0] {
        /// Its id.
        topic_id: Uuid = Uuid::nil(), since 0;
    }

    /// The finalized level of a feature.
    pub FeatureLevelRecord [versions 0..=0, flexible from 0] {
        /// Feature.
        name: String = String::new(), since 0;
        /// Level; 0 removes it.
        feature_level: i16 = 0, since 0;
    }

    /// A block of producer ids is given out.
    pub ProducerIdsRecord [versions 0..=0, flexible from 0] {
        /// To which broker.
        broker_id: i32 = 0, since 0;
        /// Epoch of that broker's registration.
        broker_epoch: i64 = -1, since 0;
        /// First id after the block.
        next_producer_id: i64 = 0, since 0;
    }

    /// Part of a broker's registration changes.
    pub BrokerRegistrationChangeRecord [versions 0..=2, flexible from 0] {
        /// Node id.
        broker_id: i32 = 0, since 0;
        /// Epoch of its registration.
        broker_epoch: i64 = 0, since 0;
        /// -1 unfenced, 0 no change, 1 fenced.
        fenced: i8 = 0, since 0, tag 0;
        /// 1 when it is about to stop.
        in_controlled_shutdown: i8 = 0, since 1, tag 1;
        /// Ids of its data directories.
        log_dirs: Vec<Uuid> = Vec::new(), since 2, tag 2;
    }

    /// Nothing; Kafka's idle controller writes it to move the offset on.
    pub NoOpRecord [versions 0..=0, flexible from 0] {}

    /// What follows counts only when its end is there (KIP-868).
    pub BeginTransactionRecord [versions 0..=0, flexible from 0] {
        /// What it is for.
        name: Option<String> = None, since 0, tag 0;
    }

    /// What came since the begin counts.
    pub EndTransactionRecord [versions 0..=0, flexible from 0] {}

    /// What came since the begin does not count.
    pub AbortTransactionRecord [versions 0..=0, flexible from 0] {
        /// Why.
        reason: Option<String> = None, since 0, tag 0;
    }

    /// A controller process starts.
    pub RegisterControllerRecord [versions 0..=0, flexible from 0] {
        /// Node id.
        controller_id: i32 = 0, since 0;
        /// Id of the process.
        incarnation_id: Uuid = Uuid::nil(), since 0;
        /// Whether it migrates from ZooKeeper; false since Kafka 4.
        zk_migration_ready: bool = false, since 0;
        /// Its listeners.
        endpoints: Vec<Endpoint> = Vec::new(), since 0;
        /// What it supports.
        features: Vec<SupportedFeature> = Vec::new(), since 0;
    }
}

/// Gives each record type its number, and makes the sum of them.
macro_rules! record_set {
    ($($key:literal => $variant:ident($record:ident),)*) => {
        /// A record of the metadata log.
        #[derive(Clone, Debug, PartialEq)]
        pub enum MetadataRecord {$(
            #[doc = concat!("Type ", $key, ".")]
            $variant($record),
        )*}

        impl MetadataRecord {
            /// Number and newest version of each type.
            pub const TYPES: &[(u32, &str, i16)] =
                &[$(($key, $record::NAME, *$record::VERSIONS.end()),)*];

            /// Writes the record with its frame, in the newest version, which is what metadata
            /// version 4.1-IV1 wants.
            pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
                match self {$(
                    Self::$variant(_) => self.encode_as(*$record::VERSIONS.end()),
                )*}
            }

            /// Writes the record with its frame, in `version`.
            pub fn encode_as(&self, version: i16) -> Result<Vec<u8>, EncodeError> {
                let mut writer = Writer::new();
                match self {$(
                    Self::$variant(record) => {
                        let wire_version = u32::try_from(version).map_err(|_| {
                            EncodeError::Version { record: $record::NAME, version }
                        })?;
                        writer.uvarint(FRAME_VERSION);
                        writer.uvarint($key);
                        writer.uvarint(wire_version);
                        record.write(&mut writer, version)?;
                    }
                )*}
                Ok(writer.into_bytes())
            }

            /// Reads a record with its frame; also gives the version it was written in.
            pub fn decode(bytes: &[u8]) -> Result<(Self, i16), DecodeError> {
                let mut reader = Reader::new(bytes);
                let frame = reader.uvarint()?;
                if frame != FRAME_VERSION {
                    return Err(DecodeError::FrameVersion(frame));
                }
                let key = reader.uvarint()?;
                let version = reader.uvarint()?;
                let record = match key {
                    $($key => Self::$variant($record::read(&mut reader, version)?),)*
                    unknown => return Err(DecodeError::RecordType(unknown)),
                };
                reader.finish()?;
                Ok((record, version as i16))
            }
        }

        $(impl From<$record> for MetadataRecord {
            fn from(record: $record) -> Self {
                Self::$variant(record)
            }
        })*
    };
}

record_set! {
    0 => RegisterBroker(RegisterBrokerRecord),
    1 => UnregisterBroker(UnregisterBrokerRecord),
    2 => Topic(TopicRecord),
    3 => Partition(PartitionRecord),
    4 => Config(ConfigRecord),
    5 => PartitionChange(PartitionChangeRecord),
    9 => RemoveTopic(RemoveTopicRecord),
    12 => FeatureLevel(FeatureLevelRecord),
    15 => ProducerIds(ProducerIdsRecord),
    17 => BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    20 => NoOp(NoOpRecord),
    23 => BeginTransaction(BeginTransactionRecord),
    24 => EndTransaction(EndTransactionRecord),
    25 => AbortTransaction(AbortTransactionRecord),
    27 => RegisterController(RegisterControllerRecord),
}
