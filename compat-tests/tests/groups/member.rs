//! A member: a process that prints the records that it is given.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::coordinator::Group;

/// Where a record is.
pub(crate) type Place = (i32, i64);

/// Records by their place: who printed them, and what they said.
pub(crate) type Printed = BTreeMap<Place, Vec<(&'static str, String)>>;

/// Every record that members printed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<Mutex<Printed>>);

impl Seen {
    fn note(&self, member: &'static str, line: &str) {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (partition, offset) = (word().parse(), word().parse());
        let (Ok(partition), Ok(offset)) = (partition, offset) else {
            return println!("{member}: {line}");
        };
        let mut places = self.0.lock().expect("no panic while it is held");
        let copies = places.entry((partition, offset)).or_default();
        copies.push((member, word().to_owned()));
    }

    /// All of it, and forgets it.
    pub(crate) fn take(&self) -> Printed {
        std::mem::take(&mut self.0.lock().expect("no panic while it is held"))
    }

    /// How many different records there are.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().expect("no panic while it is held").len()
    }
}

/// A running member; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Member {
    name: &'static str,
    process: Child,
}

impl Member {
    pub(crate) fn start(
        name: &'static str,
        group: &Group<'_>,
        mut command: Command,
        seen: &Seen,
    ) -> Self {
        let mut process = command
            .env("BROKER", group.address)
            .env("TOPIC", group.topic)
            .env("GROUP", group.name)
            .env("PROTOCOL", group.protocol.name())
            .env("SESSION_MS", group.session_ms.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        let out = BufReader::new(process.stdout.take().expect("a pipe"));
        let seen = seen.clone();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                seen.note(name, &line);
            }
        });
        Self { name, process }
    }

    /// Tells it to leave its group, and waits until it has ended.
    pub(crate) fn leave(mut self) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("kill runs").success());
        let ended = self.process.wait().expect("it ends");
        assert!(ended.success(), "{} ended with {ended}", self.name);
    }

    /// Kills it (SIGKILL): it says nothing to the broker.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
