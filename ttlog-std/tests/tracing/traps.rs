//! Faults of other layers.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tracing::callsite::{DefaultCallsite, Identifier};
use tracing::field::FieldSet;
use tracing::level_filters::LevelFilter;
use tracing::metadata::Kind;
use tracing::span::{Attributes, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Id, Level, Metadata, Subscriber, debug, info, info_span, trace};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::prelude::*;
use tracing_subscriber::reload;
use ttlog_core::event::Role;
use ttlog_std::Recorder;

use super::common::ring::RingContents;
use super::common::{Place, wait_until};
use super::tree::Tree;
use super::{Case, WAY, install, ring_of, rings_of};

pub const CASES: &[Case] = &[
    ("reload-ours", reload_ours),
    ("boxed", boxed),
    ("disabled", disabled),
    ("released", released),
    ("dropped", dropped),
    ("held", held),
    ("inner-debug", inner_debug),
    ("panicking", panicking),
];

/// Spans of which some are hidden by a filter around our layer, which changes.
fn reload_ours() {
    let recorder = Recorder::builder().filter("trace").build().unwrap();
    let (filter, handle) = reload::Layer::new(EnvFilter::new("trace,hidden=off"));
    let everything = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    tracing_subscriber::registry().with(recorder.layer().with_filter(filter)).with(everything).init();
    let visible = info_span!("visible");
    let hidden = info_span!(target: "hidden", parent: &visible, "hidden");
    info!(parent: &hidden, "before");
    // What was hidden is no longer, and the other way round.
    handle.reload(EnvFilter::new("trace,tracing=off")).unwrap();
    info!(target: "hidden", parent: &hidden, "after");
    info_span!(target: "hidden", parent: &hidden, "below hidden").in_scope(|| {
        info!(target: "hidden", "in it");
        let invisible = info_span!("invisible");
        invisible.in_scope(|| info!(target: "hidden", "entered invisible"));
        invisible.follows_from(&hidden);
    });
    hidden.in_scope(|| info!(target: "hidden", "entered hidden"));
    handle.reload(EnvFilter::new("trace")).unwrap();
    hidden.in_scope(|| visible.in_scope(|| info!(target: "hidden", "entered both")));
    drop((visible, hidden));
}

#[test]
fn filter_around_the_layer_that_is_reloaded() {
    let tree = Tree::new(ring_of("reload-ours"));
    for (event, span) in [
        ("before", "visible"),
        ("after", "visible"),
        ("in it", "below hidden"),
        ("entered invisible", "below hidden"),
        ("entered hidden", "-"),
        ("entered both", "visible"),
    ] {
        assert_eq!(tree.span_of(event), span, "{event}");
    }
    assert_eq!((tree.parent("below hidden"), tree.spans.len()), ("visible", 2));
}

fn boxed() {
    let recorder = Recorder::builder().filter("info,hidden=off").build().unwrap();
    // Neither passes on everything that a subscriber is asked.
    let other = || tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    let shared = Arc::new(tracing_subscriber::registry().with(other()).with(recorder.layer()));
    let boxed: Box<dyn Subscriber + Send + Sync> =
        Box::new(tracing_subscriber::registry().with(other()).with(recorder.layer().boxed()));
    for (name, dispatch) in [("shared", Dispatch::new(shared)), ("boxed", Dispatch::new(boxed))] {
        tracing::dispatcher::with_default(&dispatch, || {
            let outer = info_span!("outer", name);
            let hidden = info_span!(target: "hidden", parent: &outer, "hidden");
            info!(parent: &hidden, "explicit, {name}");
            hidden.in_scope(|| info!("entered, {name}"));
            outer.in_scope(|| hidden.in_scope(|| info!("entered both, {name}")));
        });
    }
}

#[test]
fn subscriber_in_a_box_or_an_arc() {
    let tree = Tree::new(ring_of("boxed"));
    for name in ["shared", "boxed"] {
        for (event, span) in [("explicit", "outer"), ("entered", "-"), ("entered both", "outer")] {
            assert_eq!(tree.span_of(&format!("{event}, {name}")), span, "{event}, {name}");
        }
    }
    assert!(tree.spans.values().all(|span| (span.name.as_str(), span.ended) == ("outer", 1)), "{tree:#?}");
}

/// A subscriber that passes everything on, and counts the questions before events and spans.
struct Asked<S>(S, Arc<AtomicUsize>);

impl<S: Subscriber> Subscriber for Asked<S> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.0.register_callsite(metadata)
    }
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.enabled(metadata)
    }
    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.event_enabled(event)
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.max_level_hint()
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.0.new_span(attributes)
    }
    fn record(&self, id: &Id, values: &Record<'_>) {
        self.0.record(id, values);
    }
    fn record_follows_from(&self, id: &Id, from: &Id) {
        self.0.record_follows_from(id, from);
    }
    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }
    fn enter(&self, id: &Id) {
        self.0.enter(id);
    }
    fn exit(&self, id: &Id) {
        self.0.exit(id);
    }
    fn clone_span(&self, id: &Id) -> Id {
        self.0.clone_span(id)
    }
    fn try_close(&self, id: Id) -> bool {
        self.0.try_close(id)
    }
}

/// Sets a filter, and returns how long `tracing` took to follow.
fn change(recorder: &Recorder, filter: &str, level: LevelFilter) -> Duration {
    let start = Instant::now();
    recorder.set_filter(filter).unwrap();
    wait_until("the level", || LevelFilter::current() == level);
    start.elapsed()
}

fn disabled() {
    let recorder = Recorder::builder().filter("warn").build().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let subscriber = Asked(tracing_subscriber::registry().with(recorder.layer()), asked.clone());
    tracing::subscriber::set_global_default(subscriber).unwrap();
    #[cfg(feature = "log")]
    recorder.logger().install().unwrap();
    let work = || {
        for round in 0..100 {
            trace!(round, "trace");
            debug!(target: "other", round, "debug");
            tracing::trace_span!("span", round).in_scope(|| ());
        }
    };
    work();
    let mut took = [Duration::MAX; 3];
    for took in &mut took {
        *took = change(&recorder, "trace", LevelFilter::TRACE);
        #[cfg(feature = "log")]
        wait_until("the level of log", || log::max_level() == log::LevelFilter::Trace);
        work();
        change(&recorder, "warn", LevelFilter::WARN);
        #[cfg(feature = "log")]
        wait_until("the level of log", || log::max_level() == log::LevelFilter::Warn);
    }
    // The best of three, for a machine that does other things, too.
    assert!(took.iter().min().unwrap() < &Duration::from_millis(200), "{took:?}");
    let before = asked.load(Ordering::Relaxed);
    work();
    assert_eq!(asked.load(Ordering::Relaxed), before, "what is off asks nobody");
    // On for one target alone, so that the level is open to all: only that target's callsites ask, once per event.
    change(&recorder, "warn,other=debug", LevelFilter::DEBUG);
    // The level is known a little earlier than the callsites.
    std::thread::sleep(Duration::from_millis(300));
    let before = asked.load(Ordering::Relaxed);
    work();
    let after = asked.load(Ordering::Relaxed) - before;
    assert_eq!(after, 100, "questions for 100 events that are on");
}

#[test]
fn level_reaches_all_callsites_and_costs_nothing_afterwards() {
    let tree = Tree::new(ring_of("disabled"));
    assert_eq!((tree.count("trace"), tree.count("debug"), tree.spans.len()), (300, 400, 300));
}

/// A layer that notes when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl<S: Subscriber> Layer<S> for Dropped {}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn released() {
    let recorder = Recorder::builder().build().unwrap();
    let is_dropped = Arc::new(AtomicBool::new(false));
    let subscriber = tracing_subscriber::registry().with(Dropped(is_dropped.clone())).with(recorder.layer());
    let dispatch = Dispatch::new(subscriber);
    let span = tracing::dispatcher::with_default(&dispatch, || {
        info_span!("span").in_scope(|| info!("in it"));
        info_span!("held")
    });
    drop(dispatch);
    assert!(!is_dropped.load(Ordering::Relaxed), "a span holds its subscriber");
    drop(span);
    assert!(is_dropped.load(Ordering::Relaxed), "and the layer does not");
}

#[test]
fn layer_does_not_hold_its_subscriber() {
    let tree = Tree::new(ring_of("released"));
    assert_eq!((tree.span_of("in it"), tree.span("held").1.ended), ("span", 1));
}

/// Makes a new callsite, and an event of it.
fn event_of_new_callsite() {
    /// Has no metadata of its own before they are leaked.
    struct Later(std::sync::OnceLock<&'static Metadata<'static>>);
    impl tracing::Callsite for Later {
        fn set_interest(&self, _: Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            self.0.get().unwrap()
        }
    }
    let callsite: &'static Later = Box::leak(Box::new(Later(std::sync::OnceLock::new())));
    let fields = FieldSet::new(&["number"], Identifier(callsite));
    let metadata = Metadata::new("new", "new", Level::INFO, None, None, None, fields, Kind::EVENT);
    let metadata: &'static _ = Box::leak(Box::new(metadata));
    callsite.0.set(metadata).ok().unwrap();
    let registered: &'static DefaultCallsite = Box::leak(Box::new(DefaultCallsite::new(metadata)));
    registered.register();
    let field = metadata.fields().iter().next().unwrap();
    let values = [(&field, Some(&7_u64 as &dyn tracing::Value))];
    Event::dispatch(metadata, &metadata.fields().value_set(&values));
}

fn dropped() {
    let recorder = Recorder::builder().capacity_bytes(32 << 20).build().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let registering = [(); 2].map(|()| {
            scope.spawn(|| {
                tracing::subscriber::with_default(tracing_subscriber::registry().with(recorder.layer()), || {
                    (0..1000).for_each(|_| event_of_new_callsite());
                });
            })
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                tracing::subscriber::with_default(tracing_subscriber::registry().with(recorder.layer()), || {
                    let span = info_span!("short");
                    span.in_scope(|| ());
                    // Ends with its subscriber alone.
                    std::mem::forget(span);
                });
                drop(Dispatch::new(ttlog_std::tracing::subscriber()));
            }
        });
        registering.into_iter().for_each(|thread| thread.join().unwrap());
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(recorder.loss().dropped_total(), 0);
}

#[test]
fn subscriber_that_is_dropped_while_callsites_are_registered() {
    let tree = Tree::new(ring_of("dropped"));
    let events = tree.events.iter().filter(|event| event.target == "new");
    assert_eq!(events.filter(|event| event.value("number") == "u64 7").count(), 2000);
}

fn held() {
    let _recorder = install();
    let span = info_span!("held", number = 1);
    span.in_scope(|| info!("in it"));
    let other = std::thread::spawn({
        let span = span.clone();
        move || span.in_scope(|| info!("on another thread"))
    });
    other.join().unwrap();
    drop(span.clone());
    // SAFETY: ends the process as `kill -9` does, with a handle of the span alive.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    std::hint::black_box(&span);
}

#[test]
fn span_with_a_handle_at_death_is_open() {
    for way in ["layer", "subscriber"] {
        let place = Place::new(&format!("tracing-held-{way}"));
        let mut command = place.child("held");
        command.env(WAY, way);
        assert!(!super::common::finish(command).status.success());
        let tree = Tree::new(RingContents::read(&place.ring_files()[0]));
        let (_, span) = tree.span("held");
        assert_eq!((span.entered, span.left, span.ended), (2, 2, 0), "left, and not ended");
        assert_eq!(tree.span_of("on another thread"), "held");
    }
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// A value that makes spans and events, enters and leaves, while it is recorded.
struct Busy;

impl std::fmt::Debug for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if DEPTH.replace(DEPTH.get() + 1) < 3 {
            let span = info_span!("inner", value = ?Busy);
            span.in_scope(|| info!(value = ?Busy, "in inner"));
            span.record("value", 1);
            let _ = tracing::enabled!(Level::TRACE);
        }
        DEPTH.set(DEPTH.get() - 1);
        f.write_str("busy")
    }
}

fn inner_debug() {
    let _recorder = install();
    for round in 0..50 {
        let span = info_span!("outer", value = ?Busy, round);
        let _in_span = span.enter();
        info!(before = 1, value = ?Busy, after = 2, "message {:?}", Busy);
        info!(round, "plain");
    }
}

#[test]
fn debug_that_enters_spans() {
    rings_of("inner-debug", |ring| {
        assert_eq!(ring.loss.dropped_total(), 0);
        let tree = Tree::new(ring);
        let plain = tree.events.iter().filter(|event| event.fields.get("message").is_some_and(|text| text == "plain"));
        let spans: Vec<_> = plain.map(|event| tree.name(event.span(Role::Span).unwrap())).collect();
        assert_eq!(spans, ["outer"; 50]);
        assert_eq!(tree.count("message busy"), 50);
        assert!(tree.spans.values().all(|span| (span.entered, span.ended) == (span.left, 1)));
    });
}

/// A value that panics while it is recorded.
struct Panics;

impl std::fmt::Debug for Panics {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::panic::panic_any(());
    }
}

fn panicking() {
    let recorder = ttlog_std::Recorder::builder().panic_hook(false).build().unwrap();
    tracing::subscriber::set_global_default(ttlog_std::tracing::subscriber()).unwrap();
    std::panic::set_hook(Box::new(|_| ()));
    // More than there is room for open spans.
    for _ in 0..(1 << 17) + 1000 {
        std::panic::catch_unwind(|| info_span!("panicking", value = ?Panics)).unwrap_err();
    }
    info_span!("afterwards").in_scope(|| info!("in a span that is recorded"));
    assert_eq!(recorder.loss().dropped_total(), 0);
}

#[test]
fn spans_that_are_never_made_take_no_room() {
    let tree = Tree::new(ring_of("panicking"));
    assert_eq!(tree.span_of("in a span that is recorded"), "afterwards");
}
