//! A global allocator that panics, while it holds its lock and while it does not.
#![cfg(target_os = "linux")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Mutex;
use std::time::Duration;

use common::ring::RingContents;
use common::{Place, finish, stderr, warnings};
use ttlog_std::{Recorder, info};

/// An allocator with a lock.
struct Locked(Mutex<()>);

/// Length of an allocation for which the allocator panics under its lock, in bytes.
const LOCKED_LEN: usize = 7777;
/// Length of an allocation for which the allocator panics without its lock, in bytes.
const UNLOCKED_LEN: usize = 8888;

// SAFETY: every call is forwarded to the system's allocator, or ends the process.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        assert!(layout.size() != UNLOCKED_LEN, "found a bug in the allocator");
        let _locked = self.0.lock().unwrap();
        assert!(layout.size() != LOCKED_LEN, "found a bug in the allocator");
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        let _locked = self.0.lock().unwrap();
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) };
    }
}

#[global_allocator]
static ALLOCATOR: Locked = Locked(Mutex::new(()));

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    // Otherwise the unwinding allocates, and waits for the allocator.
    std::panic::set_hook(Box::new(|info| {
        ttlog_std::error!("the previous hook is called");
        let text = info.payload().downcast_ref::<&str>().copied().unwrap_or_default();
        // SAFETY: a text and its length.
        unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
        std::process::abort();
    }));
    let recorder = Recorder::builder().service("allocator").build().unwrap();
    info!("before");
    // The recorder's thread is then done with the work of its start.
    recorder.request_snapshot("started").wait().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let len = if case == "locked" { LOCKED_LEN } else { UNLOCKED_LEN };
    let work = move || drop(std::hint::black_box(Vec::<u8>::with_capacity(len)));
    // In one of the cases this is the thread's first event.
    if std::env::var_os("IN_NEW_THREAD").is_some() {
        let _ = std::thread::spawn(work).join(); // the process ends meanwhile
    }
    work();
}

fn run(case: &str, in_new_thread: bool) -> Vec<String> {
    let place = Place::new("panicking-allocator");
    let mut child = place.child(case);
    if in_new_thread {
        child.env("IN_NEW_THREAD", "1");
    }
    let output = finish(child);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{}", stderr(&output));
    assert!(stderr(&output).contains("found a bug in the allocator"), "{}", stderr(&output));
    let contents = RingContents::read(&place.ring_files()[0]);
    assert_eq!(contents.values("panicked at {location}: {message}", "message"), ["found a bug in the allocator"]);
    assert_eq!(contents.count("the previous hook is called"), 1);
    let backtraces = usize::from(case != "locked");
    assert_eq!(contents.count("backtrace of the panic at {location}"), backtraces, "{:?}", contents.events);
    warnings(&output)
}

#[test]
fn panic_inside_the_allocator() {
    for in_new_thread in [false, true] {
        let warnings = run("unlocked", in_new_thread);
        assert!(warnings.iter().any(|line| line.contains("snapshot in")), "{warnings:?}");
    }
}

#[test]
fn panic_that_holds_the_lock_of_the_allocator() {
    for in_new_thread in [false, true] {
        let warnings = run("locked", in_new_thread);
        assert!(warnings.iter().any(|line| line.contains("in the allocator")), "{warnings:?}");
    }
}
