//! Kafka's own command-line tools against a broker, and its `dump-log` on Klamm's files. They need a
//! JVM and Kafka's jars: `KAFKA_JARS`, a directory, as `compat-tests/kafka/start --jars` prints it.

use std::io::Write;
use std::process::{Command, Stdio};

use compat_tests::server::{Server, skip};

/// Runs a tool and gives its output.
fn tool(jars: &str, class: &str, arguments: &[&str], input: &str) -> String {
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

#[test]
fn kafkas_own_tools_work() {
    let Ok(jars) = std::env::var("KAFKA_JARS") else {
        return skip("Kafka's own tools", "KAFKA_JARS is not set");
    };
    let Some(server) = Server::start("java-tools") else {
        return;
    };
    let topics = "org.apache.kafka.tools.TopicCommand";
    let configs = "kafka.admin.ConfigCommand";
    let ask = |class: &str, arguments: &[&str], input: &str| {
        let mut all = vec!["--bootstrap-server", server.address()];
        all.extend(arguments);
        tool(&jars, class, &all, input)
    };
    ask(
        topics,
        &["--create", "--topic", "java-tools", "--partitions", "1"],
        "",
    );
    let producer = "org.apache.kafka.tools.ConsoleProducer";
    ask(producer, &["--topic", "java-tools"], "one\ntwo\n");
    let consumer = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    let from_start = [
        "--topic",
        "java-tools",
        "--partition",
        "0",
        "--offset",
        "earliest",
    ];
    let limit = [&from_start[..], &["--max-messages", "2"]].concat();
    assert_eq!(ask(consumer, &limit, ""), "one\ntwo\n");
    let described = ask(topics, &["--describe", "--topic", "java-tools"], "");
    assert!(described.contains("PartitionCount: 1"), "{described}");
    let entity = ["--entity-type", "topics", "--entity-name", "java-tools"];
    let change = [&["--alter", "--add-config", "retention.ms=-1"], &entity[..]].concat();
    ask(configs, &change, "");
    let settings = ask(configs, &[&["--describe"], &entity[..]].concat(), "");
    assert!(settings.contains("retention.ms=-1"), "{settings}");
    let offsets = "org.apache.kafka.tools.GetOffsetShell";
    assert_eq!(
        ask(offsets, &["--topic", "java-tools"], ""),
        "java-tools:0:2\n"
    );
    let directories = "org.apache.kafka.tools.LogDirsCommand";
    let sizes = ask(
        directories,
        &["--describe", "--topic-list", "java-tools"],
        "",
    );
    assert!(sizes.contains("\"partition\":\"java-tools-0\""), "{sizes}");

    if let Some(data) = server.data() {
        let log = data.join("java-tools-0/00000000000000000000.log");
        let log = log.to_str().expect("a path");
        let dump = ["--print-data-log", "--files", log];
        let dumped = tool(&jars, "kafka.tools.DumpLogSegments", &dump, "");
        assert!(dumped.contains("isvalid: true"), "{dumped}");
        assert!(
            dumped.contains("payload: one") && dumped.contains("payload: two"),
            "{dumped}"
        );
    }
    ask(topics, &["--delete", "--topic", "java-tools"], "");
}
