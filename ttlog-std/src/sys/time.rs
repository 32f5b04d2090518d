//! The clocks of the operating system.

/// Reads CLOCK_MONOTONIC or, where there is none, std's monotonic clock, in nanoseconds from an arbitrary start.
pub(crate) fn monotonic_ns() -> u64 {
    #[cfg(unix)]
    {
        clock_ns(libc::CLOCK_MONOTONIC)
    }
    #[cfg(not(unix))]
    {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        // 584 years of nanoseconds fit.
        START.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64
    }
}

/// Reads the monotonic clock that is not slewed, to measure a counter against; if there is none, the slewed one.
pub(crate) fn monotonic_raw_ns() -> u64 {
    #[cfg(target_os = "linux")]
    {
        clock_ns(libc::CLOCK_MONOTONIC_RAW)
    }
    #[cfg(not(target_os = "linux"))]
    monotonic_ns()
}

/// Reads the monotonic clock that continues while the machine sleeps. If there is none, reads [`monotonic_ns`], which
/// also continues on some systems.
pub(crate) fn boot_ns() -> u64 {
    #[cfg(target_os = "linux")]
    {
        clock_ns(libc::CLOCK_BOOTTIME)
    }
    #[cfg(not(target_os = "linux"))]
    monotonic_ns()
}

#[cfg(unix)]
fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one timespec. The call fails only for clocks that do not exist.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}
