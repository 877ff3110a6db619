//! Names of files and directories (Kafka's `LogFileUtils`, `UnifiedLog`).
//!
//! ```text
//! <data directory>/
//!   .lock                              held while a broker runs
//!   .kafka_cleanshutdown               there only between a clean stop and the next start
//!   meta.properties                    node, cluster and directory id
//!   recovery-point-offset-checkpoint   below this offset a log is on disk
//!   log-start-offset-checkpoint        log starts that are not a segment's base
//!   replication-offset-checkpoint      high watermarks
//!   cleaner-offset-checkpoint          offsets up to which logs are compacted
//!   klamm-compacted-offset-checkpoint  below this offset a log may have gaps
//!   klamm-durable-offsets              below this offset a log was on disk, newer than all others
//!   klamm-reserve                      room for what must go on when the disk is full; no content
//!   klamm-sync-failed                  there from a failed sync until the next recovery
//!   <topic>-<partition>/
//!     00000000000000000000.log         record batches; the name is the first offset it may hold
//!     00000000000000000000.index       offset → position
//!     00000000000000000000.timeindex   time → offset
//!     00000000000000000000.txnindex    aborted transactions; missing where there are none
//!     00000000000000000000.snapshot    idempotent producers, as of that offset
//!     leader-epoch-checkpoint          where each leader epoch began
//!     partition.metadata               topic id
//!     klamm-transaction-indexes        what the .txnindex files must contain
//!     <segment's file>.cleaned         of a segment that will replace others, being written
//!     <base>.log.<end>.swap            such a segment, whole: it replaces those from base to end
//!     <segment's file>.deleted         out of use, to be removed
//!   <topic>-<partition>.<32 hex digits>-delete/   to be removed
//!   <topic>-<partition>.<32 hex digits>-stray/    belongs to no partition that is known
//! ```

use crate::model::{Offset, TopicName};

/// Held by the running broker.
pub const LOCK: &str = ".lock";
/// Marks a clean stop.
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
/// Identity of the directory.
pub const META_PROPERTIES: &str = "meta.properties";
/// Offsets below which logs are on disk.
pub const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// First readable offsets.
pub const LOG_STARTS: &str = "log-start-offset-checkpoint";
/// High watermarks.
pub const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
/// Offsets below which logs are on disk, as each round notes them.
pub const DURABLE_OFFSETS: &str = "klamm-durable-offsets";
/// Offsets below which logs may have gaps; Kafka has no such file.
pub const COMPACTED: &str = "klamm-compacted-offset-checkpoint";
/// Holds room on the disk.
pub const RESERVE: &str = "klamm-reserve";
/// Offsets up to which logs are compacted.
pub const CLEANER_POINTS: &str = "cleaner-offset-checkpoint";
/// Tells the next start that a sync failed.
pub const SYNC_FAILED: &str = "klamm-sync-failed";
/// Where the leader epochs of one partition began.
pub const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
/// The topic id of one partition.
pub const PARTITION_METADATA: &str = "partition.metadata";
/// What the transaction indexes of one partition must contain; Kafka has no such file.
pub const TXN_INDEXES: &str = "klamm-transaction-indexes";

/// Ending of a directory that is to be removed.
pub const DELETE_SUFFIX: &str = "-delete";
/// Ending of a directory that belongs to nobody.
pub const STRAY_SUFFIX: &str = "-stray";

/// Ending of the files of a segment that is being written to replace others.
pub const CLEANED_SUFFIX: &str = ".cleaned";
/// Ending of the log of a segment that replaces others: the decision is made.
pub const SWAP_SUFFIX: &str = ".swap";
/// Ending of files that are out of use.
pub const DELETED_SUFFIX: &str = ".deleted";

/// Longest name of a file in the file systems that matter.
const NAME_LENGTH_MAX: usize = 255;

/// A file of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentFile {
    /// Record batches.
    Log,
    /// Offset index.
    OffsetIndex,
    /// Time index.
    TimeIndex,
    /// Aborted transactions whose markers are in the segment.
    TxnIndex,
    /// State of the producers at the segment's first offset.
    Snapshot,
}

impl SegmentFile {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Log,
        Self::OffsetIndex,
        Self::TimeIndex,
        Self::TxnIndex,
        Self::Snapshot,
    ];

    /// The extension, with its dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::OffsetIndex => ".index",
            Self::TimeIndex => ".timeindex",
            Self::TxnIndex => ".txnindex",
            Self::Snapshot => ".snapshot",
        }
    }

    /// The name of the file for a segment, or snapshot, at `offset`.
    pub fn name(self, offset: Offset) -> String {
        format!("{:020}{}", offset.0, self.extension())
    }

    /// What a file name means; `None` for any other file.
    pub fn parse(name: &str) -> Option<(Self, Offset)> {
        let (digits, extension) = name.split_at_checked(20)?;
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let kind = Self::ALL
            .into_iter()
            .find(|kind| kind.extension() == extension)?;
        Some((kind, Offset(digits.parse().ok()?)))
    }
}

/// The name of the log of a segment at `base` that replaces all segments from there to `end`.
///
/// Kafka's name has no end, and its broker takes that from the last batch that is in the file.
/// Where the last batches were cleaned away, it would leave segments that were replaced.
pub fn swap_name(base: Offset, end: Offset) -> String {
    format!("{}.{:020}{SWAP_SUFFIX}", SegmentFile::Log.name(base), end.0)
}

/// Base and end of a [`swap_name`]; `None` for any other file.
pub fn parse_swap(name: &str) -> Option<(Offset, Offset)> {
    let (log, end) = name.strip_suffix(SWAP_SUFFIX)?.rsplit_once('.')?;
    let (kind, base) = SegmentFile::parse(log)?;
    let digits = end.len() == 20 && end.bytes().all(|digit| digit.is_ascii_digit());
    let end = Offset(end.parse().ok()?);
    (digits && kind == SegmentFile::Log && end > base).then_some((base, end))
}

/// The directory of a partition.
pub fn partition_directory(topic: &TopicName, partition: i32) -> String {
    format!("{topic}-{partition}")
}

/// The name under which a partition's directory waits for its removal, or for an operator.
///
/// Topic names of up to 249 characters leave no room for the ending: Kafka cuts them, and so
/// `unique` alone tells such directories apart.
pub fn retired_directory(directory: &str, unique: uuid::Uuid, suffix: &str) -> String {
    let (topic, partition) = directory.rsplit_once('-').unwrap_or((directory, "0"));
    let ending = format!("-{partition}.{}{suffix}", unique.simple());
    let kept = topic
        .get(..NAME_LENGTH_MAX.saturating_sub(ending.len()))
        .unwrap_or(topic);
    format!("{kept}{ending}")
}

/// The topic and partition of a directory's name; `None` if it is not a partition's.
pub fn parse_partition_directory(name: &str) -> Option<(TopicName, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    if partition.is_empty() || !partition.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some((TopicName::new(topic).ok()?, partition.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_files_are_named_by_twenty_digits() {
        assert_eq!(SegmentFile::Log.name(Offset(0)), "00000000000000000000.log");
        assert_eq!(
            SegmentFile::TimeIndex.name(Offset(i64::MAX)),
            "09223372036854775807.timeindex"
        );
        for kind in SegmentFile::ALL {
            assert_eq!(
                SegmentFile::parse(&kind.name(Offset(77))),
                Some((kind, Offset(77)))
            );
        }
        for other in [
            "00000000000000000000.log.deleted",
            "0.log",
            "99999999999999999999.log",
            "-0000000000000000001.log",
            "partition.metadata",
            "äöüäöüäöüäö.log",
        ] {
            assert_eq!(SegmentFile::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_log_that_replaces_others_says_how_far() {
        let name = swap_name(Offset(7), Offset(900));
        assert_eq!(name, "00000000000000000007.log.00000000000000000900.swap");
        assert_eq!(parse_swap(&name), Some((Offset(7), Offset(900))));
        for other in [
            "00000000000000000007.log.swap",
            "00000000000000000007.index.00000000000000000900.swap",
            "00000000000000000007.log.00000000000000000007.swap",
            "00000000000000000007.log.900.swap",
            "00000000000000000007.log.+0000000000000000900.swap",
            "00000000000000000007.log",
            ".swap",
        ] {
            assert_eq!(parse_swap(other), None, "{other}");
        }
    }

    #[test]
    fn directories_of_partitions_are_told_from_others() {
        let topic = TopicName::new("a-b.c").unwrap();
        let name = partition_directory(&topic, 12);
        assert_eq!(name, "a-b.c-12");
        assert_eq!(parse_partition_directory(&name), Some((topic, 12)));
        let unique = uuid::Uuid::from_u128(0xabc);
        let retired = retired_directory(&name, unique, DELETE_SUFFIX);
        assert_eq!(retired, "a-b.c-12.00000000000000000000000000000abc-delete");
        assert_eq!(parse_partition_directory(&retired), None);
        assert_eq!(parse_partition_directory("-3"), None);
        assert_eq!(parse_partition_directory("a-"), None);
        assert_eq!(parse_partition_directory("a-99999999999"), None);
    }

    #[test]
    fn the_longest_topic_name_still_gives_a_legal_name() {
        let name = format!("{}-7", "t".repeat(249));
        let retired = retired_directory(&name, uuid::Uuid::nil(), STRAY_SUFFIX);
        assert_eq!(retired.len(), NAME_LENGTH_MAX);
        assert!(retired.ends_with("-7.00000000000000000000000000000000-stray"));
    }
}
