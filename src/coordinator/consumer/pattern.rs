//! Subscriptions to topics by regular expression, in RE2's syntax (KIP-848, `SubscriptionPattern`).
//!
//! A topic is subscribed to if the expression matches its whole name. Names of topics are ASCII, so
//! an expression is compiled for bytes: `\d`, `\w`, `\s` and `\b` are about ASCII in RE2 anyway.
//! What RE2 has and the engine here has not is translated first: `\Q…\E` quotes, and classes such
//! as `\pL` shrink to their ASCII members. The engine runs in linear time, as RE2 does.

use regex::bytes::{Regex, RegexBuilder};

/// Most bytes that a compiled expression may take. `[a-z]{1000}`, the longest repetition that RE2
/// allows, takes a tenth of it.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// How deeply groups may nest.
const NESTING_MAX: u32 = 100;

/// A regular expression that matches whole names of topics.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

/// Why a regular expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SubscribedTopicRegex `{expression}` is not a valid regular expression: {reason}.")]
pub struct InvalidPattern {
    expression: String,
    reason: String,
}

impl Pattern {
    /// Compiles an expression.
    pub fn new(expression: &str) -> Result<Self, InvalidPattern> {
        let refused = |reason: String| InvalidPattern {
            expression: expression.to_owned(),
            reason,
        };
        let translated = translate(expression);
        // First as it stands: in a group, one that closes it too early would pass.
        compile(&translated).map_err(|error| refused(reason(&error)))?;
        compile(&format!(r"\A(?:{translated})\z"))
            .map(Self)
            .map_err(|error| refused(reason(&error)))
    }

    /// Whether it matches all of `topic`.
    pub fn matches(&self, topic: &str) -> bool {
        self.0.is_match(topic.as_bytes())
    }
}

fn compile(expression: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(expression)
        .unicode(false)
        .size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NESTING_MAX)
        .build()
}

/// The last line of what the engine says; those before draw the place.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

/// Rewrites what only RE2 understands.
fn translate(expression: &str) -> String {
    let mut translated = String::with_capacity(expression.len());
    let mut rest = expression;
    while let Some((before, after)) = rest.split_once('\\') {
        translated.push_str(before);
        rest = match after.strip_prefix('Q') {
            Some(quoted) => {
                // A quote that is not closed reaches to the end.
                let (literal, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
                translated.push_str(&regex::escape(literal));
                after
            }
            None => translate_escape(after, &mut translated),
        };
    }
    translated.push_str(rest);
    translated
}

/// Rewrites one escape, whose backslash is gone from `rest`; what comes after it.
fn translate_escape<'a>(rest: &'a str, translated: &mut String) -> &'a str {
    if let Some((class, after)) = unicode_class(rest) {
        translated.push_str(&class);
        return after;
    }
    // Whatever is escaped, a backslash above all, begins no escape of its own.
    let mut characters = rest.chars();
    translated.push('\\');
    translated.extend(characters.next());
    characters.as_str()
}

/// Reads `pN`, `p{Name}`, `PN`, `P{Name}` or `p{^Name}`: its ASCII members as a class, and what
/// comes after it. Names that are not known stay, and are refused when they are compiled.
fn unicode_class(rest: &str) -> Option<(String, &str)> {
    let (negated, rest) = match rest.strip_prefix('p') {
        Some(rest) => (false, rest),
        None => (true, rest.strip_prefix('P')?),
    };
    let (name, after) = match rest.strip_prefix('{') {
        Some(named) => named.split_once('}')?,
        None => rest.split_at_checked(1)?,
    };
    let (negated, name) = match name.strip_prefix('^') {
        Some(name) => (!negated, name),
        None => (negated, name),
    };
    let members = match name {
        "Any" => r"\x00-\xff",
        "L" | "Latin" => "A-Za-z",
        "Lu" => "A-Z",
        "Ll" => "a-z",
        "N" | "Nd" => "0-9",
        "P" => r##"!-#%-*,-/:;?@\[-\]_{}"##,
        "Pc" => "_",
        "Pd" => r"\-",
        "Po" => r##"!-#%-'*,./:;?@\\"##,
        // Not in names of topics: of no ASCII letter, digit or mark.
        "Lt" | "Lm" | "Lo" | "M" | "Mn" | "Mc" | "Me" | "Nl" | "No" | "Greek" | "Cyrillic"
        | "Han" => r"\xff",
        _ => return None,
    };
    let not = if negated { "^" } else { "" };
    Some((format!("[{not}{members}]"), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching<'a>(expression: &str, topics: &[&'a str]) -> Vec<&'a str> {
        let pattern = Pattern::new(expression).expect("valid");
        let matching = topics.iter().filter(|topic| pattern.matches(topic));
        matching.copied().collect()
    }

    #[test]
    fn an_expression_matches_whole_names() {
        let topics = ["foo", "foobar", "xfoo", "bar", "foo.bar", "foo-1"];
        assert_eq!(matching("foo", &topics), ["foo"]);
        assert_eq!(matching("foo|bar", &topics), ["foo", "bar"]);
        assert_eq!(
            matching("foo.*", &topics),
            ["foo", "foobar", "foo.bar", "foo-1"]
        );
        assert_eq!(matching("^foo$", &topics), ["foo"]);
        assert_eq!(matching(r"foo\.bar", &topics), ["foo.bar"]);
        assert_eq!(matching(r"foo[.-]\w+", &topics), ["foo.bar", "foo-1"]);
        assert_eq!(matching("(?i)FOO", &topics), ["foo"]);
        assert_eq!(matching("(?:foo|bar)+?", &topics), ["foo", "foobar", "bar"]);
        assert_eq!(matching("", &topics), [""; 0]);
    }

    #[test]
    fn what_only_re2_understands_is_translated() {
        let topics = ["a.b", "a+b", "aXb", "a1b", "a_b", r"a\b"];
        assert_eq!(matching(r"\Qa.b\E|\Qa+b", &topics), ["a.b", "a+b"]);
        assert_eq!(matching(r"a\pLb", &topics), ["aXb"]);
        assert_eq!(matching(r"a[\p{Lu}\p{Nd}]b", &topics), ["aXb", "a1b"]);
        assert_eq!(
            matching(r"a\P{L}b", &topics),
            ["a.b", "a+b", "a1b", "a_b", r"a\b"]
        );
        assert_eq!(matching(r"a\p{^L}b", &["a1b", "aXb"]), ["a1b"]);
        assert_eq!(matching(r"a\\b", &topics), [r"a\b"]);
        // The backslash that is escaped does not begin a quote.
        assert_eq!(matching(r"\\Q", &["\\Q", "Q"]), ["\\Q"]);
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        let refused = [
            "*",
            "a(",
            "a)",
            "a)(b",
            "[",
            "a{2,1}",
            r"(?=a)",
            r"(a)\1",
            r"\p{Nonsense}",
            r"\",
            "(?<x",
        ];
        for expression in refused {
            assert!(Pattern::new(expression).is_err(), "{expression}");
        }
        let error = Pattern::new("[").unwrap_err().to_string();
        assert!(error.starts_with("SubscribedTopicRegex `[` is not a valid regular expression: "));
        assert!(!error.contains('\n'));
    }

    #[test]
    fn hostile_expressions_are_bounded() {
        assert!(Pattern::new("((((a{100}){100}){100}){100}").is_err());
        assert!(Pattern::new(&"(".repeat(100_000)).is_err());
        assert!(Pattern::new(&format!("{}{}", "(".repeat(200), ")".repeat(200))).is_err());
        assert!(Pattern::new("[a-z]{1000}").is_ok());
        let slow_elsewhere = Pattern::new("(a*)*b").expect("valid");
        assert!(!slow_elsewhere.matches(&"a".repeat(249)));
    }

    #[test]
    fn every_punctuation_mark_of_ascii_is_one() {
        let marks: Vec<char> = (' '..='~').filter(|c| c.is_ascii_punctuation()).collect();
        let pattern = Pattern::new(r"\pP").expect("valid");
        for mark in marks {
            // `$+<=>^`|~` are symbols to Unicode.
            let is_symbol = "$+<=>^`|~".contains(mark);
            assert_eq!(pattern.matches(&mark.to_string()), !is_symbol, "{mark}");
        }
        let pattern = Pattern::new(r"\p{Po}").expect("valid");
        assert!(pattern.matches(".") && !pattern.matches("-") && !pattern.matches("("));
    }
}
