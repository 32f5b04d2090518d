//! Names of threads: renamed ones, those that std did not make, and those whose first event comes at their end.
#![cfg(target_os = "linux")]

mod common;

use std::ffi::CStr;

use common::seccomp::{Forbidden, allow_only};
use common::{Place, ring::RingContents};
use ttlog_core::ring::Mode;
use ttlog_core::{RingImage, SegmentState};
use ttlog_std::{Recorder, info, warn};

/// Number of events that fill several segments.
const MANY: u32 = 500;

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    let builder = Recorder::builder().service("names").capacity_bytes(256 << 10).segment_bytes(1024);
    let recorder = builder.build().unwrap();
    match case.as_str() {
        "renamed" => named("the first name of the thread", || {
            info!("before");
            rename(c"second");
            warn!("told with the old segment");
            (0..MANY).for_each(|number| info!("after", number));
            warn!("warning after");
        }),
        "made elsewhere" => on_pthread(|| {
            rename(c"own name");
            info!("from elsewhere");
        }),
        "unnamed" => std::thread::spawn(|| on_pthread(|| info!("unnamed"))).join().unwrap(),
        "named by std" => named("a worker whose name is long", || info!("of std")),
        "system calls" => named("strict", || {
            info!("before");
            allow_only(&[libc::SYS_prctl, libc::SYS_exit_group, libc::SYS_clock_gettime], Forbidden::Kills);
            (0..MANY).for_each(|number| info!("after", number));
            // SAFETY: ends the process without anything that the filter forbids.
            unsafe { libc::_exit(0) };
        }),
        "no system calls" => named("very strict", || {
            info!("before");
            allow_only(&[libc::SYS_exit_group, libc::SYS_clock_gettime], Forbidden::Kills);
            (0..MANY).for_each(|number| info!("after", number));
            // SAFETY: as above.
            unsafe { libc::_exit(0) };
        }),
        "ends" => {
            let mappings = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
            let key = key_that_logs();
            let log_at_end = move || {
                // SAFETY: a valid key.
                assert_eq!(unsafe { libc::pthread_setspecific(key, std::ptr::without_provenance(1)) }, 0);
            };
            let run = |count| {
                for _ in 0..count {
                    on_pthread(log_at_end);
                    std::thread::spawn(log_at_end).join().unwrap();
                    named("a name that is longer than the kernel's", log_at_end);
                }
            };
            run(10);
            let before = mappings();
            run(200);
            let after = mappings();
            assert!(after < before + 20, "{before} mappings, then {after}");
            named("last", || info!("alone in its segment"));
        }
        other => panic!("unknown case {other}"),
    }
    assert_eq!(recorder.loss().dropped_total(), 0, "{:?}", recorder.loss());
}

fn named(name: &str, work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().name(name.into()).spawn(work).unwrap().join().unwrap();
}

/// Renames this thread behind std's back.
fn rename(name: &CStr) {
    // SAFETY: this thread, and a text with a zero at its end.
    assert_eq!(unsafe { libc::pthread_setname_np(libc::pthread_self(), name.as_ptr()) }, 0);
}

/// Runs a function in a thread that std did not make.
fn on_pthread(work: impl FnOnce() + Send + 'static) {
    type Work = Box<dyn FnOnce() + Send>;
    extern "C" fn start(work: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: the box that is passed below, once.
        let work = unsafe { Box::from_raw(work.cast::<Work>()) };
        work();
        std::ptr::null_mut()
    }
    let work: *mut Work = Box::into_raw(Box::new(Box::new(work)));
    let mut thread = 0;
    // SAFETY: valid arguments, and a thread that nothing else joins.
    unsafe {
        assert_eq!(libc::pthread_create(&raw mut thread, std::ptr::null(), start, work.cast()), 0);
        assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
    }
}

/// Returns a key whose destructor logs. It runs after std has forgotten the thread, because the key is younger.
fn key_that_logs() -> libc::pthread_key_t {
    extern "C" fn log(_: *mut libc::c_void) {
        info!("at the end");
        info!("at the very end");
    }
    let mut key = 0;
    // SAFETY: a valid place for a key.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(log)) }, 0);
    key
}

fn ring_of(case: &str, variables: &[(&str, &str)]) -> (Vec<u8>, RingContents) {
    let place = Place::new("names");
    let mut child = place.child(case);
    child.envs(variables.iter().copied());
    let output = common::finish(child);
    assert!(output.status.success(), "{case}: {:?}\n{}", output.status, common::stderr(&output));
    let bytes = std::fs::read(&place.ring_files()[0]).unwrap();
    let contents = RingContents::parse(&bytes);
    (bytes, contents)
}

/// Returns the names of the threads of the events with a message, each once if they follow one another.
fn names<'a>(contents: &'a RingContents, message: &str) -> Vec<&'a str> {
    let with_message = contents.events.iter().filter(|event| event.event.message == message);
    let mut names: Vec<_> = with_message.map(|event| event.thread.as_str()).collect();
    names.dedup();
    names
}

#[test]
fn renamed_thread_has_its_new_name_from_the_next_segment_on() {
    let (_, contents) = ring_of("renamed", &[]);
    assert_eq!(names(&contents, "before"), ["the first name of the thread"]);
    assert_eq!(names(&contents, "after"), ["the first name of the thread", "second"]);
    assert_eq!(names(&contents, "warning after"), ["second"]);
    // Without renames, all have the first name.
    let (_, contents) = ring_of("renamed", &[("TTLOG_THREAD_RENAMES", "off")]);
    assert_eq!(names(&contents, "after"), ["the first name of the thread"]);
    assert_eq!(names(&contents, "warning after"), ["the first name of the thread"]);
}

#[test]
fn threads_that_std_did_not_make() {
    assert_eq!(names(&ring_of("made elsewhere", &[]).1, "from elsewhere"), ["own name"]);
    // It inherits the name of the thread that made it.
    assert_eq!(names(&ring_of("unnamed", &[]).1, "unnamed"), ["child"]);
    assert_eq!(names(&ring_of("named by std", &[]).1, "of std"), ["a worker whose name is long"]);
}

#[test]
fn one_system_call_per_segment_or_none() {
    let (_, contents) = ring_of("system calls", &[]);
    assert_eq!(contents.accounted(), 1 + u64::from(MANY));
    let (_, contents) = ring_of("no system calls", &[("TTLOG_THREAD_RENAMES", "off")]);
    assert_eq!(contents.accounted(), 1 + u64::from(MANY));
}

#[test]
fn thread_whose_first_event_is_at_its_very_end_leaves_its_segment() {
    let (bytes, contents) = ring_of("ends", &[]);
    assert_eq!(contents.count("at the very end"), 3 * 210);
    let image = RingImage::parse(&bytes).unwrap();
    let context = contents.events.iter().find(|event| event.event.message == "alone in its segment").unwrap().context;
    let is_alone = (0..image.header().segment_count).any(|index| match image.segment(index) {
        SegmentState::Valid(segment) => {
            segment.header.mode == Mode::Exclusive
                && segment
                    .items()
                    .any(|item| matches!(item, ttlog_core::Item::Event(event) if event.context == context))
        }
        _ => false,
    });
    assert!(is_alone, "the threads before it hold all segments that can be held");
}
