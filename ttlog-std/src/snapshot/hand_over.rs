//! Passing the directory of the snapshots to another user, as whom the process will go on.

use std::io;
use std::path::{Path, PathBuf};

use super::error::SnapshotError;
use super::retention;
use crate::sys::{self, User};

/// Makes sure that `user` can write snapshots, and returns the directory for them: `directory` if the user can create
/// files in it, else a private one in it. A missing directory is created for the user. With `gives_away`, in a
/// directory that stays, the snapshots of this service that belong to the present user become the new one's, so that
/// retention goes on with all.
///
/// # Errors
/// [`SnapshotError::Io`]; the present directory stays in use.
pub(crate) fn hand_over(
    directory: &Path,
    service: &str,
    user: User,
    gives_away: bool,
) -> Result<PathBuf, SnapshotError> {
    create_missing(directory, user)?;
    if user.can_create_in(directory) {
        if gives_away {
            retention::give_away(directory, service, user);
        }
        return Ok(directory.to_path_buf());
    }
    let metadata = std::fs::metadata(directory).map_err(|cause| SnapshotError::io("examine", directory, cause))?;
    if !sys::is_ours(&metadata) {
        let cause = io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user");
        return Err(SnapshotError::io("hand over", directory, cause));
    }
    let private = directory.join(user.private_name());
    user.open_own_directory(&private).map_err(|cause| SnapshotError::io("use directory", &private, cause))?;
    user.let_pass(directory).map_err(|cause| SnapshotError::io("open to the new user", directory, cause))?;
    match user.barrier(&private) {
        Some(barrier) => {
            let cause = format!("user {} cannot search it", user.uid);
            let cause = io::Error::new(io::ErrorKind::PermissionDenied, cause);
            Err(SnapshotError::io("hand over the snapshots below", &barrier, cause))
        }
        None => Ok(private),
    }
}

/// Creates a directory and those above it, as the user's.
fn create_missing(directory: &Path, user: User) -> Result<(), SnapshotError> {
    if directory.as_os_str().is_empty() || directory.symlink_metadata().is_ok() {
        return Ok(());
    }
    if let Some(above) = directory.parent() {
        create_missing(above, user)?;
    }
    let created = user.open_own_directory(directory).map(drop);
    created.map_err(|cause| SnapshotError::io("create directory", directory, cause))
}
