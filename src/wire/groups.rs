//! The records of `__consumer_offsets`, as Kafka 4.1.2 describes them
//! (`group-coordinator/src/main/resources/common/message/*.json`).
//!
//! ```text
//! key    int16 record type, then the key's fields, never flexible
//! value  int16 version, then the value's fields in that version; null is a tombstone
//! ```
//!
//! A type that stands in no row (share and streams groups, or garbage) decodes to
//! [`DecodeError::RecordType`]: a loader notes it and goes on, as Kafka's does.

use bytes::Bytes;
use uuid::Uuid;

use super::{DecodeError, EncodeError, Field, Format, Reader, Schema, Writer, schema};

schema! {
    /// Key of a committed offset.
    pub OffsetCommitKey [versions 0..=0, flexible from 1] {
        /// Group.
        group: String = String::new(), since 0;
        /// Topic, by name.
        topic: String = String::new(), since 0;
        /// Partition.
        partition: i32 = 0, since 0;
    }

    /// A committed offset.
    pub OffsetCommitValue [versions 0..=4, flexible from 4] {
        /// The next offset to be read.
        offset: i64 = 0, since 0;
        /// Leader epoch of the last record that was read; -1 if the client did not say.
        leader_epoch: i32 = -1, since 3;
        /// What the client wanted kept.
        metadata: String = String::new(), since 0;
        /// When it was committed, in milliseconds.
        commit_timestamp: i64 = 0, since 0;
        /// When it expires; -1 if the client, one of long ago, did not say.
        expire_timestamp: i64 = -1, since 1, until 1;
        /// The topic's id; nil in records that Kafka before 4.1 wrote.
        topic_id: Uuid = Uuid::nil(), since 4, tag 0;
    }

    /// Key of what names a group and nothing else: types 2, 3, 4 and 6.
    pub GroupKey [versions 0..=0, flexible from 1] {
        /// Group.
        group: String = String::new(), since 0;
    }

    /// Key of a member of a group: types 5, 7 and 8.
    pub GroupMemberKey [versions 0..=0, flexible from 1] {
        /// Group.
        group: String = String::new(), since 0;
        /// Member.
        member: String = String::new(), since 0;
    }

    /// Key of a resolved regular expression.
    pub GroupExpressionKey [versions 0..=0, flexible from 1] {
        /// Group.
        group: String = String::new(), since 0;
        /// The expression.
        expression: String = String::new(), since 0;
    }

    /// A member of a classic group.
    pub ClassicMember [versions 0..=4, flexible from 4] {
        /// Member id.
        member_id: String = String::new(), since 0;
        /// `group.instance.id` of a static member (KIP-345).
        group_instance_id: Option<String> = None, since 3;
        /// Client id.
        client_id: String = String::new(), since 0;
        /// Its address.
        client_host: String = String::new(), since 0;
        /// Milliseconds that it may take to join again.
        rebalance_timeout: i32 = -1, since 1;
        /// Milliseconds without a heartbeat after which it is gone.
        session_timeout: i32 = 0, since 0;
        /// Metadata of the chosen protocol.
        subscription: Bytes = Bytes::new(), since 0;
        /// What the leader assigned to it.
        assignment: Bytes = Bytes::new(), since 0;
    }

    /// A generation of a classic group.
    pub GroupMetadataValue [versions 0..=4, flexible from 4] {
        /// Type of its protocols; empty for a group that only commits offsets.
        protocol_type: String = String::new(), since 0;
        /// Generation.
        generation: i32 = 0, since 0;
        /// The chosen protocol.
        protocol: Option<String> = None, since 0;
        /// Member id of the leader.
        leader: Option<String> = None, since 0;
        /// When the group came into its state, in milliseconds.
        current_state_timestamp: i64 = -1, since 2;
        /// Members.
        members: Vec<ClassicMember> = Vec::new(), since 0;
    }

    /// The epoch of a consumer group.
    pub ConsumerGroupMetadataValue [versions 0..=0, flexible from 0] {
        /// Group epoch.
        epoch: i32 = 0, since 0;
        /// Hash of the topics that it subscribes to, with their partitions (KIP-1101).
        metadata_hash: i64 = 0, since 0, tag 0;
    }

    /// A topic as a consumer group knew it, before the hash.
    pub ConsumerGroupTopicMetadata [versions 0..=0, flexible from 0] {
        /// Id.
        topic_id: Uuid = Uuid::nil(), since 0;
        /// Name.
        topic_name: String = String::new(), since 0;
        /// Partitions.
        num_partitions: i32 = 0, since 0;
        /// Racks of the partitions; not used since Kafka 4.0.
        partition_metadata: Vec<ConsumerGroupPartitionRacks> = Vec::new(), since 0;
    }

    /// The racks of a partition.
    pub ConsumerGroupPartitionRacks [versions 0..=0, flexible from 0] {
        /// Partition.
        partition: i32 = 0, since 0;
        /// Racks.
        racks: Vec<String> = Vec::new(), since 0;
    }

    /// The topics of a consumer group, as Kafka before 4.1 wrote them.
    pub ConsumerGroupPartitionMetadataValue [versions 0..=0, flexible from 0] {
        /// Topics.
        topics: Vec<ConsumerGroupTopicMetadata> = Vec::new(), since 0;
    }

    /// A protocol that a classic member of a consumer group offers.
    pub ClassicProtocol [versions 0..=0, flexible from 0] {
        /// Name.
        name: String = String::new(), since 0;
        /// Metadata.
        metadata: Bytes = Bytes::new(), since 0;
    }

    /// What a consumer group keeps of a member that speaks the classic protocol.
    pub ClassicMemberMetadata [versions 0..=0, flexible from 0] {
        /// Milliseconds without a heartbeat after which it is gone.
        session_timeout_ms: i32 = 0, since 0;
        /// Protocols that it offers.
        supported_protocols: Vec<ClassicProtocol> = Vec::new(), since 0;
    }

    /// A member of a consumer group.
    pub ConsumerGroupMemberMetadataValue [versions 0..=0, flexible from 0] {
        /// `group.instance.id` of a static member.
        instance_id: Option<String> = None, since 0;
        /// Rack.
        rack_id: Option<String> = None, since 0;
        /// Client id.
        client_id: String = String::new(), since 0;
        /// Its address.
        client_host: String = String::new(), since 0;
        /// Topics that it names.
        subscribed_topic_names: Vec<String> = Vec::new(), since 0;
        /// Topics that it describes.
        subscribed_topic_regex: Option<String> = None, since 0;
        /// Milliseconds that it may take to give up partitions.
        rebalance_timeout_ms: i32 = -1, since 0;
        /// Assignor that it wants.
        server_assignor: Option<String> = None, since 0;
        /// There for members that speak the classic protocol. Kafka's default is an empty one, so
        /// that its absence is written.
        classic_member_metadata: Option<ClassicMemberMetadata> = Some(ClassicMemberMetadata::default()), since 0, tag 0;
    }

    /// The epoch of a consumer group's target assignment.
    pub TargetAssignmentMetadataValue [versions 0..=0, flexible from 0] {
        /// Group epoch that it was computed for.
        assignment_epoch: i32 = 0, since 0;
    }

    /// Partitions of one topic.
    pub AssignedTopic [versions 0..=0, flexible from 0] {
        /// Topic.
        topic_id: Uuid = Uuid::nil(), since 0;
        /// Partitions.
        partitions: Vec<i32> = Vec::new(), since 0;
    }

    /// What a member of a consumer group shall have.
    pub TargetAssignmentMemberValue [versions 0..=0, flexible from 0] {
        /// Partitions.
        topic_partitions: Vec<AssignedTopic> = Vec::new(), since 0;
    }

    /// What a member of a consumer group has.
    pub CurrentMemberAssignmentValue [versions 0..=0, flexible from 0] {
        /// Epoch that its next heartbeat must name.
        member_epoch: i32 = 0, since 0;
        /// Epoch before it: accepted, too, since the answer with the new one may be lost.
        previous_member_epoch: i32 = 0, since 0;
        /// `MemberState` id.
        state: i8 = 0, since 0;
        /// Partitions that it has.
        assigned_partitions: Vec<AssignedTopic> = Vec::new(), since 0;
        /// Partitions that it has to give up.
        partitions_pending_revocation: Vec<AssignedTopic> = Vec::new(), since 0;
    }

    /// Topics that match a regular expression.
    pub RegularExpressionValue [versions 0..=0, flexible from 0] {
        /// Names.
        topics: Vec<String> = Vec::new(), since 0;
        /// Offset of the metadata that they were looked up in.
        version: i64 = 0, since 0;
        /// When that was, in milliseconds.
        timestamp: i64 = 0, since 0;
    }
}

/// A struct in a tagged field that may be null has a varint in front: 1, or 0 for null.
impl Field for Option<ClassicMemberMetadata> {
    const SIZE_MIN: usize = 1;

    fn encode(&self, writer: &mut Writer, format: Format) -> Result<(), EncodeError> {
        match self {
            Some(value) => {
                writer.uvarint(1);
                value.encode(writer, format)
            }
            None => {
                writer.uvarint(0);
                Ok(())
            }
        }
    }

    fn decode(reader: &mut Reader<'_>, format: Format) -> Result<Self, DecodeError> {
        if reader.uvarint()? == 0 {
            return Ok(None);
        }
        Ok(Some(ClassicMemberMetadata::decode(reader, format)?))
    }
}

/// A value, or the tombstone of its key.
pub type OrTombstone<T> = Option<T>;

macro_rules! record_set {
    ($($(#[$doc:meta])* $type:literal => $variant:ident($key:ident, $value:ident, written $written:expr),)*) => {
        /// A record of `__consumer_offsets`.
        #[derive(Clone, Debug, PartialEq)]
        pub enum GroupRecord {$(
            $(#[$doc])*
            $variant($key, OrTombstone<$value>),
        )*}

        impl GroupRecord {
            /// Key and value, in the versions that Kafka 4.1 writes.
            pub fn encode(&self) -> Result<(Vec<u8>, Option<Vec<u8>>), EncodeError> {
                let mut key_writer = Writer::new();
                let mut value_writer = Writer::new();
                let present = match self {$(
                    Self::$variant(key, value) => {
                        key_writer.i16($type);
                        key.write(&mut key_writer, 0)?;
                        if let Some(value) = value {
                            let version_of: fn(&$value) -> i16 = $written;
                            let version = version_of(value);
                            value_writer.i16(version);
                            value.write(&mut value_writer, version)?;
                        }
                        value.is_some()
                    }
                )*};
                Ok((key_writer.into_bytes(), present.then(|| value_writer.into_bytes())))
            }

            /// Reads a record from its key and value; also gives the version of the value.
            pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<(Self, Option<i16>), DecodeError> {
                let mut key_reader = Reader::new(key);
                let kind = key_reader.i16()?;
                let mut version = None;
                let record = match kind {
                    $($type => {
                        let key = $key::read(&mut key_reader, 0)?;
                        let value = match value {
                            None => None,
                            Some(bytes) => {
                                let mut reader = Reader::new(bytes);
                                let found = reader.i16()?;
                                version = Some(found);
                                let found = u32::from(found.cast_unsigned());
                                let value = $value::read(&mut reader, found)?;
                                reader.finish()?;
                                Some(value)
                            }
                        };
                        Self::$variant(key, value)
                    })*
                    unknown => return Err(DecodeError::RecordType(u32::from(unknown.cast_unsigned()))),
                };
                key_reader.finish()?;
                Ok((record, version))
            }
        }
    };
}

record_set! {
    /// A committed offset, as Kafka before 0.9 wrote it.
    0 => LegacyOffsetCommit(OffsetCommitKey, OffsetCommitValue, written |_| 0),
    /// A committed offset.
    1 => OffsetCommit(
        OffsetCommitKey, OffsetCommitValue,
        // A time of expiry fits into one version only.
        written |value| if value.expire_timestamp == -1 { 4 } else { 1 }
    ),
    /// A generation of a classic group.
    2 => ClassicGroup(GroupKey, GroupMetadataValue, written |_| 3),
    /// The epoch of a consumer group.
    3 => ConsumerGroup(GroupKey, ConsumerGroupMetadataValue, written |_| 0),
    /// The topics of a consumer group; Kafka before 4.1.
    4 => ConsumerGroupTopics(GroupKey, ConsumerGroupPartitionMetadataValue, written |_| 0),
    /// A member of a consumer group.
    5 => Member(GroupMemberKey, ConsumerGroupMemberMetadataValue, written |_| 0),
    /// The epoch of a target assignment.
    6 => TargetAssignment(GroupKey, TargetAssignmentMetadataValue, written |_| 0),
    /// The target assignment of a member.
    7 => TargetAssignmentMember(GroupMemberKey, TargetAssignmentMemberValue, written |_| 0),
    /// The current assignment of a member.
    8 => CurrentAssignment(GroupMemberKey, CurrentMemberAssignmentValue, written |_| 0),
    /// A regular expression with the topics that match it.
    16 => RegularExpression(GroupExpressionKey, RegularExpressionValue, written |_| 0),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<GroupRecord> {
        let (group, member) = ("g".to_owned(), "m".to_owned());
        let key = || GroupKey {
            group: group.clone(),
        };
        let member_key = || GroupMemberKey {
            group: group.clone(),
            member: member.clone(),
        };
        let offset_key = || OffsetCommitKey {
            group: group.clone(),
            topic: "t".to_owned(),
            partition: 1,
        };
        let topics = || AssignedTopic {
            topic_id: Uuid::from_u128(7),
            partitions: vec![0, 1],
        };
        vec![
            GroupRecord::LegacyOffsetCommit(offset_key(), Some(OffsetCommitValue::default())),
            GroupRecord::OffsetCommit(
                offset_key(),
                Some(OffsetCommitValue {
                    offset: 9,
                    leader_epoch: 2,
                    metadata: "kept".to_owned(),
                    commit_timestamp: 5,
                    ..OffsetCommitValue::default()
                }),
            ),
            GroupRecord::OffsetCommit(
                offset_key(),
                Some(OffsetCommitValue {
                    expire_timestamp: 3,
                    ..OffsetCommitValue::default()
                }),
            ),
            GroupRecord::OffsetCommit(offset_key(), None),
            GroupRecord::ClassicGroup(
                key(),
                Some(GroupMetadataValue {
                    members: vec![ClassicMember {
                        group_instance_id: Some("i".to_owned()),
                        assignment: Bytes::from_static(&[1, 2]),
                        ..ClassicMember::default()
                    }],
                    ..GroupMetadataValue::default()
                }),
            ),
            GroupRecord::ConsumerGroup(
                key(),
                Some(ConsumerGroupMetadataValue {
                    epoch: 1,
                    metadata_hash: -2,
                }),
            ),
            GroupRecord::Member(
                member_key(),
                Some(ConsumerGroupMemberMetadataValue {
                    classic_member_metadata: Some(ClassicMemberMetadata {
                        session_timeout_ms: 4,
                        supported_protocols: vec![ClassicProtocol::default()],
                    }),
                    ..ConsumerGroupMemberMetadataValue::default()
                }),
            ),
            GroupRecord::CurrentAssignment(
                member_key(),
                Some(CurrentMemberAssignmentValue {
                    assigned_partitions: vec![topics()],
                    ..CurrentMemberAssignmentValue::default()
                }),
            ),
            GroupRecord::RegularExpression(GroupExpressionKey::default(), None),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        for record in all() {
            let (key, value) = record.encode().unwrap();
            let (read, _) = GroupRecord::decode(&key, value.as_deref()).unwrap();
            assert_eq!(read, record);
        }
    }

    fn from_hex(text: &str) -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.map(byte).collect()
    }

    #[test]
    fn records_of_kafka_are_read_and_written_byte_for_byte() {
        let mut kinds = std::collections::HashSet::new();
        let golden = include_str!("golden/consumer_offsets.txt");
        for line in golden.lines().filter(|line| !line.starts_with('#')) {
            let (key, value) = line.split_once(' ').unwrap();
            let key = from_hex(key);
            let value = (value != "-").then(|| from_hex(value));
            let decoded = GroupRecord::decode(&key, value.as_deref());
            let (record, version) = decoded.unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(record.encode().unwrap(), (key, value), "{record:?}");
            kinds.insert((std::mem::discriminant(&record), version));
        }
        // All that Kafka writes today, in both versions of offsets, and as tombstones.
        assert_eq!(kinds.len(), 18);
    }

    #[test]
    fn other_types_are_told_apart_from_damage() {
        let streams = [0, 17, 0, 1, b'g'];
        assert_eq!(
            GroupRecord::decode(&streams, None),
            Err(DecodeError::RecordType(17))
        );
        assert!(GroupRecord::decode(&[0], None).is_err());
        assert!(GroupRecord::decode(&[0, 2, 0, 1, b'g', 9], None).is_err());
    }
}
