//! The end of the process: the mark of a signal or of `exit`, and the events and snapshot of a panic.

mod backtrace;
#[cfg(target_os = "linux")]
pub(crate) mod end;
#[cfg(not(target_os = "linux"))]
#[path = "none.rs"]
pub(crate) mod end;
mod means;
pub(crate) mod panic;
mod panic_event;
