//! Events of other facades: `tracing` and `log` (features of the same names).
//!
//! Each of their callsites gets one of ours at its first event, found by a table without a lock. The types of their
//! values are known only when an event is recorded, so values carry their types. They are encoded into a buffer of the
//! thread, and copied into the ring in one go: an impl of `Debug` that logs or panics does no harm to the ring.

mod buffer;
mod callsite;
#[cfg(feature = "tracing")]
mod event_record;
#[cfg(feature = "tracing")]
pub(crate) mod filter;
pub(crate) mod follow;
mod intern;
#[cfg(feature = "tracing")]
pub(crate) mod layer;
mod level;
#[cfg(feature = "tracing")]
mod log_event;
mod log_sites;
#[cfg(feature = "log")]
pub(crate) mod logger;
#[cfg(feature = "tracing")]
pub(crate) mod repeat;
#[cfg(feature = "tracing")]
mod short_values;
#[cfg(feature = "tracing")]
mod sites;
#[cfg(feature = "tracing")]
mod span_records;
#[cfg(feature = "tracing")]
pub(crate) mod subscriber;
#[cfg(feature = "tracing")]
mod values;
