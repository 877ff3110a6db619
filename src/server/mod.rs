//! The composition root: configuration → rooms → start order → drain order, and the embeddable
//! [`Broker`].
//!
//! *Owns:* what is started when, and stopped when. *May use:* everything but `cli`. *Invariants:*
//! no global state, so that many brokers live in one process; sockets are bound before data is
//! touched, and answered only when everything is loaded; dropping the handle stops the broker.

mod builder;
mod descriptors;
mod native;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use builder::{Builder, StartError};
pub use descriptors::raise_open_files_limit;
pub use native::{ConsumeError, Consumer, NewRecord, ProduceError, Record};

use crate::broker;
use crate::config::Config;
use crate::storage::FileCacheStats;

/// A running broker. Dropping it stops it; [`Broker::stop`] waits for the stop and reports errors.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let broker = klamm::Broker::builder().memory().start().await?;
/// println!("Kafka clients connect to {}", broker.bootstrap());
/// broker.stop().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Broker {
    core: Arc<broker::Broker>,
    /// Listener names with the addresses that they are bound to.
    addresses: Vec<(String, SocketAddr)>,
    stopping: watch::Sender<bool>,
    /// One per listener; each ends when its connections have ended.
    accepting: Vec<JoinHandle<()>>,
    closed: bool,
}

impl Broker {
    /// A broker on a free loopback port, with Kafka's settings, to be started by
    /// [`Builder::start`].
    pub fn builder() -> Builder {
        Builder::library()
    }

    /// A broker with exactly this configuration.
    pub fn with_config(config: Config) -> Builder {
        Builder::exactly(config)
    }

    /// Address of the first listener.
    pub fn address(&self) -> SocketAddr {
        self.addresses.first().map_or_else(
            || SocketAddr::from(([127, 0, 0, 1], 0)),
            |(_, address)| *address,
        )
    }

    /// `HOST:PORT` of the first listener, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        self.address().to_string()
    }

    /// The line that tells scripts that the broker can be used.
    pub fn ready_line(&self) -> String {
        let addresses: Vec<String> = self
            .addresses
            .iter()
            .map(|(_, address)| format!("kafka={address}"))
            .collect();
        let config = &self.core.config;
        let durability = config.get(crate::config::keys::KLAMM_DURABILITY);
        match durability {
            "memory" => format!("klamm ready {} durability=memory", addresses.join(" ")),
            mode => {
                let (dir, ..) = self.core.store.log_dir();
                let addresses = addresses.join(" ");
                format!(
                    "klamm ready {addresses} durability={mode} data={}",
                    dir.display()
                )
            }
        }
    }

    /// The use cases that the adapters call, for what this handle does not offer.
    pub fn core(&self) -> &Arc<broker::Broker> {
        &self.core
    }

    /// How the files of logs that are kept open (`klamm.open.files.max`) were used since the start.
    pub fn open_files(&self) -> FileCacheStats {
        self.core.store.file_cache_stats()
    }

    /// Stops: no new connections, what was read is answered, data goes to disk.
    pub async fn stop(mut self) -> Result<(), broker::BrokerError> {
        self.stopping.send_replace(true);
        for task in std::mem::take(&mut self.accepting) {
            // A panic in there was reported where it happened.
            let _ = task.await;
        }
        // Before the logs are closed, which opens files that nobody has asked for.
        let FileCacheStats {
            hits,
            misses,
            evictions,
            open,
            max,
        } = self.open_files();
        tracing::info!(
            hits,
            misses,
            evicted = evictions,
            open,
            capacity = max,
            "open files"
        );
        self.closed = true;
        let core = Arc::clone(&self.core);
        let closing = tokio::task::spawn_blocking(move || core.close());
        closing.await.unwrap_or_else(|panicked| {
            Err(broker::BrokerError::Store(crate::storage::OpenError::Io {
                path: self.core.store.log_dir().0,
                source: std::io::Error::other(panicked),
            }))
        })
    }
}

impl Drop for Broker {
    /// Cuts connections and closes the store at once; errors are only logged.
    fn drop(&mut self) {
        self.stopping.send_replace(true);
        for task in &self.accepting {
            task.abort();
        }
        if !self.closed
            && let Err(error) = self.core.close()
        {
            tracing::error!(%error, "the data directory was not closed cleanly");
        }
    }
}
