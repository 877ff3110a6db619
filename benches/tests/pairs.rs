//! The pair runner measures a row from servers to verdicts, whatever these are.
//!
//! The binary of Klamm is the one at `KLAMM_BIN`, or the one beside the runner's.

use std::process::Command;

use serde_json::Value;

#[test]
fn two_rows_are_measured_and_told() {
    let scratch = tempfile::tempdir().unwrap();
    let json = scratch.path().join("pairs.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_pairs"));
    command.args(["produce-1k", "end-to-end", "--quick", "--pairs", "1"]);
    command.args(["--without-kafka", "--json"]).arg(&json);
    command.arg("--scratch").arg(scratch.path());
    if let Some(klamm) = std::env::var_os("KLAMM_BIN") {
        command.arg("--klamm").arg(klamm);
    }
    // A gate that is missed on a busy machine is no fault of the runner.
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("> klamm, cpu s/GB"), "{said}{errors}");
    let told: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let number = |path: &str| told.pointer(path).and_then(Value::as_f64);
    for (row, figure) in [(0, "cpu s~1GB"), (1, "end-to-end p50 us")] {
        for side in 0..2 {
            let path = format!("/rows/{row}/sides/{side}/figures/{figure}/median");
            assert!(number(&path) > Some(0.0), "{path} of {told}");
        }
        assert_eq!(
            told["rows"][row]["sides"][2]["rounds"],
            serde_json::json!([])
        );
    }
    assert_eq!(told["rows"][0]["mode"], "os");
    let left = std::fs::read_dir(scratch.path()).unwrap().count();
    assert_eq!(left, 1, "only the figures stay");
}
