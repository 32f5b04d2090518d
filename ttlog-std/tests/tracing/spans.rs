//! Spans: parents, values, and the ways in which programs enter and leave them.

use tracing::field::Empty;
use tracing::{debug_span, error_span, info, info_span, warn_span};
use ttlog_core::Level;
use ttlog_core::event::Role;

use super::tree::Tree;
use super::{Case, install, rings_of};

pub const CASES: &[Case] = &[
    ("nesting", nesting),
    ("later", later),
    ("guards", guards),
    ("often", often),
    ("scopes", scopes),
    ("levels", levels),
    ("full", full),
];

fn nesting() {
    let _recorder = install();
    info!("outside");
    let outer = info_span!("outer", answer = 42, text = "t");
    let other = info_span!("other");
    outer.in_scope(|| {
        info!("in outer");
        info_span!("contextual").in_scope(|| info!("in contextual"));
        info_span!(parent: &other, "explicit").in_scope(|| info!("in explicit"));
        info_span!(parent: None, "root").in_scope(|| info!("in root"));
        info!(parent: &other, "of other");
        info!(parent: None, "of none");
        info!(parent: other.id(), "of the id of other");
        info!("in outer again");
    });
    info!("outside again");
    let clone = outer.clone();
    drop(outer);
    info!(parent: &clone, "of a clone");
}

#[test]
fn parents_of_spans_and_events() {
    rings_of("nesting", |ring| {
        assert_eq!(ring.loss.dropped_total(), 0);
        let tree = Tree::new(ring);
        let parents = ["outer", "other", "contextual", "explicit", "root"].map(|name| (name, tree.parent(name)));
        let expected = [("outer", "-"), ("other", "-"), ("contextual", "outer"), ("explicit", "other"), ("root", "-")];
        assert_eq!(parents, expected);
        for (event, span) in [
            ("outside", "-"),
            ("in outer", "outer"),
            ("in contextual", "contextual"),
            ("in explicit", "explicit"),
            ("in root", "root"),
            ("of other", "other"),
            ("of none", "-"),
            ("of the id of other", "other"),
            ("in outer again", "outer"),
            ("outside again", "-"),
            ("of a clone", "outer"),
        ] {
            assert_eq!(tree.span_of(event), span, "{event}");
        }
        assert!(tree.spans.values().all(|span| span.ended == 1 && span.entered == span.left), "{tree:#?}");
        let (_, outer) = tree.span("outer");
        assert_eq!(outer.values["answer"], "i64 42");
        assert_eq!(outer.values["text"], "str t");
    });
}

fn later() {
    let _recorder = install();
    let span = info_span!("request", path = "/", status = Empty, error = Empty);
    span.record("status", 200_u16);
    span.in_scope(|| {
        tracing::Span::current().record("path", "/cart");
    });
    span.record("no such field", 1);
    let cause = info_span!("cause");
    span.follows_from(&cause);
    span.follows_from(cause.id());
    drop(cause);
    let closed = { info_span!("closed").id() };
    span.follows_from(closed);
    drop(span);
    // Ids are used again, so this must not be taken for the other.
    let again = info_span!("again");
    again.in_scope(|| info!("in again"));
}

#[test]
fn values_and_causes_that_come_later() {
    rings_of("later", |ring| {
        let starts: Vec<_> = ring
            .events
            .iter()
            .filter(|event| event.event.message == "request" && event.event.span(Role::Start).is_some())
            .collect();
        assert_eq!(starts[0].event.value("status"), "Absent");
        let tree = Tree::new(ring);
        let (_, span) = tree.span("request");
        let values: Vec<_> = span.values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(values, [("path", "str /cart"), ("status", "u64 200")]);
        assert_eq!(span.follows, [tree.span("cause").0; 2]);
        assert_eq!(tree.span_of("in again"), "again");
        assert!(tree.spans.values().all(|span| span.ended == 1));
    });
}

/// Enters a span as a guard does that is dropped on another thread.
fn enter(span: &tracing::Span) {
    tracing::dispatcher::get_default(|dispatch| dispatch.enter(&span.id().unwrap()));
}

fn leave(span: &tracing::Span) {
    tracing::dispatcher::get_default(|dispatch| dispatch.exit(&span.id().unwrap()));
}

fn guards() {
    let _recorder = install();
    let [a, b, c] = [info_span!("a"), info_span!("b"), info_span!("c")];
    // Left in another order.
    let (in_a, in_b) = (a.enter(), b.enter());
    info!("in b");
    drop(in_a);
    info!("still in b");
    drop(in_b);
    info!("in none");
    // Entered twice.
    a.in_scope(|| a.in_scope(|| info!("twice in a")));
    a.in_scope(|| {
        a.in_scope(|| ());
        info!("once in a");
    });
    // Left on another thread, where it was not entered.
    enter(&c);
    std::thread::scope(|scope| {
        let work = || {
            leave(&c);
            info!("on another thread");
        };
        scope.spawn(work).join().unwrap();
    });
    info!("still in c");
    drop(c);
    info!("in none, since c has ended");
    // And so many times, as guards that are held across `.await` do.
    for _ in 0..10_000 {
        let span = debug_span!("many");
        enter(&span);
        std::hint::black_box(&span);
    }
    info!("at the end");
}

#[test]
fn guards_in_any_order_and_on_any_thread() {
    rings_of("guards", |ring| {
        assert_eq!(ring.loss.dropped_total(), 0);
        let tree = Tree::new(ring);
        for (event, span) in [
            ("in b", "b"),
            ("still in b", "b"),
            ("in none", "-"),
            ("twice in a", "a"),
            ("once in a", "a"),
            ("on another thread", "-"),
            ("still in c", "c"),
            ("in none, since c has ended", "-"),
            ("at the end", "-"),
        ] {
            assert_eq!(tree.span_of(event), span, "{event}");
        }
        let (_, c) = tree.span("c");
        assert_eq!((c.entered, c.left, c.ended), (1, 1, 1));
        let many: Vec<_> = tree.spans.values().filter(|span| span.name == "many").collect();
        assert_eq!(many.len(), 10_000);
        assert!(many.iter().all(|span| (span.entered, span.left, span.ended) == (1, 0, 1)));
    });
}

fn often() {
    let _recorder = install();
    let span = info_span!("shared");
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let span = &span;
            scope.spawn(move || {
                for _ in 0..100 {
                    let _in_span = span.enter();
                    info_span!("child", thread).in_scope(|| ());
                }
            });
        }
    });
    let clones = vec![span.clone(); 10];
    drop(span);
    std::thread::spawn(move || drop(clones)).join().unwrap();
}

#[test]
fn span_on_several_threads() {
    rings_of("often", |ring| {
        let tree = Tree::new(ring);
        let (id, shared) = tree.span("shared");
        assert_eq!((shared.entered, shared.left, shared.ended), (400, 400, 1));
        let children: Vec<_> = tree.spans.values().filter(|span| span.name == "child").collect();
        assert_eq!(children.len(), 400);
        assert!(children.iter().all(|span| span.parent == id && span.ended == 1));
    });
}

fn scopes() {
    use tracing_subscriber::prelude::*;
    let recorder = install();
    let outer = info_span!("outer");
    outer.in_scope(|| {
        for round in 0..3 {
            // A registry of its own, whose ids are those of the other.
            let subscriber = tracing_subscriber::registry().with(recorder.layer());
            tracing::subscriber::with_default(subscriber, || {
                info!("scoped {round}, outside");
                let span = info_span!("scoped", round);
                span.in_scope(|| info!("scoped {round}, inside"));
                // It never ends: its subscriber ends before.
                std::mem::forget(info_span!("lost", round));
            });
        }
        tracing::subscriber::with_default(ttlog_std::tracing::subscriber(), || info!("of another kind"));
        info!("in outer again");
    });
}

#[test]
fn subscribers_beside_each_other() {
    rings_of("scopes", |ring| {
        let tree = Tree::new(ring);
        for round in 0..3 {
            assert_eq!(tree.span_of(&format!("scoped {round}, outside")), "-");
            assert_eq!(tree.span_of(&format!("scoped {round}, inside")), "scoped");
        }
        assert_eq!(tree.span_of("of another kind"), "-");
        assert_eq!(tree.span_of("in outer again"), "outer");
        let ended =
            |name| tree.spans.values().filter(|span| span.name == name).map(|span| span.ended).collect::<Vec<_>>();
        assert_eq!((ended("scoped"), ended("lost"), ended("outer")), (vec![1; 3], vec![0; 3], vec![1]));
    });
}

fn levels() {
    let recorder = install();
    let spans = [warn_span!("at warn"), error_span!("at error"), info_span!("at info")];
    recorder.set_filter("warn").unwrap();
    // The filter changes while they are open.
    spans.iter().for_each(|span| span.in_scope(|| ()));
    drop(spans);
    let hidden = info_span!("hidden");
    hidden.in_scope(|| tracing::warn!("in hidden"));
}

#[test]
fn level_of_a_span_is_that_of_its_start() {
    rings_of("levels", |ring| {
        let order: Vec<_> = ring.events.iter().map(|event| (event.event.message.clone(), event.event.level)).collect();
        // Not in the priority segments, which come last.
        let starts = [("at warn", Level::Warn), ("at error", Level::Error), ("at info", Level::Info)];
        assert_eq!(order[..3], starts.map(|(name, level)| (name.to_owned(), level)));
        let tree = Tree::new(ring);
        assert!(["at warn", "at error", "at info"].iter().all(|name| {
            let span = tree.span(name).1;
            (span.entered, span.left, span.ended) == (1, 1, 1)
        }));
        assert_eq!(tree.spans.len(), 3, "{tree:#?}");
        assert_eq!(tree.span_of("in hidden"), "-");
    });
}

/// More spans than any table of open ones can hold.
const TOO_MANY: usize = (1 << 17) + 1000;

fn full() {
    let recorder = install();
    let outer = info_span!("outer");
    let _in_outer = outer.enter();
    recorder.set_filter("warn").unwrap();
    recorder.set_filter("trace").unwrap();
    let spans: Vec<_> = (0..TOO_MANY).map(|_| info_span!("one of many")).collect();
    let dropped = recorder.loss().dropped_total();
    assert!(dropped >= 1000, "{dropped} of {TOO_MANY} spans dropped");
    spans.last().unwrap().in_scope(|| info!("in a span that is not recorded"));
    drop(spans);
    info_span!("afterwards").in_scope(|| info!("in a span that is recorded"));
}

#[test]
fn more_open_spans_than_there_is_room_for() {
    rings_of("full", |ring| {
        let tree = Tree::new(ring);
        assert_eq!(tree.span_of("in a span that is recorded"), "afterwards");
        assert_eq!(tree.count("in a span that is not recorded"), 1);
    });
}
