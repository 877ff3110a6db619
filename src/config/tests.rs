//! What the room promises, checked against what Apache Kafka 4.1.2 says of its own settings.

use std::collections::BTreeSet;
use std::path::Path;

use super::setting::{Kind, Scope, Setting, Update};
use super::table::{self, TABLE};
use super::{Config, Origin, Warning, keys};

const KAFKA_SETTINGS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/compat-tests/oracle/settings-4.1.2.tsv"
));
const KAFKA_VALUES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/compat-tests/oracle/settings-values-4.1.2.tsv"
));

fn scope(name: &str) -> Scope {
    match name {
        "topic" => Scope::Topic,
        "broker" => Scope::Broker,
        "group" => Scope::Group,
        "client-metrics" => Scope::ClientMetrics,
        other => panic!("scope {other}"),
    }
}

fn rows(data: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    data.lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("scope\t"))
        .map(|line| line.split('\t').collect())
}

/// A default as Kafka's `toString` prints it.
fn printed(setting: &Setting, default: Option<&str>) -> String {
    match (setting.kind, default) {
        (_, None) => "(null)".to_owned(),
        (Kind::List, Some(list)) => format!("[{}]", list.replace(',', ", ")),
        (Kind::Class, Some(class)) => format!("class {class}"),
        (_, Some(text)) => text.to_owned(),
    }
}

#[test]
fn the_table_has_every_setting_of_kafka_with_its_type_default_validator_and_synonyms() {
    let mut named = BTreeSet::new();
    for row in rows(KAFKA_SETTINGS) {
        let [of, name, kind, default, validator, note] = row[..] else {
            panic!("{row:?}")
        };
        let setting = table::find(scope(of), name).unwrap_or_else(|| panic!("{of} {name}"));
        named.insert((setting.scope, name));
        assert_eq!(setting.kind.name(), kind, "{name}");
        assert_eq!(setting.check.to_string(), validator, "{name}");
        match setting.differs {
            Some(differs) => assert_eq!(differs.kafka, default.trim_matches(['(', ')']), "{name}"),
            None => assert_eq!(printed(setting, setting.default), default, "{name}"),
        }
        assert_eq!(setting.nullable, setting.default.is_none(), "{name}");
        if of == "broker" {
            // Listeners are opened at the start and stay.
            let fixed = matches!(name, "listeners" | "listener.security.protocol.map");
            let read_only = setting.update == Update::ReadOnly;
            assert_eq!(read_only, fixed || note == "read-only", "{name}");
        }
        if of == "topic" {
            let synonyms = setting.synonyms.join(", ");
            assert_eq!(format!("synonyms: {synonyms}"), note, "{name}");
        }
    }
    let ours = TABLE
        .iter()
        .filter(|setting| !named.contains(&(setting.scope, setting.name)));
    for setting in ours {
        assert!(
            setting.name.starts_with("klamm."),
            "{} is not Kafka's",
            setting.name
        );
    }
}

#[test]
fn no_setting_stands_in_the_table_twice_and_each_says_what_it_does() {
    let mut seen = BTreeSet::new();
    for setting in TABLE {
        assert!(
            seen.insert((setting.scope, setting.name)),
            "{}",
            setting.name
        );
        assert!(
            setting.doc.ends_with('.') || setting.doc.ends_with('`'),
            "{}",
            setting.name
        );
        for synonym in setting.synonyms {
            assert!(table::find(Scope::Broker, synonym).is_some(), "{synonym}");
        }
    }
}

#[test]
fn values_are_refused_and_normalised_as_kafka_does() {
    let unescape = |text: &str| text.replace("\\t", "\t").replace("\\n", "\n");
    for row in rows(KAFKA_VALUES) {
        let [of, name, text, outcome, expected] = row[..] else {
            panic!("{row:?}")
        };
        let setting = table::find(scope(of), name).unwrap();
        let (text, expected) = (unescape(text), unescape(expected));
        match (setting.parse(&text), outcome) {
            (Ok(value), "ok") if setting.kind == Kind::Password => {
                assert_eq!(value.to_string(), "[hidden]");
            }
            (Ok(value), "ok") => assert_eq!(value.to_string(), expected, "{name} {text:?}"),
            (Err(refusal), "refused") => assert_eq!(refusal.0, expected, "{name} {text:?}"),
            (answer, _) => panic!("{name} {text:?}: {answer:?}, Kafka {outcome} {expected}"),
        }
    }
}

#[test]
fn defaults_hold_and_topics_inherit_from_the_broker() {
    let config = Config::default();
    assert_eq!(config.get(keys::NUM_PARTITIONS), 1);
    assert_eq!(config.get(keys::LOG_RETENTION_MS), None);
    assert_eq!(config.get(keys::topic::RETENTION_MS), 604_800_000);
    assert_eq!(
        config.get(keys::topic::CLEANUP_POLICY),
        ["delete".to_owned()]
    );
    assert_eq!(config.get(keys::KLAMM_DURABILITY), "fsync");
    assert_eq!(config.data_dirs(), [Path::new("./klamm-data")]);
    assert!(config.origin(keys::NUM_PARTITIONS).is_default());

    let config = Config::builder()
        .set("log.retention.hours", "2")
        .set("log.roll.ms", "5")
        .set("log.flush.scheduler.interval.ms", "9")
        .build()
        .unwrap();
    assert_eq!(config.get(keys::topic::RETENTION_MS), 7_200_000);
    assert_eq!(config.get(keys::topic::SEGMENT_MS), 5);
    assert_eq!(config.get(keys::topic::FLUSH_MS), 9);
}

#[test]
fn later_sources_win_and_each_value_knows_its_origin() {
    let variables = [("KAFKA_NUM_PARTITIONS".to_owned(), "3".to_owned())];
    let file = b"num.partitions=2\nnode.id=7\nlog.dir=/d\n";
    let config = Config::builder()
        .set("log.dir", "/e")
        .env(variables)
        .file(Path::new("server.properties"), file)
        .build()
        .unwrap();
    assert_eq!(config.get(keys::NUM_PARTITIONS), 3);
    assert_eq!(
        config.origin(keys::NUM_PARTITIONS).to_string(),
        "environment variable KAFKA_NUM_PARTITIONS"
    );
    assert_eq!(config.get(keys::NODE_ID), 7);
    assert_eq!(config.get(keys::BROKER_ID), 7);
    assert_eq!(
        config.origin(keys::NODE_ID).to_string(),
        "server.properties:2"
    );
    assert_eq!(config.get(keys::LOG_DIR), "/e");
    assert_eq!(config.origin(keys::LOG_DIR), &Origin::Set);
}

#[test]
fn all_problems_are_told_with_key_value_and_origin() {
    let error = Config::builder()
        .file(
            Path::new("k.properties"),
            b"num.partitions=0\n\nlog.segment.bytes: x\n",
        )
        .set("ssl.key.password", "s3cret")
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Invalid value 0 for configuration num.partitions: Value must be at least 1 \
         (k.properties:1)\n\
         Invalid value x for configuration log.segment.bytes: Not a number of type INT \
         (k.properties:3)"
    );
}

#[test]
fn unknown_and_inert_keys_are_told_and_are_no_reason_to_fail() {
    let config = Config::builder()
        .set("num.partition", "4")
        .set("num.io.threads", "4")
        .set("listener.name.plaintext.sasl.jaas.config", "x")
        .build()
        .unwrap();
    let [unknown, Warning::Inert(inert)] = config.warnings() else {
        panic!("{:?}", config.warnings())
    };
    assert_eq!(unknown.to_string(), "unknown setting num.partition (--set)");
    assert_eq!(inert.first().map(|(name, _)| *name), Some("num.io.threads"));
}

/// The sources of this crate but for this room's, in one text.
fn sources_of_the_other_rooms() -> String {
    fn read(dir: &Path, text: &mut String) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("src/config") {
                read(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut text = String::new();
    read(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut text,
    );
    text
}

/// Settings that this room itself gives their effect.
const EFFECTIVE_HERE: &[&str] = &[
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "log.dir",
    "log.dirs",
    "broker.id",
];

#[test]
fn every_setting_is_read_by_somebody_or_stands_in_the_list_of_inert_ones() {
    let text = sources_of_the_other_rooms();
    let is_read = |setting: &Setting| {
        let constant = setting.name.to_ascii_uppercase().replace(['.', '-'], "_");
        let path = match setting.scope {
            Scope::Topic => format!("topic::{constant}"),
            Scope::Broker => format!("keys::{constant}"),
            Scope::Group => format!("group::{constant}"),
            Scope::ClientMetrics => format!("client_metrics::{constant}"),
        };
        // The name must end there: one key may be the beginning of another.
        text.match_indices(&path).any(|(at, _)| {
            !text[at + path.len()..].starts_with(|next: char| next == '_' || next.is_alphanumeric())
        })
    };
    let gives_a_default = |setting: &Setting| {
        table::of_scope(Scope::Topic).any(|topic| {
            topic.synonyms.contains(&setting.name) && topic.inert.is_none() && is_read(topic)
        })
    };
    for setting in TABLE.iter().filter(|setting| setting.inert.is_none()) {
        let effective = EFFECTIVE_HERE.contains(&setting.name)
            || is_read(setting)
            || setting.scope == Scope::Broker && gives_a_default(setting);
        assert!(effective, "nobody reads {}: mark it as inert", setting.name);
    }
}
