//! Apache Kafka from a directory with its jars: one node that is broker and controller, with the
//! options of Java that its own start script has.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::generator::Aim;
use crate::process::Process;
use crate::row::{Amount, load};
use crate::server::{Server, Tools, clear};

/// The options of `kafka-run-class.sh` and `kafka-server-start.sh`.
pub(crate) const JAVA_OPTIONS: &str = "-Xms1G -Xmx1G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 \
    -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent \
    -XX:MaxInlineLevel=15 -Djava.awt.headless=true";

/// Any id will do.
const CLUSTER_ID: &str = "cGFpcnMtb2YtYnJva2Vycw";

const READY_WITHIN: Duration = Duration::from_secs(60);

/// Until the compiler of the JVM has done what it will do: seconds of both kinds of load.
const WARM_UP: f64 = 40.0;
const QUICK_WARM_UP: f64 = 10.0;

/// A broker that runs for as long as the rows do.
#[derive(Debug)]
pub(crate) struct Kafka {
    server: Server,
    pub(crate) version: String,
    pub(crate) java: String,
    /// Its `server.properties`.
    pub(crate) properties: String,
    pub(crate) warm_up: f64,
}

impl Kafka {
    /// Starts and warms it.
    pub(crate) fn start(jars: &Path, tools: &Tools, quick: bool) -> Result<Self, String> {
        let scratch = tools.guard.scratch();
        let directory = scratch.join("kafka");
        clear(&directory)?;
        let version = version(jars)?;
        let (port, controller) = (free_port()?, free_port()?);
        let settings = directory.join("server.properties");
        let text = properties(&directory, port, controller);
        std::fs::write(&settings, &text).map_err(|error| error.to_string())?;
        let class_path = jars.join("*");
        let java = || {
            let mut command = Command::new("java");
            command.args(JAVA_OPTIONS.split_ascii_whitespace());
            command.arg("-cp").arg(&class_path);
            command
        };
        let mut format = java();
        format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
        let format = tools.output(format.arg(&settings))?;
        if !format.status.success() {
            return Err(String::from_utf8_lossy(&format.stderr).into_owned());
        }
        let log = scratch.join("kafka.log");
        let mut command = java();
        command.arg("kafka.Kafka").arg(&settings);
        command.stdout(Stdio::null());
        let process = Process::start(&tools.guard, &mut command, &log)?;
        let address = format!("127.0.0.1:{port}");
        let mut kafka = Self {
            server: Server {
                process,
                address,
                data: directory.join("data"),
            },
            version,
            java: java_version(),
            properties: text,
            warm_up: if quick { QUICK_WARM_UP } else { WARM_UP },
        };
        kafka.wait()?;
        kafka.warm(tools)?;
        Ok(kafka)
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    fn wait(&mut self) -> Result<(), String> {
        let begin = Instant::now();
        loop {
            if TcpStream::connect(&self.server.address).is_ok() {
                return Ok(());
            }
            if self.server.process.has_ended() || begin.elapsed() > READY_WITHIN {
                let said = self.server.process.last_words();
                return Err(format!("Kafka did not start:{said}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Both kinds of batches in and out, with nothing but the last of them kept.
    fn warm(&self, tools: &Tools) -> Result<(), String> {
        let aim = Aim {
            address: self.server.address.clone(),
            topic: "warm-up".to_owned(),
        };
        let kept = ["retention.bytes=134217728", "segment.bytes=33554432"];
        aim.create(tools, 4, kept.into_iter())?;
        let half = Amount::Seconds(self.warm_up / 2.0);
        for batches in [
            "end-to-end --producers 4 --consumers 4 --record-size 1KiB --batch-size 64KiB",
            "end-to-end --producers 4 --consumers 4 --record-size 100 --batch-size 16KiB",
        ] {
            aim.load(tools, &load(batches, half), None)?;
        }
        aim.delete(tools)
    }
}

fn properties(directory: &Path, port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         log.retention.check.interval.ms=1000\n\
         log.cleaner.backoff.ms=100\n\
         log.segment.delete.delay.ms=1000\n",
        directory.join("data").display()
    )
}

/// A port that is free now; nothing else on this machine should be looking for one.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| error.to_string())
}

/// From the name of a jar.
fn version(jars: &Path) -> Result<String, String> {
    let said = |error| format!("{}: {error}", jars.display());
    for entry in std::fs::read_dir(jars).map_err(said)? {
        let name: PathBuf = entry.map_err(said)?.file_name().into();
        let name = name.to_string_lossy();
        let version = name.strip_prefix("kafka-clients-");
        if let Some(version) = version.and_then(|rest| rest.strip_suffix(".jar")) {
            return Ok(version.to_owned());
        }
    }
    Err(format!("{}: no kafka-clients-*.jar", jars.display()))
}

fn java_version() -> String {
    let output = Command::new("java").arg("-version").output();
    let said = output.map(|output| output.stderr).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    said.lines().next().unwrap_or_default().to_owned()
}
