//! Quotas and their windows.

use super::{inert, settings};
use crate::config::check::Check;
use crate::config::setting::Class;

settings! { Broker:
    /// Windows of the quota on moves between directories.
    ALTER_LOG_DIRS_REPLICATION_QUOTA_WINDOW_NUM: i32 = with("alter.log.dirs.replication.quota.window.num", "11")
        .check(Check::AtLeast(1))
        .inert(inert::ONE_DIRECTORY);
    /// Length of those windows.
    ALTER_LOG_DIRS_REPLICATION_QUOTA_WINDOW_SIZE_SECONDS: i32 = with("alter.log.dirs.replication.quota.window.size.seconds", "1")
        .check(Check::AtLeast(1))
        .inert(inert::ONE_DIRECTORY);
    /// Java class that decides quotas.
    CLIENT_QUOTA_CALLBACK_CLASS: Option<Class> = unset("client.quota.callback.class")
        .inert(inert::JVM);
    /// Windows of the quota on changes of topics.
    CONTROLLER_QUOTA_WINDOW_NUM: i32 = with("controller.quota.window.num", "11")
        .check(Check::AtLeast(1))
        .inert(inert::QUOTAS);
    /// Length of those windows.
    CONTROLLER_QUOTA_WINDOW_SIZE_SECONDS: i32 = with("controller.quota.window.size.seconds", "1")
        .check(Check::AtLeast(1))
        .inert(inert::QUOTAS);
    /// Windows of the quotas of clients.
    QUOTA_WINDOW_NUM: i32 = with("quota.window.num", "11")
        .check(Check::AtLeast(1))
        .inert(inert::QUOTAS);
    /// Length of those windows.
    QUOTA_WINDOW_SIZE_SECONDS: i32 = with("quota.window.size.seconds", "1")
        .check(Check::AtLeast(1))
        .inert(inert::QUOTAS);
    /// Windows of the quota on replication.
    REPLICATION_QUOTA_WINDOW_NUM: i32 = with("replication.quota.window.num", "11")
        .check(Check::AtLeast(1))
        .inert(inert::ONE_NODE);
    /// Length of those windows.
    REPLICATION_QUOTA_WINDOW_SIZE_SECONDS: i32 = with("replication.quota.window.size.seconds", "1")
        .check(Check::AtLeast(1))
        .inert(inert::ONE_NODE);
}
