//! `reliability`: what becomes of acknowledged records when power, process or disk fail.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    compat_tests::reliability::main(&arguments)
}
