//! The recorder that macros use by default: a library logs through whichever recorder the program installs.

pub(crate) mod enabled;
#[cfg(not(target_os = "none"))]
pub(crate) mod host;
pub(crate) mod install;
#[cfg(not(target_os = "none"))]
pub mod plugin;

pub use install::{AlreadyInstalled, install, installed, record_any};

use crate::event::callsite::Callsite;
use crate::event::fields::AnyFields;
use crate::event::metadata::Metadata;
#[cfg(not(ttlog_device_callsites))]
use crate::event::span_context::SpanContext;

/// A destination for the events of enabled callsites.
pub trait Recorder: Sync {
    /// Returns whether to record events of such a callsite. Called once per callsite and epoch: code that changes the
    /// answer must then call [`start_epoch`](crate::event::epoch::start_epoch).
    ///
    /// Must not block, must not panic, and must be callable wherever the program logs.
    fn is_on(&self, metadata: &Metadata) -> bool;

    /// Records the event, or counts it as lost.
    ///
    /// Must not block, must not panic, and must be callable wherever the program logs.
    fn record(&self, callsite: &'static Callsite, fields: &dyn AnyFields);

    /// Returns the id of a new span, which no other span of the recording has. 0, as by default: the recorder has no
    /// spans, and none is recorded.
    #[cfg(not(ttlog_device_callsites))]
    fn new_span_id(&self) -> u64 {
        0
    }

    /// Records the start of a span with an id from [`new_span_id`](Self::new_span_id); `fields` begin with that id and
    /// that of the parent. Returns the [`place`](SpanContext::place) where it keeps the start; 0: it does not.
    ///
    /// Must not block, must not panic, and must be callable wherever the program logs.
    #[cfg(not(ttlog_device_callsites))]
    fn start_span(&self, callsite: &'static Callsite, fields: &dyn AnyFields, id: u64, parent: &SpanContext) -> u32 {
        let _ = (id, parent);
        self.record(callsite, fields);
        0
    }

    /// Returns the innermost span that the calling context is in.
    #[cfg(not(ttlog_device_callsites))]
    fn current_span(&self) -> SpanContext {
        SpanContext::NONE
    }

    /// Makes a span the innermost one of the calling context. Unless that `is_recorded` already, it records it.
    ///
    /// Like all methods about spans: must not block, must not panic, and must be callable wherever the program logs.
    /// Spans can be left in another order than they were entered in.
    #[cfg(not(ttlog_device_callsites))]
    fn enter_span(&self, span: &SpanContext, is_recorded: bool) {
        let _ = (span, is_recorded);
    }

    /// Records that the calling context leaves a span, and that the span `ends` if so.
    #[cfg(not(ttlog_device_callsites))]
    fn leave_span(&self, span: &SpanContext, ends: bool) {
        let _ = (span, ends);
    }

    /// Records the end of a span.
    #[cfg(not(ttlog_device_callsites))]
    fn end_span(&self, span: &SpanContext) {
        let _ = span;
    }

    /// Returns a number that depends on the span and on `index`, always the same, and that nobody finds anywhere else
    /// or can guess; never 0. Ids of traces are made of such numbers.
    #[cfg(not(ttlog_device_callsites))]
    fn random_of_span(&self, id: u64, index: u8) -> u64 {
        let _ = (id, index);
        0
    }
}
