//! Every version of Fetch against a broker in memory: what is read, refused, and kept by sessions.

use std::sync::Arc;

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{
    FetchPartition, FetchTopic, ForgottenTopic, ReplicaState,
};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{BrokerId, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::broker::testing::{batch, broker, topic};
use crate::catalog::Topic;
use crate::kafka::fetch_request::{REPLICA_STATE_VERSION, SESSION_VERSION};
use crate::kafka::testing::Client;

fn named(version: i16, topic: &Topic, partitions: Vec<FetchPartition>) -> FetchTopic {
    let entry = FetchTopic::default().with_partitions(partitions);
    match version {
        TOPIC_ID_VERSION.. => entry.with_topic_id(topic.id.0),
        _ => entry.with_topic(TopicName(StrBytes::from_string(topic.name.to_string()))),
    }
}

fn partition(index: i32, offset: i64) -> FetchPartition {
    FetchPartition::default()
        .with_partition(index)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20)
}

/// One that waits for nothing and has no session.
fn request(topics: Vec<FetchTopic>) -> FetchRequest {
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(topics)
}

async fn fetch(client: &Client, version: i16, request: FetchRequest) -> FetchResponse {
    client.call::<Fetch, _>(version, &request).await.answer()
}

async fn fetch_one(
    broker: &Arc<Broker>,
    version: i16,
    topic: &Topic,
    partition: FetchPartition,
) -> PartitionData {
    let request = request(vec![named(version, topic, vec![partition])]);
    let mut response = fetch(&Client::of(broker), version, request).await;
    response.responses.remove(0).partitions.remove(0)
}

#[tokio::test]
async fn every_version_reads_what_is_stored() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 2, &[]).await;
    let sent = batch(&["a", "b"]);
    broker.append(&topic, PartitionId(1), sent.clone()).unwrap();
    for version in 4..=18 {
        for isolation in [0, 1] {
            let parts = vec![partition(0, 0), partition(1, 0)];
            let request =
                request(vec![named(version, &topic, parts)]).with_isolation_level(isolation);
            let response = fetch(&Client::of(&broker), version, request).await;
            assert_eq!((response.error_code, response.session_id), (0, 0));
            let [empty, full] = &response.responses[0].partitions[..] else {
                panic!("{response:?}");
            };
            assert_eq!(
                empty.records.as_deref(),
                Some(&b""[..]),
                "empty, never null"
            );
            assert_eq!(full.records.as_ref().unwrap()[21..], sent[21..]);
            assert_eq!((full.high_watermark, full.last_stable_offset), (2, 2));
            assert_eq!(full.log_start_offset, if version >= 5 { 0 } else { -1 });
            assert_eq!(full.aborted_transactions, (isolation == 1).then(Vec::new));
            assert_eq!(full.preferred_read_replica, -1);
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_apart_and_comes_last() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    let mut nowhere = (*topic).clone();
    nowhere.id = TopicId(uuid::Uuid::from_u128(99));
    nowhere.name = crate::model::TopicName::new("nowhere").unwrap();
    for version in 4..=18 {
        let unknown = if version >= TOPIC_ID_VERSION { 100 } else { 3 };
        let request = request(vec![
            named(version, &nowhere, vec![partition(0, 0)]),
            named(version, &topic, vec![partition(7, 0), partition(0, 0)]),
        ]);
        let response = fetch(&Client::of(&broker), version, request).await;
        let codes: Vec<_> = response
            .responses
            .iter()
            .flat_map(|topic| &topic.partitions)
            .map(|partition| (partition.partition_index, partition.error_code))
            .collect();
        assert_eq!(codes, [(0, 0), (0, unknown), (7, 3)], "v{version}");
    }
}

#[tokio::test]
async fn offsets_and_epochs_that_do_not_fit_are_errors() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    broker
        .append(&topic, PartitionId(0), batch(&["a"]))
        .unwrap();
    for version in 4..=18 {
        for offset in [-1, 2] {
            let answer = fetch_one(&broker, version, &topic, partition(0, offset)).await;
            assert_eq!(
                (answer.error_code, answer.high_watermark),
                (1, -1),
                "v{version}"
            );
            assert_eq!(answer.aborted_transactions, None);
        }
    }
    for version in 9..=18 {
        let ahead = partition(0, 0).with_current_leader_epoch(5);
        let answer = fetch_one(&broker, version, &topic, ahead).await;
        assert_eq!(answer.error_code, 75, "v{version}");
    }
    for version in 12..=18 {
        let beyond = partition(0, 9).with_last_fetched_epoch(0);
        let answer = fetch_one(&broker, version, &topic, beyond).await;
        assert_eq!((answer.error_code, answer.high_watermark), (0, 1));
        let diverging = (
            answer.diverging_epoch.epoch,
            answer.diverging_epoch.end_offset,
        );
        assert_eq!(diverging, (0, 1), "v{version}");
    }
}

#[tokio::test]
async fn a_follower_that_is_none_is_refused_and_shown_the_leader() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    for version in 4..=18 {
        for (epoch, code) in [(-1, 6), (0, 75)] {
            if epoch == 0 && version < 9 {
                continue;
            }
            let parts = vec![partition(0, 0).with_current_leader_epoch(epoch)];
            let request = request(vec![named(version, &topic, parts)]);
            let request = match version {
                REPLICA_STATE_VERSION.. => {
                    request.with_replica_state(ReplicaState::default().with_replica_id(BrokerId(5)))
                }
                _ => request.with_replica_id(BrokerId(5)),
            };
            let response = fetch(&Client::of(&broker), version, request).await;
            let answer = &response.responses[0].partitions[0];
            assert_eq!(answer.error_code, code, "v{version}");
            let shown = version >= LEADER_VERSION && code == 6;
            // Where the leader lives, a follower knows.
            assert!(response.node_endpoints.is_empty(), "v{version}");
            assert_eq!(
                answer.current_leader.leader_epoch,
                if shown { 0 } else { -1 }
            );
        }
    }
}

#[tokio::test]
async fn sizes_and_levels_that_make_no_sense_are_server_errors() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    let client = Client::of(&broker);
    let parts = || vec![named(12, &topic, vec![partition(0, 0)])];
    let negative = partition(0, 0).with_partition_max_bytes(-5);
    for (request, code) in [
        (request(parts()).with_isolation_level(5), -1),
        (request(parts()).with_max_bytes(-5), 0),
        (request(vec![named(12, &topic, vec![negative])]), 0),
    ] {
        let response = fetch(&client, 12, request.with_max_wait_ms(60_000)).await;
        assert_eq!(response.error_code, code);
        assert_eq!(response.responses[0].partitions[0].error_code, -1);
    }
}

#[tokio::test]
async fn fetch_max_bytes_is_a_limit_of_the_broker() {
    let broker = broker(&[("fetch.max.bytes", "1024")]);
    let topic = topic(&broker, "t", 1, &[]).await;
    for _ in 0..4 {
        broker
            .append(&topic, PartitionId(0), batch(&[&"x".repeat(500)]))
            .unwrap();
    }
    let answer = fetch_one(&broker, 12, &topic, partition(0, 0)).await;
    let read = answer.records.unwrap().len();
    assert!((1..=1024).contains(&read), "{read}");
}

#[tokio::test]
async fn a_session_answers_only_what_changed() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 3, &[]).await;
    for version in SESSION_VERSION..=18 {
        let client = Client::of(&broker);
        let end = |index| {
            let id = TopicPartition {
                topic: topic.id,
                partition: PartitionId(index),
            };
            broker
                .partition(&id, None)
                .unwrap()
                .offsets()
                .unwrap()
                .log_end
                .0
        };
        let parts = (0..3).map(|index| partition(index, end(index))).collect();
        let first = request(vec![named(version, &topic, parts)]).with_session_epoch(0);
        let response = fetch(&client, version, first).await;
        let id = response.session_id;
        assert_ne!(id, 0, "v{version}");
        assert_eq!(response.responses[0].partitions.len(), 3);
        let next = |epoch| {
            request(vec![])
                .with_session_id(id)
                .with_session_epoch(epoch)
        };
        let response = fetch(&client, version, next(1)).await;
        assert_eq!(
            (response.session_id, response.responses.len()),
            (id, 0),
            "v{version}"
        );
        broker
            .append(&topic, PartitionId(1), batch(&["a"]))
            .unwrap();
        let response = fetch(&client, version, next(2)).await;
        let partitions = &response.responses[0].partitions;
        assert_eq!((partitions.len(), partitions[0].partition_index), (1, 1));
        let forgotten = ForgottenTopic::default().with_partitions(vec![0, 1, 2]);
        let forgotten = match version {
            TOPIC_ID_VERSION.. => forgotten.with_topic_id(topic.id.0),
            _ => forgotten.with_topic(TopicName(StrBytes::from_static_str("t"))),
        };
        let last = next(3).with_forgotten_topics_data(vec![forgotten]);
        let response = fetch(&client, version, last).await;
        assert_eq!((response.error_code, response.session_id), (0, 0));
        let response = fetch(&client, version, next(4)).await;
        assert_eq!(
            (response.error_code, response.session_id),
            (70, 0),
            "v{version}"
        );
    }
}

#[tokio::test]
async fn sessions_that_went_another_way_are_refused() {
    let broker = broker(&[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    let client = Client::of(&broker);
    let first = request(vec![named(12, &topic, vec![partition(0, 0)])]).with_session_epoch(0);
    let id = fetch(&client, 12, first).await.session_id;
    let go_on = |id, epoch| {
        request(vec![])
            .with_session_id(id)
            .with_session_epoch(epoch)
    };
    assert_eq!(fetch(&client, 12, go_on(id, 2)).await.error_code, 71);
    assert_eq!(fetch(&client, 12, go_on(id ^ 1, 1)).await.error_code, 70);
    assert_eq!(fetch(&client, 13, go_on(id, 1)).await.error_code, 106);
    assert_eq!(fetch(&client, 12, go_on(id, 1)).await.error_code, 0);
}

#[tokio::test]
async fn a_long_poll_is_pending_until_there_is_something() {
    use crate::kafka::reply::Reply;
    use crate::kafka::testing::flat;
    use kafka_protocol::protocol::Decodable;

    let broker = broker(&[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    let request = request(vec![named(12, &topic, vec![partition(0, 0)])]).with_max_wait_ms(60_000);
    let Ok(Reply::Pending(answer)) = Client::of(&broker).start::<Fetch>(12, &request) else {
        panic!("not pending");
    };
    let answer = tokio::spawn(answer);
    tokio::task::yield_now().await;
    broker
        .append(&topic, PartitionId(0), batch(&["a"]))
        .unwrap();
    let mut bytes = flat(answer.await.unwrap().unwrap());
    let response = FetchResponse::decode(&mut bytes, 12).unwrap();
    assert_eq!(response.responses[0].partitions[0].high_watermark, 1);
}
