//! Parents, fields, levels, and the order in which spans are entered and left.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ttlog_core::{Bytes, Level};
use ttlog_std::{
    Recorder, Scope, Span, SpanContext, debug_scope, debug_span, error_span, info, info_scope, info_span, record,
    scope, span, trace_span, warn_span,
};

use super::tree::Tree;
use super::{Case, install, ring_of, tree_of};

pub const CASES: &[Case] = &[
    ("lives", lives),
    ("parents", parents),
    ("values", values),
    ("levels", levels),
    ("orders", orders),
    ("panics", panics),
    ("deep", deep),
    ("libraries", libraries),
    ("random", random),
];

fn lives() {
    let _recorder = install();
    {
        let _scope = info_scope!("scope");
        info!("in the scope");
    }
    {
        let _entered = info_span!("entered").entered();
        info!("in the entered one");
    }
    let apart = info_span!("apart");
    apart.in_scope(|| info!("first time"));
    info!("between");
    {
        let _first = apart.enter();
        let _second = apart.enter();
        info!("second time");
    }
    drop(apart);
    info!("after all");
    let left = info_span!("exit").entered().exit();
    info!("left");
    drop(left);
}

#[test]
fn records_of_each_kind_of_life() {
    let tree = tree_of("lives");
    tree.assert_whole();
    let records = ["scope", "entered", "apart", "exit"].map(|name| tree.span(name).1.records);
    assert_eq!(records, [2, 3, 8, 4]);
    let of = ["in the scope", "in the entered one", "first time", "between", "second time", "after all", "left"];
    assert_eq!(of.map(|message| tree.span_of(message)), ["scope", "entered", "apart", "-", "apart", "-", "-"]);
}

fn parents() {
    install().set_filter("trace,off=off").unwrap();
    let outer = info_span!("outer");
    assert_eq!(Span::current(), SpanContext::NONE);
    let off = info_span!(target: "off", "off");
    assert!(off.is_none() && off.context().is_none());
    let in_outer = outer.enter();
    let in_off = off.enter();
    assert_eq!(Span::current(), outer.context());
    let child = info_span!("child");
    let _root = info_span!(parent: None, "root");
    let _explicit = info_span!(parent: &child, "explicit");
    let _of_none = info_span!(parent: None::<SpanContext>, "of none");
    let _of_some = info_scope!(parent: Some(child.context()), "of some");
    let _of_off = info_span!(parent: &off, "child of off");
    let _both = scope!(Level::INFO, target: "elsewhere", parent: child.context(), "both labels", x = 1_u8);
    drop((in_outer, in_off));
    let there = std::thread::spawn({
        let context = outer.context();
        move || {
            let _there = info_scope!(parent: context, "on another thread");
            let _inner = info_scope!("inner");
            info!("there");
        }
    });
    there.join().unwrap();
    child.follows_from(&outer);
    child.follows_from(&off);
    off.follows_from(&outer);
    std::thread::spawn(move || drop((child, outer, off.entered()))).join().unwrap();
}

#[test]
fn parents_are_the_current_span_or_the_named_one() {
    let tree = tree_of("parents");
    tree.assert_whole();
    let expected = [
        ("outer", "-"),
        ("child", "outer"),
        ("root", "-"),
        ("explicit", "child"),
        ("of none", "-"),
        ("of some", "child"),
        ("child of off", "of some"),
        ("both labels", "child"),
        ("on another thread", "outer"),
        ("inner", "on another thread"),
    ];
    assert_eq!(expected.map(|(name, _)| (name, tree.parent(name))), expected);
    assert_eq!(tree.spans.len(), expected.len());
    assert_eq!(tree.span_of("there"), "inner");
    assert_eq!(tree.span("child").1.follows, [tree.span("outer").0]);
}

struct Fails;

impl std::fmt::Debug for Fails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        info!("logged by Debug");
        let _scope = info_scope!("of Debug");
        f.write_str("Fails")
    }
}

fn fails() -> u8 {
    panic!("on purpose")
}

fn values() {
    let _recorder = install();
    let (user, path, ratio) = (7_u64, "/index.html", 0.5);
    let bytes = Bytes(b"ab");
    let span =
        info_span!("a {name} in }braces{", user, path, ratio, bytes, env = "prod", text = %ratio, later = ?Fails);
    record!(span, status = 200_u16, later = "known", user = user + 1);
    record!(&span.context(), secret token = "t");
    record!(Span::none(), x = fails());
}

#[test]
fn values_have_types_and_later_ones_replace_earlier_ones() {
    // (A field cannot be there twice: checked by the macro.)
    let tree = tree_of("values");
    let (_, span) = tree.span("a {{name}} in }}braces{{");
    let expected = [
        ("bytes", "bytes [97, 98]"),
        ("env", "str prod"),
        ("later", "str known"),
        ("path", "str /index.html"),
        ("ratio", "F64(0.5)"),
        ("status", "u64 200"),
        ("text", "F64(0.5)"),
        ("token", "str t"),
        ("user", "u64 8"),
    ];
    assert_eq!(span.values.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(), expected);
    assert_eq!((tree.span_of("logged by Debug"), tree.parent("of Debug")), ("-", "-"));
}

fn levels() {
    let recorder = install();
    let count = |filter: &str| {
        recorder.set_filter(filter).unwrap();
        let spans = [trace_span!("t"), debug_span!("d"), info_span!("i"), warn_span!("w"), error_span!("e")];
        spans.iter().filter(|span| !span.is_none()).count()
    };
    assert_eq!(["off", "warn", "info", "trace"].map(count), [0, 2, 3, 5]);
    // A span that is off has no part in anything.
    recorder.set_filter("info").unwrap();
    let outer = info_scope!("outer");
    let evaluated = std::cell::Cell::new(false);
    let off = debug_scope!("off", x = evaluated.set(true));
    let off_too = span!(Level::Debug, "off");
    off_too.in_scope(|| drop(info_span!("inner")));
    assert!(off.is_none() && !evaluated.get());
    drop((off, outer));
    // One that was on when it started stays whole when the filter changes.
    let long = info_span!("long").entered();
    recorder.set_filter("off").unwrap();
    drop(long);
}

#[test]
fn spans_below_the_level_have_no_part_in_anything() {
    let ring = ring_of("levels");
    // The records of a span do not go to the segments for warnings, whatever its level.
    let tree = Tree::new(ring);
    tree.assert_whole();
    assert_eq!(tree.parent("inner"), "outer");
    assert_eq!(tree.spans.values().filter(|span| span.name == "off").count(), 0);
    assert_eq!(tree.span("long").1.records, 3);
}

fn orders() {
    let _recorder = install();
    let [a, b, c] = [info_span!("a"), info_span!("b"), info_span!("c")];
    let in_a = a.enter();
    let in_b = b.enter();
    let in_c = c.enter();
    drop(in_a);
    info!("in c");
    let scope = info_scope!("child of c");
    drop(in_c);
    info!("in the child");
    drop(in_b);
    drop(scope);
    info!("in none");
    assert_eq!(Span::current(), SpanContext::NONE);
    // A guard that is never dropped: the end of the span ends it.
    std::mem::forget(c.enter());
    assert_eq!(Span::current(), c.context());
    drop(c);
    assert_eq!(Span::current(), SpanContext::NONE);
    let scopes = [info_scope!("1"), info_scope!("2"), info_scope!("3")];
    let [first, second, third] = scopes;
    drop(second);
    drop(first);
    assert_eq!(Span::current(), third.context());
    drop(third);
    assert_eq!(Span::current(), SpanContext::NONE);
}

#[test]
fn guards_can_be_dropped_in_any_order() {
    let tree = tree_of("orders");
    assert_eq!([tree.span_of("in c"), tree.span_of("in the child"), tree.span_of("in none")], ["c", "child of c", "-"]);
    assert_eq!([tree.parent("child of c"), tree.parent("2"), tree.parent("3")], ["c", "1", "2"]);
    assert!(tree.spans.values().all(|span| (span.started, span.ended) == (1, 1)));
    assert_eq!(tree.span("c").1.entered, tree.span("c").1.left + 1);
}

fn panics() {
    let _recorder = install();
    std::panic::set_hook(Box::new(|_| ()));
    let outer = info_span!("outer");
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _in_outer = outer.enter();
        let _scope = info_scope!("scope");
        panic!("on purpose");
    }));
    assert!(unwound.is_err());
    assert_eq!(Span::current(), SpanContext::NONE);
    // A panic in the evaluation of a field: the span never begins.
    let never = catch_unwind(|| drop(info_span!("never", x = fails())));
    assert!(never.is_err());
    info!("afterwards");
}

#[test]
fn spans_that_a_panic_unwinds_are_left_and_end() {
    let tree = tree_of("panics");
    tree.assert_whole();
    assert_eq!(tree.spans.len(), 2);
    assert_eq!(tree.span_of("afterwards"), "-");
}

fn deep() {
    let _recorder = install();
    fn nest(depth: u32) {
        let _scope = info_scope!("level", depth);
        if depth < 500 {
            nest(depth + 1);
        }
        let _child = info_span!("child", depth);
    }
    nest(0);
    assert_eq!(Span::current(), SpanContext::NONE);
}

#[test]
fn parents_are_right_however_deep() {
    let tree = tree_of("deep");
    tree.assert_whole();
    assert_eq!(tree.spans.len(), 1002);
    for span in tree.spans.values() {
        let depth =
            |span: &super::tree::Span| span.values["depth"].strip_prefix("u64 ").unwrap().parse::<u32>().unwrap();
        let parent = if span.parent == 0 { None } else { Some(depth(&tree.spans[&span.parent])) };
        let expected = if span.name == "child" { Some(depth(span)) } else { depth(span).checked_sub(1) };
        assert_eq!(parent, expected, "{span:?}");
    }
}

/// A library knows only ttlog-core.
fn library(parent: Option<&Span>) -> Span {
    let span = ttlog_core::info_span!(parent: parent, "of the library", x = 1_u8);
    let entered = span.enter();
    let inner = ttlog_core::debug_scope!("scope of the library");
    ttlog_core::info!("by the library");
    ttlog_core::record!(span, y = 2_u8);
    info!("by the program, in the library");
    drop((inner, entered));
    span
}

fn libraries() {
    // Without a recorder nothing happens.
    assert!(library(None).is_none() && info_scope!("too early").is_none());
    let early = info_span!("too early");
    let _recorder = install();
    drop(early);
    let outer = info_scope!("outer");
    let own = info_span!("own");
    drop(library(Some(&own)));
    let _scope: Scope = ttlog_core::info_scope!("last");
    drop(outer);
}

#[test]
fn libraries_share_the_spans_of_the_program() {
    let tree = tree_of("libraries");
    tree.assert_whole();
    assert_eq!(tree.spans.len(), 5);
    assert_eq!(
        ["of the library", "scope of the library", "own", "last"].map(|name| tree.parent(name)),
        ["own", "of the library", "outer", "outer"]
    );
    assert_eq!(tree.span_of("by the library"), "scope of the library");
    assert_eq!(tree.span_of("by the program, in the library"), "scope of the library");
    let values = &tree.span("of the library").1.values;
    assert_eq!((values["x"].as_str(), values["y"].as_str()), ("u64 1", "u64 2"));
}

/// Numbers that look random, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// A random program whose spans and events say in a field where they must be.
fn random() {
    let recorder: Recorder = install();
    let mut random = Random(11);
    // Guards keep their spans borrowed, which leaked spans allow.
    let mut stack: Vec<(Option<Scope>, u64)> = Vec::new();
    for number in 1..20_000_u64 {
        let inside = stack.last().map_or(0, |(_, number)| *number);
        match random.below(6) {
            0 | 1 if stack.len() < 50 => {
                let scope = info_scope!("scope", number, inside);
                assert_eq!(Span::current(), scope.context());
                stack.push((Some(scope), number));
            }
            2 if !stack.is_empty() => drop(stack.remove(random.below(stack.len()))),
            3 if !stack.is_empty() => drop(stack.pop()),
            _ => info!("event", number, inside),
        }
    }
    drop(stack);
    assert_eq!(recorder.loss().dropped_total(), 0);
}

#[test]
fn random_program_nests_as_the_model_says() {
    let tree = tree_of("random");
    tree.assert_whole();
    let number = |id: u64| if id == 0 { "u64 0" } else { &tree.spans[&id].values["number"] };
    assert!(tree.spans.len() > 3000 && tree.events.len() > 3000);
    tree.spans.values().for_each(|span| assert_eq!(number(span.parent), span.values["inside"]));
    tree.events_inside().for_each(|(span, event)| assert_eq!(number(span), event.value("inside")));
}
