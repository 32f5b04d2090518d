//! Records of `log`: their values and places, beside another logger, and changes of the level.
#![cfg(target_os = "linux")]

mod common;

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::ring::RingContents;
use common::{Event, Place, warnings};
use log::{LevelFilter, Log, Metadata, Record};
use ttlog_core::Level;
use ttlog_std::Recorder;

/// Not a test: entry point of the children.
#[test]
#[ignore = "run by the other tests in a child process"]
fn child() {
    let Some(case) = common::case() else { return };
    match case.as_str() {
        "values" => values(),
        "beside" => beside(),
        "level" => level(),
        "second" => second(),
        "targets" => targets(),
        "nested" => nested(),
        "allocations" => allocations(),
        "many-keys" => many_keys(),
        "long-targets" => long_targets(),
        "off" => off(),
        "odd-sources" => odd_sources(),
        "loggers" => loggers(),
        "panicking" => panicking(),
        "stopped" => stopped(),
        "early" => early(),
        "thread-end" => thread_end(),
        "handler" => handler(),
        "other-keys" => other_keys(),
        other => panic!("no case {other}"),
    }
}

/// Runs a case and reads the ring that it leaves.
fn ring_of(case: &str) -> RingContents {
    let place = Place::new(&format!("log-{case}"));
    place.run(case);
    RingContents::read(&place.ring_files()[0])
}

fn events_of(case: &str) -> Vec<Event> {
    ring_of(case).events.into_iter().map(|event| event.event).collect()
}

#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad port")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn values() {
    let _recorder = ttlog_std::log::init("test");
    let kinds = std::hint::black_box(12);
    let error = Outer("x".parse::<u16>().unwrap_err());
    log::info!(
        unsigned = u64::MAX, signed = -5_i64, wide = u128::MAX, float = 1.5, yes = true, letter = 'ü', text = "größe",
        error:err = error, display:% = format_args!("{}", 7), debug:? = Some(1), none = None::<u8>, some = Some(2_u8);
        "values of {} kinds", kinds
    );
    log::warn!(target: "other::target", "static text");
    log::debug!(text = "x".repeat(100_000), after = 1; "{}", "y".repeat(100));
    log::error!(message = "a key of that name"; "the message");
    log::logger().log(&Record::builder().level(log::Level::Info).args(format_args!("bare")).build());
}

#[test]
fn values_keep_their_types() {
    let ring = ring_of("values");
    assert_eq!(ring.loss.dropped_total(), 0);
    let events: Vec<_> = ring.events.into_iter().map(|event| event.event).collect();
    let find = |message: &str| {
        events.iter().find(|event| event.values[1].2 == message).unwrap_or_else(|| panic!("{message} in {events:#?}"))
    };
    let event = find("display values of 12 kinds");
    assert_eq!((event.level, event.target.as_str(), event.message.as_str()), (Level::Info, "log", "{message}"));
    assert!(event.file.ends_with("tests/log.rs") && event.line > 50, "{event:?}");
    let values: Vec<_> = event.values[2..].iter().map(|(name, _, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("unsigned", "u64 18446744073709551615"),
        ("signed", "i64 -5"),
        ("wide", "U128(340282366920938463463374607431768211455)"),
        ("float", "F64(1.5)"),
        ("yes", "Bool(true)"),
        ("letter", "Char('ü')"),
        ("text", "str größe"),
        ("error", "error bad port <- invalid digit found in string"),
        ("display", "display 7"),
        ("debug", "display Some(1)"),
        ("none", "Unit"),
        ("some", "u64 2"),
    ];
    assert_eq!(values, expected);
    let event = find("str static text");
    assert_eq!((event.level, event.target.as_str()), (Level::Warn, "other::target"));
    let event = events.iter().find(|event| event.level == Level::Debug).unwrap();
    assert!(event.value("text").starts_with("str of 100000 xxx"), "{event:?}");
    assert_eq!((event.value("after"), event.value("message").len()), ("i64 1", 108));
    let event = find("str the message");
    assert_eq!(event.values[2].2, "str a key of that name");
    let event = find("str bare");
    assert_eq!((event.target.as_str(), event.file.as_str(), event.line), ("", "", 0));
}

/// A logger that counts records from `Info` on.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static FLUSHED: AtomicUsize = AtomicUsize::new(0);

impl Log for Counting {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= LevelFilter::Info
    }
    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
    }
    fn flush(&self) {
        FLUSHED.fetch_add(1, Ordering::Relaxed);
    }
}

fn beside() {
    let recorder = Recorder::builder().filter("warn,chatty=trace").build().unwrap();
    recorder.logger().beside(Box::new(Counting), LevelFilter::Info).install().unwrap();
    assert_eq!(log::max_level(), LevelFilter::Trace, "for chatty");
    log::info!("for the other alone");
    log::warn!("for both");
    log::debug!("for none");
    log::trace!(target: "chatty", "for the ring alone");
    assert!(log::log_enabled!(log::Level::Info) && !log::log_enabled!(log::Level::Debug));
    log::logger().flush();
    assert_eq!((COUNT.load(Ordering::Relaxed), FLUSHED.load(Ordering::Relaxed)), (2, 1));
    recorder.set_filter("off").unwrap();
    wait_for(LevelFilter::Info);
    log::info!("for the other alone");
    assert_eq!(COUNT.load(Ordering::Relaxed), 3);
}

#[test]
fn another_logger_beside() {
    let events = events_of("beside");
    let mut messages: Vec<_> = events.iter().map(|event| event.value("message")).collect();
    messages.sort_unstable();
    assert_eq!(messages, ["str for both", "str for the ring alone"]);
}

fn wait_for(level: LevelFilter) -> Duration {
    let start = Instant::now();
    common::wait_until("the level", || log::max_level() == level);
    start.elapsed()
}

fn level() {
    // The logger is there before the recorder.
    ttlog_std::log::logger().install().unwrap();
    assert_eq!(log::max_level(), LevelFilter::Off);
    let recorder = Recorder::builder().filter("info").build().unwrap();
    wait_for(LevelFilter::Info);
    log::debug!("off");
    recorder.set_filter("debug").unwrap();
    let took = wait_for(LevelFilter::Debug);
    // Half a second more for a machine that does other things, too.
    assert!(took < Duration::from_millis(700), "{took:?}");
    log::debug!("on");
    recorder.set_filter("warn").unwrap();
    log::debug!("off at once");
    wait_for(LevelFilter::Warn);
}

#[test]
fn level_that_changes_at_run_time() {
    let messages: Vec<_> = events_of("level").iter().map(|event| event.value("message").to_owned()).collect();
    assert_eq!(messages, ["str on"]);
}

fn second() {
    log::set_boxed_logger(Box::new(Counting)).unwrap();
    let _recorder = ttlog_std::log::init("test");
    log::set_max_level(LevelFilter::Info);
    log::info!("not recorded");
}

#[test]
fn init_beside_another_logger_is_reported() {
    let place = Place::new("log-second");
    let warnings = warnings(&place.run("second"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("has a logger already"), "{warnings:?}");
}

/// More targets than there is room for.
const TARGETS: usize = 10_000;

fn targets() {
    // The table has 64 KiB, as that of most small rings.
    let recorder = Recorder::builder().filter("info,target::quiet=off").capacity_bytes(4 << 20).table_bytes(1 << 16);
    let recorder = recorder.build().unwrap();
    ttlog_std::log::logger().install().unwrap();
    for number in 0..TARGETS {
        log::info!(target: &format!("target::{number}"), number, text = "a text"; "made up");
    }
    log::info!(target: "target::quiet", "off");
    // There is room for the callsites of the program, whenever they come.
    common::many_callsites()();
    log::info!("static target");
    assert_eq!(recorder.loss().dropped_total(), 0);
}

#[test]
fn targets_made_up_at_run_time() {
    let ring = ring_of("targets");
    assert_eq!((ring.loss.dropped_total(), ring.loss.overwritten), (0, 0));
    assert!((200..1000).contains(&ring.callsite_ids.len()), "{}", ring.callsite_ids.len());
    let events: Vec<_> = ring.events.iter().map(|event| &event.event).collect();
    let made_up = || events.iter().filter(|event| event.fields.get("message").is_some_and(|text| text == "made up"));
    let target_of = |event: &Event| event.fields.get("log.target").unwrap_or(&event.target).clone();
    let targets: std::collections::BTreeSet<_> = made_up().map(|event| target_of(event)).collect();
    assert_eq!(targets.len(), TARGETS);
    assert!(targets.iter().all(|target| target.starts_with("target::") && *target != "target::quiet"));
    for event in made_up() {
        let number = target_of(event).strip_prefix("target::").unwrap().to_owned();
        match event.fields.get("log.key_values") {
            Some(pairs) => assert_eq!(*pairs, format!("number={number} text=\"a text\"")),
            None => assert_eq!((event.value("number"), event.value("text")), (&*format!("u64 {number}"), "str a text")),
        }
    }
    assert_eq!(events.iter().filter(|event| event.target.starts_with("common::many")).count() as u64, common::MANY);
}

fn long_targets() {
    let _recorder = ttlog_std::log::init("test");
    let log = |target: &str| log::info!(target: target, "from afar");
    log("warm up");
    let of_len = |count: usize| (0..50).map(move |number| format!("{number:02}{}", "ä".repeat(count)));
    let targets: Vec<_> = of_len(2500).chain(of_len(500_000)).collect();
    log(&targets[0]);
    let before = counting::BYTES.with(std::cell::Cell::get);
    targets.iter().for_each(|target| log(target));
    assert!(counting::BYTES.with(std::cell::Cell::get) - before < 10_000);
}

#[test]
fn long_targets_are_cut_and_not_kept() {
    let events = events_of("long-targets");
    let targets: Vec<_> = events.iter().filter_map(|event| event.fields.get("log.target")).collect();
    assert_eq!(targets.len(), 101);
    assert!(targets.iter().all(|target| (1000..10_000).contains(&target.len())));
    assert_eq!(events[0].target, "warm up");
}

fn off() {
    let recorder = Recorder::builder().filter("warn").build().unwrap();
    recorder.logger().beside(Box::new(Counting), LevelFilter::Debug).install().unwrap();
    let log = |number: u64| log::info!(target: &format!("off::{number}"), number; "for the other alone");
    log(0);
    let before = counting::BYTES.with(std::cell::Cell::get);
    (0..10_000).for_each(log);
    // The texts of the targets themselves.
    assert!(counting::BYTES.with(std::cell::Cell::get) - before < 10_000 * 32);
    assert_eq!(COUNT.load(Ordering::Relaxed), 10_001);
}

#[test]
fn records_that_are_off_leave_nothing() {
    assert_eq!(ring_of("off").events.len(), 0);
}

/// Key-values that are others at each visit.
struct Changing(std::cell::Cell<u32>);

impl log::kv::Source for Changing {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn log::kv::VisitSource<'kvs>) -> Result<(), log::kv::Error> {
        let round = self.0.replace(self.0.get() + 1);
        for number in 0..=round {
            visitor.visit_pair("key".into(), log::kv::Value::from(number))?;
        }
        Ok(())
    }
}

/// Key-values with an error behind the first.
struct Failing;

impl log::kv::Source for Failing {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn log::kv::VisitSource<'kvs>) -> Result<(), log::kv::Error> {
        visitor.visit_pair("first".into(), log::kv::Value::from(1))?;
        Err(log::kv::Error::msg("no more"))
    }
}

fn odd_sources() {
    let _recorder = ttlog_std::log::init("test");
    let log = |source: &dyn log::kv::Source, arguments: fmt::Arguments<'_>| {
        log::logger().log(&Record::builder().level(log::Level::Info).args(arguments).key_values(&source).build());
    };
    log(&Changing(std::cell::Cell::new(0)), format_args!("growing"));
    log(&Failing, format_args!("failing"));
    log(&[("same", 1), ("same", 2)], format_args!("twice"));
    log(&[("null", log::kv::Value::null()), ("after", log::kv::Value::from(true))], format_args!("null"));
    log(&[("", 1)], format_args!("empty key"));
}

#[test]
fn odd_key_values() {
    let events = events_of("odd-sources");
    let values: Vec<Vec<_>> = events
        .iter()
        .map(|event| event.values[2..].iter().map(|(name, _, value)| (name.as_str(), value.as_str())).collect())
        .collect();
    let expected: [&[(&str, &str)]; 5] = [
        &[("key", "u64 0")],
        &[("first", "i64 1")],
        &[("same", "i64 1"), ("same", "i64 2")],
        &[("null", "Unit"), ("after", "Bool(true)")],
        &[("", "i64 1")],
    ];
    assert_eq!(values, expected);
}

/// A logger that panics.
struct Panicking;

impl Log for Panicking {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        assert_ne!(record.args().as_str(), Some("panic"), "in the other logger");
    }
    fn flush(&self) {}
}

fn loggers() {
    let recorder = Recorder::builder().filter("error").build().unwrap();
    let logger = recorder.logger().beside(Box::new(Counting), LevelFilter::Info);
    logger.beside(Box::new(Counting), LevelFilter::Warn).install().unwrap();
    assert_eq!(log::max_level(), LevelFilter::Info, "that of the most verbose one");
    log::info!("for the others");
    log::error!("for all");
    log::logger().flush();
    assert_eq!((COUNT.load(Ordering::Relaxed), FLUSHED.load(Ordering::Relaxed)), (4, 2));
}

#[test]
fn several_loggers_beside() {
    let events = events_of("loggers");
    assert_eq!(events.iter().map(|event| event.value("message")).collect::<Vec<_>>(), ["str for all"]);
}

/// A value that panics while it is recorded.
struct Bad;

impl fmt::Display for Bad {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("in Display");
    }
}

fn panicking() {
    let recorder = Recorder::builder().panic_hook(false).build().unwrap();
    recorder.logger().beside(Box::new(Panicking), LevelFilter::Trace).install().unwrap();
    let caught = |work: fn()| assert!(std::panic::catch_unwind(work).is_err());
    caught(|| log::info!("{}", Bad));
    caught(|| log::info!(value:% = Bad; "bad value"));
    caught(|| log::info!("panic"));
    log::info!("after");
}

#[test]
fn panics_in_values_and_in_the_logger_beside() {
    let events = events_of("panicking");
    assert_eq!(events.iter().map(|event| event.value("message")).collect::<Vec<_>>(), ["str panic", "str after"]);
}

fn early() {
    ttlog_std::log::logger().beside(Box::new(Counting), LevelFilter::Info).install().unwrap();
    log::info!("before the recorder");
    let recorder = Recorder::builder().build().unwrap();
    wait_for(LevelFilter::Trace);
    log::debug!("with the recorder");
    recorder.request_snapshot("before the end").wait().unwrap();
    recorder.shutdown();
    log::error!("after the recorder");
    assert_eq!(COUNT.load(Ordering::Relaxed), 2);
}

#[test]
fn records_before_and_after_the_recorder() {
    let place = Place::new("log-early");
    place.run("early");
    let [path] = &place.snapshot_files()[..] else { panic!("{:?}", place.snapshot_files()) };
    let events = common::Snapshot::read(path).events;
    let messages: Vec<_> = events.iter().map(|event| event.value("message")).collect();
    assert_eq!(messages, ["str with the recorder"]);
}

fn stopped() {
    let recorder = ttlog_std::log::init("test");
    assert_eq!(log::max_level(), LevelFilter::Trace);
    recorder.shutdown();
    wait_for(LevelFilter::Off);
}

#[test]
fn nothing_is_evaluated_after_the_recorder_has_stopped() {
    Place::new("log-stopped").run("stopped");
}

/// A value that logs when its thread ends, after other thread-locals are gone.
struct LogsAtEnd;

impl Drop for LogsAtEnd {
    fn drop(&mut self) {
        log::info!(number = 1; "at the end of the thread: {}", "text");
    }
}

thread_local! {
    static FIRST: LogsAtEnd = const { LogsAtEnd };
}

fn thread_end() {
    let _recorder = ttlog_std::log::init("test");
    for has_logged in [false, true] {
        let work = move || {
            FIRST.with(|_| ());
            if has_logged {
                log::info!("at work");
            }
        };
        std::thread::spawn(work).join().unwrap();
    }
}

#[test]
fn records_while_thread_locals_are_destroyed() {
    let events = events_of("thread-end");
    let at_end = events.iter().filter(|event| event.value("message").ends_with("at the end of the thread: text"));
    assert!(at_end.clone().all(|event| event.value("number") == "i64 1"));
    assert_eq!((at_end.count(), events.len()), (2, 3));
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_signal(_: libc::c_int) {
    log::info!(target: "handler", number = HANDLED.fetch_add(1, Ordering::Relaxed); "handled");
}

/// Number of records of the thread that is interrupted, at least.
const INTERRUPTED: usize = 50_000;
/// Number of records at most, for which the ring has room: the other thread may get no processor for a while.
const INTERRUPTED_MAX: usize = 500_000;
/// Number of interruptions, at least.
const HANDLED_MIN: usize = 11;

fn handler() {
    let recorder = Recorder::builder().capacity_bytes(64 << 20).build().unwrap();
    ttlog_std::log::logger().install().unwrap();
    wait_for(LevelFilter::Trace);
    // The first record of a callsite allocates, which a handler must not.
    on_signal(0);
    let action: extern "C" fn(libc::c_int) = on_signal;
    // SAFETY: the handler makes no system call, allocates nothing and takes no lock.
    unsafe { libc::signal(libc::SIGUSR2, action as libc::sighandler_t) };
    // SAFETY: has no conditions.
    let thread = unsafe { libc::pthread_self() } as usize;
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_done = done.clone();
    let interrupting = std::thread::spawn(move || {
        while !is_done.load(Ordering::Relaxed) {
            // SAFETY: the thread waits for this one.
            unsafe { libc::pthread_kill(thread as libc::pthread_t, libc::SIGUSR2) };
            std::thread::sleep(Duration::from_micros(20));
        }
    });
    let is_enough = |number| number >= INTERRUPTED && HANDLED.load(Ordering::Relaxed) >= HANDLED_MIN;
    let mut count = 0;
    while count < INTERRUPTED_MAX && !is_enough(count) {
        log::info!(number = count, text = "a text of some length"; "interrupted {}", count);
        count += 1;
    }
    done.store(true, Ordering::Relaxed);
    interrupting.join().unwrap();
    let handled = HANDLED.load(Ordering::Relaxed);
    assert!(handled >= HANDLED_MIN, "{handled}");
    assert_eq!(recorder.loss().overwritten, 0);
    println!("handled {handled}\ninterrupted {count}");
}

#[test]
fn records_of_a_signal_handler_that_interrupts_a_record() {
    let place = Place::new("log-handler");
    let output = String::from_utf8(place.run("handler").stdout).unwrap();
    let number =
        |what| -> usize { output.lines().find_map(|line| line.split_once(what)).unwrap().1.trim().parse().unwrap() };
    let (handled, interrupted) = (number("handled "), number("interrupted "));
    let ring = RingContents::read(&place.ring_files()[0]);
    let (inner, outer): (Vec<_>, Vec<_>) =
        ring.events.iter().map(|event| &event.event).partition(|event| event.target == "handler");
    // Those that could not be recorded are counted.
    assert_eq!(inner.len() + outer.len() + ring.loss.dropped_total() as usize, handled + interrupted);
    assert!(inner.len() * 10 >= handled * 9, "{} of {handled}", inner.len());
    for event in outer {
        let number = event.value("number").strip_prefix("u64 ").unwrap();
        assert_eq!(event.value("message"), format!("display interrupted {number}"));
        assert_eq!(event.value("text"), "str a text of some length");
    }
}

/// A value that logs while it is recorded.
struct Logs(u32);

impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 {
            log::info!("nested {}", Logs(self.0 - 1));
        }
        write!(f, "depth {}", self.0)
    }
}

fn nested() {
    let _recorder = ttlog_std::log::init("test");
    log::info!(value:% = Logs(1); "outer {}", Logs(2));
}

#[test]
fn display_that_logs() {
    let events = events_of("nested");
    let messages: Vec<_> = events.iter().map(|event| event.value("message")).collect();
    assert!(messages.contains(&"display nested depth 0") && messages.contains(&"display nested depth 1"));
    let outer = events.iter().find(|event| event.value("message") == "display outer depth 2").unwrap();
    assert_eq!(outer.value("value"), "display depth 1");
}

mod counting {
    //! Counts allocations.

    use std::alloc::{GlobalAlloc, Layout, System};
    use std::cell::Cell;

    thread_local! {
        /// Number of allocations of the thread.
        pub(super) static COUNT: Cell<u64> = const { Cell::new(0) };
        /// Bytes that they have, freed or not.
        pub(super) static BYTES: Cell<usize> = const { Cell::new(0) };
    }

    struct Counting;

    // SAFETY: every call is forwarded to the system's allocator.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            COUNT.with(|count| count.set(count.get() + 1));
            BYTES.with(|bytes| bytes.set(bytes.get() + layout.size()));
            // SAFETY: the caller's promise.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
            // SAFETY: the caller's promise.
            unsafe { System.dealloc(start, layout) };
        }
    }

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;
}

fn allocations() {
    let _recorder = ttlog_std::log::init("test");
    let work = |round: u64| {
        log::info!(round, text = "text"; "a record with {} key-values", 2);
        log::warn!("a warning");
    };
    (0..10).for_each(work);
    let before = counting::COUNT.with(std::cell::Cell::get);
    (0..10_000).for_each(work);
    assert_eq!(counting::COUNT.with(std::cell::Cell::get) - before, 0);
}

#[test]
fn no_allocation_per_record() {
    assert_eq!(ring_of("allocations").loss.dropped_total(), 0);
}

fn many_keys() {
    let _recorder = ttlog_std::log::init("test");
    let names: Vec<_> = (0..100).map(|number| format!("key{number}")).collect();
    let pairs: Vec<_> = names.iter().enumerate().map(|(number, name)| (name.as_str(), number)).collect();
    let arguments = format_args!("many");
    log::logger().log(&Record::builder().level(log::Level::Info).args(arguments).key_values(&pairs).build());
}

#[test]
fn more_key_values_than_are_recorded() {
    let events = events_of("many-keys");
    assert_eq!(events[0].values.len(), 2 + 32);
    assert_eq!((events[0].value("key0"), events[0].value("key31")), ("u64 0", "u64 31"));
}

/// A message that counts how often it is formatted.
struct Counted(AtomicUsize);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fetch_add(1, Ordering::Relaxed);
        f.write_str("counted")
    }
}

fn other_keys() {
    let _recorder = ttlog_std::log::init("test");
    let message = Counted(AtomicUsize::new(0));
    let emit = |target: &str, keys: &dyn log::kv::Source| {
        log::logger().log(
            &Record::builder()
                .args(format_args!("{message}"))
                .target(target)
                .module_path_static(Some("module"))
                .file_static(Some("src/place.rs"))
                .line(Some(7))
                .key_values(keys)
                .build(),
        );
    };
    let mut target = String::from("first");
    for round in 0..3_usize {
        emit(&target, &[("a", round as u64)]);
        emit(&target, &[("b", round as u64)]);
        emit(&target, &[("a", round as u64), ("b", 5)]);
        emit(&target, &None::<(&str, u64)>);
        // At the same address.
        target.replace_range(.., ["other", "third", "again"][round]);
    }
    // Once each, and once more where the second keys of a place were met.
    assert_eq!(message.0.load(Ordering::Relaxed), 12 + 3);
}

#[test]
fn records_of_one_place_with_different_keys() {
    let events = events_of("other-keys");
    let expected = ["first", "other", "third"].iter().zip(0..).flat_map(|(target, n)| {
        let event = move |values: String| (target.to_string(), format!("message=display counted{values}"));
        [format!(" a=u64 {n}"), format!(" b=u64 {n}"), format!(" a=u64 {n} b=u64 5"), String::new()].map(event)
    });
    let found: Vec<_> = events
        .iter()
        .map(|event| {
            let values: Vec<_> = event.values[1..].iter().map(|(name, _, value)| format!("{name}={value}")).collect();
            (event.target.clone(), values.join(" "))
        })
        .collect();
    assert_eq!(found, expected.collect::<Vec<_>>());
}
