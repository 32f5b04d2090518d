//! The floor: the least work of any recorder with timestamps.
//!
//! It reads the processor's counter once and stores 32 bytes to a ring of 16 MiB in a mapped file. The values come from
//! the same table, through the same loop, as those of the events, so the loop's own cost cancels.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::{MmapMut, MmapOptions};

use crate::error::{Result, ensure};
use crate::harness::recorder::RING_LEN;
use crate::workload::inputs::{INPUT_COUNT, Input, Inputs};

/// Bytes per store.
pub const CELL_LEN: usize = 32;

const CELL_COUNT: usize = RING_LEN / CELL_LEN;
type Cells = [[AtomicU64; CELL_LEN / 8]; CELL_COUNT];

/// A mapped file to store into.
#[derive(Debug)]
pub struct Floor {
    map: MmapMut,
}

impl Floor {
    /// Maps an unnamed file in `directory`, or anonymous memory, with all pages present.
    ///
    /// # Errors
    /// If the file cannot be created or mapped.
    pub fn new(directory: Option<&Path>) -> Result<Self> {
        let mut map = match directory {
            Some(directory) => Self::map_file(directory)?,
            None => MmapMut::map_anon(RING_LEN)?,
        };
        map.fill(0xFF);
        Ok(Floor { map })
    }

    fn map_file(directory: &Path) -> Result<MmapMut> {
        let path = directory.join(format!(".floor-{}.tmp", std::process::id()));
        let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path)?;
        std::fs::remove_file(&path)?;
        file.set_len(RING_LEN as u64)?;
        // SAFETY: nobody else can open the file, and it is not truncated.
        Ok(unsafe { MmapOptions::new().populate().map_mut(&file)? })
    }

    fn cells(&self) -> &Cells {
        // SAFETY: the mapping has this length, is aligned to a page, and is writable; it is accessed only through this
        // function, with atomic operations, while it is shared.
        unsafe { &*self.map.as_ptr().cast::<Cells>() }
    }

    /// Stores `count` cells, from input `first` on.
    pub fn run(&self, inputs: &Inputs, first: u64, count: u64) {
        store(self.cells(), inputs, first, count);
    }

    /// Checks the values of the last cells that [`run`](Self::run) stored before `next`, and that they are of one lap.
    ///
    /// # Errors
    /// If a cell is wrong.
    pub fn check(&self, inputs: &Inputs, next: u64) -> Result<()> {
        let first = next.saturating_sub(1000);
        let ticks_of = |index: u64| self.cells()[index as usize % CELL_COUNT][0].load(Ordering::Relaxed);
        for index in first..next {
            let Input { quantity, price, .. } = inputs[index as usize % INPUT_COUNT];
            let cell = &self.cells()[index as usize % CELL_COUNT];
            let stored = [2, 3].map(|word: usize| cell[word].load(Ordering::Relaxed));
            ensure!(stored == [quantity, price.to_bits()], "the floor's cell {index} holds {stored:x?}");
            ensure!(ticks_of(index) >= ticks_of(first), "the floor's cell {index} is of an earlier lap");
        }
        Ok(())
    }
}

#[inline(never)]
fn store(cells: &Cells, inputs: &Inputs, first: u64, count: u64) {
    for index in first..first + count {
        let Input { text, quantity, price } = inputs[index as usize % INPUT_COUNT];
        let cell = &cells[index as usize % CELL_COUNT];
        cell[0].store(ticks(), Ordering::Relaxed);
        cell[1].store(text.as_ptr() as u64 ^ text.len() as u64, Ordering::Relaxed);
        cell[2].store(quantity, Ordering::Relaxed);
        cell[3].store(price.to_bits(), Ordering::Relaxed);
    }
}

/// Reads the processor's counter; on processors other than x86_64 and aarch64 the clock of the operating system.
#[inline(always)]
#[must_use]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: reads a register that every x86_64 processor has.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: reads a register that operating systems let programs read.
        unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
        ticks
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed().as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::inputs::{Texts, table};

    #[test]
    fn stores_what_is_checked() {
        let floor = Floor::new(Some(&std::env::temp_dir())).unwrap();
        let inputs = table(Texts::Symbols);
        assert!(floor.check(inputs, 10).is_err(), "nothing was stored yet");
        floor.run(inputs, 0, CELL_COUNT as u64 + 5);
        floor.check(inputs, CELL_COUNT as u64 + 5).unwrap();
        assert!(floor.check(inputs, CELL_COUNT as u64 + 6).is_err());
    }
}
