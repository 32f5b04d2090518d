//! How a command ended, and lines about what went wrong.

use std::io::{self, Write as _};

use ttlog_read::source::device::sessions::Usability;

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

impl From<Usability> for Outcome {
    fn from(usability: Usability) -> Self {
        match usability {
            Usability::Whole => Outcome::Good,
            Usability::Partial => Outcome::Partial,
            Usability::Useless => Outcome::Failed,
        }
    }
}

/// Writes a line about something that went wrong to standard error.
pub fn complain(line: &str) {
    // If standard error is gone, there is nobody left to tell.
    let _ = writeln!(io::stderr(), "ttlog-view: {line}");
}
