//! The spans that a thread is in, and their ids: those of the program's own macros and those of `tracing` in one.

#[cfg(feature = "tracing")]
pub(crate) mod freed;
pub(crate) mod ids;
#[cfg(feature = "tracing")]
pub(crate) mod kept_start;
#[cfg(feature = "tracing")]
pub(crate) mod round;
pub(crate) mod stack;
#[cfg(feature = "tracing")]
pub(crate) mod table;
