//! TOML files: tables are dotted keys.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::{Malformed, Pair};

/// Reads all pairs, in order of key.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Pair>, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed {
        message: "the file is not UTF-8".to_owned(),
        line: None,
    })?;
    let table = DeTable::parse(text).map_err(|error| Malformed {
        message: error.message().to_owned(),
        line: error.span().map(|span| line_of(text, span.start)),
    })?;
    let mut pairs = Vec::new();
    flatten(text, "", table.get_ref(), &mut pairs)?;
    Ok(pairs)
}

/// The line of a byte, from 1.
fn line_of(text: &str, position: usize) -> usize {
    1 + text
        .bytes()
        .take(position)
        .filter(|&byte| byte == b'\n')
        .count()
}

/// Depth is bounded by the parser.
fn flatten(
    text: &str,
    prefix: &str,
    table: &DeTable<'_>,
    pairs: &mut Vec<Pair>,
) -> Result<(), Malformed> {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        let line = Some(line_of(text, value.span().start));
        match value.get_ref() {
            DeValue::Table(inner) => flatten(text, &format!("{key}."), inner, pairs)?,
            DeValue::Array(elements) => {
                let texts: Result<Vec<_>, _> = elements
                    .iter()
                    .map(|element| scalar(&key, text, element))
                    .collect();
                pairs.push(Pair {
                    key,
                    text: texts?.join(","),
                    line,
                });
            }
            _ => pairs.push(Pair {
                text: scalar(&key, text, value)?,
                key,
                line,
            }),
        }
    }
    Ok(())
}

fn scalar(key: &str, text: &str, value: &Spanned<DeValue<'_>>) -> Result<String, Malformed> {
    let as_written = || text.get(value.span()).unwrap_or_default().to_owned();
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        DeValue::Integer(number) => Ok(i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| as_written(), |number| number.to_string())),
        DeValue::Float(_) => Ok(as_written().replace('_', "")),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => Err(Malformed {
            message: format!("{key}: a text, a number, true, false or a list of those is expected"),
            line: Some(line_of(text, value.span().start)),
        }),
    }
}
