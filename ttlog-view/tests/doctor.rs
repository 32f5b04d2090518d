//! The command `doctor`: its findings, its advice, and its exit codes.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value as Json;
use ttlog_core::ProcessInfo;
use ttlog_core::ring::{DropReason, EndKind, ProcessEnd};

use support::live::{self, Recorder};
use support::{Recording, SECOND, SHOP, Thread, directory, view};

#[test]
#[ignore = "a process that records for the other tests"]
fn child() {
    live::child();
}

/// Process id that no process has.
const GONE: ProcessInfo<'static> = ProcessInfo { pid: 4_194_305, process_start: 1, host: "", os: "Linux 6.1", ..SHOP };

/// Writes a ring as a recorder does.
fn write_ring(dir: &Path, name: &str, bytes: &[u8]) {
    support::write(dir, name, bytes);
    fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o600)).expect("our own file");
}

/// Creates a directory with mode 0700, as recorders do.
fn rings(test: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    let dir = directory(test);
    let rings = dir.join("rings");
    fs::create_dir(&rings).expect("a directory");
    fs::set_permissions(&rings, fs::Permissions::from_mode(0o700)).expect("our own directory");
    (dir, rings)
}

fn examined(dir: &Path, target: &str) -> (Option<i32>, Json) {
    let run = view(dir, &["doctor", target, "--format", "json"]);
    assert_eq!(run.err, "");
    (run.code, serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}", run.out)))
}

/// Returns the texts of the remarks that need attention.
fn problems(of: &Json) -> Vec<&str> {
    let remarks = of["remarks"].as_array().expect("remarks").iter();
    remarks.filter(|remark| remark["attention"] == true).map(|remark| remark["text"].as_str().expect("text")).collect()
}

#[test]
fn a_running_process_is_well() {
    let dir = directory("doctor_live");
    let mut recorder = Recorder::start(&dir, &[("TTLOG_LEVEL", "info"), ("TTLOG_MIN_AGE", "5s")]);
    recorder.tell("info 20");
    let pid = recorder.pid().to_string();
    for target in [pid.as_str(), "rings"] {
        let (_, found) = examined(&dir, target);
        let ring = &found["rings"][0];
        assert_eq!(found["rings"].as_array().map(Vec::len), Some(1));
        assert_eq!(
            (&ring["state"], &ring["service"], &ring["level"]),
            (&"running".into(), &"shop".into(), &"info".into())
        );
        assert_eq!((&ring["mode"], &ring["retained"], &ring["overwritten"]), (&"0600".into(), &20.into(), &0.into()));
        assert_eq!((&ring["covered_ns"], &ring["min_age_ns"]), (&Json::Null, &5_000_000_000_u64.into()));
        assert!(ring["heartbeat_age_ns"].as_u64().expect("a heartbeat") < 60_000_000_000, "{ring}");
        assert_eq!(problems(ring), [""; 0], "{ring}");
        assert_eq!(problems(&found["directories"][0]), [""; 0]);
        assert_eq!(found["directories"][0]["mode"], "0700");
        assert_eq!(problems(&found["snapshots"][0]), [""; 0]);
        // In the directory that its environment names.
        assert_eq!(found["snapshots"][0]["path"], dir.join("snapshots").to_string_lossy().as_ref());
        let memory = &found["memory"][0];
        assert!(memory["bytes"].as_u64() > memory["used_bytes"].as_u64() && memory["rings"] == 1, "{memory}");
    }
    let text = view(&dir, &["doctor", &pid, "--color", "never"]).out;
    for part in [
        &format!("ring {}\n", recorder.ring().display()),
        &format!("  process   shop, pid {pid} on "),
        "  state     is running, heartbeat ",
        "  window    all since the start, ",
        "; asked for: 5.0 s\n",
        "  events    20 retained, 0 overwritten, none dropped\n",
        "  level     info\n",
        "mode 0600, owner ",
        " free, ",
        "\nmemory ",
        " of memory in 1 ring of running processes, 0 %\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let process = rustix::process::Pid::from_raw(pid.parse().expect("a number")).expect("not 0");
    rustix::process::kill_process(process, rustix::process::Signal::STOP).expect("our own child");
    let (code, found) = examined(&dir, &pid);
    rustix::process::kill_process(process, rustix::process::Signal::CONT).expect("our own child");
    assert_eq!((code, problems(&found["rings"][0])), (Some(1), vec!["the process is stopped"]));
}

/// The recorder moves its ring to a new file, but not while it is stopped.
#[test]
fn ring_whose_file_was_removed() {
    let dir = directory("doctor_nameless");
    let mut recorder = Recorder::start(&dir, &[]);
    let pid = recorder.pid().to_string();
    let process = rustix::process::Pid::from_raw(pid.parse().expect("a number")).expect("not 0");
    let signal = |signal| rustix::process::kill_process(process, signal).expect("our own child");
    recorder.tell("info 20");
    let file = recorder.ring();
    signal(rustix::process::Signal::STOP);
    fs::remove_file(&file).expect("our own file");
    // Whether it is named or not: no directory shows it.
    for targets in [&[&pid[..]][..], &[]] {
        let run = view(&dir, &[&["doctor", "--format", "json"], targets].concat());
        let found: Json = serde_json::from_str(&run.out).expect("JSON");
        let of_process = |ring: &&Json| ring["pid"].as_u64() == Some(u64::from(recorder.pid()));
        let ring = found["rings"].as_array().expect("a list").iter().find(of_process).expect("the ring");
        assert!(problems(ring).iter().any(|text| text.starts_with("its file has lost its name")), "{ring}");
        assert_eq!(ring["retained"], 20, "{ring}");
    }
    signal(rustix::process::Signal::CONT);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let moved = loop {
        let (_, found) = examined(&dir, &pid);
        // There is none for a moment, if it moves between the looks at its process and at its file.
        if found["rings"].as_array().is_some_and(|rings| !rings.is_empty() && problems(&rings[0]).is_empty()) {
            break found;
        }
        assert!(std::time::Instant::now() < deadline, "{found}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(moved["rings"][0]["retained"], 20, "{moved}");
    assert_ne!(moved["rings"][0]["path"], file.to_string_lossy().as_ref(), "{moved}");
}

#[test]
fn a_process_that_records_nothing_is_not_well() {
    let dir = directory("doctor_off");
    let recorder = Recorder::start(&dir, &[("TTLOG_LEVEL", "off")]);
    let (code, found) = examined(&dir, &recorder.pid().to_string());
    assert_eq!((code, problems(&found["rings"][0])), (Some(1), vec!["it records nothing: its level is off"]));
}

#[test]
fn a_disk_is_full_when_the_process_says_so() {
    let dir = directory("doctor_disk");
    fs::create_dir(dir.join("snapshots")).expect("a directory");
    let recorder = Recorder::start(&dir, &[("TTLOG_RETAIN_FREE_PERCENT", "90%")]);
    let (_, found) = examined(&dir, &recorder.pid().to_string());
    let snapshots = &found["snapshots"][0];
    let bytes = |key: &str| u128::from(snapshots[key].as_u64().expect("bytes"));
    let is_told = problems(snapshots).iter().any(|text| text.ends_with("recorders write no snapshots below 90 %"));
    assert_eq!(is_told, bytes("disk_free_bytes") * 100 / bytes("disk_bytes") < 90, "{snapshots}");
}

#[test]
fn a_directory_that_cannot_be_written_to_is_named() {
    use std::os::unix::process::CommandExt as _;
    if !rustix::process::geteuid().is_root() {
        return support::skip("a_directory_that_cannot_be_written_to_is_named: only root can act for another user");
    }
    let dir = std::env::temp_dir().join(format!("ttlog-view-unwritable-{}", std::process::id()));
    let snapshots = dir.join("snapshots");
    fs::create_dir_all(&snapshots).expect("a directory");
    for path in [&dir, &snapshots] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own directory");
    }
    let program = support::copy_of_viewer(&dir);
    let mut command = std::process::Command::new(&program);
    command.args(["doctor", ".", "--format", "json"]).env("TTLOG_SNAPSHOT_DIR", &snapshots).uid(65_534).gid(65_534);
    let output = command.current_dir(&dir).output().expect("the program can be run");
    let found: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    let told = problems(&found["snapshots"][0]).join("\n");
    assert!(told.contains("you cannot write there (Permission denied"), "{found}");
    fs::remove_dir_all(&dir).expect("our own directory");
}

#[test]
fn a_dead_process_leaves_a_stale_ring_until_it_is_recovered() {
    let dir = directory("doctor_stale");
    let mut recorder = Recorder::start(&dir, &[]);
    recorder.tell("info 3");
    let ring = recorder.ring();
    recorder.end("abort");
    let run = view(&dir, &["doctor", "rings"]);
    assert_eq!((run.code, run.err.as_str()), (Some(1), ""));
    assert!(
        run.out.contains("  ! 1 stale ring: their processes are gone\n    ttlog-view recover rings --remove "),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("  state     ended by SIGABRT") || run.out.contains("  state     gone without a word"),
        "{}",
        run.out
    );
    let (code, found) = examined(&dir, &ring.to_string_lossy());
    assert_eq!((code, problems(&found["rings"][0])), (Some(1), vec!["stale: its process is gone"]));
    assert_eq!(view(&dir, &["recover", "rings", "--remove", "-o", "."]).code, Some(0));
    let run = view(&dir, &["doctor", "rings"]);
    assert_eq!(run.code, Some(2));
    assert!(run.out.ends_with("nothing found: no recorder has a ring in these directories\n"), "{}", run.out);
}

#[test]
fn losses_come_with_advice() {
    let (dir, rings) = rings("doctor_losses");
    let recording = Recording::on_a_server(1, 10, 2, 512, &GONE);
    let thread = Thread::new(1, "worker");
    for n in 0..400 {
        recording.tick(&thread, SECOND + u64::from(n) * SECOND / 100, n);
    }
    for (reason, count) in [
        (DropReason::TooLarge, 1),
        (DropReason::Reentrant, 2),
        (DropReason::NoSegment, 3),
        (DropReason::Unregistered, 4),
    ] {
        recording.ring.count_dropped(reason, count);
    }
    recording.ring.count_suppressed(5);
    recording.ring.set_min_age_ns(3600 * SECOND);
    recording.ring.count_panic(SECOND, 101);
    recording.ring.set_filter_text("info");
    let end = ProcessEnd { signal: 15, code: 0, sender_pid: 7, ..ProcessEnd::of(EndKind::Signal) };
    assert!(recording.ring.stamp_end(&end));
    write_ring(&rings, "lossy.ring", &recording.image());
    let run = view(&dir, &["doctor", "rings", "--color", "never"]);
    assert_eq!((run.code, run.err.as_str()), (Some(1), ""));
    let ring = run.out.split("\n\n").next().expect("a block");
    let own = rustix::process::geteuid().as_raw();
    support::compare("doctor.txt", &format!("{}\n", ring.replace(&format!("owner {own} (you)"), "owner N (you)")));
}

#[test]
fn files_that_others_can_read_and_leftovers_are_named() {
    let (dir, rings) = rings("doctor_leftovers");
    fs::set_permissions(&rings, fs::Permissions::from_mode(0o777)).expect("our own directory");
    support::write(&rings, "open.ring", &Recording::on_a_server(1, 4, 0, 512, &GONE).image());
    fs::set_permissions(rings.join("open.ring"), fs::Permissions::from_mode(0o644)).expect("our own file");
    fs::hard_link(rings.join("open.ring"), rings.join("link.ring")).expect("a link");
    let ended = Recording::on_a_server(2, 4, 0, 512, &GONE);
    ended.ring.mark_ended();
    write_ring(&rings, "ended.ring", &ended.image());
    write_ring(&rings, "ttlog-x.ring.new", b"");
    write_ring(&rings, "young.ring.new", b"");
    write_ring(&rings, "ttlog-y.ring.damaged", b"x");
    let old = fs::File::options().write(true).open(rings.join("ttlog-x.ring.new")).expect("our own file");
    old.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("our own file");
    let (code, found) = examined(&dir, "rings");
    assert_eq!(code, Some(1));
    let directory = &found["directories"][0];
    assert_eq!(
        problems(directory),
        [
            "others can write to it (mode 0777)",
            "2 stale rings: their processes are gone",
            "1 unfinished (*.ring.new): their makers died, or ran out of room",
            "1 set aside as no readable rings (*.ring.damaged)",
        ]
    );
    assert_eq!((&directory["rings"], &directory["stale"], &directory["unfinished"]), (&3.into(), &2.into(), &1.into()));
    for ring in found["rings"].as_array().expect("rings").iter().filter(|ring| ring["state"] != "shut_down") {
        let problems = problems(ring);
        assert!(problems.contains(&"other users can read or write it (mode 0644)"), "{problems:?}");
        assert!(
            problems.contains(&"its file has another name, too (a hard link): recorders do not recover such rings")
        );
    }
}

#[test]
fn hostile_files_break_nothing() {
    let (dir, rings) = rings("doctor_hostile");
    let good = Recording::on_a_server(1, 4, 1, 512, &ProcessInfo { service: "\x1b[2J", ..GONE });
    good.tick(&Thread::new(1, "\x1b]0;x"), SECOND, 1);
    good.ring.set_filter_text("\x1b[31m");
    let image = good.image();
    write_ring(&rings, "a-good.ring", &image);
    for len in [0, 1, 8, 63, 64, 159, 160, 1535, 1536, 2000, image.len() - 1] {
        write_ring(&rings, &format!("cut-{len}.ring"), &image[..len]);
    }
    for (index, seed) in (0..40_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).enumerate() {
        let mut damaged = image.clone();
        for n in 0..20_u64 {
            let at = (seed.rotate_left(n as u32 * 3) % damaged.len() as u64) as usize;
            damaged[at] ^= 1 << (seed.rotate_left(n as u32) & 7);
        }
        write_ring(&rings, &format!("flipped-{index}.ring"), &damaged);
    }
    write_ring(&rings, "zero.ring", &[0; 4096]);
    write_ring(&rings, "\x1b[31m.ring", b"TTLOGRNG");
    fs::create_dir(rings.join("directory.ring")).expect("a directory");
    std::os::unix::fs::symlink("/etc/passwd", rings.join("link.ring")).expect("a link");
    rustix::fs::mknodat(rustix::fs::CWD, rings.join("pipe.ring"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("a pipe");
    for format in ["text", "json"] {
        let run = view(&dir, &["doctor", "rings", "--format", format]);
        assert_eq!((run.code, run.err.as_str()), (Some(1), ""));
        assert!(run.out.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", run.out);
        assert!(run.out.contains("a-good.ring") && run.out.contains("zero.ring"), "{}", run.out);
        assert!(!run.out.contains("root:"), "a link is not followed");
    }
}

#[test]
fn nothing_to_look_at() {
    let dir = directory("doctor_nothing");
    for targets in [&["."][..], &["missing"], &["4194305"]] {
        let run = view(&dir, &[&["doctor"], targets].concat());
        assert_eq!(run.code, Some(2), "{}", run.out);
        assert!(run.out.contains("nothing found"), "{}", run.out);
    }
    let (code, found) = examined(&dir, "missing");
    assert_eq!(code, Some(2));
    assert_eq!(found["errors"][0], "missing: No such file or directory (os error 2)");
    assert!(found["attention"].as_u64() >= Some(1), "{found}");
}

/// The limit of the process counts, not that of the viewer, and that of the nearest cgroup is not the smallest.
#[test]
fn memory_limit_of_the_process_is_named() {
    let versions = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
    let is_there = |(mount, file): &(&str, &str)| {
        let controllers = fs::read_to_string(Path::new(mount).join("cgroup.controllers")).unwrap_or_default();
        Path::new(mount).join(file).exists() || controllers.split_whitespace().any(|name| name == "memory")
    };
    let Some((mount, file)) = versions.into_iter().find(is_there) else {
        return support::skip("no cgroup file system with the memory controller");
    };
    let outer = Path::new(mount).join(format!("ttlog-doctor-{}", std::process::id()));
    let inner = outer.join("inner");
    let _ = fs::write(Path::new(mount).join("cgroup.subtree_control"), "+memory"); // version 2 only
    let made = fs::create_dir_all(&outer).and_then(|()| fs::write(outer.join(file), "209715200"));
    let _ = fs::write(outer.join("cgroup.subtree_control"), "+memory"); // version 2 only
    let made = made.and_then(|()| fs::create_dir_all(&inner)).and_then(|()| fs::write(inner.join(file), "1073741824"));
    if let Err(error) = made {
        let _ = fs::remove_dir(&inner); // it may not be there
        let _ = fs::remove_dir(&outer);
        return support::skip(&format!("no memory cgroup can be made: {error}"));
    }
    let dir = directory("doctor_memory");
    let recorder = Recorder::start(&dir, &[]);
    let pid = recorder.pid().to_string();
    fs::write(inner.join("cgroup.procs"), &pid).expect("our own cgroup");
    let (_, found) = examined(&dir, &pid);
    drop(recorder);
    for _ in 0..100 {
        if fs::remove_dir(&inner).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = fs::remove_dir(&outer); // a leftover limits nothing
    let memory = &found["memory"][0];
    let file = outer.join(file);
    assert_eq!((&memory["bytes"], &memory["limit"]), (&(200 << 20).into(), &file.to_string_lossy().as_ref().into()));
    assert!(memory["used_bytes"].as_u64() < Some(200 << 20), "{memory}");
}
