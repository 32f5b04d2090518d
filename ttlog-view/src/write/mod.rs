//! Files that the viewer writes.

pub(crate) mod lock;
pub mod snapshot_file;
