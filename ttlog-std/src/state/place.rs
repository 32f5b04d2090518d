//! A directory that changes when the process becomes another user.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};

/// A path that can be read anywhere, without waiting, and replaced a few times in the life of a process.
pub(crate) struct Place {
    /// Never null; the pointee is never freed.
    path: AtomicPtr<PathBuf>,
}

impl Place {
    /// Stores the first path.
    pub(crate) fn new(path: PathBuf) -> Self {
        Place { path: AtomicPtr::new(Box::leak(Box::new(path))) }
    }

    /// Returns the present path. One load.
    pub(crate) fn get(&self) -> &'static Path {
        // SAFETY: complete and never freed, see the field.
        unsafe { &*self.path.load(Ordering::Acquire) }
    }

    /// Replaces the path.
    #[cfg(unix)]
    pub(crate) fn set(&self, path: PathBuf) {
        if self.get() != path {
            self.path.store(Box::leak(Box::new(path)), Ordering::Release);
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
