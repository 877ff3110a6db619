//! Disks that fill up or fail, and what clients are told.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::offsets::OffsetQuery;
use crate::broker::produce::ProduceError;
use crate::broker::records::NewLogStart;
use crate::broker::testing::{batch, broker_on, topic, try_broker_on};
use crate::broker::topics::TopicReference;
use crate::broker::{Broker, BrokerError};
use crate::catalog::Topic;
use crate::io::faulty::faulty;
use crate::io::{File, OpenMode, SharedIo};
use crate::model::{Offset, PartitionId, TopicPartition};
use crate::storage::{AppendError, Durability, Isolation};

const PARTITION: PartitionId = PartitionId(0);
const SOON: Duration = Duration::from_secs(20);
const DISK: u64 = 64 * 1024 * 1024;

fn id(topic: &Topic) -> TopicPartition {
    TopicPartition {
        topic: topic.id,
        partition: PARTITION,
    }
}

async fn produce(broker: &Broker, topic: &Topic) -> Result<Offset, ProduceError> {
    let produced = broker.produce(topic, PARTITION, batch(&["v"]), SOON).await;
    produced.map(|appended| appended.base_offset)
}

fn is_refused(produced: &Result<Offset, ProduceError>) -> bool {
    matches!(produced, Err(ProduceError::Append(AppendError::Storage(_))))
}

/// Another program's file that leaves nothing free.
fn fill(io: &SharedIo) -> Arc<dyn File> {
    let other = io.open("/other".as_ref(), OpenMode::Create).unwrap();
    let (_, free) = io.space("/".as_ref()).unwrap();
    other.set_len(free).unwrap();
    other
}

#[tokio::test]
async fn a_broker_starts_on_a_full_disk_serves_reads_and_writes_when_there_is_room() {
    for clean in [false, true] {
        let (io, _) = faulty(DISK);
        let settings = [("klamm.disk.reserve.bytes", "0")];
        let open = || broker_on(Arc::clone(&io), Durability::Fsync, &settings);
        let first = open();
        let topic = topic(&first, "t", 1, &[]).await;
        assert_eq!(produce(&first, &topic).await, Ok(Offset(0)));
        let epoch = first.partition(&id(&topic), None).unwrap().leader_epoch();
        if clean {
            first.close().unwrap();
        }
        drop(first);

        let other = fill(&io);
        let broker = open();
        let log = broker.partition(&id(&topic), None).unwrap();
        assert_eq!(log.offsets().unwrap().high_watermark, Offset(1));
        let read = log.read(Offset(0), 1 << 20, true, Isolation::ReadUncommitted);
        assert!(!read.unwrap().records.is_empty());
        let refused = produce(&broker, &topic).await;
        assert!(is_refused(&refused), "{refused:?}");
        let name = TopicReference::Name("t".to_owned());
        let deleted = broker.delete_topics(vec![name], SOON).await;
        assert!(deleted.iter().all(|deleted| deleted.result.is_err()));

        other.set_len(0).unwrap();
        assert_eq!(produce(&broker, &topic).await, Ok(Offset(1)));
        let raised = broker.partition(&id(&topic), None).unwrap().leader_epoch();
        assert_eq!(raised.0 > epoch.0, !clean, "{epoch:?} to {raised:?}");
        broker.close().unwrap();
    }
}

#[tokio::test]
async fn after_a_failed_sync_reads_go_on_and_the_end_is_what_is_durable() {
    let (io, faults) = faulty(DISK);
    let broker = broker_on(io, Durability::Fsync, &[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    assert_eq!(produce(&broker, &topic).await, Ok(Offset(0)));
    faults.break_syncs_of(".log", std::io::ErrorKind::Other);
    let refused = produce(&broker, &topic).await;
    assert!(is_refused(&refused), "{refused:?}");
    faults.mend();
    let partition = id(&topic);
    let latest = broker.find_offset(
        &partition,
        OffsetQuery::Latest,
        Isolation::ReadUncommitted,
        None,
    );
    assert_eq!(latest.await.unwrap().unwrap().offset, Offset(1));
    assert!(broker.log_dir().offline);
    let all = NewLogStart {
        topic: Arc::clone(&topic),
        partition: PARTITION,
        before: None,
    };
    assert!(broker.delete_records(&[all]).await[0].is_err());
    assert!(broker.close().is_err());
}

#[tokio::test]
async fn a_snapshot_of_the_metadata_log_that_cannot_be_synced_takes_the_directory_offline() {
    let (io, faults) = faulty(DISK);
    let broker = broker_on(io, Durability::Fsync, &[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    faults.break_syncs_of(".checkpoint", std::io::ErrorKind::StorageFull);
    assert!(broker.catalog.snapshot().is_err());
    assert!(broker.log_dir().offline);
    let refused = produce(&broker, &topic).await;
    assert!(is_refused(&refused), "{refused:?}");
    assert!(broker.close().is_err());
}

#[tokio::test]
async fn a_broker_does_not_start_whose_recovery_cannot_be_synced() {
    let (io, faults) = faulty(DISK);
    let broker = broker_on(Arc::clone(&io), Durability::Fsync, &[]);
    let topic = topic(&broker, "t", 1, &[]).await;
    assert_eq!(produce(&broker, &topic).await, Ok(Offset(0)));
    faults.break_syncs_of("/t-0/", std::io::ErrorKind::Other);
    assert!(is_refused(&produce(&broker, &topic).await));
    drop(broker);
    let opened = try_broker_on(io, Durability::Fsync, &[]);
    assert!(matches!(opened.map(drop), Err(BrokerError::Store(_))));
}
