//! Automatic snapshots: when they are taken, how often, and which of them are retained.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use common::{Place, Snapshot, files, finish, stderr, wait_until, warnings};
use ttlog_std::{Level, Recorder, RingFileChoice, SnapshotSignal, SnapshotTicket, debug, error, info, warn};

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    let builder = Recorder::builder().service("watched").capacity_bytes(1 << 20);
    match case.as_str() {
        "level" => {
            builder.snapshot_on_level(Level::Error).build().unwrap();
            for n in 0..10_u32 {
                warn!("not bad enough", n);
            }
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(snapshots(), [""; 0]);
            // The first event of a callsite takes another path than later ones.
            for n in 0..3_u32 {
                error!("bad enough", n);
                wait_until("there is a snapshot", || snapshots().len() == n as usize + 1);
            }
        }
        "storm" => {
            let start = Instant::now();
            builder.snapshot_on_level(Level::Warn).build().unwrap();
            while start.elapsed() < Duration::from_secs(2) {
                error!("again");
            }
            let (count, most) = (snapshots().len() as u128, start.elapsed().as_millis() / 400 + 1);
            assert!((1..=most).contains(&count), "{count} snapshots, at most {most}");
        }
        "periodic" => {
            builder.snapshot_every(Duration::from_millis(100)).build().unwrap();
            for n in 0..3_usize {
                info!("something new", n);
                wait_until("there is a snapshot", || snapshots().len() > n);
            }
            let has_all = |name: &String| {
                let path = PathBuf::from(std::env::var_os("TTLOG_SNAPSHOT_DIR").unwrap()).join(name);
                Snapshot::read(&path).with_message("something new").len() == 3
            };
            wait_until("there is one with everything", || snapshots().iter().any(has_all));
            // One more can follow, for events recorded while that one began. After that nothing is new.
            let most = snapshots().len() + 1;
            std::thread::sleep(Duration::from_millis(800));
            assert!(snapshots().len() <= most, "{:?}", snapshots());
        }
        "filled" => {
            builder.snapshot_when_filled(0.5).build().unwrap();
            let mut n = 0_u64;
            wait_until("there are three snapshots", || {
                for _ in 0..500 {
                    debug!("filling", n);
                    n += 1;
                }
                snapshots().len() >= 3
            });
        }
        "signal" => {
            let builder = match std::env::var_os("TTLOG_SNAPSHOT_ON_SIGNAL") {
                Some(_) => builder,
                None => builder.snapshot_on_signal(SnapshotSignal::Usr2),
            };
            let signal =
                if std::env::var_os("TTLOG_SNAPSHOT_ON_SIGNAL").is_some() { libc::SIGUSR1 } else { libc::SIGUSR2 };
            count_signal(signal);
            builder.build().unwrap();
            info!("before the signal");
            raise(signal);
            wait_until("there is a snapshot", || snapshots().len() == 1);
            assert_eq!(COUNTED.load(Ordering::Relaxed), 1, "the previous handler runs too");
        }
        "blocked signal" => {
            builder.snapshot_on_signal(SnapshotSignal::Usr1).build().unwrap();
            // In this thread, and in that of the test harness, which otherwise gets the signals of the process.
            block_everywhere(libc::SIGUSR1);
            info!("before the signal");
            // SAFETY: sends a signal to this process.
            unsafe { libc::kill(libc::getpid(), libc::SIGUSR1) };
            wait_until("there is a snapshot", || snapshots().len() == 1);
        }
        "signal not asked for" => {
            builder.build().unwrap();
            info!("before the signal");
            raise(libc::SIGUSR1);
        }
        "throttle" => {
            let recorder = builder.build().unwrap();
            let start = Instant::now();
            recorder.request_snapshot("first").wait().unwrap();
            let path = recorder.request_snapshot("second").wait().unwrap();
            assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
            assert_eq!(Snapshot::read(&path).reason, "second");
            // The shutdown does not wait for the throttle.
            info!("last words");
            let last = recorder.request_snapshot("last");
            assert!(recorder.shutdown());
            assert_eq!(Snapshot::read(&last.wait().unwrap()).with_message("last words").len(), 1);
        }
        "together" => {
            let recorder = builder.channel_capacity(1000).build().unwrap();
            recorder.request_snapshot("first").wait().unwrap();
            let tickets: Vec<SnapshotTicket> = (0..100_u32)
                .map(|n| {
                    info!("asked", n);
                    recorder.request_snapshot(["red", "green", "blue"][n as usize % 3])
                })
                .collect();
            let paths: BTreeSet<PathBuf> = tickets.into_iter().map(|ticket| ticket.wait().unwrap()).collect();
            // Usually one. On a machine that stalls, more can begin in the middle.
            assert!(paths.len() <= 10, "{paths:?}");
            let snapshots: Vec<_> = paths.iter().map(|path| Snapshot::read(path)).collect();
            assert!(snapshots.iter().any(|snapshot| snapshot.with_message("asked").len() == 100));
            let reasons: BTreeSet<_> = snapshots.iter().flat_map(|snapshot| snapshot.reason.split('+')).collect();
            assert_eq!(reasons, BTreeSet::from(["red", "green", "blue"]));
        }
        "panics" => {
            let recorder = builder.build().unwrap();
            recorder.request_snapshot("just before").wait().unwrap();
            for n in 0..20_u32 {
                assert!(std::panic::catch_unwind(|| panic!("panic {n}")).is_err());
                assert_eq!(snapshots().len(), 2, "the first has a snapshot at once, the others later");
            }
            assert!(recorder.shutdown());
        }
        "panics and retention" => {
            builder.build().unwrap();
            for n in 0..10_u32 {
                assert!(std::panic::catch_unwind(|| panic!("panic {n}")).is_err());
            }
            wait_until("there are not too many", || snapshots().len() <= 3);
        }
        "sign of life" => {
            let recorder = builder.build().unwrap();
            let heartbeat = || {
                let bytes = std::fs::read(recorder.ring_path().unwrap()).unwrap();
                ttlog_core::RingImage::parse(&bytes).unwrap().header().heartbeat_unix_ns
            };
            let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
            for _ in 0..3 {
                let before = now();
                wait_until("there is a sign of life", || heartbeat() >= before);
                assert!(heartbeat() <= now());
            }
        }
        "panics on the heap" => {
            builder.ring_file(RingFileChoice::None).build().unwrap();
            for n in 0..3_u32 {
                assert!(std::panic::catch_unwind(|| panic!("panic {n}")).is_err());
                assert_eq!(snapshots().len(), n as usize + 1, "nothing else outlives the process");
            }
        }
        "min age" => {
            let recorder = builder.min_age(Duration::from_millis(300)).build().unwrap();
            let mut start = Instant::now();
            for round in 0..3_u64 {
                std::thread::sleep(Duration::from_millis(250));
                start = Instant::now();
                // More than a few segments, so that some are older as a whole.
                for n in 0..2_000_u64 {
                    info!("in rounds", round, n);
                }
            }
            let snapshot = Snapshot::read(&recorder.request_snapshot("young ones").wait().unwrap());
            let of_round = |round: u64| {
                let events = snapshot.with_message("in rounds").into_iter();
                events.filter(|event| event.fields["round"] == round.to_string()).count()
            };
            assert!(of_round(0) < 1_000, "{}", of_round(0));
            // If the machine stalls that long, even the last can be too old.
            assert!(of_round(2) == 2_000 || start.elapsed() > Duration::from_millis(300), "{}", of_round(2));
            assert_eq!(snapshot.events.len() as u64 + snapshot.left_out + snapshot.overwritten, 6_000);
            assert!(snapshot.left_out >= 1_000);
        }
        "retention" => {
            let recorder = builder.build().unwrap();
            for n in 0..8_u32 {
                info!("kept", n);
                recorder.request_snapshot("one of many").wait().unwrap();
            }
        }
        "window" => {
            let recorder = builder.min_age(Duration::from_secs(3600)).build().unwrap();
            let start = Instant::now();
            info!("first", n = 0_u64);
            let window = recorder.window();
            assert_eq!((window.complete_from, window.min_age), (None, Some(Duration::from_secs(3600))));
            assert!(window.covered >= start.elapsed() / 2 && window.is_long_enough());
            let mut times = Vec::new();
            while recorder.loss().overwritten == 0 || times.len() < 100_000 {
                times.push(SystemTime::now());
                info!("filling", n = times.len() as u64);
            }
            let window = recorder.window();
            let from = window.complete_from.unwrap();
            let error = SystemTime::now().duration_since(from + window.covered).unwrap();
            assert!(error < Duration::from_secs(30), "{window:?}, {error:?}");
            assert!(!window.is_long_enough());
            // Every event in the window that the ring reports is there. A clock that was measured this briefly is exact
            // to 100 µs per second.
            let path = recorder.request_snapshot("window").wait().unwrap();
            let snapshot = Snapshot::read(&path);
            let there: BTreeSet<u64> =
                snapshot.with_message("filling").iter().map(|event| event.fields["n"].parse().unwrap()).collect();
            let margin = Duration::from_millis(10);
            let covered = (1..).zip(&times).filter(|(_, time)| **time > from + margin);
            let missing: Vec<u64> = covered.map(|(n, _)| n).filter(|n| !there.contains(n)).collect();
            assert_eq!(missing, [0; 0]);
            let gone = (1..).zip(&times).filter(|(n, _)| !there.contains(n)).map(|(_, time)| *time).max().unwrap();
            assert!(gone <= from + margin, "the last lost event is older than the window");
            std::thread::sleep(Duration::from_millis(500));
        }
        other => panic!("unknown case {other}"),
    }
}

/// Returns the names of the snapshots so far.
fn snapshots() -> Vec<String> {
    let directory = PathBuf::from(std::env::var_os("TTLOG_SNAPSHOT_DIR").unwrap());
    let names = files(&directory).into_iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    names.filter(|name| name.ends_with(".bin")).collect()
}

/// Counts received signals.
static COUNTED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: libc::c_int) {
    COUNTED.fetch_add(1, Ordering::Relaxed);
}

fn count_signal(signal: libc::c_int) {
    // SAFETY: the handler is async-signal-safe; a zeroed action is valid.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(signal, &raw const action, std::ptr::null_mut()), 0);
    }
}

fn raise(signal: libc::c_int) {
    // SAFETY: sends a signal to this thread.
    unsafe { libc::raise(signal) };
}

/// Blocks a signal in this thread. The harness's threads have it blocked from the start.
fn block_everywhere(signal: libc::c_int) {
    // SAFETY: the set is made before it is used.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()), 0);
    }
}

/// Returns the only snapshot; panics unless there is exactly one.
fn only(place: &Place) -> Snapshot {
    let [path] = &place.whole_snapshots()[..] else { panic!("{:?}", place.whole_snapshots()) };
    Snapshot::read(path)
}

#[test]
fn event_of_a_level_or_above() {
    let place = Place::new("level");
    place.run("level");
    let last = Snapshot::read(place.whole_snapshots().last().unwrap());
    assert_eq!(last.reason, "level");
    assert!(!last.with_message("bad enough").is_empty());
}

fn run_throttled(place: &Place, case: &str, throttle: &str) {
    let mut command = place.child(case);
    command.env("TTLOG_SNAPSHOT_THROTTLE", throttle);
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn storm_of_errors_is_throttled() {
    run_throttled(&Place::new("storm"), "storm", "400ms");
}

#[test]
fn interval_and_nothing_new() {
    let place = Place::new("periodic");
    place.run("periodic");
    let snapshots: Vec<_> = place.whole_snapshots().iter().map(|path| Snapshot::read(path)).collect();
    assert!(snapshots.iter().all(|snapshot| snapshot.reason == "periodic"));
    assert!(snapshots.iter().any(|snapshot| snapshot.with_message("something new").len() == 3));
}

#[test]
fn share_of_the_ring() {
    let place = Place::new("filled");
    place.run("filled");
    assert!(place.whole_snapshots().iter().all(|path| Snapshot::read(path).reason == "filled"));
}

#[test]
fn signal_by_option_and_by_environment() {
    for variable in [None, Some("usr1")] {
        let place = Place::new("signal");
        let mut command = place.child("signal");
        if let Some(value) = variable {
            command.env("TTLOG_SNAPSHOT_ON_SIGNAL", value);
        }
        let output = finish(command);
        assert!(output.status.success(), "{}", stderr(&output));
        let snapshot = only(&place);
        assert_eq!((snapshot.reason.as_str(), snapshot.with_message("before the signal").len()), ("signal", 1));
    }
}

#[test]
fn signal_that_every_thread_of_the_program_blocks() {
    use std::os::unix::process::CommandExt as _;
    let place = Place::new("blocked");
    let mut command = place.child("blocked signal");
    // SAFETY: async-signal-safe, and the set is a local.
    unsafe {
        command.pre_exec(|| {
            block_everywhere(libc::SIGUSR1);
            Ok(())
        });
    }
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(only(&place).reason, "signal");
}

#[test]
fn signal_that_nobody_asked_for_ends_the_process_as_ever() {
    use std::os::unix::process::ExitStatusExt as _;
    let place = Place::new("unasked");
    let output = finish(place.child("signal not asked for"));
    assert_eq!(output.status.signal(), Some(libc::SIGUSR1), "{}", stderr(&output));
}

#[test]
fn one_snapshot_in_a_stated_time() {
    let place = Place::new("throttle");
    run_throttled(&place, "throttle", "500ms");
    assert_eq!(place.whole_snapshots().len(), 3);
}

#[test]
fn panics_in_a_loop_have_one_snapshot_in_a_stated_time() {
    let place = Place::new("panics");
    run_throttled(&place, "panics", "1h");
    let paths = place.whole_snapshots();
    let counts: Vec<_> = paths
        .iter()
        .map(|path| Snapshot::read(path))
        .map(|snapshot| {
            let panics = snapshot.with_message("panicked at {location}: {message}").len();
            (snapshot.reason, panics)
        })
        .collect();
    let mut reasons: Vec<_> = counts.iter().map(|(reason, _)| reason.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["just before", "panic", "panic"]);
    assert_eq!(counts.iter().map(|(_, count)| *count).max(), Some(20), "the last one has all of them");
    let place = Place::new("panics-heap");
    run_throttled(&place, "panics on the heap", "1h");
    assert_eq!(place.whole_snapshots().len(), 3);
}

#[test]
fn snapshots_of_panics_are_not_too_many_either() {
    let place = Place::new("panics-many");
    let mut command = place.child("panics and retention");
    command.env("TTLOG_RETAIN_COUNT", "3");
    let output = finish(command);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn ring_says_that_its_process_is_alive() {
    Place::new("alive").run("sign of life");
}

#[test]
fn what_is_older_than_asked_for_is_left_out_and_counted() {
    Place::new("minage").run("min age");
}

#[test]
fn one_snapshot_for_all_who_wait() {
    run_throttled(&Place::new("together"), "together", "300ms");
}

#[test]
fn retention_counts_those_of_earlier_runs() {
    let place = Place::new("retention");
    let run = |count: &str| {
        let mut command = place.child("retention");
        command.env("TTLOG_RETAIN_COUNT", count);
        let output = finish(command);
        assert!(output.status.success(), "{}", stderr(&output));
        place.whole_snapshots()
    };
    let first = run("5");
    assert_eq!(first.len(), 5);
    let newest = |paths: &[PathBuf]| {
        let n = |path: &PathBuf| Snapshot::read(path).with_message("kept").len();
        let mut counts: Vec<_> = paths.iter().map(n).collect();
        counts.sort_unstable();
        counts
    };
    assert_eq!(newest(&first), [4, 5, 6, 7, 8], "the newest ones");
    let others = ["ttlog-other-1-20261122T214159Z-x.bin", "ttlog-watched-notes.bin", "watched.bin"];
    for name in others {
        std::fs::write(place.snapshots().join(name), "not ours").unwrap();
    }
    let second = run("10");
    let ours = |paths: &[PathBuf]| {
        let is_other = |path: &&PathBuf| others.iter().any(|name| path.ends_with(name));
        paths.iter().filter(|path| !is_other(path)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        (ours(&second).len(), second.len()),
        (10, 13),
        "snapshots of the first run count, those of others do not"
    );
    assert_eq!(ours(&run("1")).len(), 1);
}

#[test]
fn window_says_what_the_ring_covers_and_warns_once() {
    let place = Place::new("window");
    let warnings = warnings(&place.run("window"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("min_age asks for 3600s"), "{warnings:?}");
}
