//! The program that a plugin is attached to, as known to this copy of the crate.

use core::fmt;
use core::ptr;

use portable_atomic::{AtomicPtr, Ordering};

use super::Recorder;
use crate::event::epoch;
use crate::memory::atomic::AtomicU32;

/// A program's interface for its plugins. Lives as long as the process.
pub struct Host {
    pub(super) recorder: &'static dyn Recorder,
    /// The epoch of the program's callsites.
    pub(super) epoch: &'static AtomicU32,
}

impl Host {
    /// Creates a host. Plugins ask `recorder` whether their callsites are on, and pass their events to it. When a
    /// plugin is unloaded, its callsites are gone, and another plugin might have different ones at the same addresses.
    /// Only its metadata identifies a callsite of a plugin.
    #[must_use]
    pub const fn new(recorder: &'static dyn Recorder) -> Self {
        Host { recorder, epoch: epoch::epoch_place() }
    }

    /// Returns the recorder.
    pub(crate) fn recorder(&self) -> &'static dyn Recorder {
        self.recorder
    }

    /// Returns the program's current epoch.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// The program that this copy of the crate is attached to; null if none.
pub(super) static HOST: AtomicPtr<Host> = AtomicPtr::new(ptr::null_mut());

/// Returns the program that this copy of the crate is attached to, if any.
pub(crate) fn host() -> Option<&'static Host> {
    // SAFETY: null, or a host stored by `plugin::attach`, which lives as long as the process.
    unsafe { HOST.load(Ordering::Acquire).as_ref() }
}
