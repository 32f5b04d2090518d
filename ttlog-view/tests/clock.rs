//! Steps of the wall clock: the order of events stays, and each step is marked.

mod support;

use serde_json::Value as Json;
use ttlog_core::ProcessInfo;
use ttlog_core::snapshot::Codec;

use support::{Recording, Run, SECOND, SHOP, START, Thread, directory, view, write};

const NS: i64 = 1_000_000_000;

/// Returns the anchors of a clock that is set by `step` seconds after `at` seconds of `len`.
fn anchors(len: u64, at: u64, step: i64) -> Vec<(u64, i64)> {
    let mut anchors = Vec::new();
    for second in 0..=len {
        let unix_ns = START + second as i64 * NS + if second > at { step * NS } else { 0 };
        anchors.push((second * SECOND, unix_ns));
        if second == at {
            let ticks = second * SECOND + SECOND / 2;
            anchors.push((ticks, START + ticks as i64));
            anchors.push((ticks + 1, START + ticks as i64 + 1 + step * NS));
        }
    }
    anchors
}

/// Ticks each second, by two threads in turn, from the second `from` to the second `to`.
fn ticking(ring_id: u64, process: &ProcessInfo<'_>, anchors: &[(u64, i64)], from: u32, to: u32) -> Recording {
    let recording = Recording::dated(ring_id, 8, 1024, process, anchors);
    recording.know_shop();
    let threads = [Thread::new(1, "even"), Thread::new(2, "odd")];
    for n in from..to {
        recording.tick(&threads[n as usize % 2], u64::from(n) * SECOND, n);
    }
    recording
}

/// Returns the numbers that were logged, in the order shown.
fn numbers(run: &Run) -> Vec<u32> {
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let of = |line: &str| line.split_once("tick  n=").and_then(|(_, n)| n.parse().ok());
    run.out.lines().filter_map(of).collect()
}

fn marks(run: &Run) -> Vec<&str> {
    run.out.lines().filter(|line| line.contains("the wall clock")).collect()
}

#[test]
fn order_is_kept_across_a_step_back_which_is_marked() {
    let dir = directory("step_back");
    write(&dir, "ring", &ticking(1, &SHOP, &anchors(20, 10, -3600), 0, 20).image());
    let run = view(&dir, &["ring"]);
    assert_eq!(numbers(&run), (0..20).collect::<Vec<_>>());
    let lines: Vec<_> = run.out.lines().skip(1).collect();
    assert!(lines[10].starts_with("2026-01-31 02:59:10.000000 DEBUG even"), "{}", run.out);
    assert_eq!(
        lines[11],
        "──── the wall clock was set back by 3600.000 s, \
         from 2026-01-31 02:59:10.500000 to 2026-01-31 01:59:10.500000 ────"
    );
    assert!(lines[12].starts_with("2026-01-31 01:59:11.000000 DEBUG odd"), "{}", run.out);

    // A duration before the end ignores clock steps; a time of day is what the clock showed.
    assert_eq!(numbers(&view(&dir, &["ring", "--last", "12s"])), (7..20).collect::<Vec<_>>());
    let first_hour = view(&dir, &["ring", "--until", "2026-01-31T02:00:00Z"]);
    assert_eq!(numbers(&first_hour), (11..20).collect::<Vec<_>>());
    let relative = view(&dir, &["ring", "--time", "relative", "-q"]);
    assert!(relative.out.starts_with("    -19.000000 DEBUG even"), "{}", relative.out);

    let stats: Json = serde_json::from_str(&view(&dir, &["ring", "--stats", "--format", "json"]).out).expect("JSON");
    assert_eq!(stats["clock_steps"][0]["clock_step"], -3600 * NS);
    assert_eq!(stats["clock_steps"][0]["to"], "2026-01-31T01:59:10.500000001Z");
    assert_eq!(stats["groups"][0]["per_second"], 1.0, "of the time that really passed");
    let verify = view(&dir, &["verify", "ring"]).out;
    assert!(verify.contains("\n  clock: the wall clock was set back by 3600.000 s"), "{verify}");
}

#[test]
fn a_step_forward_is_marked() {
    let dir = directory("step_forward");
    write(&dir, "ring", &ticking(1, &SHOP, &anchors(20, 10, 7200), 0, 20).image());
    let run = view(&dir, &["ring"]);
    assert_eq!(numbers(&run), (0..20).collect::<Vec<_>>());
    let marks = marks(&run);
    assert_eq!(marks.len(), 1, "{marks:?}");
    assert!(marks[0].contains("went forward by 7200.000 s (it was set, or the machine slept)"), "{marks:?}");
}

#[test]
fn a_step_before_all_events_is_not_marked() {
    let dir = directory("step_before");
    write(&dir, "ring", &ticking(1, &SHOP, &anchors(20, 3, -60), 12, 20).image());
    let run = view(&dir, &["ring"]);
    assert_eq!(numbers(&run), (12..20).collect::<Vec<_>>());
    assert_eq!(marks(&run), [""; 0]);
}

#[test]
fn snapshots_from_before_and_after_a_step_are_one_timeline() {
    let dir = directory("step_between");
    let (before, after) = (anchors(20, 10, -3600), anchors(20, 10, -3600));
    let early = ticking(1, &SHOP, &before[..9], 0, 8);
    write(&dir, "1.bin", &early.snapshot("manual", 8 * SECOND, Codec::Lz4));
    write(&dir, "2.bin", &ticking(1, &SHOP, &after, 0, 20).snapshot("manual", 20 * SECOND, Codec::Lz4));
    for order in [["1.bin", "2.bin"], ["2.bin", "1.bin"]] {
        let both = view(&dir, &order);
        assert_eq!(numbers(&both), (0..20).collect::<Vec<_>>());
        assert_eq!(marks(&both).len(), 1, "{}", both.out);
        // Also if the early events come from the early snapshot.
        let all = view(&dir, &[order[0], order[1], "--duplicates"]);
        let mut doubled: Vec<_> = (0..8).flat_map(|n| [n, n]).collect();
        doubled.extend(8..20);
        assert_eq!(numbers(&all), doubled);
    }
}

#[test]
fn a_process_that_ended_before_a_step_comes_before_it() {
    let dir = directory("step_rings");
    let all = anchors(20, 10, -3600);
    write(&dir, "ended", &ticking(1, &ProcessInfo { pid: 1, ..SHOP }, &all[..8], 0, 8).image());
    write(&dir, "saw", &ticking(2, &ProcessInfo { pid: 2, ..SHOP }, &all, 5, 20).image());
    write(&dir, "too", &ticking(3, &ProcessInfo { pid: 3, ..SHOP }, &all, 5, 20).image());
    let run = view(&dir, &["ended", "saw", "too"]);
    let mut expected: Vec<u32> = (0..8).chain(5..20).chain(5..20).collect();
    expected.sort_unstable();
    assert_eq!(numbers(&run), expected);
    assert_eq!(marks(&run).len(), 1, "both saw the same step: {:?}", marks(&run));
    // The clock of another host says nothing about this one's.
    let elsewhere = ProcessInfo { pid: 4, host: "web-4", ..SHOP };
    write(&dir, "elsewhere", &ticking(4, &elsewhere, &all[..8], 0, 8).image());
    let run = view(&dir, &["saw", "elsewhere"]);
    assert_eq!(numbers(&run), (5..20).chain(0..8).collect::<Vec<_>>());
}

#[test]
fn readings_that_go_back_and_absurd_anchors_break_nothing() {
    let dir = directory("absurd_clock");
    let absurd = [(u64::MAX, i64::MIN), (0, i64::MAX), (5, 5), (5, -5), (u64::MAX / 2, i64::MIN), (7, i64::MAX)];
    let recording = Recording::dated(1, 8, 1024, &SHOP, &absurd);
    recording.know_shop();
    let thread = Thread::new(1, "t");
    for (n, ticks) in [5, u64::MAX, 0, u64::MAX / 2, 3, 1 << 33, 7].into_iter().enumerate() {
        recording.tick(&thread, ticks, n as u32);
    }
    write(&dir, "ring", &recording.image());
    for time in ["utc", "relative", "ticks"] {
        let run = view(&dir, &["ring", "--time", time]);
        assert_eq!(numbers(&run), (0..7).collect::<Vec<_>>(), "in the order of the thread: {}", run.out);
    }
    for arguments in
        [&["ring", "--last", "5s"][..], &["ring", "--stats"], &["ring", "--format", "json"], &["verify", "ring"]]
    {
        assert_eq!(view(&dir, arguments).code, Some(0), "{arguments:?}");
    }
}
