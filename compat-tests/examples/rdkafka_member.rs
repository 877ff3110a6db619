//! A member of a group: rdkafka, in either protocol. See `clients/python/member.py` for what the
//! members of all clients do.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use tokio::signal::unix::{SignalKind, signal};

/// Becomes true at SIGTERM.
fn leaving() -> Result<Arc<AtomicBool>, Box<dyn Error>> {
    let leaving = Arc::new(AtomicBool::new(false));
    let shared = Arc::clone(&leaving);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut signals = {
        let _within = runtime.enter();
        signal(SignalKind::terminate())?
    };
    std::thread::spawn(move || {
        runtime.block_on(signals.recv());
        shared.store(true, Ordering::Relaxed);
    });
    Ok(leaving)
}

fn main() -> Result<(), Box<dyn Error>> {
    let leaving = leaving()?;
    let protocol = std::env::var("PROTOCOL")?;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", std::env::var("BROKER")?)
        .set("broker.address.family", "v4")
        .set("group.id", std::env::var("GROUP")?)
        .set("group.protocol", &protocol)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false");
    if protocol == "classic" {
        let session: u32 = std::env::var("SESSION_MS")?.parse()?;
        config
            .set("session.timeout.ms", session.to_string())
            .set("heartbeat.interval.ms", (session / 10).to_string());
    }
    let consumer: BaseConsumer = config.create()?;
    consumer.subscribe(&[&std::env::var("TOPIC")?])?;
    while !leaving.load(Ordering::Relaxed) {
        let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let value = String::from_utf8_lossy(record.payload().unwrap_or_default());
        println!("{} {} {value}", record.partition(), record.offset());
        match consumer.commit_message(&record, CommitMode::Sync) {
            // Not its partition any more: the record comes again, to whom it belongs.
            Ok(())
            | Err(KafkaError::ConsumerCommit(
                RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::RebalanceInProgress
                | RDKafkaErrorCode::StaleMemberEpoch
                | RDKafkaErrorCode::NoOffset,
            )) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
