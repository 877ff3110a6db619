//! The `klamm` binary: see [`klamm::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    klamm::cli::main()
}
