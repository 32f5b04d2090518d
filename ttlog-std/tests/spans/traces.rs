//! Traces of several processes.

use ttlog_std::{Span, Traceparent, info_scope, info_span};

use super::{Case, install, tree_of};

pub const CASES: &[Case] = &[("remote", remote), ("own", own)];

const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

fn remote() {
    let _recorder = install();
    let parent = Traceparent::parse(HEADER).ok();
    let _other = info_scope!("other");
    let request = info_span!(parent: parent, "request", x = 1_u8);
    let sent = request.in_scope(|| {
        let _step = info_scope!("step");
        info_span!("outgoing").traceparent().unwrap()
    });
    assert_eq!((sent.trace_id().to_u128(), sent.flags()), (TRACE, 1));
    assert_ne!(sent.span_id(), 0x00f0_67aa_0ba9_02b7);
    // On another thread, by the context.
    let context = request.context();
    let there = std::thread::spawn(move || info_span!(parent: context, "there").traceparent().unwrap());
    assert_eq!(there.join().unwrap().trace_id(), sent.trace_id());
    // Without a header there is a trace of our own.
    let none = Traceparent::parse("garbage").ok();
    assert_ne!(info_span!(parent: none, "without").traceparent().unwrap().trace_id(), sent.trace_id());
    assert_eq!(Span::none().traceparent(), None);
    println!("sent {sent}");
}

#[test]
fn children_inherit_the_trace_of_the_header() {
    let tree = tree_of("remote");
    tree.assert_whole();
    let expected = (format!("U128({TRACE})"), format!("u64 {}", 0x00f0_67aa_0ba9_02b7_u64));
    assert_eq!(tree.span("request").1.remote.as_ref(), Some(&expected));
    assert_eq!(
        ["request", "step", "outgoing", "there"].map(|name| tree.parent(name)),
        ["-", "request", "step", "request"]
    );
    // Only what made a header, and the root, has records of the trace.
    let records = ["request", "step", "outgoing", "there"].map(|name| tree.span(name).1.records);
    assert_eq!(records, [5, 2, 3, 3]);
    assert_eq!(tree.span("outgoing").1.known[0].0, expected.0);
    assert_eq!(tree.span("outgoing").1.known.len(), 1);
    assert_ne!(tree.span("outgoing").1.known[0].1, tree.span("there").1.known[0].1);
    assert_eq!(tree.parent("without"), "-");
    assert_ne!(tree.span("without").1.known[0].0, expected.0);
}

fn own() {
    let _recorder = install();
    let root = info_span!("root");
    let _entered = root.enter();
    let (first, second) = (info_span!("first"), info_span!("second"));
    let headers = [&root, &first, &second, &first].map(|span| span.traceparent().unwrap());
    assert!(headers.iter().all(|header| header.trace_id() == headers[0].trace_id() && header.flags() == 3));
    assert_eq!(headers[1], headers[3]);
    assert_ne!(headers[1].span_id(), headers[2].span_id());
    assert_eq!(first.context().traceparent(), Some(headers[1]));
    let other = info_span!(parent: None, "other").traceparent().unwrap();
    assert_ne!(other.trace_id(), headers[0].trace_id());
}

#[test]
fn a_trace_of_our_own_is_that_of_the_outermost_span() {
    let tree = tree_of("own");
    tree.assert_whole();
    let known = |name: &str| &tree.span(name).1.known;
    assert_eq!((known("root").len(), known("first").len(), known("second").len()), (1, 2, 1), "told once by each span");
    assert_eq!(known("first")[0], known("first")[1]);
    assert_eq!(known("root")[0].0, known("second")[0].0);
    // Two processes make different ones.
    let again = tree_of("own");
    assert_ne!(again.span("root").1.known[0], known("root")[0]);
}
