//! The lowest layer: system calls for which std has no safe form, each behind a safe function, and the lines that the
//! recorder prints.
//!
//! Signal handlers make their own system calls: they are in [`memory::guard`](crate::memory), [`death`](crate::death),
//! [`signal_chain`] and [`service`](crate::service).
//!
//! On systems other than Linux the functions that only a mapped ring needs are absent, and the others return honest
//! answers (nobody is another user, no limit is known).

mod disk;
mod file;
mod identity;
mod lock;
mod memory;
mod random;
pub(crate) mod report;
mod signal;
#[cfg(target_os = "linux")]
pub(crate) mod signal_chain;
mod text;
mod time;
#[cfg(unix)]
mod user;

pub(crate) use disk::Disk;
pub(crate) use file::*;
pub(crate) use identity::*;
pub(crate) use lock::lock;
pub(crate) use memory::*;
pub(crate) use random::random;
pub(crate) use signal::*;
pub(crate) use text::cut;
pub(crate) use time::*;
#[cfg(unix)]
pub(crate) use user::*;
