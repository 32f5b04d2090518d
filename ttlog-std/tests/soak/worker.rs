//! The children of the soak: until they are killed, they log, change levels, request snapshots, fork, and start and end
//! threads.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ttlog_std::{Level, Recorder, RingFileChoice, SnapshotError, SnapshotSignal, debug, error, info, trace, warn};

use crate::slots::{Slot, Slots};

/// Filters that are set in turn, from inside and from outside.
pub(crate) const FILTERS: [&str; 6] =
    ["trace", "info", "soak=debug,info", "error", "soak::worker=warn,other=off", "debug"];

/// Runs until it is killed, at full load until its standard input is closed.
pub(crate) fn run() -> ! {
    // SAFETY: asks to be killed with the parent; touches no memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let slots = Slots::open(&PathBuf::from(std::env::var_os("TTLOG_SOAK_SLOTS").unwrap()));
    let recorder = Recorder::builder()
        .service("soak")
        .capacity_bytes(1 << 20)
        .ring_file(RingFileChoice::Required)
        .snapshot_every(Duration::from_millis(300))
        .snapshot_on_level(Level::Error)
        .snapshot_on_signal(SnapshotSignal::Usr1)
        .snapshot_when_filled(0.9)
        .build()
        .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads: Vec<_> = (0..3_u64)
        .map(|seed| {
            let (slot, stop) = (slots.take().unwrap(), Arc::clone(&stop));
            std::thread::spawn(move || write(slot, seed, &stop))
        })
        .collect();
    let (slot, until) = (slots.take().unwrap(), Arc::clone(&stop));
    threads.push(std::thread::spawn(move || churn(slot, &until)));
    let until = Arc::clone(&stop);
    threads.push(std::thread::spawn(move || steer(&recorder, slots, &until)));

    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap(); // returns when the other end is closed
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().unwrap();
    }
    println!("QUIET");
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Mixes bits well (the finalizer of splitmix64).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Logs one event, if its level is on. An event whose arguments are evaluated is recorded or counted as dropped.
fn log(slot: &Slot, choice: u64) {
    match choice % 1000 {
        0 => error!("soak error", n = slot.begin(), choice),
        1..=20 => warn!("soak warning", n = slot.begin(), choice, text = "the usual"),
        21..=300 => info!("soak info", n = slot.begin(), real = choice as f64),
        301..=320 => info!("soak formatted", n = slot.begin(), text = %format_args!("{choice:x}/{choice}")),
        321..=330 => {
            let numbers = [choice; 40];
            debug!("soak long", n = slot.begin(), numbers = numbers[..(choice >> 32) as usize % 40]);
        }
        331..=700 => debug!("soak debug {choice}", n = slot.begin(), choice),
        _ => trace!(target: "other", "soak trace", n = slot.begin()),
    }
}

/// Logs in bursts.
fn write(slot: &Slot, seed: u64, stop: &AtomicBool) {
    let mut round = seed << 40;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..1000 {
            round += 1;
            log(slot, mix(round));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Starts and ends threads, each of which logs a little.
fn churn(slot: &'static Slot, stop: &AtomicBool) {
    static ROUND: AtomicU64 = AtomicU64::new(1 << 50);
    while !stop.load(Ordering::Relaxed) {
        let short_lived = std::thread::spawn(move || {
            for _ in 0..20 {
                log(slot, mix(ROUND.fetch_add(1, Ordering::Relaxed)));
            }
        });
        short_lived.join().unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Uses the recorder as programs do.
fn steer(recorder: &Recorder, slots: Slots, stop: &AtomicBool) {
    let mut round = u64::from(std::process::id()) << 20;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let choice = mix(round);
        match choice % 8 {
            0 | 1 => recorder.set_filter(FILTERS[(choice >> 8) as usize % FILTERS.len()]).unwrap(),
            2 => recorder.set_level(Level::Trace),
            3 => drop(recorder.request_snapshot("soak, not waited for")),
            4 => match recorder.request_snapshot("soak, waited for").wait() {
                Ok(_) | Err(SnapshotError::QueueFull) => {}
                Err(error) => panic!("no snapshot: {error}"),
            },
            5 => fork(slots, choice),
            6 => {
                let window = recorder.window();
                assert!(window.covered >= Duration::ZERO && recorder.utilization() <= 1.0);
            }
            _ => {
                let loss = recorder.loss();
                assert_eq!(loss.suppressed, 0);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Forks a child that logs and then ends in one of several ways. The child allocates nothing, because another thread
/// can hold the allocator's lock at the fork.
fn fork(slots: Slots, choice: u64) {
    // SAFETY: the child makes system calls and logs, and ends without unwinding.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        if let Some(slot) = slots.take() {
            for n in 0..200 {
                log(slot, mix(choice.wrapping_add(n)));
            }
        }
        // SAFETY: both end the process.
        unsafe {
            if choice & 1 << 20 == 0 {
                libc::kill(libc::getpid(), libc::SIGKILL);
            }
            libc::_exit(0);
        }
    }
    let mut status = 0;
    // SAFETY: waits for the child just made; `status` is a valid place.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
    assert!(signal.is_none_or(|signal| signal == libc::SIGKILL), "a fork ended by signal {signal:?}");
}
