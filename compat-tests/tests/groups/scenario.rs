//! What every client goes through.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use compat_tests::server::Server;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::coordinator::{Group, PATIENCE, Protocol};
use crate::member::{Member, Seen};

const PARTITIONS: i32 = 4;

/// Records that a round has.
const ROUND: usize = 200;

/// Sessions short enough for a test, and long enough for a machine that is busy.
const SETTINGS: [&str; 5] = [
    "group.min.session.timeout.ms=1000",
    "group.consumer.min.session.timeout.ms=1000",
    "group.consumer.session.timeout.ms=4000",
    "group.consumer.min.heartbeat.interval.ms=100",
    "group.consumer.heartbeat.interval.ms=400",
];

/// Kafka takes no shorter one, as it comes.
const KAFKAS_SESSION_MS: u32 = 6_000;

/// Plays it: `member` makes the command that is a member of the client.
pub(crate) fn play(client: &str, protocol: Protocol, member: &dyn Fn(&Group<'_>) -> Command) {
    let name = format!("{client}-{}-group", protocol.name());
    let Some(mut server) = Server::start_with(&name, &SETTINGS) else {
        return;
    };
    server.topic(&name, PARTITIONS);
    let address = server.address().to_owned();
    let session_ms = server.data().map_or(KAFKAS_SESSION_MS, |_| 4_000);
    let group = Group {
        address: &address,
        name: &name,
        topic: &name,
        partitions: PARTITIONS,
        session_ms,
        protocol,
    };
    let seen = Seen::default();
    let start = |name| Member::start(name, &group, member(&group), &seen);
    let mut written = Written::new(&group);

    let first = start("first");
    group.settles(1, "with one member");
    written.round(&seen, "one member").once_by(&["first"]);

    let second = start("second");
    group.settles(2, "when a second one joined");
    written
        .round(&seen, "two members")
        .once_by(&["first", "second"]);

    let third = start("third");
    group.settles(3, "when a third one joined");
    written
        .round(&seen, "three members")
        .once_by(&["first", "second", "third"]);

    first.leave();
    group.settles(2, "when the first one left");
    written
        .round(&seen, "without the first")
        .once_by(&["second", "third"]);

    second.kill();
    written.round(&seen, "a killed member").at_least_once();
    group.settles(1, "when the second one was expired");

    let fourth = start("fourth");
    group.settles(2, "when a fourth one joined");
    written
        .round(&seen, "in place of the killed")
        .once_by(&["third", "fourth"]);

    if server.crash() {
        written
            .round(&seen, "after a crash of the broker")
            .at_least_once();
        group.settles(2, "after the crash");
    }

    third.leave();
    fourth.leave();
    group.settles(0, "when all have left");
    let last = start("last");
    group.settles(1, "from what was committed");
    written
        .round(&seen, "from what was committed")
        .once_by(&["last"]);
    last.leave();
}

/// What is in the topic.
struct Written<'a> {
    group: &'a Group<'a>,
    producer: BaseProducer,
    ends: BTreeMap<i32, i64>,
}

impl<'a> Written<'a> {
    fn new(group: &'a Group<'a>) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", group.address)
            .set("broker.address.family", "v4")
            .create()
            .expect("a producer");
        let ends = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
        Self {
            group,
            producer,
            ends,
        }
    }

    /// Writes so many records to every partition in turn; waits until members have printed and
    /// committed all of them.
    fn round<'b>(&mut self, seen: &Seen, what: &'b str) -> Round<'b> {
        let mut expected = BTreeMap::new();
        let partitions = (0..PARTITIONS).cycle().take(ROUND);
        for partition in partitions {
            let end = self.ends.entry(partition).or_default();
            let value = format!("record {end} of {partition}, {what}");
            let record = BaseRecord::<(), _>::to(self.group.topic)
                .partition(partition)
                .payload(&value);
            self.producer.send(record).expect("room for it");
            expected.insert((partition, *end), value);
            *end += 1;
        }
        self.producer.flush(PATIENCE).expect("it is acknowledged");
        self.group.eventually(what, || {
            let count = seen.count();
            (count >= ROUND)
                .then_some(())
                .ok_or(format!("{count} of {ROUND} records came"))
        });
        self.group.commits(&self.ends, what);
        // Time for what should not come.
        std::thread::sleep(Duration::from_millis(100));
        Round {
            what,
            expected,
            seen: seen.take(),
        }
    }
}

/// What became of the records of a round.
struct Round<'a> {
    what: &'a str,
    expected: BTreeMap<(i32, i64), String>,
    seen: BTreeMap<(i32, i64), Vec<(&'static str, String)>>,
}

impl Round<'_> {
    /// Every one came, with its value; older ones may have come again.
    fn at_least_once(&self) {
        for (place, value) in &self.expected {
            let copies = self.seen.get(place).map_or(&[][..], Vec::as_slice);
            assert!(!copies.is_empty(), "{}: {place:?} did not come", self.what);
            for (member, copy) in copies {
                assert_eq!(copy, value, "{}: {place:?} of {member}", self.what);
            }
        }
    }

    /// Every one came once, nothing else came, and all of these members have got some.
    fn once_by(&self, members: &[&str]) {
        self.at_least_once();
        let mut had = BTreeSet::new();
        for (place, copies) in &self.seen {
            let expected = self.expected.contains_key(place);
            assert!(expected, "{}: {place:?} came again", self.what);
            assert_eq!(copies.len(), 1, "{}: {place:?}: {copies:?}", self.what);
            had.extend(copies.iter().map(|(member, _)| *member));
        }
        assert_eq!(had, members.iter().copied().collect(), "{}", self.what);
    }
}
