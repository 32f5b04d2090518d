//! The recorder of a measuring process: one per process, with a ring of 16 MiB.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ttlog_std::{FatalSignals, Level, Recorder, RingFileChoice};

use crate::error::{Result, ensure};

/// Bytes of the recorder's ring, and of the floor's.
pub const RING_LEN: usize = 16 << 20;

/// The recorder that is measured. Dropping it ends the recording and removes its file.
#[derive(Debug)]
pub struct MeasuredRecorder {
    handle: Recorder,
    /// `None`: the ring is on the heap.
    ring_path: Option<PathBuf>,
}

/// How a recorder is started.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Whether events use the coarse clock.
    pub coarse_clock: bool,
    /// The lowest level that is recorded.
    pub level: Level,
    /// Signals that leave a mark in the ring.
    pub fatal_signals: FatalSignals,
    /// Whether the ring is on the heap instead of in a file.
    pub heap: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { coarse_clock: false, level: Level::Trace, fatal_signals: FatalSignals::All, heap: false }
    }
}

impl MeasuredRecorder {
    /// Starts the recorder of this process, in the directories of the environment; see `ttlog_std`.
    ///
    /// # Errors
    /// If there is a recorder already, or the ring file cannot be created.
    pub fn start(setup: Setup) -> Result<Self> {
        let handle = Recorder::builder()
            .service("ttlog-benches")
            .capacity_bytes(RING_LEN)
            .coarse_clock(setup.coarse_clock)
            .level(setup.level)
            .fatal_signals(setup.fatal_signals)
            .ring_file(if setup.heap { RingFileChoice::None } else { RingFileChoice::Required })
            .snapshot_throttle(Duration::ZERO)
            // The few snapshots are removed at once, so an almost full disk does not prevent measuring.
            .retain_free_percent(0)
            .recover_orphans(false)
            .panic_hook(false)
            .build()?;
        let ring_path = handle.ring_path().map(Path::to_path_buf);
        ensure!(ring_path.is_some() != setup.heap, "the ring's file is {ring_path:?}");
        Ok(MeasuredRecorder { handle, ring_path })
    }

    /// Returns the handle.
    #[must_use]
    pub fn handle(&self) -> &Recorder {
        &self.handle
    }

    /// Returns the directory of the ring's file; `None` if the ring is on the heap.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.ring_path.as_ref().map(|path| path.parent().unwrap_or(Path::new("/")))
    }

    /// Reads the current bytes of the ring's file, or of a snapshot if the ring is on the heap.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn image(&self) -> Result<Vec<u8>> {
        let snapshot = if self.ring_path.is_none() { Some(self.snapshot()?) } else { None };
        let path = snapshot.as_ref().or(self.ring_path.as_ref()).ok_or("neither a ring nor a snapshot")?;
        let bytes = std::fs::read(path).map_err(|error| format!("cannot read {path:?}: {error}"))?;
        if let Some(snapshot) = snapshot {
            std::fs::remove_file(snapshot)?;
        }
        Ok(bytes)
    }

    /// Takes a snapshot, waits until it is on disk, and returns its path.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn snapshot(&self) -> Result<PathBuf> {
        Ok(self.handle.request_snapshot("bench").wait()?)
    }

    /// Ends the recording and removes the ring's file.
    ///
    /// # Errors
    /// If that fails.
    pub fn end(self) -> Result<()> {
        ensure!(self.handle.shutdown(), "the recorder did not shut down cleanly");
        Ok(())
    }
}

impl Drop for MeasuredRecorder {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}
