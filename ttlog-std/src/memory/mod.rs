//! Memory for the words of the ring: in a mapped file, or on the heap.

#[cfg(target_os = "linux")]
pub(crate) mod budget;
#[cfg(target_os = "linux")]
pub(crate) mod child_place;
pub(crate) mod directory;
#[cfg(target_os = "linux")]
pub(crate) mod guard;
#[cfg(target_os = "linux")]
pub(crate) mod hand_over;
pub(crate) mod heap;
#[cfg(target_os = "linux")]
pub(crate) mod held_directory;
#[cfg(not(target_os = "linux"))]
mod none;
pub(crate) mod process_item;
#[cfg(target_os = "linux")]
pub(crate) mod ring_file;
#[cfg(target_os = "linux")]
pub(crate) mod twin;

#[cfg(not(target_os = "linux"))]
pub(crate) use none::{budget, guard, ring_file};
