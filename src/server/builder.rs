//! From settings to a running broker.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Broker;
use super::descriptors::Descriptors;
use crate::broker::{self, BrokerError, BrokerOptions};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{self, Config, ConfigError, Listener, SecurityProtocol, keys};
use crate::io::{self, MemoryIo, RealIo, SharedIo};
use crate::kafka;
use crate::net;
use crate::storage::Durability;

/// How often a broker without commits looks whether a snapshot is due. The time between snapshots
/// (`metadata.log.max.snapshot.interval.ms`, an hour) need not be kept to the minute.
const SNAPSHOT_LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// Seldom enough to cost an idle broker nothing, and below the timeouts that clients ask for.
const NEAR_TIMER: std::time::Duration = std::time::Duration::from_secs(4);

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings that make no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A listener that everybody could reach, without authentication.
    #[error(
        "listener {0} can be reached from other machines and asks nobody who they are; \
         start with --insecure (klamm.insecure=true) if that is meant"
    )]
    Exposed(String),
    /// A listener that speaks what is not there yet.
    #[error("listener {0}: only PLAINTEXT is supported")]
    Protocol(String),
    /// An address that cannot be listened on.
    #[error("cannot listen on {listener}: {source}")]
    Listen {
        /// The listener.
        listener: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Several data directories.
    #[error("log.dirs names {0} directories; one is supported")]
    DataDirs(usize),
    /// The data.
    #[error(transparent)]
    Open(#[from] BrokerError),
    /// No threads to serve connections.
    #[error("cannot start a network thread: {0}")]
    Threads(std::io::Error),
    /// The runtime went away while the data was opened.
    #[error("the runtime is stopping")]
    Stopping,
}

#[derive(Clone, Debug)]
enum Settings {
    Sources(Box<config::Builder>),
    Exactly(Box<Config>),
}

/// Settings of a broker that is to be started.
#[derive(Clone, Debug)]
pub struct Builder {
    settings: Settings,
    clock: Option<SharedClock>,
    seed: Option<u64>,
    network_threads: usize,
}

impl Builder {
    pub(super) fn library() -> Self {
        let free_port = Config::builder().flag("library", "listeners", "PLAINTEXT://127.0.0.1:0");
        Self {
            settings: Settings::Sources(Box::new(free_port)),
            clock: None,
            seed: None,
            network_threads: 0,
        }
    }

    pub(super) fn exactly(config: Config) -> Self {
        Self {
            settings: Settings::Exactly(Box::new(config)),
            clock: None,
            seed: None,
            network_threads: 0,
        }
    }

    /// Changes the sources; a finished configuration stays as it is.
    fn with(mut self, change: impl FnOnce(config::Builder) -> config::Builder) -> Self {
        if let Settings::Sources(sources) = self.settings {
            self.settings = Settings::Sources(Box::new(change(*sources)));
        }
        self
    }

    /// Keeps everything in memory.
    #[must_use]
    pub fn memory(self) -> Self {
        self.with(|sources| sources.flag("memory", "klamm.durability", "memory"))
    }

    /// Keeps data in this directory.
    #[must_use]
    pub fn data_dir(self, dir: impl AsRef<Path>) -> Self {
        let dir = dir.as_ref().to_string_lossy().into_owned();
        self.with(|sources| sources.flag("data_dir", "log.dirs", &dir))
    }

    /// Listens here, `HOST:PORT`, rather than on a free loopback port.
    #[must_use]
    pub fn listen(self, address: &str) -> Self {
        let listener = format!("PLAINTEXT://{address}");
        self.with(|sources| sources.flag("listen", "listeners", &listener))
    }

    /// Sets any setting by its name.
    #[must_use]
    pub fn set(self, key: &str, value: &str) -> Self {
        self.with(|sources| sources.set(key, value))
    }

    /// Reads the time from this clock.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Makes ids and jitter repeatable.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Serves connections on so many threads of the broker's own, rather than on the current
    /// runtime.
    #[must_use]
    pub fn network_threads(mut self, count: usize) -> Self {
        self.network_threads = count;
        self
    }

    /// Starts the broker on the current tokio runtime.
    pub async fn start(self) -> Result<Broker, StartError> {
        let config = match self.settings {
            Settings::Sources(sources) => sources.build()?,
            Settings::Exactly(config) => *config,
        };
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let config = Arc::new(config);
        let limits = limits(&config);
        let mut bound = Vec::new();
        for listener in config.listeners() {
            check(listener, &config)?;
            let endpoint = net::Endpoint {
                host: listener.host.clone(),
                port: listener.port,
            };
            let socket = net::Listener::bind(&endpoint, &limits)
                .await
                .map_err(|source| StartError::Listen {
                    listener: listener.name.clone(),
                    source,
                })?;
            bound.push((listener.clone(), socket));
        }
        let addresses: Vec<_> = bound
            .iter()
            .map(|(listener, socket)| (listener.name.clone(), socket.address()))
            .collect();

        let mut random = fastrand::Rng::with_seed(self.seed.unwrap_or_else(entropy));
        let seed = random.u64(..);
        let options = options(&config, self.clock, random.u64(..), &bound)?;
        // Recovery after an unclean stop may read for seconds: not on a thread of the runtime.
        let core = tokio::task::spawn_blocking(move || broker::Broker::open(options))
            .await
            .map_err(|_| StartError::Stopping)??;

        let workers = net::Workers::start(self.network_threads).map_err(StartError::Threads)?;
        let (stopping, stopped) = watch::channel(false);
        let gate = net::Gate::new(limits);
        tokio::spawn(keep_up(
            Arc::clone(&core),
            Arc::clone(&gate),
            stopped.clone(),
        ));
        tokio::spawn(look_for_due_snapshots(Arc::clone(&core), stopped.clone()));
        tokio::spawn(keep_a_timer_near(stopped.clone()));
        tokio::spawn(keep_groups(Arc::clone(&core), stopped.clone()));
        let slots = config.get(keys::MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS);
        let slots = usize::try_from(slots).unwrap_or(0);
        let adapter = kafka::Adapter::new(Arc::clone(&core), slots, seed);
        let accepting = bound
            .into_iter()
            .map(|(listener, socket)| {
                let advertised = advertised(&config, &listener.name, socket.address().port());
                let protocol = adapter.listener(listener.name, advertised);
                tokio::spawn(net::serve(
                    socket,
                    protocol,
                    Arc::clone(&gate),
                    Arc::clone(&workers),
                    stopped.clone(),
                ))
            })
            .collect();
        Ok(Broker {
            core,
            addresses,
            stopping,
            accepting,
            closed: false,
        })
    }
}

/// Refuses what would expose the broker unasked, and what is not there.
fn check(listener: &Listener, config: &Config) -> Result<(), StartError> {
    if !matches!(listener.protocol, SecurityProtocol::Plaintext) {
        return Err(StartError::Protocol(listener.name.clone()));
    }
    if !config.get(keys::KLAMM_INSECURE) && !is_loopback(&listener.host) {
        return Err(StartError::Exposed(format!(
            "{}://{}:{}",
            listener.name, listener.host, listener.port
        )));
    }
    Ok(())
}

/// Whether only this machine can reach the address; an empty host is every address.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) if host.is_empty() => false,
        Err(_) => (host, 0)
            .to_socket_addrs()
            .is_ok_and(|mut found| found.all(|address| address.ip().is_loopback())),
    }
}

/// What clients of a listener are told to connect to; `None` is the address that they dialled.
fn advertised(config: &Config, listener: &str, bound_port: u16) -> Option<(String, u16)> {
    let told = config
        .advertised_listeners()
        .iter()
        .find(|told| told.name == listener)?;
    let everywhere = told
        .host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_unspecified());
    if told.host.is_empty() || everywhere {
        return None;
    }
    Some((
        told.host.clone(),
        if told.port == 0 {
            bound_port
        } else {
            told.port
        },
    ))
}

/// Has sockets and store follow those of their settings that change while the broker runs.
async fn keep_up(
    core: Arc<broker::Broker>,
    gate: Arc<net::Gate>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            () = core.settings.changed() => {
                let config = core.effective_config();
                gate.adjust(limits(&config));
                let expiration = config.get(keys::PRODUCER_ID_EXPIRATION_MS);
                core.store.remember_producers_for(i64::from(expiration));
                core.store.set_cleaner(broker::configs::cleaner(&config));
            }
            // Whoever held the other end is gone, or says so.
            _ = stopped.changed() => return,
        }
    }
}

/// Has groups loaded, and their deadlines pass.
async fn keep_groups(core: Arc<broker::Broker>, mut stopped: watch::Receiver<bool>) {
    tokio::select! {
        () = core.keep_groups() => {}
        _ = stopped.changed() => {}
    }
}

/// Keeps a timer that is nearer than those of requests.
///
/// A request that waits for the disk or for records has a timer of its own, seconds away. Where
/// none is nearer, tokio wakes the thread that polls the sockets to tell it, which costs each
/// request two system calls for a timer that hardly ever fires.
async fn keep_a_timer_near(mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(NEAR_TIMER) => {}
            _ = stopped.changed() => return,
        }
    }
}

/// Has the snapshot written that falls due while nothing is committed.
async fn look_for_due_snapshots(core: Arc<broker::Broker>, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SNAPSHOT_LOOK_INTERVAL) => {}
            _ = stopped.changed() => return,
        }
        let core = Arc::clone(&core);
        // It may wait for a commit that is writing. A panic was reported where it happened.
        let _ = tokio::task::spawn_blocking(move || core.catalog.snapshot_if_due()).await;
    }
}

fn limits(config: &Config) -> net::Limits {
    let count = |value: i32| usize::try_from(value).unwrap_or(0);
    let ms =
        |value: i64| std::time::Duration::from_millis(u64::try_from(value).unwrap_or(u64::MAX));
    // Both are bounds of the same bytes; -1 of Kafka's leaves it to ours.
    let queued = usize::try_from(config.get(keys::QUEUED_MAX_REQUEST_BYTES)).unwrap_or(usize::MAX);
    let in_flight =
        usize::try_from(config.get(keys::KLAMM_REQUEST_BYTES_IN_FLIGHT_MAX)).unwrap_or(usize::MAX);
    let rate = u32::try_from(config.get(keys::MAX_CONNECTION_CREATION_RATE)).unwrap_or(u32::MAX);
    net::Limits {
        frame_bytes_max: count(config.get(keys::SOCKET_REQUEST_MAX_BYTES)),
        request_bytes_max: in_flight.min(queued),
        frame_timeout: ms(config.get(keys::KLAMM_FRAME_TIMEOUT_MS)),
        idle_timeout: ms(config.get(keys::CONNECTIONS_MAX_IDLE_MS)),
        connections_max: count(config.get(keys::MAX_CONNECTIONS))
            .min(descriptors(config).connections),
        connections_per_ip_max: count(config.get(keys::MAX_CONNECTIONS_PER_IP)),
        connections_per_ip_overrides: per_address(
            config.get(keys::MAX_CONNECTIONS_PER_IP_OVERRIDES),
        ),
        connections_per_second_max: rate,
        send_buffer_bytes: usize::try_from(config.get(keys::SOCKET_SEND_BUFFER_BYTES)).ok(),
        receive_buffer_bytes: usize::try_from(config.get(keys::SOCKET_RECEIVE_BUFFER_BYTES)).ok(),
        listen_backlog: u32::try_from(config.get(keys::SOCKET_LISTEN_BACKLOG_SIZE)).unwrap_or(1),
        ..net::Limits::default()
    }
}

fn descriptors(config: &Config) -> Descriptors {
    let files_max = usize::try_from(config.get(keys::KLAMM_OPEN_FILES_MAX)).unwrap_or(1);
    Descriptors::of_process(files_max)
}

/// `host:count,…`, as `max.connections.per.ip.overrides` has it; a name stands for all of its
/// addresses.
fn per_address(text: &str) -> HashMap<IpAddr, usize> {
    let entries = text
        .split(',')
        .filter_map(|entry| entry.trim().rsplit_once(':'));
    let entries = entries.filter_map(|(host, count)| Some((host, count.trim().parse().ok()?)));
    entries
        .flat_map(|(host, count)| {
            let host = host.trim().trim_start_matches('[').trim_end_matches(']');
            let found = (host, 0).to_socket_addrs().into_iter().flatten();
            found.map(move |address| (address.ip(), count))
        })
        .collect()
}

fn options(
    config: &Arc<Config>,
    clock: Option<SharedClock>,
    seed: u64,
    bound: &[(Listener, net::Listener)],
) -> Result<BrokerOptions, StartError> {
    let durability = broker::configs::durability(config.get(keys::KLAMM_DURABILITY));
    let mut dirs = config.data_dirs();
    let (1, Some(dir)) = (dirs.len(), dirs.pop()) else {
        return Err(StartError::DataDirs(config.data_dirs().len()));
    };
    let io: SharedIo = match durability {
        Durability::Memory => {
            let set = config.get(keys::KLAMM_MEMORY_BYTES_MAX);
            let set = set.and_then(|bytes| u64::try_from(bytes).ok());
            MemoryIo::bounded(set.unwrap_or_else(memory_bytes_max))
        }
        Durability::Fsync | Durability::Os => RealIo::shared(),
    };
    let endpoints = bound
        .iter()
        .map(|(listener, socket)| {
            let address = socket.address();
            let (host, port) = advertised(config, &listener.name, address.port())
                .unwrap_or_else(|| (address.ip().to_string(), address.port()));
            (listener.name.clone(), host, port, listener.protocol.id())
        })
        .collect();
    Ok(BrokerOptions {
        open_files_max: descriptors(config).files,
        config: Arc::clone(config),
        io,
        dir,
        durability,
        clock: clock.unwrap_or_else(SystemClock::shared),
        seed,
        endpoints,
    })
}

/// Bytes of logs in memory where no setting says: a quarter of what the process may use.
fn memory_bytes_max() -> u64 {
    /// For systems that tell nothing.
    const UNKNOWN: u64 = 4 << 30;
    /// As the setting's least.
    const LEAST: u64 = 1 << 20;
    (io::memory_limit().unwrap_or(UNKNOWN) / 4).max(LEAST)
}

/// A seed from the operating system.
fn entropy() -> u64 {
    getrandom::u64().unwrap_or_else(|_| fastrand::u64(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_loopback() {
        for here in ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"] {
            assert!(is_loopback(here), "{here}");
        }
        for beyond in ["", "0.0.0.0", "::", "192.0.2.1", "[2001:db8::1]"] {
            assert!(!is_loopback(beyond), "{beyond}");
        }
    }
}
