//! What a setting may hold beyond its type, with Kafka's names and messages for it.

use std::fmt;

use super::value::{Refusal, Value};

/// A validator of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Everything of the type.
    Any,
    /// A number from here on.
    AtLeast(i64),
    /// A number from here to there.
    Between(i64, i64),
    /// 1 to 9, or -1 for the codec's own default.
    GzipLevel,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// One of these texts, in any case.
    OneOfAnyCase(&'static [&'static str]),
    /// A list of these texts.
    EachOf(&'static [&'static str]),
    /// A text that is not empty.
    NonEmpty,
    /// Any text, but not null.
    NonNull,
    /// `id@host:port` entries.
    Voters,
    /// `host:port` entries.
    HostPorts,
    /// `*`, or `partition:broker` entries.
    ThrottledReplicas,
    /// `latest`, `earliest` or `by_duration:` and an ISO 8601 duration that is not negative.
    OffsetReset,
}

impl Check {
    /// Applies it to a value of the setting `name`.
    pub(super) fn apply(self, name: &str, value: &Value) -> Result<(), Refusal> {
        match self {
            Self::Any | Self::NonNull => Ok(()),
            Self::AtLeast(min) => at_least(name, value, min),
            Self::Between(min, max) => {
                at_least(name, value, min)?;
                match number(value) {
                    Some(number) if number > max as f64 => {
                        let why = format_args!("Value must be no more than {max}");
                        Err(Refusal::new(name, value, why))
                    }
                    _ => Ok(()),
                }
            }
            Self::GzipLevel => match value {
                Value::Int(-1 | 1..=9) => Ok(()),
                _ => Err(Refusal::new(
                    name,
                    value,
                    "Value must be between 1 and 9 or equal to -1",
                )),
            },
            Self::OneOf(legal) => one_of(name, &value.to_string(), legal),
            Self::OneOfAnyCase(legal) => {
                let text = value.to_string();
                if legal.iter().any(|word| word.eq_ignore_ascii_case(&text)) {
                    return Ok(());
                }
                let words = legal.join(", ");
                let why = format_args!("String must be one of (case insensitive): {words}");
                Err(Refusal::new(name, text, why))
            }
            Self::EachOf(legal) => elements(value)
                .iter()
                .try_for_each(|element| one_of(name, element, legal)),
            Self::NonEmpty => match value {
                Value::Text(text) if text.is_empty() => {
                    Err(Refusal::new(name, value, "String must be non-empty"))
                }
                _ => Ok(()),
            },
            Self::Voters => match elements(value).iter().all(|entry| is_voter(entry)) {
                true => Ok(()),
                false => Err(Refusal(format!(
                    "Invalid configuration value for {name}. Each entry should be in the form `{{id}}@{{host}}:{{port}}`."
                ))),
            },
            Self::HostPorts => match elements(value).iter().find(|entry| !is_host_port(entry)) {
                None => Ok(()),
                Some(entry) => Err(Refusal(format!(
                    "Failed to parse host name from {entry} for the configuration {name}. Each entry should be in the form \"{{host}}:{{port}}\""
                ))),
            },
            Self::ThrottledReplicas => throttled(name, elements(value)),
            Self::OffsetReset => offset_reset(name, &value.to_string()),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::AtLeast(min) => write!(f, "[{min},...]"),
            Self::Between(min, max) => write!(f, "[{min},...,{max}]"),
            Self::GzipLevel => f.write_str("[1,...,9] or -1"),
            Self::OneOf(words) | Self::EachOf(words) => write!(f, "[{}]", words.join(", ")),
            Self::OneOfAnyCase(words) => write!(f, "(case insensitive) [{}]", words.join(", ")),
            Self::NonEmpty => f.write_str("non-empty string"),
            Self::NonNull => f.write_str("non-null string"),
            Self::Voters | Self::HostPorts => f.write_str("non-empty list"),
            Self::ThrottledReplicas => {
                f.write_str("[partitionId]:[brokerId],[partitionId]:[brokerId],...")
            }
            Self::OffsetReset => f.write_str("[latest, earliest, by_duration:PnDTnHnMn.nS]"),
        }
    }
}

/// A number as a double; what the bounds of the table are compared with is exact in one.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Short(value) => Some(f64::from(*value)),
        Value::Int(value) => Some(f64::from(*value)),
        Value::Long(value) => Some(*value as f64),
        Value::Double(value) => Some(*value),
        Value::Boolean(_) | Value::Text(_) | Value::List(_) | Value::Secret(_) => None,
    }
}

fn at_least(name: &str, value: &Value, min: i64) -> Result<(), Refusal> {
    match number(value) {
        Some(number) if number < min as f64 => Err(Refusal::new(
            name,
            value,
            format_args!("Value must be at least {min}"),
        )),
        _ => Ok(()),
    }
}

fn elements(value: &Value) -> &[String] {
    match value {
        Value::List(elements) => elements,
        _ => &[],
    }
}

fn one_of(name: &str, text: &str, legal: &[&str]) -> Result<(), Refusal> {
    if legal.contains(&text) {
        return Ok(());
    }
    Err(Refusal::new(
        name,
        text,
        format_args!("String must be one of: {}", legal.join(", ")),
    ))
}

fn is_voter(entry: &str) -> bool {
    let Some((id, address)) = entry.split_once('@') else {
        return false;
    };
    id.parse::<i32>().is_ok() && is_host_port(address)
}

fn is_host_port(entry: &str) -> bool {
    let Some((host, port)) = entry.rsplit_once(':') else {
        return false;
    };
    !host.is_empty() && port.parse::<u16>().is_ok()
}

fn throttled(name: &str, entries: &[String]) -> Result<(), Refusal> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let pair = |entry: &String| {
        entry
            .split_once(':')
            .is_some_and(|(partition, broker)| digits(partition) && digits(broker))
    };
    let wildcard = matches!(entries, [only] if only == "*");
    if wildcard || entries.iter().all(pair) {
        return Ok(());
    }
    Err(Refusal::new(
        name,
        format_args!("[{}]", entries.join(", ")),
        format_args!(
            "{name} must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
        ),
    ))
}

fn offset_reset(name: &str, text: &str) -> Result<(), Refusal> {
    let duration = text.strip_prefix("by_duration:");
    if matches!(text, "latest" | "earliest") || duration.is_some_and(is_duration) {
        return Ok(());
    }
    Err(Refusal::new(
        name,
        text,
        format_args!(
            "Invalid value `{text}` for configuration {name}. The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."
        ),
    ))
}

/// `PnDTnHnMn.nS`, at least one part, no signs.
fn is_duration(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(['P', 'p']) else {
        return false;
    };
    let (days, time) = match rest.split_once(['T', 't']) {
        Some((_, "")) => return false,
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    let parts = |mut text: &str, units: &[[char; 2]]| -> Option<usize> {
        let mut count = 0;
        for unit in units {
            if let Some((number, after)) = text.split_once(*unit) {
                let fraction = unit[0] == 'S' && number.contains('.');
                let plain = number.replacen('.', "", usize::from(fraction));
                if plain.is_empty() || !plain.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                count += 1;
                text = after;
            }
        }
        text.is_empty().then_some(count)
    };
    let days = parts(days, &[['D', 'd']]);
    let time = parts(time, &[['H', 'h'], ['M', 'm'], ['S', 's']]);
    matches!((days, time), (Some(days), Some(time)) if days + time > 0)
}
