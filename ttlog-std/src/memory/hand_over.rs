//! Passing the ring's file to another user, as whom the process will go on.
//!
//! The file moves to where a recorder that this user starts would have put it: into a directory in which the user can
//! create files, so that children of `fork` have rings in files too, and in which the next recorder of this user looks
//! for it.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::directory::MappingError;
use super::held_directory::HeldDirectory;
use super::ring_file::RingFile;
use crate::sys::{self, User};

/// Passes the ring's file to `user`, and returns it with its new path. `asked` is the directory that program or
/// environment named. The mapping and the lock stay as they are.
///
/// # Errors
/// [`MappingError`]; the file is where it was then, and belongs to whom it belonged.
pub(crate) fn hand_over(file: &RingFile, user: User, asked: Option<&Path>) -> Result<RingFile, MappingError> {
    let error = |action, path: &Path| {
        let path = path.to_path_buf();
        move |cause| MappingError { action, path, cause }
    };
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let from_path = file.path.parent().unwrap_or(Path::new("/"));
    let name = file.path.file_name().unwrap_or_default();
    let to_path = place_for(user, from_path, asked);

    let from = file.directory().open().ok_or_else(missing).map_err(error("open directory", from_path))?;
    // One that was named and belongs to the user already is left unchanged.
    let is_ready = asked == Some(&to_path);
    let to = if is_ready { sys::open_directory(&to_path) } else { user.open_own_directory(&to_path) };
    let to = to.map_err(error("use directory", &to_path))?;
    if let Some(above) = to_path.parent() {
        user.let_pass(above).map_err(error("open to the new user", above))?;
    }
    if let Some(barrier) = user.barrier(&to_path) {
        let cause = io::Error::new(io::ErrorKind::PermissionDenied, format!("user {} cannot search it", user.uid));
        return Err(error("hand over the ring's file below", &barrier)(cause));
    }
    let held = file.file().ok_or_else(missing).map_err(error("use the descriptor of", file.path))?;
    let before = held.metadata().map_err(error("examine", file.path))?;
    user.take(held).map_err(error("change the owner of", file.path))?;
    let name_c = CString::new(name.as_bytes()).unwrap_or_default();
    let path = to_path.join(name);
    let moved = HeldDirectory::hold(to).ok_or_else(io::Error::last_os_error).and_then(|directory| {
        let opened = directory.open().ok_or_else(missing)?;
        sys::rename_between(&from, &name_c, &opened, &name_c).map(|()| directory)
    });
    let directory = moved.map_err(|cause| {
        // The error that is being returned matters more.
        let _ = User { uid: before.uid(), gid: before.gid() }.take(held);
        error("move the ring's file to", &path)(cause)
    })?;
    // SAFETY: the descriptor is open; neither the old nor the new ring file is ever dropped.
    let same = unsafe { File::from_raw_fd(held.as_raw_fd()) };
    let moved = RingFile::new(Box::leak(path.into_boxed_path()), directory, same);
    file.directory().release();
    Ok(moved)
}

/// Returns the directory for rings of `user`, where `current` is that of the present one.
fn place_for(user: User, current: &Path, asked: Option<&Path>) -> PathBuf {
    match asked {
        Some(asked) if belongs_to(asked, user) => asked.to_path_buf(),
        Some(asked) => asked.join(user.private_name()),
        // The present one is the private directory of the present user, in shared memory or the temporary directory.
        None => current.parent().unwrap_or(current).join(user.private_name()),
    }
}

/// Returns whether this user's recorders put their rings directly into the directory.
fn belongs_to(directory: &Path, user: User) -> bool {
    std::fs::symlink_metadata(directory)
        .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user.uid && metadata.mode() & 0o022 == 0)
}
