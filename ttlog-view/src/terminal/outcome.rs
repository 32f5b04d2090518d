//! The outcome of a command, and error messages.

use std::io::{self, Write as _};

use ttlog_read::source::device::sessions::Usability;

/// Outcome of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Everything succeeded: exit code 0.
    Good,
    /// Only a part succeeded: exit code 1.
    Partial,
    /// Nothing succeeded: exit code 2.
    Failed,
}

impl From<Usability> for Outcome {
    fn from(usability: Usability) -> Self {
        match usability {
            Usability::Whole => Outcome::Good,
            Usability::Partial => Outcome::Partial,
            Usability::Useless => Outcome::Failed,
        }
    }
}

/// Writes an error message to standard error.
pub fn complain(line: &str) {
    // If standard error is closed, nobody can read it.
    let _ = writeln!(io::stderr(), "ttlog-view: {line}");
}
