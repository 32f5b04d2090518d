//! Files that the viewer writes.

pub mod snapshot_file;
