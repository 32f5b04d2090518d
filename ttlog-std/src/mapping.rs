//! The memory of the ring: a file mapped for life, or the heap when that cannot be had.
//!
//! What the file must withstand decides how it is made. Another user must not be able to read it or to put something in its
//! place: the directory is checked after it was opened, by its descriptor, and the file is created in that very directory with
//! mode 0600, `O_EXCL` and `O_NOFOLLOW`. Another process must not take it for the leftover of a dead one: it is locked before
//! it gets the name that [`orphans`](crate::orphans) look for. A full disk must not kill the process later: all blocks are
//! allocated before the file is mapped.
//!
//! Only Linux maps a file. Elsewhere the ring is on the heap, and dies with the process.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ttlog_core::Word;

/// The end of a ring file's name.
pub(crate) const RING_SUFFIX: &str = ".ring";
/// The end of the name of a ring file that is still being made.
pub(crate) const UNFINISHED_SUFFIX: &str = ".ring.new";

/// The memory of a ring, valid and in place until the process ends.
pub(crate) struct Region {
    /// All zero when it is handed out; starts at a page boundary when it is mapped.
    pub(crate) words: &'static [Word],
    /// The file behind it; `None` for the heap.
    pub(crate) file: Option<RingFile>,
}

/// The file behind a ring, held open and locked.
#[derive(Debug)]
pub(crate) struct RingFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    #[cfg(target_os = "linux")]
    directory: std::fs::File,
    #[cfg(target_os = "linux")]
    name: std::ffi::CString,
    /// Holds the lock.
    #[cfg(target_os = "linux")]
    file: std::fs::File,
    /// What the system calls that file, whatever becomes of its descriptor.
    #[cfg(target_os = "linux")]
    identity: Option<crate::sys::FileIdentity>,
}

/// Why there is no mapped ring: what was being done, where, and the cause.
#[derive(Debug)]
pub(crate) struct MappingError {
    pub(crate) action: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) cause: io::Error,
}

impl MappingError {
    fn new(action: &'static str, path: &Path, cause: io::Error) -> Self {
        MappingError { action, path: path.to_path_buf(), cause }
    }
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {:?}: {}", self.action, self.path, self.cause)
    }
}

/// Gives `len_words` zeroed words on the heap, never freed; `None` when there is not that much memory.
pub(crate) fn heap(len_words: usize) -> Option<Region> {
    let layout = std::alloc::Layout::array::<Word>(len_words).ok()?.align_to(4096).ok()?;
    if layout.size() == 0 {
        return None;
    }
    // SAFETY: the layout is not empty.
    let start = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<Word>();
    if start.is_null() {
        return None;
    }
    // SAFETY: the allocation is `len_words` words long, aligned, never freed, and known to nobody else; zero is a word.
    let words = unsafe { std::slice::from_raw_parts(start, len_words) };
    Some(Region { words, file: None })
}

/// Gives the last resort: a small static region, for a process that cannot even allocate. Once; `None` afterwards.
pub(crate) fn emergency() -> Option<Region> {
    static WORDS: [Word; EMERGENCY_BYTES / 8] = [const { Word::new(0) }; EMERGENCY_BYTES / 8];
    static TAKEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    (!TAKEN.swap(true, std::sync::atomic::Ordering::Relaxed)).then_some(Region { words: &WORDS, file: None })
}

/// Size of the last resort.
pub(crate) const EMERGENCY_BYTES: usize = 64 * 1024;

/// Gives the user's number as part of a directory's name.
fn uid() -> u32 {
    #[cfg(unix)]
    return crate::sys::effective_uid();
    #[cfg(not(unix))]
    0
}

/// Gives the directories to try, best first: what was asked for (and then only that), else shared memory, else the temp
/// directory.
pub(crate) fn candidate_directories(asked: Option<&Path>) -> Vec<PathBuf> {
    match asked {
        Some(directory) => vec![directory.to_path_buf()],
        None => {
            let name = private_name();
            vec![Path::new("/dev/shm").join(&name), std::env::temp_dir().join(name)]
        }
    }
}

/// Gives the name of this user's own directory within one that belongs to all.
fn private_name() -> String {
    format!("ttlog-{}", uid())
}

#[cfg(target_os = "linux")]
pub(crate) use linux::create_ring_file;

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::CString;
    use std::fs::{DirBuilder, File};
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::sys;

    impl RingFile {
        /// Removes the file's name. The mapping stays valid.
        pub(crate) fn remove(&self) -> io::Result<()> {
            sys::remove_at(&self.directory, &self.name)
        }

        /// Gives the open file.
        pub(crate) fn file(&self) -> &File {
            &self.file
        }

        /// Closes the file for good, in a fork. Async-signal-safe.
        pub(crate) fn release(&self) {
            if let Some(identity) = self.identity {
                sys::close_if_same(&self.file, identity);
            }
        }
    }

    /// Opens the directory for rings, making it if it is missing, and gives where it really is.
    ///
    /// A directory is good when it belongs to this user and nobody else can write to it. One that others can write to, or that
    /// belongs to somebody else (`/tmp`, a shared volume), is left as it is, and a private directory `ttlog-<uid>` in it is
    /// used. A private directory that is too open gets mode 0700.
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

    fn open_or_create(path: &Path) -> Result<File, MappingError> {
        match sys::open_directory(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut builder = DirBuilder::new();
                builder.mode(0o700).recursive(true);
                builder.create(path).map_err(|cause| MappingError::new("create directory", path, cause))?;
                sys::open_directory(path)
            }
            result => result,
        }
        .map_err(|cause| MappingError::new("open directory", path, cause))
    }

    /// Makes, locks, allocates and maps a ring file of `len_words` words, lets `prepare` write the ring into it, and only
    /// then gives it the name under which others find it.
    ///
    /// On any error nothing is left behind.
    pub(crate) fn create_ring_file<T, E: fmt::Display>(
        directory: &Path,
        stem: &str,
        len_words: usize,
        prepare: impl FnOnce(&'static [Word]) -> Result<T, E>,
    ) -> Result<(Region, T), MappingError> {
        let (directory, directory_path) = open_ring_directory(directory)?;
        let unfinished = file_name(&directory_path, stem, UNFINISHED_SUFFIX)?;
        let name = file_name(&directory_path, stem, RING_SUFFIX)?;
        let path = directory_path.join(format!("{stem}{RING_SUFFIX}"));

        let file = sys::create_at(&directory, &unfinished)
            .map_err(|cause| MappingError::new("create ring file", &path, cause))?;
        let built = (|| {
            match sys::try_lock(&file) {
                Ok(true) => {}
                Ok(false) => {
                    let cause = io::Error::new(io::ErrorKind::WouldBlock, "another process took the lock");
                    return Err(MappingError::new("lock ring file", &path, cause));
                }
                Err(cause) => return Err(MappingError::new("lock ring file", &path, cause)),
            }
            let len = len_words * size_of::<Word>();
            sys::allocate(&file, len).map_err(|cause| MappingError::new("allocate ring file", &path, cause))?;
            let start =
                sys::map_shared(&file, len).map_err(|cause| MappingError::new("map ring file", &path, cause))?;
            // SAFETY: the mapping is `len_words` words long, starts at a page boundary, and is never unmapped once it was
            // handed out. Other processes can see it, which is why words are atomic. A new file is all zero.
            let words: &'static [Word] =
                unsafe { std::slice::from_raw_parts(start.as_ptr().cast::<Word>(), len_words) };
            sys::populate(&words[..len_words.min(POPULATE_AT_ONCE_BYTES / 8)]);
            let finished = prepare(words)
                .map_err(|cause| MappingError::new("lay out ring file", &path, io::Error::other(cause.to_string())))
                .and_then(|value| {
                    sys::rename_at(&directory, &unfinished, &name)
                        .map_err(|cause| MappingError::new("name ring file", &path, cause))?;
                    Ok(value)
                });
            if finished.is_err() {
                // SAFETY: this is the mapping just made, `words` is not used again, and what `prepare` made of it is gone
                // with the error.
                unsafe { sys::unmap(start, len) };
            }
            finished.map(|value| (words, value))
        })();
        match built {
            Ok((words, value)) => {
                let identity = sys::identity_and_len(&file).map(|(identity, _)| identity);
                Ok((Region { words, file: Some(RingFile { path, directory, name, file, identity }) }, value))
            }
            Err(error) => {
                // The error that is being returned matters more; a leftover is removed by the next start.
                let _ = sys::remove_at(&directory, &unfinished);
                Err(error)
            }
        }
    }

    fn file_name(directory: &Path, stem: &str, suffix: &str) -> Result<CString, MappingError> {
        CString::new(format!("{stem}{suffix}"))
            .map_err(|cause| MappingError::new("name ring file in", directory, cause.into()))
    }
}

/// This much of a ring is made present at the start, which takes about 1 ms per 1 MiB; the rest by the service thread, faster than
/// a program can fill it.
pub(crate) const POPULATE_AT_ONCE_BYTES: usize = 4 * 1024 * 1024;

#[cfg(not(target_os = "linux"))]
impl RingFile {
    /// Removes the file's name.
    pub(crate) fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// Says that a ring file cannot be had on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn create_ring_file<T, E: fmt::Display>(
    directory: &Path,
    _stem: &str,
    _len_words: usize,
    _prepare: impl FnOnce(&'static [Word]) -> Result<T, E>,
) -> Result<(Region, T), MappingError> {
    let cause = io::Error::new(io::ErrorKind::Unsupported, "this system is not supported yet");
    Err(MappingError::new("map a ring file in", directory, cause))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, symlink};

    use super::linux::open_ring_directory;
    use super::*;

    fn scratch() -> PathBuf {
        let path = std::env::temp_dir().join(format!("ttlog-mapping-{:x}", crate::names::random()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        path
    }

    fn create(directory: &Path) -> Result<(Region, ()), MappingError> {
        create_ring_file(directory, "ttlog-test", 1024, |words| {
            words[0].store(7);
            Ok::<(), String>(())
        })
    }

    #[test]
    fn file_is_private_locked_allocated_and_shared() {
        let directory = scratch();
        let (region, ()) = create(&directory.join("deep/new")).unwrap();
        let path = region.file.as_ref().unwrap().path.clone();
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o7777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(metadata.len(), 8192);
        assert!(metadata.blocks() * 512 >= 8192);
        region.words[1].store(0x0807_0605_0403_0201);
        assert_eq!(std::fs::read(&path).unwrap()[..16], [7, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(!crate::sys::try_lock(&crate::sys::open_for_reading(&path).unwrap()).unwrap());
        region.file.as_ref().unwrap().remove().unwrap();
        assert!(!path.exists());
        region.words[1].store(9); // still mapped
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn directory_open_to_others_gets_a_private_one_inside() {
        let directory = scratch();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o777)).unwrap();
        let (region, ()) = create(&directory).unwrap();
        let inside = directory.join(private_name());
        assert_eq!(region.file.unwrap().path.parent().unwrap(), inside);
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

    #[test]
    fn heap_that_cannot_be_had() {
        assert!(heap(usize::MAX / 8).is_none());
        assert!(heap(0).is_none());
        assert_eq!(heap(16).unwrap().words.len(), 16);
    }

    #[test]
    fn emergency_region_is_given_once() {
        assert!(emergency().is_some());
        assert!(emergency().is_none());
    }
}
