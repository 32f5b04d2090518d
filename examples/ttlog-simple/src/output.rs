//! The program's output and errors.

use std::io::{self, Write as _};

/// Prints a line. A closed standard output is an error, because the result would be lost.
pub(crate) fn say(line: std::fmt::Arguments<'_>) -> Result<(), String> {
    writeln!(io::stdout(), "{line}").map_err(|error| format!("standard output: {error}"))
}

/// Reports an error on standard error.
pub(crate) fn complain(error: &str) {
    // If standard error is gone, the exit code must do.
    let _ = writeln!(io::stderr(), "ttlog-simple: {error}");
}
