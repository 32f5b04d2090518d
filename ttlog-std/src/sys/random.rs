//! The only source of numbers that are unlikely to repeat elsewhere.

/// Returns a number that another process or call is very unlikely to get; not for secrets. Allocates nothing.
/// Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: the buffer has the stated length. The bare system call, because older C libraries have no function for
    // it.
    let len = unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), bytes.len(), libc::GRND_NONBLOCK) };
    if len == 8 {
        return u64::from_le_bytes(bytes);
    }
    // Early at boot, or a kernel from before 2014.
    let mixed = super::monotonic_ns()
        ^ u64::from(std::process::id()).rotate_left(32)
        ^ (&raw const bytes as u64).rotate_left(17);
    mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Returns a number that another process or call is very unlikely to get; not for secrets.
#[cfg(not(target_os = "linux"))]
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // std seeds this hasher from the operating system once per thread and changes it with every call.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.write_u64(super::monotonic_ns());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_differ() {
        assert_ne!(random(), random());
    }
}
