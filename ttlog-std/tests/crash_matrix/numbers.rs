//! Numbers that a child reports independently of its ring, in a file that parent and child have both mapped, so that
//! they are right whenever the child ends.

use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Count of numbers in the file. The first ones are the event counts of the writers.
const COUNT: usize = 16;
pub(crate) const WRITERS_MAX: usize = 8;
/// Index of the number of events that were not logged by a writer, without panics.
pub(crate) const OTHER: usize = 8;
/// Index of the operating system's id of the thread that is about to end the process.
pub(crate) const THREAD: usize = 9;
/// Index of the address of the coming fault; 0: unknown.
pub(crate) const ADDRESS: usize = 10;
/// Index of the time just before the end, in nanoseconds since 1970.
pub(crate) const MOMENT: usize = 11;
/// Index of a flag; 1: the parent can send its signal.
pub(crate) const READY: usize = 12;
/// Index of the number of calls of the child's own handler.
pub(crate) const HANDLED: usize = 13;

/// The numbers, as mapped by the child.
#[derive(Clone, Copy)]
pub(crate) struct Numbers(&'static [AtomicU64]);

impl Numbers {
    pub(crate) fn make(path: &Path) {
        std::fs::write(path, [0; COUNT * 8]).unwrap();
    }

    /// Maps the file that the environment names.
    pub(crate) fn map() -> Self {
        let path = std::env::var_os("TTLOG_TEST_NUMBERS").unwrap();
        let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of a file of this length; nothing else in this process uses it.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), COUNT * 8, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: aligned, inside the mapping, which is never undone, and accessed by atomics only.
        Numbers(unsafe { std::slice::from_raw_parts(start.cast(), COUNT) })
    }

    /// Stores a number with release ordering, so that it follows the stores of the event that it counts.
    pub(crate) fn set(&self, index: usize, value: u64) {
        self.0[index].store(value, Ordering::Release);
    }

    pub(crate) fn add(&self, index: usize) {
        self.0[index].fetch_add(1, Ordering::Release);
    }

    pub(crate) fn get(&self, index: usize) -> u64 {
        self.0[index].load(Ordering::Acquire)
    }
}

/// Reads the numbers in the parent.
pub(crate) fn read(path: &PathBuf) -> Vec<u64> {
    let bytes = std::fs::read(path).unwrap();
    bytes.chunks_exact(8).map(|number| u64::from_le_bytes(number.try_into().unwrap())).collect()
}
