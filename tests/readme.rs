//! The README says only what is true: its table of APIs is the dispatch table, its commands exist.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::fmt::Write;
use std::path::Path;

use klamm::kafka::supported_apis;

const BEGIN: &str = "`KLAMM_BLESS=1 cargo test` renews it -->\n";
const END: &str = "<!-- /apis -->";

fn table() -> String {
    let mut table = String::from("| key | API | versions |\n| --- | --- | --- |\n");
    for api in supported_apis() {
        let versions = if api.min == api.max {
            format!("{}", api.max)
        } else {
            format!("{}–{}", api.min, api.max)
        };
        let note = if api.advertised_min < api.min {
            format!(
                " (lists {} as well, and closes on it, as Kafka does)",
                api.advertised_min
            )
        } else {
            String::new()
        };
        writeln!(table, "| {} | {} | {versions}{note} |", api.key, api.name).unwrap();
    }
    table
}

#[test]
fn the_table_of_apis_is_the_one_in_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let begin = readme.find(BEGIN).expect("the marker before the table") + BEGIN.len();
    let end = readme.find(END).expect("the marker after the table");
    if std::env::var_os("KLAMM_BLESS").is_some() {
        let renewed = format!("{}{}{}", &readme[..begin], table(), &readme[end..]);
        std::fs::write(path, renewed).unwrap();
    } else {
        assert_eq!(
            &readme[begin..end],
            table(),
            "renew it with KLAMM_BLESS=1 cargo test"
        );
    }
}

#[test]
fn the_snippets_in_rust_are_the_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let example = std::fs::read_to_string(root.join("examples/embedded.rs")).unwrap();
    let code = example
        .split_once("\n\n")
        .expect("a blank line after the module's purpose")
        .1;
    assert!(
        readme.contains(code),
        "the snippet in the README differs from examples/embedded.rs"
    );
}

#[test]
fn continuous_integration_runs_the_readmes_test_command() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let ci = std::fs::read_to_string(root.join(".ci/run")).unwrap();
    let command = readme
        .lines()
        .find(|line| line.ends_with("# builds and passes the tests"))
        .unwrap();
    let command = command.split('#').next().unwrap().trim();
    assert!(ci.lines().any(|line| line == command), "{command}");
}

#[test]
fn every_path_in_the_map_of_the_house_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = std::fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
    let folders = [
        "src/",
        "tests/",
        "compat-tests/",
        "fuzz/",
        "benches/",
        ".ci/",
    ];
    let mut paths = 0;
    for path in map.split('`').skip(1).step_by(2) {
        if folders.iter().any(|folder| path.starts_with(folder)) && !path.contains('<') {
            assert!(root.join(path).exists(), "{path}");
            paths += 1;
        }
    }
    assert!(paths > 20, "{paths}");
}
