//! Mapped memory: files, private memory, and replacing one by the other.

#[cfg(target_os = "linux")]
use std::fs::File;
#[cfg(target_os = "linux")]
use std::io;

/// Maps the first `len` bytes of a file, shared, for reading and writing, until the process ends.
///
/// The pointer is aligned to a page. Truncating the file while it is mapped makes accesses past its end raise SIGBUS,
/// see [`fault`](crate::memory::guard); the file has mode 0600 in a directory of mode 0700, so only this user can do
/// that.
#[cfg(target_os = "linux")]
pub(crate) fn map_shared(file: &File, len: usize) -> io::Result<std::ptr::NonNull<u8>> {
    use std::os::fd::AsRawFd as _;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that Rust knows of.
    let address = unsafe {
        libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    std::ptr::NonNull::new(address.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

/// Undoes [`map_shared`] or [`map_private`], for a mapping that nothing refers to any more.
///
/// # Safety
/// - `address` and `len` are those of one such call, and nothing uses that memory afterwards.
#[cfg(target_os = "linux")]
pub(crate) unsafe fn unmap(address: std::ptr::NonNull<u8>, len: usize) {
    // SAFETY: guaranteed by the caller. A failure would only leave the mapping in place.
    unsafe { libc::munmap(address.as_ptr().cast(), len) };
}

/// Maps `len` bytes of zeroed private memory, until the process ends. The pointer is aligned to a page.
/// Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn map_private(len: usize) -> io::Result<std::ptr::NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that Rust knows of.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    std::ptr::NonNull::new(address.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

/// A word that is zero in every copy of this process, however it was made, except for one that shares its memory.
///
/// A process id does not do: the first process of a pid namespace is number 1, and so is its copy in another one.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(crate) struct OwnMark(Option<&'static std::sync::atomic::AtomicU32>);

#[cfg(target_os = "linux")]
impl OwnMark {
    /// Creates the mark of the calling process, for its life. Async-signal-safe. Before Linux 4.14, it marks nothing.
    pub(crate) fn new() -> Self {
        use std::sync::atomic::AtomicU32;
        let Ok(page) = map_private(size_of::<AtomicU32>()) else { return OwnMark(None) };
        // SAFETY: the range is a separate mapping, which nothing refers to yet.
        let is_wiped = unsafe { libc::madvise(page.as_ptr().cast(), size_of::<AtomicU32>(), libc::MADV_WIPEONFORK) };
        if is_wiped != 0 {
            // SAFETY: the mapping just created.
            unsafe { unmap(page, size_of::<AtomicU32>()) };
            return OwnMark(None);
        }
        // SAFETY: the memory is long enough, aligned to a page, zero, and never unmapped.
        let mark: &'static AtomicU32 = unsafe { page.cast::<AtomicU32>().as_ref() };
        mark.store(1, std::sync::atomic::Ordering::Relaxed);
        OwnMark(Some(mark))
    }

    /// Returns whether the calling process is a copy of the one that created the mark.
    pub(crate) fn is_of_another(&self) -> bool {
        self.0.is_some_and(|mark| mark.load(std::sync::atomic::Ordering::Relaxed) == 0)
    }
}

/// Returns whether the process can get `len` more bytes of memory, without taking them.
pub(crate) fn can_map(len: usize) -> bool {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: a mapping that nobody else knows.
        map_private(len).map(|start| unsafe { unmap(start, len) }).is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = len;
        true
    }
}

/// Maps `len` bytes of zeroed memory that this process shares with all children it will have, until the last of them
/// ends. The pointer is aligned to a page.
#[cfg(target_os = "linux")]
pub(crate) fn map_family(len: usize) -> io::Result<std::ptr::NonNull<u8>> {
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory that Rust knows of.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    std::ptr::NonNull::new(address.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

/// Moves the mapping `start` of [`map_private`] to the place of `words`, which has the same length; its old address
/// becomes invalid. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn move_over(words: &'static [ttlog_core::Word], start: std::ptr::NonNull<u8>) -> io::Result<()> {
    let len = size_of_val(words);
    let to: *mut libc::c_void = words.as_ptr().cast_mut().cast();
    // SAFETY: both ranges are separate mappings, to the end of their last page; words can hold anything, and nothing
    // refers to the memory that is moved.
    let moved = unsafe { libc::mremap(start.as_ptr().cast(), len, len, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, to) };
    if moved == to { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Maps a file, shared, in the place of `words`. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn map_shared_over(words: &'static [ttlog_core::Word], file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let to: *mut libc::c_void = words.as_ptr().cast_mut().cast();
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
    // SAFETY: the range is a separate mapping, to the end of its last page, and words can hold anything.
    let mapped = unsafe { libc::mmap(to, size_of_val(words), access, flags, file.as_raw_fd(), 0) };
    if mapped == to { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps the kernel from backing a few words with a huge page, in memory that is mostly never used. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn use_small_pages(start: std::ptr::NonNull<u8>, len: usize) {
    // Advice: kernels without huge pages refuse it.
    // SAFETY: the caller's mapping; this advice changes no content.
    let _ = unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_NOHUGEPAGE) };
}

/// Maps the file behind `words` a second time, elsewhere, where it stays when `words` gets another one.
#[cfg(target_os = "linux")]
pub(crate) fn map_again(words: &'static [ttlog_core::Word]) -> io::Result<std::ptr::NonNull<u8>> {
    let (start, len) = (words.as_ptr().cast_mut().cast(), size_of_val(words));
    // SAFETY: with an old length of 0, a shared mapping stays in place and gets a twin at an address of the kernel's
    // choice.
    let address = unsafe { libc::mremap(start, 0, len, libc::MREMAP_MAYMOVE) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    std::ptr::NonNull::new(address.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

/// Excludes a mapping from the memory of children, which would not use it. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn exclude_from_forks(words: &[ttlog_core::Word]) {
    // Advice: failure costs a child memory that it does not use.
    // SAFETY: the range is a separate mapping, and this process keeps it.
    let _ = unsafe { libc::madvise(words.as_ptr().cast_mut().cast(), size_of_val(words), libc::MADV_DONTFORK) };
}

/// Populates the pages of a range for writing now, so that events do not pay for it. This is advice: on systems that do
/// not support it, and before Linux 5.14, the pages are populated during the first lap.
///
/// `words` must start at a page boundary; otherwise nothing happens.
pub(crate) fn populate<T>(words: &[T]) {
    #[cfg(target_os = "linux")]
    {
        let (start, len) = (words.as_ptr().cast_mut().cast(), size_of_val(words));
        // SAFETY: the range is a live borrowed slice, and this advice changes no content.
        let _ = unsafe { libc::madvise(start, len, libc::MADV_POPULATE_WRITE) }; // advice: failure is harmless
    }
    #[cfg(not(target_os = "linux"))]
    let _ = words;
}
