//! Values as Kafka parses and prints them (`ConfigDef.parseType`, `ConfigDef.convertToString`).

use std::fmt;

use super::setting::{Kind, Setting};

/// A parsed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `BOOLEAN`.
    Boolean(bool),
    /// `SHORT`.
    Short(i16),
    /// `INT`.
    Int(i32),
    /// `LONG`.
    Long(i64),
    /// `DOUBLE`.
    Double(f64),
    /// `STRING` and `CLASS`.
    Text(String),
    /// `LIST`.
    List(Vec<String>),
    /// `PASSWORD`.
    Secret(Secret),
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, for whoever needs to compare or decode it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Why a value was refused, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl Refusal {
    /// `ConfigException(name, value, message)`.
    pub(super) fn new(name: &str, value: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self(format!(
            "Invalid value {value} for configuration {name}: {why}"
        ))
    }
}

impl Setting {
    /// Parses a text and checks it.
    pub fn parse(&self, text: &str) -> Result<Value, Refusal> {
        let value = self.parse_type(text)?;
        self.check.apply(self.name, &value)?;
        Ok(value)
    }

    fn parse_type(&self, text: &str) -> Result<Value, Refusal> {
        let trimmed = java_trim(text);
        let not_a_number = || {
            Refusal::new(
                self.name,
                text,
                format_args!("Not a number of type {}", self.kind.name()),
            )
        };
        match self.kind {
            Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            Kind::Boolean => Err(Refusal::new(
                self.name,
                text,
                "Expected value to be either true or false",
            )),
            Kind::Short => trimmed
                .parse()
                .map(Value::Short)
                .map_err(|_| not_a_number()),
            Kind::Int => trimmed.parse().map(Value::Int).map_err(|_| not_a_number()),
            Kind::Long => trimmed.parse().map(Value::Long).map_err(|_| not_a_number()),
            Kind::Double => java_double(trimmed)
                .map(Value::Double)
                .ok_or_else(not_a_number),
            Kind::String | Kind::Class => Ok(Value::Text(trimmed.to_owned())),
            Kind::List => Ok(Value::List(list(trimmed))),
            Kind::Password => Ok(Value::Secret(Secret(trimmed.to_owned()))),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Short(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Long(value) => write!(f, "{value}"),
            Self::Double(value) => f.write_str(&java_double_text(*value)),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => f.write_str(&values.join(",")),
            Self::Secret(_) => f.write_str("[hidden]"),
        }
    }
}

/// `String.trim`: everything up to the space goes.
fn java_trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

/// Elements around `\s*,\s*`, empty ones included; an empty text has none.
pub(super) fn list(text: &str) -> Vec<String> {
    let space = |c| matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r');
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',')
        .map(|element| element.trim_matches(space).to_owned())
        .collect()
}

/// `Double.parseDouble` but for hexadecimal notation.
fn java_double(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        "NaN" => return Some(f64::NAN),
        "Infinity" if text.starts_with('-') => return Some(f64::NEG_INFINITY),
        "Infinity" => return Some(f64::INFINITY),
        _ => {}
    }
    let number = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    let legal = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    number
        .chars()
        .all(legal)
        .then(|| number.parse().ok())
        .flatten()
}

/// `Double.toString`: plain from 10^-3 up to 10^7, else with an exponent; a fraction always.
fn java_double_text(value: f64) -> String {
    let magnitude = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        format!("{value:?}")
    } else {
        let text = format!("{value:E}");
        match text.split_once('E') {
            Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
            _ => text,
        }
    }
}
