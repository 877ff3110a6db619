//! What a verification says: findings, and a summary.

use std::ops::Range;

use crate::model::Offset;

/// Something that is not as it should be, or that is worth a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Directory of the partition; `None` for files of the data directory itself.
    pub partition: Option<String>,
    /// Name of the file.
    pub file: String,
    /// The bytes in question; empty where bytes are missing, `None` where it is the whole file.
    pub bytes: Option<Range<u64>>,
    /// The offsets in question, the end exclusive; at most these were there.
    pub offsets: Option<Range<Offset>>,
    /// Whether those offsets are known to have been on disk.
    pub standing: Standing,
    /// What follows from it.
    pub meaning: Meaning,
    /// What is wrong.
    pub reason: String,
}

impl Finding {
    /// A finding about a whole file of the data directory.
    pub(super) fn about(file: &str, meaning: Meaning, reason: impl Into<String>) -> Self {
        Self {
            partition: None,
            file: file.to_owned(),
            bytes: None,
            offsets: None,
            standing: Standing::Unknown,
            meaning,
            reason: reason.into(),
        }
    }
}

/// Where offsets stand to what was noted as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Below: they were on disk, and with `acks=all` acknowledged.
    Below,
    /// Above: nobody was promised anything.
    Above,
    /// Nothing is noted about it.
    Unknown,
}

impl Standing {
    /// Its name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Below => "below",
            Self::Above => "above",
            Self::Unknown => "unknown",
        }
    }
}

/// What follows from a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Records cannot be read: readers of these offsets get CORRUPT_MESSAGE.
    RecordsLost,
    /// A batch is as it was written, and yet its records make no sense.
    Malformed,
    /// The next start, or the next use, builds the file again.
    Rebuildable,
    /// A file that cannot be made from others.
    Primary,
    /// A file could not be read.
    Unreadable,
    /// What a crash leaves behind the last batch: the next start cuts it.
    TornTail,
    /// A leftover of something that was interrupted: the next start removes or finishes it.
    Leftover,
    /// It could not be judged.
    Unjudged,
}

impl Meaning {
    /// Its name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RecordsLost => "records-lost",
            Self::Malformed => "malformed-records",
            Self::Rebuildable => "rebuildable",
            Self::Primary => "primary",
            Self::Unreadable => "unreadable",
            Self::TornTail => "torn-tail",
            Self::Leftover => "leftover",
            Self::Unjudged => "unjudged",
        }
    }

    /// Whether it is damage: something other than what a crash, or nothing at all, leaves.
    pub const fn is_damage(self) -> bool {
        match self {
            Self::RecordsLost
            | Self::Malformed
            | Self::Rebuildable
            | Self::Primary
            | Self::Unreadable => true,
            Self::TornTail | Self::Leftover | Self::Unjudged => false,
        }
    }
}

/// What was looked at, and what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Partitions.
    pub partitions: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of their `.log` files.
    pub bytes: u64,
    /// Whole batches.
    pub batches: u64,
    /// Records in them.
    pub records: u64,
    /// Stretches of `.log` files whose records cannot be read.
    pub damaged_ranges: u64,
    /// Records that these may have held, at most.
    pub records_lost: u64,
    /// Other damage.
    pub other_damage: u64,
    /// Findings that are no damage.
    pub notes: u64,
}

impl Summary {
    /// Whether there is no damage.
    pub fn is_whole(&self) -> bool {
        self.damaged_ranges == 0 && self.other_damage == 0
    }

    pub(super) fn count(&mut self, finding: &Finding) {
        match finding.meaning {
            Meaning::RecordsLost => {
                self.damaged_ranges += 1;
                let lost = finding
                    .offsets
                    .as_ref()
                    .map_or(0, |offsets| offsets.end.0.saturating_sub(offsets.start.0));
                self.records_lost = self
                    .records_lost
                    .saturating_add(u64::try_from(lost).unwrap_or(0));
            }
            meaning if meaning.is_damage() => self.other_damage += 1,
            _ => self.notes += 1,
        }
    }
}
