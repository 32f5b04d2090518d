//! The clock of the recorder: what it reads, how fast it goes, what time of day it means.

pub(crate) mod choose;
pub(crate) mod read;
#[cfg(any(target_arch = "x86_64", test))]
mod tsc;
pub(crate) mod watch;

pub(crate) use choose::choose;
pub(crate) use read::*;
