//! Users: which directories they can use, and directories that are made for one.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::identity::effective_uid;

/// Permission to search a directory.
const SEARCH: u32 = 1;
/// Permission to search a directory and to create files in it.
const CREATE: u32 = 3;

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User {
    /// User id.
    pub(crate) uid: u32,
    /// Group id.
    pub(crate) gid: u32,
}

impl User {
    /// Returns whether this user can create files in a directory, by its mode and those of the directories above it.
    pub(crate) fn can_create_in(self, directory: &Path) -> bool {
        std::fs::metadata(directory).is_ok_and(|metadata| metadata.is_dir() && self.may(&metadata, CREATE))
            && self.barrier(directory).is_none()
    }

    /// Returns the first directory above `path` that this user cannot search.
    pub(crate) fn barrier(self, path: &Path) -> Option<PathBuf> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let mut above: Vec<_> = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()).collect();
        above.reverse();
        let is_barrier = |above: &&Path| !std::fs::metadata(above).is_ok_and(|metadata| self.may(&metadata, SEARCH));
        above.into_iter().find(is_barrier).map(Path::to_path_buf)
    }

    /// Returns whether the mode of a file grants this user all of these permissions.
    fn may(self, metadata: &Metadata, permissions: u32) -> bool {
        let granted = match metadata {
            _ if self.uid == 0 => 7,
            metadata if metadata.uid() == self.uid => metadata.mode() >> 6,
            metadata if metadata.gid() == self.gid => metadata.mode() >> 3,
            metadata => metadata.mode(),
        };
        granted & permissions == permissions
    }

    /// Returns the name of this user's private directory within one that others use too.
    pub(crate) fn private_name(self) -> String {
        format!("ttlog-{}", self.uid)
    }

    /// Opens this user's directory at `path`, with mode 0700; creates it if it is missing.
    ///
    /// One that belongs to somebody else is an error, as others can put one there first; except for an empty one of the
    /// process's own user, which an interrupted call has left.
    pub(crate) fn open_own_directory(self, path: &Path) -> io::Result<File> {
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let directory = super::open_directory(path)?;
        let metadata = directory.metadata()?;
        if metadata.uid() != self.uid {
            if metadata.uid() != effective_uid() || std::fs::read_dir(path)?.next().is_some() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user"));
            }
            self.take(&directory)?;
        }
        if metadata.mode() & 0o7777 != 0o700 {
            directory.set_permissions(Permissions::from_mode(0o700))?;
        }
        Ok(directory)
    }

    /// Makes an open file this user's.
    pub(crate) fn take(self, file: &File) -> io::Result<()> {
        std::os::unix::fs::fchown(file, Some(self.uid), Some(self.gid))
    }

    /// Lets this user search a directory of the process's own user, which nobody else can list or write to for that.
    pub(crate) fn let_pass(self, directory: &Path) -> io::Result<()> {
        let directory = File::open(directory)?;
        let metadata = directory.metadata()?;
        if self.may(&metadata, SEARCH) || metadata.uid() != effective_uid() {
            return Ok(());
        }
        directory.set_permissions(Permissions::from_mode(metadata.mode() & 0o7777 | 0o011))
    }
}

/// The users that this process was and will be, in no order; [`NOT_A_USER`] in places that are free. Children of `fork`
/// inherit them.
static OWN_USERS: [AtomicU32; 4] = [const { AtomicU32::new(NOT_A_USER) }; 4];

/// The number that no user has: `chown` takes it for "as before".
const NOT_A_USER: u32 = u32::MAX;

/// Notes that files of this user are files of this process too.
pub(crate) fn note_own_user(uid: u32) {
    for place in &OWN_USERS {
        let noted = place.compare_exchange(NOT_A_USER, uid, Ordering::Relaxed, Ordering::Relaxed);
        if noted.is_ok() || noted == Err(uid) {
            return;
        }
    }
}

/// Returns whether a file belongs to a user that this process is, was, or will be.
pub(crate) fn is_of_own_users(metadata: &Metadata) -> bool {
    let uid = metadata.uid();
    uid == effective_uid() || OWN_USERS.iter().any(|place| place.load(Ordering::Relaxed) == uid && uid != NOT_A_USER)
}

/// Returns whether only this process's user and root can create files in a directory.
pub(crate) fn is_private_directory(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| {
        metadata.is_dir() && [effective_uid(), 0].contains(&metadata.uid()) && metadata.mode() & 0o022 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_decide_by_owner_group_and_others() {
        let directory = std::env::temp_dir().join(format!("ttlog-user-{:x}", crate::sys::random()));
        std::fs::create_dir(&directory).unwrap();
        let metadata = std::fs::metadata(&directory).unwrap();
        let (uid, gid) = (metadata.uid(), metadata.gid());
        let with = |mode| {
            std::fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            std::fs::metadata(&directory).unwrap()
        };
        let (group, other) = (User { uid: 12_345, gid }, User { uid: 12_345, gid: gid + 1 });
        for (mode, permissions, expected) in [
            (0o750, SEARCH, [true, false]),
            (0o770, CREATE, [true, false]),
            (0o711, SEARCH, [true, true]),
            (0o707, CREATE, [false, true]),
        ] {
            let metadata = with(mode);
            let may = [group.may(&metadata, permissions), other.may(&metadata, permissions)];
            assert_eq!(may, expected, "{mode:o}");
        }
        let inside = directory.join("inside");
        std::fs::create_dir(&inside).unwrap();
        std::fs::set_permissions(&inside, Permissions::from_mode(0o777)).unwrap();
        with(0o700);
        assert_eq!(other.barrier(&inside), Some(directory.canonicalize().unwrap()));
        assert!(!other.can_create_in(&inside) && User { uid, gid }.can_create_in(&inside));
        other.let_pass(&directory).unwrap();
        assert_eq!(std::fs::metadata(&directory).unwrap().mode() & 0o777, 0o711);
        assert!(other.can_create_in(&inside) && !other.can_create_in(&directory));
        std::fs::remove_dir_all(directory).unwrap();
    }
}
