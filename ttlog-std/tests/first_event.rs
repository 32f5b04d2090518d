//! The first event of a thread: it allocates nothing and takes no lock, so that it may be in a signal handler that
//! interrupts the allocator.
//!
//! The functions of the C library's allocator are replaced here: they see what the C library itself allocates, too.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod common;

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Place, ring::RingContents};
use ttlog_std::{Recorder, error, info, warn};

thread_local! {
    /// Number of allocations and releases of this thread.
    static CALLS: Cell<u64> = const { Cell::new(0) };
    /// Whether the thread's next allocation is interrupted by a signal.
    static IS_ARMED: Cell<bool> = const { Cell::new(false) };
    /// Whether the thread is in the allocator.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "C" {
    fn __libc_malloc(len: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, len: usize) -> *mut c_void;
    fn __libc_realloc(start: *mut c_void, len: usize) -> *mut c_void;
    fn __libc_free(start: *mut c_void);
}

/// An allocator that is not reentrant.
fn locked<T>(work: impl FnOnce() -> T) -> T {
    CALLS.with(|calls| calls.set(calls.get() + 1));
    if IS_INSIDE.with(|inside| inside.replace(true)) {
        let text = b"the allocator was entered from a signal handler that had interrupted it\n";
        // SAFETY: a valid text, and the end of the process.
        unsafe {
            libc::write(2, text.as_ptr().cast(), text.len());
            libc::_exit(1);
        }
    }
    if IS_ARMED.with(|armed| armed.replace(false)) {
        // SAFETY: sends a signal to this thread, whose handler was installed by the test.
        unsafe { libc::raise(libc::SIGUSR2) };
    }
    let result = work();
    IS_INSIDE.with(|inside| inside.set(false));
    result
}

// SAFETY: each is the function of the C library that has this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(len: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    locked(|| unsafe { __libc_malloc(len) })
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(count: usize, len: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    locked(|| unsafe { __libc_calloc(count, len) })
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(start: *mut c_void, len: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    locked(|| unsafe { __libc_realloc(start, len) })
}

// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn free(start: *mut c_void) {
    // SAFETY: the caller's promise.
    locked(|| unsafe { __libc_free(start) });
}

/// Returns how often `work` calls the allocator in this thread.
fn calls_of(work: impl FnOnce()) -> u64 {
    let before = CALLS.with(Cell::get);
    work();
    CALLS.with(Cell::get) - before
}

/// Sum of the calls of the allocator in first events.
static CALLS_IN_EVENTS: AtomicU64 = AtomicU64::new(0);

/// Logs the first event of a thread, and counts the calls of the allocator.
fn log_counted(kind: u32) {
    let calls = calls_of(|| match kind % 3 {
        0 => info!("first", kind),
        1 => warn!("first", kind, text = "a text that is not small at all"),
        _ => error!("first", kind),
    });
    CALLS_IN_EVENTS.fetch_add(calls, Ordering::Relaxed);
}

extern "C" fn on_signal(_signal: c_int) {
    log_counted(0);
    log_counted(1);
    log_counted(2);
}

/// Has the thread's first events in a handler that interrupts the allocator.
fn log_in_allocator() {
    IS_ARMED.with(|armed| armed.set(true));
    std::hint::black_box(Vec::<u8>::with_capacity(std::hint::black_box(100)));
    assert!(!IS_ARMED.with(Cell::get), "the allocator was not called");
}

/// Runs a function in a thread that std did not make, with this name if it is given.
fn on_pthread(name: Option<&'static CStr>, work: fn()) {
    extern "C" fn start(work: *mut c_void) -> *mut c_void {
        // SAFETY: the address of the place below, which outlives the thread.
        let (name, work) = unsafe { &*work.cast::<(Option<&'static CStr>, fn())>() };
        if let Some(name) = name {
            // SAFETY: this thread, and a text with a zero at its end.
            assert_eq!(unsafe { libc::pthread_setname_np(libc::pthread_self(), name.as_ptr()) }, 0);
        }
        work();
        std::ptr::null_mut()
    }
    let place = (name, work);
    let (mut thread, argument) = (0, (&raw const place).cast_mut().cast());
    // SAFETY: valid arguments, and a thread that nothing else joins.
    unsafe {
        assert_eq!(libc::pthread_create(&raw mut thread, std::ptr::null(), start, argument), 0);
        assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
    }
}

fn named(name: &str, work: fn()) {
    std::thread::Builder::new().name(name.into()).spawn(work).unwrap().join().unwrap();
}

/// Runs a function in all kinds of threads.
fn in_all_threads(work: fn()) {
    named("short", work);
    named("a name that is longer than the kernel's", work);
    std::thread::spawn(work).join().unwrap();
    on_pthread(None, work);
    on_pthread(Some(c"own name"), work);
    // As long as the system keeps, so there might be more of it.
    on_pthread(Some(c"15 bytes of one"), work);
}

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    let recorder = Recorder::builder().service("first").build().unwrap();
    assert!(calls_of(|| drop(std::hint::black_box(vec![0_u8; 100]))) >= 2, "the allocator is not that of this test");
    // SAFETY: the handler logs, which is async-signal-safe.
    unsafe { libc::signal(libc::SIGUSR2, on_signal as extern "C" fn(c_int) as libc::sighandler_t) };
    match case.as_str() {
        "calls" => {
            in_all_threads(|| log_counted(0));
            in_all_threads(|| log_counted(1));
            in_all_threads(|| log_counted(2));
        }
        "in the allocator" => in_all_threads(log_in_allocator),
        other => panic!("unknown case {other}"),
    }
    assert_eq!(CALLS_IN_EVENTS.load(Ordering::Relaxed), 0, "calls of the allocator in first events");
    assert_eq!(recorder.loss().dropped_total(), 0);
}

fn names_of_events(case: &str) -> Vec<(String, u32)> {
    let place = Place::new("first-event");
    place.run(case);
    let contents = RingContents::read(&place.ring_files()[0]);
    let mut names: Vec<(String, u32)> = Vec::new();
    for event in contents.events.iter().filter(|event| event.event.message == "first") {
        match names.iter_mut().find(|(name, _)| *name == event.thread) {
            Some((_, count)) => *count += 1,
            None => names.push((event.thread.clone(), 1)),
        }
    }
    names.sort();
    names
}

/// Three events of each kind of thread. The unnamed ones have the name of the thread that made them, as the kernel has
/// it.
fn expected() -> Vec<(String, u32)> {
    let names = ["15 bytes of one", "a name that is longer than the kernel's", "child", "own name", "short"];
    names.map(|name| (name.to_owned(), if name == "child" { 6 } else { 3 })).into()
}

#[test]
fn first_event_of_a_thread_allocates_nothing() {
    assert_eq!(names_of_events("calls"), expected());
}

#[test]
fn first_event_of_a_thread_in_a_handler_that_interrupts_the_allocator() {
    assert_eq!(names_of_events("in the allocator"), expected());
}
