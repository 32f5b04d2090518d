//! What is written when the process ends.

#[cfg(target_os = "linux")]
pub(crate) mod end;
#[cfg(not(target_os = "linux"))]
#[path = "none.rs"]
pub(crate) mod end;
pub(crate) mod panic;
