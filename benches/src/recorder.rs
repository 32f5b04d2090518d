//! The recorder of a measuring process: one per process, with a ring of 16 MiB in a file.

use std::path::{Path, PathBuf};

use ttlog_std::{Level, RingFileChoice, Trace};

use crate::floor::RING_LEN;
use crate::{Result, ensure};

/// The recorder that is measured; ends in good order when dropped, which removes its file.
#[derive(Debug)]
pub struct Recorder {
    trace: Trace,
    ring_path: PathBuf,
}

impl Recorder {
    /// Starts the recorder of this process. The directories are those of the environment, see `ttlog_std`.
    ///
    /// # Errors
    /// When there is one already, or no ring file to be had.
    pub fn start(coarse_clock: bool, level: Level) -> Result<Self> {
        let trace = Trace::builder()
            .service("ttlog-benches")
            .capacity_bytes(RING_LEN)
            .coarse_clock(coarse_clock)
            .level(level)
            .ring_file(RingFileChoice::Required)
            .recover_orphans(false)
            .panic_hook(false)
            .build()?;
        let ring_path = trace.ring_path().ok_or("the ring has no file")?.to_path_buf();
        Ok(Recorder { trace, ring_path })
    }

    /// Gives the handle.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Gives the directory of the ring's file.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.ring_path.parent().unwrap_or(Path::new("/"))
    }

    /// Reads the ring's file, as it is at this moment.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn image(&self) -> Result<Vec<u8>> {
        std::fs::read(&self.ring_path).map_err(|error| format!("cannot read {:?}: {error}", self.ring_path).into())
    }

    /// Asks for a snapshot, waits until it is on disk, and gives its path.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn snapshot(&self) -> Result<PathBuf> {
        Ok(self.trace.request_snapshot("bench").wait()?)
    }

    /// Ends recording and removes the ring's file.
    ///
    /// # Errors
    /// When that was not possible.
    pub fn end(self) -> Result<()> {
        ensure!(self.trace.shutdown(), "the recorder did not end in good order");
        Ok(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.trace.shutdown();
    }
}
