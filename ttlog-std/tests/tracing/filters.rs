//! Filters: ours, those of other layers beside it, and changes at run time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Subscriber;
use tracing::{Event, debug, info, info_span, trace};
use tracing_subscriber::filter::{EnvFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use ttlog_std::Recorder;

use super::tree::Tree;
use super::{Case, install, ring_of, rings_of};

pub const CASES: &[Case] = &[
    ("hidden", hidden),
    ("hidden-scoped", hidden_scoped),
    ("beside", beside),
    ("below", below),
    ("global", global),
    ("reload", reload_others),
    ("run-time", run_time),
    ("outside", outside),
    ("early", early),
    ("macros", macros),
];

/// A layer that counts events and spans.
#[derive(Clone, Default)]
struct Counting(Arc<[AtomicUsize; 2]>);

impl Counting {
    fn counts(&self) -> [usize; 2] {
        self.0.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Counting {
    fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
        self.0[0].fetch_add(1, Ordering::Relaxed);
    }
    fn on_new_span(&self, _: &tracing::span::Attributes<'_>, _: &tracing::Id, _: Context<'_, S>) {
        self.0[1].fetch_add(1, Ordering::Relaxed);
    }
}

fn hidden() {
    let recorder = Recorder::builder().filter("info,hidden=off").build().unwrap();
    let counting = Counting::default();
    tracing_subscriber::registry().with(counting.clone()).with(recorder.layer()).init();
    work_below_hidden_spans();
    assert_eq!(counting.counts(), [7, 6], "the other layer sees everything");
}

fn work_below_hidden_spans() {
    let visible = info_span!("visible");
    let hidden = info_span!(target: "hidden", parent: &visible, "hidden");
    let deeper = info_span!(target: "hidden", parent: &hidden, "deeper");
    let orphan = info_span!(target: "hidden", parent: None, "orphan");
    info!(parent: &deeper, "explicit below hidden");
    info!(parent: &orphan, "explicit below orphan");
    info_span!(parent: &deeper, "child").in_scope(|| info!("in child"));
    visible.in_scope(|| {
        deeper.in_scope(|| {
            info!("entered hidden");
            info_span!("contextual").in_scope(|| info!("in contextual"));
        });
    });
    deeper.follows_from(&visible);
    visible.follows_from(&deeper);
    hidden.record("nothing", 1);
    drop((hidden, deeper, orphan));
    info!("outside");
    info!(target: "hidden", "never recorded");
}

fn check_below_hidden_spans(tree: &Tree) {
    for (event, span) in [
        ("explicit below hidden", "visible"),
        ("explicit below orphan", "-"),
        ("in child", "child"),
        ("entered hidden", "visible"),
        ("in contextual", "contextual"),
        ("outside", "-"),
    ] {
        assert_eq!(tree.span_of(event), span, "{event}");
    }
    assert_eq!((tree.parent("child"), tree.parent("contextual")), ("visible", "visible"));
    assert_eq!((tree.spans.len(), tree.count("never recorded")), (3, 0));
    assert!(tree.spans.values().all(|span| span.follows.is_empty()));
}

#[test]
fn parents_that_the_filter_hides() {
    check_below_hidden_spans(&Tree::new(ring_of("hidden")));
}

fn hidden_scoped() {
    let recorder = Recorder::builder().filter("info,hidden=off").build().unwrap();
    let subscriber = tracing_subscriber::registry().with(Counting::default()).with(recorder.layer());
    tracing::subscriber::with_default(subscriber, work_below_hidden_spans);
}

#[test]
fn parents_that_the_filter_hides_in_a_scope() {
    check_below_hidden_spans(&Tree::new(ring_of("hidden-scoped")));
}

fn beside() {
    let recorder = Recorder::builder().filter("debug,chatty=off").build().unwrap();
    let [plain, by_env, by_target, by_fn] = [(); 4].map(|()| Counting::default());
    let env = EnvFilter::new("warn,chatty=trace");
    tracing_subscriber::registry()
        .with(by_env.clone().with_filter(env))
        .with(by_target.clone().with_filter(Targets::new().with_target("chatty", LevelFilter::INFO)))
        .with(recorder.layer())
        .with(by_fn.clone().with_filter(filter_fn(|metadata| metadata.is_span())))
        .with(plain.clone())
        .init();
    for _ in 0..10 {
        trace!("trace");
        debug!("debug");
        tracing::warn!("warn");
        trace!(target: "chatty", "chatty trace");
        info!(target: "chatty", "chatty info");
        info_span!("span").in_scope(|| ());
        info_span!(target: "chatty", "chatty span").in_scope(|| ());
    }
    assert_eq!(plain.counts(), [50, 20]);
    assert_eq!(by_env.counts(), [30, 10]);
    assert_eq!(by_target.counts(), [10, 10]);
    assert_eq!(by_fn.counts(), [0, 20]);
}

#[test]
fn layers_with_filters_beside_ours() {
    let tree = Tree::new(ring_of("beside"));
    assert_eq!((tree.count("debug"), tree.count("warn"), tree.events.len()), (10, 10, 20));
    assert_eq!(tree.spans.len(), 10);
}

fn below() {
    let recorder = Recorder::builder().filter("warn").build().unwrap();
    let all = || {
        debug!("below");
        tracing::debug_span!("below").in_scope(|| tracing::warn!("own"));
    };
    let counting = Counting::default();
    let ours_last = tracing_subscriber::registry().with(counting.clone()).with(recorder.layer());
    tracing::subscriber::with_default(ours_last, all);
    assert_eq!(counting.counts(), [2, 1]);
    let ours_first = tracing_subscriber::registry().with(recorder.layer()).with(counting.clone());
    tracing::subscriber::with_default(ours_first, all);
    assert_eq!(counting.counts(), [4, 2]);
}

#[test]
fn layers_without_filters_get_what_ours_does_not_want() {
    let tree = Tree::new(ring_of("below"));
    assert_eq!((tree.count("own"), tree.events.len(), tree.spans.len()), (2, 2, 0));
}

fn global() {
    let recorder = Recorder::builder().build().unwrap();
    // Not the filter of a layer, but of the whole subscriber, ours included.
    tracing_subscriber::registry().with(EnvFilter::new("info,mine=trace")).with(recorder.layer()).init();
    debug!("off for all");
    info!("on");
    trace!(target: "mine", "mine");
}

#[test]
fn filter_of_the_whole_subscriber() {
    let tree = Tree::new(ring_of("global"));
    assert_eq!((tree.count("on"), tree.count("mine"), tree.events.len()), (1, 1, 2));
}

fn reload_others() {
    let recorder = Recorder::builder().filter("info,hidden=off").build().unwrap();
    let (filter, handle) = reload::Layer::new(EnvFilter::new("trace"));
    let counting = Counting::default();
    let reloaded = counting.clone().with_filter(filter);
    tracing_subscriber::registry().with(reloaded).with(recorder.layer()).init();
    work_below_hidden_spans();
    assert_eq!(counting.counts(), [7, 6]);
    let visible = info_span!("outer");
    let hidden = info_span!(target: "hidden", parent: &visible, "hidden outer");
    for level in ["trace", "off", "warn", "info"] {
        handle.reload(EnvFilter::new(level)).unwrap();
        info!(parent: &hidden, "after a reload");
    }
    // Not at `off` and `warn`.
    assert_eq!(counting.counts(), [9, 8]);
}

#[test]
fn reload_of_another_layer() {
    let tree = Tree::new(ring_of("reload"));
    assert_eq!(tree.count("after a reload"), 4);
    let events = tree.events.iter().filter(|event| event.fields.get("message").is_some_and(|m| m == "after a reload"));
    let spans: Vec<_> = events.map(|event| tree.name(event.span(ttlog_core::event::Role::Span).unwrap())).collect();
    assert_eq!(spans, ["outer"; 4]);
    assert_eq!(tree.span_of("explicit below hidden"), "visible");
}

/// Waits for a level of `tracing`, and returns how long it took.
fn wait_for(level: LevelFilter) -> Duration {
    let start = Instant::now();
    super::common::wait_until("the level", || LevelFilter::current() == level);
    start.elapsed()
}

fn run_time() {
    let recorder = install();
    recorder.set_filter("warn").unwrap();
    wait_for(LevelFilter::WARN);
    let say = |text: &'static str| {
        debug!("{text}");
        info!("{text}");
        tracing::warn!("{text}");
    };
    say("at warn");
    recorder.set_filter("debug").unwrap();
    let took = wait_for(LevelFilter::DEBUG);
    // Half a second more for a machine that does other things, too.
    assert!(took < Duration::from_millis(700), "{took:?}");
    say("at debug");
    recorder.set_filter("info").unwrap();
    // Off at once, before anything was renewed.
    say("at info");
    wait_for(LevelFilter::INFO);
    // One target alone: its callsites are on, and the others stay off.
    recorder.set_filter("off,one=trace").unwrap();
    wait_for(LevelFilter::TRACE);
    say("at off");
    trace!(target: "one", "of one");
    recorder.shutdown();
    say("after the end");
}

#[test]
fn level_that_changes_at_run_time() {
    // The ring is removed by the shutdown, so the case looks at a snapshot of its own.
    for way in ["layer", "subscriber"] {
        let place = super::common::Place::new(&format!("tracing-run-time-{way}"));
        let mut command = place.child("run-time");
        command.env(super::WAY, way).env("TTLOG_SNAPSHOT_INTERVAL", "50ms");
        let output = super::common::finish(command);
        assert!(output.status.success(), "{}", super::common::stderr(&output));
    }
    rings_of("macros", |ring| assert_eq!(Tree::new(ring).count("enabled"), 1));
}

fn outside() {
    use std::os::unix::fs::FileExt as _;
    let recorder = install();
    recorder.set_filter("warn").unwrap();
    wait_for(LevelFilter::WARN);
    debug!("before");
    // As `ttlog-view level` does.
    let path = recorder.ring_path().unwrap();
    let bytes = std::fs::read(path).unwrap();
    let control = ttlog_core::RingImage::parse(&bytes).unwrap().control().unwrap();
    let request = control.request(std::process::id(), "level debug").unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    for (offset, bytes) in request.writes() {
        file.write_all_at(bytes, offset).unwrap();
    }
    let took = wait_for(LevelFilter::DEBUG);
    assert!(took < Duration::from_millis(700), "{took:?}");
    debug!("after");
}

#[test]
fn level_that_is_changed_from_outside() {
    rings_of("outside", |ring| {
        let tree = Tree::new(ring);
        assert_eq!((tree.count("before"), tree.count("after")), (0, 1));
    });
}

fn early() {
    // Everything is there before the recorder.
    tracing_subscriber::registry().with(ttlog_std::tracing::layer()).init();
    assert!(!tracing::enabled!(tracing::Level::ERROR), "nothing is recorded, so nothing is enabled");
    let say = || info!("said");
    say();
    let span = info_span!("before");
    let _recorder = Recorder::builder().filter("info").build().unwrap();
    wait_for(LevelFilter::INFO);
    say();
    span.in_scope(say);
    info_span!("after").in_scope(say);
    span.record("x", 1);
}

#[test]
fn layer_that_is_there_before_the_recorder() {
    let tree = Tree::new(ring_of("early"));
    assert_eq!((tree.count("said"), tree.spans.len()), (3, 1));
}

fn macros() {
    let recorder = install();
    recorder.set_filter("info").unwrap();
    wait_for(LevelFilter::INFO);
    let callsites_before = super::RingContents::read(recorder.ring_path().unwrap()).callsite_ids.len();
    for _ in 0..3 {
        assert!(tracing::enabled!(tracing::Level::INFO));
        assert!(tracing::event_enabled!(tracing::Level::WARN));
        assert!(tracing::span_enabled!(target: "x", tracing::Level::ERROR));
        assert!(!tracing::enabled!(tracing::Level::DEBUG));
    }
    info!("enabled");
    let ring = super::RingContents::read(recorder.ring_path().unwrap());
    let new = ring.callsite_ids.len() - callsites_before;
    assert_eq!((ring.events.len(), new), (1, 1), "questions are no events");
}
