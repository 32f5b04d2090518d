//! Files written by the viewer.

pub(crate) mod lock;
pub mod snapshot_file;
