//! Sets of characters by their names in RE2, shrunk to ASCII: names of topics have nothing else.

use std::fmt::Write;

/// Every byte, as the inside of a class of the engine.
pub(super) const ANYTHING: &str = r"\x00-\xff";

/// A set of ASCII characters; bit `n` is character `n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Class(u128);

impl Class {
    /// What is in either.
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is not in it.
    pub(super) fn not(self) -> Self {
        Self(!self.0)
    }

    /// From `low` to `high`, both of them in it, as far as they are ASCII.
    pub(super) fn range(low: char, high: char) -> Self {
        Self::of(|byte| (u32::from(low)..=u32::from(high)).contains(&u32::from(byte)))
    }

    fn of(is_in: impl Fn(u8) -> bool) -> Self {
        let members = (0..=127).filter(|byte| is_in(*byte));
        Self(members.fold(0, |set, byte| set | 1_u128 << byte))
    }

    fn contains(self, byte: u8) -> bool {
        self.0.checked_shr(u32::from(byte)).unwrap_or_default() & 1 == 1
    }

    /// Writes it for the engine, which folds upper and lower case before it negates.
    pub(super) fn write(self, written: &mut String, negated: bool) {
        if self.0 == 0 {
            let not = if negated { "" } else { "^" };
            let _ = write!(written, "[{not}{ANYTHING}]");
            return;
        }
        written.push_str(if negated { "[^" } else { "[" });
        let mut byte = 0;
        while byte <= 127 {
            let run = (byte..=127).take_while(|member| self.contains(*member));
            if let Some(last) = run.last() {
                let _ = write!(written, r"\x{byte:02x}-\x{last:02x}");
                byte = last;
            }
            byte += 1;
        }
        written.push(']');
    }
}

/// `\d`, `\s`, `\w` and what is in none of them.
pub(super) fn perl_class(kind: char) -> Option<Class> {
    let class = match kind.to_ascii_lowercase() {
        'd' => Class::of(|byte| byte.is_ascii_digit()),
        's' => Class::of(|byte| matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ')),
        'w' => Class::of(is_word),
        _ => return None,
    };
    Some(match kind.is_ascii_uppercase() {
        true => class.not(),
        false => class,
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// `[:name:]` or `[:^name:]`.
pub(super) fn named_class(name: &str) -> Option<Class> {
    let is_in: fn(u8) -> bool = match name.strip_prefix('^').unwrap_or(name) {
        "alnum" => |byte| byte.is_ascii_alphanumeric(),
        "alpha" => |byte| byte.is_ascii_alphabetic(),
        "ascii" => |_| true,
        "blank" => |byte| matches!(byte, b'\t' | b' '),
        "cntrl" => |byte| byte.is_ascii_control(),
        "digit" => |byte| byte.is_ascii_digit(),
        "graph" => |byte| byte.is_ascii_graphic(),
        "lower" => |byte| byte.is_ascii_lowercase(),
        "print" => |byte| byte.is_ascii_graphic() || byte == b' ',
        "punct" => |byte| byte.is_ascii_punctuation(),
        "space" => |byte| matches!(byte, b'\t'..=b'\r' | b' '),
        "upper" => |byte| byte.is_ascii_uppercase(),
        "word" => is_word,
        "xdigit" => |byte| byte.is_ascii_hexdigit(),
        _ => return None,
    };
    let class = Class::of(is_in);
    Some(if name.starts_with('^') {
        class.not()
    } else {
        class
    })
}

/// A category or script of Unicode: those that have ASCII characters, and the names of the others.
pub(super) fn unicode_class(name: &str) -> Option<Class> {
    let among = |members: &'static str| Class::of(|byte| members.contains(char::from(byte)));
    let class = match name {
        "Any" => Class::of(|_| true),
        "L" | "Latin" => Class::of(|byte| byte.is_ascii_alphabetic()),
        "Lu" => Class::of(|byte| byte.is_ascii_uppercase()),
        "Ll" => Class::of(|byte| byte.is_ascii_lowercase()),
        "N" | "Nd" => Class::of(|byte| byte.is_ascii_digit()),
        "C" | "Cc" => Class::of(|byte| byte.is_ascii_control()),
        "Z" | "Zs" => among(" "),
        "P" => among(r##"!"#%&'()*,-./:;?@[\]_{}"##),
        "Pc" => among("_"),
        "Pd" => among("-"),
        "Ps" => among("([{"),
        "Pe" => among(")]}"),
        "Po" => among(r##"!"#%&'*,./:;?@\"##),
        "S" => among("$+<=>^`|~"),
        "Sc" => among("$"),
        "Sk" => among("^`"),
        "Sm" => among("+<=>|~"),
        "Common" => Class::of(|byte| !byte.is_ascii_alphabetic()),
        elsewhere if ELSEWHERE.contains(&elsewhere) => Class::default(),
        _ => return None,
    };
    Some(class)
}

/// Categories and scripts without an ASCII character (`UnicodeTables` of RE2/J).
#[rustfmt::skip]
const ELSEWHERE: &[&str] = &[
    "Lt", "Lm", "Lo", "M", "Mn", "Me", "Mc", "Nl", "No", "Zl", "Zp", "Cf", "Co", "Cs", "So",
    "Pi", "Pf",
    "Arabic", "Armenian", "Avestan", "Balinese", "Bamum", "Batak", "Bengali", "Bopomofo",
    "Brahmi", "Braille", "Buginese", "Buhid", "Canadian_Aboriginal", "Carian", "Cham",
    "Cherokee", "Coptic", "Cuneiform", "Cypriot", "Cyrillic", "Deseret", "Devanagari",
    "Egyptian_Hieroglyphs", "Ethiopic", "Georgian", "Glagolitic", "Gothic", "Greek", "Gujarati",
    "Gurmukhi", "Han", "Hangul", "Hanunoo", "Hebrew", "Hiragana", "Imperial_Aramaic",
    "Inherited", "Inscriptional_Pahlavi", "Inscriptional_Parthian", "Javanese", "Kaithi",
    "Kannada", "Katakana", "Kayah_Li", "Kharoshthi", "Khmer", "Lao", "Lepcha", "Limbu",
    "Linear_B", "Lisu", "Lycian", "Lydian", "Malayalam", "Mandaic", "Meetei_Mayek", "Mongolian",
    "Myanmar", "New_Tai_Lue", "Nko", "Ogham", "Ol_Chiki", "Old_Italic", "Old_Persian",
    "Old_South_Arabian", "Old_Turkic", "Oriya", "Osmanya", "Phags_Pa", "Phoenician", "Rejang",
    "Runic", "Samaritan", "Saurashtra", "Shavian", "Sinhala", "Sundanese", "Syloti_Nagri",
    "Syriac", "Tagalog", "Tagbanwa", "Tai_Le", "Tai_Tham", "Tai_Viet", "Tamil", "Telugu",
    "Thaana", "Thai", "Tibetan", "Tifinagh", "Ugaritic", "Unknown", "Vai", "Yi",
];
