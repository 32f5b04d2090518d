//! The spans that a thread is in, innermost last.
//!
//! `tracing` promises little about their order: a guard that is held across `.await` is dropped later than others, or
//! on another thread, where its span was never entered. So a span is on the stack once, with the number of times it was
//! entered; leaving one that is not on the stack does nothing; and spans that have ended are removed when room is
//! short.

use std::cell::{Cell, RefCell};

use super::span_table::{OpenSpan, SpanTable, spans};

/// Number of spans at which those that have ended are removed.
const LEN_CLEANED: usize = 64;
/// Number of spans on a stack, at most; a span that is entered deeper is not noticed.
const LEN_MAX: usize = 4096;

/// A span on the stack.
#[derive(Debug, Clone, Copy)]
struct Entered {
    owner: u64,
    span: OpenSpan,
    /// Number of times it was entered and not left, from 1.
    count: u32,
}

/// The spans that one thread is in.
#[derive(Debug)]
struct SpanStack {
    /// Distinct spans.
    entered: Vec<Entered>,
    /// Length at which ended spans are removed next.
    clean_at: usize,
}

thread_local! {
    static STACK: RefCell<SpanStack> = const { RefCell::new(SpanStack::new()) };
    /// Copy of the innermost span on the stack. Has no destructor, so that it costs a load.
    static INNERMOST: Cell<Option<Entered>> = const { Cell::new(None) };
}

/// Notes that the thread enters a span of `owner`.
#[inline]
pub(crate) fn enter(owner: u64, span: OpenSpan) {
    with_stack(|stack| stack.enter(owner, span, spans()));
}

/// Notes that the thread leaves a span.
#[inline]
pub(crate) fn leave(span: OpenSpan) {
    with_stack(|stack| stack.leave(span));
}

/// Returns the innermost open span of `owner` that the thread is in.
#[inline]
pub(crate) fn current(owner: u64) -> Option<OpenSpan> {
    let innermost = INNERMOST.get()?;
    if innermost.owner == owner && spans().is_open(innermost.span) {
        return Some(innermost.span);
    }
    find_current(|entered| entered.owner == owner)
}

/// Returns the recorded id of the innermost open span that the thread is in, whoever owns it; 0: none.
#[cfg(feature = "log")]
#[inline]
pub(crate) fn current_id_of_any() -> u64 {
    INNERMOST.get().and_then(|_| find_current(|_| true)).map_or(0, |span| span.id)
}

#[cold]
#[inline(never)]
fn find_current(is_meant: impl Fn(&Entered) -> bool) -> Option<OpenSpan> {
    STACK.try_with(|stack| stack.try_borrow().ok()?.innermost(spans(), is_meant)).ok().flatten()
}

/// Calls `act` with the thread's stack. Does nothing at the end of the thread, and in a nested call.
#[inline]
fn with_stack(act: impl FnOnce(&mut SpanStack)) {
    let _ = STACK.try_with(|stack| {
        if let Ok(mut stack) = stack.try_borrow_mut() {
            act(&mut stack);
            INNERMOST.set(stack.entered.last().copied());
        }
    });
}

impl SpanStack {
    const fn new() -> Self {
        SpanStack { entered: Vec::new(), clean_at: LEN_CLEANED }
    }

    /// Enters a span. If it was entered before, it stays where it is.
    #[inline]
    fn enter(&mut self, owner: u64, span: OpenSpan, spans: &SpanTable) {
        if let Some(entered) = self.entered.iter_mut().rev().find(|entered| entered.span.id == span.id) {
            entered.count = entered.count.saturating_add(1);
            return;
        }
        if self.entered.len() >= self.clean_at {
            self.clean(spans);
        }
        if self.entered.len() < LEN_MAX {
            self.entered.push(Entered { owner, span, count: 1 });
        }
    }

    /// Leaves a span, if it is on the stack.
    #[inline]
    fn leave(&mut self, span: OpenSpan) {
        let Some(index) = self.entered.iter().rposition(|entered| entered.span.id == span.id) else { return };
        match &mut self.entered[index].count {
            1 => drop(self.entered.remove(index)),
            count => *count -= 1,
        }
    }

    #[inline]
    fn innermost(&self, spans: &SpanTable, is_meant: impl Fn(&Entered) -> bool) -> Option<OpenSpan> {
        let meant = |entered: &&Entered| is_meant(entered) && spans.is_open(entered.span);
        self.entered.iter().rev().find(meant).map(|entered| entered.span)
    }

    /// Removes the spans that have ended, and makes sure that it is not called again soon.
    #[cold]
    fn clean(&mut self, spans: &SpanTable) {
        self.entered.retain(|entered| spans.is_open(entered.span));
        self.clean_at = (2 * self.entered.len()).max(LEN_CLEANED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::span_table::{next_id, next_owner, prepare, spans};

    fn open(owner: u64) -> OpenSpan {
        prepare();
        let id = next_id();
        spans().insert(owner, id, id, std::ptr::null()).unwrap()
    }

    fn current(stack: &SpanStack, owner: u64) -> Option<u64> {
        stack.innermost(spans(), |entered| entered.owner == owner).map(|span| span.id)
    }

    #[test]
    fn order_of_leaving_does_not_matter() {
        let owner = next_owner();
        let [a, b, c] = [open(owner), open(owner), open(owner)];
        let mut stack = SpanStack::new();
        [a, b, a, c].into_iter().for_each(|span| stack.enter(owner, span, spans()));
        assert_eq!(current(&stack, owner), Some(c.id));
        stack.leave(b);
        stack.leave(b);
        assert_eq!(current(&stack, owner), Some(c.id));
        stack.leave(c);
        assert_eq!(current(&stack, owner), Some(a.id));
        stack.leave(a);
        assert_eq!(current(&stack, owner), Some(a.id), "it was entered twice");
        stack.leave(a);
        assert_eq!(current(&stack, owner), None);
        [a, b, c].into_iter().for_each(|span| assert!(spans().remove(span)));
    }

    #[test]
    fn spans_that_ended_are_no_longer_current_and_make_room() {
        let owner = next_owner();
        let first = open(owner);
        let mut stack = SpanStack::new();
        stack.enter(owner, first, spans());
        // As left by guards that were dropped on another thread.
        for _ in 0..if cfg!(miri) { 200 } else { 100_000 } {
            let span = open(owner);
            stack.enter(owner, span, spans());
            assert_eq!(current(&stack, owner), Some(span.id));
            spans().remove(span);
            assert_eq!(current(&stack, owner), Some(first.id));
        }
        assert!(stack.entered.len() <= 2 * LEN_CLEANED && stack.entered.capacity() <= 4 * LEN_CLEANED);
        spans().remove(first);
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes there, and shows nothing that the others do not")]
    fn length_is_bounded_whatever_is_entered() {
        let owner = next_owner();
        let open: Vec<_> = (0..LEN_MAX + 10).map(|_| open(owner)).collect();
        let mut stack = SpanStack::new();
        open.iter().for_each(|span| stack.enter(owner, *span, spans()));
        assert_eq!(stack.entered.len(), LEN_MAX);
        open.iter().rev().for_each(|span| stack.leave(*span));
        assert!(stack.entered.is_empty());
        open.iter().for_each(|span| assert!(spans().remove(*span)));
    }

    #[test]
    fn spans_of_another_owner_do_not_count() {
        let owners = [next_owner(), next_owner()];
        let [a, b] = owners.map(open);
        let mut stack = SpanStack::new();
        stack.enter(owners[0], a, spans());
        stack.enter(owners[1], b, spans());
        assert_eq!(owners.map(|owner| current(&stack, owner)), [Some(a.id), Some(b.id)]);
        spans().forget(owners[1]);
        assert_eq!(owners.map(|owner| current(&stack, owner)), [Some(a.id), None]);
        spans().forget(owners[0]);
    }
}
