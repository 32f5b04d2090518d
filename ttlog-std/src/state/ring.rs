//! The ring of the process that is running: a child of `fork` has another one, of another size, at the same address.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicPtr, Ordering};

use ttlog_core::Ring;

/// Handle of the ring of this process. Dereferencing is one load.
pub(crate) struct CurrentRing(
    /// Complete, and never freed.
    AtomicPtr<Ring<'static>>,
);

impl CurrentRing {
    /// Creates the handle of the first process.
    pub(crate) fn new(ring: Ring<'static>) -> Self {
        CurrentRing(AtomicPtr::new(Box::leak(Box::new(ring))))
    }

    /// Stores the handle of the ring that is now in the memory of the old one. Async-signal-safe. No other context
    /// records meanwhile.
    #[cfg(target_os = "linux")]
    pub(crate) fn replace(&self, ring: &'static Ring<'static>) {
        self.0.store(std::ptr::from_ref(ring).cast_mut(), Ordering::Release);
    }
}

impl Deref for CurrentRing {
    type Target = Ring<'static>;

    #[inline]
    fn deref(&self) -> &Ring<'static> {
        // SAFETY: complete and never freed, see the field.
        unsafe { &*self.0.load(Ordering::Acquire) }
    }
}

impl fmt::Debug for CurrentRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
