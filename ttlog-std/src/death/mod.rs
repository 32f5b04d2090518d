//! What is written when the process ends.

#[cfg(target_os = "linux")]
pub(crate) mod end;
pub(crate) mod panic;
