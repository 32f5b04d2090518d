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
use command::{cli, device, doctor, level, recover, show, snapshot, verify};
pub use terminal::Outcome;
use terminal::complain;

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
        None => show::run(&cli.view, &mut out),
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
