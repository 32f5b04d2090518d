//! The commands for devices: recordings in the memory of a device, or sent by it, become snapshots and are shown like
//! all others.

pub mod dictionary;
pub mod image;
pub mod outage;
pub mod place;
pub mod probe;
pub mod recordings;
pub mod serial;
pub mod stream;
