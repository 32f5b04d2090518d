//! The end of a thread.
//!
//! A destructor of a thread-local would do, but registering it at a thread's first event allocates, and takes a lock
//! of the C library: a signal handler that logs can have interrupted both. The value of a key of POSIX threads is a
//! word in the thread's own memory.

#[cfg(unix)]
use std::sync::OnceLock;

/// The key whose destructor is called at the end of the threads that asked for it; `None` if the system has no more
/// keys.
#[cfg(unix)]
static KEY: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();

/// Prepares for [`call_at_thread_end`]: `function` is called at the end of each thread that asks for it. Called once;
/// later functions are ignored.
#[cfg(unix)]
pub(crate) fn prepare_thread_ends(function: extern "C" fn(*mut libc::c_void)) {
    KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: a valid place for a key, and a plain function, which is never unloaded.
        let status = unsafe { libc::pthread_key_create(&raw mut key, Some(function)) };
        (status == 0).then_some(key)
    });
}

/// Makes the prepared function be called at the end of this thread; returns `false` if that is impossible. The C
/// library does so after it has destroyed thread-locals, also if this is called while it already runs such functions.
/// Never blocks.
///
/// Allocates nothing with glibc for the first 32 keys of a process, and never with musl and on Apple systems. Without
/// memory it is impossible.
#[cfg(unix)]
pub(crate) fn call_at_thread_end() -> bool {
    let Some(Some(key)) = KEY.get() else { return false };
    // SAFETY: a key that is never deleted; its value is only compared with null.
    unsafe { libc::pthread_setspecific(*key, std::ptr::without_provenance(1)) == 0 }
}

#[cfg(not(unix))]
mod by_destructor {
    use std::ffi::c_void;
    use std::sync::OnceLock;

    static FUNCTION: OnceLock<extern "C" fn(*mut c_void)> = OnceLock::new();

    thread_local! {
        static AT_END: AtEnd = const { AtEnd };
    }

    struct AtEnd;

    impl Drop for AtEnd {
        fn drop(&mut self) {
            if let Some(function) = FUNCTION.get() {
                function(std::ptr::null_mut());
            }
        }
    }

    /// Prepares for [`call_at_thread_end`]: `function` is called at the end of each thread that asks for it. Called
    /// once; later functions are ignored.
    pub(crate) fn prepare_thread_ends(function: extern "C" fn(*mut c_void)) {
        let _ = FUNCTION.set(function); // set already: by an earlier call with the only function there is
    }

    /// Makes the prepared function be called among the destructors of this thread's thread-locals; returns `false` if
    /// these have run already. Can allocate.
    pub(crate) fn call_at_thread_end() -> bool {
        AT_END.try_with(|_| ()).is_ok()
    }
}

#[cfg(not(unix))]
pub(crate) use by_destructor::{call_at_thread_end, prepare_thread_ends};
