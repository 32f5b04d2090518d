//! The directory of a ring file, held open: children of `fork` create their files in it, and it is watched.

use std::ffi::CStr;
use std::fs::{File, Permissions};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd as _, IntoRawFd as _, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::directory::uid;
use crate::sys::{self, DirectoryFacts, FileIdentity};

/// Longest path of a directory that is opened again, in bytes.
const PATH_LEN_MAX: usize = 1024;

/// The directory of a ring file, held open permanently.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldDirectory {
    fd: RawFd,
    /// Identity of the directory: the program might have closed the descriptor and reused its number for something
    /// else.
    identity: FileIdentity,
    /// Owner and mode when it was opened, which suited a ring.
    facts: DirectoryFacts,
}

impl HeldDirectory {
    /// Holds a directory, whose owner and mode were checked.
    pub(crate) fn hold(directory: File) -> Option<Self> {
        let (identity, _) = sys::identity_and_len(&directory)?;
        let facts = sys::directory_facts(&directory)?;
        Some(HeldDirectory { fd: directory.into_raw_fd(), identity, facts })
    }

    /// Returns the open directory, or `None` if the program has closed it, as daemons do. Async-signal-safe.
    pub(super) fn open(&self) -> Option<ManuallyDrop<File>> {
        let is_same = sys::identity_and_len(&self.fd).is_some_and(|(identity, _)| identity == self.identity);
        // SAFETY: the descriptor is open and refers to the directory; it is not closed here.
        is_same.then(|| ManuallyDrop::new(unsafe { File::from_raw_fd(self.fd) }))
    }

    /// Returns whether others could replace the files in it: it has another owner, or they can write to it, neither of
    /// which was so before.
    pub(super) fn is_unsafe(&self) -> bool {
        let facts = self.open().and_then(|directory| sys::directory_facts(&*directory));
        facts.is_some_and(|now| !now.is_removed && (now.owner != self.facts.owner || now.mode & 0o022 != 0))
    }

    /// Returns whether this is the same directory as `other`.
    pub(super) fn is_same(&self, other: &File) -> bool {
        sys::identity_and_len(other).is_some_and(|(identity, _)| identity == self.identity)
    }

    /// Closes the directory permanently.
    pub(crate) fn release(&self) {
        sys::close_if_same(&self.fd, self.identity);
    }

    /// Returns the directory for a new file: this one, or, if it was removed, the one that is now at its path, which is
    /// created if there is none. Async-signal-safe.
    ///
    /// # Errors
    /// The error of the operating system, and `PermissionDenied` if others own the directory or can write to it.
    pub(super) fn present(&self, path: &Path) -> io::Result<Self> {
        let held = self.open().and_then(|directory| sys::directory_facts(&*directory));
        if held.is_some_and(|facts| !facts.is_removed) {
            return Ok(*self);
        }
        let mut room = [0; PATH_LEN_MAX];
        let bytes = path.as_os_str().as_bytes();
        // One byte less, for the zero at the end.
        let place = room.get_mut(..bytes.len() + 1).ok_or_else(|| io::Error::from_raw_os_error(libc::ENAMETOOLONG))?;
        place[..bytes.len()].copy_from_slice(bytes);
        let directory = match open(place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_with_parents(place)?;
                let made = open(place)?;
                // A umask can only clear bits; one that clears the owner's would make the directory useless.
                made.set_permissions(Permissions::from_mode(0o700))?;
                Ok(made)
            }
            result => result,
        }?;
        let directory = HeldDirectory::hold(directory).ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?;
        let is_reopened = directory.identity == self.identity;
        if is_reopened || directory.facts.owner == uid() && directory.facts.mode & 0o022 == 0 {
            return Ok(directory);
        }
        Err(io::Error::from(io::ErrorKind::PermissionDenied))
    }
}

/// Opens the directory at a path that ends with a zero. Async-signal-safe.
fn open(path: &[u8]) -> io::Result<File> {
    let path = CStr::from_bytes_until_nul(path).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    sys::open_directory_at(path)
}

/// Creates the directory at a path that ends with a zero, and those above it that are missing. Async-signal-safe.
fn create_with_parents(path: &mut [u8]) -> io::Result<()> {
    let mut last = Ok(());
    for end in 1..path.len() {
        let separator = path[end];
        if separator == b'/' || end == path.len() - 1 {
            path[end] = 0;
            last = CStr::from_bytes_until_nul(path)
                .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
                .and_then(sys::create_directory_at);
            path[end] = separator;
        }
    }
    match last {
        // Another process has created it in the meantime.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}
