//! The commands for devices: what is in their memory, or comes from them, becomes snapshots that are shown like all others.

pub mod dictionary;
pub mod image;
pub mod probe;
pub mod recordings;
pub mod serial;
pub mod stream;
