//! Snapshots: who asks for one, when it may begin, how it becomes a file, and which files stay.

pub(crate) mod batch;
pub(crate) mod cause;
pub(crate) mod file;
pub(crate) mod names;
pub(crate) mod os;
pub(crate) mod queue;
pub(crate) mod retention;
pub(crate) mod throttle;
pub(crate) mod ticket;
