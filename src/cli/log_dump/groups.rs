//! Records of `__consumer_offsets` as Kafka's `DumpLogSegments --offsets-decoder` shows them: the
//! type of the key and the version of the value, and behind each its fields, under Kafka's names.
//!
//! Two things differ from it. Bytes that clients gave are shown as text or as hex, as those of any
//! other record. And what cannot be decoded is shown as it is, with the reason.

use serde_json::{Value, json};
use uuid::Uuid;

use super::Row;
use crate::batch::RecordView;
use crate::cli::output::bytes_as_json;
use crate::model::TopicId;
use crate::wire::groups::{
    AssignedTopic, ClassicMember, ClassicMemberMetadata, ConsumerGroupMemberMetadataValue,
    ConsumerGroupPartitionMetadataValue, GroupKey, GroupMemberKey, GroupMetadataValue, GroupRecord,
    OffsetCommitKey, OffsetCommitValue,
};

/// What Kafka's tool prints for the payload of a tombstone.
const DELETE: &str = "<DELETE>";

/// The row with the key and the payload of a record.
pub(super) fn fields<'a>(row: Row<'a>, record: &RecordView<'_>) -> Row<'a> {
    let raw = |row: Row<'a>, error: String| {
        row.with_some("key", record.key.map(hex))
            .with_some("payload", record.value.map(hex))
            .with("error", error)
    };
    let Some(key) = record.key else {
        return raw(row, "a record without a key".to_owned());
    };
    match GroupRecord::decode(key, record.value) {
        Ok((decoded, version)) => {
            let (kind, key, value) = parts(&decoded, version.unwrap_or(0));
            let payload = match (value, version) {
                (Some(data), Some(version)) => {
                    json!({"version": version.to_string(), "data": data})
                }
                _ => DELETE.into(),
            };
            row.with("key", json!({"type": kind.to_string(), "data": key}))
                .with("payload", payload)
        }
        Err(error) => raw(row, error.to_string()),
    }
}

/// The type of a record, the fields of its key, and those of its value in `version`.
fn parts(record: &GroupRecord, version: i16) -> (i16, Value, Option<Value>) {
    match record {
        GroupRecord::LegacyOffsetCommit(key, value) => {
            (0, offset_key(key), offset(value.as_ref(), version))
        }
        GroupRecord::OffsetCommit(key, value) => {
            (1, offset_key(key), offset(value.as_ref(), version))
        }
        GroupRecord::ClassicGroup(GroupKey { group }, value) => {
            let value = value.as_ref().map(|value| classic(value, version));
            (2, json!({"group": group}), value)
        }
        GroupRecord::ConsumerGroup(key, value) => {
            let value = value.as_ref().map(|value| {
                let mut data = json!({"epoch": value.epoch});
                set_unless(
                    &mut data,
                    "metadataHash",
                    value.metadata_hash == 0,
                    value.metadata_hash,
                );
                data
            });
            (3, group_key(key), value)
        }
        GroupRecord::ConsumerGroupTopics(key, value) => {
            (4, group_key(key), value.as_ref().map(known_topics))
        }
        GroupRecord::Member(key, value) => (5, member_key(key), value.as_ref().map(member)),
        GroupRecord::TargetAssignment(key, value) => {
            let value = value.as_ref();
            let value = value.map(|value| json!({"assignmentEpoch": value.assignment_epoch}));
            (6, group_key(key), value)
        }
        GroupRecord::TargetAssignmentMember(key, value) => {
            let value = value.as_ref();
            let value =
                value.map(|value| json!({"topicPartitions": topics(&value.topic_partitions)}));
            (7, member_key(key), value)
        }
        GroupRecord::CurrentAssignment(key, value) => {
            let value = value.as_ref().map(|value| {
                json!({
                    "memberEpoch": value.member_epoch,
                    "previousMemberEpoch": value.previous_member_epoch,
                    "state": value.state,
                    "assignedPartitions": topics(&value.assigned_partitions),
                    "partitionsPendingRevocation": topics(&value.partitions_pending_revocation),
                })
            });
            (8, member_key(key), value)
        }
        GroupRecord::RegularExpression(key, value) => {
            let value = value.as_ref().map(|value| {
                json!({
                    "topics": value.topics,
                    "version": value.version,
                    "timestamp": value.timestamp,
                })
            });
            let key = json!({"groupId": key.group, "regularExpression": key.expression});
            (16, key, value)
        }
    }
}

fn offset_key(key: &OffsetCommitKey) -> Value {
    json!({"group": key.group, "topic": key.topic, "partition": key.partition})
}

fn group_key(key: &GroupKey) -> Value {
    json!({"groupId": key.group})
}

fn member_key(key: &GroupMemberKey) -> Value {
    json!({"groupId": key.group, "memberId": key.member})
}

fn offset(value: Option<&OffsetCommitValue>, version: i16) -> Option<Value> {
    let value = value?;
    let mut data = json!({
        "offset": value.offset,
        "metadata": value.metadata,
        "commitTimestamp": value.commit_timestamp,
    });
    set_unless(&mut data, "leaderEpoch", version < 3, value.leader_epoch);
    let expires = value.expire_timestamp;
    set_unless(&mut data, "expireTimestamp", version != 1, expires);
    let topic = value.topic_id;
    set_unless(&mut data, "topicId", topic.is_nil(), topic_id(topic));
    Some(data)
}

fn classic(value: &GroupMetadataValue, version: i16) -> Value {
    let members = value
        .members
        .iter()
        .map(|member| classic_member(member, version));
    let mut data = json!({
        "protocolType": value.protocol_type,
        "generation": value.generation,
        "protocol": value.protocol,
        "leader": value.leader,
        "members": members.collect::<Value>(),
    });
    let since = value.current_state_timestamp;
    set_unless(&mut data, "currentStateTimestamp", version < 2, since);
    data
}

fn classic_member(member: &ClassicMember, version: i16) -> Value {
    let mut data = json!({
        "memberId": member.member_id,
        "clientId": member.client_id,
        "clientHost": member.client_host,
        "sessionTimeout": member.session_timeout,
        "subscription": bytes_as_json(Some(&member.subscription)),
        "assignment": bytes_as_json(Some(&member.assignment)),
    });
    let instance = member.group_instance_id.as_deref();
    set_unless(&mut data, "groupInstanceId", version < 3, instance);
    let timeout = member.rebalance_timeout;
    set_unless(&mut data, "rebalanceTimeout", version < 1, timeout);
    data
}

fn known_topics(value: &ConsumerGroupPartitionMetadataValue) -> Value {
    let topics = value.topics.iter().map(|topic| {
        let racks = topic.partition_metadata.iter();
        let racks = racks.map(|each| json!({"partition": each.partition, "racks": each.racks}));
        json!({
            "topicId": topic_id(topic.topic_id),
            "topicName": topic.topic_name,
            "numPartitions": topic.num_partitions,
            "partitionMetadata": racks.collect::<Value>(),
        })
    });
    json!({"topics": topics.collect::<Value>()})
}

fn member(value: &ConsumerGroupMemberMetadataValue) -> Value {
    json!({
        "instanceId": value.instance_id,
        "rackId": value.rack_id,
        "clientId": value.client_id,
        "clientHost": value.client_host,
        "subscribedTopicNames": value.subscribed_topic_names,
        "subscribedTopicRegex": value.subscribed_topic_regex,
        "rebalanceTimeoutMs": value.rebalance_timeout_ms,
        "serverAssignor": value.server_assignor,
        "classicMemberMetadata": value.classic_member_metadata.as_ref().map(classic_metadata),
    })
}

fn classic_metadata(value: &ClassicMemberMetadata) -> Value {
    let protocols = value.supported_protocols.iter().map(|protocol| {
        json!({"name": protocol.name, "metadata": bytes_as_json(Some(&protocol.metadata))})
    });
    json!({
        "sessionTimeoutMs": value.session_timeout_ms,
        "supportedProtocols": protocols.collect::<Value>(),
    })
}

fn topics(assigned: &[AssignedTopic]) -> Value {
    let topics = assigned
        .iter()
        .map(|topic| json!({"topicId": topic_id(topic.topic_id), "partitions": topic.partitions}));
    topics.collect()
}

fn topic_id(id: Uuid) -> String {
    TopicId(id).to_base64()
}

/// One more field of an object, unless the version does not have it.
fn set_unless(data: &mut Value, name: &str, absent: bool, value: impl Into<Value>) {
    if let (false, Value::Object(fields)) = (absent, data) {
        fields.insert(name.to_owned(), value.into());
    }
}

fn hex(bytes: &[u8]) -> Value {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"hex": hex})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, records};
    use crate::model::{Offset, Timestamp};

    /// The text of a row with one record.
    fn shown(key: Option<&[u8]>, value: Option<&[u8]>) -> String {
        let mut builder = BatchBuilder::new().base_offset(Offset(0));
        builder.push(Timestamp(0), key, value);
        let batch = builder.build().unwrap().bytes;
        let opened = records(&batch).unwrap();
        let record = opened.into_iter().next().unwrap().unwrap();
        fields(Row::new("line"), &record).text()
    }

    fn from_hex(text: &str) -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.map(byte).collect()
    }

    #[test]
    fn every_record_of_kafka_is_shown_with_its_fields() {
        let golden = include_str!("../../wire/golden/consumer_offsets.txt");
        let lines = golden.lines().filter(|line| !line.starts_with('#'));
        let shown: Vec<String> = lines
            .map(|line| {
                let (key, value) = line.split_once(' ').unwrap();
                let value = (value != "-").then(|| from_hex(value));
                shown(Some(&from_hex(key)), value.as_deref())
            })
            .collect();
        assert!(
            shown
                .iter()
                .all(|row| row.starts_with(r#"key: {"#) && !row.contains("error: "))
        );
        for expected in [
            r#"key: {"data":{"group":"offset-commit-6","partition":2,"topic":"offset-commit"},"type":"1"} payload: <DELETE>"#,
            r#"key: {"data":{"group":"list-groups-offsets","partition":0,"topic":"list-groups"},"type":"1"} payload: {"data":{"commitTimestamp":1795257478344,"leaderEpoch":-1,"metadata":"","offset":0},"version":"4"}"#,
            r#"key: {"data":{"groupId":"consumer-group-0"},"type":"3"} payload: {"data":{"epoch":1,"metadataHash":1216511928180192360},"version":"0"}"#,
            r#"key: {"data":{"groupId":"golden-regex","regularExpression":"(^gold.*)"},"type":"16"} payload: {"data":{"timestamp":1795258274913,"topics":["golden"],"version":2287},"version":"0"}"#,
        ] {
            assert!(
                shown.iter().any(|row| row == expected),
                "{expected}\n{}",
                shown.join("\n")
            );
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_shown_as_it_is_with_the_reason() {
        let unknown = shown(Some(&[0, 17, 0, 1, b'g']), None);
        assert_eq!(
            unknown,
            r#"key: {"hex":"0011000167"} error: unknown record type 17"#
        );
        let cut = shown(Some(&[0, 2, 0, 1, b'g']), Some(&[0, 3, 9]));
        assert!(
            cut.starts_with(r#"key: {"hex":"0002000167"} payload: {"hex":"000309"} error: "#),
            "{cut}"
        );
        let nobody = shown(None, Some(b"v"));
        assert_eq!(
            nobody,
            r#"payload: {"hex":"76"} error: a record without a key"#
        );
    }
}
