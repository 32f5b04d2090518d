//! The commands `recover` and `verify`.

mod support;

use std::fs;

use ttlog_core::ProcessInfo;
use ttlog_core::snapshot::Codec;

use support::{SECOND, directory, shop, view, wrapped, write};

fn names(dir: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("the directory can be listed");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[cfg(unix)]
#[test]
fn recover_turns_dead_rings_into_snapshots() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = directory("recover");
    let (rings, snapshots) = (dir.join("rings"), dir.join("snapshots"));
    fs::create_dir(&rings).expect("a directory can be made");
    fs::create_dir(&snapshots).expect("a directory can be made");
    write(&rings, "shop", &shop(1).image());
    write(&rings, "wrapped.ring", &wrapped(2).image());
    write(&rings, "notes", b"something else");
    let before = view(&dir, &["rings", "--format", "ndjson"]).out;
    let run = view(&dir, &["recover", "rings", "--output", "snapshots", "--remove"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert!(run.out.contains("recovered 9 events (0 were overwritten)"), "{}", run.out);
    assert!(run.out.ends_with("2 recovered, 0 left alone\n"), "{}", run.out);
    assert_eq!(names(&rings), ["notes"]);
    let made = names(&snapshots);
    assert_eq!(made.len(), 2);
    for name in &made {
        assert!(name.starts_with("ttlog-shop-4711-2") && name.contains("-recovered"), "{name}");
        let mode = fs::metadata(snapshots.join(name)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let after = view(&dir, &["snapshots", "--format", "ndjson"]).out;
    let without_source = |text: &str| {
        let cut = |line: &str| {
            let (start, rest) = line.split_once(",\"source\":").expect("a source");
            format!("{start}{}", rest.split_once(",\"fields\"").expect("fields").1)
        };
        text.lines().map(cut).collect::<Vec<_>>()
    };
    assert_eq!(without_source(&before), without_source(&after));
    assert!(view(&dir, &["snapshots"]).out.contains("reason recovered"));
}

#[cfg(unix)]
#[test]
fn snapshots_are_private_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = directory("umask");
    write(&dir, "shop.ring", &shop(1).image());
    for mask in ["000", "277", "777"] {
        let script = format!("umask {mask}; exec \"$0\" snapshot shop.ring -o . -r {mask}");
        let viewer = env!("CARGO_BIN_EXE_ttlog-view");
        let run = std::process::Command::new("sh").args(["-c", &script, viewer]).current_dir(&dir).output();
        assert!(run.expect("a shell").status.success(), "umask {mask}");
    }
    let made: Vec<_> = names(&dir).into_iter().filter(|name| name.ends_with(".bin")).collect();
    assert_eq!(made.len(), 3, "{made:?}");
    for name in made {
        let mode = fs::metadata(dir.join(&name)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
}

#[test]
fn snapshot_of_a_ring_that_was_cut_short_says_so() {
    let dir = directory("snapshot_cut");
    let image = shop(1).image();
    write(&dir, "cut.ring", &image[..image.len() / 2]);
    let run = view(&dir, &["snapshot", "cut.ring", "-o", "."]);
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("cut.ring: was cut short: only "), "{}", run.err);
    assert_eq!(names(&dir).iter().filter(|name| name.ends_with(".bin")).count(), 1);
}

#[test]
fn recover_without_remove_keeps_the_ring_and_never_overwrites() {
    let dir = directory("recover_twice");
    write(&dir, "ring", &shop(1).image());
    for _ in 0..2 {
        assert_eq!(view(&dir, &["recover", ".", "-o", "."]).code, Some(0));
    }
    let found = names(&dir);
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0], "ring");
}

/// Maps the file of a ring, as its process does, for the life of the test.
#[cfg(target_os = "linux")]
fn map(path: &std::path::Path) {
    use rustix::mm::{MapFlags, ProtFlags, mmap};
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("it is there");
    // SAFETY: nothing else is mapped where the kernel chooses, and the memory is not used.
    unsafe { mmap(std::ptr::null_mut(), 512, ProtFlags::READ, MapFlags::SHARED, &file, 0).expect("a mapping") };
}

#[cfg(target_os = "linux")]
#[test]
fn recover_leaves_rings_in_use_alone() {
    let dir = directory("recover_in_use");
    // A ring whose process is this test, which runs.
    let stat = fs::read_to_string("/proc/self/stat").expect("this is Linux");
    let start = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19)?.parse().ok());
    let process = ProcessInfo {
        service: "alive",
        pid: std::process::id().into(),
        process_start: start.expect("field 22"),
        ..ProcessInfo::default()
    };
    let running = support::Recording::of(3, 2, 512, &process);
    write(&dir, "running", &running.image());
    map(&dir.join("running"));
    // A ring whose lock is held.
    write(&dir, "locked", &shop(1).image());
    let locked = fs::File::open(dir.join("locked")).expect("it is there");
    rustix::fs::flock(&locked, rustix::fs::FlockOperation::LockExclusive).expect("nobody else has it");
    let run = view(&dir, &["recover", ".", "-o", ".", "--remove"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert!(run.out.contains("locked: left alone: it is locked"), "{}", run.out);
    assert!(run.out.contains(&format!("running: left alone: process {} is running", process.pid)), "{}", run.out);
    assert_eq!(names(&dir), ["locked", "running"]);
    assert!(view(&dir, &["running", "locked"]).out.contains("ring of a running process"));
}

#[test]
fn recover_says_what_it_could_not_do() {
    let dir = directory("recover_failures");
    assert_eq!(view(&dir, &["recover", "missing"]).code, Some(2));
    let mut broken = shop(1).image();
    broken[20..60].fill(0xee);
    write(&dir, "broken", &broken);
    write(&dir, "good", &shop(1).image());
    let run = view(&dir, &["recover", ".", "-o", "."]);
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("broken: not recovered: offset 56: checksum does not match"), "{}", run.err);
    assert!(run.out.contains("1 recovered"), "{}", run.out);
    let run = view(&dir, &["recover", ".", "-o", "missing"]);
    assert_eq!(run.code, Some(1));
    assert!(run.err.contains("good: not recovered: missing: No such file"), "{}", run.err);
    assert!(!names(&dir).iter().any(|name| name.ends_with(".tmp")));
}

#[test]
fn a_service_name_cannot_leave_the_directory() {
    let dir = directory("recover_name");
    let process = ProcessInfo { service: "../../etc/pass\x1bwd ü", pid: 1, ..ProcessInfo::default() };
    let recording = support::Recording::of(3, 2, 512, &process);
    recording.know_shop();
    recording.tick(&support::Thread::new(1, "t"), SECOND, 1);
    write(&dir, "ring", &recording.image());
    let run = view(&dir, &["recover", ".", "-o", "."]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(names(&dir)[1].starts_with("ttlog-_._.._etc_pass_wd__-1-"), "{:?}", names(&dir));
}

#[test]
fn verify_tells_intact_from_damaged_from_unusable() {
    let dir = directory("verify");
    let good = wrapped(2).snapshot("manual", 10 * SECOND, Codec::Lz4);
    write(&dir, "good.bin", &good);
    let run = view(&dir, &["verify", "good.bin"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    support::compare("verify.txt", &run.out.replace(&format!("{} bytes, ring", good.len()), "N bytes, ring"));

    // One byte of the last segment is wrong.
    let mut damaged = good.clone();
    let at = damaged.len() - 80;
    damaged[at] ^= 0x10;
    write(&dir, "damaged.bin", &damaged);
    let run = view(&dir, &["verify", "damaged.bin"]);
    assert_eq!(run.code, Some(1), "{}", run.out);
    assert!(run.out.contains("DAMAGED, but usable") && run.out.contains("checksum does not match"), "{}", run.out);

    write(&dir, "cut.bin", &good[..good.len() / 2]);
    let run = view(&dir, &["verify", "cut.bin"]);
    assert_eq!(run.code, Some(1), "{}", run.out);
    assert!(run.out.contains("the end of the snapshot is missing"), "{}", run.out);

    write(&dir, "text", b"hello");
    let run = view(&dir, &["verify", "text"]);
    assert_eq!(run.code, Some(2));
    assert!(run.out.contains("text: UNUSABLE: offset 5: neither a ring nor a snapshot"), "{}", run.out);

    write(&dir, "shop.ring", &shop(1).image());
    assert_eq!(view(&dir, &["verify", "shop.ring"]).code, Some(0));
    write(&dir, "short.ring", &shop(1).image()[..5000]);
    let run = view(&dir, &["verify", "short.ring"]);
    assert_eq!(run.code, Some(1), "{}", run.out);
    assert!(run.out.contains("cut off: the file is shorter than its ring"), "{}", run.out);
    assert_eq!(view(&dir, &["verify", "good.bin", "damaged.bin", "text"]).code, Some(2));
    assert_eq!(view(&dir, &["verify", "good.bin", "damaged.bin"]).code, Some(1));
}
