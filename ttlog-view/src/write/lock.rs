//! Locks that show which files are in use.

use std::fs::File;
use std::io;

/// Locks the file until it is closed; returns `false` if another process holds the lock.
#[cfg(unix)]
pub(crate) fn lock(file: &File) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, flock};
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Fails: without a way to know whether a ring is in use, none is touched.
#[cfg(not(unix))]
pub(crate) fn lock(_file: &File) -> io::Result<bool> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "rings cannot be recovered on this system"))
}
