//! Warnings and errors in their priority segments: complete after a flood, in order with the other events, and
//! accounted for, wherever they are logged.
#![cfg(target_os = "linux")]

mod common;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Place, Snapshot, ring::RingContents};
use ttlog_core::ring::Mode;
use ttlog_core::{Item, RingImage, SegmentState, TableItem, ValueRef};
use ttlog_std::{Level, Recorder, debug, error, info, trace, warn};

/// An event in the ring's file.
#[derive(Debug)]
struct Event {
    context: u32,
    ticks: u64,
    /// Whether the event is in a priority segment.
    in_priority: bool,
    mode: Mode,
    level: Level,
    message: String,
    /// Field of this name; 0 if there is none.
    number: u64,
}

/// Reads all events of a ring while its process does not log.
fn events(ring: &Path) -> Vec<Event> {
    let bytes = std::fs::read(ring).unwrap();
    let image = RingImage::parse(&bytes).unwrap();
    let mut callsites = BTreeMap::new();
    for entry in image.entries() {
        if let Ok(TableItem::Callsite(callsite)) = TableItem::decode(entry.bytes) {
            callsites.insert(callsite.id, callsite);
        }
    }
    let mut events = Vec::new();
    for index in 0..image.header().segment_count {
        let SegmentState::Valid(segment) = image.segment(index) else { continue };
        for item in segment.items() {
            let Item::Event(record) = item else { continue };
            let callsite = &callsites[&record.callsite];
            let number = callsite.values(record.payload).find_map(|value| match value.unwrap() {
                (field, ValueRef::Unsigned(number)) if field.name == "number" => Some(number),
                _ => None,
            });
            events.push(Event {
                context: record.context,
                ticks: record.ticks,
                in_priority: index >= image.header().main_segment_count(),
                mode: segment.header.mode,
                level: callsite.level,
                message: callsite.message.to_owned(),
                number: number.unwrap_or_default(),
            });
        }
    }
    events
}

/// Logs an event with a level derived from its number. Every third one is a warning or an error.
fn log(number: u64) {
    match number % 6 {
        0 => trace!("mixed", number),
        1 => debug!("mixed", number, text = "beside it"),
        2 => warn!("mixed", number),
        3 => info!("mixed", number),
        4 => ttlog_core::debug!("mixed", number),
        _ if number % 12 == 5 => error!("mixed", number, text = &"longer than a word"[..(number % 18) as usize]),
        _ => ttlog_core::error!("mixed", number),
    }
}

/// Returns whether [`log`] logs this number as a warning or an error.
fn is_priority(number: u64) -> bool {
    matches!(number % 6, 2 | 5)
}

fn on_threads(count: u64, work: impl Fn(u64) + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..count {
            let work = &work;
            scope.spawn(move || work(thread));
        }
    });
}

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    match case.as_str() {
        "flood" => flood(),
        "mixed" => mixed(),
        "wrap 1" => wrap(1),
        "wrap 4" => wrap(4),
        "no room" => no_room(),
        "names" => names(),
        "snapshots" => snapshots(),
        "signals" => signals(),
        "destructors" => destructors(),
        other => panic!("unknown case {other}"),
    }
}

fn flood() {
    // A tenth, and a ring that these fill too, where each event takes long.
    let (flood, capacity_bytes): (u64, usize) = match std::env::var_os("TTLOG_TEST_SHORT") {
        None => (10_000_000, 16 << 20),
        Some(_) => (1_000_000, 2 << 20),
    };
    let recorder = Recorder::builder().capacity_bytes(capacity_bytes).build().unwrap();
    on_threads(4, |thread| (0..250).for_each(|number| error!("an error", number = thread * 250 + number)));
    on_threads(2, |_| (0..flood / 2).for_each(|number| debug!("a detail", number)));
    let snapshot = Snapshot::read(&recorder.request_snapshot("flood").wait().unwrap());
    let mut numbers: Vec<u64> =
        snapshot.with_message("an error").iter().map(|event| event.fields["number"].parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    let loss = recorder.loss();
    assert!(loss.overwritten > flood / 2, "the ring was hardly filled: {loss:?}");
    assert_eq!((loss.priority_overwritten, loss.dropped_total()), (0, 0));
    assert_eq!(snapshot.events.len() as u64 + loss.overwritten, flood + 1000);
}

fn mixed() {
    const COUNT: u64 = 6000;
    let recorder = Recorder::builder().build().unwrap();
    on_threads(4, |_| (0..COUNT).for_each(log));
    assert_eq!((recorder.loss().overwritten, recorder.loss().dropped_total()), (0, 0));
    let mut by_context: BTreeMap<u32, Vec<Event>> = BTreeMap::new();
    for event in events(recorder.ring_path().unwrap()) {
        assert_eq!(event.in_priority, ttlog_core::event::is_priority(event.level), "{event:?}");
        assert_eq!(event.in_priority, is_priority(event.number), "{event:?}");
        by_context.entry(event.context).or_default().push(event);
    }
    assert_eq!(by_context.len(), 4);
    for events in by_context.values_mut() {
        events.sort_by_key(|event| event.ticks);
        let numbers: Vec<_> = events.iter().map(|event| event.number).collect();
        assert_eq!(numbers, (0..COUNT).collect::<Vec<_>>());
    }
}

fn wrap(threads: u64) {
    const COUNT: u64 = 40_000;
    let recorder =
        Recorder::builder().capacity_bytes(256 << 10).segment_bytes(1024).priority_bytes(32 << 10).build().unwrap();
    on_threads(threads, |_| (0..COUNT).for_each(log));
    let events = events(recorder.ring_path().unwrap());
    let loss = recorder.loss();
    assert_eq!(events.len() as u64 + loss.overwritten + loss.dropped_total(), threads * COUNT, "{loss:?}");
    let retained = events.iter().filter(|event| is_priority(event.number)).count() as u64;
    let emitted = threads * COUNT / 3;
    assert!(retained > 300 && loss.priority_overwritten > emitted / 2, "{retained} {loss:?}");
    if threads == 1 {
        assert_eq!(loss.dropped_total(), 0);
        assert_eq!(retained + loss.priority_overwritten, emitted);
    } else {
        // An event that found all segments of its class in use is in the other class, and counted there.
        assert!(retained + loss.priority_overwritten <= emitted);
    }
}

fn no_room() {
    let recorder = Recorder::builder().priority_bytes(0).build().unwrap();
    (0..600).for_each(log);
    let events = events(recorder.ring_path().unwrap());
    assert_eq!(events.len(), 600);
    assert!(events.iter().all(|event| !event.in_priority && event.mode == Mode::Exclusive));
    assert!(events.iter().map(|event| event.number).eq(0..600), "in order without sorting");
}

/// Threads that only warn: two often, so that they have segments of their own, the others now and then. All segments
/// from their beginning are overwritten.
fn names() {
    const COUNT: u64 = 20_000;
    let recorder =
        Recorder::builder().capacity_bytes(256 << 10).segment_bytes(1024).priority_bytes(16 << 10).build().unwrap();
    let barrier = std::sync::Barrier::new(3);
    let warn_often = || {
        (0..COUNT).for_each(|number| warn!("often", number));
        barrier.wait();
        barrier.wait();
        warn!("often", number = COUNT + 1);
    };
    std::thread::scope(|scope| {
        for name in ["first of two", "second of two"] {
            std::thread::Builder::new().name(name.into()).spawn_scoped(scope, warn_often).unwrap();
        }
        barrier.wait();
        // These fill all shared segments several times.
        for _ in 0..300 {
            let work = || (0..5).for_each(|number| warn!("rarely", number, text = "a text that does not fit a word"));
            std::thread::Builder::new().name("one of many".into()).spawn_scoped(scope, work).unwrap().join().unwrap();
        }
        barrier.wait();
    });
    let contents = RingContents::read(recorder.ring_path().unwrap());
    assert_eq!(contents.accounted(), 2 * (COUNT + 1) + 300 * 5);
    let names: BTreeSet<_> =
        contents.events.iter().map(|event| (event.event.message.as_str(), event.thread.as_str())).collect();
    let expected = [("often", "first of two"), ("often", "second of two"), ("rarely", "one of many")];
    assert_eq!(names, expected.into());
    let is_own = |event: &Event| event.mode == Mode::Exclusive;
    let modes: BTreeSet<_> =
        events(recorder.ring_path().unwrap()).iter().map(|event| (event.message.clone(), is_own(event))).collect();
    assert_eq!(modes, [("often".to_owned(), true), ("rarely".to_owned(), false)].into());
}

/// A warning that is recorded on the hot path triggers a snapshot as any other does.
fn snapshots() {
    let recorder = Recorder::builder().snapshot_on_level(Level::Warn).build().unwrap();
    let warn = |text: &str| warn!("again and again", text);
    (0..100).for_each(|_| warn("short"));
    let own = events(recorder.ring_path().unwrap()).iter().filter(|event| event.mode == Mode::Exclusive).count();
    assert!(own > 50, "the thread has a segment of its own");
    let directory = std::env::var("TTLOG_SNAPSHOT_DIR").unwrap();
    let count = || {
        std::fs::read_dir(&directory).map_or(0, |files| {
            files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|kind| kind == "bin")).count()
        })
    };
    for text in ["short", "a text that does not fit a word"] {
        std::thread::sleep(Duration::from_secs(1)); // until there are no more of those before
        let (before, until) = (count(), Instant::now() + Duration::from_secs(20));
        warn(text);
        while count() == before {
            assert!(Instant::now() < until, "no snapshot");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

static IN_HANDLER: AtomicU64 = AtomicU64::new(0);

extern "C" fn on_signal(_signal: libc::c_int) {
    let number = IN_HANDLER.fetch_add(1, Ordering::Relaxed);
    if number.is_multiple_of(2) {
        error!("in a handler", number);
    } else {
        warn!("in a handler", number, text = "a text that does not fit a word");
    }
}

fn signals() {
    const COUNT: u64 = 30_000;
    let recorder = Recorder::builder().build().unwrap();
    // SAFETY: the handler logs, which is async-signal-safe.
    unsafe { libc::signal(libc::SIGUSR2, on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let is_done = &is_done;
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (sender, receiver) = std::sync::mpsc::channel();
                scope.spawn(move || {
                    // SAFETY: returns the calling thread.
                    sender.send(unsafe { libc::pthread_self() }).unwrap();
                    (0..COUNT).for_each(log);
                    while !is_done.load(Ordering::Relaxed) {
                        std::thread::yield_now();
                    }
                });
                receiver.recv().unwrap()
            })
            .collect();
        for _ in 0..2_000 {
            for worker in &workers {
                // SAFETY: the thread lives until this thread signals that it is done.
                assert_eq!(unsafe { libc::pthread_kill(*worker, libc::SIGUSR2) }, 0);
            }
            std::thread::sleep(std::time::Duration::from_micros(20));
        }
        is_done.store(true, Ordering::Relaxed);
    });
    let emitted = IN_HANDLER.load(Ordering::Relaxed);
    let events = events(recorder.ring_path().unwrap());
    let loss = recorder.loss();
    assert!(emitted > 100);
    assert_eq!((loss.overwritten, loss.dropped_total()), (0, 0), "{loss:?}");
    let mut numbers: Vec<_> =
        events.iter().filter(|event| event.message == "in a handler").map(|event| event.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..emitted).collect::<Vec<_>>());
    assert_eq!(events.len() as u64, emitted + 2 * COUNT);
}

/// A value that logs at the end of its thread.
struct LogsAtEnd(Cell<u64>);

impl Drop for LogsAtEnd {
    fn drop(&mut self) {
        error!("at the end", number = self.0.get());
        warn!("at the end", number = self.0.get() + 1);
    }
}

thread_local! {
    static FIRST: LogsAtEnd = const { LogsAtEnd(Cell::new(0)) };
    static LAST: LogsAtEnd = const { LogsAtEnd(Cell::new(0)) };
}

fn destructors() {
    let recorder = Recorder::builder().build().unwrap();
    // Destructors run in the reverse order of first use: one runs before the recorder's own, the other after it.
    for round in 0..100 {
        let thread = move || {
            LAST.with(|logs| logs.0.set(round * 6));
            error!("at the end", number = round * 6 + 2);
            info!("alive");
            FIRST.with(|logs| logs.0.set(round * 6 + 3));
            error!("at the end", number = round * 6 + 5);
        };
        std::thread::spawn(thread).join().unwrap();
    }
    let events = events(recorder.ring_path().unwrap());
    let (mut numbers, mut contexts) = (Vec::new(), BTreeMap::new());
    for event in events.iter().filter(|event| event.message == "at the end") {
        assert!(event.in_priority);
        numbers.push(event.number);
        let context = *contexts.entry(event.number / 6).or_insert(event.context);
        assert_eq!(context, event.context, "a thread has one number to its end");
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..600).collect::<Vec<_>>());
    assert_eq!(recorder.loss().dropped_total(), 0);
}

fn run(case: &str) {
    Place::new(&format!("kept-{}", case.replace(' ', "-"))).run(case);
}

#[test]
fn errors_are_there_after_ten_million_details() {
    run("flood");
}

#[test]
fn both_classes_are_in_order_by_time() {
    run("mixed");
}

#[test]
fn each_class_is_accounted_for_when_it_wraps() {
    run("wrap 1");
    run("wrap 4");
}

#[test]
fn without_room_of_their_own_they_are_as_others() {
    run("no room");
}

#[test]
fn each_thread_has_its_name_when_all_earlier_segments_are_gone() {
    run("names");
}

#[test]
fn warnings_on_the_hot_path_trigger_snapshots() {
    run("snapshots");
}

#[test]
fn errors_in_signal_handlers() {
    run("signals");
}

#[test]
fn errors_in_destructors_of_thread_locals() {
    run("destructors");
}
