//! Kafka's own command-line tools against a broker, and its `dump-log` on Klamm's files.

#[path = "support/java.rs"]
mod java;

use compat_tests::server::Server;
use java::tool;

#[test]
fn kafkas_own_tools_work() {
    let Some(jars) = java::jars("Kafka's own tools") else {
        return;
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
