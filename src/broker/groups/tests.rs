//! Groups over logs that start again, fail, hold garbage, and lose their topics.

use std::sync::Arc;
use std::time::Duration;

use super::{OffsetFetch, Unavailable};
use crate::batch::{BatchBuilder, BatchHeader, EndMarker, ValidBatch};
use crate::broker::held_disk::held_disk;
use crate::broker::testing::{NOW, broker, broker_on, create};
use crate::broker::topics::TopicReference;
use crate::broker::{Broker, BrokerOptions};
use crate::clock::{ManualClock, SystemClock};
use crate::config::Config;
use crate::coordinator::classic::{Join, Joined, Leave, Protocol, Sync};
use crate::coordinator::{Commit, Failure, Identity, OffsetCommit};
use crate::io::MemoryIo;
use crate::io::faulty::faulty;
use crate::model::{Offset, PartitionId, ProducerEpoch, ProducerId, TopicPartition};
use crate::storage::{Durability, Isolation};
use crate::wire::groups::{GroupRecord, OffsetCommitKey, OffsetCommitValue};

const SOON: Duration = Duration::from_secs(20);
const DISK: u64 = 256 * 1024 * 1024;

fn join(member: &str) -> Join {
    Join {
        member_id: member.to_owned(),
        instance_id: None,
        client_id: "c".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol {
            name: "range".to_owned(),
            metadata: "m".into(),
        }],
        requires_known_member_id: false,
        supports_skipping_assignment: false,
    }
}

fn sync(joined: &Joined) -> Sync {
    Sync {
        member_id: joined.member_id.clone(),
        instance_id: None,
        generation: joined.generation,
        protocol_type: None,
        protocol: None,
        assignments: vec![(joined.member_id.clone(), "all".into())],
    }
}

fn identity(joined: &Joined) -> Identity {
    Identity {
        member_id: joined.member_id.clone(),
        instance_id: None,
        generation: joined.generation,
    }
}

fn nobody() -> Identity {
    Identity {
        generation: -1,
        ..Identity::default()
    }
}

async fn commit(
    broker: &Broker,
    group: &str,
    topic: &str,
    offset: i64,
) -> Result<Vec<Result<(), Failure>>, Unavailable> {
    let request = OffsetCommit {
        who: nobody(),
        commits: vec![Commit {
            topic: topic.to_owned(),
            partition: 0,
            offset,
            leader_epoch: -1,
            metadata: String::new(),
        }],
        knows_epochs: true,
        retention_ms: None,
    };
    broker.commit_offsets(group, &request).await
}

async fn committed(broker: &Broker, group: &str, topic: &str) -> Option<i64> {
    let request = OffsetFetch {
        group: group.to_owned(),
        who: None,
        partitions: Some(vec![(topic.to_owned(), vec![0])]),
    };
    let mut fetched = broker.committed_offsets(&request).await.unwrap().unwrap();
    let (_, mut partitions) = fetched.pop().unwrap();
    let (_, committed) = partitions.pop().unwrap();
    committed.map(|committed| committed.offset)
}

/// A member alone in a stable group.
async fn alone(broker: &Broker, group: &str) -> Joined {
    let joined = broker.join_group(group, join("")).await.unwrap();
    let synced = broker.sync_group(group, sync(&joined)).await.unwrap();
    assert_eq!((synced.failure, &*synced.assignment), (None, &b"all"[..]));
    joined
}

async fn delete(broker: &Broker, topic: &str) {
    let name = TopicReference::Name(topic.to_owned());
    let deleted = broker.delete_topics(vec![name], SOON).await;
    deleted[0].result.as_ref().unwrap();
}

#[tokio::test]
async fn the_topic_of_groups_is_made_by_whoever_needs_it() {
    let broker = broker(&[("offsets.topic.num.partitions", "3")]);
    create(&broker, &[("t", 1)]).await;
    let nowhere = broker.heartbeat("g", &nobody()).await;
    assert_eq!(nowhere, Err(Unavailable::NotCoordinator));
    assert_eq!(broker.list_groups().await, Ok(Vec::new()));
    assert_eq!(commit(&broker, "g", "t", 5).await, Ok(vec![Ok(())]));
    let topic = broker.catalog.image().topic_by_name("__consumer_offsets");
    assert_eq!(topic.unwrap().partitions.len(), 3);
    assert_eq!(committed(&broker, "g", "t").await, Some(5));
    assert_eq!(broker.list_groups().await.unwrap().len(), 1);
}

#[tokio::test]
async fn groups_outlive_clean_stops_and_kills() {
    for clean in [true, false] {
        let io = MemoryIo::shared();
        let open = || broker_on(Arc::clone(&io), Durability::Fsync, &[]);
        let first = open();
        create(&first, &[("t", 1)]).await;
        let joined = alone(&first, "members").await;
        for group in 0..20 {
            let done = commit(&first, &format!("g{group}"), "t", group).await;
            assert_eq!(done, Ok(vec![Ok(())]));
        }
        if clean {
            first.close().unwrap();
        }
        drop(first);

        let second = open();
        for group in 0..20 {
            let found = committed(&second, &format!("g{group}"), "t").await;
            assert_eq!(found, Some(group), "clean: {clean}");
        }
        let alive = second.heartbeat("members", &identity(&joined)).await;
        assert_eq!(alive, Ok(Ok(())), "clean: {clean}");
        assert_eq!(second.list_groups().await.unwrap().len(), 21);
        let left = Leave {
            member_id: joined.member_id.clone(),
            instance_id: None,
        };
        second
            .leave_group("members", vec![left])
            .await
            .unwrap()
            .unwrap();
        assert_eq!(second.delete_group("members").await, Ok(Ok(())));
        second.close().unwrap();
        drop(second);
        assert_eq!(open().list_groups().await.unwrap().len(), 20);
    }
}

/// The log of the shard that the group `g` lives in.
fn log_of_g(broker: &Broker) -> Arc<crate::storage::Partition> {
    let (topic, partition) = broker.home("g").unwrap();
    let id = TopicPartition {
        topic: topic.id,
        partition: PartitionId(partition),
    };
    broker.partition(&id, None).unwrap()
}

#[tokio::test]
async fn garbage_in_the_log_is_stepped_over() {
    let io = MemoryIo::shared();
    let open = || broker_on(Arc::clone(&io), Durability::Fsync, &[]);
    let broker = open();
    create(&broker, &[("t", 1)]).await;
    commit(&broker, "g", "t", 1).await.unwrap();
    let log = log_of_g(&broker);
    let mut random = fastrand::Rng::with_seed(3);
    let mut garbage = BatchBuilder::new();
    garbage.push(NOW, None, None);
    garbage.push(NOW, Some(b""), Some(b""));
    for kind in -1_i16..30 {
        for length in 0..20 {
            let mut key = kind.to_be_bytes().to_vec();
            key.extend(std::iter::repeat_with(|| random.u8(..)).take(length));
            let value: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
                .take(length)
                .collect();
            garbage.push(NOW, Some(&key), Some(&value));
            garbage.push(NOW, Some(&key), None);
        }
    }
    log.append(garbage.build().unwrap(), false).unwrap();
    commit(&broker, "g", "t", 2).await.unwrap();
    drop((broker, log));
    let broker = open();
    assert_eq!(committed(&broker, "g", "t").await, Some(2));
    assert_eq!(commit(&broker, "g", "t", 3).await, Ok(vec![Ok(())]));
}

/// A batch of a transaction that commits an offset of `g`.
fn in_transaction(producer: i64, topic: &str, offset: i64) -> ValidBatch {
    let key = OffsetCommitKey {
        group: "g".to_owned(),
        topic: topic.to_owned(),
        partition: 0,
    };
    let value = OffsetCommitValue {
        offset,
        ..OffsetCommitValue::default()
    };
    let record = GroupRecord::OffsetCommit(key, Some(value));
    let (key, value) = record.encode().unwrap();
    let mut batch = BatchBuilder::new()
        .producer(ProducerId(producer), ProducerEpoch(0), 0)
        .transactional();
    batch.push(NOW, Some(&key), value.as_deref());
    batch.build().unwrap()
}

#[tokio::test]
async fn offsets_of_transactions_count_when_these_are_committed() {
    let io = MemoryIo::shared();
    let open = || broker_on(Arc::clone(&io), Durability::Fsync, &[]);
    let broker = open();
    let topics = ["committed", "aborted", "open", "overtaken"];
    create(&broker, &topics.map(|topic| (topic, 1))).await;
    for topic in topics {
        commit(&broker, "g", topic, 1).await.unwrap();
    }
    let log = log_of_g(&broker);
    for (producer, topic) in (7..).zip(topics) {
        log.append(in_transaction(producer, topic, 2), false)
            .unwrap();
    }
    commit(&broker, "g", "overtaken", 3).await.unwrap();
    for (producer, committed) in [(7, true), (8, false), (10, true)] {
        let marker = EndMarker {
            committed,
            coordinator_epoch: 0,
        };
        let marker = marker.batch(ProducerId(producer), ProducerEpoch(0), NOW);
        log.append(marker.unwrap(), false).unwrap();
    }
    drop((broker, log));
    let broker = open();
    for (topic, expected) in topics.into_iter().zip([2, 1, 1, 3]) {
        assert_eq!(
            committed(&broker, "g", topic).await,
            Some(expected),
            "{topic}"
        );
    }
}

#[tokio::test]
async fn a_topic_takes_its_offsets_along_whatever_comes_after_it() {
    let io = MemoryIo::shared();
    let open = || broker_on(Arc::clone(&io), Durability::Fsync, &[]);
    let broker = open();
    create(&broker, &[("t", 1), ("u", 1)]).await;
    for topic in ["t", "u"] {
        commit(&broker, "g", topic, 5).await.unwrap();
    }
    delete(&broker, "t").await;
    assert_eq!(committed(&broker, "g", "t").await, None);
    create(&broker, &[("t", 1)]).await;
    assert_eq!(committed(&broker, "g", "t").await, None);
    assert_eq!(committed(&broker, "g", "u").await, Some(5));
    commit(&broker, "g", "t", 1).await.unwrap();
    drop(broker);
    let broker = open();
    assert_eq!(committed(&broker, "g", "t").await, Some(1));
}

#[tokio::test]
async fn with_their_topic_all_groups_are_gone() {
    let broker = broker(&[]);
    create(&broker, &[("t", 1)]).await;
    let joined = alone(&broker, "g").await;
    delete(&broker, "__consumer_offsets").await;
    let gone = broker.heartbeat("g", &identity(&joined)).await;
    assert_eq!(gone, Err(Unavailable::NotCoordinator));
    broker.find_group_coordinator().await.unwrap();
    let gone = broker.heartbeat("g", &identity(&joined)).await;
    assert_eq!(gone, Ok(Err(Failure::UnknownMemberId)));
    alone(&broker, "g").await;
}

#[tokio::test]
async fn nobody_is_told_what_the_disk_refused() {
    let (io, faults) = faulty(DISK);
    let broker = broker_on(io, Durability::Fsync, &[]);
    create(&broker, &[("t", 1)]).await;
    let joined = alone(&broker, "g").await;
    commit(&broker, "g", "t", 1).await.unwrap();
    let (_, partition) = broker.home("g").unwrap();
    let directory = format!("__consumer_offsets-{partition}");
    faults.break_syncs_of(&directory, std::io::ErrorKind::Other);
    let leave = Leave {
        member_id: joined.member_id,
        instance_id: None,
    };
    let left = broker.leave_group("g", vec![leave]).await;
    assert_eq!(left, Err(Unavailable::NotCoordinator));
    let refused = commit(&broker, "g", "t", 2).await;
    assert_eq!(refused, Err(Unavailable::NotCoordinator));
}

#[tokio::test]
async fn an_answer_leaves_when_the_disk_has_what_it_says() {
    let (io, gate) = held_disk();
    let broker = broker_on(io, Durability::Fsync, &[]);
    create(&broker, &[("t", 1)]).await;
    commit(&broker, "g", "t", 1).await.unwrap();
    gate.close();
    {
        let mut committing = std::pin::pin!(commit(&broker, "g", "t", 2));
        let waited = tokio::time::timeout(Duration::from_millis(50), &mut committing).await;
        assert!(waited.is_err());
        // Who looks meanwhile sees neither the old offset nor the new one.
        let mut looking = std::pin::pin!(committed(&broker, "g", "t"));
        let waited = tokio::time::timeout(Duration::from_millis(50), &mut looking).await;
        assert!(waited.is_err());
        gate.open();
        assert_eq!(committing.await, Ok(vec![Ok(())]));
        assert_eq!(looking.await, Some(2));
    }
}

#[tokio::test]
async fn deadlines_pass_by_the_brokers_clock() {
    let clock = ManualClock::at(NOW);
    let broker = Broker::open(BrokerOptions {
        config: Arc::new(Config::builder().build().unwrap()),
        io: MemoryIo::shared(),
        dir: "/data".into(),
        open_files_max: 100,
        durability: Durability::Memory,
        clock: clock.clone(),
        seed: 1,
        endpoints: Vec::new(),
    })
    .unwrap();
    create(&broker, &[("t", 1)]).await;
    let first = alone(&broker, "g").await;
    let second = Arc::clone(&broker);
    let second = tokio::spawn(async move { second.join_group("g", join("")).await });
    while broker.describe_group("g").await.unwrap().unwrap().state == "Stable" {
        tokio::task::yield_now().await;
    }
    broker.pass_time_of_groups();
    assert!(!second.is_finished());
    clock.advance(Duration::from_secs(10));
    broker.pass_time_of_groups();
    let second = second.await.unwrap().unwrap();
    assert_eq!((second.failure, second.generation), (None, 2));
    assert_eq!(second.members.len(), 1);
    let gone = broker.heartbeat("g", &identity(&first)).await;
    assert_eq!(gone, Ok(Err(Failure::UnknownMemberId)));
}

#[tokio::test]
async fn sessions_of_members_that_a_start_found_run_out() {
    let io = MemoryIo::shared();
    let open = || {
        Broker::open(BrokerOptions {
            config: Arc::new(
                Config::builder()
                    .set("group.min.session.timeout.ms", "1")
                    .build()
                    .unwrap(),
            ),
            io: Arc::clone(&io),
            dir: "/data".into(),
            open_files_max: 100,
            durability: Durability::Os,
            clock: SystemClock::shared(),
            seed: 1,
            endpoints: Vec::new(),
        })
        .unwrap()
    };
    let first = open();
    let short = Join {
        session_timeout_ms: 100,
        ..join("")
    };
    let joined = first.join_group("g", short).await.unwrap();
    first.sync_group("g", sync(&joined)).await.unwrap();
    drop(first);
    let second = open();
    let keeping = async {
        let state = || async { second.describe_group("g").await.unwrap().unwrap().state };
        while state().await != "Empty" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = second.keep_groups() => {}
        () = keeping => {}
    }
}

#[tokio::test]
async fn records_lie_in_the_log_as_kafka_writes_them() {
    let broker = broker(&[("offsets.topic.compression.codec", "1")]);
    create(&broker, &[("t", 1)]).await;
    commit(&broker, "g", "t", 5).await.unwrap();
    let log = log_of_g(&broker);
    let read = log
        .read(Offset(0), usize::MAX, true, Isolation::LogEnd)
        .unwrap();
    let bytes = read.records.to_bytes().unwrap();
    let header = BatchHeader::parse(&bytes).unwrap();
    assert_eq!(header.codec(), Ok(crate::batch::Codec::Gzip));
    let opened = crate::batch::records(&bytes).unwrap();
    let records: Vec<_> = opened.iter().map(Result::unwrap).collect();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].timestamp, NOW);
    assert_eq!(records[0].key, Some(&b"\0\x01\0\x01g\0\x01t\0\0\0\0"[..]));
    assert_eq!(records[0].value.unwrap()[..2], [0, 4]);
}
