//! Devices: rings that are in the memory of a microcontroller, or come from one over a byte stream.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`firmware`], [`elf`] | what callsites of a firmware say: from its ELF file, or a dictionary made of one |
//! | `defmt` | what firmware logs with defmt (feature `defmt`) |
//! | [`memory`] | finds rings in memory, and copies them |
//! | `probe` | memory behind a debug probe (feature `probe`) |
//! | [`ranges`], [`coredump`] | memory from files |
//! | [`receiver`] | dumps in byte streams |
//! | `geometry` | the layout of a ring whose header did not come |
//! | [`load`] | reads what is known of firmwares from files |
//! | [`session`], [`sessions`] | makes a snapshot of each session of a ring, which then goes the way of all snapshots |
//! | [`detect`] | finds out what files without a command are recordings of devices |

pub mod coredump;
#[cfg(feature = "defmt")]
pub mod defmt;
pub mod detect;
pub mod elf;
pub mod firmware;
mod geometry;
pub mod load;
pub mod memory;
#[cfg(feature = "probe")]
pub mod probe;
pub mod ranges;
pub mod receiver;
pub mod session;
pub mod sessions;
