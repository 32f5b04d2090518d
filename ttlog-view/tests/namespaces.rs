//! Processes that process ids do not reach: those of several pid namespaces, as containers have them, where each is
//! process 1, and those of several hosts, with one directory of rings.
#![cfg(target_os = "linux")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use support::live::{self, Recorder, in_namespace};
use support::{Run, directory, view};

#[test]
#[ignore = "a process that records for the other tests"]
fn child() {
    live::child();
}

/// Returns whether pid namespaces can be made here; otherwise the test is reported as skipped.
fn has_namespaces(test: &str) -> bool {
    let made = in_namespace().arg("true").output().is_ok_and(|output| output.status.success());
    if !made {
        support::skip(&format!("{test}: making a pid namespace takes unshare and root"));
    }
    made
}

/// Runs the viewer as the first process of a new pid namespace.
fn view_elsewhere(dir: &Path, arguments: &[&str]) -> Run {
    let mut command = in_namespace();
    command.arg(env!("CARGO_BIN_EXE_ttlog-view")).args(arguments);
    run(command, dir)
}

fn run(mut command: Command, dir: &Path) -> Run {
    let output = command.current_dir(dir).env_remove("TTLOG_DIR").output().expect("the program can be run");
    Run {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn rings(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("rings")).expect("a directory with rings");
    let mut rings: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    rings.sort();
    rings
}

/// Returns the id here of the process that `unshare` started.
fn inner(recorder: &Recorder) -> u32 {
    let pid = recorder.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it runs");
    children.trim().parse().expect("one child")
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").expect("this is Linux").trim_end().to_owned()
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

#[test]
fn two_processes_of_number_1_are_running() {
    if !has_namespaces("two_processes_of_number_1_are_running") {
        return;
    }
    let dir = directory("namespaces_two");
    let mut recorders = [Recorder::start_in_namespace(&dir, &[]), Recorder::start_in_namespace(&dir, &[])];
    recorders[0].tell("info 3");
    recorders[1].tell("info 4");
    assert_eq!(rings(&dir).len(), 2);

    // From the namespace above, they can be seen, by other ids.
    let run = view(&dir, &["rings"]);
    assert_eq!((run.code, count(&run.out, "ring of a running process")), (Some(0), 2), "{}", run.out);
    assert!(!run.out.contains("   process: "), "{}", run.out);
    // Service and id are the same, so the lines name the rings.
    let named = |line: &&str| line.contains(" INFO shop[1]-");
    let of_ring = |n: usize| run.out.lines().filter(named).filter(|line| line.ends_with(&format!("  n={n}"))).count();
    assert_eq!([of_ring(2), of_ring(3)], [2, 1], "{}", run.out);
    for line in run.out.lines().filter(named) {
        let (_, rest) = line.split_once("shop[1]-").expect("it is named");
        assert!(run.out.contains(&format!("(pid 1 on {}, ring {})", host(), &rest[..8])), "{}", run.out);
    }
    let report = |run: Run| -> Json { serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{}", run.out)) };
    let found = report(view(&dir, &["doctor", "rings", "--format", "json"]));
    let local: Vec<_> = found["rings"].as_array().expect("rings").iter().map(|ring| &ring["local_pid"]).collect();
    assert!(recorders.iter().all(|recorder| local.contains(&&inner(recorder).into())), "{found}");
    assert_eq!(found["directories"][0]["stale"], 0, "{found}");

    // From a third namespace, they cannot be seen, but hold their locks.
    let run = view_elsewhere(&dir, &["rings"]);
    assert_eq!((run.code, count(&run.out, "ring of a running process")), (Some(0), 2), "{}{}", run.out, run.err);
    assert_eq!(count(&run.out, "   process: is running, in another pid namespace\n"), 2, "{}", run.out);
    let found = report(view_elsewhere(&dir, &["doctor", "rings", "--format", "json"]));
    let directory = &found["directories"][0];
    assert_eq!((&directory["rings"], &directory["stale"]), (&2.into(), &0.into()), "{found}");
    for ring in found["rings"].as_array().expect("rings") {
        assert_eq!((&ring["state"], &ring["pid"]), (&"running_elsewhere".into(), &1.into()), "{ring}");
        assert_eq!((&ring["local_pid"], ring["remarks"].as_array().map(Vec::len)), (&Json::Null, Some(0)), "{ring}");
    }
    let run = view_elsewhere(&dir, &["recover", "rings", "-o", ".", "--remove"]);
    assert_eq!(
        (run.code, count(&run.out, "process 1 is running, in another pid namespace")),
        (Some(0), 2),
        "{}",
        run.out
    );
    assert!(run.out.ends_with("0 recovered, 2 left alone\n"), "{}", run.out);

    // One of them dies.
    drop(recorders);
    let deadline = Instant::now() + Duration::from_secs(60);
    while view_elsewhere(&dir, &["rings"]).out.contains("is running") {
        assert!(Instant::now() < deadline, "they do not end");
    }
    let run = view_elsewhere(&dir, &["rings"]);
    assert_eq!(count(&run.out, "   process: gone without a word"), 2, "{}", run.out);
    let run = view_elsewhere(&dir, &["recover", "rings", "-o", ".", "--remove"]);
    assert!(run.out.ends_with("2 recovered, 0 left alone\n"), "{}{}", run.out, run.err);
}

#[test]
fn level_and_snapshot_work_by_path_from_another_namespace() {
    if !has_namespaces("level_and_snapshot_work_by_path_from_another_namespace") {
        return;
    }
    let dir = directory("namespaces_path");
    let mut recorder = Recorder::start_in_namespace(&dir, &[]);
    recorder.tell("info 5");
    let ring = rings(&dir)[0].to_string_lossy().into_owned();
    let run = view_elsewhere(&dir, &["level", &ring, "warn"]);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), "warn\n", ""));
    recorder.tell("info 100");
    let run = view_elsewhere(&dir, &["snapshot", &ring, "-o", "."]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let shown = view(&dir, &[run.out.trim_end()]).out;
    assert_eq!(count(&shown, " worked  n="), 5, "{shown}");
    // It would say so if the process had been gone.
    assert!(!shown.contains("   process: "), "{shown}");

    // From above, its id here works too.
    let pid = inner(&recorder).to_string();
    let run = view(&dir, &["level", &pid]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), "warn\n"), "{}", run.err);
    let text = view(&dir, &["doctor", &pid, "--color", "never"]).out;
    assert!(text.contains(&format!("  process   shop, pid 1 ({pid} here) on ")), "{text}");
    // The environment is that of this process, not of process 1 here.
    assert!(text.contains(&format!("snapshots {}\n", dir.join("snapshots").display())), "{text}");
    let process = rustix::process::Pid::from_raw(pid.parse().expect("a number")).expect("not 0");
    rustix::process::kill_process(process, rustix::process::Signal::STOP).expect("our own child");
    let text = view(&dir, &["doctor", &pid, "--color", "never"]).out;
    let run = view(&dir, &["level", &ring, "info"]);
    rustix::process::kill_process(process, rustix::process::Signal::CONT).expect("our own child");
    assert!(text.contains(&format!("  ! the process is stopped\n    kill -CONT {pid} resumes it")), "{text}");
    assert!(run.err.contains("process 1 did not answer within 2 s: it is stopped"), "{}", run.err);
}

#[test]
fn signal_from_another_namespace_has_no_sender_here() {
    if !has_namespaces("signal_from_another_namespace_has_no_sender_here") {
        return;
    }
    let dir = directory("namespaces_signal");
    let mut recorder = Recorder::start_below_a_shell(&dir);
    let ring = rings(&dir)[0].to_string_lossy().into_owned();
    let shell = inner(&recorder);
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).expect("it runs");
    let sent = Command::new("kill").args(["-TERM", children.trim()]).status().expect("kill is there");
    assert!(sent.success());
    recorder.wait();
    let shown = view(&dir, &[&ring]).out;
    assert!(shown.contains("process: ended by SIGTERM (sent from another pid namespace, by user 0)"), "{shown}");
}

#[test]
fn an_id_of_another_namespace_is_not_taken_for_the_own() {
    if !has_namespaces("an_id_of_another_namespace_is_not_taken_for_the_own") {
        return;
    }
    let dir = directory("namespaces_id");
    let recorder = Recorder::start_in_namespace(&dir, &[]);
    let ring = rings(&dir)[0].to_string_lossy().into_owned();
    for arguments in [&["snapshot", "1", "-o", "."][..], &["level", "1"], &["level", "1", "warn"], &["doctor", "1"]] {
        let mut command = in_namespace();
        // The shell is process 1 there, and has no ring.
        command
            .args(["sh", "-c", "\"$@\"; exit $?", "sh", "env"])
            .arg(format!("TTLOG_DIR={}", dir.join("rings").display()));
        command.arg(env!("CARGO_BIN_EXE_ttlog-view")).args(arguments);
        let run = run(command, &dir);
        let message = format!("{}{}", run.out, run.err);
        assert_eq!(run.code, Some(2), "{arguments:?}: {message}");
        assert!(message.contains("process 1 runs, but has no ring that can be found"), "{arguments:?}: {message}");
        assert!(message.contains("another process had or has this id") && message.contains(&ring), "{message}");
    }
    assert_eq!(view(&dir, &["level", &ring]).out, "trace\n");
    drop(recorder);
}

/// A directory that is mounted at two places, like a volume at two hosts: a lock taken at one is invisible at the
/// other.
struct SharedVolume {
    mounts: [PathBuf; 2],
}

impl SharedVolume {
    /// Mounts it; `None` if that is not possible here, which is reported.
    fn mount(dir: &Path, test: &str) -> Option<Self> {
        let mounts = ["a", "b"].map(|name| dir.join(name));
        let volume = dir.join("volume");
        for path in mounts.iter().chain([&volume]) {
            std::fs::create_dir(path).expect("a directory");
        }
        let mount =
            |at: &PathBuf| Command::new("bindfs").arg(&volume).arg(at).status().is_ok_and(|done| done.success());
        let shared = SharedVolume { mounts };
        if shared.mounts.iter().all(mount) {
            return Some(shared);
        }
        support::skip(&format!("{test}: mounting a directory a second time takes bindfs and root"));
        None
    }
}

impl Drop for SharedVolume {
    fn drop(&mut self) {
        for mount in &self.mounts {
            // Not mounted if mounting failed.
            let _ = Command::new("umount").arg("--lazy").arg(mount).output();
        }
    }
}

#[test]
fn ring_of_another_host_on_a_shared_volume_is_left_alone() {
    let test = "ring_of_another_host_on_a_shared_volume_is_left_alone";
    if !has_namespaces(test) {
        return;
    }
    let dir = directory("namespaces_host");
    let Some(volume) = SharedVolume::mount(&dir, test) else { return };
    let [theirs, ours] = &volume.mounts;
    let mut recorder = Recorder::start_on_host("web-9", theirs);
    recorder.tell("info 5");
    assert_eq!(recorder.tell("file"), "true", "its ring is in a file");
    let [ring] = &rings(ours)[..] else { panic!("one ring") };

    // It is not known whether it is running, and neither a recovery nor the start of a recorder takes it.
    // What it stores in its mapping is here once the kernel has written it back.
    let deadline = Instant::now() + Duration::from_secs(60);
    let run = loop {
        let run = view(ours, &["rings"]);
        if count(&run.out, " worked  n=") == 5 || Instant::now() > deadline {
            break run;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!((run.code, count(&run.out, " worked  n=")), (Some(0), 5), "{}{}", run.out, run.err);
    assert!(!run.out.contains("process: ") && !run.out.contains("running"), "{}", run.out);
    let run = view(ours, &["recover", "rings", "-o", ".", "--remove"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let expected = "left alone: it is of another host, web-9, whose lock might be invisible on this file system \
                    (FUSE); recover it there, or recover a copy\n0 recovered, 1 left alone\n";
    assert!(run.out.ends_with(expected), "{}", run.out);
    let run = view(ours, &["level", &ring.to_string_lossy(), "warn"]);
    assert!(run.err.contains("cannot determine whether process 1 on web-9 is running; ask on its host"), "{}", run.err);
    let run = view(ours, &["doctor", "rings", "--format", "json"]);
    let found: Json = serde_json::from_str(&run.out).expect("JSON");
    assert_eq!(found["directories"][0]["stale"], 0, "{found}");
    let mut second = Recorder::start(ours, &[]);
    second.tell("info 1");
    let deadline = Instant::now() + Duration::from_secs(1);
    while Instant::now() < deadline {
        assert!(ring.exists(), "the second recorder has taken it");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(second.tell("shutdown"), "ok");

    // A copy can be recovered.
    std::fs::create_dir(dir.join("copies")).expect("a directory");
    std::fs::copy(ring, dir.join("copies/copy.ring")).expect("a copy");
    let run = view(&dir, &["recover", "copies", "-o", "."]);
    assert!(run.out.ends_with("1 recovered, 0 left alone\n"), "{}{}", run.out, run.err);
}
