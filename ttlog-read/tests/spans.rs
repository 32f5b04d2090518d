//! Spans by the public interface: of good recordings, and of hostile ones.

#[path = "support/recording.rs"]
mod recording;
#[path = "support/spans.rs"]
mod spans;

use std::path::PathBuf;

use recording::{Recording, SECOND, Thread};
use spans::web;
use ttlog_core::snapshot::Codec;
use ttlog_read::span::{Action, PATH_LEN_MAX, State};
use ttlog_read::{Query, Secrets, Source, Timeline};

const MS: u64 = SECOND / 1000;

/// Runs `check` on the timeline of a file, if it is one.
fn timeline_of(bytes: &[u8], query: &Query, check: impl FnOnce(&mut Timeline<'_, '_>)) {
    let id = std::thread::current().name().unwrap_or_default().replace(':', "-");
    let name = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("spans-{id}"));
    std::fs::write(&name, bytes).expect("the file can be written");
    let inputs = ttlog_read::open(&[name.to_str().expect("UTF-8")]);
    if let Ok(sources) = inputs.sources(&Secrets::default()) {
        check(&mut Timeline::read(&sources, query, &mut ()));
    }
}

/// Looks at everything that concerns spans, and returns the number of events.
fn exercise(timeline: &mut Timeline<'_, '_>) -> usize {
    let tree = timeline.span_tree(&Query::default());
    for node in &tree.nodes {
        let span = &node.span;
        assert!(0 <= span.busy_ns() && span.busy_ns() <= span.total_ns());
        assert!(span.path().len() <= PATH_LEN_MAX && node.depth < tree.nodes.len());
        let _ = (span.name(), span.fields(), span.trace_id(), span.started(), timeline.threads_inside(span));
    }
    for source in 0..timeline.sources.len() {
        assert!(timeline.open_spans(source).iter().all(|open| open.since_ns >= 0 && open.span.state() == State::Open));
    }
    let mut events = timeline.events();
    let mut count = 0;
    while let Some(event) = events.next_event() {
        count += 1;
        let path = event.spans();
        assert!(path.len() <= PATH_LEN_MAX && path.last().is_none_or(|span| span.id() == event.span_id));
        let _ = (event.trace_id(), event.span_action(), event.fields().count());
    }
    count
}

#[test]
fn events_know_their_spans() {
    let bytes = web(1).snapshot("test", 2 * SECOND, Codec::Lz4);
    timeline_of(&bytes, &Query::default(), |timeline| {
        let mut events = timeline.events();
        let mut paths = Vec::new();
        while let Some(event) = events.next_event() {
            assert_eq!(event.span_action(), None);
            let path: Vec<_> = event.spans().iter().map(|span| span.name().expect("a name")).collect();
            paths.push((event.message(), path.join(":"), event.spans().last().map(|span| span.fields().len())));
        }
        let paths: Vec<_> =
            paths.iter().map(|(message, path, count)| (message.as_str(), path.as_str(), *count)).collect();
        let expected = [
            ("checked", "", None),
            ("loaded 12 rows", "request:query", Some(1)),
            ("checked", "request:query", Some(1)),
            ("checked", "request", Some(3)),
            ("checked", "request:query", Some(1)),
            ("checked", "", None),
        ];
        assert_eq!(paths, expected);
    });
    let with_records = Query { span_records: true, ..Query::default() };
    timeline_of(&bytes, &with_records, |timeline| {
        assert_eq!((timeline.entries.len() as u64, timeline.found[0].events), (25, 25));
        let mut events = timeline.events();
        let mut actions = Vec::new();
        while let Some(event) = events.next_event() {
            actions.extend(event.span_action().filter(|_| event.span_id == 4));
        }
        assert_eq!(actions, [Action::Start { parent: Some(0) }, Action::Update { follows: 1 }, Action::Enter]);
    });
}

#[test]
fn durations_are_those_of_the_program() {
    timeline_of(&web(1).image(), &Query::default(), |timeline| {
        let tree = timeline.span_tree(&Query::default());
        let ms = |ns: i64| ns as u64 / MS;
        let lives = tree.nodes.iter().map(|node| {
            (
                node.span.id(),
                node.depth,
                ms(node.span.total_ns()),
                ms(node.span.busy_ns()),
                node.span.life().entered_count,
            )
        });
        // The last sign of life is at 1.450 s.
        let expected =
            [(3, 0, 150, 10, 1), (4, 0, 50, 50, 1), (5, 1, 45, 40, 1), (1, 0, 120, 80, 2), (2, 1, 50, 30, 1)];
        assert_eq!(lives.collect::<Vec<_>>(), expected);
        assert!(tree.nodes.iter().find(|node| node.span.id() == 1).is_some_and(|node| node.span.life().has_moved));
        let open: Vec<_> = timeline.open_spans(0).iter().map(|open| (open.span.id(), open.context)).collect();
        assert_eq!(open, [(5, Some(2)), (3, None)]);
    });
}

#[test]
fn nonsense_has_an_end() {
    let web = Recording::of_spans(1, 16, 4096);
    web.know_spans();
    let (one, two) = (Thread::new(1, "one"), Thread::new(2, "two"));
    let mut random = fastrand::Rng::with_seed(7);
    for n in 0..1500 {
        let thread = if random.bool() { &one } else { &two };
        let (at, span) = (SECOND + n, random.u64(0..6));
        match random.u8(0..8) {
            // Circles, the same id again, and no id.
            0 => web.request(thread, at, span, random.u64(0..6), 1, "ann"),
            1 => web.enter(thread, at, span),
            2 => web.leave(thread, at, span),
            3 => web.end(thread, at, span),
            4 => web.answer(thread, at, span, 200),
            5 => web.follow(thread, at, span, random.u64(0..6)),
            6 => web.loaded(thread, at, span, 1, ""),
            _ => web.checked(thread, at, 1),
        }
    }
    for query in [Query::default(), Query { filter: "span.id=1".parse().unwrap(), ..Query::default() }] {
        timeline_of(&web.image(), &query, |timeline| assert!(exercise(timeline) > 0));
    }
}

#[test]
fn each_changed_byte_is_survived() {
    let (whole, mut random) = (web(1).snapshot("test", 2 * SECOND, Codec::None), fastrand::Rng::with_seed(9));
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << random.u8(0..8);
        timeline_of(&bytes, &Query::default(), |timeline| assert!(exercise(timeline) <= 25));
    }
    let image = web(1).image();
    for at in (0..image.len()).step_by(31) {
        let mut bytes = image.clone();
        bytes[at] ^= 1 << random.u8(0..8);
        timeline_of(&bytes, &Query::default(), |timeline| _ = exercise(timeline));
    }
}

#[test]
fn many_spans_that_never_end() {
    const COUNT: u64 = 200_000;
    let web = Recording::of_spans(1, 400, 32 * 1024);
    web.know_spans();
    let one = Thread::new(1, "one");
    for span in 1..=COUNT {
        // Half of them below one another, half side by side; all are entered, and none is left.
        web.request(&one, SECOND + span, span, if span % 2 == 0 { span - 1 } else { 0 }, 1, "ann");
        web.enter(&one, SECOND + span, span);
    }
    let start = std::time::Instant::now();
    timeline_of(&web.image(), &Query::default(), |timeline| {
        assert_eq!((timeline.span_overflow, timeline.span_tree(&Query::default()).nodes.len() as u64), (0, COUNT));
        assert!(timeline.span_tree(&Query::default()).nodes.iter().all(|node| node.span.state() == State::Open));
        assert_eq!(timeline.open_spans(0).len(), 1, "one thread");
    });
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn a_source_is_found_by_each_span() {
    timeline_of(&web(1).image(), &Query::default(), |timeline| {
        let service = |source: &Source<'_>| source.process.map(|process| process.service.to_owned());
        let tree = timeline.span_tree(&Query::default());
        assert!(tree.nodes.iter().all(|node| node.span.source().and_then(service).as_deref() == Some("shop")));
    });
}
