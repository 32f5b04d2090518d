//! The epoch: a number that changes whenever the recorder or its filter changes.
//!
//! A callsite remembers the epoch for which it knows that it is off, or on. So a change of filter is one store, reaches every
//! callsite at its next use, and needs no list of callsites.

use portable_atomic::Ordering;

use crate::memory::atomic::AtomicU32;

/// The epoch of the filter; 0: no recorder, every callsite is off. Never 0 again once a recorder is there.
pub(crate) static EPOCH: AtomicU32 = AtomicU32::new(0);
/// Stands in a plugin for the epoch of the program it is attached to. No callsite ever remembers it, so each event asks.
pub(crate) const FOREIGN: u32 = u32::MAX;
/// The epoch of a plugin that was detached.
const DETACHED: u32 = u32::MAX - 1;

/// Starts a new epoch: each callsite asks the recorder again at its next use. Atomic operations only; callable anywhere.
pub fn start_epoch() {
    let next = |epoch: u32| match epoch {
        FOREIGN => None,                           // it is the program that starts epochs
        epoch if epoch + 1 >= DETACHED => Some(1), // not 0, which means that there is no recorder
        epoch => Some(epoch + 1),
    };
    // The error is that this is a plugin.
    let _ = EPOCH.fetch_update(Ordering::Release, Ordering::Relaxed, next);
}

/// Returns the place of the epoch, for plugins.
#[cfg(not(target_os = "none"))]
pub(crate) const fn epoch_place() -> &'static AtomicU32 {
    &EPOCH
}

/// Has each callsite compare with the epoch of the program that this plugin is attached to.
#[cfg(not(target_os = "none"))]
pub(crate) fn follow_host() {
    EPOCH.store(FOREIGN, Ordering::Release);
}

/// Ends [`follow_host`]: every callsite is off from its next use on.
#[cfg(not(target_os = "none"))]
pub(crate) fn follow_nobody() {
    EPOCH.store(DETACHED, Ordering::Release);
}

/// Returns the present epoch.
#[must_use]
pub fn epoch() -> u32 {
    EPOCH.load(Ordering::Relaxed)
}
