//! Remote (tiered) storage.

use super::{inert, settings};
use crate::config::check::Check;

settings! { Broker:
    /// Longest wait for remote data in a fetch.
    REMOTE_FETCH_MAX_WAIT_MS: i32 = with("remote.fetch.max.wait.ms", "500")
        .check(Check::AtLeast(1))
        .dynamic()
        .inert(inert::REMOTE);
    /// Longest wait for remote data in ListOffsets.
    REMOTE_LIST_OFFSETS_REQUEST_TIMEOUT_MS: i64 = with("remote.list.offsets.request.timeout.ms", "30000")
        .check(Check::AtLeast(1))
        .dynamic()
        .inert(inert::REMOTE);
    /// Size of the cache of remote indexes.
    REMOTE_LOG_INDEX_FILE_CACHE_TOTAL_SIZE_BYTES: i64 = with("remote.log.index.file.cache.total.size.bytes", "1073741824")
        .check(Check::AtLeast(1))
        .dynamic()
        .inert(inert::REMOTE);
    /// Threads that copy segments away.
    REMOTE_LOG_MANAGER_COPIER_THREAD_POOL_SIZE: i32 = with("remote.log.manager.copier.thread.pool.size", "10")
        .check(Check::AtLeast(1))
        .dynamic()
        .inert(inert::REMOTE);
    /// Most bytes copied away in a second.
    REMOTE_LOG_MANAGER_COPY_MAX_BYTES_PER_SECOND: i64 = with("remote.log.manager.copy.max.bytes.per.second", "9223372036854775807")
        .check(Check::AtLeast(1))
        .dynamic()
        .inert(inert::REMOTE);
    /// Windows of that quota.
    REMOTE_LOG_MANAGER_COPY_QUOTA_WINDOW_NUM: i32 = with("remote.log.manager.copy.quota.window.num", "11")
        .check(Check::AtLeast(1))
        .inert(inert::REMOTE);
    /// Length of those windows.
    REMOTE_LOG_MANAGER_COPY_QUOTA_WINDOW_SIZE_SECONDS: i32 = with("remote.log.manager.copy.quota.window.size.seconds", "1")
        .check(Check::AtLeast(1))
        .inert(inert::REMOTE);
    /// Threads that remove expired remote segments.
    REMOTE_LOG_MANAGER_EXPIRATION_THREAD_POOL_SIZE: i32 = with("remote.log.manager.expiration.thread.pool.size", "10")
        .check(Check::AtLeast(1))
        .dynamic()
        .inert(inert::REMOTE);
    /// Most remote bytes read in a second.
    REMOTE_LOG_MANAGER_FETCH_MAX_BYTES_PER_SECOND: i64 = with("remote.log.manager.fetch.max.bytes.per.second", "9223372036854775807")
        .check(Check::AtLeast(1))
        .dynamic()
        .inert(inert::REMOTE);
    /// Windows of that quota.
    REMOTE_LOG_MANAGER_FETCH_QUOTA_WINDOW_NUM: i32 = with("remote.log.manager.fetch.quota.window.num", "11")
        .check(Check::AtLeast(1))
        .inert(inert::REMOTE);
    /// Length of those windows.
    REMOTE_LOG_MANAGER_FETCH_QUOTA_WINDOW_SIZE_SECONDS: i32 = with("remote.log.manager.fetch.quota.window.size.seconds", "1")
        .check(Check::AtLeast(1))
        .inert(inert::REMOTE);
    /// How often remote tasks run.
    REMOTE_LOG_MANAGER_TASK_INTERVAL_MS: i64 = with("remote.log.manager.task.interval.ms", "30000")
        .check(Check::AtLeast(1))
        .inert(inert::REMOTE);
    /// Threads of remote tasks.
    REMOTE_LOG_MANAGER_THREAD_POOL_SIZE: i32 = with("remote.log.manager.thread.pool.size", "2")
        .check(Check::AtLeast(1))
        .inert(inert::REMOTE);
    /// Largest custom metadata of a remote segment.
    REMOTE_LOG_METADATA_CUSTOM_METADATA_MAX_BYTES: i32 = with("remote.log.metadata.custom.metadata.max.bytes", "128")
        .check(Check::AtLeast(0))
        .inert(inert::REMOTE);
    /// Java class that keeps remote metadata.
    REMOTE_LOG_METADATA_MANAGER_CLASS_NAME: String = with("remote.log.metadata.manager.class.name", "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager")
        .check(Check::NonEmpty)
        .inert(inert::REMOTE);
    /// Class path of it.
    REMOTE_LOG_METADATA_MANAGER_CLASS_PATH: Option<String> = unset("remote.log.metadata.manager.class.path")
        .inert(inert::REMOTE);
    /// Prefix of its settings.
    REMOTE_LOG_METADATA_MANAGER_IMPL_PREFIX: String = with("remote.log.metadata.manager.impl.prefix", "rlmm.config.")
        .check(Check::NonEmpty)
        .inert(inert::REMOTE);
    /// Listener that it talks to.
    REMOTE_LOG_METADATA_MANAGER_LISTENER_NAME: Option<String> = unset("remote.log.metadata.manager.listener.name")
        .check(Check::NonEmpty)
        .inert(inert::REMOTE);
    /// Remote reads that may wait.
    REMOTE_LOG_READER_MAX_PENDING_TASKS: i32 = with("remote.log.reader.max.pending.tasks", "100")
        .check(Check::AtLeast(1))
        .inert(inert::REMOTE);
    /// Threads that read remote data.
    REMOTE_LOG_READER_THREADS: i32 = with("remote.log.reader.threads", "10")
        .check(Check::AtLeast(1))
        .dynamic()
        .inert(inert::REMOTE);
    /// Java class that stores remote segments.
    REMOTE_LOG_STORAGE_MANAGER_CLASS_NAME: Option<String> = unset("remote.log.storage.manager.class.name")
        .check(Check::NonEmpty)
        .inert(inert::REMOTE);
    /// Class path of it.
    REMOTE_LOG_STORAGE_MANAGER_CLASS_PATH: Option<String> = unset("remote.log.storage.manager.class.path")
        .inert(inert::REMOTE);
    /// Prefix of its settings.
    REMOTE_LOG_STORAGE_MANAGER_IMPL_PREFIX: String = with("remote.log.storage.manager.impl.prefix", "rsm.config.")
        .check(Check::NonEmpty)
        .inert(inert::REMOTE);
    /// Whether topics may use remote storage.
    REMOTE_LOG_STORAGE_SYSTEM_ENABLE: bool = with("remote.log.storage.system.enable", "false")
        .inert(inert::REMOTE);
}
