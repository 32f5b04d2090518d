//! Snapshots: requests, scheduling, writing of files, and retention.

pub(crate) mod batch;
pub(crate) mod cause;
pub(crate) mod error;
pub(crate) mod file;
#[cfg(unix)]
pub(crate) mod hand_over;
pub(crate) mod os;
pub(crate) mod queue;
pub(crate) mod retention;
pub(crate) mod room;
pub(crate) mod schedule;
pub(crate) mod scratch;
pub(crate) mod throttle;
pub(crate) mod ticket;
