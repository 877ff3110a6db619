//! Every structure that a partition or data directory holds, one file each: layout, encode, decode.
//!
//! The formats are Kafka's; its `DumpLogSegments` reads what is written here. Those of files whose
//! names begin with `klamm-` are our own. Record batches, the content of `.log` files, are the
//! business of [`crate::batch`].

pub mod clean_shutdown;
pub mod journal;
pub mod leader_epochs;
pub mod meta_properties;
pub mod names;
pub mod offset_checkpoint;
pub mod offset_index;
pub mod partition_metadata;
pub mod producer_snapshot;
pub mod time_index;
pub mod txn_index;
pub mod txn_indexes;

/// Why a file's content is not what its name says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It ends before it should.
    #[error("it is cut short")]
    Short,
    /// A version that is not known here.
    #[error("version {0} is not supported")]
    Version(i64),
    /// The checksum does not match.
    #[error("its checksum does not match")]
    Checksum,
    /// A line or field makes no sense.
    #[error("{0}")]
    Field(String),
}

/// Takes big-endian fields off the front of a slice.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(*field)
    }
}

/// The lines of Kafka's `CheckpointFile`: a version, a count, then as many entries. Each has its
/// end: a number that a power cut left the first digits of is another number.
fn checkpoint_lines(content: &str) -> Result<Vec<&str>, Malformed> {
    if !content.ends_with('\n') {
        return Err(Malformed::Short);
    }
    let mut lines = content.lines();
    let version: i64 = number(lines.next().ok_or(Malformed::Short)?)?;
    if version != 0 {
        return Err(Malformed::Version(version));
    }
    let expected: usize = number(lines.next().ok_or(Malformed::Short)?)?;
    let entries: Vec<&str> = lines.collect();
    match entries.len().cmp(&expected) {
        std::cmp::Ordering::Less => Err(Malformed::Short),
        std::cmp::Ordering::Equal => Ok(entries),
        std::cmp::Ordering::Greater => Err(Malformed::Field(format!(
            "{} entries instead of {expected}",
            entries.len()
        ))),
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Malformed> {
    text.trim()
        .parse()
        .map_err(|_| Malformed::Field(format!("'{text}' is not a number")))
}
