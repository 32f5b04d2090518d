//! The epoch: a number that changes whenever the recorder or its filter changes.
//!
//! A callsite caches the epoch for which it knows that it is off, or on. So a change of filter is one store, reaches
//! every callsite at its next use, and needs no list of callsites.

use portable_atomic::Ordering;

use crate::memory::atomic::AtomicU32;

/// Epoch of the filter; 0: no recorder, and every callsite is off. Never 0 again after a recorder was installed.
pub(crate) static EPOCH: AtomicU32 = AtomicU32::new(0);
/// Epoch of an attached plugin. No callsite caches it, so every event asks the host.
pub(crate) const FOREIGN: u32 = u32::MAX;
/// Epoch of a plugin that was detached.
const DETACHED: u32 = u32::MAX - 1;

/// Starts a new epoch: each callsite asks the recorder again at its next use. Only uses atomic operations; callable
/// from any context.
pub fn start_epoch() {
    let next = |epoch: u32| match epoch {
        FOREIGN => None,                           // only the program starts epochs
        epoch if epoch + 1 >= DETACHED => Some(1), // skips 0, which means that there is no recorder
        epoch => Some(epoch + 1),
    };
    // An error means that this is a plugin.
    let _ = EPOCH.fetch_update(Ordering::Release, Ordering::Relaxed, next);
}

/// Returns the address of the epoch, for plugins.
#[cfg(not(target_os = "none"))]
pub(crate) const fn epoch_place() -> &'static AtomicU32 {
    &EPOCH
}

/// Makes each callsite compare with the epoch of the program that this plugin is attached to.
#[cfg(not(target_os = "none"))]
pub(crate) fn follow_host() {
    EPOCH.store(FOREIGN, Ordering::Release);
}

/// Ends [`follow_host`]: every callsite is off from its next use on.
#[cfg(not(target_os = "none"))]
pub(crate) fn follow_nobody() {
    EPOCH.store(DETACHED, Ordering::Release);
}

/// Returns the current epoch.
#[must_use]
pub fn epoch() -> u32 {
    EPOCH.load(Ordering::Relaxed)
}
