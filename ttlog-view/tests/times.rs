//! Limits in time: what the output shows can be copied, times of day across midnight, and local times.
#![cfg(unix)]

mod support;

use std::path::Path;
use std::process::Command;

use support::{Recording, Run, SECOND, SHOP, Thread, directory, skip, view, write};

const NS: i64 = 1_000_000_000;

/// Writes the file `ring`: ticks at these times, each in nanoseconds after `start`.
fn ticks(dir: &Path, start: i64, times: &[u64]) {
    let recording = Recording::dated(1, 8, 1024, &SHOP, &[(0, start), (100_000 * SECOND, start + 100_000 * NS)]);
    recording.know_shop();
    let thread = Thread::new(1, "main");
    for (n, &ticks) in times.iter().enumerate() {
        recording.tick(&thread, ticks, n as u32);
    }
    write(dir, "ring", &recording.image());
}

/// Returns the numbers of the events that are shown.
fn numbers(run: &Run) -> Vec<usize> {
    assert_eq!(run.code, Some(0), "{}", run.err);
    let of = |line: &str| line.split_once("tick  n=").and_then(|(_, n)| n.parse().ok());
    run.out.lines().filter_map(of).collect()
}

fn limited(dir: &Path, arguments: &[&str]) -> Vec<usize> {
    let run = view(dir, &[&["ring", "-q"], arguments].concat());
    assert_eq!(run.err, "", "{arguments:?}");
    numbers(&run)
}

/// Runs the program with a time zone.
fn view_in(dir: &Path, zone: &str, arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ttlog-view"));
    let output = command.args(arguments).current_dir(dir).env("TZ", zone).output().expect("the program can be run");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn shown_times_can_be_copied() {
    let dir = directory("times_copied");
    let times = [0, 1_234_567, 1_234_999, 1_235_000, 2_000_000_123, 2_000_001_123, 7_200_000_000_001];
    ticks(&dir, support::START, &times);
    let alike = |styles: &[&str], digits: usize| {
        let run = view(&dir, &[&["ring", "-q"], styles].concat());
        for (n, line) in run.out.lines().enumerate() {
            let shown = line.split_once(" DEBUG").expect("a level after the time").0;
            let copied = limited(&dir, &[styles, &["--since", shown, "--until", shown]].concat());
            assert!(copied.contains(&n), "{shown}: {copied:?}");
            // Others only if their times look the same.
            let looks = |n: usize| times[n] / 10_u64.pow(9 - digits as u32);
            assert!(
                copied.iter().all(|&other| looks(other) == looks(n) || styles == ["--time", "relative"]),
                "{shown}"
            );
            assert!(copied.len() <= 3, "{shown}: {copied:?}");
        }
        assert_eq!(run.out.lines().count(), times.len());
    };
    alike(&[], 6);
    alike(&["--utc"], 6);
    alike(&["--time", "relative"], 6);
    // All digits, of the text and of JSON.
    for (n, line) in view(&dir, &["ring", "--format", "ndjson"]).out.lines().enumerate() {
        let time = serde_json::from_str::<serde_json::Value>(line).expect("JSON")["time"].as_str().map(str::to_owned);
        let time = time.expect("a time");
        assert_eq!(limited(&dir, &["--since", &time, "--until", &time]), [n]);
    }
    let verbose = view(&dir, &["ring", "-qv"]).out;
    let shown = verbose.lines().nth(4).and_then(|line| line.get(..29)).expect("a time with nine digits");
    assert_eq!(limited(&dir, &["--since", shown, "--until", shown]), [4]);
    for (n, ticks) in times.into_iter().enumerate() {
        let shown = format!("tick {ticks}");
        assert_eq!(limited(&dir, &["--since", &shown, "--until", &shown]), [n]);
    }
}

#[test]
fn each_digit_stands_for_its_whole_unit() {
    let dir = directory("times_units");
    let minute = 60 * SECOND;
    let times = [0, SECOND / 2, SECOND, 59 * SECOND, 60 * minute, 60 * minute + 1, 21 * 60 * minute + minute];
    ticks(&dir, support::START, &times);
    let within = |text: &str| limited(&dir, &["--since", text, "--until", text]);
    assert_eq!(within("2026-01-31 02:59:00"), [0, 1]);
    assert_eq!(within("2026-01-31T02:59:00.5Z"), [1]);
    assert_eq!(within("2026-01-31 02:59"), [0, 1, 2, 3]);
    assert_eq!(within("02:59"), [0, 1, 2, 3]);
    assert_eq!(within("02:59:59"), [3]);
    assert_eq!(within("03:59"), [4, 5]);
    assert_eq!(within("2026-01-31T03"), [4, 5]);
    assert_eq!(within("2026-01-31"), [0, 1, 2, 3, 4, 5]);
    assert_eq!(within("2026-02-01"), [6]);
    assert_eq!(limited(&dir, &["--until", "2026-01-31"]), [0, 1, 2, 3, 4, 5]);
    assert_eq!(limited(&dir, &["--since", "9999-12-31"]), [0; 0]);
    assert_eq!(limited(&dir, &["--until", "9999-12-31"]), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(limited(&dir, &["--last", "0s"]), [6]);
}

#[test]
fn time_of_day_across_midnight() {
    let dir = directory("times_midnight");
    // From 23:59:52 to 00:00:08, an event each second.
    let times: Vec<u64> = (0..=16).map(|second| second * SECOND).collect();
    ticks(&dir, 1_769_817_592 * NS, &times);
    let span = |from: usize, to: usize| (from..=to).collect::<Vec<_>>();
    assert_eq!(limited(&dir, &["--since", "23:59:55"]), span(3, 16));
    assert_eq!(limited(&dir, &["--since", "23:59"]), span(0, 16));
    assert_eq!(limited(&dir, &["--since", "00:00:05"]), span(13, 16));
    assert_eq!(limited(&dir, &["--until", "23:59:55"]), span(0, 3));
    assert_eq!(limited(&dir, &["--until", "00:00"]), span(0, 16));
    assert_eq!(limited(&dir, &["--since", "23:59:55", "--until", "00:00:01"]), span(3, 9));
    assert_eq!(limited(&dir, &["--since", "23:59:55", "--until", "23:59:57"]), span(3, 5));
    assert_eq!(limited(&dir, &["--since", "00:00:20"]), [0; 0]);
    assert_eq!(limited(&dir, &["--since", "23:59:55", "--filter", "n<5"]), [3, 4]);
}

#[test]
fn hour_that_comes_twice_is_marked_and_can_be_chosen() {
    let dir = directory("times_autumn");
    // The clocks go from 03:00 back to 02:00 after an hour and a half; an event each half hour, from 01:30 on.
    let times: Vec<u64> = (0..=6).map(|n| n * 1800 * SECOND).collect();
    ticks(&dir, 1_792_884_600 * NS, &times);
    let zone = "CET-1CEST,M3.5.0,M10.5.0/3";
    let shown: Vec<_> = {
        let run = view_in(&dir, zone, &["ring", "-q"]);
        run.out.lines().map(|line| line.split_once(" DEBUG").expect("a level").0.to_owned()).collect()
    };
    assert_eq!(
        shown,
        [
            "2026-10-25 01:30:00.000000",
            "2026-10-25 02:00:00.000000+02:00",
            "2026-10-25 02:30:00.000000+02:00",
            "2026-10-25 02:00:00.000000+01:00",
            "2026-10-25 02:30:00.000000+01:00",
            "2026-10-25 03:00:00.000000",
            "2026-10-25 03:30:00.000000",
        ]
    );
    let within =
        |since: &str, until: &str| numbers(&view_in(&dir, zone, &["ring", "--since", since, "--until", until]));
    for (n, time) in shown.iter().enumerate() {
        assert_eq!(within(time, time), [n], "{time}");
    }
    assert_eq!(within("02:30+02:00", "02:00+01:00"), [2, 3]);
    // Without an offset, both.
    assert_eq!(within("2026-10-25 02:30", "2026-10-25 02:30"), [2, 3, 4]);
    assert_eq!(within("2026-10-25 02:00", "2026-10-25 02:00"), [1, 2, 3]);
    let stats = view_in(&dir, zone, &["ring", "--stats", "--filter", "n=3"]).out;
    assert!(stats.contains("2026-10-25 02:00:00.000000+01:00"), "{stats}");
}

#[test]
fn unknown_time_zone_is_reported_once() {
    let dir = directory("times_zone");
    ticks(&dir, support::START, &[0, SECOND]);
    let run = view_in(&dir, "Nowhere/Else", &["ring", "ring", "--since", "2026-01-31 02:59:01"]);
    assert_eq!(numbers(&run), [1]);
    assert!(run.out.contains("\n2026-01-31 02:59:01.000000Z DEBUG"), "{}", run.out);
    let expected = "ttlog-view: the time zone `Nowhere/Else` of the variable TZ cannot be read: ";
    assert!(run.err.starts_with(expected) && run.err.lines().count() == 1, "{}", run.err);
    for arguments in [&["verify", "ring"][..], &["ring", "--stats"], &["doctor", "."]] {
        let run = view_in(&dir, "Nowhere/Else", arguments);
        assert_eq!(run.err.matches(expected).count(), 1, "{arguments:?}: {}", run.err);
    }
    // No local times, no remark.
    for arguments in [&["ring", "--utc"][..], &["ring", "--format", "ndjson"], &["ring", "--utc", "--since", "02:59"]] {
        assert_eq!(view_in(&dir, "Nowhere/Else", arguments).err, "", "{arguments:?}");
    }
    assert_ne!(view_in(&dir, "Nowhere/Else", &["ring", "--format", "ndjson", "--since", "02:59"]).err, "");
    assert_eq!(view_in(&dir, "", &["ring"]).err, "");
}

/// Runs the program as root of a user namespace of its own, after `prepare` changed what is mounted.
#[cfg(target_os = "linux")]
fn view_unshared(dir: &Path, prepare: &str, zone: Option<&str>) -> Option<Run> {
    let script = format!("{prepare} && exec \"$0\" ring -q");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, env!("CARGO_BIN_EXE_ttlog-view")]);
    command.current_dir(dir).env_remove("TZ");
    zone.map(|zone| command.env("TZ", zone));
    let output = command.output().ok()?;
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    let run = Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    if run.code != Some(0) {
        skip(&format!("no mounts in a namespace of one's own: {}", run.err.trim()));
        return None;
    }
    Some(run)
}

#[test]
#[cfg(target_os = "linux")]
fn missing_database_of_time_zones_is_reported() {
    let dir = directory("times_database");
    ticks(&dir, support::START, &[0]);
    if !Path::new("/usr/share/zoneinfo").is_dir() {
        skip("no /usr/share/zoneinfo to hide");
        return;
    }
    let hide = "mount -t tmpfs none /usr/share/zoneinfo";
    let Some(run) = view_unshared(&dir, hide, Some("Europe/Berlin")) else { return };
    assert_eq!(
        run.err,
        "ttlog-view: the time zone `Europe/Berlin` of the variable TZ cannot be read: \
         this machine has no database of time zones. Times are in UTC\n"
    );
    assert!(run.out.starts_with("2026-01-31 02:59:00.000000Z DEBUG"), "{}", run.out);
    // The machine's own zone.
    let link = format!("{hide} && mount -t tmpfs none /etc && ln -s /usr/share/zoneinfo/Europe/Berlin /etc/localtime");
    let Some(run) = view_unshared(&dir, &link, None) else { return };
    let expected = "ttlog-view: the time zone `Europe/Berlin` of /etc/localtime cannot be read: ";
    assert!(run.err.starts_with(expected), "{}", run.err);
    assert!(run.out.starts_with("2026-01-31 02:59:00.000000Z DEBUG"), "{}", run.out);
    // A machine without a zone is in UTC, which its times show.
    let Some(run) = view_unshared(&dir, &format!("{hide} && mount -t tmpfs none /etc"), None) else { return };
    assert_eq!(run.err, "");
    assert!(run.out.starts_with("2026-01-31 02:59:00.000000Z DEBUG"), "{}", run.out);
}
