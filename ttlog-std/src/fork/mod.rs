//! Rings for children of `fork`.

#[cfg(target_os = "linux")]
mod child;
#[cfg(not(target_os = "linux"))]
#[path = "none.rs"]
mod child;
#[cfg(target_os = "linux")]
mod room;
#[cfg(target_os = "linux")]
mod shape;
#[cfg(target_os = "linux")]
mod thread;

pub(crate) use child::{NO_SERVICE_THREAD, make_sure_of_ring, may_record, prepare_children};
