//! Subscriptions to topics by regular expression, in RE2's syntax (KIP-848, `SubscriptionPattern`).
//!
//! A topic is subscribed to if the expression matches its whole name. Names of topics are ASCII, so
//! an expression is compiled for bytes: `\d`, `\w`, `\s` and `\b` are about ASCII in RE2 anyway. It
//! is read with RE2's syntax and rewritten for the engine here first. The engine runs in linear
//! time, as RE2 does.

use regex::bytes::{Regex, RegexBuilder};

use super::re2::translate;

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
        let translated = translate(expression).map_err(|error| refused(error.to_string()))?;
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

/// Why the engine refuses what RE2 takes: it is too large or too deep. The last line of what it
/// says; those before draw the place.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
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

    /// What RE2/J 1.8 says, whose description Kafka passes on.
    #[test]
    fn the_reason_is_told_in_the_words_of_re2() {
        for (expression, reason) in [
            ("(", "missing closing )"),
            ("(a|(b)", "missing closing )"),
            ("a)(b", "regexp/syntax: internal error"),
            ("[", "missing closing ]"),
            ("[]", "missing closing ]"),
            ("[b-a]", "invalid character class range"),
            ("[[:foo:]]", "invalid character class range"),
            ("[[:])", "invalid character class range"),
            (r"\p{Nonsense}", "invalid character class range"),
            (r"(a)\1", "invalid escape sequence"),
            (r"\8", "invalid escape sequence"),
            (r"\x{110000}", "invalid escape sequence"),
            (r"[\Qa]\E]", "invalid escape sequence"),
            (r"a\Z", "invalid escape sequence"),
            ("a\\", "trailing backslash at end of expression"),
            ("*a", "missing argument to repetition operator"),
            ("a|*", "missing argument to repetition operator"),
            ("a(?i)(+)", "missing argument to repetition operator"),
            ("a**", "invalid nested repetition operator"),
            ("a++", "invalid nested repetition operator"),
            ("a{2}{3}", "invalid nested repetition operator"),
            ("a{2,1}", "invalid repeat count"),
            ("a{1001}", "invalid repeat count"),
            ("(?<x", "invalid named capture"),
            ("(?<=a)", "invalid named capture"),
            ("(?P<x>a)(?<x>b)", "duplicate capture group name"),
            ("(?=a)", "invalid or unsupported Perl syntax"),
            ("(?x)a", "invalid or unsupported Perl syntax"),
            ("(?i-)a", "invalid or unsupported Perl syntax"),
        ] {
            let error = Pattern::new(expression).expect_err(expression);
            assert_eq!(error.reason, reason, "{expression}");
        }
    }

    #[test]
    fn what_looks_special_to_others_is_plain_to_re2() {
        let topics = ["a", "b", "aa", "A", "_"];
        assert_eq!(matching("[a&&b]", &topics), ["a", "b"]);
        assert_eq!(matching("[[a]", &topics), ["a"]);
        assert_eq!(matching("a{,2}", &["a{,2}", "aa"]), ["a{,2}"]);
        assert_eq!(matching("a{02}", &["a{02}", "aa"]), ["a{02}"]);
        assert_eq!(matching(r"\_|[[:upper:]]", &topics), ["A", "_"]);
        assert_eq!(matching(r"\101|\x{62}", &topics), ["b", "A"]);
        assert_eq!(matching("(?<n>a)(?i-i)*", &topics), ["a", "aa"]);
        assert_eq!(matching("(?ii)a", &topics), ["a", "A"]);
        assert_eq!(matching(r"[^\pL]|(?i:[^a_])", &topics), ["b", "_"]);
        assert_eq!(matching("[^ü]", &topics), ["a", "b", "A", "_"]);
        assert_eq!(matching("ü|[ü]|\\pM", &topics), [""; 0]);
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
