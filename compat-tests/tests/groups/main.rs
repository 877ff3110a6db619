//! Groups of every client: members join, leave, are killed and lose the broker, and every record comes
//! out, once where partitions are handed over in order.
//!
//! One scenario (`scenario.rs`); a client is a program that is a member (`clients/python/member.py` says
//! what it has to do).

mod coordinator;
mod member;
mod scenario;

use std::path::Path;
use std::process::Command;

use compat_tests::server::skip;
use coordinator::Protocol;
use scenario::play;

fn python(client: &'static str, protocol: Protocol) {
    let Some(program) = std::env::var_os("COMPAT_PYTHON") else {
        return skip(client, "COMPAT_PYTHON is not set; compat-tests/run sets it");
    };
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python");
    let script = scripts.join(format!("{client}_member.py"));
    play(client, protocol, &|_| {
        let mut command = Command::new(&program);
        command.arg(&script);
        command
    });
}

fn node(client: &'static str, protocol: Protocol) {
    let Some(directory) = std::env::var_os("COMPAT_NODE") else {
        return skip(client, "COMPAT_NODE is not set; compat-tests/run sets it");
    };
    let script = Path::new(&directory).join(format!("{client}_member.js"));
    play(client, protocol, &|_| {
        let mut command = Command::new("node");
        command.arg(&script);
        command
    });
}

fn rust(protocol: Protocol) {
    let program = std::env::current_exe().expect("a path of its own");
    // The test is in `deps`, beside which Cargo puts examples.
    let built = program.ancestors().nth(2).expect("a directory above");
    let program = built.join("examples/rdkafka_member");
    play("rdkafka", protocol, &|_| Command::new(&program));
}

#[test]
fn kcat_consumes_in_groups() {
    if Command::new("kcat").arg("-V").output().is_err() {
        return skip("kcat", "it is not installed");
    }
    play("kcat", Protocol::Classic, &|group| {
        let mut command = Command::new("kcat");
        // kcat with the librdkafka that it came with: Cargo puts rdkafka's own in the loader's way.
        command.env_remove("LD_LIBRARY_PATH");
        command
            .args(["-b", group.address, "-q", "-u", "-E", "-f", "%p %o %s\\n"])
            .args(["-X", "auto.offset.reset=earliest"])
            .args(["-X", "auto.commit.interval.ms=100"])
            .args(["-X", "heartbeat.interval.ms=400"])
            .args(["-X", &format!("session.timeout.ms={}", group.session_ms)])
            .args(["-G", group.name, group.topic]);
        command
    });
}

#[test]
fn rdkafka_consumes_in_classic_groups() {
    rust(Protocol::Classic);
}

#[test]
fn rdkafka_consumes_in_consumer_groups() {
    rust(Protocol::Consumer);
}

#[test]
fn confluent_kafka_for_python_consumes_in_classic_groups() {
    python("confluent", Protocol::Classic);
}

#[test]
fn confluent_kafka_for_python_consumes_in_consumer_groups() {
    python("confluent", Protocol::Consumer);
}

#[test]
fn kafka_python_consumes_in_groups() {
    python("kafka_python", Protocol::Classic);
}

#[test]
fn aiokafka_consumes_in_groups() {
    python("aio_kafka", Protocol::Classic);
}

#[test]
fn kafkajs_consumes_in_groups() {
    node("kafkajs", Protocol::Classic);
}

#[test]
fn platformatic_kafka_consumes_in_classic_groups() {
    node("platformatic", Protocol::Classic);
}

#[test]
fn platformatic_kafka_consumes_in_consumer_groups() {
    node("platformatic", Protocol::Consumer);
}
