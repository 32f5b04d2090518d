//! Counts the log calls of each thread that returned, in a small file that the worker maps and the parent reads.
//!
//! The file is independent of the recorder, so that one can be checked against the other.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapRaw;

/// Bytes from one counter to the next, so that no two share a cache line.
const STRIDE: usize = 64;

/// Returns the path of the file in the directory of a run.
pub(crate) fn path(run: &Path) -> PathBuf {
    run.join("counters")
}

/// Creates the file, with all counters 0.
pub(crate) fn create(run: &Path, threads: u16) -> io::Result<()> {
    File::create_new(path(run))?.set_len(u64::from(threads) * STRIDE as u64)
}

/// Reads the counters, one for each thread.
pub(crate) fn read(run: &Path) -> io::Result<Vec<u64>> {
    let bytes = std::fs::read(path(run))?;
    let count = |slot: &[u8]| slot.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    Ok(bytes.chunks(STRIDE).map(count).collect())
}

/// Logs, then counts the returned log call.
macro_rules! counted {
    ($counter:expr, $log:expr) => {{
        $log;
        $counter.add_one();
    }};
}
pub(crate) use counted;

/// The counter of one thread, its only writer.
#[derive(Debug)]
pub(crate) struct Counter(&'static AtomicU64);

impl Counter {
    /// Maps the file and returns its counters.
    pub(crate) fn map(run: &Path) -> io::Result<Vec<Counter>> {
        let file = File::options().read(true).write(true).open(path(run))?;
        // Never unmapped: it is written to until the process is killed.
        let map = Box::leak(Box::new(MmapRaw::map_raw(&file)?));
        let counter = |offset| {
            let address = map.as_mut_ptr().wrapping_add(offset).cast::<u64>();
            // SAFETY: inside the mapping and aligned (a mapping starts at a page, STRIDE is a multiple of 8); it is
            // never unmapped, and accessed as atomics only.
            Counter(unsafe { AtomicU64::from_ptr(address) })
        };
        Ok((0..map.len()).step_by(STRIDE).map(counter).collect())
    }

    /// Counts a log call that has returned. The release keeps this store after those of the call.
    pub(crate) fn add_one(&self) {
        self.0.store(self.0.load(Ordering::Relaxed) + 1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_through_the_file() {
        let run = crate::place::Place::new().unwrap();
        create(run.path(), 3).unwrap();
        let counters = Counter::map(run.path()).unwrap();
        for _ in 0..300 {
            counters[1].add_one();
        }
        counters[2].add_one();
        assert_eq!(read(run.path()).unwrap(), [0, 300, 1]);
    }
}
