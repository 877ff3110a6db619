//! DescribeLogDirs v1–v4
//!
//! *Behaviour:* the data directory with the size of each partition asked for; of all for null.
//! What is not there is left out. A directory that is offline is told with KAFKA_STORAGE_ERROR and
//! nothing else (`ReplicaManager.describeLogDirs`), although its partitions can be read. Nothing is being moved between directories, so no replica is a
//! future one and none lags.
//!
//! *Versions:* v2 flexible; v3 error code of the whole (KIP-784); v4 size and free bytes of the
//! file system (KIP-827).
//!
//! *Not implemented:* throttling.

use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::catalog::Topic;
use crate::kafka::dispatch::{Context, Handler};
use crate::kafka::reply::{Close, Reply};
use crate::kafka::schema::{self, Schema};
use crate::model::PartitionId;

/// First version with the sizes of the file system.
const VOLUME_VERSION: i16 = 4;

/// The handler.
pub(crate) struct DescribeLogDirs;

impl Handler for DescribeLogDirs {
    type Request = DescribeLogDirsRequest;
    const KEY: i16 = 35;
    const NAME: &'static str = "DescribeLogDirs";
    const VERSIONS: RangeInclusive<i16> = 1..=4;
    const SCHEMA: &'static Schema = &schema::DESCRIBE_LOG_DIRS;

    fn start(context: Context, request: DescribeLogDirsRequest) -> Result<Reply, Close> {
        let dir = context.broker().log_dir();
        let path = StrBytes::from_string(dir.path.to_string_lossy().into_owned());
        let result = DescribeLogDirsResult::default().with_log_dir(path);
        if dir.offline {
            let result = result.with_error_code(ResponseError::KafkaStorageError.code());
            let response = DescribeLogDirsResponse::default().with_results(vec![result]);
            return Reply::ready(&context, &response);
        }
        let image = context.broker().catalog.image();
        let topics: Vec<_> = match request.topics {
            None => image
                .topics()
                .filter_map(|topic| {
                    let partitions = 0..i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
                    describe(&context, &topic, partitions)
                })
                .collect(),
            Some(asked) => asked
                .into_iter()
                .filter_map(|asked| {
                    let topic = image.topic_by_name(&asked.topic)?;
                    describe(&context, &topic, asked.partitions)
                })
                .collect(),
        };
        let result = result.with_topics(topics);
        let result = match context.version {
            VOLUME_VERSION.. => {
                let bytes = |bytes: Option<u64>| {
                    bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
                };
                result
                    .with_total_bytes(bytes(dir.total_bytes))
                    .with_usable_bytes(bytes(dir.usable_bytes))
            }
            _ => result,
        };
        Reply::ready(
            &context,
            &DescribeLogDirsResponse::default().with_results(vec![result]),
        )
    }
}

/// The partitions of a topic that are there; `None` without any.
fn describe(
    context: &Context,
    topic: &Topic,
    partitions: impl IntoIterator<Item = i32>,
) -> Option<DescribeLogDirsTopic> {
    let describe = |index: i32| {
        let bytes = context.broker().log_size(topic, PartitionId(index))?;
        let partition = DescribeLogDirsPartition::default()
            .with_partition_index(index)
            .with_partition_size(i64::try_from(bytes).unwrap_or(i64::MAX));
        Some(partition)
    };
    let partitions: Vec<_> = partitions.into_iter().filter_map(describe).collect();
    let name = TopicName(StrBytes::from_string(topic.name.as_str().to_owned()));
    (!partitions.is_empty()).then(|| {
        DescribeLogDirsTopic::default()
            .with_name(name)
            .with_partitions(partitions)
    })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;

    use super::*;
    use crate::broker::testing::{batch, broker, offline_broker, topic};
    use crate::kafka::testing::Client;

    #[tokio::test]
    async fn every_version_tells_the_sizes_of_what_is_asked_for() {
        let broker = broker(&[]);
        let data = topic(&broker, "t", 2, &[]).await;
        topic(&broker, "u", 1, &[]).await;
        let sent = batch(&["a"]);
        broker.append(&data, PartitionId(1), sent.clone()).unwrap();
        let size = i64::try_from(sent.len()).unwrap();
        let asking = |name: &'static str, partitions: &[i32]| {
            DescribableLogDirTopic::default()
                .with_topic(TopicName(StrBytes::from_static_str(name)))
                .with_partitions(partitions.to_vec())
        };
        for version in 1..=4 {
            let cases = [
                (
                    None,
                    vec![("t", vec![(0, 0), (1, size)]), ("u", vec![(0, 0)])],
                ),
                (Some(vec![]), vec![]),
                (
                    Some(vec![asking("t", &[1, 9])]),
                    vec![("t", vec![(1, size)])],
                ),
                (
                    Some(vec![asking("t", &[]), asking("nowhere", &[0])]),
                    vec![],
                ),
            ];
            for (asked, expected) in cases {
                let request = DescribeLogDirsRequest::default().with_topics(asked);
                let client = Client::of(&broker);
                let response: DescribeLogDirsResponse = client
                    .call::<DescribeLogDirs, _>(version, &request)
                    .await
                    .answer();
                let [dir] = &response.results[..] else {
                    panic!("{response:?}")
                };
                assert_eq!((dir.error_code, dir.log_dir.as_str()), (0, "/data"));
                let told: Vec<_> = dir
                    .topics
                    .iter()
                    .map(|topic| {
                        let partition = |partition: &DescribeLogDirsPartition| {
                            (partition.partition_index, partition.partition_size)
                        };
                        (
                            topic.name.as_str(),
                            topic.partitions.iter().map(partition).collect(),
                        )
                    })
                    .collect::<Vec<(_, Vec<_>)>>();
                assert_eq!(told, expected, "v{version}");
            }
        }
    }

    #[tokio::test]
    async fn a_directory_whose_sync_failed_is_told_by_its_code_alone() {
        let broker = offline_broker().await;
        for version in 1..=4 {
            let request = DescribeLogDirsRequest::default().with_topics(None);
            let client = Client::of(&broker);
            let response: DescribeLogDirsResponse = client
                .call::<DescribeLogDirs, _>(version, &request)
                .await
                .answer();
            let expected = DescribeLogDirsResult::default()
                .with_log_dir(StrBytes::from_static_str("/data"))
                .with_error_code(ResponseError::KafkaStorageError.code());
            assert_eq!(response.results, [expected], "v{version}");
        }
    }
}
