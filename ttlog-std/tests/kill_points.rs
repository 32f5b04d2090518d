//! SIGKILL at each kill point of the ring's protocols: a process that logs into a mapped file kills itself there, and
//! its ring must account exactly for every event except the one in progress.
//!
//! Built only with `--cfg ttlog_kill_points`, see `ci/checks/kill-points`; any other build is empty. The states at the
//! kill points are tested far more thoroughly in ttlog-core/tests/kill_points.rs. This test shows that a real death is
//! no different.
#![cfg(all(ttlog_kill_points, target_os = "linux"))]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use common::Place;
use ttlog_core::kill::{KillPoint, set_callback};
use ttlog_core::table::FieldInfo;
use ttlog_core::{Item, RingImage, SegmentState, TableItem, ValueRef};
use ttlog_std::{Recorder, RingFileChoice, info, warn};

/// Passages of a kill point at which the process dies: the first one, and one when the ring has wrapped.
const PASSAGES: [u64; 2] = [1, 40];

/// Kill points that this test's process need not pass: they take contexts that meet at a certain step, or a request
/// from outside.
const NOT_PASSED: [KillPoint; 5] = [
    KillPoint::OpenReturned,
    KillPoint::SharedSurplus,
    KillPoint::PriorityStrayed,
    KillPoint::AnswerTold,
    KillPoint::Answered,
];

static POINT: AtomicU64 = AtomicU64::new(u64::MAX);
static PASSES_LEFT: AtomicU64 = AtomicU64::new(0);

/// Callback of all kill points.
fn pass(point: KillPoint) {
    if point as u64 == POINT.load(Ordering::Relaxed) && PASSES_LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
        // SAFETY: a signal that no process survives; touches no memory.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}

/// Numbers of called and of returned event macros, in a file that outlives the process.
struct Counts {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// Counts an event around its macro.
macro_rules! counted {
    ($counts:expr, $n:ident => $event:expr) => {{
        let $n = $counts.begun.fetch_add(1, Ordering::Relaxed);
        $event;
        $counts.ended.fetch_add(1, Ordering::Relaxed);
    }};
}

/// Not a test: entry point of the children of the test below.
#[test]
#[ignore = "run by the other test in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    let (point, passage) = case.split_once(',').unwrap();
    PASSES_LEFT.store(passage.parse().unwrap(), Ordering::Relaxed);
    POINT.store(point.parse().unwrap(), Ordering::Relaxed);
    set_callback(pass);
    work(map_counts());
}

/// Logs in every possible way, one event at a time.
fn work(counts: &'static Counts) {
    let recorder = Recorder::builder()
        .service("kill-points")
        .capacity_bytes(64 << 10)
        .segment_bytes(512)
        .ring_file(RingFileChoice::Required)
        // A panic is then one event.
        .panic_backtrace(false)
        .build()
        .unwrap();
    let log = move |rounds: u64| {
        for _ in 0..rounds {
            counted!(counts, n => info!("small", n));
            counted!(counts, n => info!("longer", n, text = "a text that is not small at all"));
            counted!(counts, n => warn!("warned", n));
        }
        let long = "long".repeat(500);
        counted!(counts, n => info!("capped", n, text = long.as_str()));
        let w = u128::MAX;
        counted!(counts, n => info!("too large", n, a = w, b = w, c = w, d = w, e = w, f = w, g = w, h = w, i = w,
            j = w, k = w, l = w, m = w, o = w, p = w, q = w, r = w, s = w, t = w, u = w, v = w, w = w, x = w, y = w,
            z = w, aa = w, ab = w, ac = w, ad = w, ae = w, af = w));
    };
    log(400);
    // Threads that end leave their segments to others.
    for _ in 0..20 {
        std::thread::spawn(move || log(1)).join().unwrap();
    }
    // More threads at once than can hold segments.
    let (done, wait) = mpsc::channel();
    let threads: Vec<_> = (0..150)
        .map(|_| {
            let (done, (go, gone)) = (done.clone(), mpsc::channel::<()>());
            let thread = std::thread::spawn(move || {
                log(2);
                done.send(()).unwrap();
                let _ = gone.recv(); // until the other end is dropped
            });
            wait.recv().unwrap();
            (go, thread)
        })
        .collect();
    for (go, thread) in threads {
        drop(go);
        thread.join().unwrap();
    }
    // The event of a panic is recorded by the panic hook.
    for _ in 0..45 {
        counted!(counts, _n => std::thread::spawn(|| panic!("on purpose")).join().unwrap_err());
    }
    (0..45).for_each(|n| recorder.set_filter(if n % 2 == 0 { "info" } else { "debug" }).unwrap());
    log(10);
}

fn map_counts() -> &'static Counts {
    use std::os::fd::AsRawFd as _;
    let path = std::env::var("TTLOG_COUNTS").unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new mapping of a file of that length, at any address.
    let memory =
        unsafe { libc::mmap(std::ptr::null_mut(), size_of::<Counts>(), protection, flags, file.as_raw_fd(), 0) };
    assert_ne!(memory, libc::MAP_FAILED);
    // SAFETY: the mapping is as long as that, aligned to a page, and never unmapped; any bytes are valid numbers.
    unsafe { &*memory.cast::<Counts>() }
}

#[test]
fn process_is_killed_at_each_kill_point() {
    let mut killed = 0;
    let mut not_passed = BTreeSet::new();
    for &point in KillPoint::ALL {
        for passage in PASSAGES {
            match kill_at(point, passage) {
                Some(Ok(())) => killed += 1,
                Some(Err(fault)) => panic!("at passage {passage} of {point:?}: {fault}"),
                None if passage == 1 => {
                    not_passed.insert(point);
                }
                None => {} // passed less often
            }
        }
    }
    println!("mapped files: {killed} processes killed");
    assert!(not_passed.is_subset(&NOT_PASSED.into()), "not passed: {not_passed:?}");
}

/// Runs a child that kills itself at a passage of a kill point, and checks its ring. Returns `None` if it did not get
/// there.
fn kill_at(point: KillPoint, passage: u64) -> Option<Result<(), String>> {
    let place = Place::new("kill-points");
    let counts = place.path().join("counts");
    std::fs::write(&counts, [0; size_of::<Counts>()]).unwrap();
    let mut command = place.child(&format!("{},{passage}", point as u64));
    command.env("TTLOG_COUNTS", &counts).env("TTLOG_RECOVER_ORPHANS", "off");
    let output = common::finish(command);
    if output.status.success() {
        return None;
    }
    assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{point:?}: {}", common::stderr(&output));
    let counts = std::fs::read(&counts).unwrap();
    let [begun, ended] = [0, 8].map(|at| u64::from_le_bytes(counts[at..at + 8].try_into().unwrap()));
    let rings = place.ring_files();
    let [ring] = &rings[..] else { return Some(Err(format!("ring files: {rings:?}"))) };
    Some(check(&std::fs::read(ring).unwrap(), begun, ended))
}

fn check(ring: &[u8], begun: u64, ended: u64) -> Result<(), String> {
    // Death during the layout of the ring leaves no ring, and no event was logged yet.
    let image = match RingImage::parse(ring) {
        Err(_) if begun == 0 => return Ok(()),
        image => image.map_err(|error| error.to_string())?,
    };
    let loss = image.loss();
    let own: BTreeMap<u16, _> = image
        .entries()
        .filter_map(|entry| match TableItem::decode(entry.bytes) {
            Ok(TableItem::Callsite(callsite)) if callsite.target == module_path!() => Some((callsite.id, callsite)),
            _ => None,
        })
        .collect();
    let (mut seen, mut others) = (BTreeSet::new(), 0);
    for index in 0..image.header().segment_count {
        match image.segment(index) {
            SegmentState::Unused | SegmentState::Opening { .. } => {}
            SegmentState::Damaged(error) => return Err(format!("segment {index}: {error}")),
            SegmentState::Valid(segment) => {
                for item in segment.items() {
                    match item {
                        Item::Event(record) => {
                            let Some(callsite) = own.get(&record.callsite) else {
                                others += 1;
                                continue;
                            };
                            // Warnings have the id of their span before it.
                            let is_number = |(field, value): (FieldInfo<'_>, _)| match value {
                                ValueRef::Unsigned(n) if field.name == "n" => Some(n),
                                _ => None,
                            };
                            let Some(n) = callsite.values(record.payload).flatten().find_map(is_number) else {
                                return Err("a payload without its number".to_owned());
                            };
                            if n >= begun || !seen.insert(n) {
                                return Err(format!("event {n} of {begun}, or twice"));
                            }
                        }
                        Item::Context(_) | Item::Pending { .. } => {}
                        Item::Damaged { .. } => return Err(format!("damaged: {:?}", segment.header)),
                    }
                }
            }
        }
    }
    let accounted = seen.len() as u64 + others + loss.overwritten + loss.dropped_total();
    if (ended..=begun).contains(&accounted) && begun <= ended + 1 {
        return Ok(());
    }
    Err(format!("retained {} + {others} + {loss:?}, of {begun} begun and {ended} ended", seen.len()))
}
