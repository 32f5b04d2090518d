//! A ring file that is cut short while the process runs, and the handling of faults that are not the recorder's.
#![cfg(target_os = "linux")]

mod common;

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use common::{Place, finish, stderr, wait_until, warnings};
use libc::{c_int, c_void, siginfo_t};
use ttlog_std::{Recorder, info};

/// More than a page, so that the cut is not at the end of a page.
const OTHER_LEN: usize = 3 * 4096;

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    match case.as_str() {
        "default" | "default, sent" => set_action(libc::SIG_DFL, 0),
        "ignored" | "ignored, sent" => set_action(libc::SIG_IGN, 0),
        "full handler" => set_action(full_handler as *const () as usize, libc::SA_SIGINFO),
        "plain handler" => set_action(plain_handler as *const () as usize, 0),
        _ => {}
    }
    let recorder = Recorder::builder().capacity_bytes(256 << 10).fault_handler(case != "off").build().unwrap();
    info!("before");
    match case.as_str() {
        "cut" => goes_on(&recorder),
        "off" => {
            OpenOptions::new().write(true).open(recorder.ring_path().unwrap()).unwrap().set_len(0).unwrap();
            info!("too much");
        }
        "default, sent" | "ignored, sent" => {
            // SAFETY: sends a signal to this thread.
            unsafe { libc::raise(libc::SIGBUS) };
        }
        _ => {
            assert_eq!(read_cut_mapping(), 0);
            assert_eq!(HANDLED.load(Ordering::Relaxed), 1);
        }
    }
    info!("after");
    println!("LIVED ON");
}

/// Logs in four threads, before and after the parent cuts the ring.
fn goes_on(recorder: &Recorder) {
    let path = recorder.ring_path().unwrap().to_path_buf();
    let len = std::fs::metadata(&path).unwrap().len();
    let is_cut = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let is_cut = &is_cut;
            scope.spawn(move || {
                let mut left = 50_000_u64;
                while left > 0 {
                    info!("small", thread, left);
                    info!("with a text", text = &"long text ".repeat(left as usize % 50)[..]);
                    if is_cut.load(Ordering::Relaxed) {
                        left -= 1;
                    }
                }
            });
        }
        println!("LOGGING");
        wait_until("the cut", || std::fs::metadata(&path).unwrap().len() < len);
        is_cut.store(true, Ordering::Relaxed);
    });
    // New threads and new callsites can log too.
    for number in 0..20 {
        std::thread::spawn(move || info!("late", number)).join().unwrap();
    }
    // Whatever the snapshot holds, requesting it neither hangs nor ends the process.
    println!("SNAPSHOT {:?}", recorder.request_snapshot("cut").wait());
    assert_eq!(recorder.ring_path(), None, "the ring no longer outlives the process");
    assert!(recorder.is_recording() && recorder.utilization() > 0.0);
    assert!(recorder.shutdown());
}

/// Runs the case `cut`, and cuts the ring's file to the given length.
fn cut_to(place: &Place, len_of: impl Fn(u64) -> u64 + Send + 'static) -> std::process::Output {
    let rings = place.rings();
    let cutter = std::thread::spawn(move || {
        wait_until("the ring", || {
            common::files(&rings).iter().any(|path| path.extension().is_some_and(|e| e == "ring"))
        });
        // Threads are running, some in the middle of an event.
        std::thread::sleep(std::time::Duration::from_millis(200));
        let file = OpenOptions::new().write(true).open(&common::files(&rings)[0]).unwrap();
        file.set_len(len_of(file.metadata().unwrap().len())).unwrap();
    });
    let output = finish(place.child("cut"));
    cutter.join().unwrap();
    output
}

/// Asserts that the process lived on and printed one warning.
fn assert_survived(output: &std::process::Output) {
    assert!(output.status.success(), "{:?}\n{}", output.status, stderr(output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("LIVED ON"));
    let [warning] = &warnings(output)[..] else { panic!("{}", stderr(output)) };
    assert!(warning.contains("cut the ring's file") && warning.contains("short"), "{warning}");
}

#[test]
fn file_cut_to_nothing() {
    assert_survived(&cut_to(&Place::new("cut-nothing"), |_| 0));
}

#[test]
fn file_cut_to_half() {
    assert_survived(&cut_to(&Place::new("cut-half"), |len| len / 2));
}

#[test]
fn file_cut_within_its_header() {
    assert_survived(&cut_to(&Place::new("cut-header"), |_| 100));
}

#[test]
fn file_cut_twice() {
    let place = Place::new("cut-twice");
    let rings = place.rings();
    let output = cut_to(&place, move |len| {
        let file = OpenOptions::new().write(true).open(&common::files(&rings)[0]).unwrap();
        file.set_len(len / 4 * 3).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
        len / 3
    });
    assert_survived(&output);
}

#[test]
fn without_the_handler_the_cut_ends_the_process() {
    let output = finish(Place::new("cut-off").child("off"));
    assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{}", stderr(&output));
}

#[test]
fn fault_elsewhere_still_ends_the_process() {
    // The first one has the handler of std, as every Rust program does.
    for case in ["of std", "default", "ignored", "default, sent"] {
        let output = finish(Place::new("cut-elsewhere").child(case));
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{case}: {}", stderr(&output));
        assert!(!String::from_utf8_lossy(&output.stdout).contains("LIVED ON"), "{case}");
    }
}

#[test]
fn signal_that_was_ignored_stays_ignored() {
    Place::new("cut-ignored").run("ignored, sent");
}

#[test]
fn handler_that_was_there_gets_its_faults() {
    Place::new("cut-full").run("full handler");
    let output = finish(Place::new("cut-plain").child("plain handler"));
    assert_eq!(output.status.code(), Some(77), "{:?} {}", output.status, stderr(&output));
}

/// Number of faults that the previous handler repaired.
static HANDLED: AtomicU32 = AtomicU32::new(0);

/// A handler that repairs the fault, as a database might have.
extern "C" fn full_handler(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    assert!(signal == libc::SIGBUS && !context.is_null());
    HANDLED.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the kernel passes the address of the fault, which is in the mapping of `read_cut_mapping`; nothing else
    // uses it.
    unsafe {
        let page = ((*info).si_addr() as usize & !4095) as *mut c_void;
        let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        libc::mmap(page, 4096, libc::PROT_READ, flags, -1, 0);
    }
}

/// A handler without parameters, which gives up.
extern "C" fn plain_handler(_: c_int) {
    // SAFETY: ends the process at once.
    unsafe { libc::_exit(77) };
}

fn set_action(handler: usize, flags: c_int) {
    // SAFETY: zero is a valid action: no flags, an empty mask. The handlers match their flags.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()), 0);
    }
}

/// Reads a byte of a mapping whose file is gone.
fn read_cut_mapping() -> u8 {
    let path = std::env::temp_dir().join(format!("ttlog-test-other-{}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.set_len(OTHER_LEN as u64).unwrap();
    // SAFETY: a new mapping at an address of the kernel's choice.
    let start =
        unsafe { libc::mmap(std::ptr::null_mut(), OTHER_LEN, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    assert_ne!(start, libc::MAP_FAILED);
    file.set_len(0).unwrap();
    // SAFETY: within the mapping, which is never unmapped; the signal is intended.
    unsafe { start.cast::<u8>().add(4096).read_volatile() }
}
