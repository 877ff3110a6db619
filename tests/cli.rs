//! `klamm serve` as a process: its flags, its ready line, its signals and exit codes.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const KLAMM: &str = env!("CARGO_BIN_EXE_klamm");

/// A running `klamm serve`, killed when a test ends early.
struct Serve {
    child: Child,
    ready: String,
}

impl Serve {
    fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(KLAMM)
            .arg("serve")
            .args(args)
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut ready)
            .unwrap();
        assert!(ready.starts_with("klamm ready kafka="), "{ready:?}");
        Self { child, ready }
    }

    fn address(&self) -> &str {
        self.ready
            .split_once("kafka=")
            .unwrap()
            .1
            .split_whitespace()
            .next()
            .unwrap()
    }

    /// SIGTERM; the exit code.
    fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn klamm(args: &[&str]) -> Output {
    Command::new(KLAMM).args(args).output().unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn serve_says_when_it_is_ready_and_ends_with_zero_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let ready_file = folder.path().join("ready");
    let data = folder.path().join("data");
    let args = [
        "--data-dir",
        path(&data),
        "--listen",
        "127.0.0.1:0",
        "--ready-file",
        path(&ready_file),
    ];
    let serve = Serve::start(&args, &[]);
    assert_eq!(std::fs::read_to_string(&ready_file).unwrap(), serve.ready);
    assert!(std::net::TcpStream::connect(serve.address()).is_ok());
    assert_eq!(serve.terminate(), Some(0));
    assert!(data.join("meta.properties").exists());
}

#[test]
fn a_stop_tells_how_often_files_were_found_open() {
    let scratch = tempfile::tempdir().unwrap();
    let mut child = Command::new(KLAMM)
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(scratch.path())
        .args(["--set", "klamm.open.files.max=20"])
        .env("RUST_LOG", "info")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut ready).unwrap();
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(killed.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    let line = log.lines().find(|line| line.contains("open files hits="));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains(" misses=") && line.ends_with(" capacity=20"),
        "{line}"
    );
}

#[test]
fn memory_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(
        &[
            "--memory",
            "--listen",
            "127.0.0.1:0",
            "--set",
            &format!("log.dirs={}", path(folder.path())),
        ],
        &[],
    );
    assert!(serve.ready.contains("durability=memory"));
    assert_eq!(serve.terminate(), Some(0));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn files_environment_flags_and_sets_override_one_another_in_this_order() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        (
            "server.properties",
            "num.partitions=2\nlisteners=PLAINTEXT://127.0.0.1:0\nklamm.durability=memory\n",
        ),
        (
            "klamm.toml",
            "num.partitions = 2\nlisteners = \"PLAINTEXT://127.0.0.1:0\"\n[klamm]\ndurability = \"memory\"\n",
        ),
        (
            "klamm.json",
            r#"{"num.partitions": 2, "listeners": "PLAINTEXT://127.0.0.1:0", "klamm": {"durability": "memory"}}"#,
        ),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        let file = path(&file).to_owned();
        for (expected, args, env) in [
            ("2", vec![file.as_str()], vec![]),
            (
                "3",
                vec![file.as_str()],
                vec![("KAFKA_NUM_PARTITIONS", "3")],
            ),
            (
                "4",
                vec![file.as_str(), "--set", "num.partitions=4"],
                vec![("KAFKA_NUM_PARTITIONS", "3")],
            ),
        ] {
            let serve = Serve::start(&args, &env);
            let created = klamm(&["topic", "create", "counted", "-b", serve.address()]);
            assert!(created.status.success(), "{created:?}");
            let described = klamm(&[
                "topic",
                "describe",
                "counted",
                "-b",
                serve.address(),
                "--format",
                "json",
            ]);
            let json: serde_json::Value = serde_json::from_slice(&described.stdout).unwrap();
            let text = json.to_string();
            let partitions = text.matches("\"partition\":").count().to_string();
            assert_eq!(partitions, expected, "{name}: {text}");
        }
    }
}

#[test]
fn mistakes_are_told_on_stderr_with_the_right_code() {
    let usage = klamm(&["serve", "--no-such-flag"]);
    assert_eq!(usage.status.code(), Some(2));
    let both = klamm(&["serve", "--memory", "--data-dir", "x"]);
    assert_eq!(both.status.code(), Some(2));
    let bad = klamm(&["serve", "--memory", "--set", "num.partitions=none"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("num.partitions"));
    let exposed = klamm(&["serve", "--memory", "--listen", "0.0.0.0:0"]);
    assert_eq!(exposed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&exposed.stderr).contains("--insecure"));
    let missing = klamm(&["serve", "no-such-file.properties"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no-such-file.properties"));
}

#[test]
fn several_addresses_are_several_listeners() {
    let args = [
        "--memory",
        "--listen",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
    ];
    let serve = Serve::start(&args, &[]);
    let addresses: Vec<_> = serve.ready.matches("kafka=").collect();
    assert_eq!(addresses.len(), 2, "{}", serve.ready);
    for part in serve.ready.split("kafka=").skip(1) {
        let address = part.split_whitespace().next().unwrap();
        assert!(std::net::TcpStream::connect(address).is_ok(), "{address}");
    }
    assert_eq!(serve.terminate(), Some(0));
}
