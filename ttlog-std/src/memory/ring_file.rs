//! The memory of the ring: a file mapped for the life of the process, or the heap if that is not available.
//!
//! The file must withstand three threats, which determine how it is created. Another user must not be able to read it
//! or to replace it: the directory is checked after it was opened, by its descriptor, and the file is created in that
//! very directory with mode 0600, `O_EXCL` and `O_NOFOLLOW`. Another process must not mistake it for the leftover of a
//! dead one: it is locked before it gets the name that the [service](crate::service) of another process looks for. A
//! full disk must not kill the process later: all blocks are allocated before the file is mapped.
//!
//! Only Linux maps a file. Elsewhere the ring is on the heap, and is lost with the process.

use std::ffi::{CStr, CString, OsStr};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use ttlog_core::Word;
use ttlog_core::ring::file_name::{RING_SUFFIX, UNFINISHED_SUFFIX};

use super::directory::{MappingError, open_ring_directory};
use super::heap::POPULATE_AT_ONCE_BYTES;
use super::held_directory::HeldDirectory;
use crate::sys::{self, FileIdentity};

/// The file behind a ring, held open and locked. Never dropped.
#[derive(Debug)]
pub(crate) struct RingFile {
    /// Path of the file.
    pub(crate) path: &'static Path,
    directory: HeldDirectory,
    /// Holds the lock.
    file: File,
    /// Identity of the file, valid even if its descriptor is reused.
    identity: Option<FileIdentity>,
}

impl RingFile {
    /// Wraps a file that was created. Allocates nothing; async-signal-safe.
    pub(super) fn new(path: &'static Path, directory: HeldDirectory, file: File) -> Self {
        let identity = sys::identity_and_len(&file).map(|(identity, _)| identity);
        RingFile { path, directory, file, identity }
    }

    /// Removes the file's name. The mapping stays valid.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let name = self.path.file_name().unwrap_or_default();
        let name = CString::new(name.as_bytes())?;
        match self.directory.open() {
            Some(directory) => sys::remove_at(&directory, &name),
            None => std::fs::remove_file(self.path),
        }
    }

    /// Returns the directory of the file.
    pub(super) fn directory(&self) -> &HeldDirectory {
        &self.directory
    }

    /// Returns the open file, or `None` if the program has closed its descriptor.
    pub(super) fn file(&self) -> Option<&File> {
        self.len().map(|_| &self.file)
    }

    /// Returns the length of the file in bytes, or `None` if the program has closed its descriptor. Async-signal-safe.
    pub(crate) fn len(&self) -> Option<u64> {
        let (identity, len) = sys::identity_and_len(&self.file)?;
        (Some(identity) == self.identity).then_some(len)
    }

    /// Returns the number of the file on its file system. Async-signal-safe.
    pub(crate) fn inode(&self) -> Option<u64> {
        self.identity.map(FileIdentity::inode)
    }

    /// Returns whether the file is where others look for it.
    pub(crate) fn standing(&self) -> Standing {
        let now = sys::identity_and_len(&self.file).map(|(identity, _)| identity);
        match std::fs::symlink_metadata(self.path) {
            Ok(metadata) => {
                // On some file systems the number of a file changes, and that of the open one with it.
                let found = Some(sys::identity_of(&metadata));
                if found == now || found == self.identity { Standing::Named } else { Standing::Replaced }
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => Standing::Removed,
                _ => Standing::Unknown,
            },
        }
    }

    /// Closes the file and its directory permanently, after the ring has got another file.
    pub(crate) fn retire(&self) {
        self.release();
        self.directory.release();
    }

    /// Returns whether others could replace the file, because its directory has another owner or mode than before.
    pub(crate) fn is_exposed(&self) -> bool {
        self.directory.is_unsafe()
    }

    /// Returns whether the file was created in this directory.
    pub(crate) fn is_in(&self, directory: &File) -> bool {
        self.directory.is_same(directory)
    }

    /// Closes the file permanently. Async-signal-safe.
    pub(crate) fn release(&self) {
        if let Some(identity) = self.identity {
            sys::close_if_same(&self.file, identity);
        }
    }
}

/// Whether a ring file is where others look for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is.
    Named,
    /// Nothing is at its path.
    Removed,
    /// Something else is at its path, as after another file system was mounted there.
    Replaced,
    /// Its path cannot be examined, as after the process has given up privileges.
    Unknown,
}

/// Creates, locks, allocates and maps a ring file of `len_words` words, lets `prepare` write the ring into it, and only
/// then gives it the name under which others find it.
///
/// After an error nothing is left behind.
pub(crate) fn create_ring_file<T, E: fmt::Display>(
    directory: &Path,
    stem: &str,
    len_words: usize,
    prepare: impl FnOnce(&'static [Word]) -> Result<T, E>,
) -> Result<(&'static [Word], RingFile, T), MappingError> {
    let (directory, directory_path) = open_ring_directory(directory)?;
    let unfinished = file_name(&directory_path, stem, UNFINISHED_SUFFIX)?;
    let name = file_name(&directory_path, stem, RING_SUFFIX)?;
    let path = directory_path.join(format!("{stem}{RING_SUFFIX}"));
    let made = make(&directory, &unfinished, &name, len_words, |words| {
        sys::populate(&words[..len_words.min(POPULATE_AT_ONCE_BYTES / 8)]);
        prepare(words).map_err(|cause| io::Error::other(cause.to_string()))
    });
    let made = made.map_err(|Trouble { action, cause }| MappingError::new(action, &path, cause))?;
    let Some(directory) = HeldDirectory::hold(directory) else {
        let cause = io::Error::last_os_error();
        return Err(MappingError::new("examine directory", &directory_path, cause));
    };
    let file = RingFile::new(Box::leak(path.into_boxed_path()), directory, made.file);
    Ok((made.words, file, made.value))
}

/// An action that failed, and its cause.
pub(crate) struct Trouble {
    pub(crate) action: &'static str,
    pub(crate) cause: io::Error,
}

impl Trouble {
    /// Returns the trouble of a process without memory.
    pub(crate) fn no_memory() -> Self {
        Trouble { action: "get memory", cause: io::Error::from_raw_os_error(libc::ENOMEM) }
    }

    fn in_doing(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Trouble { action, cause }
    }
}

/// Descriptor and inode of a ring file that is being made; -1 if there is none. A process that is forked meanwhile must
/// not keep its lock.
static BEING_MADE: (AtomicI32, AtomicU64) = (AtomicI32::new(-1), AtomicU64::new(0));

/// Closes the ring file that another thread of the parent was making at the fork. Called in the child;
/// async-signal-safe.
pub(crate) fn close_file_of_parent() {
    let fd = BEING_MADE.0.swap(-1, Ordering::Relaxed);
    if let Some((identity, _)) = sys::identity_and_len(&fd).filter(|_| fd >= 0) {
        if identity.inode() == BEING_MADE.1.load(Ordering::Relaxed) {
            sys::close_if_same(&fd, identity);
        }
    }
}

/// Notes the file that is being made for as long as it lives.
struct Making;

impl Making {
    fn of(file: &File) -> Self {
        let inode = sys::identity_and_len(file).map_or(0, |(identity, _)| identity.inode());
        BEING_MADE.1.store(inode, Ordering::Relaxed);
        BEING_MADE.0.store(file.as_raw_fd(), Ordering::Relaxed);
        Making
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        BEING_MADE.0.store(-1, Ordering::Relaxed);
    }
}

/// A ring file that was created, and is mapped somewhere.
struct Made<T> {
    /// Until others can find the file through [`RingFile`].
    _making: Making,
    file: File,
    start: NonNull<u8>,
    words: &'static [Word],
    value: T,
}

/// Creates a ring file, as far as a child of `fork` does so too: allocates nothing, async-signal-safe if `prepare` is.
///
/// After an error nothing is left behind.
fn make<T>(
    directory: &File,
    unfinished: &CStr,
    name: &CStr,
    len_words: usize,
    prepare: impl FnOnce(&'static [Word]) -> io::Result<T>,
) -> Result<Made<T>, Trouble> {
    let file = sys::create_at(directory, unfinished).map_err(Trouble::in_doing("create ring file"))?;
    let making = Making::of(&file);
    let build = || {
        match sys::try_lock(&file) {
            Ok(true) => {}
            Ok(false) => {
                let cause = io::Error::from(io::ErrorKind::WouldBlock); // another process took the lock
                return Err(Trouble { action: "lock ring file", cause });
            }
            Err(cause) => return Err(Trouble { action: "lock ring file", cause }),
        }
        let len = len_words * size_of::<Word>();
        sys::allocate(&file, len).map_err(Trouble::in_doing("allocate ring file"))?;
        let start = sys::map_shared(&file, len).map_err(Trouble::in_doing("map ring file"))?;
        // SAFETY: the mapping is `len_words` words long, starts at a page boundary, and is never unmapped after it was
        // returned. Other processes can see it, which is why words are atomic. A new file is all zero.
        let words: &'static [Word] = unsafe { std::slice::from_raw_parts(start.as_ptr().cast::<Word>(), len_words) };
        let prepared = prepare(words).map_err(Trouble::in_doing("lay out ring file")).and_then(|value| {
            sys::rename_at(directory, unfinished, name).map_err(Trouble::in_doing("name ring file"))?;
            Ok(value)
        });
        if prepared.is_err() {
            // SAFETY: this is the mapping just created, `words` is not used again, and the result of `prepare` is gone
            // with the error.
            unsafe { sys::unmap(start, len) };
        }
        prepared.map(|value| (start, words, value))
    };
    match build() {
        Ok((start, words, value)) => Ok(Made { _making: making, file, start, words, value }),
        Err(trouble) => {
            // The error that is being returned matters more; the next start removes a leftover.
            let _ = sys::remove_at(directory, unfinished);
            Err(trouble)
        }
    }
}

/// A zero-terminated text in memory of fixed size.
pub(super) struct Text<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl<'a> Text<'a> {
    /// Wraps memory that is all zero.
    pub(super) fn new(room: &'a mut [u8]) -> Self {
        Text { room, len: 0 }
    }

    /// Appends bytes. Returns `None` if they do not fit.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.room.get_mut(self.len..end)?.copy_from_slice(bytes);
        // The buffer was zero, and remains so after the text.
        self.len = if end < self.room.len() { end } else { return None };
        Some(())
    }
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes()).ok_or(fmt::Error)
    }
}

/// Creates a ring file named `stem` in `directory`, which is at `directory_path`, and maps it in place of `words`. The
/// data written by `prepare` is complete by then. `announce` is called with the file right before.
///
/// Allocates nothing on the heap; async-signal-safe if `prepare` and `announce` are. After an error nothing has
/// changed.
pub(crate) fn replace_by_ring_file(
    (directory, directory_path): (HeldDirectory, &Path),
    stem: fmt::Arguments<'_>,
    words: &'static [Word],
    prepare: impl FnOnce(&'static [Word]) -> io::Result<()>,
    announce: impl FnOnce(RingFile) -> Option<&'static RingFile>,
) -> Result<(), Trouble> {
    let too_long = |_| Trouble { action: "name ring file", cause: io::Error::from_raw_os_error(libc::ENAMETOOLONG) };
    let gone = || Trouble { action: "open directory", cause: io::Error::from_raw_os_error(libc::ENOENT) };
    let opened = directory.open().ok_or_else(gone)?;

    let mut rooms = [[0; 256]; 2];
    let [unfinished, name] = &mut rooms;
    for (room, suffix) in [(unfinished, UNFINISHED_SUFFIX), (name, RING_SUFFIX)] {
        fmt::write(&mut Text::new(room), format_args!("{stem}{suffix}")).map_err(too_long)?;
    }
    let [unfinished, name] = &rooms;
    let [unfinished, name] = [unfinished, name].map(|room| CStr::from_bytes_until_nul(room).unwrap_or_default());
    let made = make(&opened, unfinished, name, words.len(), prepare)?;

    let undo = |trouble| {
        let _ = sys::remove_at(&opened, name); // the error that is being returned matters more
        trouble
    };
    let bytes = directory_path.as_os_str().as_bytes();
    let path_len = bytes.len() + 1 + name.count_bytes();
    let path = sys::map_private(path_len).map_err(Trouble::in_doing("get memory")).map_err(undo)?;
    // SAFETY: the memory is `path_len` bytes long, zero, never unmapped and known to nobody else.
    let path = unsafe { std::slice::from_raw_parts_mut(path.as_ptr(), path_len) };
    path[..bytes.len()].copy_from_slice(bytes);
    path[bytes.len()] = b'/';
    path[bytes.len() + 1..].copy_from_slice(name.to_bytes());
    let no_memory = || io::Error::from_raw_os_error(libc::ENOMEM);
    let placed = announce(RingFile::new(Path::new(OsStr::from_bytes(path)), directory, made.file))
        .ok_or_else(no_memory)
        .and_then(|file| sys::map_shared_over(words, &file.file));
    // SAFETY: the mapping created by `make`, to which nothing refers now.
    unsafe { sys::unmap(made.start, size_of_val(made.words)) };
    placed.map_err(Trouble::in_doing("map ring file")).map_err(undo)
}

fn file_name(directory: &Path, stem: &str, suffix: &str) -> Result<CString, MappingError> {
    CString::new(format!("{stem}{suffix}"))
        .map_err(|cause| MappingError::new("name ring file in", directory, cause.into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink};
    use std::path::PathBuf;

    use super::super::directory::{private_name, uid};
    use super::*;

    fn scratch() -> PathBuf {
        let path = std::env::temp_dir().join(format!("ttlog-mapping-{:x}", crate::sys::random()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        path
    }

    fn create(directory: &Path) -> Result<(&'static [Word], RingFile, ()), MappingError> {
        create_ring_file(directory, "ttlog-test", 1024, |words| {
            words[0].store(7);
            Ok::<(), String>(())
        })
    }

    #[test]
    fn file_is_private_locked_allocated_and_shared() {
        let directory = scratch();
        let (words, file, ()) = create(&directory.join("deep/new")).unwrap();
        let path = file.path;
        let metadata = std::fs::metadata(path).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(metadata.len(), 8192);
        assert!(metadata.blocks() * 512 >= 8192);
        words[1].store(0x0807_0605_0403_0201);
        assert_eq!(std::fs::read(path).unwrap()[..16], [7, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(!crate::sys::try_lock(&crate::sys::open_for_reading(path).unwrap()).unwrap());
        file.remove().unwrap();
        assert!(!path.exists());
        words[1].store(9); // still mapped
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn directory_open_to_others_gets_a_private_one_inside() {
        let directory = scratch();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o777)).unwrap();
        let (_, file, ()) = create(&directory).unwrap();
        let inside = directory.join(private_name());
        assert_eq!(file.path.parent().unwrap(), inside);
        assert_eq!(std::fs::metadata(&inside).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(std::fs::metadata(&directory).unwrap().mode() & 0o7777, 0o777, "not ours to change");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn private_directory_that_is_too_open_is_closed() {
        let directory = scratch();
        let inside = directory.join(private_name());
        std::fs::create_dir(&inside).unwrap();
        std::fs::set_permissions(&inside, std::fs::Permissions::from_mode(0o755)).unwrap();
        open_ring_directory(&inside).unwrap();
        assert_eq!(std::fs::metadata(&inside).unwrap().mode() & 0o7777, 0o700);
        std::fs::remove_dir_all(directory).unwrap();
    }

    /// In a shared directory, anybody can take the name first.
    #[test]
    fn private_directory_that_somebody_else_has_made() {
        if uid() != 0 {
            return crate::skip::skip(
                "private_directory_that_somebody_else_has_made",
                "making a directory of another user takes root",
            );
        }
        let directory = scratch();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o1777)).unwrap();
        let inside = directory.join(private_name());
        std::fs::DirBuilder::new().mode(0o700).create(&inside).unwrap();
        std::os::unix::fs::chown(&inside, Some(12_345), None).unwrap();
        for path in [&inside, &directory] {
            let error = create(path).map(drop).unwrap_err().to_string();
            assert!(error.contains("belongs to another user"), "{error}");
        }
        assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 0);
        std::fs::remove_dir(&inside).unwrap();
        symlink("/etc", &inside).unwrap();
        let error = create(&directory).map(drop).unwrap_err().to_string();
        assert!(error.contains("cannot open directory"), "{error}");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn symlink_or_file_in_place_of_the_directory() {
        let directory = scratch();
        symlink("/tmp", directory.join("link")).unwrap();
        std::fs::write(directory.join("file"), "x").unwrap();
        for name in ["link", "file"] {
            let error = create(&directory.join(name)).map(drop).unwrap_err().to_string();
            assert!(error.contains("cannot open directory") && error.contains(name), "{error}");
        }
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn nothing_is_left_after_a_failure() {
        let directory = scratch();
        let error = create_ring_file(&directory, "ttlog-test", 1024, |_| Err::<(), _>("no such luck"));
        assert!(error.map(drop).unwrap_err().to_string().contains("no such luck"));
        // Larger than any disk.
        assert!(create_ring_file(&directory, "ttlog-test", 1 << 57, |_| Ok::<(), String>(())).is_err());
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn existing_file_is_never_used() {
        let directory = scratch();
        std::fs::write(directory.join(format!("ttlog-test{UNFINISHED_SUFFIX}")), "theirs").unwrap();
        assert!(create(&directory).is_err());
        std::fs::remove_dir_all(directory).unwrap();
    }
}
