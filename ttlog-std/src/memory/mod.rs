//! Where the words of the ring live.

#[cfg(target_os = "linux")]
pub(crate) mod guard;
pub(crate) mod process_item;
pub(crate) mod ring_file;
