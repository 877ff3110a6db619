//! The broker that client suites talk to: the one at `BROKER`, or a `klamm serve` of their own that
//! can be killed and started again.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::session::Session;

/// A broker.
#[derive(Debug)]
pub struct Server {
    address: String,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    binary: PathBuf,
    data: PathBuf,
    settings: Vec<String>,
    process: Child,
}

impl Server {
    /// Takes the broker at `BROKER`, else starts the binary at `KLAMM_BIN` or the one that was built
    /// beside this test; `None`, and a line that says so, when there is neither.
    ///
    /// # Panics
    /// If the binary is there and does not start.
    #[must_use]
    pub fn start(name: &str) -> Option<Self> {
        Self::start_with(name, &[])
    }

    /// As [`Server::start`], with settings (`NAME=VALUE`) for a broker of its own.
    ///
    /// # Panics
    /// If the binary is there and does not start.
    #[must_use]
    pub fn start_with(name: &str, settings: &[&str]) -> Option<Self> {
        if let Ok(address) = std::env::var("BROKER") {
            return Some(Self { address, own: None });
        }
        let binary = binary();
        if !binary.exists() {
            skip(
                name,
                &format!(
                    "{} is not there: build klamm or set KLAMM_BIN",
                    binary.display()
                ),
            );
            return None;
        }
        let data = scratch().join(format!("{name}-data"));
        let _ = std::fs::remove_dir_all(&data);
        let settings: Vec<_> = settings.iter().map(|text| (*text).to_owned()).collect();
        let (process, address) = serve(&binary, &data, "127.0.0.1:0", &settings);
        Some(Self {
            address,
            own: Some(Own {
                binary,
                data,
                settings,
                process,
            }),
        })
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where its data lies, if it is a broker of this test.
    #[must_use]
    pub fn data(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.data.as_path())
    }

    /// Kills it as a crash would (SIGKILL) and starts it again where it listened before. False for
    /// a broker at `BROKER`.
    ///
    /// # Panics
    /// If it does not come back.
    pub fn crash(&mut self) -> bool {
        let Some(own) = &mut self.own else {
            return false;
        };
        own.process.kill().expect("it runs");
        own.process.wait().expect("it ends");
        (own.process, self.address) = serve(&own.binary, &own.data, &self.address, &own.settings);
        true
    }

    /// Creates a topic, and deletes one of that name first.
    ///
    /// # Panics
    /// If it cannot.
    pub fn topic(&self, name: &str, partitions: i32) {
        let mut session = Session::new(&self.address, std::time::Duration::ZERO);
        let mut ask = |api: &str, version, body: Value| session.aside(api, version, body);
        ask(
            "DeleteTopics",
            6,
            json!({"topics": [{"name": name}], "timeoutMs": 10_000}),
        );
        let topic = json!({"name": name, "numPartitions": partitions, "replicationFactor": 1});
        let body = json!({"topics": [topic], "timeoutMs": 10_000});
        for _ in 0..50 {
            let code = ask("CreateTopics", 7, body.clone())["topics"][0]["errorCode"].clone();
            if code == 0 {
                return;
            }
            // A deleted topic may take its time to go.
            assert_eq!(code, 36, "creating {name}");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{name} is still there");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(own) = &mut self.own {
            let _ = own.process.kill();
            let _ = own.process.wait();
            let _ = std::fs::remove_dir_all(&own.data);
        }
    }
}

fn serve(binary: &Path, data: &Path, listen: &str, settings: &[String]) -> (Child, String) {
    let mut process = Command::new(binary)
        .arg("serve")
        .args(["--listen", listen, "--data-dir"])
        .arg(data)
        .args(settings.iter().flat_map(|setting| ["--set", setting]))
        .stdout(Stdio::piped())
        .spawn()
        .expect("klamm starts");
    let mut ready = String::new();
    let out = process.stdout.take().expect("a pipe");
    BufReader::new(out)
        .read_line(&mut ready)
        .expect("a ready line");
    let address = ready
        .split_whitespace()
        .find_map(|word| word.strip_prefix("kafka="))
        .unwrap_or_else(|| panic!("no address in {ready:?}"))
        .to_owned();
    (process, address)
}

/// The broker's binary: `KLAMM_BIN`, or the one of this build.
#[must_use]
pub fn binary() -> PathBuf {
    std::env::var_os("KLAMM_BIN").map_or_else(|| built().join("klamm"), PathBuf::from)
}

/// A directory for files of tests.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn scratch() -> PathBuf {
    let directory = built().join("compat-scratch");
    std::fs::create_dir_all(&directory).expect("a directory for files of tests");
    directory
}

/// The directory of this build, above `deps/`.
fn built() -> PathBuf {
    let mut path = std::env::current_exe().expect("a path of its own");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path
}

/// Says that something is not tested, and why.
pub fn skip(name: &str, reason: &str) {
    println!("SKIPPED {name}: {reason}");
}
