//! Memory from files: a raw image of RAM.

use std::ops::Range;

use super::memory::{Memory, MemoryError};

/// Ranges of memory that were copied, each contiguous.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    /// Start address and bytes of each range.
    ranges: Vec<(u64, Vec<u8>)>,
}

impl Ranges {
    /// Wraps the bytes of a raw image whose first byte was at `base`.
    #[must_use]
    pub fn raw(base: u64, bytes: Vec<u8>) -> Self {
        let mut ranges = Ranges::default();
        ranges.add(base, bytes);
        ranges
    }

    /// Adds a range. If it begins where the last one ended, it extends that one. Bytes beyond the last address are cut
    /// off.
    pub fn add(&mut self, start: u64, mut bytes: Vec<u8>) {
        let room = u64::MAX - start;
        bytes.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        match self.ranges.last_mut() {
            _ if bytes.is_empty() => {}
            // Some tools split one contiguous range into several.
            Some((before, last)) if *before + last.len() as u64 == start => last.append(&mut bytes),
            _ => self.ranges.push((start, bytes)),
        }
    }

    /// Returns whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl Memory for Ranges {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryError> {
        let part = self.ranges.iter().find_map(|(start, bytes)| {
            let offset = usize::try_from(address.checked_sub(*start)?).ok()?;
            bytes.get(offset..)?.get(..out.len())
        });
        match part {
            Some(part) => {
                out.copy_from_slice(part);
                Ok(())
            }
            None => Err(MemoryError::NotThere { address, len_bytes: out.len() as u64 }),
        }
    }

    fn ram(&self) -> Vec<Range<u64>> {
        self.ranges.iter().map(|(start, bytes)| *start..start + bytes.len() as u64).collect()
    }
}
