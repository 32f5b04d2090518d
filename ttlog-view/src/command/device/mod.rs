//! The commands for devices.

pub mod dictionary;
pub mod image;
pub mod probe;
pub mod serial;
