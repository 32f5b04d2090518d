//! The program `ttlog-view`, which shows the recordings of a TTLog flight recorder. Its manual is `ttlog-view --help`
//! and README.md.
//!
//! This library has no public API: its modules are public only for the tests and examples of this workspace. To read
//! recordings from Rust, use the crate [`ttlog_read`].
//!
//! | module | purpose |
//! | --- | --- |
//! | `terminal` | error messages, progress, and the outcome of a command |
//! | `write` | writes snapshots |
//! | `render` | text, JSON and counts: each is a sink of events |
//! | `command` | the commands, each with its options |

#[doc(hidden)] // for tests and examples of this workspace, which run commands in their own process
pub mod command;
#[doc(hidden)] // for tests of this crate, which look at single events
pub mod render;
#[doc(hidden)] // as `render`
pub mod terminal;
#[doc(hidden)] // as `render`
pub mod write;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
pub use terminal::Outcome;
use terminal::complain;

/// Runs the command line and returns the exit code.
#[must_use]
pub fn run() -> ExitCode {
    let cli = command::cli::Cli::parse();
    let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let result = cli.run(&mut out);
    let outcome = result.and_then(|outcome| out.flush().map(|()| outcome));
    // If writing failed, the rest of the buffer cannot be written either.
    std::mem::forget(out);
    match outcome {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Partial) => ExitCode::from(1),
        Ok(Outcome::Failed) => ExitCode::from(2),
        // The reader has closed the pipe.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("standard output: {error}"));
            ExitCode::from(2)
        }
    }
}
