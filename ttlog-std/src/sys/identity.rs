//! Identity: user, thread, host.

/// Returns the user whose rights the process has.
#[cfg(unix)]
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::geteuid() }
}

/// Returns the operating system's number of this thread; 0 if it is unknown.
pub(crate) fn thread_id() -> u64 {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: takes nothing, cannot fail. The bare system call, because older C libraries have no function for it.
        let id = unsafe { libc::syscall(libc::SYS_gettid) };
        u64::try_from(id).unwrap_or(0)
    }
    #[cfg(not(target_os = "linux"))]
    0
}

/// Returns whether the thread with this number, which is the calling one, is the first of the process.
pub(crate) fn is_first_thread(thread_id: u64) -> bool {
    #[cfg(target_vendor = "apple")]
    {
        let _ = thread_id;
        // SAFETY: takes nothing, cannot fail.
        unsafe { libc::pthread_main_np() == 1 }
    }
    #[cfg(not(target_vendor = "apple"))]
    {
        thread_id == u64::from(std::process::id())
    }
}

/// Returns the host's name, or an empty text.
pub(crate) fn host_name() -> String {
    #[cfg(unix)]
    {
        let mut buffer = [0_u8; 256];
        // SAFETY: the place holds the stated number of bytes, of which the last stays 0.
        let status = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) };
        if status == 0 {
            let len = buffer.iter().position(|byte| *byte == 0).unwrap_or(buffer.len());
            return String::from_utf8_lossy(&buffer[..len]).into_owned();
        }
        String::new()
    }
    #[cfg(not(unix))]
    std::env::var("COMPUTERNAME").unwrap_or_default()
}
