//! The formats against what Java reads, against each other, and against random bytes.

use std::fmt::Write;
use std::path::Path;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::file;
use crate::config::table::{self};
use crate::config::{Config, Kind, Scope};

fn pairs(name: &str, content: &[u8]) -> Vec<(String, String)> {
    match file(Path::new(name), content) {
        Ok(given) => given
            .into_iter()
            .map(|given| (given.key, given.text))
            .collect(),
        Err(problem) => panic!("{problem}"),
    }
}

fn properties(content: &str) -> Vec<(String, String)> {
    pairs("x.properties", content.as_bytes())
}

fn pair(key: &str, text: &str) -> (String, String) {
    (key.to_owned(), text.to_owned())
}

#[test]
fn properties_are_read_as_java_reads_them() {
    for (content, key, text) in [
        ("a=b", "a", "b"),
        ("a:b", "a", "b"),
        ("a b", "a", "b"),
        ("  a \t = \t b ", "a", "b "),
        ("a = : b", "a", ": b"),
        ("a", "a", ""),
        ("a\\ b\\=c=d", "a b=c", "d"),
        ("a=b\\\n   c\\\n\td", "a", "bcd"),
        ("a=b\\\\\nx", "a", "b\\"),
        ("a=\\u0041\\t\\q\\\\", "a", "A\tq\\"),
        ("a=\\uD83D\\uDE00", "a", "😀"),
        ("a=b\\", "a", "b"),
        ("a=b\\\n# no comment", "a", "b# no comment"),
        ("a=ä", "a", "ä"),
    ] {
        assert_eq!(
            properties(content).first(),
            Some(&pair(key, text)),
            "{content:?}"
        );
    }
    assert_eq!(pairs("x", b"a=\xe4"), [pair("a", "ä")], "Latin-1");
    assert_eq!(
        properties("# comment\\\na=1\r\n\r\n! too\rb=2\n\n  \nc=3"),
        [pair("a", "1"), pair("b", "2"), pair("c", "3")]
    );
}

#[test]
fn lines_are_those_where_a_pair_begins() {
    let given = file(Path::new("k.properties"), b"# x\na=1\\\n 2\n\nb=3\n").unwrap();
    let origins: Vec<_> = given.iter().map(|given| given.origin.to_string()).collect();
    assert_eq!(origins, ["k.properties:2", "k.properties:5"]);
    let given = file(Path::new("k.toml"), b"a = 1\n\n[b]\nc = [1, 2]\n").unwrap();
    let origins: Vec<_> = given.iter().map(|given| given.origin.to_string()).collect();
    assert_eq!(origins, ["k.toml:1", "k.toml:4"]);
}

#[test]
fn what_does_not_parse_is_told_with_its_place() {
    for (name, content, told) in [
        (
            "k.properties",
            "\na=\\u12",
            "Malformed \\uxxxx encoding. (k.properties:2)",
        ),
        (
            "k.json",
            "{\n\"a\": null}",
            "a: a text, a number, true, false or a list of those",
        ),
        ("k.json", "[]", "(k.json:1)"),
        ("k.toml", "a = 1\nb = ", "(k.toml:2)"),
        ("k.toml", "a = 1979-05-27", "(k.toml:1)"),
    ] {
        let problem = file(Path::new(name), content.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(problem.contains(told), "{problem}");
    }
}

/// Legal values of some settings of every type.
fn settings() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let number = (1_048_576..i32::MAX).prop_map(|number| number.to_string());
    let text = "[ -~äöü😀]{0,12}".prop_map(|text: String| text.trim().to_owned());
    (
        proptest::option::of(number),
        proptest::option::of(any::<bool>()),
        proptest::option::of(text),
        proptest::option::of(vec("[a-z]{1,5}", 0..4)),
        proptest::option::of(0.0..1.0),
    )
        .prop_map(|(number, flag, text, list, ratio)| {
            let given = [
                ("log.segment.bytes", number),
                (
                    "auto.create.topics.enable",
                    flag.map(|flag: bool| flag.to_string()),
                ),
                ("broker.rack", text),
                ("metric.reporters", list.map(|list| list.join(","))),
                (
                    "log.cleaner.min.cleanable.ratio",
                    ratio.map(|ratio: f64| format!("{ratio:?}")),
                ),
            ];
            given
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?)))
                .collect()
        })
}

fn as_properties(settings: &[(&str, String)]) -> String {
    settings
        .iter()
        .fold(String::new(), |mut content, (key, value)| {
            let value = value.replace('\\', "\\\\");
            let _ = writeln!(content, "{key}={value}");
            content
        })
}

/// Nested one level at every dot.
fn as_json(settings: &[(&str, String)]) -> String {
    let mut root = serde_json::Map::new();
    for (key, value) in settings {
        let setting = table::find(Scope::Broker, key).unwrap();
        let mut at = &mut root;
        let mut parts: Vec<_> = key.split('.').collect();
        let last = parts.pop().unwrap();
        for part in parts {
            let inner = at.entry(part).or_insert_with(|| serde_json::json!({}));
            at = inner.as_object_mut().unwrap();
        }
        let value = match setting.kind {
            Kind::Int | Kind::Boolean => serde_json::from_str(value).unwrap(),
            Kind::List if value.is_empty() => serde_json::json!([]),
            Kind::List => value.split(',').collect(),
            _ => serde_json::json!(value),
        };
        at.insert(last.to_owned(), value);
    }
    serde_json::Value::from(root).to_string()
}

/// Dotted keys; JSON's texts and lists are TOML's too.
fn as_toml(settings: &[(&str, String)]) -> String {
    settings
        .iter()
        .fold(String::new(), |mut content, (key, value)| {
            let setting = table::find(Scope::Broker, key).unwrap();
            let value = match setting.kind {
                Kind::Int | Kind::Boolean | Kind::Double => value.clone(),
                Kind::List if value.is_empty() => "[]".to_owned(),
                Kind::List => serde_json::json!(value.split(',').collect::<Vec<_>>()).to_string(),
                _ => serde_json::json!(value).to_string(),
            };
            let _ = writeln!(content, "{key} = {value}");
            content
        })
}

fn effective(name: &str, content: &str) -> Vec<(&'static str, Option<String>)> {
    let config = Config::builder()
        .file(Path::new(name), content.as_bytes())
        .build();
    let config = config.unwrap_or_else(|error| panic!("{error}\n{content}"));
    config
        .entries()
        .map(|(setting, value, _)| (setting.name, value.map(ToString::to_string)))
        .collect()
}

proptest! {
    #[test]
    fn the_same_settings_in_three_formats_are_the_same_configuration(settings in settings()) {
        let properties = effective("k.properties", &as_properties(&settings));
        prop_assert_eq!(&properties, &effective("k.json", &as_json(&settings)));
        prop_assert_eq!(&properties, &effective("k.toml", &as_toml(&settings)));
        for (key, value) in &settings {
            let found = properties.iter().find(|(name, _)| name == key).unwrap();
            // As the setting's type prints it: a double may change its notation, as in Java.
            let setting = table::find(Scope::Broker, key).unwrap();
            prop_assert_eq!(&found.1, &Some(setting.parse(value).unwrap().to_string()));
        }
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in vec(any::<u8>(), 0..200)) {
        for name in ["k", "k.properties", "k.toml", "k.json"] {
            let _ = Config::builder().file(Path::new(name), &bytes).build();
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(
        text in "[a-z.=:#!\\\\u0-9 \t\r\n\"\\[\\]{},/ä-]{0,120}",
        pairs in btree_map("[a-z.]{0,30}", ".{0,30}", 0..4),
    ) {
        for name in ["k", "k.toml", "k.json"] {
            let _ = Config::builder().file(Path::new(name), text.as_bytes()).build();
        }
        let mut builder = Config::builder().env(pairs.clone());
        for (key, value) in &pairs {
            builder = builder.set(key, value);
        }
        let _ = builder.build();
        for setting in table::TABLE {
            let _ = setting.parse(&text);
        }
        let _ = Config::builder().set("listeners", &text).set("advertised.listeners", &text).build();
        let _ = Config::builder().set("listener.security.protocol.map", &text).build();
    }
}
