//! `klamm serve`: runs the broker until it is told to stop.

use std::io::Write;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use super::{CommandError, Format};
use crate::config;
use crate::server::{Broker, raise_open_files_limit};

/// Arguments of `klamm serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Settings: server.properties, or a file that ends in .toml or .json.
    config: Option<PathBuf>,
    /// Keep data in this directory.
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    data_dir: Option<PathBuf>,
    /// Keep data in memory and leave nothing behind.
    #[arg(long)]
    memory: bool,
    /// When `acks=all` is answered: after a sync, or from the page cache.
    #[arg(long, value_name = "MODE", value_parser = ["fsync", "os"], conflicts_with = "memory")]
    durability: Option<String>,
    /// Listen here; port 0 lets the system choose. May be given several times.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Vec<String>,
    /// Set any setting by its name. May be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::key_value)]
    set: Vec<(String, String)>,
    /// Write the ready line to this file when the broker can be used.
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
    /// Allow listening beyond loopback without authentication.
    #[arg(long)]
    insecure: bool,
}

impl Args {
    /// The sources in their order: file, environment, flags, `--set`.
    fn sources(&self) -> Result<config::Builder, CommandError> {
        let mut sources = config::Config::builder().env(std::env::vars());
        if let Some(path) = &self.config {
            let bytes = std::fs::read(path)
                .map_err(|error| CommandError(format!("{}: {error}", path.display())))?;
            sources = sources.file(path, &bytes);
        }
        if let Some(dir) = &self.data_dir {
            sources = sources.flag("--data-dir", "log.dirs", &dir.to_string_lossy());
        }
        if self.memory {
            sources = sources.flag("--memory", "klamm.durability", "memory");
        }
        if let Some(mode) = &self.durability {
            sources = sources.flag("--durability", "klamm.durability", mode);
        }
        if !self.listen.is_empty() {
            sources = sources.flag("--listen", "listeners", &listeners(&self.listen));
            if let Some(map) = protocols(&self.listen) {
                sources = sources.flag("--listen", "listener.security.protocol.map", &map);
            }
        }
        if self.insecure {
            sources = sources.flag("--insecure", "klamm.insecure", "true");
        }
        Ok(self
            .set
            .iter()
            .fold(sources, |sources, (key, value)| sources.set(key, value)))
    }
}

/// `HOST:PORT` is short for `PLAINTEXT://HOST:PORT`; further ones get names of their own.
fn listeners(addresses: &[String]) -> String {
    let named = addresses
        .iter()
        .enumerate()
        .map(|(number, address)| match number {
            _ if address.contains("://") => address.clone(),
            0 => format!("PLAINTEXT://{address}"),
            _ => format!("PLAINTEXT{}://{address}", number + 1),
        });
    named.collect::<Vec<_>>().join(",")
}

/// What the names that [`listeners`] made up speak; `None` where it made up none.
fn protocols(addresses: &[String]) -> Option<String> {
    let made_up = (2..=addresses.len())
        .zip(addresses.iter().skip(1))
        .filter(|(_, address)| !address.contains("://"))
        .map(|(number, _)| format!(",PLAINTEXT{number}:PLAINTEXT"))
        .collect::<String>();
    let known = "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL";
    (!made_up.is_empty()).then(|| format!("{known}{made_up}"))
}

pub(crate) async fn run(args: Args, _format: Format) -> Result<(), CommandError> {
    log_to_stderr();
    raise_open_files_limit();
    let failed = |error: &dyn std::fmt::Display| CommandError(error.to_string());
    // Before anything slow, so that no signal finds the default action.
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| failed(&error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| failed(&error))?;
    let config = args.sources()?.build().map_err(|error| failed(&error))?;
    let broker = Broker::with_config(config)
        .network_threads(super::cores())
        .start()
        .await
        .map_err(|error| failed(&error))?;

    let line = broker.ready_line();
    if let Some(path) = &args.ready_file {
        write_ready_file(path, &line)
            .map_err(|error| CommandError(format!("{}: {error}", path.display())))?;
    }
    // A closed stdout is no reason to stop serving.
    let _ = writeln!(std::io::stdout(), "{line}");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    broker.stop().await.map_err(|error| failed(&error))
}

/// Appears whole or not at all: a script may wait for it.
fn write_ready_file(path: &std::path::Path, line: &str) -> std::io::Result<()> {
    let draft = path.with_extension("tmp");
    std::fs::write(&draft, format!("{line}\n"))?;
    std::fs::rename(&draft, path)
}

/// Human lines on stderr; `RUST_LOG` chooses what is told (`info` if unset).
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    // A second call in one process (tests) keeps the first subscriber.
    let _ = logs.try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_named_listeners() {
        let given = [
            "127.0.0.1:1".to_owned(),
            "[::1]:2".to_owned(),
            "X://h:3".to_owned(),
        ];
        assert_eq!(
            listeners(&given),
            "PLAINTEXT://127.0.0.1:1,PLAINTEXT2://[::1]:2,X://h:3"
        );
    }
}
