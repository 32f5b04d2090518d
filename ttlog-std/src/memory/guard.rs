//! Faults in the mapped ring, caused by somebody truncating the ring's file while the process runs.
//!
//! An access to a mapping past the end of its file raises SIGBUS, which would end the host at its next event. So SIGBUS
//! gets a handler that, for faults in the ring and no others, replaces the part without a file with zeroed memory, and
//! has the access repeated. The ring continues there, without the contents of that part. Faults elsewhere are passed to
//! the previous action of the signal, as if this handler did not exist.
//!
//! The handler can run in any thread at any point: it makes system calls only, and never waits for a lock.

use std::io;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use libc::{c_int, c_void, sigaction, siginfo_t};
use ttlog_core::Word;

use crate::memory::ring_file::RingFile;
use crate::sys::SignalsBlocked;
use crate::sys::signal_chain;

/// The guarded mapping. Set once, before the handler is installed.
static GUARD: OnceLock<Guard> = OnceLock::new();

/// A mapping and the data that its handler needs.
struct Guard {
    /// Address of its first byte, at the start of a page.
    start: usize,
    /// Length in bytes, up to the end of its last page. That of a child of `fork` can be less than that of its parent.
    len: AtomicUsize,
    page_len: usize,
    /// The file behind it; null if there is none, as in a child of `fork` that has not created one. The pointee is
    /// never freed.
    file: AtomicPtr<RingFile>,
    /// Byte offset from which there is memory without a file; `len` if there is none. Only ever lowered, by the holder
    /// of `mending`.
    cut_from: AtomicUsize,
    /// Whether a thread is replacing memory.
    mending: AtomicBool,
    /// The previous action of SIGBUS.
    previous: sigaction,
}

/// Installs the handler for the mapping `words` of `file`, for the life of the process. Once.
///
/// # Errors
/// The error of the operating system; faults then end the process as they do without the handler.
pub(crate) fn guard(words: &'static [Word], file: &'static RingFile) -> io::Result<()> {
    let previous = signal_chain::present(libc::SIGBUS)?;
    // SAFETY: takes a constant, touches nothing.
    let page_len = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    let len = size_of_val(words).next_multiple_of(page_len);
    let guard = Guard {
        start: words.as_ptr() as usize,
        len: AtomicUsize::new(len),
        page_len,
        file: AtomicPtr::new(ptr::from_ref(file).cast_mut()),
        cut_from: AtomicUsize::new(len),
        mending: AtomicBool::new(false),
        previous,
    };
    if GUARD.set(guard).is_err() {
        return Ok(());
    }
    // With SIGBUS unblocked, because a handler of another signal might log while this one runs.
    signal_chain::install(libc::SIGBUS, handle, 0, &previous)
}

/// Notes that the guarded memory no longer has a file, as in a child of `fork`. Async-signal-safe.
pub(crate) fn forget_file() {
    if let Some(guard) = GUARD.get() {
        guard.file.store(ptr::null_mut(), Ordering::Release);
        guard.cut_from.store(guard.len.load(Ordering::Relaxed), Ordering::Release);
        guard.mending.store(false, Ordering::Release);
    }
}

/// Notes that the first `len` bytes of the guarded memory have another file from now on. Async-signal-safe.
pub(crate) fn guard_file(file: &'static RingFile, len: usize) {
    if let Some(guard) = GUARD.get() {
        let len = len.next_multiple_of(guard.page_len);
        guard.len.store(len, Ordering::Relaxed);
        guard.cut_from.store(len, Ordering::Release);
        guard.file.store(ptr::from_ref(file).cast_mut(), Ordering::Release);
    }
}

/// Returns how many bytes at the end of the ring no longer have a file.
pub(crate) fn cut_len() -> usize {
    GUARD.get().map_or(0, |guard| guard.len().saturating_sub(guard.cut_from.load(Ordering::Relaxed)))
}

extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let Some(guard) = GUARD.get() else { return };
    // SAFETY: this thread's own location, which lives as long as the thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let errno_before = unsafe { *errno };
    // SAFETY: the kernel passes a complete siginfo to a handler with SA_SIGINFO; the address is that of a fault if the
    // code indicates one, and is not used otherwise.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    let offset = address.wrapping_sub(guard.start);
    let is_mended = code == libc::BUS_ADRERR && offset < guard.len() && guard.mend(offset);
    // SAFETY: as above.
    unsafe { *errno = errno_before };
    if !is_mended {
        // SAFETY: the arguments come from the kernel.
        unsafe { signal_chain::chain(&guard.previous, signal, info, context) };
    }
}

impl Guard {
    fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Maps memory where the file has ended, at `offset` or later. Returns `false` if there is none.
    fn mend(&self, offset: usize) -> bool {
        // A thread that is interrupted here by a handler that logs must not encounter its own mark.
        let _blocked = SignalsBlocked::new();
        // Another thread might have repaired it, or be about to: the access is then repeated, and faults again if
        // necessary.
        if offset >= self.cut_from.load(Ordering::Acquire) || self.mending.swap(true, Ordering::Acquire) {
            return true;
        }
        let before = self.cut_from.load(Ordering::Relaxed);
        let from = self.end_of_file().min(offset / self.page_len * self.page_len);
        let mut is_mended = true;
        if from < before {
            let address = (self.start + from) as *mut c_void;
            // SAFETY: the range is part of the ring's mapping and holds pages without a file, or with one that is being
            // given up. It is referred to only as words, for which any content is valid.
            let mapped = unsafe {
                libc::mmap(
                    address,
                    before - from,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                )
            };
            is_mended = mapped == address;
            if is_mended {
                self.cut_from.store(from, Ordering::Release);
            }
        }
        self.mending.store(false, Ordering::Release);
        is_mended
    }

    /// Returns the number of bytes that the file backs and that are thus accessible; all of them if that cannot be
    /// determined.
    fn end_of_file(&self) -> usize {
        // SAFETY: null, or complete and never freed.
        let file = unsafe { self.file.load(Ordering::Acquire).as_ref() };
        match file.and_then(RingFile::len) {
            Some(len) => usize::try_from(len).unwrap_or(usize::MAX).min(self.len()).next_multiple_of(self.page_len),
            None => self.len(),
        }
    }
}
