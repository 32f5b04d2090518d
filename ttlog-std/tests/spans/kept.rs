//! Spans that are open, or have warnings, for longer than the ring reaches back.

use std::panic::catch_unwind;
use std::time::Duration;

use ttlog_core::event::Role;
use ttlog_std::{Level, Recorder, info, info_scope, info_span, warn};

use super::common::ring::RingContents;
use super::common::{Event, Place, Snapshot, finish, stderr};
use super::tree::{Tree, events_of_killed, overwrite_and_wait};
use super::{Case, ring_of};

pub const CASES: &[Case] = &[
    ("warned", warned),
    ("warned-often", warned_often),
    ("warned-elsewhere", warned_elsewhere),
    ("long-killed", long_killed),
    ("long-panic", long_panic),
    ("long-values", long_values),
    ("long-many", long_many),
    ("event-parents", event_parents),
    ("long-forked", long_forked),
];

fn install_small() -> Recorder {
    Recorder::builder().capacity_bytes(1 << 20).build().unwrap()
}

/// Writes more than the ring holds, several times.
fn fill_ring() {
    let text = "x".repeat(1000);
    (0..6000).for_each(|_| info!("filling", text));
}

/// Returns the warnings of a ring in which nothing else is left, and its spans.
fn warnings_of(ring: RingContents) -> Tree {
    let started = ring.events.iter().any(|event| {
        [Role::Start, Role::Begin].iter().any(|role| event.event.span(*role).is_some())
            && event.event.message != "filling"
    });
    assert!(!started, "the ring was not filled");
    Tree::new(ring)
}

fn warned() {
    let _recorder = install_small();
    warn!("in no span");
    {
        let _request = info_scope!("request", user = 42_u64, path = "/cart");
        let step = info_span!("step", number = 3_u8);
        step.in_scope(|| warn!("odd", reason = 7_u64));
        warn!("odd in request");
    }
    fill_ring();
}

#[test]
fn warning_keeps_its_span_with_name_parent_and_values() {
    let tree = warnings_of(ring_of("warned"));
    assert_eq!(
        (tree.span_of("odd"), tree.span_of("odd in request"), tree.span_of("in no span")),
        ("step", "request", "-")
    );
    assert_eq!((tree.parent("step"), tree.parent("request")), ("request", "-"));
    assert_eq!(tree.span("step").1.values["number"], "u64 3");
    let request = &tree.span("request").1.values;
    assert_eq!((request["user"].as_str(), request["path"].as_str()), ("u64 42", "str /cart"));
    // Told once, not with each warning.
    assert_eq!((tree.span("request").1.records, tree.span("step").1.records), (1, 1));
}

const ROUNDS: u64 = 3000;

fn warned_often() {
    let _recorder = install_small();
    let server = info_scope!("server", port = 80_u16);
    for round in 0..ROUNDS {
        let _request = info_scope!("request", round);
        warn!("odd", round);
        warn!("odd again", round);
    }
    drop(server);
    fill_ring();
}

#[test]
fn warnings_on_the_hot_path_keep_their_spans_in_every_segment() {
    let ring = ring_of("warned-often");
    let retained = ring.events.iter().filter(|event| event.event.level == Level::Warn).count();
    assert!(ring.loss.overwritten > 0 && retained > 200, "{retained}");
    let tree = warnings_of(ring);
    let mut seen = 0;
    for (span, event) in tree.events_inside() {
        if !event.message.starts_with("odd") {
            continue;
        }
        let request = tree.spans.get(&span).unwrap_or_else(|| panic!("{event:?}: unknown span {span}"));
        assert_eq!((request.name.as_str(), request.values["round"].as_str()), ("request", event.value("round")));
        let server = &tree.spans[&request.parent];
        assert_eq!((server.name.as_str(), server.values["port"].as_str()), ("server", "u64 80"));
        seen += 1;
    }
    assert_eq!(seen, retained);
    // Each once, and what is around them once in a segment.
    let requests = tree.spans.values().filter(|span| span.name == "request");
    assert!(requests.clone().all(|span| span.records <= 2), "{:?}", requests.map(|span| span.records).max());
    assert!(tree.spans.values().find(|span| span.name == "server").unwrap().records < 60);
}

fn warned_elsewhere() {
    let _recorder = install_small();
    let request = info_span!("request", user = 1_u64);
    let context = request.context();
    std::thread::spawn(move || {
        // As of a task: the parent is not entered here.
        let task = info_span!(parent: context, "task");
        task.in_scope(|| warn!("in task"));
    })
    .join()
    .unwrap();
    fill_ring();
    drop(request);
    fill_ring();
}

#[test]
fn parents_on_other_threads_are_told_too() {
    let tree = warnings_of(ring_of("warned-elsewhere"));
    assert_eq!((tree.span_of("in task"), tree.parent("task")), ("task", "request"));
    assert_eq!(tree.span("request").1.values["user"], "u64 1");
}

fn in_spans(work: impl FnOnce()) {
    let connection = info_span!("connection", peer = "10.0.0.1", port = 8080_u16);
    let _in_connection = connection.enter();
    let _request = info_scope!("request", path = "/cart", user = 42_u64);
    work();
}

/// Asserts that the two spans are known, though their starts are not. Returns the id of the inner one.
fn assert_repeated(events: &[Event]) -> u64 {
    let starts = |event: &Event| [Role::Start, Role::Begin].iter().any(|role| event.span(*role).is_some());
    assert!(!events.iter().any(starts), "the ring was not filled");
    let repeated = |name: &str| {
        let is_it = |event: &&Event| event.message == name && event.span(Role::Parent).is_some();
        events.iter().rfind(is_it).unwrap_or_else(|| panic!("{name} in {events:#?}"))
    };
    let (connection, request) = (repeated("connection"), repeated("request"));
    assert_eq!((connection.value("peer"), connection.value("port")), ("str 10.0.0.1", "u64 8080"));
    assert_eq!((request.value("path"), request.value("user")), ("str /cart", "u64 42"));
    let id = |event: &Event| event.span(Role::Update).unwrap();
    assert_eq!((request.span(Role::Parent), connection.span(Role::Parent)), (Some(id(connection)), Some(0)));
    id(request)
}

fn long_killed() {
    let recorder = install_small();
    in_spans(|| {
        overwrite_and_wait(&recorder);
    });
}

#[test]
fn open_spans_are_known_after_a_kill_however_long_they_are_open() {
    let place = Place::new("spans-long-killed");
    let events = events_of_killed(&place, place.child("long-killed"));
    assert_repeated(&events);
    // In each round once, not at each look.
    let count = events.iter().filter(|event| event.message == "request").count();
    assert!((1..10).contains(&count), "{count}");
}

fn long_panic() {
    let _recorder = install_small();
    in_spans(|| {
        fill_ring();
        panic!("in a long request");
    });
}

#[test]
fn snapshot_of_a_panic_names_spans_that_started_before_all_that_it_holds() {
    let place = Place::new("spans-long-panic");
    let output = finish(place.child("long-panic"));
    assert_eq!(output.status.code(), Some(101), "{}", stderr(&output));
    let [path] = &place.snapshot_files()[..] else { panic!("{}", stderr(&output)) };
    let events = Snapshot::read(path).events;
    let request = assert_repeated(&events);
    let panicked = events.iter().find(|event| event.message == "panicked at {location}: {message}").unwrap();
    assert_eq!(panicked.span(Role::Span), Some(request));
}

fn long_values() {
    let _recorder = install_small();
    let long = "/".to_owned() + &"ä".repeat(500);
    let _cut = info_scope!("cut", number = 7_u64, long, after = true);
    let _after = info_scope!("after");
    let [a, b, c] = ["a text", "b text", "c text"];
    let _many = info_scope!("many", a, b, c, d = a, e = b, f = c, g = a, h = b, i = c, literal = 1, j = a);
    fill_ring();
    assert!(catch_unwind(|| panic!("on purpose")).is_err());
}

#[test]
fn values_that_do_not_fit_beside_the_ring_are_cut() {
    let ring = ring_of("long-values");
    let event = |name: &str| &ring.events.iter().find(|event| event.event.message == name).unwrap().event;
    let (cut, after) = (event("cut"), event("after"));
    assert_eq!((cut.value("number"), cut.value("after")), ("u64 7", "Bool(true)"));
    assert!(cut.value("long").starts_with("str of 1001 /ää"), "{cut:?}");
    assert_eq!(after.span(Role::Parent), cut.span(Role::Update));
    let many = event("many");
    assert_eq!((many.span(Role::Parent), many.values.len()), (after.span(Role::Update), 2), "{many:?}");
}

/// Number of spans, more than a look of the service thread repeats and than the places side by side.
const MANY: usize = 2000;

fn long_many() {
    let _recorder = Recorder::builder().capacity_bytes(8 << 20).build().unwrap();
    let spans: Vec<_> = (0..MANY).map(|number| info_span!("many", number)).collect();
    let text = "x".repeat(1000);
    for round in 0..40_000 {
        info!("filling", text);
        if round % 500 == 0 {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    std::thread::sleep(Duration::from_millis(500));
    std::mem::forget(spans);
    // SAFETY: ends this process.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

#[test]
fn thousands_of_open_spans_are_all_repeated() {
    let place = Place::new("spans-long-many");
    finish(place.child("long-many"));
    let ring = RingContents::read(&place.ring_files()[0]);
    let numbers: std::collections::BTreeSet<_> = ring
        .events
        .iter()
        .filter(|event| event.event.message == "many")
        .map(|event| event.event.value("number"))
        .collect();
    let is_start = |event: &Event| event.span(Role::Start).is_some();
    assert!(!ring.events.iter().any(|event| is_start(&event.event)), "the ring was not filled");
    assert!(numbers.len() > MANY / 10, "{}", numbers.len());
}

fn long_forked() {
    let recorder = install_small();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _scope = info_scope!("of another thread");
        send.send(()).unwrap();
        std::thread::park();
    });
    receive.recv().unwrap();
    let _mine = info_scope!("mine", user = 1_u64);
    // SAFETY: the child only records events and ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        warn!("in child");
        // Starts the service thread of the child.
        recorder.request_snapshot("of child").wait().unwrap();
        let text = "x".repeat(1000);
        for _ in 0..3000 {
            info!("filling", text);
            std::thread::sleep(Duration::from_micros(500));
        }
        std::thread::sleep(Duration::from_millis(500));
        // SAFETY: ends this process.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
    let mut status = 0;
    // SAFETY: waits for the child.
    assert!(unsafe { libc::waitpid(pid, &raw mut status, 0) } == pid);
}

#[test]
fn child_of_fork_repeats_the_spans_of_its_own_thread_alone() {
    let place = Place::new("spans-long-forked");
    place.run("long-forked");
    let files = place.ring_files();
    let rings = files.iter().map(|file| RingContents::read(file));
    let tree = Tree::new(rings.into_iter().find(|ring| ring.loss.overwritten > 0).expect("the ring of the child"));
    assert_eq!((tree.span_of("in child"), tree.span("mine").1.values["user"].as_str()), ("mine", "u64 1"));
    assert!(tree.span("mine").1.records > 1, "by the service thread");
    assert_eq!(tree.spans.len(), 1, "none of another thread");
}

fn event_parents() {
    let _recorder = Recorder::builder().capacity_bytes(4 << 20).build().unwrap();
    let request = info_span!("request");
    let off = ttlog_std::Span::none();
    let _scope = info_scope!("scope");
    info!(parent: request, "by span");
    info!(parent: request.context(), "by context", x = 1_u8);
    info!(parent: None, "by nothing");
    info!(parent: off, "by one that is off");
    warn!(target: "t", parent: Some(request.context()), "warning", x = 1_u8);
    ttlog_std::event!(parent: request, Level::Info, target: "t", "by level");
    info!("by none");
}

#[test]
fn event_belongs_to_the_parent_that_it_names() {
    let tree = Tree::new(ring_of("event-parents"));
    let of = ["by span", "by context", "by nothing", "by one that is off", "warning", "by level", "by none"];
    let of =
        of.map(|message| tree.events_inside().find(|(_, event)| event.message == message).map(|(id, _)| tree.name(id)));
    let expected = ["request", "request", "-", "scope", "request", "request", "scope"];
    assert_eq!(of, expected.map(Some), "{:#?}", tree.events);
}
