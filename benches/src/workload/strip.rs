//! The floor of a mix: the least work of any recorder with timestamps for the same values.
//!
//! For each event the processor's counter is read once, and the values are copied with `memcpy` behind each other into
//! a ring of 64 MiB in a mapped file, with a byte of length before each text.

use std::path::Path;

use memmap2::{MmapMut, MmapOptions};

use crate::error::{Result, ensure};
use crate::workload::floor::ticks;

/// Bytes of the ring.
pub const STRIP_LEN: usize = 64 << 20;
/// Bytes that any event takes at most.
const CELL_LEN_MAX: usize = 1024;

/// A mapped file to copy into.
#[derive(Debug)]
pub struct Strip {
    map: MmapMut,
    /// Offset of the next event, at most `STRIP_LEN - CELL_LEN_MAX`.
    next: usize,
}

/// Place of one event.
#[derive(Debug)]
pub struct Cell {
    /// Next byte, in the map of the strip. At most `CELL_LEN_MAX` bytes follow the start of the event.
    at: *mut u8,
}

/// A value that is copied as it is in memory; a text after its length.
pub trait Plain {
    /// Copies the value.
    fn copy_to(&self, cell: &mut Cell);
}

impl Strip {
    /// Maps an unnamed file in `directory`, with all pages present.
    ///
    /// # Errors
    /// If the file cannot be created or mapped.
    pub fn new(directory: &Path) -> Result<Self> {
        let path = directory.join(format!(".strip-{}.tmp", std::process::id()));
        let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path)?;
        std::fs::remove_file(&path)?;
        file.set_len(STRIP_LEN as u64)?;
        // SAFETY: nobody else can open the file, and it is not truncated.
        let mut map = unsafe { MmapOptions::new().populate().map_mut(&file)? };
        map.fill(0xFF);
        Ok(Strip { map, next: 0 })
    }

    /// Reads the counter and starts an event.
    #[inline(always)]
    pub fn begin(&mut self) -> Cell {
        // SAFETY: `next` is in the map, with room for an event behind it.
        let mut cell = Cell { at: unsafe { self.map.as_mut_ptr().add(self.next) } };
        cell.put(&ticks().to_ne_bytes());
        cell
    }

    /// Ends the event.
    #[inline(always)]
    pub fn end(&mut self, cell: Cell) {
        self.next = cell.at as usize - self.map.as_ptr() as usize;
        if self.next > STRIP_LEN - CELL_LEN_MAX {
            self.next = 0;
        }
    }

    /// Checks that the bytes before the next event end with `expected`.
    ///
    /// # Errors
    /// If they do not.
    pub fn check(&self, expected: &[u8]) -> Result<()> {
        let last = self.map[..self.next].get(self.next.saturating_sub(expected.len())..);
        ensure!(last == Some(expected), "the floor stored {last:?} instead of {expected:?}");
        Ok(())
    }
}

impl Cell {
    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        // SAFETY: the values of an event take less than `CELL_LEN_MAX` bytes: at most six numbers and two texts of less
        // than 256 bytes.
        unsafe {
            self.at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            self.at = self.at.add(bytes.len());
        }
    }
}

impl Plain for &'static str {
    #[inline(always)]
    fn copy_to(&self, cell: &mut Cell) {
        debug_assert!(self.len() < 256);
        cell.put(&[self.len() as u8]);
        cell.put(self.as_bytes());
    }
}

impl Plain for &'static [u8; 16] {
    #[inline(always)]
    fn copy_to(&self, cell: &mut Cell) {
        cell.put(*self);
    }
}

macro_rules! plain {
    ($($rust:ty),*) => {$(
        impl Plain for $rust {
            #[inline(always)]
            fn copy_to(&self, cell: &mut Cell) {
                cell.put(&self.to_ne_bytes());
            }
        }
    )*};
}
plain!(u16, u32, u64, i32, f64);

impl Plain for (u16, u64) {
    #[inline(always)]
    fn copy_to(&self, cell: &mut Cell) {
        self.0.copy_to(cell);
        self.1.copy_to(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_copied_behind_each_other() {
        let mut strip = Strip::new(&std::env::temp_dir()).unwrap();
        for _ in 0..2 {
            let mut cell = strip.begin();
            "abc".copy_to(&mut cell);
            (1_u16, 2_u64).copy_to(&mut cell);
            strip.end(cell);
        }
        let values = [&[3][..], b"abc", &1_u16.to_ne_bytes(), &2_u64.to_ne_bytes()].concat();
        strip.check(&values).unwrap();
        assert!(strip.check(&[values, vec![0]].concat()).is_err());
    }
}
