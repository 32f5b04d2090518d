//! The commands.

pub mod cli;
pub mod device;
pub mod doctor;
pub mod level;
pub mod options;
pub mod recover;
pub mod show;
pub mod snapshot;
pub mod verify;
