//! The clock of the recorder: what it reads, how fast it goes, what time of day it means.
//!
//! [`choose`](choose()) selects what to read and learns its rate, which `tsc` measures on x86_64. [`read`] is what
//! events and anchors use. [`watch`] finds steps of the wall clock and wrong counters, from readings alone.

pub(crate) mod choose;
pub(crate) mod read;
#[cfg(any(target_arch = "x86_64", test))]
mod tsc;
pub(crate) mod watch;

pub(crate) use choose::choose;
pub(crate) use read::*;
