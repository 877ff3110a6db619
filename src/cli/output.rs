//! Data on stdout, and bytes as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::CommandError;
use crate::batch::RecordView;

/// Writes data to stdout.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    write_to(&mut io::stdout().lock(), text.as_bytes())
}

/// Writes data to `out` and flushes it.
pub(crate) fn write_to(out: &mut impl Write, bytes: &[u8]) -> Result<(), CommandError> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) => Err(CommandError(format!("cannot write to stdout: {error}"))),
    }
}

/// Text as a string; other bytes as `{"hex": …}`.
pub(crate) fn bytes_as_json(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => Value::Null,
        Some((Ok(text), _)) => Value::from(text),
        Some((Err(_), bytes)) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"hex": hex})
        }
    }
}

/// The headers of a record as a list of pairs: keys may repeat.
pub(crate) fn headers_as_json(record: &RecordView<'_>) -> Value {
    let headers = record.headers.iter().map(|header| {
        json!([
            String::from_utf8_lossy(header.key),
            bytes_as_json(header.value)
        ])
    });
    headers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_become_hex() {
        assert_eq!(bytes_as_json(Some(b"text")), json!("text"));
        assert_eq!(bytes_as_json(Some(&[0xff, 0x00])), json!({"hex": "ff00"}));
        assert_eq!(bytes_as_json(None), Value::Null);
    }
}
