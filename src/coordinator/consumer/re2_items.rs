//! The pieces of RE2's syntax that can be read without knowing what stands around them: classes by
//! name, escapes, counts of repetitions. Each is read off the front of a text.

use super::re2::Re2Error;
use super::re2_classes::{Class, named_class, perl_class, unicode_class};

/// Largest count of a repetition.
const REPEAT_MAX: u32 = 1000;

/// A class by its name: `[:alpha:]` within brackets, `\pL` and `\d` anywhere.
pub(super) fn class_item(rest: &str) -> Result<Option<(Class, &str)>, Re2Error> {
    if let Some(named) = rest.strip_prefix("[:") {
        // The colon that begins it may end it.
        if named.starts_with(']') {
            return Err(Re2Error::CharacterRange);
        }
        // Without an end it is a bracket and a colon.
        let Some((name, rest)) = named.split_once(":]") else {
            return Ok(None);
        };
        let class = named_class(name).ok_or(Re2Error::CharacterRange)?;
        return Ok(Some((class, rest)));
    }
    let Some(escaped) = rest.strip_prefix('\\') else {
        return Ok(None);
    };
    let mut characters = escaped.chars();
    let Some(kind) = characters.next() else {
        return Ok(None);
    };
    if let Some(class) = perl_class(kind) {
        return Ok(Some((class, characters.as_str())));
    }
    if !matches!(kind, 'p' | 'P') {
        return Ok(None);
    }
    let rest = characters.as_str();
    let (name, rest) = match (rest.strip_prefix('{'), characters.next()) {
        (Some(named), _) => named.split_once('}').ok_or(Re2Error::CharacterRange)?,
        (None, Some(letter)) => rest
            .split_at_checked(letter.len_utf8())
            .ok_or(Re2Error::CharacterRange)?,
        (None, None) => return Err(Re2Error::CharacterRange),
    };
    let (negated, name) = match name.strip_prefix('^') {
        Some(name) => (kind == 'p', name),
        None => (kind == 'P', name),
    };
    let class = unicode_class(name).ok_or(Re2Error::CharacterRange)?;
    Ok(Some((if negated { class.not() } else { class }, rest)))
}

/// Reads an escape that stands for one character.
pub(super) fn escaped(rest: &str) -> Result<(char, &str), Re2Error> {
    let mut characters = rest.chars();
    characters.next();
    let kind = characters.next().ok_or(Re2Error::TrailingBackslash)?;
    let after = characters.as_str();
    let octal = |c: char| c.is_digit(8);
    let literal = match kind {
        // A lone digit would be the text of a group, which RE2 does not look back at.
        '1'..='7' if !after.starts_with(octal) => return Err(Re2Error::Escape),
        '0'..='7' => {
            let all = rest.get(1..).unwrap_or_default();
            let digits = all.chars().take(3).take_while(|c| octal(*c)).count();
            let (digits, rest) = all.split_at_checked(digits).ok_or(Re2Error::Escape)?;
            return code(digits, 8, rest);
        }
        'x' => {
            let (digits, rest) = match after.strip_prefix('{') {
                Some(named) => named.split_once('}').ok_or(Re2Error::Escape)?,
                None => after.split_at_checked(2).ok_or(Re2Error::Escape)?,
            };
            return code(digits, 16, rest);
        }
        'a' => '\x07',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        other if other.is_ascii_alphanumeric() => return Err(Re2Error::Escape),
        other => other,
    };
    Ok((literal, after))
}

/// The character with that number. Halves of pairs are none, but are not refused either.
fn code<'a>(digits: &str, radix: u32, rest: &'a str) -> Result<(char, &'a str), Re2Error> {
    let is_digit = |c: char| c.is_digit(radix);
    let number = Some(digits)
        .filter(|digits| digits.chars().all(is_digit))
        .and_then(|digits| u32::from_str_radix(digits, radix).ok())
        .filter(|number| *number <= u32::from(char::MAX))
        .ok_or(Re2Error::Escape)?;
    let literal = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
    Ok((literal, rest))
}

/// Reads `{2}`, `{2,}` or `{2,3}`: what the engine is told, and what comes after it. Anything else
/// is a brace.
pub(super) fn repetition(rest: &str) -> Result<Option<(String, &str)>, Re2Error> {
    let parsed = rest
        .strip_prefix('{')
        .and_then(|inner| inner.split_once('}'));
    let Some((counts, rest)) = parsed else {
        return Ok(None);
    };
    let (least, most) = match counts.split_once(',') {
        None => (counts, counts),
        Some(counts) => counts,
    };
    let is_count = |count: &str| {
        let canonical = count == "0" || !count.starts_with('0');
        canonical && !count.is_empty() && count.bytes().all(|digit| digit.is_ascii_digit())
    };
    if !is_count(least) || !(most.is_empty() || is_count(most)) {
        return Ok(None);
    }
    let bounded = |count: &str| {
        let count = count.parse::<u32>().ok();
        count.filter(|count| *count <= REPEAT_MAX)
    };
    let least = bounded(least).ok_or(Re2Error::RepeatCount)?;
    if most.is_empty() {
        return Ok(Some((format!("{{{least},}}"), rest)));
    }
    let most = bounded(most)
        .filter(|most| least <= *most)
        .ok_or(Re2Error::RepeatCount)?;
    Ok(Some((format!("{{{least},{most}}}"), rest)))
}
