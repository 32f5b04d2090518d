//! The steps of writing a snapshot file that involve the operating system, separately, so that tests can make any of
//! them fail.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::sys;
use crate::sys::Disk;

/// The operating system as seen by the writer of snapshots. Methods that are not overridden do the real operation.
pub(crate) trait Os {
    /// Returns the wall clock, in nanoseconds since 1970.
    fn unix_ns_now(&self) -> i64 {
        crate::clock::unix_ns_now()
    }

    /// Returns the time used for the name of the last file. Names are never dated before it, so that they sort in the
    /// order in which they were assigned, even when the clock is set back.
    fn last_named_unix_ns(&self) -> &AtomicI64 {
        static LAST: AtomicI64 = AtomicI64::new(i64::MIN);
        &LAST
    }

    /// Creates a file that must not exist, private to this user, and locks it.
    fn create(&self, path: &Path) -> io::Result<File> {
        let file = sys::create_private(path)?;
        // Nobody else knows of it yet. On systems without locks, it has none.
        let _ = sys::try_lock(&file);
        Ok(file)
    }

    /// Appends to a file.
    fn write_all(&self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Makes a file's content durable.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Renames a file; the new name must be free.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        sys::rename_no_clobber(from, to)
    }

    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        {
            File::open(path).and_then(|directory| directory.sync_all()).or_else(|error| match error.raw_os_error() {
                // Some file systems cannot sync a directory and return an error.
                Some(libc::EINVAL | libc::ENOTSUP | libc::EBADF) => Ok(()),
                _ => Err(error),
            })
        }
        #[cfg(not(unix))]
        {
            let _ = path;
            Ok(())
        }
    }

    /// Returns the disk of the directory, or the one on which it will be created.
    fn disk(&self, directory: &Path) -> Option<Disk> {
        directory.ancestors().find_map(Disk::of)
    }

    /// Returns the time for the name of a file: now, but never before the last one.
    fn naming_unix_ns(&self, now: i64) -> i64 {
        self.last_named_unix_ns().fetch_max(now, Ordering::Relaxed).max(now)
    }
}

/// The real operating system.
pub(crate) struct System;

impl Os for System {}
