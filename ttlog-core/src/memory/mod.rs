//! Words of a ring and the operations on them: atomic access, checksums, and the points at which tests interrupt a
//! writer.

pub(crate) mod atomic;
pub(crate) mod crc;
#[cfg(test)]
pub(crate) mod kept;
#[cfg(ttlog_kill_points)]
pub mod kill;
#[cfg(not(ttlog_kill_points))]
pub(crate) mod kill;
pub(crate) mod word;
