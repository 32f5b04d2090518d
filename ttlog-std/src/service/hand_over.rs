//! Handing over to another user: the program starts with more rights than it keeps.
//!
//! Recording goes on in any case: the ring is mapped. But whatever is created later, the rings of children and the
//! snapshots, needs directories that the new user can use, and the next recorder of this user must find the ring. The
//! rings that an earlier run has left there are searched for once the process has become that user: before, they are
//! files of another one.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::snapshot::error::SnapshotError;
use crate::snapshot::hand_over;
use crate::state::State;
use crate::sys::{self, User, lock};

/// The number that no user and no group has: system calls take it for "as before".
const NOBODY: u32 = u32::MAX;
/// Longest time that [`hand_over_to`] waits for orphans of the present user to be recovered.
const RECOVERY_WAIT_MAX: Duration = Duration::from_secs(2);

/// Error of handing the recorder over to another user. Recording goes on as before.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandOverError {
    /// The ring's file stays where it is, and children of `fork` have their rings in memory only.
    Ring {
        /// The action that failed, as in "change the owner of".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// The new user cannot write snapshots.
    Snapshots {
        /// The action that failed, as in "create directory".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// The number that stands for "no user" or "no group".
    NoUser,
    /// This process was created without the C library's `fork`, and has no recorder of its own.
    NoRecorder,
}

impl fmt::Display for HandOverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandOverError::Ring { action, path, cause } | HandOverError::Snapshots { action, path, cause } => {
                write!(f, "cannot {action} {path:?}: {cause}")
            }
            HandOverError::NoUser => write!(f, "{NOBODY} is no user and no group"),
            HandOverError::NoRecorder => f.write_str("this process has no recorder of its own"),
        }
    }
}

impl std::error::Error for HandOverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            HandOverError::Ring { cause, .. } | HandOverError::Snapshots { cause, .. } => Some(cause),
            HandOverError::NoUser | HandOverError::NoRecorder => None,
        }
    }
}

/// Passes everything in the file system that this process needs to `user`. One caller at a time.
///
/// # Errors
/// [`HandOverError`]; of two, that about the ring.
pub(crate) fn hand_over_to(state: &State, user: User) -> Result<(), HandOverError> {
    let process = state.process();
    if process.is_in_fork() {
        return Err(HandOverError::NoRecorder);
    }
    if [user.uid, user.gid].contains(&NOBODY) {
        return Err(HandOverError::NoUser);
    }
    let mut handed_to = lock(&process.handed_to);
    wait_for_recovery(state);
    sys::note_own_user(sys::effective_uid());
    sys::note_own_user(user.uid);
    let ring = hand_over_ring(state, user).map(|directory| *handed_to = directory.map(|path| (user.uid, path)));
    // The snapshots of a parent, which keeps its rights, are not those of its child to give away.
    let gives_away = !process.is_child;
    let directory = hand_over::hand_over(state.snapshot_directory.get(), &state.service_name, user, gives_away);
    let snapshots = directory.map(|directory| state.snapshot_directory.set(directory)).map_err(|error| match error {
        SnapshotError::Io { action, path, cause } => HandOverError::Snapshots { action, path, cause },
        other => HandOverError::Snapshots {
            action: "hand over",
            path: state.snapshot_directory.get().to_path_buf(),
            cause: io::Error::other(other.to_string()),
        },
    });
    ring.and(snapshots)
}

/// Waits for the service thread to recover what it found at the start: later, it might lack the rights to do so.
fn wait_for_recovery(state: &State) {
    let deadline = Instant::now() + RECOVERY_WAIT_MAX;
    while state.process().is_recovering.load(Ordering::Acquire) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Passes the ring's file, if there is one, and returns its new directory.
#[cfg(target_os = "linux")]
fn hand_over_ring(state: &State, user: User) -> Result<Option<PathBuf>, HandOverError> {
    use crate::memory::{directory::MappingError, guard, hand_over};
    let Some(file) = state.process().file() else { return Ok(None) };
    let moved = hand_over::hand_over(file, user, state.settings.directory.as_deref());
    let moved = moved.map_err(|MappingError { action, path, cause }| HandOverError::Ring { action, path, cause })?;
    let file = state.process().move_file(moved);
    if state.settings.fault_handler {
        guard::guard_file(file);
    }
    Ok(file.path.parent().map(PathBuf::from))
}

/// Does nothing: the ring is on the heap.
#[cfg(not(target_os = "linux"))]
fn hand_over_ring(_state: &State, _user: User) -> Result<Option<PathBuf>, HandOverError> {
    Ok(None)
}

/// Returns the directory in which to search for orphans, once, when this process has become the user to whom it was
/// handed over.
pub(super) fn orphan_directory(state: &State) -> Option<PathBuf> {
    let mut handed_to = state.process().handed_to.try_lock().or_else(|error| match error {
        std::sync::TryLockError::Poisoned(poisoned) => Ok::<_, ()>(PoisonError::into_inner(poisoned)),
        std::sync::TryLockError::WouldBlock => Err(()),
    });
    let handed_to = handed_to.as_mut().ok()?;
    let is_due = handed_to.as_ref().is_some_and(|(uid, _)| *uid == sys::effective_uid());
    let (_, directory) = is_due.then(|| handed_to.take()).flatten()?;
    Some(directory).filter(|_| state.settings.recover_orphans)
}
