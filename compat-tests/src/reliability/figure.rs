//! What measuring a figure gave, and its line of JSON.

use std::time::Duration;

use serde_json::{Value, json};

/// Measured fields, in the order in which they are told, and why the figure fails, if it does.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    fields: Vec<(String, Value)>,
    failures: Vec<String>,
    skipped: Option<String>,
}

impl Figure {
    /// Nothing measured yet, nothing wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A figure that cannot be measured here, and why: neither passed nor failed.
    #[must_use]
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self {
            skipped: Some(reason.into()),
            ..Self::default()
        }
    }

    /// Tells something measured.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.fields.push((name.to_owned(), value.into()));
    }

    /// Tells something measured that must not be above `limit`.
    pub fn at_most(&mut self, name: &str, value: f64, limit: f64) {
        self.set(name, rounded(value));
        self.set("limit", rounded(limit));
        if value > limit {
            self.fail(format!("{name} is {value}, at most {limit} is allowed"));
        }
    }

    /// Tells something measured that must not be below `goal`.
    pub fn at_least(&mut self, name: &str, value: f64, goal: f64) {
        self.set(name, rounded(value));
        self.set("goal", rounded(goal));
        if value < goal {
            self.fail(format!("{name} is {value}, at least {goal} is needed"));
        }
    }

    /// Counts something of which there must be none.
    pub fn none(&mut self, name: &str, count: u64) {
        self.set(name, count);
        if count > 0 {
            self.fail(format!("{name}: {count}, and there must be none"));
        }
    }

    /// Fails the figure.
    pub fn fail(&mut self, reason: impl Into<String>) {
        self.failures.push(reason.into());
    }

    /// Why it fails.
    #[must_use]
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Whether it could not be measured.
    #[must_use]
    pub fn is_skipped(&self) -> bool {
        self.skipped.is_some()
    }

    /// Whether it fails.
    #[must_use]
    pub fn failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// The line: name and verdict, what was measured, then the seed and how long it took.
    #[must_use]
    pub fn line(&self, name: &str, seed: u64, took: Duration) -> String {
        let mut all = vec![("figure", json!(name))];
        match &self.skipped {
            Some(reason) => all.push(("skipped", json!(reason))),
            None => all.push(("pass", json!(!self.failed()))),
        }
        all.extend(
            self.fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone())),
        );
        if let Some(reason) = self.failures.first() {
            all.push(("reason", json!(reason)));
        }
        all.push(("seed", json!(seed)));
        all.push(("seconds", rounded(took.as_secs_f64())));
        let fields: Vec<String> = all
            .into_iter()
            .map(|(name, value)| format!("{}: {value}", json!(name)))
            .collect();
        format!("{{{}}}", fields.join(", "))
    }
}

/// To two digits behind the point, and none when there is nothing behind it.
fn rounded(value: f64) -> Value {
    let value = (value * 100.0).round() / 100.0;
    if value.fract() == 0.0 && value.abs() < 1e15 {
        json!(value as i64)
    } else {
        json!(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_name_verdict_fields_seed_and_time_in_this_order() {
        let mut figure = Figure::new();
        figure.at_most("restart_s", 1.25, 2.0);
        figure.none("lost", 0);
        let line = figure.line("restart", 7, Duration::from_millis(1500));
        assert_eq!(
            line,
            r#"{"figure": "restart", "pass": true, "restart_s": 1.25, "limit": 2, "lost": 0, "seed": 7, "seconds": 1.5}"#
        );
    }

    #[test]
    fn what_is_beyond_a_limit_fails() {
        let mut above = Figure::new();
        above.at_most("restart_s", 2.5, 2.0);
        let mut below = Figure::new();
        below.at_least("ratio", 0.7, 0.8);
        let mut some = Figure::new();
        some.none("lost", 3);
        for figure in [above, below, some] {
            assert!(figure.failed());
            assert!(
                figure
                    .line("x", 1, Duration::ZERO)
                    .contains(r#""pass": false"#)
            );
        }
    }

    #[test]
    fn a_skipped_figure_does_not_say_that_it_passed() {
        let line = Figure::skipped("no root").line("x", 1, Duration::ZERO);
        assert!(line.contains(r#""skipped": "no root""#));
        assert!(!line.contains("pass"));
    }
}
