//! What can be checked about the source is a test.
//!
//! The arrows between layers are a table here; every path in every file is read (`use` trees,
//! inline `crate::…`, `super::…`), so that the layering cannot erode unnoticed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// For each room, the rooms that its files may name besides itself.
///
/// Each row is the row of the rooms it stands on plus those rooms themselves; siblings
/// (`batch` and `io`; `wire`, `model`, `config`, `clock`, `wake`) only name `model`.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("clock", &["model"]),
    ("wake", &[]),
    ("wire", &["model"]),
    ("config", &["model"]),
    ("batch", &["wire", "model", "config", "clock"]),
    ("io", &["wire", "model", "config", "clock"]),
    (
        "storage",
        &["batch", "io", "wire", "model", "config", "clock", "wake"],
    ),
    (
        "catalog",
        &[
            "storage", "batch", "io", "wire", "model", "config", "clock", "wake",
        ],
    ),
    ("coordinator", &["wire", "model", "config"]),
    (
        "broker",
        &[
            "coordinator",
            "catalog",
            "storage",
            "batch",
            "io",
            "wire",
            "model",
            "config",
            "clock",
            "wake",
        ],
    ),
    (
        "net",
        &[
            "broker",
            "coordinator",
            "catalog",
            "storage",
            "batch",
            "io",
            "wire",
            "model",
            "config",
            "clock",
            "wake",
        ],
    ),
    (
        "kafka",
        &[
            "net",
            "broker",
            "coordinator",
            "catalog",
            "storage",
            "batch",
            "wire",
            "model",
            "config",
            "clock",
            "wake",
        ],
    ),
    (
        "server",
        &[
            "kafka",
            "net",
            "broker",
            "coordinator",
            "catalog",
            "storage",
            "batch",
            "io",
            "wire",
            "model",
            "config",
            "clock",
            "wake",
        ],
    ),
    ("bench", &["batch", "wire", "model", "config", "clock"]),
    (
        "cli",
        &[
            "bench",
            "server",
            "kafka",
            "net",
            "broker",
            "coordinator",
            "catalog",
            "storage",
            "batch",
            "io",
            "wire",
            "model",
            "config",
            "clock",
            "wake",
        ],
    ),
];

/// Words that may stand only in some rooms: the word, the rooms, and what to do instead.
const BANNED: &[(&str, &[&str], &str)] = &[
    (
        "kafka_protocol",
        &["kafka"],
        "wire types stop at the adapter",
    ),
    ("SystemTime::now", &["clock"], "take a clock"),
    // Deadlines of the runtime's timers; a test pauses those with the runtime's own clock.
    (
        "Instant::now",
        &["clock", "broker", "net", "kafka", "cli"],
        "take a clock",
    ),
    ("std::fs", &["io", "cli", "config"], "use the `io` trait"),
    ("tokio::fs", &[], "use the `io` trait"),
    ("block_in_place", &[], "move the work off the runtime"),
    ("todo!", &[], "finish it"),
    ("unimplemented!", &[], "finish it"),
    ("dbg!", &[], "use tracing"),
];

struct Source {
    /// Path below `src/`.
    path: PathBuf,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Source {
                    path: path.strip_prefix(&root).unwrap().to_owned(),
                    text,
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The module path of a file: `kafka/api/fetch.rs` is `[kafka, api, fetch]`.
fn module_of(path: &Path) -> Vec<String> {
    let mut module: Vec<String> = path
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if matches!(
        module.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        module.pop();
    }
    module
}

/// The source without comments, strings and character literals.
fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::new();
    let mut at = 0;
    let next = |at: usize| chars.get(at + 1).copied();
    while at < chars.len() {
        match chars[at] {
            '/' if next(at) == Some('/') => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
            }
            '/' if next(at) == Some('*') => {
                at += 2;
                while at + 1 < chars.len() && !(chars[at] == '*' && chars[at + 1] == '/') {
                    at += 1;
                }
                at += 2;
            }
            'r' if matches!(next(at), Some('"' | '#'))
                && !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') =>
            {
                let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
                if chars.get(at + 1 + hashes) != Some(&'"') {
                    code.push('r');
                    at += 1;
                    continue;
                }
                at += 2 + hashes;
                let end: String = std::iter::once('"')
                    .chain(std::iter::repeat_n('#', hashes))
                    .collect();
                while at < chars.len()
                    && !chars[at..].iter().take(end.len()).copied().eq(end.chars())
                {
                    at += 1;
                }
                at += end.len();
            }
            '"' => {
                at += 1;
                while at < chars.len() && chars[at] != '"' {
                    at += if chars[at] == '\\' { 2 } else { 1 };
                }
                at += 1;
            }
            '\'' if next(at) == Some('\\') => {
                at += 3;
                while at < chars.len() && chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
            }
            '\'' if chars.get(at + 2) == Some(&'\'') => at += 3,
            other => {
                code.push(other);
                at += 1;
            }
        }
    }
    code
}

/// Identifiers and the punctuation that paths and blocks are made of.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphabetic() || c == '_' {
            let mut word = String::from(c);
            while let Some(&more) = chars.peek() {
                if !(more.is_alphanumeric() || more == '_') {
                    break;
                }
                word.push(more);
                chars.next();
            }
            tokens.push(word);
        } else if c == ':' && chars.peek() == Some(&':') {
            chars.next();
            tokens.push("::".to_owned());
        } else if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
    }
    tokens
}

/// The first segments that a use tree or path names, from the token after `::`.
fn heads(tokens: &[String], at: usize) -> Vec<(usize, String)> {
    match tokens.get(at).map(String::as_str) {
        Some("{") => {
            let mut found = Vec::new();
            let (mut at, mut depth, mut fresh) = (at + 1, 1, true);
            while let Some(token) = tokens.get(at) {
                match token.as_str() {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    "," if depth == 1 => fresh = true,
                    _ if depth == 1 && fresh => {
                        found.push((at, token.clone()));
                        fresh = false;
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                at += 1;
            }
            found
        }
        Some(token) => vec![(at, token.to_owned())],
        None => Vec::new(),
    }
}

/// Every room that the file names through `crate::`, `klamm::` or enough `super::`.
fn rooms_named(source: &Source) -> BTreeSet<String> {
    let tokens = tokens(&code_of(&source.text));
    let file_depth = module_of(&source.path).len();
    let mut named = BTreeSet::new();
    // Depth of braces at which each inline module opened.
    let (mut depth, mut inline) = (0_usize, Vec::<usize>::new());
    for (at, token) in tokens.iter().enumerate() {
        let follows = |n: usize, what: &str| tokens.get(at + n).is_some_and(|t| t == what);
        match token.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inline.last() == Some(&depth) {
                    inline.pop();
                }
            }
            "mod" if follows(2, "{") => inline.push(depth),
            "crate" | "klamm" if follows(1, "::") => {
                named.extend(heads(&tokens, at + 2).into_iter().map(|(_, head)| head));
            }
            "super" if follows(1, "::") && !(at > 0 && tokens[at - 1] == "::") => {
                let mut open = vec![(at, 0_usize)];
                while let Some((at, above)) = open.pop() {
                    if tokens[at] == "super" && tokens.get(at + 1).is_some_and(|t| t == "::") {
                        open.extend(
                            heads(&tokens, at + 2)
                                .into_iter()
                                .map(|(at, _)| (at, above + 1)),
                        );
                    } else if above == file_depth + inline.len() {
                        named.insert(tokens[at].clone());
                    }
                }
            }
            _ => {}
        }
    }
    named
}

#[test]
fn arrows_between_layers_point_right() {
    let rooms: Vec<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let module = module_of(&source.path);
        let Some(room) = module.first() else { continue };
        if room == "tidy" {
            continue;
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| name == room) else {
            wrong.push(format!(
                "{}: room `{room}` is not in the table",
                source.path.display()
            ));
            continue;
        };
        for named in rooms_named(&source) {
            let known = rooms.contains(&named.as_str());
            if known && named != *room && !allowed.contains(&named.as_str()) {
                wrong.push(format!(
                    "{}: `{room}` may not name `{named}`",
                    source.path.display()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn arrow_finder_sees_every_kind_of_path() {
    let source = |path: &str, text: &str| Source {
        path: path.into(),
        text: text.to_owned(),
    };
    let named = |path, text| {
        rooms_named(&source(path, text))
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        named("a/mod.rs", "use crate::{net::x, kafka::{y, z}};"),
        ["kafka", "net"]
    );
    assert_eq!(named("a/mod.rs", "fn f() { crate::io::open() }"), ["io"]);
    assert_eq!(named("a/mod.rs", "use super::storage::Store;"), ["storage"]);
    assert_eq!(
        named("a/b.rs", "use super::sibling; use super::super::storage;"),
        ["storage"]
    );
    assert_eq!(
        named(
            "a/b.rs",
            "mod tests { use super::*; use super::super::super::cli; }"
        ),
        ["cli"]
    );
    assert_eq!(named("a/b.rs", "use super::{super::wire, c};"), ["wire"]);
    assert!(named("a/b.rs", "// crate::net\nlet s = \"crate::io\";").is_empty());
}

#[test]
fn every_module_opens_with_its_purpose() {
    let silent: Vec<String> = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path.display().to_string())
        .collect();
    assert!(
        silent.is_empty(),
        "no `//!` on the first line of: {silent:?}"
    );
}

#[test]
fn banned_words_stay_out() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = module_of(&source.path);
        let room = module.first().map_or("", String::as_str);
        if room == "tidy" {
            continue;
        }
        // Tests may use the system directly; they stand last in a file, or in one of their own.
        let code = code_of(&source.text);
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        if module
            .iter()
            .any(|name| matches!(name.as_str(), "tests" | "testing"))
        {
            continue;
        }
        for (word, rooms, instead) in BANNED {
            if code.contains(word) && !rooms.contains(&room) {
                wrong.push(format!("{}: `{word}`: {instead}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
