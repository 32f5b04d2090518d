//! The recorder that libraries use which know only ttlog-core.

use ttlog_core::recorder::Recorder;
use ttlog_core::{AnyFields, Callsite, Metadata, SpanContext};

use super::record::record_slow;
use super::span;
use crate::span::ids::next_id;
use crate::span::stack;
use crate::state::State;
use crate::state::registry::Origin;

impl Recorder for State {
    fn is_on(&self, metadata: &Metadata) -> bool {
        self.filter.is_on(metadata) && self.is_recording()
    }

    fn record(&self, callsite: &'static Callsite, fields: &dyn AnyFields) {
        record_slow(callsite, fields);
    }

    fn new_span_id(&self) -> u64 {
        next_id()
    }

    fn start_span(&self, callsite: &'static Callsite, fields: &dyn AnyFields, id: u64, parent: &SpanContext) -> u32 {
        span::start_from(Origin::Program, callsite, fields, id, parent)
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
        span::random_of(self, id, index)
    }
}
