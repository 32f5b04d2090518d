//! The panic hook: its event, its snapshot, the hooks that run afterwards, and that nothing hangs.
#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeSet;
use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Barrier;

use common::{Place, Snapshot, finish, stderr, warnings};
use ttlog_core::RingImage;
use ttlog_core::ring::EndKind;
use ttlog_std::{Level, Recorder, info};

/// Message of the event of a panic.
const PANICKED: &str = "panicked at {location}: {message}";

/// A value whose formatting panics.
struct Bad;

impl fmt::Display for Bad {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("inside the formatting");
    }
}

/// A value that panics when it is dropped in an unwinding.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("while unwinding");
    }
}

/// Panics where unwinding is not allowed, so that the process aborts.
extern "C" fn cannot_unwind() {
    panic!("no way out");
}

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    if case == "previous hook" {
        std::panic::set_hook(Box::new(|info| eprintln!("PREVIOUS HOOK: {info}")));
    }
    if case == "hooks that log" {
        std::panic::set_hook(Box::new(|_| info!("in the earlier hook")));
    }
    let builder = Recorder::builder().service("panics").panic_hook(case != "no hook");
    let recorder = builder.panic_backtrace(case != "no backtrace").build().unwrap();
    info!("before");
    match case.as_str() {
        "plain" | "previous hook" | "no hook" | "no backtrace" => panic!("out of {}", "luck"),
        "static message" => panic!("static"),
        "payload" => std::panic::panic_any(77_u32),
        "borrowed or owned" => std::panic::panic_any(std::borrow::Cow::Borrowed("of one kind or the other")),
        "boxed" => std::panic::panic_any(Box::<str>::from("in a box")),
        "shared" => std::panic::panic_any(std::sync::Arc::<str>::from("in an arc")),
        "long message" => panic!("{}", "ä".repeat(100_000)),
        "caught" => {
            for round in 0..3 {
                let caught = std::panic::catch_unwind(|| panic!("round {round}"));
                assert!(caught.is_err());
            }
            info!("after");
            assert!(recorder.is_recording());
        }
        "bad display" => panic!("{Bad}"),
        "in drop" => {
            let _bomb = PanicsInDrop;
            panic!("first");
        }
        "cannot unwind" => cannot_unwind(),
        "bad field" => {
            let caught = std::panic::catch_unwind(|| info!("never recorded", bad = %Bad));
            assert!(caught.is_err());
            info!("after");
            let snapshot = Snapshot::read(&recorder.request_snapshot("after").wait().unwrap());
            assert_eq!(snapshot.with_message("after").len(), 1);
            assert!(snapshot.with_message("never recorded").is_empty());
        }
        "many threads" => {
            let barrier = Barrier::new(8);
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|number| {
                        let barrier = &barrier;
                        scope.spawn(move || {
                            barrier.wait();
                            panic!("thread {number}");
                        })
                    })
                    .collect();
                for thread in threads {
                    assert!(thread.join().is_err());
                }
            });
        }
        "no snapshot directory" => {
            let directory = std::env::var_os("TTLOG_SNAPSHOT_DIR").unwrap();
            std::fs::write(directory, "in the way").unwrap();
            panic!("nowhere to go");
        }
        "hooks that log" => {
            let recorders = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                info!("in the later hook");
                recorders(info);
            }));
            for _ in 0..3 {
                assert!(std::panic::catch_unwind(|| panic!("again")).is_err());
            }
            recorder.request_snapshot("end").wait().unwrap();
            assert_eq!(recorder.loss().dropped_total(), 0);
        }
        "after shutdown" => {
            assert!(recorder.shutdown());
            panic!("too late");
        }
        other => panic!("unknown case {other}"),
    }
}

/// Runs a case whose process can end in any way, and returns its output and its snapshots.
fn run(place: &Place, case: &str) -> (std::process::Output, Vec<Snapshot>) {
    let output = finish(place.child(case));
    let snapshots = place.snapshot_files().iter().map(|path| Snapshot::read(path)).collect();
    (output, snapshots)
}

#[test]
fn panic_is_an_event_in_a_snapshot() {
    let place = Place::new("plain-panic");
    let (output, snapshots) = run(&place, "plain");
    assert_eq!(output.status.code(), Some(101));
    let [snapshot] = &snapshots[..] else { panic!("{} snapshots: {}", snapshots.len(), stderr(&output)) };
    assert!(place.snapshot_files()[0].to_str().unwrap().ends_with("-panic.bin"));
    assert_eq!(snapshot.reason, "panic");
    assert_eq!(snapshot.with_message("before").len(), 1);
    let [.., event, backtrace] = &snapshot.events[..] else { panic!("{:?}", snapshot.events) };
    for event in [event, backtrace] {
        assert_eq!((event.level, event.target.as_str()), (Level::Error, "panic"));
        assert!(event.fields["location"].contains("tests/panics.rs:"), "{event:?}");
        assert_eq!(event.fields["panic"], "1");
    }
    assert_eq!(event.fields["message"], "out of luck");
    assert!(backtrace.fields["backtrace"].contains("panics::child"), "{backtrace:?}");
    assert!(stderr(&output).contains("out of luck"), "the default hook runs too");
    let [warning] = &warnings(&output)[..] else { panic!("{}", stderr(&output)) };
    assert!(warning.contains("-panic.bin"), "{warning}");
    // The ring outlives the process as well.
    assert_eq!(place.ring_files().len(), 1);
}

#[test]
fn previous_hook_is_called() {
    let (output, snapshots) = run(&Place::new("previous"), "previous hook");
    let stderr = stderr(&output);
    assert_eq!(stderr.matches("PREVIOUS HOOK: panicked at").count(), 1, "{stderr}");
    assert_eq!(snapshots.len(), 1);
}

#[test]
fn hooks_that_log() {
    let place = Place::new("logging-hooks");
    let (output, snapshots) = run(&place, "hooks that log");
    assert!(output.status.success(), "{}", stderr(&output));
    let end = snapshots.iter().find(|snapshot| snapshot.reason == "end").unwrap();
    let count = |message: &str| end.with_message(message).len();
    assert_eq!((count("in the later hook"), count("in the earlier hook"), end.events.len()), (3, 3, 1 + 3 * 4));
}

#[test]
fn no_hook_when_none_is_wanted() {
    let (output, snapshots) = run(&Place::new("none"), "no hook");
    assert_eq!((output.status.code(), snapshots.len()), (Some(101), 0));
}

#[test]
fn no_backtrace_when_none_is_wanted() {
    let (_, snapshots) = run(&Place::new("nobacktrace"), "no backtrace");
    let event = snapshots[0].events.last().unwrap();
    assert_eq!((event.message.as_str(), event.fields["message"].as_str()), (PANICKED, "out of luck"));
}

#[test]
fn messages_of_every_kind() {
    for (case, expected) in [
        ("static message", "static".to_owned()),
        ("payload", "(no message)".to_owned()),
        ("borrowed or owned", "of one kind or the other".to_owned()),
        ("boxed", "in a box".to_owned()),
        ("shared", "in an arc".to_owned()),
        ("long message", "ä".repeat(1024)),
    ] {
        let (output, snapshots) = run(&Place::new("messages"), case);
        assert_eq!(snapshots.len(), 1, "{case}: {}", stderr(&output));
        let [event] = snapshots[0].with_message(PANICKED)[..] else { panic!("{:?}", snapshots[0].events) };
        assert_eq!(event.fields["message"], expected, "{case}");
    }
}

#[test]
fn panics_that_are_caught_are_recorded_one_by_one() {
    let place = Place::new("caught");
    let (output, snapshots) = run(&place, "caught");
    assert!(output.status.success(), "{}", stderr(&output));
    let counts: BTreeSet<_> = snapshots.iter().map(panic_count).collect();
    assert_eq!(counts, BTreeSet::from([1, 2, 3]));
}

fn panic_count(snapshot: &Snapshot) -> usize {
    snapshot.with_message(PANICKED).len()
}

#[test]
fn panic_while_the_message_is_formatted_leaves_the_ring() {
    let place = Place::new("baddisplay");
    let (output, snapshots) = run(&place, "bad display");
    // std ends the process without calling a hook.
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", stderr(&output));
    assert_eq!(snapshots.len(), 0);
    assert_eq!(place.ring_files().len(), 1);
}

#[test]
fn second_panic_while_unwinding_is_recorded_before_the_abort() {
    let place = Place::new("indrop");
    let (output, snapshots) = run(&place, "in drop");
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", stderr(&output));
    let most = snapshots.iter().max_by_key(|snapshot| panic_count(snapshot)).unwrap();
    let messages: Vec<_> = most.events.iter().filter_map(|event| event.fields.get("message")).collect();
    assert_eq!(messages[..2], ["first", "while unwinding"]);
}

#[test]
fn panic_that_aborts_is_recorded_before_the_abort() {
    let (output, snapshots) = run(&Place::new("abort"), "cannot unwind");
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", stderr(&output));
    assert!(snapshots.iter().any(|snapshot| {
        snapshot.events.iter().any(|event| event.fields.get("message").is_some_and(|text| text == "no way out"))
    }));
}

#[test]
fn panic_in_a_field_costs_that_event_only() {
    let (output, _) = run(&Place::new("badfield"), "bad field");
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn threads_that_panic_at_once_are_all_recorded() {
    let place = Place::new("threads");
    let (output, snapshots) = run(&place, "many threads");
    assert!(output.status.success(), "{}", stderr(&output));
    let messages: BTreeSet<_> = snapshots
        .iter()
        .flat_map(|snapshot| snapshot.with_message(PANICKED))
        .map(|event| event.fields["message"].clone())
        .collect();
    assert_eq!(messages, (0..8).map(|number| format!("thread {number}")).collect());
    assert!((1..=8).contains(&snapshots.len()), "{} snapshots", snapshots.len());
}

#[test]
fn panic_without_a_place_for_the_snapshot() {
    let place = Place::new("nowhere");
    let output = finish(place.child("no snapshot directory"));
    assert_eq!(output.status.code(), Some(101), "{}", stderr(&output));
    let warnings = warnings(&output);
    assert!(warnings.iter().any(|line| line.contains("not in a snapshot")), "{warnings:?}");
    assert!(stderr(&output).contains("nowhere to go"));
}

#[test]
fn panic_after_the_end_is_only_the_previous_hooks() {
    let (output, snapshots) = run(&Place::new("late"), "after shutdown");
    assert_eq!((output.status.code(), snapshots.len()), (Some(101), 0));
    assert!(stderr(&output).contains("too late"));
}

#[test]
#[ignore = "builds the crate once more, with panic=abort"]
fn panic_in_a_program_built_to_abort() {
    let place = Place::new("build-abort");
    let mut command = std::process::Command::new(env!("CARGO"));
    command
        .args(["run", "--quiet", "--example", "last_words"])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .args(["--config", "profile.dev.panic=\"abort\""])
        .arg("--target-dir")
        .arg(concat!(env!("CARGO_TARGET_TMPDIR"), "/panic-abort"))
        .env("TTLOG_DIR", place.rings())
        .env("TTLOG_SNAPSHOT_DIR", place.snapshots());
    // A longer limit, because a build takes more than a minute on a small machine.
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let [path] = &place.snapshot_files()[..] else { panic!("{}", stderr(&output)) };
    let snapshot = Snapshot::read(path);
    let [event] = snapshot.with_message(PANICKED)[..] else { panic!("{:?}", snapshot.events) };
    assert_eq!(event.fields["message"], "nothing left to do", "{}", stderr(&output));
    let [ring] = &place.ring_files()[..] else { panic!("{}", stderr(&output)) };
    let bytes = std::fs::read(ring).unwrap();
    let image = RingImage::parse(&bytes).unwrap();
    let end = image.end().expect("the abort is stamped");
    assert_eq!((end.kind, i32::from(end.signal)), (EndKind::Signal, libc::SIGABRT));
    assert_eq!((image.panics().count, image.panics().last_os_thread_id), (1, u64::from(end.os_thread_id)));
}
