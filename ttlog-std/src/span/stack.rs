//! The spans that a thread is in, innermost last.
//!
//! Nothing is certain about their order: a guard can be dropped later than others, or never, and with `tracing` on
//! another thread, where its span was never entered. So a span is on the stack once, with the number of times it was
//! entered; leaving one that is not on the stack does nothing; and spans that have ended are removed when room is
//! short.
//!
//! The outer spans are in a fixed array, without a destructor, so that spans can be entered and left in signal handlers
//! and while thread-locals are destroyed. Only what is deeper is on the heap.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{Ordering, compiler_fence};

use ttlog_core::SpanContext;

#[cfg(feature = "tracing")]
use super::table::{OpenSpan, spans};

/// Number of spans for which there is room without the heap.
const OUTER_MAX: usize = 32;
/// Number of spans on the heap at which those that have ended are removed.
const LEN_CLEANED: usize = 64;
/// Number of spans on a stack, at most; a span that is entered deeper is not noticed.
const LEN_MAX: usize = 4096;

/// Owner of the spans of this crate's own macros. Those of `tracing` have the number of a layer or subscriber.
pub(crate) const NATIVE: u64 = 0;

/// A span on the stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entered {
    pub(crate) span: SpanContext,
    /// Number of the layer or subscriber that knows it, or [`NATIVE`].
    owner: u64,
    /// Index of its slot in the table of open spans, if it is one of `tracing`.
    #[cfg(feature = "tracing")]
    slot: u32,
    /// Number of times it was entered and not left, from 1.
    count: u32,
}

impl Entered {
    const NONE: Entered = Entered::native(SpanContext::NONE);

    const fn native(span: SpanContext) -> Self {
        Entered {
            span,
            owner: NATIVE,
            #[cfg(feature = "tracing")]
            slot: 0,
            count: 1,
        }
    }

    /// Returns the span in the table of open spans; `None` for native ones.
    #[cfg(feature = "tracing")]
    pub(crate) fn open_span(&self) -> Option<OpenSpan> {
        (self.owner != NATIVE).then(|| OpenSpan::new(self.slot, self.span.id()))
    }

    /// Returns whether the span has not ended. A native one is removed when it ends.
    #[inline(always)]
    fn is_open(&self) -> bool {
        #[cfg(feature = "tracing")]
        return self.owner == NATIVE || spans().is_open(OpenSpan::new(self.slot, self.span.id()));
        #[cfg(not(feature = "tracing"))]
        return true;
    }
}

/// The spans that one thread is in.
pub(crate) struct SpanStack {
    outer: [Cell<Entered>; OUTER_MAX],
    outer_len: Cell<usize>,
    /// Whether `DEEP` has spans. Then `outer` is full.
    is_deep: Cell<bool>,
    /// Whether the stack is being changed: what interrupts that sees and changes nothing.
    is_busy: Cell<bool>,
}

thread_local! {
    static STACK: SpanStack = const { SpanStack::new() };
    /// The spans that `outer` has no room for, outermost first, and the length at which ended spans are removed next.
    static DEEP: RefCell<(Vec<Entered>, usize)> = const { RefCell::new((Vec::new(), LEN_CLEANED)) };
}

// Used while other thread-locals are destroyed.
const _: () = assert!(!std::mem::needs_drop::<SpanStack>());

/// Returns the thread's stack.
#[inline(always)]
fn stack<'a>() -> &'a SpanStack {
    let stack = STACK.with(core::ptr::from_ref);
    // SAFETY: a thread-local without a destructor lives as long as its thread, and the reference does not leave the
    // functions of this file, which return before the thread ends.
    unsafe { &*stack }
}

/// Enters a native span.
#[inline(always)]
pub(crate) fn enter(span: &SpanContext) {
    let stack = stack();
    stack.change(|| stack.enter(Entered::native(*span)));
}

/// Enters a native span that was never entered before.
#[inline(always)]
pub(crate) fn enter_new(span: &SpanContext) {
    let stack = stack();
    stack.change(|| stack.push(Entered::native(*span)));
}

/// Enters a span of `tracing`. For lack of its own, its trace is that of the span that the thread is in.
#[cfg(feature = "tracing")]
#[inline]
pub(crate) fn enter_open(owner: u64, span: OpenSpan) {
    let stack = stack();
    // Apart, because the compiler then keeps the span in registers. From memory, it would be copied in other pieces
    // than it was stored in, for which the processor has to wait.
    match stack.outer().last().map(Cell::get) {
        None => stack.enter_in(&SpanContext::NONE, owner, span),
        Some(last) if stack.is_simple() && last.is_open() => stack.enter_in(&last.span, owner, span),
        Some(_) => stack.enter_in(&current(), owner, span),
    }
}

/// Leaves a span, if it is on the stack.
#[inline(always)]
pub(crate) fn leave(id: u64) {
    let stack = stack();
    stack.change(|| stack.leave(id, false));
}

/// Leaves a span that ends, however often it was entered.
#[inline(always)]
pub(crate) fn leave_wholly(id: u64) {
    let stack = stack();
    stack.change(|| stack.leave(id, true));
}

/// Removes a span that ends, which should have been left.
#[inline(always)]
pub(crate) fn forget(id: u64) {
    let stack = stack();
    if stack.is_deep.get() || stack.outer().iter().any(|place| place.get().span.id() == id) {
        stack.change(|| stack.leave(id, true));
    }
}

/// Returns the innermost open span that the thread is in, whoever owns it.
#[inline(always)]
pub(crate) fn current() -> SpanContext {
    let stack = stack();
    match stack.outer().last() {
        None => SpanContext::NONE,
        Some(last) if stack.is_simple() && last.get().owner == NATIVE => last.get().span,
        Some(_) => stack.current(),
    }
}

/// Returns the innermost open span of `owner`, or a native one if that is further in.
#[cfg(feature = "tracing")]
#[inline(always)]
pub(crate) fn current_of(owner: u64) -> Option<Entered> {
    // Most threads that are in no span are asked often.
    if STACK.with(|stack| stack.outer_len.get()) == 0 { None } else { innermost_of(owner) }
}

#[cfg(feature = "tracing")]
#[inline(never)]
fn innermost_of(owner: u64) -> Option<Entered> {
    STACK.with(|stack| stack.innermost(|entered| entered.owner == owner || entered.owner == NATIVE))
}

/// Returns the innermost open span of `owner` alone.
#[cfg(feature = "tracing")]
pub(crate) fn current_owned_by(owner: u64) -> Option<OpenSpan> {
    stack().innermost(|entered| entered.owner == owner).and_then(|entered| entered.open_span())
}

/// Returns the spans of `tracing` that the thread is in, innermost first, at most as many as there is room for.
#[cfg(feature = "tracing")]
pub(crate) fn open_of_thread<const N: usize>() -> [Option<OpenSpan>; N] {
    let mut open = [None; N];
    let stack = stack();
    if stack.is_busy.get() {
        return open;
    }
    let mut places = open.iter_mut();
    let mut add = |entered: &Entered| match (entered.open_span(), places.len()) {
        (_, 0) | (None, _) => {}
        (span, _) => places.next().into_iter().for_each(|place| *place = span),
    };
    stack.with_deep(|deep| {
        deep.iter().rev().for_each(&mut add);
        Some(())
    });
    stack.outer().iter().rev().for_each(|place| add(&place.get()));
    open
}

impl SpanStack {
    const fn new() -> Self {
        SpanStack {
            outer: [const { Cell::new(Entered::NONE) }; OUTER_MAX],
            outer_len: Cell::new(0),
            is_deep: Cell::new(false),
            is_busy: Cell::new(false),
        }
    }

    /// Returns whether the innermost span is the last one of `outer`, and nothing is being changed.
    #[inline(always)]
    fn is_simple(&self) -> bool {
        !self.is_deep.get() && !self.is_busy.get()
    }

    #[inline(never)]
    fn current(&self) -> SpanContext {
        self.innermost(|_| true).map_or(SpanContext::NONE, |entered| entered.span)
    }

    /// Makes a change, unless this interrupts another one.
    #[inline(always)]
    fn change(&self, change: impl FnOnce()) {
        if self.is_busy.replace(true) {
            return;
        }
        // A signal handler runs on this thread, so the order of the program is enough.
        compiler_fence(Ordering::SeqCst);
        change();
        compiler_fence(Ordering::SeqCst);
        self.is_busy.set(false);
    }

    /// Enters a span of `tracing` inside another one.
    #[cfg(feature = "tracing")]
    #[inline(always)]
    fn enter_in(&self, around: &SpanContext, owner: u64, span: OpenSpan) {
        self.change(|| self.enter(Entered { span: around.child(span.id), owner, slot: span.slot(), count: 1 }));
    }

    /// Enters a span. If it was entered before, it stays where it is.
    #[inline(always)]
    fn enter(&self, entered: Entered) {
        let id = entered.span.id();
        let is_new = !self.is_deep.get() && self.outer().iter().all(|place| place.get().span.id() != id);
        if is_new || !self.enter_again(id) {
            self.push(entered);
        }
    }

    /// Counts the entering of a span that is on the stack; returns whether it is.
    #[cold]
    #[inline(never)]
    fn enter_again(&self, id: u64) -> bool {
        let again = |mut entered: Entered| {
            entered.count = entered.count.saturating_add(1);
            entered
        };
        if let Some(place) = self.outer().iter().rev().find(|place| place.get().span.id() == id) {
            place.set(again(place.get()));
            return true;
        }
        self.with_deep(|deep| {
            let place = deep.iter_mut().rev().find(|entered| entered.span.id() == id)?;
            *place = again(*place);
            Some(())
        })
        .is_some()
    }

    #[inline(always)]
    fn push(&self, entered: Entered) {
        let len = self.outer_len.get();
        match self.outer.get(len) {
            Some(place) => {
                place.set(entered);
                self.outer_len.set(len + 1);
            }
            None => {
                // A copy, so that the other path keeps the fields in registers.
                let copy = entered;
                self.push_deep(&copy);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn push_deep(&self, entered: &Entered) {
        // At the end of a thread there is no heap for it.
        let _ = DEEP.try_with(|deep| {
            let Ok(mut deep) = deep.try_borrow_mut() else { return };
            let (spans, clean_at) = &mut *deep;
            if spans.len() >= *clean_at {
                spans.retain(Entered::is_open);
                *clean_at = (2 * spans.len()).max(LEN_CLEANED);
            }
            if spans.len() < LEN_MAX - OUTER_MAX {
                spans.push(*entered);
                self.is_deep.set(true);
            }
        });
        // Spans that ended further out, as left by guards that were dropped on other threads.
        self.close_gaps();
    }

    /// Removes the spans in `outer` that have ended, and fills it from the heap.
    fn close_gaps(&self) {
        let mut kept = 0;
        for place in self.outer() {
            let entered = place.get();
            if entered.is_open() {
                self.outer[kept].set(entered);
                kept += 1;
            }
        }
        self.outer_len.set(kept);
        self.refill();
    }

    /// Leaves a span once, or `wholly`.
    #[inline(always)]
    fn leave(&self, id: u64, wholly: bool) {
        let outer = self.outer();
        if let (Some(last), false) = (outer.last(), self.is_deep.get()) {
            let entered = last.get();
            if entered.span.id() == id && entered.count == 1 {
                return self.outer_len.set(outer.len() - 1);
            }
        }
        self.leave_other(id, wholly);
    }

    #[cold]
    #[inline(never)]
    fn leave_other(&self, id: u64, wholly: bool) {
        let is_left = self.with_deep(|deep| {
            let index = deep.iter().rposition(|entered| entered.span.id() == id)?;
            match &mut deep[index].count {
                count if *count > 1 && !wholly => *count -= 1,
                _ => drop(deep.remove(index)),
            }
            self.is_deep.set(!deep.is_empty());
            Some(())
        });
        if is_left.is_some() {
            return;
        }
        let outer = self.outer();
        let Some(index) = outer.iter().rposition(|place| place.get().span.id() == id) else { return };
        let mut entered = outer[index].get();
        if entered.count > 1 && !wholly {
            entered.count -= 1;
            return outer[index].set(entered);
        }
        for at in index..outer.len() - 1 {
            outer[at].set(outer[at + 1].get());
        }
        self.outer_len.set(outer.len() - 1);
        self.refill();
    }

    /// Moves spans from the heap into free places of `outer`.
    fn refill(&self) {
        self.with_deep(|deep| {
            let count = deep.len().min(OUTER_MAX - self.outer_len.get());
            for entered in deep.drain(..count) {
                let len = self.outer_len.get();
                self.outer[len].set(entered);
                self.outer_len.set(len + 1);
            }
            self.is_deep.set(!deep.is_empty());
            Some(())
        });
    }

    #[inline(always)]
    fn outer(&self) -> &[Cell<Entered>] {
        self.outer.get(..self.outer_len.get()).unwrap_or_default()
    }

    #[inline]
    fn with_deep<R>(&self, act: impl FnOnce(&mut Vec<Entered>) -> Option<R>) -> Option<R> {
        if !self.is_deep.get() {
            return None;
        }
        DEEP.try_with(|deep| act(&mut deep.try_borrow_mut().ok()?.0)).ok().flatten()
    }

    /// Returns the innermost open span that is meant.
    #[inline]
    fn innermost(&self, is_meant: impl Fn(&Entered) -> bool) -> Option<Entered> {
        if self.is_busy.get() {
            return None;
        }
        let meant = |entered: &Entered| is_meant(entered) && entered.is_open();
        if let Some(found) = self.with_deep(|deep| deep.iter().rev().find(|entered| meant(entered)).copied()) {
            return Some(found);
        }
        self.outer().iter().rev().map(Cell::get).find(meant)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::next_id;
    use super::*;

    fn span() -> SpanContext {
        SpanContext::outermost(next_id())
    }

    fn len() -> usize {
        let deep = STACK.with(|stack| stack.with_deep(|deep| Some(deep.len()))).unwrap_or(0);
        STACK.with(|stack| stack.outer_len.get()) + deep
    }

    #[test]
    fn order_of_leaving_does_not_matter() {
        let [a, b, c] = [span(), span(), span()];
        [a, b, a, c].iter().for_each(enter);
        assert_eq!(current(), c);
        leave(b.id());
        leave(b.id());
        assert_eq!(current(), c);
        leave(c.id());
        assert_eq!(current(), a);
        leave(a.id());
        assert_eq!(current(), a, "it was entered twice");
        leave(a.id());
        assert_eq!(current(), SpanContext::NONE);
    }

    #[test]
    fn span_that_ends_while_it_is_entered_is_forgotten() {
        let [a, b] = [span(), span()];
        [a, b, a].iter().for_each(enter);
        forget(a.id());
        assert_eq!((current(), len()), (b, 1));
        forget(b.id());
        assert_eq!(len(), 0);
    }

    #[test]
    fn naive_model_at_all_depths() {
        let mut model: Vec<(SpanContext, u32)> = Vec::new();
        let mut random = 7_u64;
        for round in 0..if cfg!(miri) { 1000 } else { 100_000_u32 } {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (action, at) = (random >> 33 & 7, (random >> 40) as usize);
            // Grows for a while, then shrinks.
            let grows = round / 200 % 2 == 0;
            let place = at.checked_rem(model.len()).unwrap_or(0);
            match action {
                0..=2 if grows => {
                    model.push((span(), 1));
                    enter_new(&model[model.len() - 1].0);
                }
                3 if !model.is_empty() => {
                    model[place].1 += 1;
                    enter(&model[place].0);
                }
                4 if !model.is_empty() => {
                    let (span, _) = model.remove(place);
                    forget(span.id());
                }
                _ if !model.is_empty() => {
                    let place = if action == 5 { place } else { model.len() - 1 };
                    leave(model[place].0.id());
                    model[place].1 -= 1;
                    if model[place].1 == 0 {
                        model.remove(place);
                    }
                }
                _ => {}
            }
            assert_eq!(len(), model.len());
            assert_eq!(current(), model.last().map_or(SpanContext::NONE, |(span, _)| *span));
        }
        model.iter().for_each(|(span, _)| forget(span.id()));
        assert_eq!(len(), 0);
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes there, and shows nothing that the others do not")]
    fn length_is_bounded_whatever_is_entered() {
        let spans: Vec<_> = (0..LEN_MAX + 10).map(|_| span()).collect();
        spans.iter().for_each(enter);
        assert_eq!(len(), LEN_MAX);
        spans.iter().rev().for_each(|span| leave(span.id()));
        assert_eq!(len(), 0);
    }

    #[test]
    fn interrupting_call_sees_and_changes_nothing() {
        let [a, b] = [span(), span()];
        enter(&a);
        STACK.with(|stack| {
            stack.change(|| {
                assert_eq!(current(), SpanContext::NONE);
                enter(&b);
                leave(a.id());
            });
        });
        assert_eq!((current(), len()), (a, 1));
        leave(a.id());
    }

    #[cfg(feature = "tracing")]
    mod with_tracing {
        use super::super::super::table::{next_owner, prepare};
        use super::*;

        fn open(owner: u64) -> OpenSpan {
            prepare();
            let id = next_id();
            spans().insert(owner, id, id, std::ptr::null()).unwrap()
        }

        fn current_id(owner: u64) -> Option<u64> {
            current_of(owner).map(|entered| entered.span.id())
        }

        #[test]
        fn spans_that_ended_are_no_longer_current_and_make_room() {
            let owner = next_owner();
            let first = open(owner);
            enter_open(owner, first);
            // As left by guards that were dropped on another thread.
            for _ in 0..if cfg!(miri) { 110 } else { 100_000 } {
                let span = open(owner);
                enter_open(owner, span);
                assert_eq!(current_id(owner), Some(span.id));
                spans().remove(span);
                assert_eq!(current_id(owner), Some(first.id));
            }
            assert!(len() <= OUTER_MAX + 2 * LEN_CLEANED);
            spans().remove(first);
        }

        #[test]
        fn spans_of_another_owner_do_not_count_but_native_ones_do() {
            let owners = [next_owner(), next_owner()];
            let [a, b] = owners.map(open);
            enter_open(owners[0], a);
            enter_open(owners[1], b);
            assert_eq!(owners.map(current_id), [Some(a.id), Some(b.id)]);
            let native = span();
            enter(&native);
            assert_eq!(owners.map(current_id), [Some(native.id()); 2]);
            assert_eq!(current_owned_by(owners[0]).map(|span| span.id), Some(a.id));
            leave(native.id());
            spans().forget(owners[1]);
            assert_eq!(owners.map(current_id), [Some(a.id), None]);
            spans().forget(owners[0]);
        }
    }
}
