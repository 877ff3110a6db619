//! kcat: a file of lines into a topic and out of it, with every codec, before and after a crash.
//!
//! `COMPAT_LINES=1000000` makes it the full 200 MB.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use compat_tests::lines::{self, Tally};
use compat_tests::server::{Server, scratch, skip};

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
const PARTITIONS: i32 = 4;

/// kcat with the librdkafka that it came with: Cargo puts rdkafka's own in the loader's way.
fn kcat() -> Command {
    let mut command = Command::new("kcat");
    command.env_remove("LD_LIBRARY_PATH");
    command
}

#[test]
fn lines_come_out_as_they_went_in() {
    if kcat().arg("-V").output().is_err() {
        return skip("kcat", "it is not installed");
    }
    let Some(mut server) = Server::start("kcat") else {
        return;
    };
    let count = lines::count();
    let file = scratch().join("kcat-lines");
    lines::write(&file, count).expect("a file of lines");
    for codec in CODECS {
        let topic = format!("kcat-{codec}");
        server.topic(&topic, PARTITIONS);
        let status = kcat()
            .args(["-P", "-b", server.address(), "-t", &topic, "-z", codec])
            .args(["-X", "sticky.partitioning.linger.ms=0", "-l"])
            .arg(&file)
            .status()
            .expect("kcat runs");
        assert!(status.success(), "kcat -P -z {codec}");
        consume(
            &server,
            &topic,
            count,
            &format!("{codec}, before the crash"),
        );
    }
    if server.crash() {
        for codec in CODECS {
            let topic = format!("kcat-{codec}");
            consume(&server, &topic, count, &format!("{codec}, after the crash"));
        }
    }
    std::fs::remove_file(file).expect("the file of lines");
}

fn consume(server: &Server, topic: &str, count: usize, what: &str) {
    let mut reader = kcat()
        .args([
            "-C",
            "-b",
            server.address(),
            "-t",
            topic,
            "-o",
            "beginning",
            "-e",
            "-q",
        ])
        .args(["-f", "%p %s\\n"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("kcat runs");
    let mut tally = Tally::new(count, PARTITIONS as usize);
    let out = BufReader::new(reader.stdout.take().expect("a pipe"));
    for line in out.split(b'\n') {
        let line = line.expect("a line");
        let partition = usize::from(line[0] - b'0');
        tally.note(partition, &line[2..]);
    }
    assert!(
        reader.wait().expect("kcat ends").success(),
        "kcat -C of {what}"
    );
    tally.check(what);
}
