//! Why settings are accepted and have no effect: the reasons that several rows share.

use crate::config::setting::Inert;

/// Java classes and tuning of the JVM.
pub(super) const JVM: Inert = Inert::ByDesign("There is no JVM to load a class into or to tune.");
/// The controller quorum.
pub(super) const CONTROLLER: Inert =
    Inert::ByDesign("One node keeps the metadata itself; there is no controller quorum to reach.");
/// Replication and what brokers ask each other.
pub(super) const ONE_NODE: Inert =
    Inert::ByDesign("One node has nobody to replicate to, to elect or to connect to.");
/// Several data directories.
pub(super) const ONE_DIRECTORY: Inert =
    Inert::ByDesign("There is one data directory, so nothing moves between directories.");
/// Kerberos.
pub(super) const GSSAPI: Inert = Inert::ByDesign("Kerberos is not offered.");
/// Tiered storage.
pub(super) const REMOTE: Inert = Inert::ByDesign("There is no remote storage.");
/// Thread pools.
pub(super) const THREADS: Inert =
    Inert::ByDesign("There are as many threads as cores, and no such pool.");
/// Purgatories.
pub(super) const PURGATORY: Inert =
    Inert::ByDesign("What waits is dropped when it is done; there is nothing to tidy.");
/// The request queue.
pub(super) const QUEUE: Inert = Inert::ByDesign(
    "There is no queue between sockets and workers; bytes of requests are bounded instead.",
);
/// Periodic checkpoints.
pub(super) const CHECKPOINTS: Inert =
    Inert::ByDesign("The store writes its checkpoints with its commit rounds, not on a timer.");
/// Roles.
pub(super) const ROLES: Inert = Inert::ByDesign("The node is always broker and controller.");
/// The metadata log's place.
pub(super) const METADATA_DIR: Inert =
    Inert::ByDesign("The metadata log lies in the data directory.");
/// Levels of lz4.
pub(super) const LZ4_LEVEL: Inert =
    Inert::ByDesign("The encoder of lz4 knows one level; batches are valid all the same.");
/// Gathering writes of coordinators.
pub(super) const LINGER: Inert =
    Inert::ByDesign("Writes that wait for the disk at one time share a sync; none is held back.");
/// Waiting for writes of coordinators.
pub(super) const COMMIT_WAIT: Inert =
    Inert::ByDesign("A commit is answered when the disk has taken it or refused it.");
/// Share groups.
pub(super) const SHARE: Inert = Inert::NotYet("Share groups are not there yet.");
/// Streams groups.
pub(super) const STREAMS: Inert = Inert::NotYet("Streams groups are not there yet.");
/// Transactions.
pub(super) const TRANSACTIONS: Inert = Inert::NotYet("Transactions are not there yet.");
/// Authentication and authorization.
pub(super) const AUTH: Inert = Inert::NotYet("Authentication and authorization are not there yet.");
/// TLS.
pub(super) const TLS: Inert = Inert::NotYet("TLS is not there yet.");
/// Quotas.
pub(super) const QUOTAS: Inert = Inert::NotYet("Quotas are not there yet.");
/// Client telemetry.
pub(super) const TELEMETRY: Inert = Inert::NotYet("Client telemetry is not there yet.");
/// Sizes of the metadata log.
pub(super) const METADATA_LOG: Inert =
    Inert::NotYet("The metadata log is one segment, cut by its snapshots only.");
