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
#[cfg_attr(not(target_os = "linux"), path = "memory_limit_none.rs")]
mod memory_limit;
mod random;
pub(crate) mod report;
mod signal;
#[cfg(target_os = "linux")]
pub(crate) mod signal_chain;
mod stack;
mod text;
mod thread_end;
mod thread_name;
mod time;
#[cfg(unix)]
mod user;

pub(crate) use disk::{Disk, is_in_memory};
pub(crate) use file::*;
pub(crate) use identity::*;
pub(crate) use lock::lock;
pub(crate) use memory::*;
pub(crate) use memory_limit::{MemoryLimit, machine_memory_bytes};
pub(crate) use random::random;
pub(crate) use signal::*;
pub(crate) use stack::stack_left;
pub(crate) use text::cut;
pub(crate) use thread_end::{call_at_thread_end, prepare_thread_ends};
pub(crate) use thread_name::OsName;
pub(crate) use time::*;
#[cfg(unix)]
pub(crate) use user::*;
