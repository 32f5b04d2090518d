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

#[doc(hidden)] // for the commands of ttlog-view, and may change with them
pub mod coredump;
#[cfg(feature = "defmt")]
#[doc(hidden)] // for the commands of ttlog-view, and may change with them
pub mod defmt;
#[doc(hidden)] // for the commands of ttlog-view, and may change with them
pub mod detect;
#[doc(hidden)] // for the commands of ttlog-view, and may change with them
pub mod elf;
#[doc(hidden)] // for the commands of ttlog-view, and may change with them
pub mod firmware;
mod geometry;
pub mod load;
#[doc(hidden)] // for the commands of ttlog-view, and may change with them
pub mod memory;
#[cfg(feature = "probe")]
#[doc(hidden)] // for the commands of ttlog-view, and may change with them
pub mod probe;
#[doc(hidden)] // for the commands of ttlog-view, and may change with them
pub mod ranges;
#[doc(hidden)] // for the commands of ttlog-view, and may change with them
pub mod receiver;
#[doc(hidden)] // for the commands of ttlog-view, and may change with them
pub mod session;
#[doc(hidden)] // for the commands of ttlog-view, and may change with them
pub mod sessions;
