//! Signals of a thread, and the functions that are called when the process forks or exits.

#[cfg(target_os = "linux")]
use std::io;

#[cfg(target_os = "linux")]
use super::memory::map_private;

/// Registers `before` to be called in each thread that calls `fork`, and `in_parent` and `in_child` in both processes
/// before `fork` returns there.
#[cfg(target_os = "linux")]
pub(crate) fn at_fork(
    before: extern "C" fn(),
    in_parent: extern "C" fn(),
    in_child: extern "C" fn(),
) -> io::Result<()> {
    // SAFETY: plain functions, which are never unloaded.
    match unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Registers `function` to be called by `exit` with the status of the process, or with
/// [`STATUS_UNKNOWN`](ttlog_core::ring::ProcessEnd::STATUS_UNKNOWN) if the C library does not provide it.
#[cfg(target_os = "linux")]
pub(crate) fn at_exit(function: extern "C" fn(libc::c_int, *mut libc::c_void)) -> io::Result<()> {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn on_exit(
                function: extern "C" fn(libc::c_int, *mut libc::c_void),
                argument: *mut libc::c_void,
            ) -> libc::c_int;
        }
        // SAFETY: a plain function, which is never unloaded; it does not use its argument.
        match unsafe { on_exit(function, std::ptr::null_mut()) } {
            0 => Ok(()),
            _ => Err(io::Error::other("no room for one more function")),
        }
    }
    #[cfg(not(target_env = "gnu"))]
    {
        static FUNCTION: std::sync::OnceLock<extern "C" fn(libc::c_int, *mut libc::c_void)> =
            std::sync::OnceLock::new();
        extern "C" fn without_status() {
            if let Some(function) = FUNCTION.get() {
                function(ttlog_core::ring::ProcessEnd::STATUS_UNKNOWN, std::ptr::null_mut());
            }
        }
        let _ = FUNCTION.set(function); // set already: by an earlier call with the only function there is
        // SAFETY: a plain function, which is never unloaded.
        match unsafe { libc::atexit(without_status) } {
            0 => Ok(()),
            _ => Err(io::Error::other("no room for one more function")),
        }
    }
}

/// Bytes that two nested handlers need in addition to the frames that the kernel creates for them.
#[cfg(target_os = "linux")]
const HANDLERS_LEN: usize = 4096;

/// A stack for the signal handlers of one thread; released when dropped, by that thread.
#[cfg(target_os = "linux")]
pub(crate) struct AlternateStack {
    start: std::ptr::NonNull<u8>,
    len: usize,
}

#[cfg(target_os = "linux")]
impl AlternateStack {
    /// Allocates one for the calling thread, above a guard page, if the thread has none or one that is too small.
    ///
    /// std gives its threads 8 KiB. When a stack overflows, std's handler aborts on it, so the frames of two signals
    /// are there at once; on processors with wide registers that is more than fits. A larger stack stays.
    /// Async-signal-safe.
    pub(crate) fn for_thread_that_needs_one() -> Option<Self> {
        let mut present = std::mem::MaybeUninit::<libc::stack_t>::uninit();
        // SAFETY: no stack is set, and `present` is a valid location for the current one, read only if it was written.
        let present = unsafe {
            if libc::sigaltstack(std::ptr::null(), present.as_mut_ptr()) != 0 {
                return None;
            }
            present.assume_init()
        };
        // SAFETY: takes a constant, touches nothing.
        let (page_len, frame_len) =
            unsafe { (libc::sysconf(libc::_SC_PAGESIZE), libc::getauxval(libc::AT_MINSIGSTKSZ)) };
        let page_len = usize::try_from(page_len).unwrap_or(4096);
        let frame_len = usize::try_from(frame_len).unwrap_or(0);
        if present.ss_flags & libc::SS_DISABLE == 0 && present.ss_size >= 2 * frame_len + HANDLERS_LEN {
            return None;
        }
        // A previous handler might need more than this one.
        let room = (4 * libc::SIGSTKSZ + frame_len).next_multiple_of(page_len);
        let len = page_len + room;
        let start = map_private(len).ok()?;
        let stack = AlternateStack { start, len };
        // SAFETY: the page is part of the mapping just created, which nobody else knows. Without the protection it is a
        // stack as well.
        let _ = unsafe { libc::mprotect(start.as_ptr().cast(), page_len, libc::PROT_NONE) };
        // SAFETY: `page_len` is below the length of the mapping.
        let bottom = unsafe { start.as_ptr().add(page_len) };
        let new = libc::stack_t { ss_sp: bottom.cast(), ss_flags: 0, ss_size: room };
        // SAFETY: the stack stays until this value is dropped, which takes it out of use before.
        (unsafe { libc::sigaltstack(&raw const new, std::ptr::null_mut()) } == 0).then_some(stack)
    }
}

#[cfg(target_os = "linux")]
impl Drop for AlternateStack {
    fn drop(&mut self) {
        let range = self.start.as_ptr() as usize..self.start.as_ptr() as usize + self.len;
        let mut present = std::mem::MaybeUninit::<libc::stack_t>::uninit();
        // SAFETY: as in `for_thread_that_needs_one`; the memory is unmapped only when it is certain that this thread's
        // handlers do not run on it from here on.
        unsafe {
            if libc::sigaltstack(std::ptr::null(), present.as_mut_ptr()) != 0 {
                return;
            }
            let present = present.assume_init();
            if range.contains(&(present.ss_sp as usize)) {
                let none = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 };
                if libc::sigaltstack(&raw const none, std::ptr::null_mut()) != 0 {
                    return;
                }
            }
            libc::munmap(self.start.as_ptr().cast(), self.len);
        }
    }
}

/// Returns whether std made this thread, so that it keeps a name of it and can be asked for that without allocating.
///
/// Of a thread that it did not make, std creates a handle when asked. No function says which it is. But std gives its
/// threads stacks for signal handlers, of a size that nobody else has a reason to choose; the system gives them none,
/// and a thread does not inherit them. The stack is there until the thread's function has returned. One system call;
/// async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn is_made_by_std() -> bool {
    let mut present = std::mem::MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: no stack is set, and `present` is a valid location for the current one, read only if it was written.
    let present = unsafe {
        if libc::sigaltstack(std::ptr::null(), present.as_mut_ptr()) != 0 {
            return false;
        }
        present.assume_init()
    };
    // SAFETY: takes a constant, touches nothing.
    let frame_len = usize::try_from(unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) }).unwrap_or(0);
    present.ss_flags & libc::SS_DISABLE == 0 && present.ss_size == frame_len.max(libc::SIGSTKSZ)
}

/// Returns whether std is to be asked for the name of this thread. An Apple system keeps as much of a name as a ring
/// does. For a thread that std did not make, asking can allocate.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_made_by_std() -> bool {
    cfg!(not(target_vendor = "apple"))
}

/// Stand-in for a stack for signal handlers, on systems without them.
#[cfg(not(target_os = "linux"))]
pub(crate) struct AlternateStack;

#[cfg(not(target_os = "linux"))]
impl AlternateStack {
    /// Returns nothing: no thread needs one.
    pub(crate) fn for_thread_that_needs_one() -> Option<Self> {
        None
    }
}

/// Blocks signals in this thread for as long as the value lives, so that a thread created meanwhile starts with them
/// blocked: all except those of faults, which would end the process without calling a handler.
#[cfg(unix)]
pub(crate) struct SignalsBlocked {
    /// The previous mask; `None` if it could not be changed.
    before: Option<libc::sigset_t>,
}

#[cfg(unix)]
impl SignalsBlocked {
    /// Blocks them.
    pub(crate) fn new() -> Self {
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both are valid locations for one set; sigfillset initializes the first before it is read, and the
        // second is read only if pthread_sigmask reports that it was written.
        let before = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            for fault in [libc::SIGBUS, libc::SIGSEGV, libc::SIGILL, libc::SIGFPE] {
                libc::sigdelset(all.as_mut_ptr(), fault);
            }
            let status = libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            (status == 0).then(|| before.assume_init())
        };
        SignalsBlocked { before }
    }
}

#[cfg(unix)]
impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // SAFETY: `before` was filled by pthread_sigmask; no old mask is requested.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const *before, std::ptr::null_mut()) };
        }
    }
}

/// Unblocks a signal in this thread.
#[cfg(target_os = "linux")]
pub(crate) fn unblock_signal(signal: libc::c_int) {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is initialized before it is read; no old mask is requested.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Stand-in for the signal mask, on systems without one.
#[cfg(not(unix))]
pub(crate) struct SignalsBlocked;

#[cfg(not(unix))]
impl SignalsBlocked {
    /// Does nothing.
    pub(crate) fn new() -> Self {
        SignalsBlocked
    }
}

#[cfg(not(unix))]
impl Drop for SignalsBlocked {
    /// Does nothing; the type has a destructor, as on other systems.
    fn drop(&mut self) {}
}

/// Preserves `errno` for as long as the value lives: code in a signal handler must not change it for the interrupted
/// code.
#[cfg(target_os = "linux")]
pub(crate) struct ErrnoKept(libc::c_int);

#[cfg(target_os = "linux")]
impl ErrnoKept {
    /// Saves the current value.
    pub(crate) fn new() -> Self {
        // SAFETY: this thread's own location, which lives as long as the thread.
        ErrnoKept(unsafe { *libc::__errno_location() })
    }
}

#[cfg(target_os = "linux")]
impl Drop for ErrnoKept {
    fn drop(&mut self) {
        // SAFETY: as in `new`.
        unsafe { *libc::__errno_location() = self.0 };
    }
}
