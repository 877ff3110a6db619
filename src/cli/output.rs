//! Data on stdout.

use std::io::{self, Write};

use super::CommandError;

/// Writes data to stdout.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    write_to(&mut io::stdout().lock(), text.as_bytes())
}

/// Writes data to `out` and flushes it.
pub(crate) fn write_to(out: &mut impl Write, bytes: &[u8]) -> Result<(), CommandError> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) => Err(CommandError(format!("cannot write to stdout: {error}"))),
    }
}
