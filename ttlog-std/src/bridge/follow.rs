//! The levels that `tracing` and `log` cache, kept in step with the recorder's filter.
//!
//! Our own callsites follow a change at their next event. `tracing` and `log` ask nobody about an event that they know
//! to be off, so what they know has to be renewed. The service thread does that, within a tenth of a second: it takes
//! locks and calls code of other layers, which neither a signal handler nor a thread that changes the filter amid
//! anything should do.

#[cfg(feature = "tracing")]
use std::sync::atomic::AtomicBool;
#[cfg(feature = "log")]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicU32, Ordering};

use ttlog_core::event::epoch;

#[cfg(feature = "log")]
use super::level::{lowest_recorded, to_log};

/// Epoch of the filter for which the caches are right; 0: none.
static EPOCH: AtomicU32 = AtomicU32::new(0);
/// Whether there has been a layer or a subscriber.
#[cfg(feature = "tracing")]
static HAS_TRACING: AtomicBool = AtomicBool::new(false);
/// Number of the level of `log` that is wanted beside ours, plus one; 0: our logger is not the process's.
#[cfg(feature = "log")]
static LOG_LEVEL: AtomicUsize = AtomicUsize::new(0);

/// Keeps the caches of `tracing` in step from now on.
#[cfg(feature = "tracing")]
pub(crate) fn tracing() {
    HAS_TRACING.store(true, Ordering::Relaxed);
}

/// Keeps the maximum level of `log` in step from now on, but never below `least`.
#[cfg(feature = "log")]
pub(crate) fn log(least: log::LevelFilter) {
    LOG_LEVEL.store(1 + least as usize, Ordering::Relaxed);
}

/// Renews what `tracing` and `log` cache, if the filter changed since the last call. Otherwise costs two loads.
///
/// Called by the service thread only.
pub(crate) fn follow_filter() {
    // Loaded before the filter is read: if it changes meanwhile, the next call renews again.
    let epoch = epoch();
    if EPOCH.swap(epoch, Ordering::Relaxed) == epoch {
        return;
    }
    #[cfg(feature = "log")]
    if let Some(least) = LOG_LEVEL.load(Ordering::Relaxed).checked_sub(1) {
        let least = log::LevelFilter::iter().find(|level| *level as usize == least);
        let least = least.unwrap_or(log::LevelFilter::Trace);
        log::set_max_level(least.max(to_log(lowest_recorded())));
    }
    #[cfg(feature = "tracing")]
    if HAS_TRACING.load(Ordering::Relaxed) {
        // Code of other layers runs in there. If it panics, the hook has reported it.
        let _ = std::panic::catch_unwind(tracing_core::callsite::rebuild_interest_cache);
    }
}
