//! Many brokers in one process, on memory and on disk.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::net::TcpStream;
use std::time::{Duration, Instant};

use klamm::{Broker, NewRecord, Offset};

async fn round_trip(broker: &Broker, text: &str) {
    broker.create_topic("own", 1).await.unwrap();
    broker
        .produce("own", 0, [NewRecord::new(text.to_owned())])
        .await
        .unwrap();
    let record = broker
        .consumer("own", 0, Offset(0))
        .unwrap()
        .next()
        .await
        .unwrap();
    assert_eq!(record.value.as_deref(), Some(text.as_bytes()));
}

/// Threads of this process, from the kernel.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_brokers_live_in_one_process_and_are_dropped_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let before = threads();
    let mut brokers = Vec::new();
    for number in 0..20 {
        let builder = match number % 2 {
            0 => Broker::builder().memory(),
            _ => Broker::builder().data_dir(folder.path().join(number.to_string())),
        };
        brokers.push(builder.start().await.unwrap());
    }
    for (number, broker) in brokers.iter().enumerate() {
        round_trip(broker, &format!("of broker {number}")).await;
    }
    let mut addresses: Vec<_> = brokers.iter().map(Broker::address).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 20);
    drop(brokers);

    // Nobody listens, no thread is left, and every directory can be opened again.
    let deadline = Instant::now() + Duration::from_secs(10);
    for address in addresses {
        while TcpStream::connect(address).is_ok() {
            assert!(
                Instant::now() < deadline,
                "{address} still accepts connections"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    for number in (1..20).step_by(2) {
        let dir = folder.path().join(number.to_string());
        let broker = Broker::builder().data_dir(dir).start().await.unwrap();
        let record = broker
            .consumer("own", 0, Offset(0))
            .unwrap()
            .next()
            .await
            .unwrap();
        assert_eq!(
            record.value.as_deref(),
            Some(format!("of broker {number}").as_bytes())
        );
        broker.stop().await.unwrap();
    }
    // The runtime keeps a few threads for blocking work; brokers keep none.
    while threads() > before + 12 {
        assert!(
            Instant::now() < deadline,
            "{} threads, {before} before",
            threads()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_second_broker_on_one_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Broker::builder()
        .data_dir(folder.path())
        .start()
        .await
        .unwrap();
    let second = Broker::builder().data_dir(folder.path()).start().await;
    assert!(second.unwrap_err().to_string().contains("in use"));
    first.stop().await.unwrap();
    Broker::builder()
        .data_dir(folder.path())
        .start()
        .await
        .unwrap();
}

#[tokio::test]
async fn an_exposed_listener_needs_to_be_meant() {
    let exposed = Broker::builder().memory().listen("0.0.0.0:0").start().await;
    assert!(exposed.unwrap_err().to_string().contains("--insecure"));
    let meant = Broker::builder()
        .memory()
        .listen("0.0.0.0:0")
        .set("klamm.insecure", "true");
    meant.start().await.unwrap().stop().await.unwrap();
}
