//! The events of a panic: first its message and place, then its backtrace.
//!
//! The first event must be in the ring before anything is done that can fail, hang or be forbidden: under a seccomp
//! filter that ends the process for opening a file, without memory or descriptors, inside the allocator, on the last
//! bytes of a stack. So up to there nothing is allocated, no system call is made, and little stack is used. The
//! callsites are registered at the start. A thread whose first event this is gets its number now, and its name later.
//!
//! Both events carry the number of the panic in this process.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::panic::{Location, PanicHookInfo};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ttlog_core::event::{Cons, Field, Nil, Role, level_enabled};
use ttlog_core::{AnyFields, Callsite, Level, Metadata, Value};

use crate::event::record;
use crate::fork;
use crate::span::stack;
use crate::state::State;
use crate::state::thread::{IDENTITY, SlowPathGuard, cursor};
use crate::sys::cut;

/// Longest message that is recorded, in bytes.
const MESSAGE_LEN_MAX: usize = 2 * 1024;
/// Longest path of a source file that is recorded, in bytes: the end of it.
const PATH_LEN_MAX: usize = 192;
/// Longest place: the path, two numbers of 10 digits, two colons.
const PLACE_LEN_MAX: usize = PATH_LEN_MAX + 22;

const PANICKED: Metadata = Metadata {
    level: Level::Error,
    target: "panic",
    message: "panicked at {location}: {message}",
    file: file!(),
    line: line!(),
    fields: &[
        Field::id("span", Role::Span),
        Field::dynamic("location"),
        Field::dynamic("message"),
        Field::dynamic("panic"),
    ],
};
static PANICKED_CALLSITE: Callsite = Callsite::new(&PANICKED);

const BACKTRACE: Metadata = Metadata {
    level: Level::Error,
    target: "panic",
    message: "backtrace of the panic at {location}",
    file: file!(),
    line: line!(),
    fields: &[
        Field::id("span", Role::Span),
        Field::dynamic("location"),
        Field::dynamic("panic"),
        Field::dynamic("backtrace"),
    ],
};
static BACKTRACE_CALLSITE: Callsite = Callsite::new(&BACKTRACE);

/// Number of panics of this process.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// A recorded panic.
pub(super) struct PanicEvent {
    place: Capped<PLACE_LEN_MAX>,
    number: u64,
    /// Id of the span that the thread is in; 0: none.
    span: u64,
    /// Whether it is the first event of its thread, of which the name is not known yet.
    is_first_of_thread: bool,
}

/// Registers the callsites. Called once, at the start.
pub(super) fn register(state: &'static State) {
    with_fields(0, "", "", 0, |fields| record::register(state, &PANICKED_CALLSITE, fields));
    with_backtrace_fields(0, "", 0, "", |fields| record::register(state, &BACKTRACE_CALLSITE, fields));
}

impl PanicEvent {
    /// Counts the panic and records its message and place. Nothing here allocates, waits or makes a system call, except
    /// in a child of `fork` that has no ring yet.
    #[inline(never)] // its buffers leave the stack before anything else is done
    pub(super) fn record(state: &'static State, info: &PanicHookInfo<'_>) -> Self {
        if !state.renewal.is_ready() {
            fork::make_sure_of_ring(state);
        }
        let (is_new, os_thread_id) = IDENTITY.with(|identity| (identity.number(), identity.os_thread_id.get()));
        let event = PanicEvent {
            place: place(info.location()),
            number: COUNT.fetch_add(1, Ordering::Relaxed) + 1,
            span: stack::current().id(),
            is_first_of_thread: is_new,
        };
        let passage = state.enter(0); // if possible, not while the ring is moved to another file
        state.ring.count_panic(state.clock.precise_now(), os_thread_id);
        drop(passage);
        if is_on(&PANICKED_CALLSITE) {
            let message = cut(message(info), MESSAGE_LEN_MAX);
            with_fields(event.span, event.place.as_str(), message, event.number, |fields| {
                record::record_slow(&PANICKED_CALLSITE, fields);
            });
        }
        event
    }

    /// Completes what was left out if this was the first event of its thread: records the thread's name, for the event,
    /// too. Can allocate.
    #[inline(never)]
    pub(super) fn introduce_thread(&self, state: &'static State) {
        if !self.is_first_of_thread {
            return;
        }
        IDENTITY.with(|identity| {
            identity.find_out();
            let Some(_slow_path) = SlowPathGuard::enter(state) else { return };
            state.ring.name_panic_thread(identity.os_thread_id.get());
            if identity.is_known() {
                cursor().introduce(&state.ring, &crate::clock::now, identity);
            }
        });
    }

    /// Records the backtrace that `capture` returns, if events of panics are recorded.
    #[inline(never)]
    pub(super) fn record_backtrace(&self, capture: impl FnOnce() -> Option<String>) {
        if !is_on(&BACKTRACE_CALLSITE) {
            return;
        }
        if let Some(backtrace) = capture() {
            with_backtrace_fields(self.span, self.place.as_str(), self.number, &backtrace, |fields| {
                record::record_slow(&BACKTRACE_CALLSITE, fields);
            });
        }
    }
}

fn is_on(callsite: &'static Callsite) -> bool {
    level_enabled(Level::Error) && callsite.is_enabled()
}

fn with_fields(span: u64, location: &str, message: &str, panic: u64, with: impl FnOnce(&dyn AnyFields)) {
    with(&Cons(span, Cons(location.native(), Cons(message.native(), Cons(panic.native(), Nil)))));
}

fn with_backtrace_fields(span: u64, location: &str, panic: u64, backtrace: &str, with: impl FnOnce(&dyn AnyFields)) {
    with(&Cons(span, Cons(location.native(), Cons(panic.native(), Cons(backtrace.native(), Nil)))));
}

/// Returns the message of a panic: its payload, if it is a text.
fn message<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = info.payload();
    let texts: [Option<&str>; 5] = [
        payload.downcast_ref::<&'static str>().copied(),
        payload.downcast_ref::<String>().map(String::as_str),
        payload.downcast_ref::<Cow<'static, str>>().map(|text| &**text),
        payload.downcast_ref::<Box<str>>().map(|text| &**text),
        payload.downcast_ref::<Arc<str>>().map(|text| &**text),
    ];
    texts.into_iter().flatten().next().unwrap_or("(no message)")
}

/// Formats a place; of a long path the end is kept.
fn place(location: Option<&Location<'_>>) -> Capped<PLACE_LEN_MAX> {
    let mut place = Capped::new();
    if let Some(location) = location {
        let path = end_of(location.file(), PATH_LEN_MAX);
        place.push(format_args!("{path}:{}:{}", location.line(), location.column()));
    }
    place
}

/// Returns the end of a text: at most `len_max` bytes, from a character boundary on.
fn end_of(text: &str, len_max: usize) -> &str {
    let mut start = text.len().saturating_sub(len_max);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text.get(start..).unwrap_or_default()
}

/// A text on the stack; excess text is dropped.
struct Capped<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Capped<N> {
    fn new() -> Self {
        Capped { bytes: [0; N], len: 0 }
    }

    fn push(&mut self, text: fmt::Arguments<'_>) {
        // The error means that the buffer is full, and ends the formatting.
        let _ = self.write_fmt(text);
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("")
    }
}

impl<const N: usize> fmt::Write for Capped<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let kept = cut(text, N - self.len);
        if let Some(room) = self.bytes.get_mut(self.len..self.len + kept.len()) {
            room.copy_from_slice(kept.as_bytes());
            self.len += kept.len();
        }
        if kept.len() < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_what_fits() {
        let mut text = Capped::<4>::new();
        text.push(format_args!("{}{}", "aä", "ä"));
        assert_eq!(text.as_str(), "aä");
        assert_eq!((end_of("aäb", 2), end_of("aäb", 3), end_of("aäb", 9)), ("b", "äb", "aäb"));
    }
}
