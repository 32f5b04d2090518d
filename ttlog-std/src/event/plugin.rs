//! Plugins: receives the events of libraries that were loaded at run time and have their own copies of all statics. See
//! [`ttlog_core::recorder::plugin`] for their side.

use ttlog_core::recorder::Recorder;
use ttlog_core::recorder::plugin::{Host, PluginHandle};
use ttlog_core::{AnyFields, Callsite, Metadata, SpanContext};

use super::record::record_from;
use super::span;
use crate::span::ids::next_id;
use crate::span::stack;
use crate::state;
use crate::state::registry::Origin;

/// This process's recorder, as seen by plugins.
struct Plugins;

impl Recorder for Plugins {
    fn is_on(&self, metadata: &Metadata) -> bool {
        state::current().is_some_and(|state| state.is_on(metadata))
    }

    fn record(&self, callsite: &'static Callsite, fields: &dyn AnyFields) {
        record_from(Origin::Plugin, callsite, fields);
    }

    fn new_span_id(&self) -> u64 {
        next_id()
    }

    fn start_span(&self, callsite: &'static Callsite, fields: &dyn AnyFields, id: u64, parent: &SpanContext) -> u32 {
        span::start_from(Origin::Plugin, callsite, fields, id, parent)
    }

    fn current_span(&self) -> SpanContext {
        stack::current()
    }

    fn enter_span(&self, span: &SpanContext, is_recorded: bool) {
        span::enter(span, is_recorded);
    }

    fn leave_span(&self, span: &SpanContext, ends: bool) {
        span::leave(span, ends);
    }

    fn end_span(&self, span: &SpanContext) {
        span::end(span);
    }

    fn random_of_span(&self, id: u64, index: u8) -> u64 {
        state::current().map_or(0, |state| span::random_of(state, id, index))
    }
}

static HOST: Host = Host::new(&Plugins);

/// Returns the handle for plugins of this process.
pub(crate) fn handle() -> PluginHandle {
    PluginHandle::new(&HOST)
}
