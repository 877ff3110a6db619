//! JSON files: objects within objects are dotted keys.

use serde_json::{Map, Value};

use super::{Malformed, Pair};

/// Reads all pairs, in order of key.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Pair>, Malformed> {
    let object: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| Malformed {
        message: error.to_string(),
        line: Some(error.line()),
    })?;
    let mut pairs = Vec::new();
    flatten("", object, &mut pairs)?;
    Ok(pairs)
}

/// Depth is bounded by the parser (128).
fn flatten(
    prefix: &str,
    object: Map<String, Value>,
    pairs: &mut Vec<Pair>,
) -> Result<(), Malformed> {
    for (name, value) in object {
        let key = format!("{prefix}{name}");
        match value {
            Value::Object(inner) => flatten(&format!("{key}."), inner, pairs)?,
            Value::Array(elements) => {
                let texts: Result<Vec<_>, _> = elements
                    .into_iter()
                    .map(|element| scalar(&key, element))
                    .collect();
                pairs.push(Pair {
                    key,
                    text: texts?.join(","),
                    line: None,
                });
            }
            other => {
                let text = scalar(&key, other)?;
                pairs.push(Pair {
                    key,
                    text,
                    line: None,
                });
            }
        }
    }
    Ok(())
}

fn scalar(key: &str, value: Value) -> Result<String, Malformed> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Malformed {
            message: format!("{key}: a text, a number, true, false or a list of those is expected"),
            line: None,
        }),
    }
}
