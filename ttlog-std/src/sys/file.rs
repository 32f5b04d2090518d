//! Files and directories: private ones, locks, names.

use std::fs::File;
use std::io;
use std::path::Path;

/// Returns the size of the largest file the process can write (RLIMIT_FSIZE). Writing past it would raise SIGXFSZ,
/// which ends a process that does not handle it, so writers of this crate check first.
pub(crate) fn file_size_limit() -> u64 {
    #[cfg(unix)]
    {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is a valid place for one rlimit.
        let status = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) };
        if status == 0 && limit.rlim_cur != libc::RLIM_INFINITY {
            #[allow(clippy::useless_conversion, reason = "rlim_t is narrower on some systems")]
            return u64::from(limit.rlim_cur);
        }
    }
    u64::MAX
}

/// Returns the error of writing past [`file_size_limit`] in a process that survives the signal.
pub(crate) fn file_too_large() -> io::Error {
    #[cfg(unix)]
    return io::Error::from_raw_os_error(libc::EFBIG);
    #[cfg(not(unix))]
    io::Error::from(io::ErrorKind::FileTooLarge)
}

/// Writes to stderr directly, without a lock or a buffer; text that is not accepted is lost.
pub(crate) fn write_to_stderr(bytes: &[u8]) {
    #[cfg(unix)]
    {
        // SAFETY: the range is a live borrowed slice. A descriptor that is closed gives an error, which nobody is left
        // to read.
        let _ = unsafe { libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len()) };
    }
    #[cfg(not(unix))]
    {
        use std::io::Write as _;
        let _ = std::io::stderr().write_all(bytes); // nobody is left to read an error
    }
}

/// Moves a file away from the descriptors of stdin, stdout and stderr, which it gets if the program has closed them:
/// printed text would go into it.
#[cfg(unix)]
fn above_stdio(file: File) -> io::Result<File> {
    use std::os::fd::{AsRawFd as _, FromRawFd as _};
    if file.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(file);
    }
    // SAFETY: the descriptor is open for as long as `file` lives.
    let fd = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, libc::STDERR_FILENO + 1) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fcntl has just made this descriptor and nothing else knows it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Takes the exclusive lock of an open file without waiting. `Ok(false)`: somebody else holds it.
///
/// The lock belongs to the open file, not to the process: it ends when the last descriptor is closed and the last
/// mapping of it is gone, as happens at `exec` and at the end of the process, whatever its cause.
#[cfg(unix)]
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    use std::os::fd::AsRawFd as _;
    loop {
        // SAFETY: the descriptor is open for as long as `file` is borrowed.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock => return Ok(false),
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
}

/// Returns that a lock is held, on systems without locks, so that nobody's file is considered an orphan.
#[cfg(not(unix))]
pub(crate) fn try_lock(_file: &File) -> io::Result<bool> {
    Ok(false)
}

/// Returns whether a file belongs to the user whose rights the process has.
pub(crate) fn is_ours(metadata: &std::fs::Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::uid(metadata) == super::effective_uid();
    #[cfg(not(unix))]
    {
        let _ = metadata;
        true
    }
}

/// Returns whether a file belongs to a user that this process is, was, or will be; `true` if that is unknown.
#[cfg(not(unix))]
pub(crate) fn is_of_own_users(_metadata: &std::fs::Metadata) -> bool {
    true
}

/// Returns whether only this process's user can create files in a directory; `false` if that is unknown.
#[cfg(not(unix))]
pub(crate) fn is_private_directory(_path: &Path) -> bool {
    false
}

/// Returns the number of names of a file; 1 if that is unknown.
pub(crate) fn link_count(metadata: &std::fs::Metadata) -> u64 {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::nlink(metadata);
    #[cfg(not(unix))]
    {
        let _ = metadata;
        1
    }
}

/// Returns whether two descriptions are of one file; `true` if that is unknown.
pub(crate) fn is_same_file(a: &std::fs::Metadata, b: &std::fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        (a.dev(), a.ino()) == (b.dev(), b.ino())
    }
    #[cfg(not(unix))]
    {
        let _ = (a, b);
        true
    }
}

/// Opens a directory, refusing a symbolic link in its last component.
#[cfg(unix)]
pub(crate) fn open_directory(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
}

/// Opens a file for reading, refusing a symbolic link, and without waiting for the other end of a pipe.
pub(crate) fn open_for_reading(path: &Path) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK);
    }
    options.open(path)
}

/// Opens a file as [`open_for_reading`] does, but also for writing if possible: NFS locks only such files exclusively.
pub(crate) fn open_for_locking(path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
        if let Ok(file) = std::fs::OpenOptions::new().read(true).write(true).custom_flags(flags).open(path) {
            return Ok(file);
        }
    }
    open_for_reading(path)
}

/// Returns whether several hosts can share the file system of a file; `false` if that is unknown.
pub(crate) fn is_on_shared_file_system(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd as _;
        let mut status = std::mem::MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: the descriptor is open for as long as `file` is borrowed, and `status` is a valid place.
        if unsafe { libc::fstatfs(file.as_raw_fd(), status.as_mut_ptr()) } != 0 {
            return false;
        }
        // SAFETY: the call succeeded, so it was written.
        let number = unsafe { status.assume_init() }.f_type;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers have 32 bits")]
        let number = number as u32;
        ttlog_core::ring::file_lock::shared_file_system(number).is_some()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        false
    }
}

/// Creates a file that must not exist, with mode 0600 whatever the umask, never through a symbolic link.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    }
    let file = options.open(path)?;
    #[cfg(unix)]
    let file = {
        use std::os::unix::fs::PermissionsExt as _;
        let file = above_stdio(file)?;
        // A umask can only clear bits; one that clears the owner's would make the file unreadable to its owner.
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file
    };
    Ok(file)
}

/// Creates a directory with mode 0700 whatever the umask, and missing parent directories. An existing one is left
/// unchanged.
pub(crate) fn create_private_directory(path: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), allow(unused_mut, reason = "only Unix has modes"))]
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let created = match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match path.parent().filter(|above| *above != path) {
            Some(above) if !above.as_os_str().is_empty() => {
                create_private_directory(above)?;
                builder.create(path)
            }
            _ => Err(error),
        },
        result => result,
    };
    match created {
        Ok(()) => {}
        // Another process has created it in the meantime.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        Err(error) => return Err(error),
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        // A umask can only clear bits; one that clears the owner's would make the directory useless to its owner.
        let made = std::fs::symlink_metadata(path)?;
        if made.is_dir() && is_ours(&made) && made.mode() & 0o7777 != 0o700 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
        }
    }
    Ok(())
}

/// Renames `from` to `to` unless `to` exists (`AlreadyExists`), in one step if the file system supports it, else by a
/// hard link.
pub(crate) fn rename_no_clobber(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let (from_c, to_c) =
            (std::ffi::CString::new(from.as_os_str().as_bytes())?, std::ffi::CString::new(to.as_os_str().as_bytes())?);
        // The bare system call, because older C libraries have no function for it.
        // SAFETY: both paths are terminated strings that outlive the call.
        let status = unsafe {
            libc::syscall(
                libc::SYS_renameat2,
                libc::AT_FDCWD,
                from_c.as_ptr(),
                libc::AT_FDCWD,
                to_c.as_ptr(),
                libc::RENAME_NOREPLACE,
            )
        };
        if status == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        // EINVAL: this file system does not support it. ENOSYS, EPERM: this kernel or its filter of system calls does
        // not.
        if !matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EPERM)) {
            return Err(error);
        }
    }
    std::fs::hard_link(from, to)?;
    std::fs::remove_file(from)
}

/// Creates `name` in an open directory for reading and writing: it must not exist, mode 0600.
#[cfg(target_os = "linux")]
pub(crate) fn create_at(directory: &File, name: &std::ffi::CStr) -> io::Result<File> {
    use std::os::fd::{AsRawFd as _, FromRawFd as _};
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let mode: libc::c_uint = 0o600;
    // SAFETY: the descriptor is open while `directory` is borrowed, `name` is a terminated string, and O_CREAT has its
    // mode.
    let fd = unsafe { libc::openat(directory.as_raw_fd(), name.as_ptr(), flags, mode) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: openat has just created this descriptor and nothing else knows it.
    let file = above_stdio(unsafe { File::from_raw_fd(fd) })?;
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Renames within an open directory; whether `to` exists must not matter (it has a random part).
#[cfg(target_os = "linux")]
pub(crate) fn rename_at(directory: &File, from: &std::ffi::CStr, to: &std::ffi::CStr) -> io::Result<()> {
    rename_between(directory, from, directory, to)
}

/// Renames from one open directory to another; as [`rename_at`].
#[cfg(target_os = "linux")]
pub(crate) fn rename_between(
    from_directory: &File,
    from: &std::ffi::CStr,
    to_directory: &File,
    to: &std::ffi::CStr,
) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let (from_fd, to_fd) = (from_directory.as_raw_fd(), to_directory.as_raw_fd());
    // SAFETY: the descriptors are open while the directories are borrowed, both names are terminated strings.
    if unsafe { libc::renameat(from_fd, from.as_ptr(), to_fd, to.as_ptr()) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Removes a file of an open directory.
#[cfg(target_os = "linux")]
pub(crate) fn remove_at(directory: &File, name: &std::ffi::CStr) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    // SAFETY: the descriptor is open while `directory` is borrowed, `name` is a terminated string.
    if unsafe { libc::unlinkat(directory.as_raw_fd(), name.as_ptr(), 0) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Sets the length of the file to `len` bytes and allocates all its blocks, so that a later store through a mapping
/// cannot encounter a full disk (which would be SIGBUS).
#[cfg(target_os = "linux")]
pub(crate) fn allocate(file: &File, len: usize) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    if len as u64 > file_size_limit() {
        return Err(file_too_large());
    }
    let len = libc::off_t::try_from(len).map_err(|_| file_too_large())?;
    loop {
        // SAFETY: the descriptor is open for as long as `file` is borrowed.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len) } {
            0 => return Ok(()),
            libc::EINTR => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// Opens a directory, refusing a symbolic link in its last component. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn open_directory_at(path: &std::ffi::CStr) -> io::Result<File> {
    use std::os::fd::FromRawFd as _;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the path is a terminated string.
    let fd = unsafe { libc::open(path.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: open has just made this descriptor and nothing else knows it.
    above_stdio(unsafe { File::from_raw_fd(fd) })
}

/// Reads the start of a system file into `room` and returns the part read. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn read_start<'a>(path: &std::ffi::CStr, room: &'a mut [u8]) -> Option<&'a [u8]> {
    // SAFETY: the path is a terminated string, the buffer has the stated length, and the descriptor is closed once.
    let len = unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return None;
        }
        let len = libc::read(fd, room.as_mut_ptr().cast(), room.len());
        libc::close(fd);
        len
    };
    room.get(..usize::try_from(len).ok()?)
}

/// Creates a directory with mode 0700, less what the umask clears. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn create_directory_at(path: &std::ffi::CStr) -> io::Result<()> {
    // SAFETY: the path is a terminated string.
    if unsafe { libc::mkdir(path.as_ptr(), 0o700) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Returns the owner and the mode of a descriptor's file; `None` if the descriptor is closed. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn owner_and_mode(file: &impl std::os::fd::AsRawFd) -> Option<(u32, u32)> {
    status_of(file).map(|status| (status.st_uid, status.st_mode & 0o7777))
}

#[cfg(target_os = "linux")]
fn status_of(file: &impl std::os::fd::AsRawFd) -> Option<libc::stat> {
    let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `status` is a valid place; a descriptor that is not open gives an error.
    if unsafe { libc::fstat(file.as_raw_fd(), status.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so it was written.
    Some(unsafe { status.assume_init() })
}

/// Identity of a file: its device and inode number.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileIdentity(u64, u64);

#[cfg(target_os = "linux")]
impl FileIdentity {
    /// Returns the number of the file on its device.
    pub(crate) fn inode(self) -> u64 {
        self.1
    }
}

/// Returns the identity of a descriptor's file, and its length; `None` if the descriptor is closed. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn identity_and_len(file: &impl std::os::fd::AsRawFd) -> Option<(FileIdentity, u64)> {
    let status = status_of(file)?;
    #[allow(clippy::unnecessary_cast, reason = "the types differ between systems")]
    Some((FileIdentity(status.st_dev as u64, status.st_ino as u64), status.st_size as u64))
}

/// Returns the identity of a file from its description.
#[cfg(target_os = "linux")]
pub(crate) fn identity_of(metadata: &std::fs::Metadata) -> FileIdentity {
    use std::os::unix::fs::MetadataExt as _;
    FileIdentity(metadata.dev(), metadata.ino())
}

/// Owner and mode of a directory, and whether it still has a name.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirectoryFacts {
    pub(crate) owner: u32,
    /// Permissions.
    pub(crate) mode: u32,
    pub(crate) is_removed: bool,
}

/// Returns the facts about an open directory; `None` if the descriptor is closed. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn directory_facts(directory: &impl std::os::fd::AsRawFd) -> Option<DirectoryFacts> {
    let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `status` is a valid place; a descriptor that is not open gives an error.
    if unsafe { libc::fstat(directory.as_raw_fd(), status.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so it was written.
    let status = unsafe { status.assume_init() };
    Some(DirectoryFacts { owner: status.st_uid, mode: status.st_mode & 0o7777, is_removed: status.st_nlink == 0 })
}

/// Closes the descriptor of a file that is never dropped, unless the program has closed it and its number was reused.
/// Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn close_if_same(file: &impl std::os::fd::AsRawFd, identity: FileIdentity) {
    if identity_and_len(file).is_some_and(|(now, _)| now == identity) {
        // SAFETY: the descriptor is that of the file, and nobody uses it afterwards.
        unsafe { libc::close(file.as_raw_fd()) };
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn lock_is_exclusive_between_open_files() {
        let path = std::env::temp_dir().join(format!("ttlog-lock-{:x}", crate::sys::random()));
        let first = create_private(&path).unwrap();
        let second = open_for_reading(&path).unwrap();
        assert!(try_lock(&first).unwrap());
        assert!(!try_lock(&second).unwrap());
        drop(first);
        assert!(try_lock(&second).unwrap());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn rename_does_not_clobber() {
        let directory = std::env::temp_dir().join(format!("ttlog-rename-{:x}", crate::sys::random()));
        std::fs::create_dir(&directory).unwrap();
        let (a, b) = (directory.join("a"), directory.join("b"));
        std::fs::write(&a, "a").unwrap();
        std::fs::write(&b, "b").unwrap();
        assert_eq!(rename_no_clobber(&a, &b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&b).unwrap(), b"b");
        std::fs::remove_file(&b).unwrap();
        rename_no_clobber(&a, &b).unwrap();
        assert_eq!(std::fs::read(&b).unwrap(), b"a");
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn directory_symlink_is_refused() {
        let link = std::env::temp_dir().join(format!("ttlog-link-{:x}", crate::sys::random()));
        std::os::unix::fs::symlink(std::env::temp_dir(), &link).unwrap();
        assert!(open_directory(&link).is_err());
        std::fs::remove_file(link).unwrap();
    }
}
