//! The crash matrix: every way to die, with 1, 2 and 8 threads that log meanwhile, each in a process of its own.
//!
//! The ring that is left must account for every event whose macro had returned, and record how the process ended and
//! how often it panicked. The snapshot of the ring must agree with it, and the parent must see the same end as without
//! a recorder. The expected counts are kept outside the ring ([`numbers`]).
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;
mod deaths;
mod numbers;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use common::Place;
use common::ring::RingContents;
use numbers::{ADDRESS, HANDLED, MOMENT, Numbers, OTHER, READY, THREAD, WRITERS_MAX};
use ttlog_core::RingImage;
use ttlog_core::ring::{EndKind, Panics, ProcessEnd};
use ttlog_core::snapshot::{SnapshotItem, SnapshotReader};

const THREADS: [usize; 3] = [1, 2, 8];

/// Tests, by name.
const TESTS: [(&str, fn()); 8] = [
    ("panics", panics_of_every_kind),
    ("faults", faults_of_every_kind),
    ("exits", exits_of_every_kind),
    ("signals_from_outside", signals_from_outside),
    ("inside_a_log_call", threads_that_end_inside_a_log_call),
    ("address_space", address_space_that_is_used_up),
    ("memory_group", memory_of_a_group_that_is_used_up),
    ("left_alone", signals_are_left_alone_when_that_is_wanted),
];

/// Runs the tests whose names contain the first argument, or all of them; in a child, runs the child's case. The
/// harness cannot do this, because it would run them in a thread: a `main` that returns, panics or overflows its stack
/// is part of the matrix.
fn main() {
    match common::case() {
        None => {
            let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
            for (name, test) in TESTS.iter().filter(|(name, _)| name.contains(&filter)) {
                let start = Instant::now();
                test();
                println!("test {name} ... ok ({:.1} s)", start.elapsed().as_secs_f64());
            }
        }
        Some(case) if case == "heir" => {
            let orphan = PathBuf::from(std::env::var_os("TTLOG_TEST_ORPHAN").unwrap());
            let recorder = ttlog_std::Recorder::init(1000, 10, "heir");
            common::wait_until("the snapshot of the orphan", || !orphan.exists());
            assert!(recorder.shutdown());
        }
        Some(case) => deaths::run(&case),
    }
}

/// Expected content of the end block.
#[derive(Clone, Copy)]
enum Stamp {
    Nothing,
    Exit(i32),
    /// A signal that the process caused or sent to itself, with its code, in the thread of the last words.
    Signal(libc::c_int, i32),
    /// A signal that the parent sent.
    Sent(libc::c_int),
}

/// A way to die.
struct Death {
    name: &'static str,
    /// Signal that the parent sends.
    sends: Option<libc::c_int>,
    stamp: Stamp,
    panics: u64,
    /// Number of panics that are events. A panic hook that can only count records none.
    panic_events: u64,
    /// Expected text in standard error.
    says: &'static str,
}

const fn death(name: &'static str, stamp: Stamp) -> Death {
    Death { name, sends: None, stamp, panics: 0, panic_events: 0, says: "" }
}

const fn sent(name: &'static str, signal: libc::c_int, stamp: Stamp) -> Death {
    Death { sends: Some(signal), ..death(name, stamp) }
}

const fn panics(name: &'static str, count: u64, stamp: Stamp) -> Death {
    Death { panics: count, panic_events: count, ..death(name, stamp) }
}

/// Signal codes, as in sigaction(2).
const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const SI_TKILL: i32 = -6;

fn panics_of_every_kind() {
    let aborts = Stamp::Signal(libc::SIGABRT, SI_TKILL);
    run_all(&[
        panics("panic in a thread", 1, Stamp::Exit(0)),
        panics("panic in main", 1, Stamp::Exit(101)),
        // std reports that the second cannot leave its destructor, which is the third.
        panics("nested panic", 3, aborts),
        panics("panic while logging", 1, Stamp::Exit(0)),
        panics("panic while logging, in main", 1, Stamp::Exit(101)),
        death("abort", aborts),
        death("abort in a thread", aborts),
    ]);
}

fn faults_of_every_kind() {
    let (ill, fpe) = if cfg!(target_arch = "x86_64") { (2, 1) } else { (SI_TKILL, SI_TKILL) };
    let overflow = "has overflowed its stack";
    run_all(&[
        death("SIGSEGV", Stamp::Signal(libc::SIGSEGV, SEGV_ACCERR)),
        death("SIGSEGV in a thread", Stamp::Signal(libc::SIGSEGV, SEGV_MAPERR)),
        death("SIGSEGV inside a log call", Stamp::Signal(libc::SIGSEGV, SEGV_MAPERR)),
        death("SIGBUS", Stamp::Signal(libc::SIGBUS, libc::BUS_ADRERR)),
        death("SIGILL", Stamp::Signal(libc::SIGILL, ill)),
        death("SIGFPE", Stamp::Signal(libc::SIGFPE, fpe)),
        Death { says: overflow, ..death("stack overflow in main", Stamp::Signal(libc::SIGSEGV, SEGV_MAPERR)) },
        Death { says: overflow, ..death("stack overflow in a thread", Stamp::Signal(libc::SIGSEGV, SEGV_ACCERR)) },
        death("stack overflow in a pthread", Stamp::Signal(libc::SIGSEGV, SEGV_ACCERR)),
        // There is no stack for the signal handler, so only the absence of an end is known.
        death("stack overflow in a pthread without events", Stamp::Nothing),
    ]);
}

fn exits_of_every_kind() {
    run_all(&[
        death("exit", Stamp::Exit(3)),
        death("exit in a thread", Stamp::Exit(4)),
        death("return from main", Stamp::Exit(0)),
        death("_exit", Stamp::Nothing),
    ]);
}

fn signals_from_outside() {
    run_all(&[
        sent("SIGTERM", libc::SIGTERM, Stamp::Sent(libc::SIGTERM)),
        sent("SIGINT", libc::SIGINT, Stamp::Sent(libc::SIGINT)),
        sent("SIGHUP", libc::SIGHUP, Stamp::Sent(libc::SIGHUP)),
        sent("SIGQUIT", libc::SIGQUIT, Stamp::Sent(libc::SIGQUIT)),
        death("raise(SIGTERM)", Stamp::Signal(libc::SIGTERM, SI_TKILL)),
        sent("SIGTERM, handled", libc::SIGTERM, Stamp::Exit(0)),
        sent("SIGTERM, handled by a later handler", libc::SIGTERM, Stamp::Exit(0)),
        sent("SIGINT, handled", libc::SIGINT, Stamp::Exit(0)),
        sent("SIGKILL", libc::SIGKILL, Stamp::Nothing),
    ]);
}

fn threads_that_end_inside_a_log_call() {
    run_all(&[
        sent("SIGKILL inside a log call", libc::SIGKILL, Stamp::Nothing),
        death("pthread_exit inside a log call", Stamp::Exit(0)),
        death("pthread_cancel inside a log call", Stamp::Exit(0)),
    ]);
}

fn address_space_that_is_used_up() {
    run_all(&[death("RLIMIT_AS", Stamp::Signal(libc::SIGABRT, SI_TKILL))]);
}

fn memory_of_a_group_that_is_used_up() {
    let group = match MemoryGroup::new(64 << 20) {
        Ok(group) => group,
        Err(why) => {
            common::skip("crash matrix, out of memory", &format!("no memory cgroup can be made: {why}"));
            return;
        }
    };
    let oom = death("memory cgroup", Stamp::Nothing);
    for threads in THREADS {
        let outcome = run(&oom, threads, &[("TTLOG_TEST_CGROUP", group.0.to_str().unwrap())]);
        assert_eq!(outcome.status.signal(), Some(libc::SIGKILL), "{}", outcome.stderr);
        check(&oom, threads, &outcome);
    }
}

fn signals_are_left_alone_when_that_is_wanted() {
    let nothing = |name, sends| Death { sends, ..death(name, Stamp::Nothing) };
    for (wanted, rows) in [
        ("off", &[nothing("SIGSEGV", None), nothing("abort", None), nothing("SIGTERM", Some(libc::SIGTERM))][..]),
        ("off", &[death("exit", Stamp::Exit(3)), panics("nested panic", 3, Stamp::Nothing)]),
        ("faults", &[nothing("SIGTERM", Some(libc::SIGTERM))]),
        ("faults", &[death("SIGSEGV", Stamp::Signal(libc::SIGSEGV, SEGV_ACCERR))]),
    ] {
        for row in rows {
            let expected = without_recorder(row);
            let outcome = run(row, 2, &[("TTLOG_FATAL_SIGNALS", wanted)]);
            assert_eq!(outcome.status, expected, "{} with {wanted}", row.name);
            check(row, 2, &outcome);
        }
    }
}

/// Runs each death with each number of threads, and without a recorder.
fn run_all(rows: &[Death]) {
    for row in rows {
        let expected = without_recorder(row);
        for threads in THREADS {
            let outcome = run(row, threads, &[]);
            let name = format!("{} x {threads}", row.name);
            assert_eq!(outcome.status, expected, "{name}: with and without a recorder: {}", outcome.stderr);
            check(row, threads, &outcome);
            if threads == 2 {
                check_snapshot(&outcome, &name);
            }
        }
    }
}

/// End of a child, and what it left.
struct Outcome {
    place: Place,
    status: ExitStatus,
    numbers: Vec<u64>,
    /// Time when the end was noticed.
    until: SystemTime,
    stderr: String,
}

fn without_recorder(row: &Death) -> ExitStatus {
    let outcome = run(row, 1, &[("TTLOG", "off")]);
    assert!(outcome.place.ring_files().is_empty(), "there was a recorder");
    outcome.status
}

fn run(row: &Death, threads: usize, variables: &[(&str, &str)]) -> Outcome {
    let place = Place::new("crash");
    let (path, errors) = (place.path().join("numbers"), place.path().join("stderr"));
    Numbers::make(&path);
    let mut child = place
        .child(&format!("{} x {threads}", row.name))
        .env("TTLOG_TEST_NUMBERS", &path)
        .env("TTLOG_PANIC_BACKTRACE", "off")
        .env("RUST_BACKTRACE", "0")
        .envs(variables.iter().copied())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let mut sends = row.sends;
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if sends.is_some() && numbers::read(&path)[READY] == 1 {
            // SAFETY: our own child, which was not waited for yet.
            assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, sends.take().unwrap()) }, 0);
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{} x {threads} hung: {}", row.name, std::fs::read_to_string(&errors).unwrap());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let until = SystemTime::now();
    let stderr = String::from_utf8_lossy(&std::fs::read(&errors).unwrap()).into_owned();
    Outcome { numbers: numbers::read(&path), place, status, until, stderr }
}

/// Reads the end from the ring.
fn end_of(path: &Path) -> (Option<ProcessEnd>, Panics) {
    let bytes = std::fs::read(path).unwrap();
    let image = RingImage::parse(&bytes).unwrap();
    (image.end(), image.panics())
}

fn check(row: &Death, threads: usize, outcome: &Outcome) {
    let name = format!("{} x {threads}", row.name);
    let Outcome { numbers, stderr, .. } = outcome;
    let rings = outcome.place.ring_files();
    assert_eq!(rings.len(), 1, "{name}: {stderr}");
    assert!(stderr.contains(row.says), "{name}: {stderr}");

    let ring = RingContents::read(&rings[0]);
    let counted = numbers[..WRITERS_MAX].iter().sum::<u64>() + numbers[OTHER] + row.panic_events;
    let most = counted + threads as u64; // each writer can have been between its event and its count
    assert!(
        (counted..=most).contains(&ring.accounted()),
        "{name}: {counted} <= {} + {:?} <= {most}: {stderr}",
        ring.events.len(),
        ring.loss
    );
    assert!(ring.loss.overwritten > 0, "{name}: the ring was not filled once");
    assert!(ring.pending <= threads as u64 + 1, "{name}: {} reservations open", ring.pending);
    assert_eq!(ring.count("last words") as u64, numbers[OTHER], "{name}");
    assert_eq!(ring.count("never recorded"), 0, "{name}");
    let panic_count = ring.count("panicked at {location}: {message}") as u64;
    assert_eq!(panic_count, row.panic_events, "{name}: {stderr}");
    check_writers(&ring, &rings[0], numbers, &name);

    let (end, panics) = end_of(&rings[0]);
    assert_eq!(panics.count, row.panics, "{name}");
    if row.panics > 0 {
        assert_eq!(panics.last_os_thread_id, numbers[THREAD], "{name}");
        assert!(panics.last_ticks > 0, "{name}");
    }
    let handled = u64::from(row.name.contains("handled"));
    assert_eq!(numbers[HANDLED], handled, "{name}: the program's own handler");
    let Some(end) = end else {
        assert!(matches!(row.stamp, Stamp::Nothing), "{name}: the ring does not say how it ended: {stderr}");
        return;
    };
    let kind = |kind, signal: libc::c_int, code| (kind, signal as u8, code);
    let expected = match row.stamp {
        Stamp::Nothing => panic!("{name}: {end:?}"),
        Stamp::Exit(status) => kind(EndKind::Exit, 0, status),
        Stamp::Signal(signal, code) => kind(EndKind::Signal, signal, code),
        Stamp::Sent(signal) => kind(EndKind::Signal, signal, 0),
    };
    assert_eq!((end.kind, end.signal, end.code), expected, "{name}: {end:?}");
    // SAFETY: takes no arguments.
    let own_uid = unsafe { libc::getuid() };
    match row.stamp {
        Stamp::Sent(_) => assert_eq!((end.sender_pid, end.sender_uid), (std::process::id(), own_uid), "{name}"),
        _ => assert_eq!((end.sender_pid, end.sender_uid), (0, 0), "{name}: {end:?}"),
    }
    if matches!(row.stamp, Stamp::Signal(..)) {
        assert_eq!(u64::from(end.os_thread_id), numbers[THREAD], "{name}: {end:?}");
        let last_words = ring.events.iter().find(|event| event.event.message == "last words").unwrap();
        assert_eq!(end.context, last_words.context, "{name}");
    }
    let is_fault = matches!(row.stamp, Stamp::Signal(_, 1..));
    assert_eq!(end.address != 0 || row.name == "SIGSEGV in a thread", is_fault, "{name}: {end:?}");
    if numbers[ADDRESS] != 0 {
        assert_eq!(end.address, numbers[ADDRESS], "{name}");
    }
    let until = outcome.until.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as i64;
    assert!((numbers[MOMENT] as i64..=until).contains(&end.unix_ns), "{name}: {end:?}");
    assert!(
        ring.events.iter().filter(|event| event.event.message == "last words").all(|event| event.ticks < end.ticks)
    );
}

/// Checks that no event is wrong, and that none is missing where the ring reports completeness.
fn check_writers(ring: &RingContents, path: &Path, numbers: &[u64], name: &str) {
    let bytes = std::fs::read(path).unwrap();
    let complete_from = RingImage::parse(&bytes).unwrap().header().complete_from;
    let mut of_writers: BTreeMap<usize, Vec<(u64, bool)>> = BTreeMap::new();
    for event in ring.events.iter().filter(|event| event.event.message == "tick") {
        let field = |name: &str| event.event.fields[name].parse::<u64>().unwrap();
        let is_after = event.ticks > complete_from;
        of_writers.entry(field("writer") as usize).or_default().push((field("index"), is_after));
    }
    for (writer, mut events) in of_writers {
        let count = numbers[writer];
        events.sort_unstable();
        assert!(events.windows(2).all(|pair| pair[0].0 < pair[1].0), "{name}: an event of {writer} twice");
        assert!(events.last().unwrap().0 <= count, "{name}: {:?} of {count}", events.last());
        let Some(first) = events.iter().find(|(_, is_after)| *is_after) else { continue };
        let there = events.iter().filter(|(index, _)| (first.0..count).contains(index)).count() as u64;
        let missing = (count - first.0.min(count)) - there;
        assert!(missing <= ring.loss.dropped_total(), "{name}: {missing} of writer {writer} after complete_from");
    }
}

/// Lets the next process recover the ring, and checks that the snapshot records the same end as the ring.
fn check_snapshot(outcome: &Outcome, name: &str) {
    let ring = outcome.place.ring_files()[0].clone();
    let (end, panics) = end_of(&ring);
    let snapshot = outcome.place.path().join("recovered");
    let mut command = outcome.place.child("heir");
    command.env("TTLOG_SNAPSHOT_DIR", &snapshot).env("TTLOG_TEST_ORPHAN", &ring);
    let heir = common::finish(command);
    assert!(heir.status.success(), "{name}: {}", common::stderr(&heir));
    let paths: Vec<PathBuf> = common::files(&snapshot);
    assert_eq!(paths.len(), 1, "{name}: {paths:?}");
    let bytes = std::fs::read(&paths[0]).unwrap();
    let reader = SnapshotReader::new(&bytes);
    let header = reader.items().find_map(|item| match item {
        SnapshotItem::Header(header) => Some((header.reason, header.end, header.panics)),
        _ => None,
    });
    assert_eq!(header, Some(("recovered", end, panics)), "{name}");
}

/// A group of processes with limited memory, removed when dropped.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    fn new(limit: u64) -> Result<Self, String> {
        let text = std::fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let of_version_1 = text.lines().find_map(|line| line.split_once(":memory:"));
        let (root, own, file) = match of_version_1 {
            Some((_, own)) => ("/sys/fs/cgroup/memory", own, "memory.limit_in_bytes"),
            None => ("/sys/fs/cgroup", text.trim().trim_start_matches("0::"), "memory.max"),
        };
        let path = Path::new(root).join(own.trim_start_matches('/')).join(format!("ttlog-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(|error| format!("{path:?}: {error}"))?;
        let group = MemoryGroup(path);
        let set = |file: &str, value: u64| {
            let path = group.0.join(file);
            std::fs::File::options()
                .write(true)
                .open(&path)
                .and_then(|mut open| std::io::Write::write_all(&mut open, value.to_string().as_bytes()))
                .map_err(|error| format!("{path:?}: {error}"))
        };
        set(file, limit)?;
        Ok(group)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0); // an empty group that is left does no harm
    }
}
