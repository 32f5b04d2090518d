//! The directory of ring files: private to its user.

use std::fmt;
#[cfg(target_os = "linux")]
use std::fs::File;
use std::io;
#[cfg(target_os = "linux")]
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
use crate::sys;

/// Reason why there is no mapped ring: the action, the path, and the cause.
#[derive(Debug)]
pub(crate) struct MappingError {
    pub(crate) action: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) cause: io::Error,
}

impl MappingError {
    pub(crate) fn new(action: &'static str, path: &Path, cause: io::Error) -> Self {
        MappingError { action, path: path.to_path_buf(), cause }
    }
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {:?}: {}", self.action, self.path, self.cause)
    }
}

/// Returns the user's number as part of a directory's name.
pub(super) fn uid() -> u32 {
    #[cfg(unix)]
    return crate::sys::effective_uid();
    #[cfg(not(unix))]
    0
}

/// Returns the directories to try, best first: only the requested one if there is one, otherwise shared memory, then
/// the temp directory.
pub(crate) fn candidate_directories(asked: Option<&Path>) -> Vec<PathBuf> {
    match asked {
        Some(directory) => vec![directory.to_path_buf()],
        None => {
            let name = private_name();
            vec![Path::new("/dev/shm").join(&name), std::env::temp_dir().join(name)]
        }
    }
}

/// Returns the name of this user's private directory within a shared one.
pub(super) fn private_name() -> String {
    format!("ttlog-{}", uid())
}

/// Opens the directory for rings, creating it if it is missing, and returns its actual path.
///
/// A directory is suitable if it belongs to this user and nobody else can write to it. One that others can write to, or
/// that belongs to somebody else (`/tmp`, a shared volume), is left unchanged, and a private directory `ttlog-<uid>` in
/// it is used. A private directory with too open a mode gets mode 0700.
#[cfg(target_os = "linux")]
pub(crate) fn open_ring_directory(path: &Path) -> Result<(File, PathBuf), MappingError> {
    let directory = open_or_create(path)?;
    let metadata = directory.metadata().map_err(|cause| MappingError::new("examine directory", path, cause))?;
    let ours = metadata.uid() == uid();
    let is_private = path.file_name().is_some_and(|name| *name == *private_name());
    if is_private {
        return make_private(directory, path.to_path_buf(), ours, metadata.mode());
    }
    if ours && metadata.mode() & 0o022 == 0 {
        return Ok((directory, path.to_path_buf()));
    }
    let path = path.join(private_name());
    let directory = open_or_create(&path)?;
    let metadata = directory.metadata().map_err(|cause| MappingError::new("examine directory", &path, cause))?;
    make_private(directory, path, metadata.uid() == uid(), metadata.mode())
}

#[cfg(target_os = "linux")]
fn make_private(directory: File, path: PathBuf, ours: bool, mode: u32) -> Result<(File, PathBuf), MappingError> {
    if !ours {
        let cause = io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user");
        return Err(MappingError::new("use directory", &path, cause));
    }
    if mode & 0o7777 != 0o700 {
        directory
            .set_permissions(std::fs::Permissions::from_mode(0o700))
            .map_err(|cause| MappingError::new("make private directory", &path, cause))?;
    }
    Ok((directory, path))
}

#[cfg(target_os = "linux")]
fn open_or_create(path: &Path) -> Result<File, MappingError> {
    match sys::open_directory(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            sys::create_private_directory(path).map_err(|cause| MappingError::new("create directory", path, cause))?;
            sys::open_directory(path)
        }
        result => result,
    }
    .map_err(|cause| MappingError::new("open directory", path, cause))
}
