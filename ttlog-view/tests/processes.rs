//! The commands that work on processes: `snapshot` and `level`.
#![cfg(target_os = "linux")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use support::live::{self, Recorder};
use support::{Run, directory, view};

#[test]
#[ignore = "a process that records for the other tests"]
fn child() {
    live::child();
}

/// Checks that the file whose path was printed is a snapshot, and returns the path.
fn made(dir: &Path, run: &Run) -> PathBuf {
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let path = dir.join(run.out.strip_suffix('\n').expect("a line"));
    assert_eq!(path.metadata().expect("the snapshot is there").permissions().mode() & 0o777, 0o600);
    path
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

#[test]
fn snapshot_of_a_process_that_knows_nothing_of_it() {
    let dir = directory("snapshot_live");
    let mut recorder = Recorder::start(&dir, &[]);
    recorder.tell("info 500");
    recorder.tell("error 3");
    let pid = recorder.pid().to_string();
    // A stopped process cannot help.
    let process = rustix::process::Pid::from_raw(pid.parse().expect("a number")).expect("not 0");
    rustix::process::kill_process(process, rustix::process::Signal::STOP).expect("our own child");
    let run = view(&dir, &["snapshot", &pid, "--output", ".", "--reason", "slow orders"]);
    rustix::process::kill_process(process, rustix::process::Signal::CONT).expect("our own child");
    let path = made(&dir, &run);
    let name = path.file_name().expect("a name").to_string_lossy();
    assert!(name.starts_with(&format!("ttlog-shop-{pid}-")) && name.ends_with("-slow_orders.bin"), "{name}");
    let shown = view(&dir, &[&path.to_string_lossy()]);
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
    assert_eq!((count(&shown.out, " worked  n="), count(&shown.out, " failed  n=")), (500, 3), "{}", shown.out);
    assert!(shown.out.contains("reason slow orders"), "{}", shown.out);
    assert_eq!(view(&dir, &["verify", &path.to_string_lossy()]).code, Some(0));
    // It continues with the same ring.
    recorder.tell("info 7");
    let ring = recorder.ring().to_string_lossy().into_owned();
    let run = view(&dir, &["snapshot", &ring, "-o", "."]);
    let both = view(&dir, &[&path.to_string_lossy(), &made(&dir, &run).to_string_lossy()]);
    assert_eq!((count(&both.out, " worked  n="), count(&both.out, " failed  n=")), (507, 3), "{}", both.out);
}

#[test]
fn snapshot_of_a_dead_process_and_of_a_ring_without_a_name() {
    let dir = directory("snapshot_dead");
    let mut recorder = Recorder::start(&dir, &[]);
    recorder.tell("info 5");
    let (pid, ring) = (recorder.pid().to_string(), recorder.ring());
    // Without a name, it is found only through the process. That is stopped meanwhile, because it would move the ring
    // to another file.
    let process = rustix::process::Pid::from_raw(recorder.pid().cast_signed()).expect("not 0");
    rustix::process::kill_process(process, rustix::process::Signal::STOP).expect("our own child");
    std::fs::rename(&ring, dir.join("kept")).expect("our own file");
    std::fs::hard_link(dir.join("kept"), dir.join("linked")).expect("a link");
    std::fs::remove_file(dir.join("kept")).expect("our own file");
    let run = view(&dir, &["snapshot", &pid, "-o", "."]);
    assert_eq!(count(&view(&dir, &[&made(&dir, &run).to_string_lossy()]).out, " worked  n="), 5);
    std::fs::rename(dir.join("linked"), &ring).expect("our own file");
    rustix::process::kill_process(process, rustix::process::Signal::CONT).expect("our own child");
    assert!(!recorder.end("abort").success());
    let rings = dir.join("rings");
    let found = std::process::Command::new(env!("CARGO_BIN_EXE_ttlog-view"))
        .args(["snapshot", &pid, "-o", "."])
        .current_dir(&dir)
        .env("TTLOG_DIR", &rings)
        .output()
        .expect("the program can be run");
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    assert!(ring.exists(), "a snapshot leaves the ring where it is");
    let printed = String::from_utf8(found.stdout).expect("a path");
    let shown = view(&dir, &[printed.trim_end()]).out;
    assert!(shown.contains("\n   process: ") && !shown.contains("running"), "{shown}");
    let run = view(&dir, &["snapshot", &pid, "-o", "."]);
    assert_eq!((run.code, run.out.as_str()), (Some(2), ""));
    assert!(run.err.contains(&format!("no process {pid} runs here")), "{}", run.err);
}

#[test]
fn snapshot_says_why_there_is_none() {
    let dir = directory("snapshot_none");
    support::write(&dir, "text", b"hello");
    support::write(&dir, "crash.bin", &support::shop(1).snapshot("manual", 0, ttlog_core::snapshot::Codec::Lz4));
    support::write(&dir, "shop.ring", &support::shop(1).image());
    let own = std::process::id().to_string();
    for (arguments, message) in [
        (&["snapshot", "missing"][..], "missing: No such file"),
        (&["snapshot", "text"], "text: is not a ring"),
        (&["snapshot", "crash.bin"], "crash.bin: is a snapshot, not a ring"),
        (&["snapshot", "."], "not a regular file"),
        (&["snapshot", &own], "has no ring that can be found: it has none mapped"),
        (&["snapshot", "shop.ring", "-o", "missing"], "missing: No such file"),
    ] {
        let run = view(&dir, arguments);
        assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(run.err.contains(message), "{arguments:?}: {}", run.err);
    }
}

#[test]
fn a_ring_that_its_process_let_go_of_by_exec_is_recovered() {
    let dir = directory("exec");
    let mut recorder = Recorder::start(&dir, &[]);
    recorder.tell("info 4");
    let ring = recorder.ring();
    assert!(view(&dir, &["rings"]).out.contains("ring of a running process"));
    recorder.tell("exec");
    // The answer came before the exec itself.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while view(&dir, &["rings"]).out.contains("ring of a running process") {
        assert!(std::time::Instant::now() < deadline, "exec does not come");
    }
    let shown = view(&dir, &["rings"]).out;
    assert!(shown.contains("ring that its process has let go of"), "{shown}");
    let run = view(&dir, &["recover", "rings", "-o", ".", "--remove"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.out.contains("recovered 4 events"), "{}", run.out);
    assert!(!ring.exists());
}

/// Ids are given again: the ring of an earlier process is not that of the present one.
#[test]
fn id_that_another_process_has_by_now() {
    let dir = directory("reused");
    let pid = std::process::id();
    let process = ttlog_core::ProcessInfo { pid: pid.into(), process_start: 1, host: "", ..support::SHOP };
    let earlier = support::Recording::on_a_server(1, 4, 0, 512, &process);
    std::fs::create_dir(dir.join("rings")).expect("a directory");
    support::write(&dir, "rings/earlier.ring", &earlier.image());
    for arguments in [&["snapshot", "-o", "."][..], &["level"], &["doctor"]] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ttlog-view"));
        command.args(arguments).arg(pid.to_string()).current_dir(&dir).env("TTLOG_DIR", dir.join("rings"));
        let output = command.output().expect("the program can be run");
        let message = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(&format!("process {pid} runs, but has no ring that can be found")), "{message}");
        assert!(
            message.contains("another process had or has this id") && message.contains("earlier.ring"),
            "{message}"
        );
    }
    assert_eq!(view(&dir, &["snapshot", "rings/earlier.ring", "-o", "."]).code, Some(0));
}

#[test]
fn how_a_process_ended_is_told() {
    let dir = directory("ended");
    for (command, signal, expected) in [
        ("abort", Some(6), "ended by SIGABRT in thread "),
        ("segv", Some(11), "ended by SIGSEGV (no memory there) at address 0x10 in thread "),
        ("exit 0", None, "ended by exit(0) in thread "),
        ("exit 3", None, "ended by exit(3) in thread "),
    ] {
        let mut recorder = Recorder::start(&dir, &[]);
        recorder.tell("info 1");
        let ring = recorder.ring();
        let status = recorder.end(command);
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), signal, "{command}: {status}");
        let run = view(&dir, &[&ring.to_string_lossy()]);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
        let line =
            run.out.lines().find_map(|line| line.strip_prefix("   process: ")).expect("a line about the process");
        assert!(line.starts_with(expected), "{command}: {line}");
        std::fs::remove_file(ring).expect("our own file");
    }
    let mut recorder = Recorder::start(&dir, &[]);
    recorder.tell("panic");
    let (pid, ring) = (recorder.pid(), recorder.ring().to_string_lossy().into_owned());
    let sent = std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status().expect("kill is there");
    assert!(sent.success());
    recorder.wait();
    let shown = view(&dir, &[&ring]).out;
    let expected = "process: ended by SIGTERM (sent by process ";
    assert!(shown.contains(expected) && shown.contains("; 1 panic in thread "), "{shown}");
}

#[test]
fn level_changes_what_a_running_process_records() {
    let dir = directory("level");
    let mut recorder = Recorder::start(&dir, &[("TTLOG_LEVEL", "info")]);
    let pid = recorder.pid().to_string();
    let level = |arguments: &[&str]| {
        let run = view(&dir, &[&["level", &pid], arguments].concat());
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{arguments:?}");
        run.out
    };
    assert_eq!(level(&[]), "info\n");
    recorder.tell("debug 1");
    assert_eq!(level(&["off,processes::support=debug"]), "off,processes::support=debug\n");
    recorder.tell("debug 10");
    assert_eq!(level(&["error,processes=off,processes::support::live=error"]), level(&[]));
    recorder.tell("info 100");
    recorder.tell("error 1000");
    let ring = recorder.ring().to_string_lossy().into_owned();
    assert_eq!(view(&dir, &["level", &ring, "trace"]).out, "trace\n");
    let shown = view(&dir, &["rings", "--stats", "--group-by", "level"]).out;
    let counts: Vec<_> = shown.lines().filter_map(|line| line.split_ascii_whitespace().next()).collect();
    assert_eq!(counts[1..3], ["1,000", "10"], "{shown}");
    assert!(view(&dir, &["verify", &ring]).out.contains("\n  level: trace\n"));
    // Simultaneous requests do not keep each other from being answered. On a busy machine, one can see no answer in
    // time.
    let ask = |directives: &'static str| {
        let (dir, pid) = (dir.clone(), pid.clone());
        std::thread::spawn(move || view(&dir, &["level", &pid, directives]))
    };
    let runs = [ask("warn"), ask("info"), ask("debug")].map(|thread| thread.join().expect("an answer"));
    let errors: Vec<_> =
        runs.iter().filter(|run| run.code != Some(0)).map(|run| (run.code, run.err.as_str())).collect();
    assert!(errors.len() < 3, "{errors:?}");
    for (code, line) in errors {
        assert!(code == Some(1) && (line.contains("did not answer") || line.contains("try again")), "{code:?} {line}");
    }
}

#[test]
fn packages_with_dashes_are_named_as_cargo_spells_them() {
    let dir = directory("dashes");
    let mut recorder = Recorder::start(&dir, &[("TTLOG_FILTER", "warn,my-crate=debug")]);
    let pid = recorder.pid().to_string();
    let counted = |filter: &str| view(&dir, &["rings", "-q", "--filter", filter]).out.lines().count();
    recorder.tell("debug 5");
    recorder.tell("crate 3");
    assert_eq!(counted("target=my-crate"), 3);
    assert_eq!(counted("target=my-crate::net"), 3);
    assert_eq!(counted("target!=my-crate"), 0);
    assert_eq!(counted("target=my-crate::ne"), 0);
    let directives = "warn,my-crate::net=off";
    assert_eq!(view(&dir, &["level", &pid, directives]).out, format!("{directives}\n"));
    recorder.tell("crate 3");
    assert_eq!(counted("target=my_crate"), 3);
}

#[test]
fn level_says_why_it_was_not_changed() {
    let dir = directory("level_refused");
    support::write(&dir, "shop.ring", &support::shop(1).image());
    let run = view(&dir, &["level", "1", "info,net=loud"]);
    assert_eq!((run.code, run.out.as_str()), (Some(2), ""));
    assert!(run.err.contains("unknown level") && run.err.contains("info,net=loud\n           ^"), "{}", run.err);
    let run = view(&dir, &["level", "shop.ring", "info"]);
    assert_eq!(run.code, Some(2));
    assert!(
        run.err.contains("cannot determine whether process 4711 on web-3 is running; ask on its host"),
        "{}",
        run.err
    );
    let run = view(&dir, &["level", "shop.ring"]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("takes no requests"), "{}", run.err);

    let mut recorder = Recorder::start(&dir, &[]);
    let pid = recorder.pid().to_string();
    let process = rustix::process::Pid::from_raw(pid.parse().expect("a number")).expect("not 0");
    rustix::process::kill_process(process, rustix::process::Signal::STOP).expect("our own child");
    let run = view(&dir, &["level", &pid, "error"]);
    rustix::process::kill_process(process, rustix::process::Signal::CONT).expect("our own child");
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{}", run.err);
    let expected = format!("process {pid} did not answer within 2 s: it is stopped. The request stays");
    assert!(run.err.contains(&expected), "{}", run.err);
    // As documented: once the process wakes up, it sees the request.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while view(&dir, &["level", &pid]).out != "error\n" {
        assert!(std::time::Instant::now() < deadline, "the request is lost");
    }
    // A process whose recorder was shut down, and one that is gone.
    recorder.tell("shutdown");
    let run = view(&dir, &["level", &pid, "info"]);
    assert_eq!(run.code, Some(2), "{}", run.out);
    let mut recorder = Recorder::start(&dir, &[]);
    recorder.tell("info 1");
    let ring = recorder.ring().to_string_lossy().into_owned();
    recorder.end("abort");
    let run = view(&dir, &["level", &ring, "info"]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("is gone and cannot answer"), "{}", run.err);
}

#[test]
fn another_user_is_told_so() {
    use std::os::unix::process::CommandExt as _;
    if !rustix::process::geteuid().is_root() {
        return support::skip("another_user_is_told_so: only root can act for another user");
    }
    let dir = std::env::temp_dir().join(format!("ttlog-view-other-user-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).expect("our own directory");
    let program = support::copy_of_viewer(&dir);
    let recorder = Recorder::start(&dir, &[]);
    for arguments in [vec!["snapshot"], vec!["level"], vec!["level", "info"]] {
        let mut command = std::process::Command::new(&program);
        command.arg(arguments[0]).arg(recorder.pid().to_string()).args(&arguments[1..]).uid(65_534).gid(65_534);
        let output = command.current_dir("/").output().expect("the program can be run");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains("its files cannot be seen (it belongs to user 0), and"), "{message}");
    }
    // By their path, too: the ring, and the directory in which it is.
    let (ring, rings) = (recorder.ring(), dir.join("rings"));
    let name = |path: &Path| path.to_string_lossy().into_owned();
    let refused = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&program);
        let output = command.args(arguments).uid(65_534).gid(65_534).current_dir("/").output().expect("a program");
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
    };
    for arguments in [
        &[name(&ring).as_str()][..],
        &[&name(&rings)],
        &["snapshot", &name(&ring)],
        &["level", &name(&ring), "info"],
        &["verify", &name(&ring)],
        &["recover", &name(&rings)],
        &["doctor", &name(&rings)],
    ] {
        let message = refused(arguments);
        let whose = if arguments.ends_with(&[&name(&rings)]) { "it".to_owned() } else { name(&rings) };
        assert!(
            message.contains(&format!("denied (os error 13); {whose} belongs to user 0, and you are user 65534")),
            "{arguments:?}: {message}"
        );
    }
    std::fs::set_permissions(&rings, std::fs::Permissions::from_mode(0o755)).expect("our own directory");
    for arguments in [&["snapshot", &name(&ring)][..], &["recover", &name(&rings)], &[&name(&rings)]] {
        let message = refused(arguments);
        assert!(message.contains("denied (os error 13); it belongs to user 0"), "{arguments:?}: {message}");
    }
    std::fs::set_permissions(&ring, std::fs::Permissions::from_mode(0o644)).expect("our own file");
    let message = refused(&["level", &name(&ring), "info"]);
    let expected = "it belongs to user 0, and you are user 65534: only the user that owns the ring may ask";
    assert!(message.contains(expected), "{message}");
    std::fs::remove_dir_all(&dir).expect("our own directory");
}

#[test]
fn new_user_can_use_what_was_handed_over() {
    use std::os::unix::process::CommandExt as _;
    if !rustix::process::geteuid().is_root() {
        return support::skip("new_user_can_use_what_was_handed_over: only root can act for another user");
    }
    let dir = std::env::temp_dir().join(format!("ttlog-view-handed-over-{}", std::process::id()));
    for path in [dir.clone(), dir.join("snapshots")] {
        std::fs::create_dir_all(&path).expect("a directory");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own directory");
    }
    let program = support::copy_of_viewer(&dir);
    let mut recorder = Recorder::start(&dir, &[]);
    recorder.tell("info 5");
    recorder.tell("hand_over 65534");
    recorder.tell("panic");
    let rings = dir.join("rings/ttlog-65534");
    let ring = Recorder::rings_in(&rings)[0].to_string_lossy().into_owned();
    let as_nobody = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&program);
        command.args(arguments).uid(65_534).gid(65_534).current_dir("/").env("TTLOG_DIR", dir.join("rings"));
        let output = command.output().expect("the program can be run");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    // Its mappings cannot be seen, but its lock.
    assert!(as_nobody(&[&ring]).contains("ring of a running process of shop"));
    assert_eq!(as_nobody(&["level", &ring, "warn"]), "warn\n");
    assert_eq!(as_nobody(&["level", &recorder.pid().to_string()]), "warn\n");
    // For root, who sees everything, the directory of the snapshots is the one that is used now.
    let snapshots = dir.join("snapshots/ttlog-65534");
    let text = view(&dir, &["doctor", &ring, "--color", "never"]).out;
    assert!(text.contains(&format!("snapshots {}\n", snapshots.display())), "{text}");
    std::fs::remove_dir_all(&dir).expect("our own directory");
}
