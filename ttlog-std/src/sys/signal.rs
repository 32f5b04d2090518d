//! Signals of a thread, and the functions that are called when the process forks or exits.

#[cfg(target_os = "linux")]
use std::io;

#[cfg(target_os = "linux")]
use super::memory::map_private;

/// Has `before` called in each thread that calls `fork`, and `in_child` in the child before `fork` returns there.
#[cfg(target_os = "linux")]
pub(crate) fn at_fork(before: extern "C" fn(), in_child: extern "C" fn()) -> io::Result<()> {
    // SAFETY: plain functions, that stay.
    match unsafe { libc::pthread_atfork(Some(before), None, Some(in_child)) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Has `function` called by `exit` with the status of the process, or
/// [`STATUS_UNKNOWN`](ttlog_core::ring::ProcessEnd::STATUS_UNKNOWN) where the C library cannot say it.
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
        // SAFETY: a plain function, that stays; it does not look at its argument.
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
        // SAFETY: a plain function, that stays.
        match unsafe { libc::atexit(without_status) } {
            0 => Ok(()),
            _ => Err(io::Error::other("no room for one more function")),
        }
    }
}

/// Bytes that two nested handlers need besides the frames that the kernel makes for them.
#[cfg(target_os = "linux")]
const HANDLERS_LEN: usize = 4096;

/// A stack for the signal handlers of one thread; given back when dropped, by that thread.
#[cfg(target_os = "linux")]
pub(crate) struct AlternateStack {
    start: std::ptr::NonNull<u8>,
    len: usize,
}

#[cfg(target_os = "linux")]
impl AlternateStack {
    /// Makes the calling thread one, with a page below it that faults, if it has none or too small a one.
    ///
    /// std gives its threads 8 KiB. When a stack overflows, std's handler aborts on it, so the frames of two signals lie there
    /// at once; on processors with wide registers that is more than there is. A larger stack stays. Async-signal-safe.
    pub(crate) fn for_thread_that_needs_one() -> Option<Self> {
        let mut present = std::mem::MaybeUninit::<libc::stack_t>::uninit();
        // SAFETY: no stack is set, and `present` is a valid place for the present one, read only if it was written.
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
        // A previous handler may do more than this one.
        let room = (4 * libc::SIGSTKSZ + frame_len).next_multiple_of(page_len);
        let len = page_len + room;
        let start = map_private(len).ok()?;
        let stack = AlternateStack { start, len };
        // SAFETY: the page is part of the mapping just made, which nobody else knows. Without the protection it is a stack as
        // well.
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
        // SAFETY: as in `for_thread_that_needs_one`; the memory is unmapped only when it is certain that this thread's handlers do not
        // run on it from here on.
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

/// Stands for a stack for signal handlers where there are none.
#[cfg(not(target_os = "linux"))]
pub(crate) struct AlternateStack;

#[cfg(not(target_os = "linux"))]
impl AlternateStack {
    /// Returns nothing: no thread needs one.
    pub(crate) fn for_thread_that_needs_one() -> Option<Self> {
        None
    }
}

/// Blocks signals in this thread for as long as the value lives, so that a thread made meanwhile starts with them blocked:
/// all but those of faults, which would end the process without asking a handler.
#[cfg(unix)]
pub(crate) struct SignalsBlocked {
    /// The mask before; `None` when it could not be changed.
    before: Option<libc::sigset_t>,
}

#[cfg(unix)]
impl SignalsBlocked {
    /// Blocks them.
    pub(crate) fn new() -> Self {
        let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both are valid places for one set; sigfillset initializes the first before it is read, and the second is
        // read only when pthread_sigmask says that it wrote it.
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
            // SAFETY: `before` was filled by pthread_sigmask; no old mask is asked for.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const *before, std::ptr::null_mut()) };
        }
    }
}

/// Lets a signal arrive in this thread.
#[cfg(target_os = "linux")]
pub(crate) fn unblock_signal(signal: libc::c_int) {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is made before it is read; no old mask is asked for.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Stands for the signal mask where there is none.
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
    /// Does nothing; the type ends where it does elsewhere.
    fn drop(&mut self) {}
}

/// Keeps `errno` as it is for as long as the value lives: what runs in a signal handler must not change it under the interrupted
/// code.
#[cfg(target_os = "linux")]
pub(crate) struct ErrnoKept(libc::c_int);

#[cfg(target_os = "linux")]
impl ErrnoKept {
    /// Takes its present value.
    pub(crate) fn new() -> Self {
        // SAFETY: a place of this thread's own that lives as long as the thread.
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
