//! The words in which rows are written.

use crate::figure::Figure;
use crate::gate::Gate;

/// When a server acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Once the page cache has it.
    Os,
    /// Once the disk has it: Kafka with `flush.messages=1`.
    Fsync,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Fsync => "fsync",
        }
    }
}

/// What is measured, of whom, and what must hold.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// How it is asked for.
    pub(crate) name: &'static str,
    /// The work, as a person would say it.
    pub(crate) line: &'static str,
    pub(crate) mode: Mode,
    /// They take turns, in this order.
    pub(crate) sides: Vec<Side>,
    /// What is told of each.
    pub(crate) figures: Vec<Figure>,
    pub(crate) gates: Vec<Gate>,
}

/// One of those that are compared: a server, what it has, and what it is asked to do.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    /// What gates call it.
    pub(crate) name: &'static str,
    pub(crate) system: System,
    /// Settings of Klamm's process.
    pub(crate) settings: Vec<&'static str>,
    pub(crate) partitions: u32,
    /// Settings of the topic, where a server has any.
    pub(crate) topic: Vec<&'static str>,
    /// Records that are there before, if any.
    pub(crate) filled: Option<Fill>,
    /// Whether its server starts anew behind that, and is asked at its end how often it found the
    /// file open that it used.
    pub(crate) counts_files: bool,
    /// Connections that are open beside the work, and idle.
    pub(crate) idle: u32,
    /// What the server does besides.
    pub(crate) meanwhile: Option<Meanwhile>,
    pub(crate) work: Work,
    /// What memory is told by: the partitions, or the connections.
    pub(crate) units: u32,
}

/// Whose process it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// A floor, by the mode that `floor` knows.
    Floor(&'static str),
    Klamm,
    /// Apache Kafka; one process serves all rows.
    Kafka,
}

/// What is there before the work.
#[derive(Clone, Debug)]
pub(crate) enum Fill {
    /// What `klamm bench` sends.
    Load(Load),
    /// So many records of 1 KiB, with half as many keys.
    Keyed(u64),
}

impl Fill {
    pub(crate) fn scaled(&self, quick: bool) -> Self {
        match self {
            Self::Load(load) => Self::Load(load.scaled(quick)),
            Self::Keyed(records) if quick => Self::Keyed(records.div_ceil(QUICK)),
            Self::Keyed(records) => Self::Keyed(*records),
        }
    }
}

/// What else happens to a server during the work, to another topic of as many records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// A consumer reads it again and again.
    CatchUp(u64),
    /// It is compacted.
    Compaction(u64),
}

/// What is asked of a server in a round.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// A run of `klamm bench`.
    Load(Load),
    /// So many requests, one after the other, for places all over the log.
    Lookups(Lookup, u32),
    /// Compaction of what was filled in, once.
    Compact,
    /// `floor copy` of the same files, by a process of its own.
    Copy,
    /// Nothing.
    Rest,
}

impl Work {
    /// Whether what was filled in is as it was.
    pub(crate) fn reads(&self) -> bool {
        !matches!(self, Self::Compact | Self::Copy)
    }
}

/// How a place is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// ListOffsets, by the time of a record.
    Time,
    /// Fetch of one batch, by the offset of a record; in an order in which any part of the log is
    /// used again as late as it may be.
    Offset,
    /// The same at random.
    RandomOffset,
}

/// A run of `klamm bench`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Load {
    /// Its arguments but the broker, the topic, the rate and the amount.
    pub(crate) arguments: &'static str,
    pub(crate) pace: Pace,
    pub(crate) amount: Amount,
}

/// How fast records are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// As fast as the server takes them.
    Full,
    /// Records per second.
    Rate(f64),
    /// That part of what the server takes at most, which is measured before the first round. Floors
    /// get what Klamm gets.
    Share(f64),
}

/// How much is done in a full run; a quick one does a fifth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    Records(u64),
    Seconds(f64),
    /// Up to what is the end.
    All,
}

/// What a quick run does of a full one.
const QUICK: u64 = 5;

impl Amount {
    pub(crate) fn scaled(self, quick: bool) -> Self {
        match (self, quick) {
            (Self::Records(count), true) => Self::Records(count.div_ceil(QUICK)),
            (Self::Seconds(time), true) => Self::Seconds(time / QUICK as f64),
            (amount, _) => amount,
        }
    }
}

/// A run without a pace, until it is told.
pub(crate) fn load(arguments: &'static str, amount: Amount) -> Load {
    Load {
        arguments,
        pace: Pace::Full,
        amount,
    }
}

impl Load {
    pub(crate) fn at(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    pub(crate) fn scaled(&self, quick: bool) -> Self {
        Self {
            amount: self.amount.scaled(quick),
            ..self.clone()
        }
    }
}

impl From<Load> for Fill {
    fn from(load: Load) -> Self {
        Self::Load(load)
    }
}

impl From<Load> for Work {
    fn from(load: Load) -> Self {
        Self::Load(load)
    }
}

/// Klamm at this work, with one partition and nothing else.
pub(crate) fn klamm(name: &'static str, work: impl Into<Work>) -> Side {
    side(name, System::Klamm, work.into())
}

fn side(name: &'static str, system: System, work: Work) -> Side {
    Side {
        name,
        system,
        settings: Vec::new(),
        partitions: 1,
        topic: Vec::new(),
        filled: None,
        counts_files: false,
        idle: 0,
        meanwhile: None,
        work,
        units: 1,
    }
}

impl Side {
    pub(crate) fn partitions(mut self, count: u32) -> Self {
        self.partitions = count;
        self
    }

    pub(crate) fn topic(mut self, setting: &'static str) -> Self {
        self.topic.push(setting);
        self
    }

    pub(crate) fn setting(mut self, setting: &'static str) -> Self {
        self.settings.push(setting);
        self
    }

    pub(crate) fn filled(mut self, fill: impl Into<Fill>) -> Self {
        self.filled = Some(fill.into());
        self
    }

    pub(crate) fn counting_files(mut self) -> Self {
        self.counts_files = true;
        self
    }

    pub(crate) fn meanwhile(mut self, what: Meanwhile) -> Self {
        self.meanwhile = Some(what);
        self
    }

    pub(crate) fn idle(mut self, connections: u32) -> Self {
        self.idle = connections;
        self
    }

    pub(crate) fn units(mut self, count: u32) -> Self {
        self.units = count;
        self
    }

    /// All settings of its topic, with those that make it as durable as the mode says.
    pub(crate) fn topic_settings(&self, mode: Mode) -> impl Iterator<Item = &'static str> {
        let flush = match (self.system, mode) {
            (System::Kafka, Mode::Fsync) => Some("flush.messages=1"),
            _ => None,
        };
        self.topic.iter().copied().chain(flush)
    }

    /// The same asked of another server.
    pub(crate) fn of(&self, name: &'static str, system: System) -> Self {
        Self {
            name,
            system,
            ..self.clone()
        }
    }

    /// The same asked of a floor, of Klamm and of Kafka.
    pub(crate) fn beside(self, floor: &'static str) -> Vec<Self> {
        vec![
            self.of(FLOOR, System::Floor(floor)),
            self.of(KLAMM, System::Klamm),
            self.of(KAFKA, System::Kafka),
        ]
    }
}

/// Names of sides.
pub(crate) const FLOOR: &str = "floor";
pub(crate) const KLAMM: &str = "klamm";
pub(crate) const KAFKA: &str = "kafka";

impl Row {
    pub(crate) fn side(&self, name: &str) -> Option<usize> {
        self.sides.iter().position(|side| side.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_run_does_a_fifth_and_still_reads_to_the_end() {
        assert_eq!(Amount::Records(11).scaled(true), Amount::Records(3));
        assert_eq!(Amount::Seconds(5.0).scaled(true), Amount::Seconds(1.0));
        assert_eq!(Amount::All.scaled(true), Amount::All);
        assert_eq!(Amount::Records(11).scaled(false), Amount::Records(11));
    }
}
