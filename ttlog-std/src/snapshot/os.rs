//! The steps of writing a snapshot file that involve the operating system, one by one, so that tests can have any of
//! them fail.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::sys;
use crate::sys::Disk;

/// The operating system as the writer of snapshots sees it. What is not overridden is the real thing.
pub(crate) trait Os {
    /// Returns the wall clock, in nanoseconds since 1970.
    fn unix_ns_now(&self) -> i64 {
        crate::clock::unix_ns_now()
    }

    /// Returns the time by which the last file was named. Names are never dated before it, so that they sort in the
    /// order in which they were given, also when the clock is set back.
    fn last_named_unix_ns(&self) -> &AtomicI64 {
        static LAST: AtomicI64 = AtomicI64::new(i64::MIN);
        &LAST
    }

    /// Creates a file that must not exist, private to this user, and locks it.
    fn create(&self, path: &Path) -> io::Result<File> {
        let file = sys::create_private(path)?;
        // Nobody else knows of it yet. Where there are no locks, it has none.
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

    /// Returns a file another name that must be free.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        sys::rename_no_clobber(from, to)
    }

    /// Makes the names in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        {
            File::open(path).and_then(|directory| directory.sync_all()).or_else(|error| match error.raw_os_error() {
                // Some file systems have nothing to sync in a directory and say so.
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

    /// Returns the disk on which the directory is, or will be when it is made.
    fn disk(&self, directory: &Path) -> Option<Disk> {
        directory.ancestors().find_map(Disk::of)
    }

    /// Returns the time to name a file by: now, but never before the last one.
    fn naming_unix_ns(&self, now: i64) -> i64 {
        self.last_named_unix_ns().fetch_max(now, Ordering::Relaxed).max(now)
    }
}

/// The real one.
pub(crate) struct System;

impl Os for System {}
