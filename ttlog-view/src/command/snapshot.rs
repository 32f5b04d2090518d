//! The command `snapshot`: copies the ring of a process from outside.
//!
//! The process is neither involved nor disturbed: it can be stopped, stuck or dead. For each thread, the copy
//! contains everything up to some moment during the copying.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use ttlog_read::source::find::find;
use ttlog_read::source::process::Liveness;
use ttlog_read::source::separate::one_recording;
use ttlog_read::text::number::bytes;

use super::options::SecretArgs;
use crate::terminal::{Outcome, complain};
use crate::write::snapshot_file;

/// Options of `snapshot`.
#[derive(Args, Debug)]
pub struct Snapshot {
    /// Process ID, or path of a ring (write ./123 for a file named 123)
    #[arg(value_name = "PID|RING")]
    pub target: String,
    /// Directory for the snapshot
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Reason, a word or two, for the file name and the header
    #[arg(short, long, value_name = "TEXT", default_value = "manual")]
    pub reason: String,
    /// Options about secrets.
    #[command(flatten)]
    pub secrets: SecretArgs,
}

/// Writes the snapshot and prints its path.
///
/// # Errors
/// Returns an error if writing to `out` fails.
pub fn run(options: &Snapshot, out: &mut dyn Write) -> io::Result<Outcome> {
    let ring = match find(&options.target) {
        Ok(ring) => ring,
        Err(error) => {
            complain(&error.to_string());
            return Ok(Outcome::Failed);
        }
    };
    let output = snapshot_file::directory(options.output.as_deref());
    let written = ring.image().and_then(|image| {
        one_recording(&ring.bytes.data).map_err(|error| format!("{}: {error}", ring.name()))?;
        // A dead process records nothing more: the snapshot contains everything to its end.
        let is_over = matches!(ring.holder().liveness, Liveness::Gone | Liveness::LetGo);
        let until = if is_over { 0 } else { ring.bytes.read_from_ticks.unwrap_or(0) };
        let secrets = options.secrets.secrets();
        snapshot_file::write(&image, &image.process().unwrap_or_default(), &options.reason, until, &secrets, &output)
    });
    match written {
        Ok(written) => {
            writeln!(out, "{}", written.path.display())?;
            let missing = ring.image().map_or(0, |image| image.missing_bytes());
            if missing > 0 {
                let present = bytes(ring.bytes.data.len() as u64);
                complain(&format!("{}: was cut short: only {present} of the ring are there", ring.name()));
            }
            let changed = ring.bytes.changed_segments;
            if changed > 0 {
                complain(&format!("{changed} segments were overwritten faster than they could be read"));
            }
            Ok(if missing > 0 || changed > 0 { Outcome::Partial } else { Outcome::Good })
        }
        Err(error) => {
            complain(&error);
            Ok(Outcome::Failed)
        }
    }
}
