//! Clients of their own in Python and JavaScript. `compat-tests/run` installs them into
//! `COMPAT_PYTHON` (an interpreter) and `COMPAT_NODE` (a directory with `node_modules`).

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use compat_tests::lines;
use compat_tests::server::{Server, scratch, skip};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// Lines for clients that are slow.
fn few() -> usize {
    lines::count().min(5_000)
}

struct Client {
    name: &'static str,
    program: PathBuf,
    script: PathBuf,
    /// Codecs that it writes with.
    codecs: &'static [&'static str],
    count: usize,
    /// Whether it reads by assignment; if not, rdkafka reads what it wrote.
    reads: bool,
}

impl Client {
    fn python(name: &'static str, count: usize) -> Option<Self> {
        let Some(program) = std::env::var_os("COMPAT_PYTHON") else {
            skip(name, "COMPAT_PYTHON is not set; compat-tests/run sets it");
            return None;
        };
        let script = clients().join("python").join(format!("{name}.py"));
        Some(Self {
            name,
            program: program.into(),
            script,
            codecs: &CODECS,
            count,
            reads: true,
        })
    }

    fn node(name: &'static str, codecs: &'static [&'static str]) -> Option<Self> {
        let Some(directory) = std::env::var_os("COMPAT_NODE") else {
            skip(name, "COMPAT_NODE is not set; compat-tests/run sets it");
            return None;
        };
        let script = Path::new(&directory).join(format!("{name}.js"));
        Some(Self {
            name,
            program: "node".into(),
            script,
            codecs,
            count: few(),
            reads: false,
        })
    }

    fn call(&self, server: &Server, file: &Path, phase: &str) {
        let status = Command::new(&self.program)
            .arg(&self.script)
            .arg(phase)
            .env("BROKER", server.address())
            .env("TOPIC", self.name)
            .env("LINES", file)
            .status()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        assert!(status.success(), "{} {phase}", self.name);
    }

    fn run(&self) {
        let Some(mut server) = Server::start(self.name) else {
            return;
        };
        let file = scratch().join(format!("{}-lines", self.name));
        lines::write(&file, self.count).expect("a file of lines");
        for codec in self.codecs {
            server.topic(&format!("{}-{codec}", self.name), support::PARTITIONS);
        }
        self.call(&server, &file, "write");
        self.read(&server, &file, "before the crash");
        if server.crash() {
            self.read(&server, &file, "after the crash");
        }
        self.call(&server, &file, "admin");
        std::fs::remove_file(file).expect("the file of lines");
    }

    fn read(&self, server: &Server, file: &Path, when: &str) {
        if self.reads {
            self.call(server, file, "read");
        }
        for codec in self.codecs {
            let topic = format!("{}-{codec}", self.name);
            support::consume(server, &topic, self.count, &format!("{topic}, {when}"));
        }
    }
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

#[test]
fn confluent_kafka_for_python_works() {
    if let Some(client) = Client::python("confluent", lines::count()) {
        client.run();
    }
}

#[test]
fn kafka_python_works() {
    if let Some(client) = Client::python("kafka_python", few()) {
        client.run();
    }
}

#[test]
fn aiokafka_works() {
    if let Some(client) = Client::python("aio_kafka", few()) {
        client.run();
    }
}

#[test]
fn kafkajs_works() {
    if let Some(client) = Client::node("kafkajs", &["none", "gzip"]) {
        client.run();
    }
}

#[test]
fn platformatic_kafka_works() {
    if let Some(client) = Client::node("platformatic", &["none", "gzip", "snappy", "lz4"]) {
        client.run();
    }
}
