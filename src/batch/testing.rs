//! Reads recorded bytes.

use serde_json::Value;

/// The cases of a file with one JSON object per line.
pub(super) fn recorded(lines: &str) -> impl Iterator<Item = Value> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
}

/// Bytes from their hexadecimal digits.
pub(super) fn from_hex(digits: &str) -> Vec<u8> {
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}
