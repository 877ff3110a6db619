//! Bytes as hexadecimal digits, for recorded frames and for JSON values.

use std::fmt::Write;

/// Two digits per byte, lower case.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes everything");
            text
        })
}

/// The bytes of [`encode`].
///
/// # Panics
/// If the text is not pairs of hexadecimal digits.
#[must_use]
pub fn decode(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hexadecimal digits")
        })
        .collect()
}
