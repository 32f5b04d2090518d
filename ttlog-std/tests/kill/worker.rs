//! The child: threads log as fast as they can, events of many shapes and sizes with values that can be checked, and
//! count each event once its macro has returned.

use std::fmt;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ttlog_std::{Recorder, RingFileChoice, debug, error, info, trace, warn};

/// Distance between the counters of two writers, in bytes, so that they do not share a cache line.
pub(crate) const COUNTER_STRIDE: usize = 64;
/// Number of events after which a thread ends and another takes its place, in plans with churn.
const CHURN_EVENTS: u64 = 300;
/// Source of texts.
pub(crate) const TEXT: &str = "\
    It was a bright cold day in the ring, and the segments were striking thirteen; each writer, its chin nuzzled \
    into its own commit word in an effort to escape the vile interrupt, slipped quickly through the doors of the \
    last lap, though not quickly enough to prevent a swirl of gritty words from entering along with it, and being \
    counted.";

/// Work of a child.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) threads: usize,
    pub(crate) capacity: usize,
    pub(crate) segment: usize,
    /// Whether threads end and are replaced all the time.
    pub(crate) churn: bool,
}

impl Plan {
    /// Passes the plan to a child.
    pub(crate) fn set(&self, command: &mut Command, counters: &Path) {
        let Plan { threads, capacity, segment, churn } = self;
        command
            .env("TTLOG_KILL_PLAN", format!("{threads},{capacity},{segment},{}", u8::from(*churn)))
            .env("TTLOG_KILL_COUNTERS", counters);
    }

    fn get() -> Self {
        let text = std::env::var("TTLOG_KILL_PLAN").unwrap();
        let numbers: Vec<usize> = text.split(',').map(|number| number.parse().unwrap()).collect();
        Plan { threads: numbers[0], capacity: numbers[1], segment: numbers[2], churn: numbers[3] == 1 }
    }

    /// Returns whether there are enough segments for every thread to have its own at all times.
    pub(crate) fn is_exclusive(&self) -> bool {
        !self.churn && self.capacity / self.segment >= 4 * self.threads
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, churn) = (self.capacity / self.segment, if self.churn { " that come and go" } else { "" });
        write!(f, "{} threads{churn}, {count} segments of {}", self.threads, self.segment)
    }
}

/// Logs until it is killed.
pub(crate) fn run() -> ! {
    // SAFETY: asks to be killed with the parent; touches no memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let plan = Plan::get();
    let counters = map_counters(plan.threads);
    // Kept until the end, because dropping the handle is not tested here.
    let _trace = Recorder::builder()
        .service("kill")
        .capacity_bytes(plan.capacity)
        .segment_bytes(plan.segment)
        .ring_file(RingFileChoice::Required)
        .build()
        .unwrap();
    for (writer, counter) in counters.into_iter().enumerate() {
        let churn = plan.churn;
        std::thread::spawn(move || {
            loop {
                if churn {
                    std::thread::spawn(move || write(writer as u64, counter, CHURN_EVENTS)).join().unwrap();
                } else {
                    write(writer as u64, counter, u64::MAX);
                }
            }
        });
    }
    std::thread::sleep(Duration::from_secs(60));
    panic!("nobody has killed this process");
}

fn map_counters(count: usize) -> Vec<&'static AtomicU64> {
    let path = std::env::var_os("TTLOG_KILL_COUNTERS").unwrap();
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let len = count * COUNTER_STRIDE;
    // SAFETY: a new mapping of a file of this length; nothing else in this process uses it.
    let start = unsafe {
        libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    assert_ne!(start, libc::MAP_FAILED);
    let slot = |index: usize| start.cast::<u8>().wrapping_add(index * COUNTER_STRIDE).cast::<AtomicU64>();
    // SAFETY: aligned, inside the mapping, which is never undone, and accessed by atomics only.
    (0..count).map(|index| unsafe { &*slot(index) }).collect()
}

/// Logs `count` events. The store after each has release ordering, so it follows the stores of the event.
fn write(writer: u64, counter: &AtomicU64, count: u64) {
    let first = counter.load(Ordering::Relaxed);
    for index in first..first.saturating_add(count) {
        log(writer, index);
        counter.store(index + 1, Ordering::Release);
    }
}

/// Logs one event. `check` ties it to its writer and index, and determines everything else in it.
fn log(writer: u64, index: u64) {
    let check = check_of(writer, index);
    match shape_of(check) {
        0..=2 => info!("small", writer, index, check),
        3..=5 => debug!("text", writer, index, check, text = text_of(check, 32)),
        6..=8 => warn!("long", writer, index, check, text = text_of(check, 250), small = check as u8),
        9..=11 => trace!("wide {wide}", writer, index, check, wide = wide_of(check), real = real_of(check)),
        12 => info!("formatted", writer, index, check, text = %text_of(check, 60)),
        _ => {
            let (bytes, count) = (text_of(check, 40).as_bytes(), (check % 11) as usize);
            let numbers = [check; 11];
            error!("nested", writer, index, check, bytes, numbers = numbers[..count], none = option_of(check));
        }
    }
}

/// Mixes bits well (the finalizer of splitmix64).
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

pub(crate) fn check_of(writer: u64, index: u64) -> u64 {
    mix(index ^ writer << 56)
}

/// Returns one of the 14 shapes of an event.
pub(crate) fn shape_of(check: u64) -> u64 {
    check % 14
}

/// Returns a piece of [`TEXT`], shorter than `len_max` bytes.
pub(crate) fn text_of(check: u64, len_max: u64) -> &'static str {
    let (start, len) = ((check >> 8) % 32, (check >> 16) % len_max);
    &TEXT[start as usize..][..len as usize]
}

pub(crate) fn wide_of(check: u64) -> u128 {
    u128::from(check) << 64 | u128::from(!check)
}

pub(crate) fn real_of(check: u64) -> f64 {
    (check >> 11) as f64
}

pub(crate) fn option_of(check: u64) -> Option<i64> {
    (check & 64 != 0).then_some(check as i64)
}
