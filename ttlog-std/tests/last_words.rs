//! Panics and faults where little is possible: in sandboxes, without memory, stack or descriptors. The ring has their
//! message and place in any case.
#![cfg(target_os = "linux")]

mod common;

use std::os::unix::process::ExitStatusExt as _;
use std::process::Output;

use common::ring::RingContents;
use common::seccomp::{Forbidden, OPENING, allow_only, forbid};
use common::{Place, finish, stderr, warnings};
use ttlog_core::RingImage;
use ttlog_core::ring::Panics;
use ttlog_std::{Recorder, info};

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    let builder = Recorder::builder().service("last-words").panic_backtrace(!case.ends_with("without backtraces"));
    let recorder = builder.build().unwrap();
    info!("before");
    // The recorder's thread is running.
    recorder.request_snapshot("started").wait().unwrap();
    match case.as_str() {
        "no files" => {
            forbid(OPENING, Forbidden::Kills);
            panic!("out of {}", "luck");
        }
        "almost nothing" => {
            // The first event of this thread is its panic.
            let thread = std::thread::Builder::new().name("sandboxed".into()).spawn(|| {
                allow_only(&[libc::SYS_clock_gettime], Forbidden::Kills);
                panic!("out of luck");
            });
            let _ = thread.unwrap().join(); // the process ends meanwhile
        }
        "first event" | "first event, without backtraces" => {
            let thread = std::thread::Builder::new().name("never heard of".into()).spawn(|| panic!("out of luck"));
            assert!(thread.unwrap().join().is_err());
        }
        "no descriptors" => {
            limit(libc::RLIMIT_NOFILE, 3);
            panic!("out of {}", "luck");
        }
        "no memory" => no_memory(),
        "small stacks" => small_stacks(),
        "signal stack" => {
            extern "C" fn handle(_: libc::c_int) {
                assert!(std::panic::catch_unwind(|| panic!("out of luck")).is_err());
            }
            // SAFETY: a handler for a signal that this thread sends to itself while it does nothing else.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = handle as *const () as usize;
                action.sa_flags = libc::SA_ONSTACK;
                assert_eq!(libc::sigaction(libc::SIGUSR2, &raw const action, std::ptr::null_mut()), 0);
                libc::raise(libc::SIGUSR2);
            }
        }
        "fault" => {
            allow_only(&[libc::SYS_clock_gettime], Forbidden::Kills);
            // SAFETY: nobody reads what this does not write.
            unsafe { std::ptr::without_provenance_mut::<u8>(77).write_volatile(1) };
        }
        "fork" => in_a_child_process(|| panic!("out of luck")),
        other => panic!("unknown case {other}"),
    }
    info!("after");
    assert_eq!(recorder.loss().dropped_total(), 0);
    // Without the exit hooks of the harness, some of which would need what is used up.
    std::process::exit(0);
}

fn limit(resource: libc::__rlimit_resource_t, value: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: a valid limit.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}

/// Panics with an address space that is used up but for what the unwinding takes, and goes on. A backtrace would begin
/// with what is left, and end the process in the middle.
fn no_memory() {
    let room: Vec<u8> = Vec::with_capacity(24 << 10);
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    limit(libc::RLIMIT_AS, pages * 4096 + (64 << 10));
    let mut taken: Vec<Vec<u8>> = Vec::with_capacity(100_000);
    for len in [1 << 20, 64 << 10, 4096, 512, 64] {
        loop {
            let mut more = Vec::new();
            if more.try_reserve_exact(len).is_err() || taken.len() == taken.capacity() {
                break;
            }
            taken.push(more);
        }
    }
    drop(room);
    assert!(std::panic::catch_unwind(|| panic!("out of luck")).is_err());
    drop(taken);
}

/// Panics in threads with ever smaller stacks. All go on.
fn small_stacks() {
    for kib in [128, 64, 48, 32] {
        let thread = std::thread::Builder::new().stack_size(kib << 10).spawn(move || {
            assert!(std::panic::catch_unwind(|| panic!("out of luck")).is_err());
        });
        thread.unwrap().join().unwrap();
    }
}

fn in_a_child_process(work: impl FnOnce()) {
    // SAFETY: the child has one thread, and ends without returning.
    match unsafe { libc::fork() } {
        0 => {
            let is_good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err();
            std::process::exit(i32::from(!is_good));
        }
        child => {
            let mut status = 0;
            // SAFETY: a valid place for the status of our child.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0);
        }
    }
}

/// Runs a case whose process can end in any way, and returns its output and its ring.
fn run(case: &str) -> (Output, RingContents, Panics) {
    let place = Place::new("last-words");
    let mut child = place.child(case);
    // The default hook would make a backtrace of its own, which takes what is used up here.
    child.env("RUST_BACKTRACE", "0");
    let output = finish(child);
    let [ring] = &place.ring_files()[..] else { panic!("{case}: {:?}\n{}", place.ring_files(), stderr(&output)) };
    let bytes = std::fs::read(ring).unwrap();
    let panics = RingImage::parse(&bytes).unwrap().panics();
    (output, RingContents::parse(&bytes), panics)
}

const PANICKED: &str = "panicked at {location}: {message}";
const BACKTRACE: &str = "backtrace of the panic at {location}";

/// Requires that the ring has the message and the place of each of `count` panics.
fn check_words(contents: &RingContents, panics: Panics, count: usize) {
    assert_eq!(panics.count, count as u64);
    assert_eq!(contents.values(PANICKED, "message"), vec!["out of luck"; count]);
    let places = contents.values(PANICKED, "location");
    assert!(places.iter().all(|place| place.contains("tests/last_words.rs:")), "{places:?}");
    let numbers: Vec<_> = (1..=count).map(|number| number.to_string()).collect();
    assert_eq!(contents.values(PANICKED, "panic"), numbers);
    assert_eq!(contents.count("before"), 1);
}

fn check_survived(output: &Output, contents: &RingContents) {
    assert!(output.status.success(), "{:?}\n{}", output.status, stderr(output));
    assert_eq!(contents.count("after"), 1);
}

#[test]
fn filter_that_kills_for_an_open_file_leaves_the_message() {
    let (output, contents, panics) = run("no files");
    assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{}", stderr(&output));
    check_words(&contents, panics, 1);
    assert_eq!(contents.count(BACKTRACE), 0);
}

#[test]
fn filter_that_kills_for_any_system_call_leaves_the_message() {
    let (output, contents, panics) = run("almost nothing");
    assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{}", stderr(&output));
    check_words(&contents, panics, 1);
}

#[test]
fn filter_that_kills_for_any_system_call_leaves_the_fault() {
    let place = Place::new("last-words");
    let output = finish(place.child("fault"));
    assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{}", stderr(&output));
    let bytes = std::fs::read(&place.ring_files()[0]).unwrap();
    let end = RingImage::parse(&bytes).unwrap().end().unwrap();
    assert_eq!((i32::from(end.signal), end.address), (libc::SIGSEGV, 77));
    assert_ne!((end.os_thread_id, end.context), (0, 0));
}

#[test]
fn thread_whose_first_event_is_its_panic_has_its_name() {
    for (case, backtraces) in [("first event", 1), ("first event, without backtraces", 0)] {
        let (output, contents, panics) = run(case);
        check_survived(&output, &contents);
        check_words(&contents, panics, 1);
        assert_eq!(contents.count(BACKTRACE), backtraces, "{case}");
        let event = contents.events.iter().find(|event| event.event.message == PANICKED).unwrap();
        let (name, os_thread_id) = &contents.threads[&event.context];
        assert_eq!((name.as_str(), *os_thread_id), ("never heard of", panics.last_os_thread_id), "{case}");
    }
}

#[test]
fn backtrace_is_a_second_event_that_refers_to_the_first() {
    let (output, contents, panics) = run("no descriptors");
    assert_eq!(output.status.code(), Some(101), "{}", stderr(&output));
    check_words(&contents, panics, 1);
    for field in ["location", "panic"] {
        assert_eq!(contents.values(BACKTRACE, field), contents.values(PANICKED, field));
    }
    assert_eq!(contents.values(BACKTRACE, "backtrace").len(), 1);
    let warnings = warnings(&output);
    assert!(warnings.iter().any(|line| line.contains("not in a snapshot")), "{warnings:?}");
}

#[test]
fn panic_without_memory_does_not_end_the_process() {
    let (output, contents, panics) = run("no memory");
    check_survived(&output, &contents);
    check_words(&contents, panics, 1);
}

#[test]
fn panic_on_a_small_stack_does_not_end_the_process() {
    let (output, contents, panics) = run("small stacks");
    check_survived(&output, &contents);
    check_words(&contents, panics, 4);
    let (output, contents, panics) = run("signal stack");
    check_survived(&output, &contents);
    check_words(&contents, panics, 1);
}

#[test]
fn first_event_of_a_child_is_its_panic() {
    let place = Place::new("last-words-fork");
    let output = finish(place.child("fork"));
    let rings: Vec<_> = place.ring_files().iter().map(|path| std::fs::read(path).unwrap()).collect();
    let with_panic = |bytes: &&Vec<u8>| RingImage::parse(bytes).unwrap().panics().count == 1;
    let [ring] = &rings.iter().filter(with_panic).collect::<Vec<_>>()[..] else { panic!("{}", stderr(&output)) };
    assert_eq!(RingContents::parse(ring).values(PANICKED, "message"), ["out of luck"]);
}
