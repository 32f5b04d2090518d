//! The program's recorder, and how events reach it.

use core::cell::UnsafeCell;
use core::fmt;

use portable_atomic::Ordering;

use super::Recorder;
use crate::event::callsite::Callsite;
use crate::event::epoch::start_epoch;
use crate::event::fields::AnyFields;
#[cfg(not(ttlog_device_callsites))]
use crate::event::fields::Fields;
use crate::memory::atomic::AtomicU8;

/// The installed recorder. Written once, while `STATE` is `INSTALLING`; read only when it is `INSTALLED`.
struct Slot(UnsafeCell<Option<&'static dyn Recorder>>);

// SAFETY: the cell is written by the one caller that moved STATE from NONE to INSTALLING, and read only after STATE is
// INSTALLED, which that caller stores with release after writing.
unsafe impl Sync for Slot {}

static SLOT: Slot = Slot(UnsafeCell::new(None));
static STATE: AtomicU8 = AtomicU8::new(NONE);
const NONE: u8 = 0;
const INSTALLING: u8 = 1;
const INSTALLED: u8 = 2;

/// A recorder is already installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyInstalled;

impl fmt::Display for AlreadyInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a recorder is already installed")
    }
}

impl core::error::Error for AlreadyInstalled {}

/// Installs the recorder of this program, permanently, and starts a new epoch so that callsites ask it. Does not block.
///
/// # Errors
/// [`AlreadyInstalled`] from the second call on, and in a plugin that is attached to its program's recorder.
pub fn install(recorder: &'static dyn Recorder) -> Result<(), AlreadyInstalled> {
    #[cfg(not(target_os = "none"))]
    if super::host::host().is_some() {
        return Err(AlreadyInstalled);
    }
    STATE.compare_exchange(NONE, INSTALLING, Ordering::Relaxed, Ordering::Relaxed).map_err(|_| AlreadyInstalled)?;
    // SAFETY: only this caller is between INSTALLING and INSTALLED, and nobody reads before INSTALLED.
    unsafe { *SLOT.0.get() = Some(recorder) };
    STATE.store(INSTALLED, Ordering::Release);
    start_epoch();
    Ok(())
}

/// Returns whether a recorder was installed in this copy of the crate.
#[cfg(not(target_os = "none"))]
pub(crate) fn has_own_recorder() -> bool {
    STATE.load(Ordering::Acquire) != NONE
}

/// Returns the installed recorder; in a plugin, the recorder of the program it is attached to.
#[inline]
#[must_use]
pub fn installed() -> Option<&'static dyn Recorder> {
    if STATE.load(Ordering::Acquire) != INSTALLED {
        #[cfg(not(target_os = "none"))]
        return super::host::host().map(super::host::Host::recorder);
        #[cfg(target_os = "none")]
        return None;
    }
    // SAFETY: INSTALLED was stored with release after the only write, and loaded with acquire.
    unsafe { *SLOT.0.get() }
}

/// Passes an event to the installed recorder. The macros of this crate expand to this. The recorder itself decides
/// whether the event belongs to the priority class.
#[cfg(not(ttlog_device_callsites))]
#[inline]
pub fn record<const PRIORITY: bool, F: Fields>(callsite: &'static Callsite, fields: F) {
    record_any(callsite, &fields);
}

/// Passes an event whose fields are behind a pointer to the installed recorder.
#[inline(never)]
pub fn record_any(callsite: &'static Callsite, fields: &dyn AnyFields) {
    if let Some(recorder) = installed() {
        recorder.record(callsite, fields);
    }
}
