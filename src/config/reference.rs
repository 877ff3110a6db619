//! The reference page of all settings, made from the table.

use std::fmt::Write;

use super::setting::{Inert, Scope, Setting, Update};
use super::table::TABLE;

/// What stands above the tables.
const HEAD: &str = "\
# Configuration

This page is made from the table in `src/config/table/`; `cargo test` checks it and
`KLAMM_BLESS=1 cargo test` renews it.

Kafka's dotted names are canonical. Sources, later wins: defaults, the configuration file, the
environment, flags.

- **File**: `server.properties`, TOML or JSON, told apart by the end of the name. Tables and objects
  are dotted keys, lists are joined with commas. Where one key is the beginning of another
  (`sasl.oauthbearer.scope`), TOML wants it in quotes.
- **Environment**: `KAFKA_NUM_PARTITIONS` is `num.partitions`, `KLAMM_DURABILITY` is
  `klamm.durability`: the prefix `KAFKA_` goes, letters become small, `___` is `-`, `__` is `_`,
  `_` is `.`.
- **Flags**: `--set key=value` after those that stand for one setting, such as `--listen`.

A value that its key refuses stops the start, with the key, the value and where it was given.
Unknown keys and keys without effect are warned about.

`dynamic` settings change while the broker runs (`kafka-configs.sh --alter --entity-type brokers`);
`read-only` ones at the next start.
";

/// The whole page, as Markdown.
pub fn reference_page() -> String {
    let mut page = HEAD.to_owned();
    differences(&mut page);
    let sections = [
        ("Settings of the broker", Scope::Broker),
        ("Settings of a topic", Scope::Topic),
        ("Settings of a group", Scope::Group),
        (
            "Settings of a client-metrics subscription",
            Scope::ClientMetrics,
        ),
    ];
    for (title, scope) in sections {
        section(&mut page, title, scope);
    }
    inert(&mut page);
    page
}

/// Writing to a text does not fail.
macro_rules! line {
    ($page:expr) => { line!($page, "") };
    ($page:expr, $($format:tt)+) => {
        let _ = writeln!($page, $($format)+);
    };
}

fn sorted(keep: impl Fn(&Setting) -> bool) -> Vec<&'static Setting> {
    let mut settings: Vec<_> = TABLE.iter().filter(|setting| keep(setting)).collect();
    settings.sort_by_key(|setting| (setting.scope, setting.name));
    settings
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn default(setting: &Setting) -> String {
    match setting.default {
        None => String::new(),
        Some("") => "(empty)".to_owned(),
        Some(text) => format!("`{}`", cell(text)),
    }
}

fn differences(page: &mut String) {
    line!(page, "\n## Defaults that are not Kafka's\n");
    line!(
        page,
        "| key | here | Kafka | why |\n| --- | --- | --- | --- |"
    );
    for setting in sorted(|setting| setting.differs.is_some()) {
        if let Some(differs) = setting.differs {
            let (name, here) = (setting.name, default(setting));
            line!(
                page,
                "| `{name}` | {here} | {} | {} |",
                cell(differs.kafka),
                differs.reason
            );
        }
    }
}

fn section(page: &mut String, title: &str, scope: Scope) {
    line!(page, "\n## {title}\n");
    line!(
        page,
        "| key | type | default | legal | changes | what it does |"
    );
    line!(page, "| --- | --- | --- | --- | --- | --- |");
    for setting in sorted(|setting| setting.scope == scope) {
        let changes = match (scope, setting.update) {
            (Scope::Broker, Update::ReadOnly) => "read-only",
            (Scope::Broker, Update::PerBroker) => "dynamic, per broker",
            (Scope::Broker, Update::ClusterWide) => "dynamic",
            (Scope::Topic | Scope::Group | Scope::ClientMetrics, _) => "at any time",
        };
        let note = if setting.inert.is_some() {
            " *(no effect, see below)*"
        } else {
            ""
        };
        let synonyms: Vec<_> = setting
            .synonyms
            .iter()
            .map(|synonym| format!("`{synonym}`"))
            .collect();
        let synonyms = match synonyms.is_empty() {
            true => String::new(),
            false => format!(" Default from {}.", synonyms.join(", then ")),
        };
        line!(
            page,
            "| `{}` | {} | {} | {} | {changes} | {}{synonyms}{note} |",
            setting.name,
            setting.kind.name().to_ascii_lowercase(),
            default(setting),
            cell(&setting.check.to_string()),
            cell(setting.doc),
        );
    }
}

fn inert(page: &mut String) {
    line!(page, "\n## Accepted, without effect\n");
    line!(
        page,
        "These keys are checked, kept and described as Kafka does, so that configurations"
    );
    line!(page, "written for Kafka work; they change nothing here.");
    for (title, by_design) in [("By design", true), ("Not yet", false)] {
        let is_kind = |inert| matches!(inert, Inert::ByDesign(_)) == by_design;
        line!(page, "\n### {title}\n");
        let of_kind = sorted(|setting| setting.inert.is_some_and(is_kind));
        let mut reasons: Vec<_> = of_kind
            .iter()
            .filter_map(|setting| Some(setting.inert?.reason()))
            .collect();
        reasons.sort_unstable();
        reasons.dedup();
        for reason in reasons {
            let names = of_kind
                .iter()
                .filter(|setting| setting.inert.is_some_and(|inert| inert.reason() == reason))
                .map(|setting| match setting.scope {
                    Scope::Topic => format!("`{}` (topic)", setting.name),
                    Scope::Broker => format!("`{}`", setting.name),
                    Scope::Group => format!("`{}` (group)", setting.name),
                    Scope::ClientMetrics => format!("`{}` (client metrics)", setting.name),
                });
            line!(page, "- {reason} {}", names.collect::<Vec<_>>().join(", "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_page_is_the_one_in_the_repository() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIGURATION.md");
        let page = reference_page();
        if std::env::var_os("KLAMM_BLESS").is_some() {
            std::fs::write(path, page).unwrap();
        } else {
            let stored = std::fs::read_to_string(path).unwrap_or_default();
            assert!(
                stored == page,
                "renew docs/CONFIGURATION.md with KLAMM_BLESS=1 cargo test"
            );
        }
    }
}
