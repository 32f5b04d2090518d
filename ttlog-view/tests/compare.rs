//! Filters and counts compare by value what text holds: numbers, durations and sizes; and report what does not compare.

mod support;

use std::path::PathBuf;
use std::time::Duration;

use ttlog_core::Level;
use ttlog_core::Value as _;
use ttlog_core::event::capture::{debug, display};
use ttlog_core::event::{Cons, Field, Metadata, Nil};

use support::{Recording, Run, SECOND, Thread, directory, view, write};

static ANSWERED: Metadata = Metadata {
    level: Level::Info,
    target: "my_crate::net",
    message: "answered",
    file: "src/net.rs",
    line: 1,
    fields: &[
        Field::dynamic("n"),
        Field::dynamic("status"),
        Field::dynamic("took"),
        Field::dynamic("size"),
        Field::dynamic("latency"),
    ],
};

/// Returns a directory with the file `ring`: answers that have their numbers, durations and sizes in text.
fn answers(name: &str) -> PathBuf {
    let recording = Recording::new(1, 8, 1024);
    let thread = Thread::new(1, "main");
    let of = |n: u32| {
        let status = ["99", "404", "1000", "OK"][n as usize % 4];
        let took = [99_000_000, 1_500_000_000, 3007, 700][n as usize % 4];
        (status, Duration::from_nanos(took), ["10KB", "4MiB", "1.5GB", "900 B"][n as usize % 4])
    };
    for n in 0..8 {
        let (status, took, size) = of(n);
        let (status, took) = (display(&status), debug(&took));
        let fields = Cons(n, Cons(status.native(), Cons(took.native(), Cons(size, Cons(u64::from(n) * 50, Nil)))));
        if n == 0 {
            recording.callsite(1, &ANSWERED, fields);
        }
        recording.event(&thread, SECOND * u64::from(n), 1, fields);
    }
    let dir = directory(name);
    write(&dir, "ring", &recording.image());
    dir
}

fn filtered(dir: &std::path::Path, filters: &[&str]) -> Run {
    let mut arguments = vec!["ring", "-q"];
    filters.iter().for_each(|filter| arguments.extend(["--filter", filter]));
    let run = view(dir, &arguments);
    assert_eq!(run.code, Some(0), "{}", run.err);
    run
}

/// Returns the numbers of the events that are shown.
fn numbers(run: &Run) -> Vec<u32> {
    let of = |line: &str| line.split_once(" n=")?.1.split(' ').next()?.parse().ok();
    run.out.lines().filter_map(of).collect()
}

#[test]
fn text_compares_as_the_number_duration_or_size_that_it_is() {
    let dir = answers("compare_by_value");
    let of = |filter: &str| numbers(&filtered(&dir, &[filter, "n<4"]));
    assert_eq!(of("status>400"), [1, 2]);
    assert_eq!(of("status<=404"), [0, 1]);
    assert_eq!(of("took>500ms"), [1]);
    assert_eq!(of("took<1ms"), [2, 3]);
    assert_eq!(of("took=0.099s"), [0]);
    assert_eq!(of("took!=1500ms"), [0, 2, 3]);
    assert_eq!(of("size>1MB"), [1, 2]);
    assert_eq!(of("size<=10KB"), [0, 3]);
    assert_eq!(of("status=OK"), [3]);
    assert_eq!(of("status~=0"), [1, 2]);
    // Letters, on demand.
    assert_eq!(of("status>\"400\""), [0, 1, 3]);
}

#[test]
fn what_does_not_compare_is_counted_once() {
    let dir = answers("compare_remarks");
    let told = |filters: &[&str], shown: usize, line: &str| {
        let run = filtered(&dir, filters);
        let line = if line.is_empty() { String::new() } else { format!("ttlog-view: {line}\n") };
        assert_eq!((run.err, run.out.lines().count()), (line, shown), "{filters:?}");
    };
    told(&["status>400"], 4, "2 events have `status` as text that is no number; they do not match");
    told(&["status>400", "n<4"], 2, "1 event has `status` as text that is no number; it does not match");
    // An event that another condition leaves out is not counted.
    told(&["n<0", "status>400"], 0, "");
    told(&["status=404"], 2, "");
    told(&["status!=404"], 6, "");
    told(&["took>5"], 0, "8 events have `took` as a duration, and `5` has no unit; they do not match");
    told(&["size>5"], 0, "8 events have `size` as a size, and `5` has no unit; they do not match");
    told(&["size>5s"], 0, "8 events have `size` as a size, and `5s` is a duration; they do not match");
    let line = "8 events have `latency` as a number without a unit, and `99ms` is a duration; ";
    told(&["latency>99ms"], 0, &format!("{line}they do not match"));
    told(&["latency!=99ms"], 8, &format!("{line}they count as different"));
    told(&["latency>fast"], 0, "8 events have `latency` as a number, and `fast` is none; they do not match");
    told(&["latency=fast"], 0, "");
    told(&["message>5"], 0, "8 events have `message` as text that is no number; they do not match");
    told(&["file>5"], 0, "8 events have `file` as text that is no number; they do not match");
    told(&["line>5s"], 0, "8 events have `line` as a number without a unit, and `5s` is a duration; they do not match");
    told(&["thread>\x1b5"], 8, "");
    told(&["nothing>5"], 0, "no event has a field `nothing`");
    let stats = view(&dir, &["ring", "--stats", "--filter", "status>400"]);
    assert_eq!(stats.err, "ttlog-view: 2 events have `status` as text that is no number; they do not match\n");
}

#[test]
fn groups_of_one_size_are_sorted_by_value() {
    let dir = answers("compare_groups");
    let groups = |key: &str| {
        let run = view(&dir, &["ring", "--stats", "--group-by", key, "--format", "ndjson"]);
        let keys = run.out.lines().filter_map(|line| {
            let json: serde_json::Value = serde_json::from_str(line).expect("JSON");
            json["key"][key].as_str().map(str::to_owned)
        });
        keys.collect::<Vec<_>>()
    };
    assert_eq!(groups("status"), ["99", "404", "1000", "OK"]);
    assert_eq!(groups("took"), ["700ns", "3.007µs", "99ms", "1.5s"]);
    assert_eq!(groups("size"), ["900 B", "10KB", "4MiB", "1.5GB"]);
    assert_eq!(groups("latency"), ["0", "50", "100", "150", "200", "250", "300", "350"]);
}

#[test]
fn target_of_a_package_with_a_dash() {
    let dir = answers("compare_target");
    assert_eq!(filtered(&dir, &["target=my-crate"]).out.lines().count(), 8);
    assert_eq!(filtered(&dir, &["target=my-crate::net"]).out.lines().count(), 8);
    assert_eq!(filtered(&dir, &["target!=my-crate"]).out, "");
    assert_eq!(filtered(&dir, &["target=my-crat"]).out, "");
}
