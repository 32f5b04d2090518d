//! The soak: processes that log, take snapshots, change levels, fork, and start and end threads for a long time, while
//! they are killed at random moments. One of them lives from the start to the end.
//!
//! It shows that each ring that was left accounts for every event, that every snapshot is whole, that there are no more
//! snapshots than allowed, and that the memory of the long-lived process does not grow.
//!
//! | variable | meaning | default |
//! | --- | --- | --- |
//! | `TTLOG_SOAK_SECONDS` | duration in seconds | 5; `ci/checks/soak` sets 600 |
//! | `TTLOG_SOAK_SEED` | seed of the moments (which also depend on the load of the machine) | from the clock |
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;
mod slots;
mod worker;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant, SystemTime};

use common::{Place, files};
use slots::Slots;
use ttlog_core::snapshot::{SnapshotItem, SnapshotReader};
use ttlog_core::{Item, RingImage, SegmentState};

/// Number of processes that are killed and replaced.
const WORKER_COUNT: usize = 2;
/// Lifetimes of these processes, in milliseconds.
const LIFE_MS: (u64, u64) = (30, 1500);
/// Number of snapshots that are retained.
const RETAIN_COUNT: usize = 12;
/// Shortest soak that checks memory: allocators and pages take some seconds to settle.
const RSS_SECONDS_MIN: u64 = 30;
/// Largest allowed growth of the long-lived process's memory, compared with its maximum in the first third of the soak.
const RSS_GROWTH_MAX_KIB: u64 = 2048;

/// Not a test: entry point of the children of the test below.
#[test]
#[ignore = "run by the other test in child processes"]
fn child() {
    if common::case().is_some() {
        worker::run();
    }
}

/// A child, killed when dropped, together with its forks.
struct Running {
    child: Child,
    /// Standard input. Closing it makes the child quiet.
    stdin: Option<ChildStdin>,
}

impl Running {
    fn start(place: &Place, slots: &Path, rings: &Path) -> Self {
        let mut command = place.child("soak");
        command
            .env("TTLOG_SOAK_SLOTS", slots)
            .env("TTLOG_DIR", rings)
            .env("TTLOG_SNAPSHOT_THROTTLE", "50ms")
            .env("TTLOG_RETAIN_COUNT", RETAIN_COUNT.to_string())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        Running { child, stdin }
    }

    fn pid(&self) -> u64 {
        u64::from(self.child.id())
    }

    /// Ends the process and all its forks.
    fn kill(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "a child ended early: {ended:?}");
        // SAFETY: a signal to a process group that exists until its leader is waited for.
        unsafe { libc::kill(-(self.child.id() as libc::pid_t), libc::SIGKILL) };
        self.child.wait().unwrap();
    }

    /// Makes the child stop logging, and waits until it has stopped.
    fn quieten(&mut self) {
        drop(self.stdin.take());
        let lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        // The harness of the child writes the name of its test in the same line.
        assert!(lines.map_while(Result::ok).any(|line| line.ends_with("QUIET")), "the child ended instead");
    }

    fn rss_kib(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: as in `kill`. Fails if the child has been waited for, which is the usual case.
        unsafe { libc::kill(-(self.child.id() as libc::pid_t), libc::SIGKILL) };
        let _ = self.child.wait();
    }
}

/// Observations of the soak.
#[derive(Default, Debug)]
struct Tally {
    kills: u64,
    rings: u64,
    forks: u64,
    snapshots: u64,
    level_requests: u64,
    signals: u64,
    events: u64,
    retained: u64,
    faults: Vec<String>,
    /// Names of the checked rings.
    seen: BTreeSet<String>,
    /// Processes that were started rather than forked.
    started: BTreeSet<u64>,
}

impl Tally {
    /// Checks the ring of a process that is dead, or quiet if `is_quiet`.
    fn check_ring(&mut self, path: &Path, slots: Slots, is_quiet: bool) {
        let name = path.file_name().unwrap().to_str().unwrap();
        // A process that was killed early might not have recovered a ring, which then appears again.
        if !self.seen.insert(name.to_owned()) {
            return;
        }
        let bytes = std::fs::read(path).unwrap();
        let pid: u64 = name.split('-').nth(2).unwrap().parse().unwrap();
        self.forks += u64::from(!self.started.contains(&pid));
        let (begun, threads) = slots.begun_by(pid);
        let image = match RingImage::parse(&bytes) {
            Ok(image) => image,
            Err(error) => return self.faults.push(format!("{name}: {error}")),
        };
        let mut retained = 0;
        for index in 0..image.header().segment_count {
            match image.segment(index) {
                SegmentState::Valid(segment) => {
                    for item in segment.items() {
                        match item {
                            Item::Event(_) => retained += 1,
                            Item::Damaged { offset, len_bytes } => {
                                self.faults
                                    .push(format!("{name}: segment {index} is damaged at {offset}, {len_bytes} bytes"));
                            }
                            Item::Context(_) | Item::Pending { .. } => {}
                        }
                    }
                }
                SegmentState::Damaged(error) => self.faults.push(format!("{name}: segment {index}: {error}")),
                SegmentState::Unused | SegmentState::Opening { .. } => {}
            }
        }
        let loss = image.loss();
        let accounted = retained + loss.overwritten + loss.dropped_total();
        // Each thread can have begun one event that it did not live to record.
        let least = if is_quiet { begun } else { begun.saturating_sub(threads) };
        if accounted < least || accounted > begun {
            self.faults.push(format!(
                "{name}: {begun} events begun by {threads} threads, {accounted} accounted for: {loss:?}"
            ));
        }
        slots.retire(pid);
        self.rings += 1;
        self.events += begun;
        self.retained += retained;
    }

    /// Checks that every snapshot is whole, and that there are not too many.
    fn check_snapshots(&mut self, place: &Place) {
        let paths = place.whole_snapshots();
        // Each process can have written one and not yet removed another. So can each that was killed meanwhile.
        let most = RETAIN_COUNT + 4 * (WORKER_COUNT + 1);
        if paths.len() > most {
            self.faults.push(format!("{} snapshots, at most {most} may be there", paths.len()));
        }
        for path in paths {
            // Retention can have removed it in the meantime.
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let mut is_whole = false;
            for item in SnapshotReader::new(&bytes).items() {
                match item {
                    SnapshotItem::End { .. } => is_whole = true,
                    SnapshotItem::Damaged { .. } => self.faults.push(format!("{path:?} is damaged")),
                    _ => {}
                }
            }
            if !is_whole {
                self.faults.push(format!("{path:?} was cut off"));
            }
            self.snapshots += 1;
        }
    }
}

fn ring_files(directory: &Path) -> Vec<PathBuf> {
    files(directory).into_iter().filter(|path| path.extension().is_some_and(|end| end == "ring")).collect()
}

/// Waits for the ring of a process and returns it.
fn ring_of(directory: &Path, pid: u64) -> Option<PathBuf> {
    let start = format!("ttlog-soak-{pid}-");
    ring_files(directory).into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&start))
}

/// Returns whether no process holds the lock of a ring.
fn is_orphan(path: &Path) -> bool {
    let Ok(file) = std::fs::File::open(path) else { return false };
    // SAFETY: the descriptor is open. Closing it releases the lock.
    unsafe { libc::flock(std::os::fd::AsRawFd::as_raw_fd(&file), libc::LOCK_EX | libc::LOCK_NB) == 0 }
}

/// Requests another filter from a live process through the control block of its ring. Returns `false` if it has none.
fn ask_for_filter(ring: &Path, filter: &str) -> bool {
    let bytes = std::fs::read(ring).unwrap();
    let Some(request) = RingImage::parse(&bytes)
        .ok()
        .and_then(|image| image.control()?.request(std::process::id(), &format!("level {filter}")).ok())
    else {
        return false;
    };
    let file = std::fs::File::options().write(true).open(ring).unwrap();
    for (offset, bytes) in request.writes() {
        file.write_all_at(bytes, offset).unwrap();
    }
    true
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn soak() {
    let seconds = setting("TTLOG_SOAK_SECONDS").unwrap_or(5);
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut random = Random(setting("TTLOG_SOAK_SEED").unwrap_or_else(now));
    println!("{seconds} s, seed {}", random.0);

    let place = Place::new("soak");
    let slots_path = place.path().join("slots");
    let slots = Slots::create(&slots_path);
    let rings = |name: &str| place.path().join(format!("rings-{name}"));
    let mut tally = Tally::default();
    let steady_rings = rings("steady");
    let mut steady = Running::start(&place, &slots_path, &steady_rings);
    tally.started.insert(steady.pid());
    let mut workers: Vec<(PathBuf, Running, Instant)> = (0..WORKER_COUNT)
        .map(|n| {
            let directory = rings(&n.to_string());
            let running = Running::start(&place, &slots_path, &directory);
            tally.started.insert(running.pid());
            (directory, running, Instant::now())
        })
        .collect();

    let start = Instant::now();
    let length = Duration::from_secs(seconds);
    let (mut rss_before, mut rss_after) = (0, 0);
    let mut tick = 0_u64;
    while start.elapsed() < length {
        std::thread::sleep(Duration::from_millis(20));
        tick += 1;
        for (directory, running, end) in &mut workers {
            if Instant::now() < *end {
                continue;
            }
            running.kill();
            tally.kills += 1;
            for path in ring_files(directory) {
                tally.check_ring(&path, slots, false);
            }
            slots.retire(running.pid()); // it can have died before it had a ring
            // The next process recovers the ring that this one left.
            *running = Running::start(&place, &slots_path, directory);
            tally.started.insert(running.pid());
            *end = Instant::now() + Duration::from_millis(random.between(LIFE_MS.0, LIFE_MS.1));
        }
        if tick.is_multiple_of(10) {
            let rss = if start.elapsed() < length / 3 { &mut rss_before } else { &mut rss_after };
            *rss = steady.rss_kib().max(*rss);
            for path in ring_files(&steady_rings) {
                let is_fork = !path.to_str().unwrap().contains(&format!("-{}-", steady.pid()));
                if is_fork && is_orphan(&path) {
                    tally.check_ring(&path, slots, false);
                    std::fs::remove_file(&path).unwrap();
                }
            }
        }
        if tick.is_multiple_of(23) {
            if let Some(ring) = ring_of(&steady_rings, steady.pid()) {
                let filter = worker::FILTERS[random.between(0, worker::FILTERS.len() as u64) as usize];
                tally.level_requests += u64::from(ask_for_filter(&ring, filter));
            }
        }
        // The handler is installed soon after the ring. Without it, the signal would end the process.
        if tick.is_multiple_of(31) && tick > 100 {
            // SAFETY: a signal to a process that exists until it is waited for.
            unsafe { libc::kill(steady.pid() as libc::pid_t, libc::SIGUSR1) };
            tally.signals += 1;
        }
        if tick.is_multiple_of(50) {
            tally.check_snapshots(&place);
        }
        assert!(tally.faults.len() < 20, "{:#?}", tally.faults);
    }
    steady.quieten();
    let ring = ring_of(&steady_rings, steady.pid()).expect("the long-lived process has a ring");
    tally.check_ring(&ring, slots, true);
    steady.kill();
    tally.check_snapshots(&place);
    let Tally { kills, rings, forks, snapshots, level_requests, signals, events, retained, faults, .. } = &tally;
    println!("memory of the long-lived process: {rss_before} KiB in the first third, {rss_after} KiB afterwards");
    println!(
        "= {seconds} s: {kills} kills, {rings} rings ({forks} of forks) with {events} events, {retained} retained; \
         {snapshots} snapshots read, {level_requests} requests for levels, {signals} signals; {} faults",
        faults.len()
    );
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(*kills > 0 && *events > 0 && *snapshots > 0, "nothing happened, so this shows nothing");
    if seconds >= RSS_SECONDS_MIN {
        let growth = rss_after.saturating_sub(rss_before);
        assert!(
            growth <= RSS_GROWTH_MAX_KIB,
            "memory has grown by {growth} KiB, at most {RSS_GROWTH_MAX_KIB} KiB are allowed"
        );
    }
}

/// The generator splitmix64.
struct Random(u64);

impl Random {
    /// Returns a number in `least..end`.
    fn between(&mut self, least: u64, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        least + (value ^ (value >> 31)) % (end - least)
    }
}
