//! Records of `log` that come through `tracing-log`, and questions about them.

use tracing_subscriber::prelude::*;
use ttlog_core::Level;
use ttlog_core::event::Role;
use ttlog_std::Recorder;

use super::tree::{Tree, message};
use super::{Case, install, ring_of, rings_of};

pub const CASES: &[Case] = &[
    ("through", through),
    #[cfg(feature = "log")]
    ("both", both),
    ("questions", questions),
    ("through-filter", through_filter),
];

fn through() {
    let _recorder = install();
    // Has no effect if the subscriber was installed together with one.
    let _ = tracing_log::LogTracer::init();
    log::set_max_level(log::LevelFilter::Trace);
    tracing::info_span!("span").in_scope(|| log::info!("in span {}", 1));
    log::warn!(target: "other::target", "with a target");
    for round in 0..2 {
        log::debug!("in a loop {round}");
    }
    tracing::info!(target: "log", "an event of tracing with that target");
}

#[test]
fn records_through_tracing_keep_their_places() {
    rings_of("through", |ring| {
        let sites: std::collections::HashSet<_> = ring.callsite_ids.iter().collect();
        assert_eq!(sites.len(), ring.callsite_ids.len(), "one callsite each");
        let tree = Tree::new(ring);
        assert_eq!(tree.events.len(), 5);
        let event = tree.event("in span 1");
        assert_eq!((event.level, event.target.as_str()), (Level::Info, "tracing::logs"));
        assert!(event.file.ends_with("tests/tracing/logs.rs") && event.line > 20, "{event:?}");
        assert_eq!(event.values.len(), 2, "span and message");
        assert_eq!(tree.span_of("in span 1"), "span");
        let event = tree.event("with a target");
        assert_eq!((event.level, event.target.as_str()), (Level::Warn, "other::target"));
        assert_eq!(event.span(Role::Span), Some(0));
        let lines: Vec<_> = tree
            .events
            .iter()
            .filter(|event| message(event).is_some_and(|text| text.starts_with("in a loop")))
            .map(|event| event.line)
            .collect();
        assert_eq!((lines.len(), lines[0]), (2, lines[1]));
        assert_eq!(tree.event("an event of tracing with that target").target, "log");
    });
}

#[cfg(feature = "log")]
fn both() {
    let recorder = Recorder::builder().build().unwrap();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(recorder.layer())).unwrap();
    // Everything is installed: our logger, and beside it that of `tracing-log`, whose events reach our layer.
    let tracer = Box::new(tracing_log::LogTracer::new());
    recorder.logger().beside(tracer, log::LevelFilter::Trace).install().unwrap();
    tracing::info_span!("span").in_scope(|| log::info!(user = 7; "once"));
    tracing::info!("an event of tracing");
}

#[test]
#[cfg(feature = "log")]
fn records_are_recorded_once_with_both() {
    let tree = Tree::new(ring_of("both"));
    assert_eq!(tree.events.len(), 2);
    let event = tree.event("once");
    assert_eq!((event.target.as_str(), event.value("user")), ("tracing::logs", "i64 7"));
    assert_eq!(tree.span_of("once"), "span");
}

fn questions() {
    let recorder = Recorder::builder().filter("info").build().unwrap();
    // A layer that wants more than ours, and asks for nothing.
    let other = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    tracing_subscriber::registry().with(recorder.layer()).with(other).init();
    log::set_max_level(log::LevelFilter::Trace);
    for round in 0..100 {
        // As a database driver does before each statement.
        if log::log_enabled!(target: "sql", log::Level::Debug) {
            tracing::info!(round, "an event after a question");
        }
        std::hint::black_box(log::log_enabled!(target: "sql", log::Level::Trace));
        tracing::info_span!("span after a question", round).in_scope(|| tracing::info!(round, "in the span"));
    }
}

#[test]
fn questions_about_records_withhold_no_event() {
    let tree = Tree::new(ring_of("questions"));
    assert_eq!((tree.count("an event after a question"), tree.count("in the span")), (100, 100));
    assert_eq!(tree.spans.len(), 100);
}

fn through_filter() {
    let recorder = Recorder::builder().filter("warn,loud=trace").build().unwrap();
    tracing_subscriber::registry().with(recorder.layer()).init();
    log::set_max_level(log::LevelFilter::Trace);
    log::info!("off");
    log::warn!("on");
    log::trace!(target: "loud", "loud");
    recorder.set_filter("off,quiet=info").unwrap();
    log::warn!("off again");
    log::info!(target: "quiet::below", "quiet");
}

#[test]
fn filter_sees_the_real_targets() {
    let tree = Tree::new(ring_of("through-filter"));
    let messages: std::collections::BTreeSet<_> = tree.events.iter().filter_map(message).collect();
    assert_eq!(messages.into_iter().collect::<Vec<_>>(), ["loud", "on", "quiet"]);
}
