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
const TARGETS: usize = 5000;

fn targets() {
    let _recorder = Recorder::builder().filter("info,target::quiet=off").table_bytes(1 << 20).build().unwrap();
    ttlog_std::log::logger().install().unwrap();
    for number in 0..TARGETS {
        log::info!(target: &format!("target::{number}"), number; "made up");
    }
    log::info!(target: "target::quiet", "off");
}

#[test]
fn targets_made_up_at_run_time() {
    let ring = ring_of("targets");
    assert_eq!((ring.loss.dropped_total(), ring.loss.overwritten), (0, 0));
    assert!((4000..5000).contains(&ring.callsite_ids.len()), "{}", ring.callsite_ids.len());
    let targets: std::collections::BTreeSet<_> = ring
        .events
        .iter()
        .map(|event| match event.event.fields.get("log.target") {
            Some(target) => target.as_str(),
            None => event.event.target.as_str(),
        })
        .collect();
    assert_eq!(targets.len(), TARGETS);
    assert!(targets.iter().all(|target| target.starts_with("target::") && *target != "target::quiet"));
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
    }

    struct Counting;

    // SAFETY: every call is forwarded to the system's allocator.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            COUNT.with(|count| count.set(count.get() + 1));
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
