//! The records of a span's life: start, enter, leave, update, follows, end.

use tracing_core::field::Visit;
use ttlog_core::event::{Cons, Field, Nil, Role};
use ttlog_core::{Callsite, Fields, Level, Metadata};

use super::level::is_recording;
use super::short_values::encode_short;
use super::sites::{Site, site};
use super::values::encode;
use crate::event::record::record;
use crate::span::ids::next_id;
use crate::span::kept_start::KEPT_WORDS;
use crate::span::round;
use crate::span::table::{OpenSpan, spans};
use crate::state;
use crate::sys::report;

/// A record that consists of ids.
macro_rules! record_of_ids {
    ($name:ident, $message:literal, [$($field:expr),*]) => {
        static $name: Callsite = Callsite::new(&Metadata {
            level: Level::Trace,
            target: "tracing::span",
            message: $message,
            file: "",
            line: 0,
            fields: &[$($field),*],
        });
    };
}

record_of_ids!(ENTER, "enter", [Field::id("span", Role::Enter)]);
record_of_ids!(LEAVE, "leave", [Field::id("span", Role::Leave)]);
record_of_ids!(END, "end", [Field::id("span", Role::End)]);
record_of_ids!(FOLLOWS, "follows", [Field::id("span", Role::Update), Field::id("from", Role::Follows)]);

/// Records the start of a span that `owner` knows under the id that `key` returns for the recorded one, and makes it
/// findable. Returns `None` if it is not recorded.
#[inline]
pub(crate) fn start(
    owner: u64,
    key: impl FnOnce(u64) -> u64,
    parent: u64,
    attributes: &tracing_core::span::Attributes<'_>,
) -> Option<OpenSpan> {
    let site = site(attributes.metadata())?;
    if !site.main.is_enabled() {
        return None;
    }
    let id = next_id();
    let Some(span) = spans().insert(owner, key(id), id, std::ptr::from_ref(site.metadata).cast()) else {
        refuse();
        return None;
    };
    let unrecorded = Unrecorded(span);
    site.main.record(|out| {
        let visit = |visit: &mut dyn Visit| attributes.record(visit);
        let payload = encode(out, &[id, parent], site.shape, visit);
        let short = |out: &mut [u64]| encode_short(out, &[id, parent], site.shape.count, visit);
        spans().slot(span).start.keep(payload, round::current(), short);
        payload
    });
    std::mem::forget(unrecorded);
    Some(span)
}

/// A span that is being recorded. If a `Debug` impl panics meanwhile, nobody gets to know the span, so that it would
/// never end.
struct Unrecorded(OpenSpan);

impl Drop for Unrecorded {
    fn drop(&mut self) {
        spans().remove(self.0);
    }
}

/// Counts and reports a span for which there is no room.
#[cold]
#[inline(never)]
fn refuse() {
    static FULL: report::Once = report::Once::new();
    let Some(state) = state::current() else { return };
    state.ring.count_dropped(ttlog_core::DropReason::Unregistered, 1);
    FULL.warn(format_args!(
        "too many open spans: further ones are not recorded (but counted), and their events belong to the spans \
         around them"
    ));
}

/// Records that the thread enters a span.
#[inline]
pub(crate) fn enter(span: OpenSpan) {
    record_ids(&ENTER, Cons(span.id, Nil));
}

/// Records that the thread leaves a span.
#[inline]
pub(crate) fn leave(span: OpenSpan) {
    record_ids(&LEAVE, Cons(span.id, Nil));
}

/// Records that a span follows from another.
pub(crate) fn follows(span: OpenSpan, from: OpenSpan) {
    record_ids(&FOLLOWS, Cons(span.id, Cons(from.id, Nil)));
}

/// Records values of a span that were not known at its start.
pub(crate) fn update(span: OpenSpan, values: &tracing_core::span::Record<'_>) {
    let Some(site) = site_of(span) else { return };
    if let Some(update) = site.update.as_ref().filter(|_| is_recording()) {
        update.record(|out| encode(out, &[span.id], site.shape, |visit| values.record(visit)));
    }
}

/// Records once more how a span started, without stating that it starts now.
pub(crate) fn repeat(span: OpenSpan) {
    let Some(again) = site_of(span).and_then(|site| site.again.as_ref()) else { return };
    let mut payload = [0; KEPT_WORDS];
    let len = spans().slot(span).start.load(&mut payload);
    if len > 0 && spans().is_open(span) && is_recording() {
        again.record_payload(&payload[..len]);
    }
}

/// Records the end of a span, after which it is not found any more.
#[inline]
pub(crate) fn end(span: OpenSpan) {
    if spans().remove(span) {
        record_ids(&END, Cons(span.id, Nil));
    }
}

/// Returns the metadata of an open span.
pub(crate) fn metadata_of(span: OpenSpan) -> Option<&'static tracing_core::Metadata<'static>> {
    let metadata = spans().slot(span).data().cast::<tracing_core::Metadata<'static>>();
    // SAFETY: `start` alone adds spans, with data that are static metadata; a slot that was freed holds those of the
    // last span. (Null: never used.)
    unsafe { metadata.as_ref() }
}

fn site_of(span: OpenSpan) -> Option<&'static Site> {
    metadata_of(span).and_then(site)
}

/// Records ids, whatever the filter selects: the start of the span was recorded.
#[inline]
fn record_ids(callsite: &'static Callsite, ids: impl Fields) {
    if is_recording() {
        record::<false, _>(callsite, ids);
    }
}
