//! Devices: rings that are in the memory of a microcontroller, or come from one over a byte stream.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`firmware`], [`elf`] | what callsites of a firmware say: from its ELF file, or a dictionary made of one |
//! | [`dictionary`] | the command of this name |
//! | [`memory`] | finds rings in memory, and copies them |
//! | [`image`], [`coredump`] | memory from files |

pub mod coredump;
pub mod dictionary;
pub mod elf;
pub mod firmware;
pub mod image;
pub mod memory;
