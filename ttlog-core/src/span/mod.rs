//! Spans: periods of a program's work, with a name, fields, and a parent.
//!
//! [`span!`](crate::span!) and its like start a [`Span`], [`scope!`](crate::scope!) starts and enters one at once. The
//! records of a span are ordinary events whose fields have roles ([`Role`](crate::event::Role)). docs/spans.md is the
//! manual.
//!
//! On servers the recorder knows the spans that a context is in ([`Recorder::enter_span`](crate::recorder::Recorder)).
//! A device does not: its readers do, as a context is in what it has entered and not left.
//!
//! | file | content |
//! | --- | --- |
//! | `handle` | a span, and the guards of those that are entered |
//! | `future` | futures in spans |
//! | [`kept`] | the start of an open span, kept beside the ring by recorders |
//! | `parent` | what can be named as a parent |
//! | `start` | the start of a span, as the macros expand to it |
//! | `steps` | the records of a span after its start; `device_steps` those of devices |
//! | `trace` | traces of several processes, by W3C Trace Context |

#[cfg(ttlog_device_callsites)]
#[path = "device_steps.rs"]
pub(crate) mod steps;
#[cfg(not(ttlog_device_callsites))]
pub mod steps;

mod future;
mod handle;
#[cfg(not(ttlog_device_callsites))]
pub mod kept;
mod parent;
pub(crate) mod start;
mod trace;

pub use future::{InSpan, InSpanExt};
pub use handle::{Entered, Scope, Span};
pub use parent::{AnyParent, Parent};
pub use trace::{TraceId, Traceparent, TraceparentError};

pub use start::SpanStart;
