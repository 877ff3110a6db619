//! What a run wrote as JSON, as tables of Markdown: the pages of figures are not made by hand.

use std::fmt::Write as _;

use serde_json::Value;

use crate::report::short;

/// What was measured where, the limits, and the figures of each row.
pub(crate) fn markdown(told: &Value) -> String {
    let mut text = about(told.get("about").unwrap_or(&Value::Null));
    let rows = told.get("rows").and_then(Value::as_array);
    let rows = rows.map(Vec::as_slice).unwrap_or_default();
    text.push_str(
        "\n| row | mode | figure | at | limit | |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        limits(&mut text, row);
    }
    for row in rows {
        figures(&mut text, row);
    }
    text
}

fn about(about: &Value) -> String {
    let commit: String = word(about, "commit").chars().take(9).collect();
    let changed = match about.get("changed_since") {
        Some(Value::Bool(true)) => ", changed",
        _ => "",
    };
    let kafka = match about.get("kafka") {
        Some(kafka @ Value::Object(_)) => {
            let (version, java) = (word(kafka, "version"), word(kafka, "java"));
            let warm = number(kafka, "warm_up_seconds");
            format!("Apache Kafka {version} on {java}, warmed for {warm:.0} s")
        }
        _ => "without Apache Kafka".to_owned(),
    };
    let quick = match about.get("quick") {
        Some(Value::Bool(true)) => " of a fifth of the work",
        _ => "",
    };
    format!(
        "{} (commit `{commit}`{changed}); {kafka}; Linux {}, {} processors ({}), {:.1} GiB; \
         {} rounds{quick}: medians, and in parentheses how far the rounds went.\n",
        word(about, "klamm"),
        word(about, "kernel"),
        number(about, "processors"),
        word(about, "processor"),
        number(about, "memory_kib") / 1_048_576.0,
        number(about, "rounds"),
    )
}

/// A line for each gate, or for each figure of another program.
fn limits(text: &mut String, row: &Value) {
    let (name, mode) = (word(row, "row"), word(row, "mode"));
    // Writing to a string does not fail, here and below.
    if let Some(error) = row.get("error").and_then(Value::as_str) {
        let _ = writeln!(text, "| `{name}` | {mode} | | | | not measured: {error} |");
    }
    for gate in list(row, "gates") {
        let (side, figure) = (word(gate, "side"), word(gate, "figure"));
        let limit = word(gate, "limit");
        // `at most 1.50x floor`
        let is_ratio = limit.split(' ').any(|word| word.ends_with('x'));
        let value = gate.get("value").map_or_else(String::new, spread);
        let value = match is_ratio {
            true => value.replacen(' ', "x ", 1),
            false => value,
        };
        let outcome = match (word(gate, "outcome"), word(gate, "why")) {
            ("missed", _) => "**missed**".to_owned(),
            (outcome, "") => outcome.to_owned(),
            (outcome, why) => format!("{outcome}: {why}"),
        };
        let _ = writeln!(
            text,
            "| `{name}` | {mode} | {side}, {figure} | {value} | {limit} | {outcome} |"
        );
    }
    for figure in list(row, "figures") {
        let _ = writeln!(text, "| `{name}` | {mode} | {}", foreign(figure));
    }
}

/// What another program said: a value with its unit and limit, or numbers with names.
fn foreign(figure: &Value) -> String {
    let outcome = match (figure.get("pass"), figure.get("skipped")) {
        (Some(Value::Bool(true)), _) => "holds".to_owned(),
        (Some(Value::Bool(false)), _) => "**missed**".to_owned(),
        (_, Some(why)) => format!("skipped: {}", why.as_str().unwrap_or_default()),
        _ => String::new(),
    };
    let name = word(figure, "figure");
    let limit = ["at_most", "limit"].iter().find_map(|key| {
        let limit = figure.get(key)?.as_f64()?;
        Some(format!("at most {limit}"))
    });
    let value = match figure.get("value").and_then(Value::as_f64) {
        Some(value) => format!("{} {}", short(value), word(figure, "unit")),
        None => {
            let numbers = figure.as_object().into_iter().flatten();
            let told = numbers.filter_map(|(key, value)| {
                let known = ["limit", "seed", "seconds"].contains(&key.as_str());
                let value = value.as_f64().filter(|_| !known)?;
                Some(format!("{key} {}", short(value)))
            });
            told.collect::<Vec<_>>().join(", ")
        }
    };
    format!(
        "{name} | {value} | {} | {outcome} |",
        limit.unwrap_or_default()
    )
}

/// A table with a line for each side.
fn figures(text: &mut String, row: &Value) {
    let sides = list(row, "sides");
    let measured = |side: &&Value| !list(side, "rounds").is_empty();
    if !sides.iter().any(|side| measured(&side)) {
        return;
    }
    let (name, mode, line) = (word(row, "row"), word(row, "mode"), word(row, "line"));
    let _ = writeln!(text, "\n`{name}` ({mode}): {line}\n");
    let order: Vec<&str> = list(row, "order")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let _ = writeln!(text, "| | {} |", order.join(" | "));
    let _ = writeln!(text, "| --- |{}", " --- |".repeat(order.len()));
    let mut put = |name: &str, figures: Option<&Value>, bound: bool| {
        let cell = |figure: &&str| {
            let value = figures.and_then(|figures| figures.get(*figure));
            let mark = if bound && *figure == "records/s" {
                "\\* "
            } else {
                ""
            };
            format!("{mark}{}", value.map_or_else(String::new, spread))
        };
        let cells: Vec<_> = order.iter().map(cell).collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    };
    for side in sides.iter().filter(measured) {
        let bound = number(side, "client_bound_rounds") > 0.0;
        put(word(side, "side"), side.get("figures"), bound);
    }
    for (name, ratios) in row
        .get("ratios")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        put(name, Some(ratios), false);
    }
    let notes: Vec<_> = list(row, "notes")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if !notes.is_empty() {
        let _ = writeln!(text, "\n{}.", notes.join("; ").replace('*', "\\*"));
    }
}

/// A median and how far it went, or nothing.
fn spread(value: &Value) -> String {
    let part = |name: &str| value.get(name).and_then(Value::as_f64);
    match (part("median"), part("min"), part("max")) {
        (Some(median), Some(min), Some(max)) => {
            format!("{} ({}–{})", short(median), short(min), short(max))
        }
        _ => String::new(),
    }
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    let list = value.get(name).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, name: &str) -> f64 {
    value.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn limits_figures_and_ratios_become_lines_of_tables() {
        let spread = |median| json!({"median": median, "min": 1.0, "max": 9.0});
        let told = json!({
            "about": {"klamm": "klamm 1", "commit": "0123456789abcdef", "processors": 2},
            "rows": [
                {
                    "row": "produce", "mode": "os", "line": "the work",
                    "order": ["cpu s/GB", "records/s"],
                    "sides": [
                        {"side": "klamm", "rounds": [{}], "client_bound_rounds": 1,
                         "figures": {"cpu s/GB": spread(2.0), "records/s": spread(3.0)}},
                        {"side": "kafka", "rounds": [], "figures": {}},
                    ],
                    "ratios": {"klamm/floor": {"cpu s/GB": spread(1.5)}},
                    "gates": [
                        {"side": "klamm", "figure": "cpu s/GB", "limit": "at most 1",
                         "value": spread(2.0), "outcome": "missed", "why": null},
                        {"side": "klamm", "figure": "cpu s/GB", "limit": "at most 1.50x floor",
                         "value": spread(1.5), "outcome": "holds", "why": null},
                    ],
                    "notes": ["* a note", "another"],
                },
                {"row": "start", "mode": "fsync", "figures": [
                    {"figure": "idle", "value": 5.0, "unit": "MiB", "at_most": 10, "pass": true},
                    {"figure": "restart", "worst_seconds": 1.5, "limit": 2, "pass": true},
                ]},
                {"row": "broken", "error": "why"},
            ],
        });
        let text = markdown(&told);
        for line in [
            "klamm 1 (commit `012345678`); without Apache Kafka;",
            "| `produce` | os | klamm, cpu s/GB | 2.00 (1.00–9.00) | at most 1 | **missed** |\n",
            "| klamm, cpu s/GB | 1.50x (1.00–9.00) | at most 1.50x floor | holds |\n",
            "| `start` | fsync | idle | 5.00 MiB | at most 10 | holds |\n",
            "| `start` | fsync | restart | worst_seconds 1.50 | at most 2 | holds |\n",
            "| `broken` |  | | | | not measured: why |\n",
            "| | cpu s/GB | records/s |\n| --- | --- | --- |\n",
            "| klamm | 2.00 (1.00–9.00) | \\* 3.00 (1.00–9.00) |\n",
            "| klamm/floor | 1.50 (1.00–9.00) |  |\n",
            "\n\\* a note; another.\n",
        ] {
            assert!(text.contains(line), "{line}\nis not in\n{text}");
        }
        assert!(!text.contains("| kafka |"), "{text}");
    }
}
