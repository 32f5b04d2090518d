//! The words of a ring and what is done to them: atomic access, checksums, and the places at which tests cut a writer off.

pub(crate) mod atomic;
pub(crate) mod crc;
#[cfg(ttlog_kill_points)]
pub mod kill;
#[cfg(not(ttlog_kill_points))]
pub(crate) mod kill;
pub(crate) mod word;
