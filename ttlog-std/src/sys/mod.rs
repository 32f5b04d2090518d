//! System calls that std has no safe form of, each behind a safe function, and small means that everything else is built on.

mod file;
pub(crate) mod report;
mod signal;
#[cfg(target_os = "linux")]
pub(crate) mod signal_chain;

pub(crate) use file::*;
pub(crate) use signal::*;
