//! The viewer of TTLog flight recordings, as a library for its program `ttlog-view`.
//!
//! What a file holds goes through these modules, in this order:
//!
//! | room | what it does |
//! | --- | --- |
//! | [`text`] | makes text, times and numbers fit for a terminal |
//! | [`event`] | makes messages and values of records, and withholds secrets |
//! | [`source`] | reads files: snapshots, rings of running programs, rings that dead ones left, recordings of devices |
//! | [`query`] | decides which events are wanted |
//! | [`timeline`] | puts the events of all sources in order of time, with the places where some are missing |
//! | [`terminal`] | complains, shows progress, says how a command ended |
//! | [`write`] | writes snapshots |
//! | [`render`] | writes text, JSON and counts |
//! | [`command`] | the commands and their options |
//!
//! **Files are hostile**: whatever they hold, nothing panics, memory stays in proportion to what they really contain, and what is intact
//! comes out. **Nothing is mapped**, so a file may be cut while it is read. **Nothing is hidden**: what was overwritten, dropped or damaged is
//! counted and shown where it is missing.

pub mod command;
pub mod render;
pub mod terminal;
pub mod write;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
pub use terminal::Outcome;
use terminal::complain;

/// Does what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    let cli = command::cli::Cli::parse();
    let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let result = cli.run(&mut out);
    let outcome = result.and_then(|outcome| out.flush().map(|()| outcome));
    // What is still buffered cannot be written either, if writing failed.
    std::mem::forget(out);
    match outcome {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Partial) => ExitCode::from(1),
        Ok(Outcome::Failed) => ExitCode::from(2),
        // Whoever read us has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("standard output: {error}"));
            ExitCode::from(2)
        }
    }
}
