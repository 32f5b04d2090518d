//! Panics in spans, and spans that are open for longer than the ring reaches back.

use std::fmt;
use std::panic::catch_unwind;
use std::time::Duration;

use tracing::{info, info_span};
use tracing_subscriber::prelude::*;
use ttlog_core::event::Role;
use ttlog_std::Recorder;

use super::common::{Event, Place, Snapshot, finish, stderr};
use super::tree::{Tree, events_of_killed, message, overwrite_and_wait};
use super::{Case, WAY, install, rings_of};

pub const CASES: &[Case] = &[
    ("panic-caught", caught),
    ("panic-slow", slow),
    ("panic-fast", fast),
    ("panic-in-field", in_field),
    ("panic-in-drop", in_drop),
    ("panic-of-task", of_task),
    ("open-killed", killed),
    ("open-many-values", many_values),
];

/// Message of the event of a panic.
const PANICKED: &str = "panicked at {location}: {message}";

fn panics(tree: &Tree) -> Vec<&Event> {
    tree.events.iter().filter(|event| event.message == PANICKED).collect()
}

fn caught() {
    let _recorder = install();
    let outer = info_span!("outer", id = 1);
    let _in_outer = outer.enter();
    let result = catch_unwind(|| {
        let inner = info_span!("inner", id = 2);
        let _in_inner = inner.enter();
        panic!("first");
    });
    assert!(result.is_err());
    info!("between");
    let result = catch_unwind(|| info_span!("in_scope").in_scope(|| panic!("second")));
    assert!(result.is_err());
    drop(_in_outer);
    assert!(catch_unwind(|| panic!("third")).is_err());
}

#[test]
fn panic_belongs_to_the_span_that_it_interrupts() {
    rings_of("panic-caught", |ring| {
        let tree = Tree::new(ring);
        let of: Vec<_> = panics(&tree).iter().map(|event| tree.name(event.span(Role::Span).unwrap())).collect();
        assert_eq!(of, ["inner", "in_scope", "-"]);
        assert_eq!((tree.parent("inner"), tree.span_of("between")), ("outer", "outer"));
        // Unwinding has left and ended them.
        for name in ["outer", "inner", "in_scope"] {
            let span = tree.span(name).1;
            assert_eq!((span.left, span.ended), (span.entered, 1), "{name}: {span:?}");
        }
    });
}

/// Starts a recorder with a small ring, and the subscriber that the test wants.
fn install_small() -> Recorder {
    let recorder = Recorder::builder().capacity_bytes(1 << 20).build().unwrap();
    if std::env::var_os(WAY).is_some_and(|way| way == "subscriber") {
        tracing::subscriber::set_global_default(ttlog_std::tracing::subscriber()).unwrap();
    } else {
        tracing_subscriber::registry().with(recorder.layer()).init();
    }
    recorder
}

/// Writes more than the ring holds.
fn fill_ring() {
    let text = "x".repeat(1000);
    (0..3000).for_each(|_| ttlog_std::info!("filling", text));
}

/// Enters two spans and calls `work` in them.
fn in_spans(work: impl FnOnce()) {
    let connection = info_span!("connection", peer = "10.0.0.1", port = 8080_u16);
    let _in_connection = connection.enter();
    let request = info_span!("request", path = "/cart", user = 42, choice = ?Some(1));
    let _in_request = request.enter();
    work();
}

/// Asserts that the two spans are known, though their starts are not.
fn assert_repeated(events: &[Event]) -> u64 {
    let events: Vec<_> = events.iter().collect();
    assert!(!events.iter().any(|event| event.span(Role::Start).is_some()), "the ring was not filled");
    let repeated = |name: &str| {
        let is_it = |event: &&&Event| event.message == name && event.span(Role::Parent).is_some();
        *events.iter().rfind(is_it).unwrap_or_else(|| panic!("{name} in {events:#?}"))
    };
    let (connection, request) = (repeated("connection"), repeated("request"));
    assert_eq!((connection.value("peer"), connection.value("port")), ("str 10.0.0.1", "u64 8080"));
    assert_eq!((request.value("path"), request.value("user")), ("str /cart", "i64 42"));
    assert_eq!(request.value("choice"), "debug Some(1)");
    let id = |event: &Event| event.span(Role::Update).unwrap();
    assert_eq!((request.span(Role::Parent), connection.span(Role::Parent)), (Some(id(connection)), Some(0)));
    id(request)
}

fn fast() {
    let _recorder = install_small();
    in_spans(|| {
        fill_ring();
        panic!("in a long request");
    });
}

fn slow() {
    let _recorder = install_small();
    in_spans(|| {
        fill_ring();
        std::thread::sleep(Duration::from_millis(300));
        panic!("in a long request");
    });
}

#[test]
fn snapshot_of_a_panic_names_spans_that_started_before_all_that_it_holds() {
    for (case, way) in [("panic-fast", "layer"), ("panic-fast", "subscriber"), ("panic-slow", "layer")] {
        let place = Place::new(&format!("tracing-{case}-{way}"));
        let mut command = place.child(case);
        command.env(WAY, way);
        let output = finish(command);
        assert_eq!(output.status.code(), Some(101), "{}", stderr(&output));
        let [path] = &place.snapshot_files()[..] else { panic!("{}", stderr(&output)) };
        let events = Snapshot::read(path).events;
        let request = assert_repeated(&events);
        let panicked = events.iter().find(|event| event.message == PANICKED).unwrap();
        assert_eq!(panicked.span(Role::Span), Some(request));
    }
}

fn killed() {
    let recorder = install_small();
    in_spans(|| {
        overwrite_and_wait(&recorder);
    });
}

#[test]
fn open_spans_are_known_after_a_kill_however_long_they_are_open() {
    let place = Place::new("tracing-open-killed");
    let events = events_of_killed(&place, place.child("open-killed"));
    assert_repeated(&events);
    // In each round once, not at each look.
    let count = events.iter().filter(|event| event.message == "request").count();
    assert!((1..10).contains(&count), "{count}");
}

fn many_values() {
    let _recorder = install_small();
    let long = "/".to_owned() + &"ä".repeat(500);
    let cut = info_span!("cut", number = 7, debug = ?[0; 500], long = long.as_str(), after = true);
    let _in_cut = cut.enter();
    let many = info_span!(
        "many",
        a = "a text",
        b = "a text",
        c = "a text",
        d = "a text",
        e = "a text",
        f = "a text",
        g = "a text",
        h = "a text",
        i = "a text",
        j = "a text",
        k = "a text",
        l = "a text",
        m = "a text",
        n = "a text",
        o = "a text",
    );
    many.in_scope(|| {
        fill_ring();
        assert!(catch_unwind(|| panic!("on purpose")).is_err());
    });
}

#[test]
fn values_that_do_not_fit_beside_the_ring_are_cut() {
    rings_of("open-many-values", |ring| {
        let again: Vec<_> = ring.events.iter().map(|event| &event.event).collect();
        let again = |name: &str| *again.iter().find(|event| event.message == name).unwrap();
        let (cut, many) = (again("cut"), again("many"));
        assert_eq!((cut.value("number"), cut.value("debug"), cut.value("after")), ("i64 7", "Absent", "Bool(true)"));
        assert!(cut.value("long").starts_with("str of 1001 /ää"), "{cut:?}");
        assert_eq!((many.value("a"), many.value("o")), ("Absent", "Absent"));
        assert_eq!(many.span(Role::Parent), cut.span(Role::Update));
    });
}

/// A value that panics while it is recorded.
struct Bad;

impl fmt::Debug for Bad {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("in Debug");
    }
}

fn in_field() {
    let _recorder = install();
    info_span!("outer").in_scope(|| {
        assert!(catch_unwind(|| info!(bad = ?Bad, "never recorded")).is_err());
        assert!(catch_unwind(|| info_span!("never started", bad = ?Bad).in_scope(|| ())).is_err());
        let span = info_span!("updated", bad = tracing::field::Empty);
        assert!(catch_unwind(std::panic::AssertUnwindSafe(|| span.record("bad", tracing::field::debug(Bad)))).is_err());
        info!("after");
    });
}

#[test]
fn panic_in_a_field_belongs_to_the_span_around() {
    rings_of("panic-in-field", |ring| {
        let tree = Tree::new(ring);
        let of: Vec<_> = panics(&tree).iter().map(|event| tree.name(event.span(Role::Span).unwrap())).collect();
        assert_eq!((of, tree.span_of("after")), (vec!["outer"; 3], "outer"));
        assert_eq!(tree.count("never recorded"), 0);
    });
}

/// Logs when it is dropped, in the middle of a panic too, and panics itself unless it is.
struct Talkative;

impl Drop for Talkative {
    fn drop(&mut self) {
        info_span!("dropping").in_scope(|| info!("dropped"));
        assert!(std::thread::panicking(), "dropped without need");
    }
}

fn in_drop() {
    let _recorder = install();
    info_span!("outer").in_scope(|| {
        let result = catch_unwind(|| {
            let _entered = info_span!("inner").entered();
            let _talkative = Talkative;
            panic!("on purpose");
        });
        assert!(result.is_err());
        info!("between");
        let result = catch_unwind(|| info_span!("other").in_scope(|| drop(Talkative)));
        assert!(result.is_err());
        info!("after");
    });
}

#[test]
fn panics_and_events_of_destructors_belong_to_their_spans() {
    rings_of("panic-in-drop", |ring| {
        let tree = Tree::new(ring);
        let of: Vec<_> = panics(&tree).iter().map(|event| tree.name(event.span(Role::Span).unwrap())).collect();
        assert_eq!(of, ["inner", "other"]);
        assert_eq!((tree.span_of("between"), tree.span_of("after")), ("outer", "outer"));
        let dropped: Vec<_> = tree.events.iter().filter(|event| message(event) == Some("dropped")).collect();
        let parents: Vec<_> = dropped.iter().map(|event| tree.spans[&event.span(Role::Span).unwrap()].parent).collect();
        assert_eq!(parents.iter().map(|id| tree.name(*id)).collect::<Vec<_>>(), ["inner", "other"]);
    });
}

/// A task that is polled in its span, by whichever thread, and whose last poll panics: what `Instrumented` and a
/// runtime do.
fn of_task() {
    let _recorder = install();
    let spans: Vec<_> = (0..20).map(|task| info_span!("task", task)).collect();
    let poll = |span: &tracing::Span, poll: u32| {
        let in_span = || {
            info!(poll, "polled");
            assert!(poll < 2, "the task fails");
        };
        catch_unwind(std::panic::AssertUnwindSafe(|| span.in_scope(in_span))).is_err()
    };
    for number in 0..3 {
        // Each poll on other threads.
        std::thread::scope(|scope| {
            for half in spans.chunks(10) {
                scope.spawn(move || half.iter().for_each(|span| assert_eq!(poll(span, number), number == 2)));
            }
        });
    }
    drop(spans);
    info!("all have failed");
}

#[test]
fn panic_of_a_task_names_the_task() {
    rings_of("panic-of-task", |ring| {
        let tree = Tree::new(ring);
        let panics = panics(&tree);
        let mut tasks: Vec<_> =
            panics.iter().map(|event| tree.spans[&event.span(Role::Span).unwrap()].values["task"].clone()).collect();
        tasks.sort_by_key(|task| task.strip_prefix("i64 ").map(|number| number.parse::<u32>().unwrap()));
        assert_eq!(tasks, (0..20).map(|task| format!("i64 {task}")).collect::<Vec<_>>());
        assert!(tree.spans.values().all(|span| (span.entered, span.left, span.ended) == (3, 3, 1)), "{:?}", tree.spans);
        assert_eq!(tree.span_of("all have failed"), "-");
    });
}
