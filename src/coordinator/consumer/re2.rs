//! RE2's syntax of regular expressions, as Kafka reads it (RE2/J with its Perl flags), rewritten
//! for an engine with another syntax.
//!
//! The two look alike and are not: `a++` and `(?x)` are refused by one, `[a&&b]` and `a{,2}` mean
//! something else to the other. So an expression is read to its end here, refused with RE2's
//! reason, and written anew with what both understand. It is read from left to right in one pass
//! without recursion; the first offence is the one that is told.

use std::fmt::Write;

use super::re2_classes::{ANYTHING, Class};
use super::re2_items::{class_item, escaped, repetition};

/// Why RE2 refuses an expression, in its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Re2Error {
    /// A group is not closed.
    #[error("missing closing )")]
    MissingParenthesis,
    /// A group is closed that nobody opened.
    #[error("regexp/syntax: internal error")]
    UnexpectedParenthesis,
    /// A class is not closed.
    #[error("missing closing ]")]
    MissingBracket,
    /// A range that runs backwards, or a class of an unknown name.
    #[error("invalid character class range")]
    CharacterRange,
    /// A backslash before what cannot be escaped.
    #[error("invalid escape sequence")]
    Escape,
    /// A backslash at the end.
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
    /// A repetition of a repetition.
    #[error("invalid nested repetition operator")]
    NestedRepetition,
    /// Nothing stands before a repetition.
    #[error("missing argument to repetition operator")]
    MissingArgument,
    /// Counts above a thousand or the wrong way round.
    #[error("invalid repeat count")]
    RepeatCount,
    /// The name of a group is not closed or not one.
    #[error("invalid named capture")]
    NamedCapture,
    /// Two groups of one name.
    #[error("duplicate capture group name")]
    DuplicateName,
    /// What else may follow `(?` in Perl.
    #[error("invalid or unsupported Perl syntax")]
    PerlSyntax,
}

/// The same expression for the engine, about bytes; every group of it is one that captures
/// nothing.
pub(super) fn translate(expression: &str) -> Result<String, Re2Error> {
    let mut reader = Reader {
        rest: expression,
        written: String::with_capacity(expression.len()),
        flags: String::new(),
        names: Vec::new(),
        open: 0,
        repeatable: false,
    };
    let mut repeated = false;
    while let Some(next) = reader.rest.chars().next() {
        repeated = reader.item(next, repeated)?;
    }
    match reader.open {
        0 => Ok(reader.written),
        _ => Err(Re2Error::MissingParenthesis),
    }
}

struct Reader<'a> {
    rest: &'a str,
    written: String,
    /// Flags for what follows, not written yet: a repetition right after them is of what stands
    /// before them.
    flags: String,
    names: Vec<&'a str>,
    /// Groups that are not closed yet.
    open: usize,
    /// Whether something stands here that a repetition could be of.
    repeatable: bool,
}

impl<'a> Reader<'a> {
    /// Reads one item, which begins with `next`; whether it is a repetition. `repeated` is whether
    /// the one before was.
    fn item(&mut self, next: char, repeated: bool) -> Result<bool, Re2Error> {
        let waits = matches!(next, '*' | '+' | '?' | '{') || self.rest.starts_with("(?");
        if !waits {
            self.write_flags();
        }
        match next {
            '(' if self.rest.starts_with("(?") => self.perl_group()?,
            '(' => self.open_group("(?:", 1),
            ')' => {
                self.open = self
                    .open
                    .checked_sub(1)
                    .ok_or(Re2Error::UnexpectedParenthesis)?;
                self.copy(1);
            }
            '|' => {
                self.copy(1);
                self.repeatable = false;
            }
            '^' | '$' | '.' => self.copy(1),
            '[' => self.class()?,
            '*' | '+' | '?' => {
                let operator = self.take(1);
                self.repeat(operator, repeated)?;
                return Ok(true);
            }
            '{' => {
                if let Some((operator, rest)) = repetition(self.rest)? {
                    self.rest = rest;
                    self.repeat(&operator, repeated)?;
                } else {
                    self.write_flags();
                    self.take(1);
                    self.literal('{');
                }
                // What looks like one forbids another after it even if it is none.
                return Ok(true);
            }
            '\\' => self.escape()?,
            literal => {
                self.take(literal.len_utf8());
                self.literal(literal);
            }
        }
        Ok(false)
    }

    /// Moves over that many bytes.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    /// Writes what means the same to both.
    fn copy(&mut self, bytes: usize) {
        let taken = self.take(bytes);
        self.written.push_str(taken);
        self.repeatable = true;
    }

    fn write_flags(&mut self) {
        self.written.push_str(&self.flags);
        self.flags.clear();
    }

    fn literal(&mut self, literal: char) {
        write_literal(&mut self.written, literal);
        self.repeatable = true;
    }

    fn open_group(&mut self, written: &str, bytes: usize) {
        self.write_flags();
        self.take(bytes);
        self.written.push_str(written);
        self.open += 1;
        self.repeatable = false;
    }

    fn repeat(&mut self, operator: &str, repeated: bool) -> Result<(), Re2Error> {
        self.written.push_str(operator);
        if self.rest.starts_with('?') {
            let lazy = self.take(1);
            self.written.push_str(lazy);
        }
        match (repeated, self.repeatable) {
            (true, _) => Err(Re2Error::NestedRepetition),
            (false, false) => Err(Re2Error::MissingArgument),
            (false, true) => Ok(()),
        }
    }

    /// A group that begins with `(?`: one with a name, or flags for it or for the rest.
    fn perl_group(&mut self) -> Result<(), Re2Error> {
        for opening in ["(?P<", "(?<"] {
            let Some(named) = self.rest.strip_prefix(opening) else {
                continue;
            };
            let (name, _) = named.split_once('>').ok_or(Re2Error::NamedCapture)?;
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_word) {
                return Err(Re2Error::NamedCapture);
            }
            if self.names.contains(&name) {
                return Err(Re2Error::DuplicateName);
            }
            self.names.push(name);
            self.open_group("(?:", opening.len() + name.len() + 1);
            return Ok(());
        }
        let mut flags = [('i', None), ('m', None), ('s', None), ('U', None)];
        let (mut on, mut told) = (true, true);
        for (at, next) in self.rest.char_indices().skip(2) {
            match next {
                '-' if on => (on, told) = (false, false),
                ':' | ')' if told => {
                    let chosen = |wanted: bool| {
                        let of = flags.iter().filter(move |(_, set)| *set == Some(wanted));
                        of.map(|(flag, _)| *flag).collect::<String>()
                    };
                    let (set, cleared) = (chosen(true), chosen(false));
                    let minus = if cleared.is_empty() { "" } else { "-" };
                    let flags = format!("(?{set}{minus}{cleared}");
                    match next {
                        ':' => self.open_group(&format!("{flags}:"), at + 1),
                        _ => {
                            self.take(at + 1);
                            if flags.len() > 2 {
                                self.flags.push_str(&flags);
                                self.flags.push(')');
                            }
                        }
                    }
                    return Ok(());
                }
                _ => {
                    let known = flags.iter_mut().find(|(flag, _)| *flag == next);
                    let (_, set) = known.ok_or(Re2Error::PerlSyntax)?;
                    (*set, told) = (Some(on), true);
                }
            }
        }
        Err(Re2Error::PerlSyntax)
    }

    /// A class in brackets.
    fn class(&mut self) -> Result<(), Re2Error> {
        self.take(1);
        let negated = self.rest.starts_with('^');
        self.take(usize::from(negated));
        let mut members = Class::default();
        let mut first = true;
        loop {
            match self.rest.chars().next() {
                None => return Err(Re2Error::MissingBracket),
                Some(']') if !first => break,
                Some(_) => {}
            }
            first = false;
            if let Some((class, rest)) = class_item(self.rest)? {
                members = members.or(class);
                self.rest = rest;
                continue;
            }
            let low = self.class_character()?;
            let mut high = low;
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.take(1);
                high = self.class_character()?;
                if high < low {
                    return Err(Re2Error::CharacterRange);
                }
            }
            members = members.or(Class::range(low, high));
        }
        self.take(1);
        members.write(&mut self.written, negated);
        self.repeatable = true;
        Ok(())
    }

    fn class_character(&mut self) -> Result<char, Re2Error> {
        let next = self.rest.chars().next().ok_or(Re2Error::MissingBracket)?;
        if next == '\\' {
            let (character, rest) = escaped(self.rest)?;
            self.rest = rest;
            return Ok(character);
        }
        self.take(next.len_utf8());
        Ok(next)
    }

    /// An escape outside of brackets.
    fn escape(&mut self) -> Result<(), Re2Error> {
        match self.rest.chars().nth(1) {
            Some('A' | 'b' | 'B' | 'z') => self.copy(2),
            Some('Q') => {
                self.take(2);
                // A quote that is not closed reaches to the end.
                let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                quoted.chars().for_each(|quoted| self.literal(quoted));
                self.rest = rest;
            }
            _ => {
                if let Some((class, rest)) = class_item(self.rest)? {
                    class.write(&mut self.written, false);
                    self.repeatable = true;
                    self.rest = rest;
                } else {
                    let (literal, rest) = escaped(self.rest)?;
                    self.literal(literal);
                    self.rest = rest;
                }
            }
        }
        Ok(())
    }
}

/// Names of topics are ASCII: another character is written as one that they never have.
fn write_literal(written: &mut String, literal: char) {
    let byte = u8::try_from(literal).ok().filter(u8::is_ascii);
    let _ = match byte {
        Some(byte) if byte.is_ascii_alphanumeric() => write!(written, "{literal}"),
        Some(byte) => write!(written, r"\x{byte:02x}"),
        None => write!(written, "[^{ANYTHING}]"),
    };
}
