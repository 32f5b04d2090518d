//! The clock of the recorder: its source, its rate, and its relation to the wall clock.
//!
//! [`choose`](choose()) selects the source and learns its rate, which `tsc` measures on x86_64. Events and anchors use
//! [`read`]. [`watch`] detects steps of the wall clock and faulty counters, from readings alone.

pub(crate) mod choose;
pub(crate) mod read;
#[cfg(any(target_arch = "x86_64", test))]
mod tsc;
pub(crate) mod watch;

pub(crate) use choose::choose;
pub(crate) use read::*;
