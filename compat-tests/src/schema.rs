//! Field layouts of requests and responses, read from `schemas/messages.txt`.
//!
//! They are written down apart from the codec that the broker uses, so that a mistake in one is not
//! hidden by the same mistake in the other.

use std::sync::LazyLock;

/// Versions of a field or a message, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// First version.
    pub min: i16,
    /// Last version; `i16::MAX` when open.
    pub max: i16,
}

impl Versions {
    /// No version at all.
    const NONE: Self = Self { min: 0, max: -1 };

    /// Whether `version` lies inside.
    #[must_use]
    pub fn contain(self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    fn parse(text: &str) -> Self {
        let number = |text: &str| text.parse().expect("a version number");
        if text == "none" {
            Self::NONE
        } else if let Some(min) = text.strip_suffix('+') {
            Self {
                min: number(min),
                max: i16::MAX,
            }
        } else if let Some((min, max)) = text.split_once('-') {
            Self {
                min: number(min),
                max: number(max),
            }
        } else {
            Self {
                min: number(text),
                max: number(text),
            }
        }
    }
}

/// Type of a field, or of the elements of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One byte, 0 or 1.
    Bool,
    /// Signed, one byte.
    I8,
    /// Signed, two bytes.
    I16,
    /// Signed, four bytes.
    I32,
    /// Signed, eight bytes.
    I64,
    /// UTF-8 with a length.
    String,
    /// 16 bytes.
    Uuid,
    /// Record batches, with a length.
    Records,
    /// Bytes with a length.
    Bytes,
    /// The fields below.
    Struct,
}

/// One field.
#[derive(Clone, Debug)]
pub struct Field {
    /// Name, as in Kafka's own JSON rendering.
    pub name: String,
    /// Type.
    pub kind: Kind,
    /// Whether it is an array of that type.
    pub array: bool,
    /// Where it exists.
    pub versions: Versions,
    /// Where it may be null.
    pub nullable: Versions,
    /// Its tag, and where it is tagged.
    pub tag: Option<(u32, Versions)>,
    /// Value when absent, if not the zero of its type.
    pub default: Option<String>,
    /// Fields of a struct.
    pub fields: Vec<Field>,
}

/// One request or response.
#[derive(Clone, Debug)]
pub struct Message {
    /// `api_key`.
    pub key: i16,
    /// Name of the API.
    pub name: String,
    /// Request, or response.
    pub request: bool,
    /// Versions whose layout is known.
    pub versions: Versions,
    /// Versions with compact lengths and tags.
    pub flexible: Versions,
    /// Fields of the body.
    pub fields: Vec<Field>,
}

static MESSAGES: LazyLock<Vec<Message>> =
    LazyLock::new(|| parse(include_str!("../schemas/messages.txt")));

/// Every known message.
#[must_use]
pub fn all() -> &'static [Message] {
    &MESSAGES
}

/// The request of an API.
///
/// # Panics
/// If the API is not described.
#[must_use]
pub fn request(api: &str) -> &'static Message {
    all()
        .iter()
        .find(|m| m.request && m.name == api)
        .unwrap_or_else(|| panic!("no API {api}"))
}

/// The response of an API.
///
/// # Panics
/// If the API is not described.
#[must_use]
pub fn response(api: &str) -> &'static Message {
    all()
        .iter()
        .find(|m| !m.request && m.name == api)
        .unwrap_or_else(|| panic!("no API {api}"))
}

/// The request with that key.
#[must_use]
pub fn by_key(key: i16) -> Option<&'static Message> {
    all().iter().find(|m| m.request && m.key == key)
}

fn parse(text: &str) -> Vec<Message> {
    let lines: Vec<(usize, &str)> = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| ((line.len() - line.trim_start().len()) / 2, line.trim()))
        .collect();
    let mut messages = Vec::new();
    let mut rest = lines.as_slice();
    while let Some(((_, head), below)) = rest.split_first() {
        let words: Vec<&str> = head.split(' ').collect();
        let (fields, after) = fields(below, 1);
        messages.push(Message {
            key: words[1].parse().expect("an API key"),
            name: words[2].to_owned(),
            request: words[0] == "request",
            versions: Versions::parse(words[3]),
            flexible: Versions::parse(words[4].strip_prefix("flexible=").expect("flexible=")),
            fields,
        });
        rest = after;
    }
    messages
}

fn fields<'a, 'b>(
    mut rest: &'b [(usize, &'a str)],
    depth: usize,
) -> (Vec<Field>, &'b [(usize, &'a str)]) {
    let mut found = Vec::new();
    while let Some(((level, line), below)) = rest.split_first() {
        if *level < depth {
            break;
        }
        assert_eq!(*level, depth, "indentation of {line}");
        let (inner, after) = fields(below, depth + 1);
        found.push(field(line, inner));
        rest = after;
    }
    (found, rest)
}

fn field(line: &str, fields: Vec<Field>) -> Field {
    let mut words = line.split(' ');
    let mut next = || words.next().expect("name, type and versions");
    let (name, kind, versions) = (next().to_owned(), next(), Versions::parse(next()));
    let (array, kind) = kind
        .strip_prefix("[]")
        .map_or((false, kind), |kind| (true, kind));
    let kind = match kind {
        "bool" => Kind::Bool,
        "i8" => Kind::I8,
        "i16" => Kind::I16,
        "i32" => Kind::I32,
        "i64" => Kind::I64,
        "string" => Kind::String,
        "uuid" => Kind::Uuid,
        "records" => Kind::Records,
        "bytes" => Kind::Bytes,
        "struct" => Kind::Struct,
        other => panic!("unknown type {other} in {line}"),
    };
    let (mut nullable, mut tag, mut default) = (Versions::NONE, None, None);
    for word in words {
        match word.split_once('=').expect("key=value") {
            ("null", versions) => nullable = Versions::parse(versions),
            ("tag", value) => {
                let (number, versions) = value.split_once('@').expect("tag=number@versions");
                tag = Some((number.parse().expect("a tag"), Versions::parse(versions)));
            }
            ("default", value) => default = Some(value.to_owned()),
            other => panic!("unknown attribute {other:?} in {line}"),
        }
    }
    Field {
        name,
        kind,
        array,
        versions,
        nullable,
        tag,
        default,
        fields,
    }
}
