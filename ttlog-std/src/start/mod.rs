//! Starting the recorder.

pub(crate) mod builder;
mod init;
#[cfg(feature = "log")]
pub(crate) mod log;
mod options;
mod ring;
mod sizes;
#[cfg(feature = "tracing")]
pub(crate) mod tracing;
