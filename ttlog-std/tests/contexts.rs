//! Events from places where little can be relied on: destructors of thread-locals, and values that log while they are
//! logged.
#![cfg(target_os = "linux")]

mod common;

use std::cell::Cell;
use std::fmt;

use common::{Place, Snapshot};
use ttlog_std::{Recorder, info};

/// A value that logs at the end of its thread.
struct LogsAtEnd(Cell<&'static str>);

impl Drop for LogsAtEnd {
    fn drop(&mut self) {
        info!("at the end", which = self.0.get());
        info!("at the end", which = self.0.get());
    }
}

thread_local! {
    static FIRST: LogsAtEnd = const { LogsAtEnd(Cell::new("")) };
    static LAST: LogsAtEnd = const { LogsAtEnd(Cell::new("")) };
}

/// A value that logs whenever it is formatted.
struct Logs(u32);

impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info!("inner", number = self.0);
        write!(f, "<{}>", self.0)
    }
}

/// A value that logs a value that logs.
struct LogsDeeply(u32);

impl fmt::Display for LogsDeeply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info!("middle", value = %Logs(self.0));
        f.write_str("deep")
    }
}

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    let recorder = Recorder::builder().capacity_bytes(64 << 10).build().unwrap();
    match case.as_str() {
        "destructors" => {
            // Destructors run in the reverse order of first use: one runs before the recorder's own, the other after
            // it.
            let thread = || {
                LAST.with(|logs| logs.0.set("after the recorder's"));
                info!("alive");
                FIRST.with(|logs| logs.0.set("before the recorder's"));
            };
            std::thread::spawn(thread).join().unwrap();
        }
        "only in a destructor" => {
            std::thread::spawn(|| FIRST.with(|logs| logs.0.set("only"))).join().unwrap();
        }
        "many destructors" => {
            // Far more threads than segments, so each must have released its own.
            for _ in 0..500 {
                let thread = || {
                    LAST.with(|logs| logs.0.set("after"));
                    info!("alive");
                    FIRST.with(|logs| logs.0.set("before"));
                };
                std::thread::spawn(thread).join().unwrap();
            }
        }
        "values that log" => {
            for number in 0..100 {
                info!("outer", value = %Logs(number), and = number);
            }
            info!("outermost", value = %LogsDeeply(7));
        }
        other => panic!("unknown case {other}"),
    }
    assert_eq!(recorder.loss().dropped_total(), 0, "{:?}", recorder.loss());
    recorder.request_snapshot("contexts").wait().unwrap();
}

fn run(test: &str, case: &str) -> Snapshot {
    let place = Place::new(test);
    place.run(case);
    Snapshot::read(&place.snapshot_files()[0])
}

fn fields<'a>(snapshot: &'a Snapshot, message: &str, field: &str) -> Vec<&'a str> {
    snapshot.with_message(message).iter().map(|event| event.fields[field].as_str()).collect()
}

#[test]
fn destructors_before_and_after_the_recorders_own() {
    let snapshot = run("contexts-destructors", "destructors");
    let mut which = fields(&snapshot, "at the end", "which");
    which.sort_unstable();
    let [after, before] = ["after the recorder's", "before the recorder's"];
    assert_eq!(which, [after, after, before, before]);
    assert_eq!(snapshot.with_message("alive").len(), 1);
}

#[test]
fn thread_whose_first_event_is_in_a_destructor() {
    let snapshot = run("contexts-only", "only in a destructor");
    assert_eq!(fields(&snapshot, "at the end", "which"), ["only", "only"]);
}

#[test]
fn threads_with_destructors_leave_their_segments() {
    let snapshot = run("contexts-many", "many destructors");
    assert_eq!(snapshot.events.len() as u64 + snapshot.overwritten, 500 * 5);
}

#[test]
fn values_that_log_while_they_are_logged() {
    let snapshot = run("contexts-values", "values that log");
    let outer = fields(&snapshot, "outer", "value");
    assert_eq!(outer, (0..100).map(|number| format!("<{number}>")).collect::<Vec<_>>());
    // A value can be formatted more than once, because its length is measured first.
    let inner = fields(&snapshot, "inner", "number");
    assert!((0..100).all(|number| inner.contains(&number.to_string().as_str())), "{inner:?}");
    assert_eq!(fields(&snapshot, "outermost", "value"), ["deep"]);
    assert!(fields(&snapshot, "middle", "value").iter().all(|text| *text == "<7>"));
    assert!(!snapshot.with_message("middle").is_empty());
}
