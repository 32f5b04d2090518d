//! Shows the sessions of a device and saves them as snapshots.

use std::io::{self, Write};
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use ttlog_core::snapshot::{SnapshotMeta, SnapshotOptions};
use ttlog_read::event::secrets::Secrets;
use ttlog_read::source::device::load::Firmwares;
use ttlog_read::source::device::sessions::Recordings;
use ttlog_read::text::escape::escaped;
use ttlog_read::timeline::ShownEvents;

use crate::command::show::Show;
use crate::command::show::{Request, show};
use crate::terminal::{Outcome, complain};
use crate::write::snapshot_file;

/// Options shared by all commands for devices.
#[derive(Args, Debug)]
pub struct DeviceArgs {
    /// Save each session as a snapshot in this directory
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// Options of showing events.
    #[command(flatten)]
    pub show: Show,
}

/// Parsed options of a command for devices, with the firmwares they name.
#[derive(Debug)]
pub struct DeviceRequest<'o> {
    options: &'o DeviceArgs,
    request: Request,
    /// Firmwares.
    pub firmwares: Firmwares,
    /// Whether all firmwares could be read.
    pub outcome: Outcome,
}

impl<'o> DeviceRequest<'o> {
    /// Parses the options and reads the firmware files; reports those that cannot be read. `None` if the options are
    /// wrong.
    #[must_use]
    pub fn new(options: &'o DeviceArgs) -> Option<Self> {
        let request = Request::new(&options.show).map_err(|line| complain(&line)).ok()?;
        let firmwares = Firmwares::load(&options.show.firmware);
        firmwares.errors.iter().for_each(|line| complain(line));
        let outcome = if firmwares.errors.is_empty() { Outcome::Good } else { Outcome::Partial };
        Some(DeviceRequest { options, request, firmwares, outcome })
    }

    /// Shows the events, and saves the sessions if requested.
    ///
    /// # Errors
    /// Returns an error if writing to `out` fails.
    pub fn show(
        &self,
        recordings: &Recordings,
        shown: Option<&mut ShownEvents>,
        out: &mut dyn Write,
    ) -> io::Result<Outcome> {
        for line in &recordings.complaints {
            complain(line);
        }
        let mut outcome = Outcome::from(recordings.usability(self.firmwares.are_named()));
        if let Some(directory) = &self.options.save {
            outcome = outcome.max(save(recordings, directory, self.request.secrets()));
            out.flush()?;
        }
        if recordings.inputs.is_empty() {
            return Ok(Outcome::Failed);
        }
        Ok(outcome.max(show(&recordings.inputs, Vec::new(), &self.request, shown, out)?))
    }
}

/// Writes each session to a separate file.
fn save(recordings: &Recordings, directory: &Path, secrets: &Secrets) -> Outcome {
    let mut outcome = Outcome::Good;
    recordings.for_each_session(|image, session| {
        let service = if session.service().is_empty() { "device" } else { session.service() };
        let created_unix_ns = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
        let meta = SnapshotMeta { reason: "device", created_unix_ns, ticks: 0 };
        let scratch_len = |options: &SnapshotOptions<'_>| session.scratch_len(image, options);
        let written = snapshot_file::write_with(
            service,
            session.boot().into(),
            "device",
            scratch_len,
            secrets,
            directory,
            |options, scratch, sink| session.write(image, &meta, options, scratch, sink),
        );
        match written {
            Ok(written) => complain(&format!("saved {}", escaped(&written.path.to_string_lossy()))),
            Err(line) => {
                complain(&line);
                outcome = Outcome::Partial;
            }
        }
    });
    outcome
}
