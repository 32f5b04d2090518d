//! The directory of the ring of a child of `fork`.
//!
//! It is that of its parent's ring. If the process has given up the rights to it since, without a
//! [hand-over](super::hand_over), it is the private directory of its present user beside it, if there are such
//! directories: in shared memory and in the temporary directory, where every user has one.
//!
//! Everything here allocates nothing and is async-signal-safe.

use std::ffi::{CStr, OsStr};
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::held_directory::HeldDirectory;
use super::ring_file::{RingFile, Text, Trouble};
use crate::sys;

/// Longest path of a directory, in bytes, with its terminator.
const PATH_LEN_MAX: usize = 1024;

/// A directory, held open, and its path.
pub(crate) struct ChildPlace {
    directory: HeldDirectory,
    /// Terminated by zero.
    path: [u8; PATH_LEN_MAX],
}

impl ChildPlace {
    /// Returns the place for a ring file beside `of`.
    pub(crate) fn beside(of: &RingFile) -> Result<Self, Trouble> {
        let gone = || Trouble { action: "open directory", cause: io::Error::from_raw_os_error(libc::ENOENT) };
        let path = of.path.parent().ok_or_else(gone)?;
        let directory = match of.directory().present(path) {
            Ok(directory) => directory,
            // A process that has become another user might not be able to.
            Err(cause) => {
                return Self::of_present_user(path).ok_or(Trouble { action: "open directory", cause });
            }
        };
        let owner = directory.open().and_then(|opened| sys::owner_and_mode(&*opened)).map(|(owner, _)| owner);
        if owner.is_some_and(|owner| owner != sys::effective_uid() && sys::effective_uid() != 0) {
            if let Some(place) = Self::of_present_user(path) {
                return Ok(place);
            }
        }
        let mut place = ChildPlace { directory, path: [0; PATH_LEN_MAX] };
        Text::new(&mut place.path).push(path.as_os_str().as_bytes()).ok_or_else(gone)?;
        Ok(place)
    }

    /// Returns the private directory of the present user beside that of another one at `other`; creates it if it is
    /// missing.
    fn of_present_user(other: &Path) -> Option<Self> {
        let (above, name) = (other.parent()?, other.file_name()?.as_bytes());
        let number = name.strip_prefix(b"ttlog-")?;
        if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut path = [0; PATH_LEN_MAX];
        let uid = sys::effective_uid();
        let mut text = Text::new(&mut path);
        text.push(above.as_os_str().as_bytes())?;
        write!(text, "/ttlog-{uid}").ok()?;
        let path_c = CStr::from_bytes_until_nul(&path).ok()?;
        // Whether there is a directory now shows when it is opened.
        let _ = sys::create_directory_at(path_c);
        let directory = sys::open_directory_at(path_c).ok()?;
        // Anybody can have created it first.
        let is_private = sys::owner_and_mode(&directory).is_some_and(|(owner, mode)| owner == uid && mode & 0o077 == 0);
        Some(ChildPlace { directory: HeldDirectory::hold(directory).filter(|_| is_private)?, path })
    }

    /// Returns the directory and its path.
    pub(crate) fn get(&self) -> (HeldDirectory, &Path) {
        let path = CStr::from_bytes_until_nul(&self.path).unwrap_or_default();
        (self.directory, Path::new(OsStr::from_bytes(path.to_bytes())))
    }
}
