//! The commands that talk to a broker, as processes, against a broker in this process.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail the test")]

mod common;

use std::process::{Command, Stdio};

use common::{Cluster, KLAMM};
use klamm::Broker;

#[test]
fn topics_are_created_listed_described_and_deleted() {
    let cluster = Cluster::start();
    let created = cluster.ok(
        &[
            "topic",
            "create",
            "news",
            "--partitions",
            "3",
            "--config",
            "retention.ms=1234",
        ],
        "",
    );
    assert_eq!(created, "created news with 3 partitions\n");
    cluster.ok(&["topic", "create", "weather"], "");
    assert_eq!(cluster.ok(&["topic", "list"], ""), "news\nweather\n");
    assert_eq!(
        cluster.ok(&["topic", "list", "--format", "json"], ""),
        "[\"news\",\"weather\"]\n"
    );

    let described = cluster.ok(&["topic", "describe", "news"], "");
    assert!(
        described.contains("PartitionCount: 3\tReplicationFactor: 1"),
        "{described}"
    );
    assert!(
        described.contains("Configs: retention.ms=1234"),
        "{described}"
    );
    assert!(
        described.contains("\tTopic: news\tPartition: 2\tLeader: "),
        "{described}"
    );
    let json = cluster.ok(&["topic", "describe", "news", "--format", "json"], "");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["configs"]["retention.ms"], "1234");
    assert_eq!(json[0]["partitions"].as_array().unwrap().len(), 3);

    assert_eq!(
        cluster.ok(&["topic", "delete", "news"], ""),
        "deleted news\n"
    );
    assert_eq!(cluster.ok(&["topic", "list"], ""), "weather\n");
}

#[test]
fn what_a_broker_refuses_is_an_error_with_kafkas_name() {
    let cluster = Cluster::start();
    cluster.ok(&["topic", "create", "news"], "");
    let error = cluster.fails(1, &["topic", "create", "news"]);
    assert!(error.contains("TOPIC_ALREADY_EXISTS"), "{error}");
    let error = cluster.fails(1, &["topic", "create", "bad", "--config", "no.such=1"]);
    assert!(error.contains("INVALID_CONFIG"), "{error}");
    let error = cluster.fails(1, &["topic", "describe", "absent"]);
    assert!(error.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{error}");
    let error = cluster.fails(1, &["consume", "absent", "-e"]);
    assert!(error.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{error}");
    let error = cluster.fails(1, &["consume", "news", "-p", "7"]);
    assert!(error.contains("no partition 7"), "{error}");
    let output = cluster.with_input(&["topic", "delete", "news", "absent"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"deleted news\n");
}

#[test]
fn arguments_that_make_no_sense_are_a_usage_error() {
    let cluster = Cluster::start();
    for arguments in [
        &["topic"][..],
        &["topic", "create"],
        &["topic", "create", "t", "--partitions", "0"],
        &["topic", "create", "t", "--config", "novalue"],
        &["produce"],
        &["produce", "t", "-z", "lzma"],
        &["produce", "t", "--acks", "2"],
        &["produce", "t", "-p", "0", "--partitioner", "sticky"],
        &["consume", "t", "-o", "middle"],
        &["group"],
        &["group", "delete"],
        &["group", "reset-offsets", "g", "--to-latest"],
        &["group", "reset-offsets", "g", "--topic", "t"],
        &[
            "group",
            "reset-offsets",
            "g",
            "--topic",
            "t:x",
            "--to-latest",
        ],
        &[
            "group",
            "reset-offsets",
            "g",
            "--topic",
            "t",
            "--to-latest",
            "--to-earliest",
        ],
        &[
            "group",
            "reset-offsets",
            "g",
            "--topic",
            "t",
            "--to-datetime",
            "yesterday",
        ],
        &["log"],
        &["log", "dump"],
    ] {
        cluster.fails(2, arguments);
    }
}

#[test]
fn a_broker_that_is_not_there_is_an_error() {
    let output = Command::new(KLAMM)
        .args(["topic", "list", "-b", "127.0.0.1:1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("127.0.0.1:1"));
}

#[test]
fn lines_go_in_and_come_out_unchanged_with_every_codec() {
    let cluster = Cluster::start();
    let lines: String = (0..20_000)
        .map(|line| format!("line {line} äöü\n"))
        .collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        cluster.ok(&["topic", "create", codec, "--partitions", "1"], "");
        cluster.ok(&["produce", codec, "-z", codec], &lines);
        assert!(
            cluster.ok(&["consume", codec, "-e"], "") == lines,
            "{codec}"
        );
    }
}

#[test]
fn empty_lines_are_records_and_the_last_line_needs_no_end() {
    let cluster = Cluster::start();
    cluster.ok(&["topic", "create", "lines", "--partitions", "1"], "");
    cluster.ok(&["produce", "lines"], "one\n\nthree");
    assert_eq!(
        cluster.ok(&["consume", "lines", "-e", "-f", "%o:%s\\n"], ""),
        "0:one\n1:\n2:three\n"
    );
    let empty = cluster.ok(&["produce", "lines", "--format", "json"], "");
    assert_eq!(empty, "{\"records\":0}\n");
}

#[test]
fn keys_headers_and_nulls_are_sent_and_printed() {
    let cluster = Cluster::start();
    cluster.ok(&["topic", "create", "pairs", "--partitions", "1"], "");
    cluster.ok(
        &[
            "produce", "pairs", "-K", "=", "-H", "h=1", "-H", "h=2", "-Z",
        ],
        "a=1\nb=\nc\n",
    );
    let text = cluster.ok(&["consume", "pairs", "-e", "-f", "%k(%K) %v(%S) %h\\n"], "");
    assert_eq!(
        text,
        "a(1) 1(1) h=1,h=2\nb(1) (-1) h=1,h=2\n(-1) c(1) h=1,h=2\n"
    );
    let json = cluster.ok(&["consume", "pairs", "-c", "2", "--format", "json"], "");
    let second: serde_json::Value = serde_json::from_str(json.lines().nth(1).unwrap()).unwrap();
    assert_eq!(second["key"], "b");
    assert_eq!(second["value"], serde_json::Value::Null);
    assert_eq!(
        second["headers"],
        serde_json::json!([["h", "1"], ["h", "2"]])
    );
}

#[test]
fn reading_begins_where_it_is_told_to() {
    let cluster = Cluster::start();
    cluster.ok(&["topic", "create", "ten", "--partitions", "1"], "");
    let lines: String = (0..10).map(|line| format!("{line}\n")).collect();
    cluster.ok(&["produce", "ten"], &lines);
    let from = |offset: &str| cluster.ok(&["consume", "ten", "-e", "-o", offset], "");
    assert_eq!(from("beginning"), lines);
    assert_eq!(from("7"), "7\n8\n9\n");
    assert_eq!(from("-2"), "8\n9\n");
    assert_eq!(from("-99"), lines);
    assert_eq!(from("end"), "");
    assert_eq!(cluster.ok(&["consume", "ten", "-c", "3"], ""), "0\n1\n2\n");
    let error = cluster.fails(1, &["consume", "ten", "-e", "-o", "11"]);
    assert!(error.contains("OFFSET_OUT_OF_RANGE"), "{error}");
}

#[test]
fn consume_follows_what_comes_later() {
    let cluster = Cluster::start();
    cluster.ok(&["topic", "create", "stream", "--partitions", "1"], "");
    let consumer = cluster
        .command(&["consume", "stream", "-c", "2"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    cluster.ok(&["produce", "stream"], "one\n");
    cluster.ok(&["produce", "stream"], "two\n");
    let output = consumer.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"one\ntwo\n");
}

/// Where Java's client and librdkafka put keys on 12 partitions: the hashes are those of their
/// own tests (`UtilsTest.testMurmur2`; librdkafka 0048-partitioner).
#[test]
fn keys_go_where_other_clients_put_them() {
    let cluster = Cluster::start();
    for (partitioner, placed) in [
        (
            "murmur2",
            [
                ("21", (-973_932_308_i32) as u32 & 0x7fff_ffff),
                ("abc", 479_470_107),
            ],
        ),
        (
            "crc32",
            [("23456", 0xb1b4_51d7), ("123456789", 0xcbf4_3926)],
        ),
    ] {
        cluster.ok(&["topic", "create", partitioner, "--partitions", "12"], "");
        for (key, _) in placed {
            let line = format!("{key}:value\n");
            cluster.ok(
                &[
                    "produce",
                    partitioner,
                    "--partitioner",
                    partitioner,
                    "-K",
                    ":",
                ],
                &line,
            );
        }
        let text = cluster.ok(&["consume", partitioner, "-e", "-f", "%k %p\\n"], "");
        for (key, hash) in placed {
            let expected = format!("{key} {}", hash % 12);
            assert!(
                text.lines().any(|line| line == expected),
                "{partitioner}: {text}"
            );
        }
    }
}

#[test]
fn records_are_spread_over_partitions_as_told() {
    let cluster = Cluster::start();
    let partitions_of = |topic: &str, arguments: &[&str]| {
        cluster.ok(&["topic", "create", topic, "--partitions", "4"], "");
        let lines: String = (0..400).map(|line| format!("{line}\n")).collect();
        cluster.ok(&[&["produce", topic], arguments].concat(), &lines);
        let text = cluster.ok(&["consume", topic, "-e", "-f", "%p\\n"], "");
        let mut counts = [0; 4];
        for partition in text.lines() {
            counts[partition.parse::<usize>().unwrap()] += 1;
        }
        counts
    };
    assert_eq!(
        partitions_of("turns", &["--partitioner", "round-robin"]),
        [100; 4]
    );
    assert_eq!(partitions_of("one", &["-p", "2"]), [0, 0, 400, 0]);
    assert!(
        partitions_of("random", &["--partitioner", "random"])
            .iter()
            .all(|&count| count > 0)
    );
    let sticky = partitions_of("sticky", &["--partitioner", "sticky"]);
    assert_eq!(sticky.iter().sum::<i32>(), 400);
}

#[test]
fn records_that_nobody_acknowledges_arrive_too() {
    let cluster = Cluster::start();
    cluster.ok(&["topic", "create", "quick", "--partitions", "1"], "");
    cluster.ok(&["produce", "quick", "--acks", "0"], "one\ntwo\n");
    let text = cluster.ok(&["consume", "quick", "-c", "2"], "");
    assert_eq!(text, "one\ntwo\n");
}

#[test]
fn a_file_is_produced_and_its_topic_created_on_the_way() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    std::fs::write(&file, "from a file\n").unwrap();
    cluster.ok(&["produce", "auto", file.to_str().unwrap()], "");
    assert_eq!(cluster.ok(&["consume", "auto", "-e"], ""), "from a file\n");
    let error = cluster.fails(1, &["produce", "auto", "/no/such/file"]);
    assert!(error.contains("/no/such/file"), "{error}");
}

#[test]
fn the_files_of_a_broker_can_be_looked_into_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::of(Broker::builder().data_dir(folder.path()));
    cluster.ok(&["topic", "create", "kept", "--partitions", "1"], "");
    cluster.ok(&["produce", "kept", "-K", ":", "-z", "zstd"], "key:value\n");
    let path = folder.path().to_str().unwrap();
    let text = cluster.ok(&["log", "dump", "--records", path], "");
    assert!(text.contains(" compresscodec: zstd "), "{text}");
    assert!(text.contains(" key: key payload: value"), "{text}");
    assert!(text.contains("Topic(TopicRecord"), "{text}");
    let json = cluster.ok(&["log", "dump", path, "--format", "json"], "");
    for line in json.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn offsets_of_a_group_are_set_and_shown_with_lag() {
    let cluster = Cluster::start();
    cluster.ok(&["topic", "create", "news", "--partitions", "2"], "");
    cluster.ok(&["produce", "news", "-p", "0"], "a\nb\nc\nd\n");
    cluster.ok(&["produce", "news", "-p", "1"], "e\nf\n");
    assert_eq!(cluster.ok(&["group", "list"], ""), "");
    let reset = |arguments: &[&str]| {
        let all = [&["group", "reset-offsets", "readers"], arguments].concat();
        cluster.ok(&all, "")
    };

    let planned = "GROUP    TOPIC  PARTITION  NEW-OFFSET\n\
                   readers  news   0          3\n";
    let to_3 = ["--topic", "news:0", "--to-offset", "3"];
    assert_eq!(reset(&to_3), planned);
    assert_eq!(reset(&[&to_3[..], &["--dry-run"]].concat()), planned);
    assert_eq!(cluster.ok(&["group", "list"], ""), "");
    assert_eq!(reset(&[&to_3[..], &["--execute"]].concat()), planned);
    assert_eq!(
        cluster.ok(&["group", "list"], ""),
        "GROUP    TYPE     PROTOCOL  STATE\n\
         readers  classic  -         Empty\n"
    );
    let described = cluster.ok(&["group", "describe", "readers"], "");
    let (header, rows) = described.split_once('\n').unwrap();
    let wanted = "Group: readers\tType: classic\tState: Empty\tAssignor: -\tCoordinator: ";
    assert!(header.starts_with(wanted), "{header}");
    assert!(header.ends_with("\tMembers: 0\tLag: 1"), "{header}");
    assert_eq!(
        rows,
        "TOPIC  PARTITION  COMMITTED  END  LAG  MEMBER  CLIENT  HOST\n\
         news   0          3          4    1    -       -       -\n"
    );

    let json = |arguments: &[&str]| -> serde_json::Value {
        let all = [arguments, &["--format", "json"]].concat();
        serde_json::from_str(&cluster.ok(&all, "")).unwrap()
    };
    let offsets = |target: &[&str]| {
        let command = ["group", "reset-offsets", "readers", "--execute"];
        let set = json(&[&command[..], target].concat());
        let set: Vec<_> = set.as_array().unwrap().iter().collect();
        set.iter()
            .map(|set| set["offset"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(offsets(&["--topic", "news", "--to-latest"]), [4, 2]);
    assert_eq!(offsets(&["--all-topics", "--shift-by", "-1"]), [3, 1]);
    // Not beyond what is there.
    assert_eq!(offsets(&["--all-topics", "--shift-by", "-2"]), [1, 0]);
    assert_eq!(offsets(&["--all-topics", "--to-offset", "3"]), [3, 2]);
    assert_eq!(offsets(&["--topic", "news:1", "--to-earliest"]), [0]);
    let since = |moment| offsets(&["--all-topics", "--to-datetime", moment]);
    assert_eq!(since("2001-01-01T00:00:00"), [0, 0]);
    assert_eq!(since("2999-01-01T00:00:00.000+01:00"), [4, 2]);
    let described = json(&["group", "describe"]);
    assert_eq!(described[0]["group"], "readers");
    assert_eq!(described[0]["partitions"][1]["committed"], 2);
    assert_eq!(described[0]["partitions"][1]["lag"], 0);
    let listed = serde_json::json!([
        {"group": "readers", "type": "classic", "protocol_type": "", "state": "Empty"}
    ]);
    assert_eq!(json(&["group", "list"]), listed);

    let output = cluster.with_input(&["group", "delete", "readers", "absent"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"deleted readers\n");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("absent: GROUP_ID_NOT_FOUND"), "{error}");
    assert_eq!(cluster.ok(&["group", "list"], ""), "");
}

#[test]
fn what_cannot_be_done_to_a_group_is_an_error() {
    let cluster = Cluster::start();
    cluster.ok(&["topic", "create", "news"], "");
    let error = cluster.fails(1, &["group", "describe", "absent"]);
    assert!(error.contains("GROUP_ID_NOT_FOUND"), "{error}");
    let reset = |scope: &[&str]| {
        let command = ["group", "reset-offsets", "readers", "--execute"];
        cluster.fails(1, &[&command[..], scope].concat())
    };
    let error = reset(&["--topic", "absent", "--to-latest"]);
    assert!(error.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{error}");
    let error = reset(&["--topic", "news:7", "--to-latest"]);
    assert!(error.contains("news has no partition 7"), "{error}");
    let error = reset(&["--topic", "news", "--shift-by", "1"]);
    assert!(error.contains("news-0: nothing is committed"), "{error}");
}
