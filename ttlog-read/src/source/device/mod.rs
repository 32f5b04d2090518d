//! Devices: rings in the memory of a microcontroller, or received from one over a byte stream.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`firmware`], [`elf`] | callsites of a firmware: from its ELF file, or a dictionary made from one |
//! | `defmt` | decodes what firmware logs with defmt (feature `defmt`) |
//! | [`memory`] | finds rings in memory, and copies them |
//! | `probe` | memory behind a debug probe (feature `probe`) |
//! | [`ranges`], [`coredump`] | memory from files |
//! | [`receiver`] | dumps in byte streams |
//! | `geometry` | reconstructs the layout of a ring whose header is missing |
//! | [`load`] | reads firmware data from files |
//! | [`session`], [`sessions`] | make a snapshot of each session of a ring, which is then handled like any other |
//! | [`detect`] | recognizes recordings of devices among input files |

#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod coredump;
#[cfg(feature = "defmt")]
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod defmt;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod detect;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod elf;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod firmware;
mod geometry;
pub mod load;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod memory;
#[cfg(feature = "probe")]
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod probe;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod ranges;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod receiver;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod session;
#[doc(hidden)] // for the commands of ttlog-view; can change with them
pub mod sessions;
