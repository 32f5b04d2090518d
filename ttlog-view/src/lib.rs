//! The viewer of TTLog flight recordings, as a library for its program `ttlog-view`.
//!
//! What a file holds goes through these modules, in this order:
//!
//! | module | what it does |
//! | --- | --- |
//! | [`cli`] | says what is asked for |
//! | [`source`] | reads files: snapshots, rings of running programs, rings that dead ones left |
//! | [`timeline`] | puts the events of all of them in order of time, with the places where some are missing |
//! | [`filter`] | decides which are shown |
//! | [`value`], [`template`] | make messages and values of records |
//! | [`secrets`] | says which values are withheld |
//! | [`render`] | writes text, JSON and counts |
//! | [`ending`] | says how a process ended |
//! | [`escape`] | keeps what programs logged from controlling the terminal |
//! | [`device`] | makes snapshots of what is in the memory of a microcontroller, or comes from one |
//!
//! [`doctor`], [`snapshot`], [`level`], [`recover`] and [`verify`] are the commands of these names, [`view`] is the one without a name. [`processes`] finds the
//! ring of a process, [`snapshot_file`] writes snapshots.
//!
//! **Files are hostile**: whatever they hold, nothing panics, memory stays in proportion to what they really contain, and what is intact
//! comes out. **Nothing is mapped**, so a file may be cut while it is read. **Nothing is hidden**: what was overwritten, dropped or damaged is
//! counted and shown where it is missing.

pub mod cli;
pub mod device;
pub mod doctor;
pub mod ending;
pub mod escape;
pub mod filter;
pub mod level;
pub mod processes;
pub mod progress;
pub mod recover;
pub mod render;
pub mod secrets;
pub mod snapshot;
pub mod snapshot_file;
pub mod source;
pub mod template;
pub mod time;
pub mod timeline;
pub mod value;
pub mod verify;
pub mod view;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

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

/// Does what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    let cli = cli::Cli::parse();
    let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let result = match &cli.command {
        Some(cli::Command::Recover(options)) => recover::run(options, &mut out),
        Some(cli::Command::Verify(options)) => verify::run(options, &mut out),
        Some(cli::Command::Snapshot(options)) => snapshot::run(options, &mut out),
        Some(cli::Command::Doctor(options)) => doctor::run(options, &mut out),
        Some(cli::Command::Level(options)) => level::run(options, &mut out),
        Some(cli::Command::Image(options)) => device::image::run(options, &mut out),
        Some(cli::Command::Core(options)) => device::image::run_core(options, &mut out),
        Some(cli::Command::Serial(options)) => device::serial::run(options, &mut out),
        Some(cli::Command::Probe(options)) => device::probe::run(options, &mut out),
        Some(cli::Command::Dictionary(options)) => device::dictionary::run(options, &mut out),
        None => view::run(&cli.view, &mut out),
    };
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

/// Writes a line about something that went wrong to standard error.
pub fn complain(line: &str) {
    // If standard error is gone, there is nobody left to tell.
    let _ = writeln!(io::stderr(), "ttlog-view: {line}");
}
