//! How a command ended, and lines about what went wrong.

use std::io::{self, Write as _};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// All is well: exit code 0.
    Good,
    /// Something could be done, but not all: exit code 1.
    Partial,
    /// Nothing could be done: exit code 2.
    Failed,
}

/// Writes a line about something that went wrong to standard error.
pub fn complain(line: &str) {
    // If standard error is gone, there is nobody left to tell.
    let _ = writeln!(io::stderr(), "ttlog-view: {line}");
}
