//! Kafka's own command-line tools. They need a JVM and Kafka's jars: `KAFKA_JARS`, a directory, as
//! `compat-tests/kafka/start --jars` prints it.

use std::io::Write;
use std::process::{Command, Stdio};

use compat_tests::server::skip;

/// Where the jars are; says so when they are not.
pub(crate) fn jars(name: &str) -> Option<String> {
    let jars = std::env::var("KAFKA_JARS").ok();
    if jars.is_none() {
        skip(name, "KAFKA_JARS is not set");
    }
    jars
}

/// Runs a tool and gives its output.
pub(crate) fn tool(jars: &str, class: &str, arguments: &[&str], input: &str) -> String {
    let mut java = Command::new("java")
        .args([
            "-Xmx256m",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            &format!("{jars}/*"),
            class,
        ])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("java runs");
    let mut stdin = java.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("input");
    drop(stdin);
    let output = java.wait_with_output().expect("java ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{class} {arguments:?}: {text}");
    text
}
