//! Holds a broker's answers against the recorded ones and against the list of known differences.

use std::fmt;
use std::path::Path;

use serde_json::Value;

use crate::normal::Normal;
use crate::recording::Exchange;

/// One place where an answer is not Kafka's.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Scenario.
    pub scenario: String,
    /// Case within it.
    pub case: String,
    /// API and version.
    pub api: String,
    /// Version of the request.
    pub version: i16,
    /// Where in the answer.
    pub path: String,
    /// What Kafka answered.
    pub kafka: Value,
    /// What the other broker answered.
    pub other: Value,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            case,
            api,
            version,
            path,
            kafka,
            other,
        } = self;
        let short = |value: &Value| {
            let text = value.to_string();
            text.chars().take(300).collect::<String>()
        };
        write!(f, "{scenario} / {case} / {api} v{version} {path}: ")?;
        write!(f, "kafka {} other {}", short(kafka), short(other))
    }
}

/// Compares a scenario's exchanges with the recorded ones.
///
/// # Errors
/// If the requests are not those that were recorded.
pub fn compare(
    scenario: &str,
    recorded: &[Exchange],
    played: &[Exchange],
) -> Result<Vec<Difference>, String> {
    let (mut kafka, mut other) = (Normal::default(), Normal::default());
    let mut found = Vec::new();
    for (expected, actual) in recorded.iter().zip(played) {
        let same = (&expected.case, &expected.api, expected.version)
            == (&actual.case, &actual.api, actual.version);
        if !same || kafka.request(expected) != other.request(actual) {
            return Err(format!(
                "{scenario}: at {:?} {} v{} another request was recorded ({:?} {} v{}); record it again",
                actual.case,
                actual.api,
                actual.version,
                expected.case,
                expected.api,
                expected.version
            ));
        }
        let (left, right) = (kafka.answer(expected), other.answer(actual));
        diff("", &left, &right, &mut |path, kafka, other| {
            found.push(Difference {
                scenario: scenario.to_owned(),
                case: actual.case.clone(),
                api: actual.api.clone(),
                version: actual.version,
                path: path.to_owned(),
                kafka: kafka.clone(),
                other: other.clone(),
            });
        });
    }
    if recorded.len() == played.len() {
        Ok(found)
    } else {
        Err(format!(
            "{scenario}: {} exchanges, {} recorded",
            played.len(),
            recorded.len()
        ))
    }
}

fn diff(path: &str, left: &Value, right: &Value, found: &mut impl FnMut(&str, &Value, &Value)) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            for (name, value) in left {
                let path = format!("{path}/{name}");
                diff(&path, value, right.get(name).unwrap_or(&ABSENT), found);
            }
            for (name, value) in right.iter().filter(|(name, _)| !left.contains_key(*name)) {
                found(&format!("{path}/{name}"), &ABSENT, value);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                diff(&format!("{path}/{index}"), left, right, found);
            }
        }
        (left, right) if left == right => {}
        (left, right) => found(path, left, right),
    }
}

static ABSENT: Value = Value::Null;

/// A difference that is meant, with the reason.
#[derive(Clone, Debug)]
pub struct Meant {
    scenario: String,
    case: String,
    api: String,
    path: String,
    /// Why.
    pub reason: String,
}

impl Meant {
    /// Whether this entry speaks of `difference`.
    #[must_use]
    pub fn covers(&self, difference: &Difference) -> bool {
        fits(&self.scenario, &difference.scenario)
            && fits(&self.case, &difference.case)
            && fits(&self.api, &difference.api)
            && fits(&self.path, &difference.path)
    }
}

impl fmt::Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            case,
            api,
            path,
            ..
        } = self;
        write!(
            f,
            "scenario {scenario:?} case {case:?} api {api:?} path {path:?}"
        )
    }
}

/// Reads the list of differences that are meant.
///
/// # Panics
/// If the file is not as its own first lines say.
#[must_use]
pub fn meant(file: &Path) -> Vec<Meant> {
    let text = std::fs::read_to_string(file).expect("the list of differences");
    let table: toml::Table = text.parse().expect("TOML");
    let entries = table.get("difference").and_then(toml::Value::as_array);
    entries
        .into_iter()
        .flatten()
        .map(|entry| {
            let text = |name: &str, default: Option<&str>| {
                let value = entry.get(name).and_then(toml::Value::as_str).or(default);
                value
                    .unwrap_or_else(|| panic!("{name} is missing in {entry:?}"))
                    .to_owned()
            };
            Meant {
                scenario: text("scenario", Some("*")),
                case: text("case", Some("*")),
                api: text("api", Some("*")),
                path: text("path", Some("*")),
                reason: text("reason", None),
            }
        })
        .collect()
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| fits(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(fits("*", ""));
        assert!(fits("/a/*/b", "/a/x/y/b"));
        assert!(!fits("/a/*/b", "/a/x/c"));
        assert!(fits("/a*", "/a"));
    }
}
