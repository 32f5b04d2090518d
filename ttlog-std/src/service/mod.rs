//! What one thread does meanwhile.

pub(crate) mod backlog;
pub(crate) mod clock;
pub(crate) mod control;
pub(crate) mod housekeeping;
pub(crate) mod orphans;
#[cfg(target_os = "linux")]
pub(crate) mod snapshot_signal;
