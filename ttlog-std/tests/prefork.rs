//! Prefork servers: many children of one process, in little memory. Their rings are small enough for all of them, none
//! is a reason to be killed, and trouble is reported once for the family.
#![cfg(target_os = "linux")]

mod common;

use std::io::{Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::ring::RingContents;
use common::{Place, Snapshot, files, finish, skip, stderr, warnings};
use ttlog_std::{Recorder, info};

/// Number of workers of the server.
const WORKER_COUNT: u64 = 32;
/// Number of workers that a server replaces one after the other.
const REPLACED_COUNT: u64 = 120;
/// Number of rings at which there is less than half of the room left for those of children, but some.
const SCARCE_COUNT: usize = 50;
/// Bytes that a program of its own uses, and asks for its ring.
const BUSY_BYTES: u64 = 40 * MIB;
const MIB: u64 = 1 << 20;

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(case) = common::case() else { return };
    match case.as_str() {
        "workers" => {
            let recorder = Recorder::builder().service("prefork").build().unwrap();
            info!("parent");
            let workers = Workers::fork(WORKER_COUNT, |number| info!("worker", number));
            report(&workers);
            assert_eq!(workers.end(), vec![0; WORKER_COUNT as usize], "no worker was killed");
            assert!(recorder.is_recording());
        }
        "replaced workers" => {
            let recorder = Recorder::builder().service("prefork").build().unwrap();
            for number in 0..REPLACED_COUNT {
                let workers = Workers::fork(1, |_| info!("worker", number));
                assert_eq!(workers.end(), [0]);
                // Recovering takes as long as the disk takes.
                common::wait_until("the rings of dead workers are snapshots", || rings().len() < SCARCE_COUNT);
            }
            assert!(recorder.is_recording());
        }
        "busy program" => {
            let mut own = vec![0_u8; BUSY_BYTES as usize];
            own.iter_mut().step_by(1024).for_each(|byte| *byte = 1);
            let recorder = Recorder::builder().service("busy").capacity_bytes(BUSY_BYTES as usize).build().unwrap();
            let workers = Workers::fork(WORKER_COUNT, |number| {
                (0..20_000_u64).for_each(|event| info!("worker", number, event));
            });
            report(&workers);
            assert_eq!(workers.end(), vec![0; WORKER_COUNT as usize]);
            assert!(recorder.is_recording() && own.contains(&1));
        }
        "grown program" => {
            let recorder = Recorder::builder().service("grown").build().unwrap();
            let mut own = vec![0_u8; BUSY_BYTES as usize];
            own.iter_mut().step_by(1024).for_each(|byte| *byte = 1);
            let workers = Workers::fork(8, |number| info!("worker", number));
            report(&workers);
            assert_eq!(workers.end(), [0; 8]);
            assert!(recorder.is_recording() && own.contains(&1));
        }
        "family" => {
            let recorder = Recorder::builder().service("family").build().unwrap();
            common::many_callsites()();
            let workers = Workers::fork(2, |number| {
                info!("child", number);
                common::many_callsites()();
                let grandchildren = Workers::fork(2, |number| {
                    common::many_callsites()();
                    (0..10_000_u64).for_each(|event| info!("grandchild", number, event));
                    let snapshot = Recorder::current().unwrap().request_snapshot("grandchild").wait().unwrap();
                    assert!(!Snapshot::read(&snapshot).with_message("grandchild").is_empty());
                });
                assert_eq!(grandchildren.end(), [0; 2]);
                info!("child", number);
            });
            report(&workers);
            assert_eq!(workers.end(), [0; 2]);
            assert!(recorder.is_recording());
        }
        other => panic!("unknown case {other:?}"),
    }
}

fn rings() -> Vec<PathBuf> {
    files(Path::new(&std::env::var_os("TTLOG_DIR").unwrap()))
}

/// Prints the memory that the rings of the processes take, in KiB.
fn report(workers: &Workers) {
    use std::os::unix::fs::MetadataExt as _;
    let rings = rings();
    let blocks: u64 = rings.iter().map(|ring| ring.metadata().unwrap().blocks()).sum();
    let largest = workers.ids.iter().map(|id| resident_kib(*id)).max().unwrap();
    println!("RINGS {} {} {}", rings.len(), blocks / 2, largest);
}

/// Returns the memory of a process that belongs to it or is shared with others, in KiB, without files.
fn resident_kib(id: libc::pid_t) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let of = |key: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    of("RssShmem:")
}

/// Children that have done their work and wait for the end.
struct Workers {
    ids: Vec<libc::pid_t>,
    /// Its end is the end of the children.
    gate: std::fs::File,
}

impl Workers {
    /// Forks `count` children, which all work at the same time, and waits until they are done.
    fn fork(count: u64, work: impl Fn(u64)) -> Self {
        let ((mut done, done_write), (mut gate_read, gate)) = (pipe(), pipe());
        let (mut start_read, start) = pipe();
        let mut ids = Vec::new();
        for number in 0..count {
            // SAFETY: the child runs this test's own code and ends without returning.
            match unsafe { libc::fork() } {
                0 => {
                    // SAFETY: copies in this process, of which the parent knows nothing.
                    unsafe {
                        libc::close(std::os::fd::AsRawFd::as_raw_fd(&gate));
                        libc::close(std::os::fd::AsRawFd::as_raw_fd(&start));
                    }
                    let _ = start_read.read(&mut [0]);
                    work(number);
                    let _ = (&done_write).write_all(b".");
                    let _ = gate_read.read(&mut [0]);
                    // SAFETY: ends this process.
                    unsafe { libc::_exit(0) }
                }
                id => {
                    assert!(id > 0, "fork failed");
                    ids.push(id);
                }
            }
        }
        drop((done_write, start, gate_read, start_read));
        let mut dots = vec![0; count as usize];
        let _ = done.read_exact(&mut dots); // fewer, if one has died
        Workers { ids, gate }
    }

    /// Ends the children and returns their wait statuses.
    fn end(self) -> Vec<libc::c_int> {
        drop(self.gate);
        let wait = |id: &libc::pid_t| {
            let mut status = 0;
            // SAFETY: a valid pointer to the status.
            assert_eq!(unsafe { libc::waitpid(*id, &raw mut status, 0) }, *id);
            status
        };
        self.ids.iter().map(wait).collect()
    }
}

/// Returns a pipe: where to read, and where to write.
fn pipe() -> (std::fs::File, std::fs::File) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which nothing else knows.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        let [read, write] = ends.map(|end| std::fs::File::from(OwnedFd::from_raw_fd(end)));
        (read, write)
    }
}

/// The numbers that [`report`] printed: rings, KiB of all rings, and KiB of the largest worker.
fn reported(output: &Output) -> [u64; 3] {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.split_once("RINGS ")).unwrap_or_else(|| panic!("{text}")).1;
    let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
    numbers.try_into().unwrap()
}

/// A memory cgroup with a limit, removed when it is dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes one, of version 1 or 2, whichever has the memory controller here. Returns `None` if none can be made,
    /// which is reported as skipped.
    fn with_limit(test: &str, limit_bytes: u64) -> Option<Self> {
        let mount = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].map(Path::new).into_iter().find(|mount| {
            let controllers = std::fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
            mount.join("memory.limit_in_bytes").exists() || controllers.split_whitespace().any(|name| name == "memory")
        });
        let Some(mount) = mount else {
            skip(test, "no cgroup file system with the memory controller");
            return None;
        };
        let _ = std::fs::write(mount.join("cgroup.subtree_control"), "+memory"); // version 2 only
        let path = mount.join(format!("ttlog-{test}-{}", std::process::id()));
        let file = if mount.ends_with("memory") { "memory.limit_in_bytes" } else { "memory.max" };
        let made = std::fs::create_dir(&path).map(|()| Cgroup(path.clone()));
        match made.and_then(|group| std::fs::write(path.join(file), limit_bytes.to_string()).map(|()| group)) {
            Ok(group) => Some(group),
            Err(error) => {
                skip(test, &format!("no memory cgroup can be made: {error}"));
                None
            }
        }
    }

    /// Runs a command in it to its end.
    fn run(&self, child: &Command) -> Output {
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", self.0.display());
        finish(through_shell(&["sh", "-c", &script], child))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Returns `child` as the last arguments of another command.
fn through_shell(shell: &[&str], child: &Command) -> Command {
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg(child.get_program()).args(child.get_args());
    for (name, value) in child.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(Stdio::null()).current_dir("/");
    command
}

/// Runs a command in a mount namespace in which the directory of the rings is a file system in memory of `size`.
/// Returns `None` if there is none, which is reported as skipped.
fn on_shared_memory(test: &str, size: &str, place: &Place, child: &Command) -> Option<Output> {
    let can =
        |flags: &str| Command::new("unshare").args([flags, "true"]).output().is_ok_and(|run| run.status.success());
    let Some(flags) = ["-m", "-rm"].into_iter().find(|flags| can(flags)) else {
        skip(test, "neither unshare -m nor unshare -rm makes a mount namespace");
        return None;
    };
    std::fs::create_dir_all(place.rings()).unwrap();
    let script = format!("mount -t tmpfs -o size={size},mode=0700 tmpfs \"$TTLOG_DIR\" || exit 77; exec \"$0\" \"$@\"");
    let output = finish(through_shell(&["unshare", flags, "sh", "-c", &script], child));
    if output.status.code() == Some(77) {
        skip(test, &format!("no tmpfs can be mounted here: {}", stderr(&output).trim()));
        return None;
    }
    Some(output)
}

/// Returns a place, and a directory for its rings in memory, where those of servers are by default.
fn place_in_memory(name: &str) -> (Place, PathBuf) {
    let rings = PathBuf::from(format!("/dev/shm/ttlog-test-{name}-{}", std::process::id()));
    (Place::new(name), rings)
}

/// Such a directory, removed when it is dropped: it is memory.
struct RingsInMemory(PathBuf);

impl RingsInMemory {
    /// Reads the rings. Those of killed processes can be unfinished.
    fn read(&self) -> Vec<RingContents> {
        let is_ring = |path: &&PathBuf| path.extension().is_some_and(|end| end == "ring");
        files(&self.0).iter().filter(is_ring).map(|ring| RingContents::read(ring)).collect()
    }
}

impl Drop for RingsInMemory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // there is none if the process failed at the start
    }
}

#[test]
fn workers_in_a_memory_limit() {
    let test = "workers_in_a_memory_limit";
    let Some(group) = Cgroup::with_limit(test, 256 * MIB) else { return };
    let (place, rings) = place_in_memory("limit");
    let mut child = place.child("workers");
    child.env("TTLOG_DIR", &rings);
    let output = group.run(&child);
    let found = RingsInMemory(rings).read();
    assert!(output.status.success(), "{:?}\n{}", output.status, stderr(&output));
    assert_eq!(found.iter().map(|ring| ring.count("worker")).sum::<usize>(), WORKER_COUNT as usize);
    let [ring_count, rings_kib, worker_kib] = reported(&output);
    println!("{ring_count} rings with {rings_kib} KiB, at most {worker_kib} KiB in a worker");
    assert_eq!(ring_count, WORKER_COUNT + 1);
    assert!(rings_kib <= 32 << 10, "an eighth of the limit: {rings_kib} KiB");
    assert_eq!(warnings(&output), Vec::<String>::new());
}

#[test]
fn workers_with_little_shared_memory() {
    let place = Place::new("shm");
    let Some(output) = on_shared_memory("workers_with_little_shared_memory", "64m", &place, &place.child("workers"))
    else {
        return;
    };
    assert!(output.status.success(), "{:?}\n{}", output.status, stderr(&output));
    let [ring_count, rings_kib, worker_kib] = reported(&output);
    println!("{ring_count} rings with {rings_kib} KiB, at most {worker_kib} KiB in a worker");
    assert_eq!((ring_count, warnings(&output)), (WORKER_COUNT + 1, Vec::new()));
    assert!(rings_kib <= 32 << 10, "half of the file system: {rings_kib} KiB");
}

/// The program alone would live: it uses 40 of 64 MiB. It asks for a ring of 40 MiB more, and each of its children
/// fills its ring.
#[test]
fn busy_program_is_not_killed_for_a_ring_that_it_asked_for() {
    let test = "busy_program_is_not_killed_for_a_ring_that_it_asked_for";
    let Some(group) = Cgroup::with_limit(test, 64 * MIB) else { return };
    let (place, rings) = place_in_memory("busy");
    let mut child = place.child("busy program");
    child.env("TTLOG_DIR", &rings);
    let output = group.run(&child);
    let found = RingsInMemory(rings).read();
    assert!(output.status.success(), "{:?}\n{}", output.status, stderr(&output));
    let warnings = warnings(&output);
    assert!(warnings.len() == 1 && warnings[0].contains("could exceed the memory limit"), "{warnings:?}");
    assert!(found.len() as u64 == WORKER_COUNT + 1 && found.iter().skip(1).all(|ring| ring.loss.dropped_total() == 0));
    assert_eq!(found.iter().map(RingContents::accounted).sum::<u64>(), WORKER_COUNT * 20_000);
}

/// The program has grown since its start, and what its children could have by their options is no longer free.
#[test]
fn children_of_a_program_that_has_grown_take_what_is_free() {
    let test = "children_of_a_program_that_has_grown_take_what_is_free";
    let Some(group) = Cgroup::with_limit(test, 64 * MIB) else { return };
    let (place, rings) = place_in_memory("grown");
    let mut child = place.child("grown program");
    child.env("TTLOG_DIR", &rings).env("TTLOG_CHILDREN_BYTES", "1G").env("TTLOG_CHILD_CAPACITY", "16M");
    let output = group.run(&child);
    let found = RingsInMemory(rings).read();
    assert!(output.status.success(), "{:?}\n{}", output.status, stderr(&output));
    let warnings = warnings(&output);
    assert!(warnings.iter().all(|warning| warning.contains("under the memory limit")), "{warnings:?}");
    // Those that find least have their rings in memory.
    let events = found.iter().map(|ring| ring.count("worker")).sum::<usize>();
    assert!(warnings.len() <= 1 && (if warnings.is_empty() { 8..=8 } else { 1..=7 }).contains(&events), "{events}");
}

/// Workers that end leave rings, which become snapshots before there is no room for those of new ones.
#[test]
fn rings_of_replaced_workers_make_room_for_new_ones() {
    let place = Place::new("replaced");
    let test = "rings_of_replaced_workers_make_room_for_new_ones";
    let mut child = place.child("replaced workers");
    child.env("TTLOG_RETAIN_BYTES", "10G");
    let Some(output) = on_shared_memory(test, "64m", &place, &child) else { return };
    assert!(output.status.success(), "{:?}\n{}", output.status, stderr(&output));
    let warnings = warnings(&output);
    // Once at the start, if a worker is dead by then, and once later.
    assert!(warnings.len() <= 2 && warnings.iter().any(|line| line.contains("to make room")), "{warnings:?}");
    assert!(warnings.iter().all(|line| line.contains("recovered the events of")), "{warnings:?}");
    let snapshots = place.whole_snapshots();
    assert!(snapshots.len() as u64 >= REPLACED_COUNT / 2, "{}", snapshots.len());
    assert!(snapshots.iter().all(|path| Snapshot::read(path).with_message("worker").len() == 1));
}

/// Without anything that counts them, as in a full file system.
#[test]
fn one_cause_of_trouble_is_one_warning() {
    for (name, variables, cause) in [
        ("full", [("TTLOG_CHILDREN_BYTES", "1G"), ("TTLOG_CHILD_CAPACITY", "16M")], "No space left on device"),
        ("none", [("TTLOG_CHILDREN_BYTES", "0"), ("TTLOG_CHILD_CAPACITY", "64K")], "take all of the 0 bytes"),
    ] {
        let place = Place::new(&format!("one-{name}"));
        let mut child = place.child("workers");
        child.envs(variables);
        let test = "one_cause_of_trouble_is_one_warning";
        let Some(output) = on_shared_memory(test, "64m", &place, &child) else { return };
        assert!(output.status.success(), "{:?}\n{}", output.status, stderr(&output));
        let warnings = warnings(&output);
        assert!(warnings.len() == 1 && warnings[0].contains(cause), "{warnings:?}");
        assert!(reported(&output)[0] <= 4);
    }
}

#[test]
fn capacity_of_children_is_as_set() {
    let place = Place::new("set");
    let mut child = place.child("workers");
    child.env("TTLOG_CHILD_CAPACITY", "64K");
    let output = finish(child);
    assert!(output.status.success(), "{:?}\n{}", output.status, stderr(&output));
    assert_eq!(warnings(&output), Vec::<String>::new());
    let mut lens: Vec<_> = place.ring_files().iter().map(|ring| ring.metadata().unwrap().len()).collect();
    lens.sort_unstable();
    let parent = lens.pop().unwrap();
    assert!(parent >= 2 * MIB, "{parent}");
    assert_eq!(lens.len() as u64, WORKER_COUNT);
    assert!(lens.iter().all(|len| (64 << 10..128 << 10).contains(len)), "{lens:?}");
}

/// The children of a child with a small ring get the callsites of both.
#[test]
fn children_of_children_with_small_rings() {
    let place = Place::new("family");
    let mut child = place.child("family");
    child.env("TTLOG_CHILD_CAPACITY", "40000").env("TTLOG_CAPACITY_BYTES", "1M");
    let output = finish(child);
    assert!(output.status.success(), "{:?}\n{}", output.status, stderr(&output));
    assert_eq!(warnings(&output), Vec::<String>::new());
    let rings: Vec<_> = place.ring_files().iter().map(|ring| RingContents::read(ring)).collect();
    let mut counts: Vec<_> = rings.iter().map(RingContents::accounted).collect();
    counts.sort_unstable();
    let many = common::MANY;
    assert_eq!(counts, [many, many + 2, many + 2, many + 10_000, many + 10_000, many + 10_000, many + 10_000]);
    assert!(rings.iter().all(|ring| ring.loss.dropped_total() == 0));
}
