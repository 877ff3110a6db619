//! The table: every setting that there is, by subject.
//!
//! A row is written once, as `CONSTANT: type = with("dotted.name", "default")` and what else is to
//! be said about it; from it come the row of [`TABLE`] and the typed [`Key`](super::Key) of that name.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::setting::{Scope, Setting};

mod inert;

pub(super) mod client_metrics;
mod controller;
pub(super) mod group_scope;
mod groups;
mod klamm;
mod listeners;
mod log;
mod metrics;
mod network;
mod quotas;
mod remote;
mod replication;
mod sasl;
mod security;
mod tls;
pub(super) mod topic;
mod topics;
mod transactions;

/// Writes rows and keys from one list.
macro_rules! settings {
    ($scope:ident: $(
        $(#[doc = $doc:literal])+
        $name:ident: $type:ty = $how:ident($dotted:literal $(, $default:literal)?)
            $(.$method:ident($($argument:expr),*))*;
    )*) => {
        /// The rows of this file.
        pub(in crate::config) const ROWS: &[crate::config::setting::Setting] = &[$(
            crate::config::setting::Setting::new(
                crate::config::setting::Scope::$scope,
                $dotted,
                settings!(@ $how $($default)?),
            )
            .typed::<$type>(concat!($($doc),+))
            $(.$method($($argument),*))*,
        )*];
        $(
            $(#[doc = $doc])+
            pub const $name: crate::config::key::Key<$type> =
                crate::config::key::Key::of(crate::config::setting::Scope::$scope, $dotted);
        )*
    };
    (@ with $default:literal) => { Some($default) };
    (@ unset) => { None };
}
use settings;

/// The keys of broker settings.
pub(super) mod broker_keys {
    pub use super::controller::*;
    pub use super::groups::*;
    pub use super::klamm::*;
    pub use super::listeners::*;
    pub use super::log::*;
    pub use super::metrics::*;
    pub use super::network::*;
    pub use super::quotas::*;
    pub use super::remote::*;
    pub use super::replication::*;
    pub use super::sasl::*;
    pub use super::security::*;
    pub use super::tls::*;
    pub use super::topics::*;
    pub use super::transactions::*;
}

/// Rows by file, in the order of the reference page.
const FILES: &[&[Setting]] = &[
    klamm::ROWS,
    listeners::ROWS,
    topics::ROWS,
    log::ROWS,
    network::ROWS,
    groups::ROWS,
    transactions::ROWS,
    security::ROWS,
    sasl::ROWS,
    tls::ROWS,
    quotas::ROWS,
    metrics::ROWS,
    replication::ROWS,
    controller::ROWS,
    remote::ROWS,
    topic::ROWS,
    group_scope::ROWS,
    client_metrics::ROWS,
];

const LEN: usize = {
    let mut len = 0;
    let mut files = FILES;
    while let [file, rest @ ..] = files {
        len += file.len();
        files = rest;
    }
    len
};

/// Every setting.
pub const TABLE: &[Setting; LEN] = &concatenated();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler only")]
const fn concatenated() -> [Setting; LEN] {
    let mut table = [FILES[0][0]; LEN];
    let (mut file, mut next) = (0, 0);
    while file < FILES.len() {
        let mut row = 0;
        while row < FILES[file].len() {
            table[next] = FILES[file][row];
            row += 1;
            next += 1;
        }
        file += 1;
    }
    table
}

/// Rows by scope and name.
static BY_NAME: LazyLock<HashMap<(Scope, &'static str), usize>> = LazyLock::new(|| {
    TABLE
        .iter()
        .enumerate()
        .map(|(row, setting)| ((setting.scope, setting.name), row))
        .collect()
});

/// The number of a setting's row.
pub(super) fn row(scope: Scope, name: &str) -> Option<usize> {
    BY_NAME.get(&(scope, name)).copied()
}

/// A setting by name.
pub fn find(scope: Scope, name: &str) -> Option<&'static Setting> {
    TABLE.get(row(scope, name)?)
}

/// All settings of a scope, in the table's order.
pub fn of_scope(scope: Scope) -> impl Iterator<Item = &'static Setting> {
    TABLE.iter().filter(move |setting| setting.scope == scope)
}
