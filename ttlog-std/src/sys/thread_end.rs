//! The end of a thread, even if it comes after the destructors of thread-locals.

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

/// Makes the prepared function be called at the end of this thread. The C library does so after it has destroyed
/// thread-locals, also if this is called while it already runs such functions, in which case a thread-local that is
/// used for the first time would never be destroyed. Never blocks.
#[cfg(unix)]
pub(crate) fn call_at_thread_end() {
    if let Some(Some(key)) = KEY.get() {
        // Without memory for it, the thread's place in the ring is not returned if the thread is already ending.
        // SAFETY: a key that is never deleted; its value is only compared with null.
        let _ = unsafe { libc::pthread_setspecific(*key, std::ptr::without_provenance(1)) };
    }
}

/// Does nothing: only POSIX threads have such functions.
#[cfg(not(unix))]
pub(crate) fn prepare_thread_ends(_function: extern "C" fn(*mut std::ffi::c_void)) {}

/// Does nothing: only POSIX threads have such functions.
#[cfg(not(unix))]
pub(crate) fn call_at_thread_end() {}
