//! The memory of a live device behind a debug probe, read with the library probe-rs.

use std::fmt;
use std::ops::Range;

use probe_rs::MemoryInterface;

use super::memory::{Memory, MemoryError};

/// The memory of a device, read with probe-rs.
pub struct ProbeMemory<'m, M: MemoryInterface> {
    memory: &'m mut M,
    ram: Vec<Range<u64>>,
}

impl<'m, M: MemoryInterface> ProbeMemory<'m, M> {
    /// Wraps the memory; `ram` holds the ranges that can contain a ring.
    #[must_use]
    pub fn new(memory: &'m mut M, ram: Vec<Range<u64>>) -> Self {
        ProbeMemory { memory, ram }
    }
}

impl<M: MemoryInterface> fmt::Debug for ProbeMemory<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeMemory").field("ram", &self.ram).finish_non_exhaustive()
    }
}

impl<M: MemoryInterface> Memory for ProbeMemory<'_, M> {
    fn read(&mut self, address: u64, out: &mut [u8]) -> Result<(), MemoryError> {
        self.memory.read(address, out).map_err(|error| MemoryError::Failed { address, reason: chain(&error) })
    }

    fn ram(&self) -> Vec<Range<u64>> {
        self.ram.clone()
    }
}

/// Formats an error with its causes.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
