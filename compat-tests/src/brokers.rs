//! Brokers to talk to.

use std::path::Path;

use klamm::Broker;
use tokio::runtime::Runtime;

/// A Klamm in this process, in memory. Dropping it stops it.
#[derive(Debug)]
pub struct InProcess {
    broker: Broker,
    _runtime: Runtime,
}

impl InProcess {
    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.broker.bootstrap()
    }
}

/// Starts Klamm with the settings that Apache Kafka was recorded with.
///
/// # Panics
/// If it does not start.
#[must_use]
pub fn klamm_like_kafka() -> InProcess {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/server.properties");
    let settings = std::fs::read_to_string(file).expect("settings");
    let mut builder = Broker::builder().memory();
    for line in settings.lines().filter(|line| !line.starts_with('#')) {
        let (key, value) = line.split_once('=').expect("key=value");
        builder = builder.set(key, value);
    }
    let broker = runtime.block_on(builder.start()).expect("Klamm starts");
    InProcess {
        broker,
        _runtime: runtime,
    }
}
