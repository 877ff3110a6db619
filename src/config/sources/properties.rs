//! Properties files, as `java.util.Properties.load` reads them.
//!
//! One difference: a file that is valid UTF-8 is read as that. Java reads Latin-1, which is what
//! any other file is taken for.

use super::{Malformed, Pair};

/// Reads all pairs, in order; a key may come twice.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Pair>, Malformed> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    };
    logical_lines(&text)
        .into_iter()
        .map(|(line, content)| pair(line, &content))
        .collect()
}

/// Lines with their continuations joined, without comments and blanks; numbers count from 1.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let joined = text.replace("\r\n", "\n");
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in joined.split(['\n', '\r']).enumerate() {
        let content = line.trim_start_matches(is_space);
        let (first, mut logical) = match open.take() {
            Some(open) => open,
            None if content.is_empty() || content.starts_with(['#', '!']) => continue,
            None => (number + 1, String::new()),
        };
        let backslashes = content
            .bytes()
            .rev()
            .take_while(|&byte| byte == b'\\')
            .count();
        match content.strip_suffix('\\') {
            Some(continued) if backslashes % 2 == 1 => {
                logical.push_str(continued);
                open = Some((first, logical));
            }
            _ => {
                logical.push_str(content);
                lines.push((first, logical));
            }
        }
    }
    // A file that ends in a backslash ends the line.
    lines.extend(open);
    lines
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Splits a line at the first `=`, `:` or space that no backslash precedes.
fn pair(line: usize, content: &str) -> Result<Pair, Malformed> {
    let mut escaped = false;
    let end = content
        .char_indices()
        .find(|&(_, c)| {
            let ends = !escaped && (is_space(c) || matches!(c, '=' | ':'));
            escaped = !escaped && c == '\\';
            ends
        })
        .map_or(content.len(), |(at, _)| at);
    let (key, rest) = content.split_at(end);
    let rest = rest.trim_start_matches(is_space);
    let value = rest
        .strip_prefix(['=', ':'])
        .unwrap_or(rest)
        .trim_start_matches(is_space);
    let unescape = |text| {
        unescape(text).ok_or_else(|| Malformed {
            message: "Malformed \\uxxxx encoding.".to_owned(),
            line: Some(line),
        })
    };
    Ok(Pair {
        key: unescape(key)?,
        text: unescape(value)?,
        line: Some(line),
    })
}

/// Resolves escapes; `None` if `\u` is not followed by four hexadecimal digits.
fn unescape(text: &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let resolved = match c {
            '\\' => match chars.next() {
                Some('u') => {
                    let mut unit = 0;
                    for _ in 0..4 {
                        unit = unit * 16 + u16::try_from(chars.next()?.to_digit(16)?).ok()?;
                    }
                    units.push(unit);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some(other) => other,
                None => continue,
            },
            other => other,
        };
        units.extend_from_slice(resolved.encode_utf16(&mut [0; 2]));
    }
    Some(String::from_utf16_lossy(&units))
}
