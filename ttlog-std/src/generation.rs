//! What belongs to one process and not to its forks: everything with a lock that a thread of the parent may have held at the moment
//! of the `fork`, and the ring's file.
//!
//! A child of `fork` gets a generation of its own before any of its code runs; the one of its parent is left as it is and never
//! touched again there.

use std::fmt;
use std::sync::Mutex;

use ttlog_core::snapshot::SnapshotOptions;

use crate::mapping::RingFile;
use crate::service::Service;
use crate::snapshot_file::Scratch;

/// The parts of the recorder that each process has for itself. Never freed.
pub(crate) struct Generation {
    /// Requests to the service thread.
    pub(crate) service: Service,
    /// Memory for the snapshot that is being written, and the lock by which there is one at a time.
    pub(crate) scratch: Mutex<Scratch>,
    /// Memory for a snapshot when that one is in use and cannot be waited for.
    pub(crate) spare_scratch: Mutex<Scratch>,
    /// Held while an anchor is written.
    pub(crate) anchor_lock: Mutex<()>,
    /// Held while the filter is changed.
    pub(crate) filter_lock: Mutex<()>,
    /// The ring's file, if it has one.
    file: Option<RingFile>,
}

impl Generation {
    /// Makes that of the process that starts the recorder.
    /// `segment_len`: the longest segment that a snapshot may be written of.
    pub(crate) fn new(
        service: Service,
        options: SnapshotOptions<'static>,
        segment_len: usize,
        file: Option<RingFile>,
    ) -> Self {
        Generation {
            service,
            scratch: Mutex::new(Scratch::new(options, segment_len)),
            spare_scratch: Mutex::new(Scratch::spare(options, segment_len)),
            anchor_lock: Mutex::new(()),
            filter_lock: Mutex::new(()),
            file,
        }
    }

    /// Gives the ring's file, if it has one.
    pub(crate) fn file(&self) -> Option<&RingFile> {
        self.file.as_ref()
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation").field("service", &self.service).field("file", &self.file).finish_non_exhaustive()
    }
}
