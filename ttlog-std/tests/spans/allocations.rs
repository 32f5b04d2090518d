//! Allocations: none per span, after the first of a callsite and thread.

use std::pin::pin;
use std::task::{Context, Waker};

use ttlog_std::{InSpanExt as _, info, info_scope, info_span, record, warn_span};

use super::{Case, counted, install, tree_of};

pub const CASES: &[Case] = &[("allocations", allocations)];

#[ttlog_std::instrument(ret)]
fn function(round: u64) -> u64 {
    round + 1
}

fn work(round: u64) {
    let _scope = info_scope!("scope", round, text = "text", float = 1.5, shown = ?Some(round));
    let span = warn_span!("span", round);
    span.in_scope(|| info!("in it"));
    record!(span, later = function(round));
    span.follows_from(&_scope);
    assert!(span.traceparent().is_some());
    let mut future = pin!(std::future::ready(round).in_span(info_span!(parent: &span, "future")));
    assert!(std::future::Future::poll(future.as_mut(), &mut Context::from_waker(Waker::noop())).is_ready());
}

fn allocations() {
    let _recorder = install();
    // The first event of each callsite and of the thread can allocate; the stack of spans never does.
    (0..10).for_each(work);
    let before = counted::count();
    (0..10_000).for_each(work);
    assert_eq!(counted::count() - before, 0, "allocations in 10,000 rounds");
}

#[test]
fn no_allocation_per_span() {
    tree_of("allocations").assert_whole();
}
