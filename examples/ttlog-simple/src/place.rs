//! A directory for the run: the worker's ring and its counters. It is removed at the end.

use std::fs::DirBuilder;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The directory of one run.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// Creates the directory: in /dev/shm if possible, else in the temporary directory.
    pub(crate) fn new() -> Result<Self, String> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let name = format!("ttlog-simple-{}-{now:x}", std::process::id());
        #[cfg_attr(not(unix), allow(unused_mut, reason = "only Unix has modes"))]
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let mut errors = Vec::new();
        for parent in [PathBuf::from("/dev/shm"), std::env::temp_dir()] {
            let path = parent.join(&name);
            match builder.create(&path) {
                Ok(()) => return Ok(Place(path)),
                Err(error) => errors.push(format!("{}: {error}", path.display())),
            }
        }
        Err(format!("cannot create a directory for the worker's ring: {}", errors.join("; ")))
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            crate::output::complain(&format!("cannot remove {}: {error}", self.0.display()));
        }
    }
}
