//! Topics, ids, configs and features as an image, replayed from the metadata log.
//!
//! *Owns:* the image and its replay, the log `__cluster_metadata-0`, snapshots. *May use:*
//! `storage`, `batch`, `wire`, `model`. *Must not know:* who asked.
//!
//! *Invariants:* the image changes only by replay of records; one call of [`Catalog::commit`] is
//! one atomic batch, appended before its image is published; what is told to a client waits for
//! [`Catalog::durable`].

mod batches;
mod change;
mod commit;
mod image;
mod load;
mod log;
mod replay;
mod snapshot;
#[cfg(test)]
mod tests;

pub use change::{Change, ConfigResource};
pub use commit::{Catalog, CatalogOptions, CommitError};
pub use image::{Image, PartitionState, Topic};
pub use load::LoadError;
pub use replay::ReplayError;

/// The newest metadata version that the image understands: 4.1-IV1.
pub const METADATA_VERSION: i16 = 27;

/// Feature that says which records a metadata log may hold (`MetadataVersion.FEATURE_NAME`).
pub const METADATA_VERSION_FEATURE: &str = "metadata.version";

/// Feature that says which groups there are: level 1 has those of KIP-848
/// (`GroupVersion.FEATURE_NAME`).
pub const GROUP_VERSION_FEATURE: &str = "group.version";

/// The level of [`GROUP_VERSION_FEATURE`] that is written here.
pub const GROUP_VERSION: i16 = 1;
