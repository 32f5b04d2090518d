//! The work of one thread while the program logs: housekeeping, snapshots, the rings of dead processes.

mod backlog;
mod clock;
mod control;
mod family;
#[cfg(unix)]
pub(crate) mod hand_over;
mod housekeeping;
mod orphans;
#[cfg(target_os = "linux")]
mod relocate;
mod repeating;
#[cfg(target_os = "linux")]
mod ring_watch;
#[cfg(not(target_os = "linux"))]
#[path = "no_ring_watch.rs"]
mod ring_watch;
pub(crate) mod settle;
#[cfg(target_os = "linux")]
pub(crate) mod snapshot_signal;
#[cfg(not(target_os = "linux"))]
#[path = "none.rs"]
pub(crate) mod snapshot_signal;
pub(crate) mod take;
pub(crate) mod thread;
