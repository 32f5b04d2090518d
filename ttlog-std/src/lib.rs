//! A flight recorder for servers: structured events that outlive the process.
//!
//! A program logs through macros. The events go into a ring of fixed size in a mapped file, and stay readable whatever
//! ends the process: a panic, an abort, a segmentation fault, `kill -9`. The next start turns the ring of a dead
//! process into a snapshot, and `ttlog-view` shows rings and snapshots.
//!
//! ```
//! use ttlog_std::{Recorder, error, info};
//!
//! let recorder = Recorder::init(100_000, 100, "shop");
//! info!("order executed", symbol = "ACME", quantity = 1000_u64, price = 150.25);
//! error!("order {id} rejected", id = 12_345_u64, reason = "insufficient funds");
//! # recorder.shutdown();
//! ```
//!
//! # The contract
//!
//! - **Bounded.** An event costs a level check, a clock reading and a few stores: no lock, no allocation, no system
//!   call. Memory is fixed at the start and does not grow with threads, callsites or time.
//! - **Blocks.** Only [`Builder::build`], [`SnapshotTicket::wait`], [`Recorder::shutdown`] and the panic hook wait,
//!   each for a bounded time, except for `wait`. Log calls never do, in signal handlers, allocators and destructors of
//!   thread-locals too.
//! - **Full.** The oldest events are overwritten and counted. Warnings and errors have their own part of the ring, so
//!   that a flood of other events does not overwrite them.
//! - **Lost.** Every lost event is counted: an event that cannot be recorded is dropped and counted by cause
//!   ([`Recorder::loss`]). The ring does not survive the end of the *machine*; only snapshots do.
//! - **Ends.** Every event whose macro has returned is in the ring's file, which also records how the process ended. On
//!   systems other than Linux the ring is on the heap, and one warning is printed to stderr.
//! - **Panic.** A panic becomes an event, its backtrace another, and both a snapshot; then the previous hook runs. The
//!   recorder itself never panics and never ends the process.
//! - **Clock.** Events carry ticks of the processor's counter if it can be trusted, and readers convert them to
//!   wall-clock time, to within a microsecond. Order and durations stay right when the wall clock is set.
//!
//! # Chapters
//!
//! | chapter | contents |
//! | --- | --- |
//! | [macros](info) | the syntax of a log call |
//! | [spans](info_span) | periods of work, functions and futures in spans, traces of several processes |
//! | [costs](_documentation::costs) | what an event costs, what is bounded, what blocks, the clock |
//! | [files](_documentation::files) | where the ring and the snapshots are |
//! | [ends](_documentation::ends) | what the ring records about how the process ended |
//! | [snapshots](_documentation::snapshots) | when a snapshot is taken |
//! | [retention](_documentation::retention) | how far back the ring reaches, and which snapshots are retained |
//! | [configuration](_documentation::configuration) | all options, and their environment variables |
//! | [levels](_documentation::levels) | the filter, warnings and errors, levels compiled out |
//! | [secrets](_documentation::secrets) | which values are withheld, and what stays readable |
//! | [forks](_documentation::forks) | children of `fork` |
//! | [plugins](_documentation::plugins) | libraries loaded at run time |
//! | [platforms](_documentation::platforms) | Linux, macOS, Windows |
#![cfg_attr(feature = "tracing", doc = "| [tracing](_documentation::tracing) | events and spans of `tracing` |")]
#![cfg_attr(feature = "log", doc = "| [log](_documentation::log) | records of `log` |")]
//!
//! # Scope
//!
//! It records the most recent events, for analysis afterwards, and complements what a program has for other purposes.
//! With the features `tracing` and `log`, it records what the program emits through these anyway, spans included.

extern crate self as ttlog_std;

#[cfg(any(feature = "tracing", feature = "log"))]
mod bridge;
mod clock;
mod config;
mod death;
mod event;
mod fork;
mod macros;
mod memory;
mod recorder;
mod service;
mod snapshot;
mod span;
mod start;
mod state;
mod sys;

#[cfg(test)]
#[path = "../tests/common/skip.rs"]
#[allow(unreachable_pub, reason = "it is public among the integration tests")]
mod skip;

pub use config::error::InitError;
pub use config::settings::{
    CAPACITY_BYTES_DEFAULT, CAPACITY_BYTES_MAX, CAPACITY_BYTES_MIN, CHANNEL_CAPACITY_MAX, FatalSignals, RingFileChoice,
    SnapshotSignal,
};
pub use recorder::Recorder;
#[doc(no_inline)]
pub use recorder::Recorder as Trace;
#[cfg(unix)]
pub use service::hand_over::HandOverError;
pub use snapshot::error::SnapshotError;
pub use snapshot::ticket::SnapshotTicket;
pub use start::builder::Builder;
pub use state::window::Window;
pub use ttlog_core::__private::ValueOfStd as Value;
pub use ttlog_core::event::capture::Value;
pub use ttlog_core::event::filter::FilterErrorKind;
pub use ttlog_core::recorder::plugin::PluginHandle;
pub use ttlog_core::{
    Entered, FilterError, InSpan, InSpanExt, Level, Loss, Scope, Span, SpanContext, TraceId, Traceparent,
};
/// Runs a function in a span of its own; see [`info_span!`].
pub use ttlog_macros::instrument_std as instrument;

/// Events and spans of `tracing` (feature `tracing`); the chapter is [`_documentation::tracing`].
#[cfg(feature = "tracing")]
pub mod tracing {
    pub use crate::bridge::layer::{RecorderLayer, layer};
    pub use crate::bridge::subscriber::{RecorderSubscriber, subscriber};
    pub use crate::start::tracing::init;
}

/// Records of `log` (feature `log`); the chapter is [`_documentation::log`].
#[cfg(feature = "log")]
pub mod log {
    pub use crate::bridge::logger::{Logger, logger};
    pub use crate::start::log::init;
}

/// Support for the expansion of the macros. Not for direct use; can change in any version.
#[doc(hidden)]
pub mod __private {
    pub use crate::event::record::record;
    pub use crate::event::span::{contextual, root, scope, under, updated};
    pub use ttlog_core::__private::derive;
    pub use ttlog_core::__private::{
        AsDebug, AsDisplay, Bare, Callsite, Cons, Field, Level, Literal, Metadata, Nil, Role, Scope, Shown, Span,
        SpanStart, Templ, TemplDebug, Value, ViaDebug, ViaDisplay, ViaError, ViaNothing, ViaOwnDebug, ViaOwnDisplay,
        ViaValue, event, is_priority, level_enabled, never, span, span_of,
    };
}

/// The manual, one chapter per module.
pub mod _documentation {
    #[doc = include_str!("../docs/configuration.md")]
    pub mod configuration {}
    #[doc = include_str!("../docs/costs.md")]
    pub mod costs {}
    #[doc = include_str!("../docs/ends.md")]
    pub mod ends {}
    #[doc = include_str!("../docs/files.md")]
    pub mod files {}
    #[doc = include_str!("../docs/forks.md")]
    pub mod forks {}
    #[doc = include_str!("../docs/levels.md")]
    pub mod levels {}
    #[cfg(feature = "log")]
    #[doc = include_str!("../docs/log.md")]
    pub mod log {}
    #[doc = include_str!("../docs/platforms.md")]
    pub mod platforms {}
    #[doc = include_str!("../docs/plugins.md")]
    pub mod plugins {}
    #[doc = include_str!("../docs/retention.md")]
    pub mod retention {}
    #[doc = include_str!("../docs/secrets.md")]
    pub mod secrets {}
    #[doc = include_str!("../docs/snapshots.md")]
    pub mod snapshots {}
    #[cfg(feature = "tracing")]
    #[doc = include_str!("../docs/tracing.md")]
    pub mod tracing {}
}

/// Compiles the example of the repository's README with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
