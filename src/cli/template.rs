//! Formats of records for `klamm consume -f`, and escapes in arguments.

use super::CommandError;
use crate::batch::RecordView;

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    KeyLength,
    Value,
    ValueLength,
    Headers,
}

impl Template {
    /// Parses a format: `%t` topic, `%p` partition, `%o` offset, `%T` timestamp, `%k` key, `%K`
    /// its length, `%v` or `%s` value, `%S` its length, `%h` headers, `%%`, and escapes.
    pub(crate) fn parse(format: &str) -> Result<Self, CommandError> {
        let format = unescape(format)?;
        let mut parts = Vec::new();
        let mut text = Vec::new();
        let mut bytes = format.iter().copied();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                text.push(byte);
                continue;
            }
            let part = match bytes.next() {
                Some(b'%') => {
                    text.push(b'%');
                    continue;
                }
                Some(b't') => Part::Topic,
                Some(b'p') => Part::Partition,
                Some(b'o') => Part::Offset,
                Some(b'T') => Part::Timestamp,
                Some(b'k') => Part::Key,
                Some(b'K') => Part::KeyLength,
                Some(b'v' | b's') => Part::Value,
                Some(b'S') => Part::ValueLength,
                Some(b'h') => Part::Headers,
                Some(other) => {
                    let other = char::from(other);
                    return Err(CommandError(format!("%{other} means nothing in a format")));
                }
                None => return Err(CommandError("a format cannot end in %".to_owned())),
            };
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(part);
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self(parts))
    }

    /// Appends a record. Nulls are nothing, and their length is -1.
    pub(crate) fn render(
        &self,
        out: &mut Vec<u8>,
        topic: &str,
        partition: i32,
        record: &RecordView<'_>,
    ) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Topic => out.extend_from_slice(topic.as_bytes()),
                Part::Partition => number(out, partition),
                Part::Offset => number(out, record.offset),
                Part::Timestamp => number(out, record.timestamp),
                Part::Key => out.extend_from_slice(record.key.unwrap_or_default()),
                Part::KeyLength => length(out, record.key),
                Part::Value => out.extend_from_slice(record.value.unwrap_or_default()),
                Part::ValueLength => length(out, record.value),
                Part::Headers => {
                    for (at, header) in record.headers.iter().enumerate() {
                        if at > 0 {
                            out.push(b',');
                        }
                        out.extend_from_slice(header.key);
                        out.push(b'=');
                        out.extend_from_slice(header.value.unwrap_or(b"NULL"));
                    }
                }
            }
        }
    }
}

fn number(out: &mut Vec<u8>, number: impl std::fmt::Display) {
    out.extend_from_slice(number.to_string().as_bytes());
}

fn length(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => number(out, bytes.len()),
        None => number(out, -1),
    }
}

/// Replaces `\n`, `\r`, `\t`, `\0`, `\\` and `\xHH`.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, CommandError> {
    let unknown = || CommandError(format!("{text:?} has an unknown escape"));
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next().ok_or_else(unknown)? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let mut digit = || {
                    bytes
                        .next()
                        .and_then(|digit| char::from(digit).to_digit(16))
                };
                let (high, low) = (digit(), digit());
                let byte = high
                    .zip(low)
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                byte.ok_or_else(unknown)?
            }
            _ => return Err(unknown()),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, Header, records};
    use crate::model::{Offset, Timestamp};

    #[test]
    fn every_field_of_a_record_can_be_printed() {
        let mut builder = BatchBuilder::new().base_offset(Offset(7));
        let headers = [
            Header {
                key: b"a",
                value: Some(b"1"),
            },
            Header {
                key: b"b",
                value: None,
            },
        ];
        builder.push_with_headers(Timestamp(99), Some(b"key"), None, &headers);
        let batch = builder.build().unwrap();
        let opened = records(&batch.bytes).unwrap();
        let record = opened.iter().next().unwrap().unwrap();
        let mut out = Vec::new();
        Template::parse(r"%t %p %o %T %k(%K) [%v|%s](%S) %h 100%%\t\x41\n")
            .unwrap()
            .render(&mut out, "topic", 3, &record);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "topic 3 7 99 key(3) [|](-1) a=1,b=NULL 100%\tA\n"
        );
    }

    #[test]
    fn formats_that_mean_nothing_are_refused() {
        for format in ["%", "%q", r"\q", r"\x4", r"\"] {
            assert!(Template::parse(format).is_err(), "{format}");
        }
    }
}
