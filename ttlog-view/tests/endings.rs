//! How processes ended, according to the files they left.

mod support;

use serde_json::Value as Json;
use ttlog_core::ProcessInfo;
use ttlog_core::ring::{EndKind, ProcessEnd};
use ttlog_core::snapshot::Codec;

use support::{Recording, SECOND, SHOP, START, Thread, directory, view, write};

const DEAD: ProcessInfo<'static> = ProcessInfo { os: "Linux 6.1", ..SHOP };

fn recording() -> Recording {
    let recording = Recording::on_a_server(1, 8, 0, 1024, &DEAD);
    recording.tick(&Thread::new(3, "worker"), SECOND, 1);
    recording
}

fn segv() -> ProcessEnd {
    ProcessEnd {
        signal: 11,
        code: 1,
        ticks: 2 * SECOND,
        unix_ns: START + 2_000_000_000,
        os_thread_id: 103,
        context: 3,
        ..ProcessEnd::of(EndKind::Signal)
    }
}

/// Returns the line about the process above the events.
fn line(name: &str, dir: &std::path::Path) -> Option<String> {
    let run = view(dir, &[name]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    run.out.lines().find_map(|line| line.strip_prefix("   process: ").map(str::to_owned))
}

#[test]
fn ends_in_a_sentence() {
    let dir = directory("endings");
    let sent = ProcessEnd { signal: 15, code: 0, sender_pid: 1, sender_uid: 0, context: 0, os_thread_id: 0, ..segv() };
    let abort = ProcessEnd { signal: 6, code: -6, ..segv() };
    let exit = ProcessEnd { signal: 0, code: 3, context: 0, ..ProcessEnd { kind: EndKind::Exit, ..segv() } };
    for (end, expected) in [
        (
            segv(),
            "ended by SIGSEGV (no memory there) at address 0x0 in thread 103 `worker`, 2026-01-31 02:59:02.000000",
        ),
        (
            ProcessEnd { address: 0xdead, code: 2, ..segv() },
            "ended by SIGSEGV (no permission for that memory) at address 0xdead in",
        ),
        (sent, "ended by SIGTERM (sent by process 1 of user 0), 2026-01-31 02:59:02.000000"),
        (abort, "ended by SIGABRT in thread 103 `worker`, 2026-01-31 02:59:02.000000"),
        (exit, "ended by exit(3) in thread 103 `worker`, 2026-01-31 02:59:02.000000"),
        (ProcessEnd { code: ProcessEnd::STATUS_UNKNOWN, ..exit }, "ended by exit() in thread 103 `worker`"),
        (ProcessEnd { signal: 64, code: -6, ..segv() }, "ended by signal 64 in thread 103 `worker`"),
        (
            ProcessEnd { signal: 15, code: 0, sender_uid: 7, ..segv() },
            "ended by SIGTERM (sent from another pid namespace, by user 7) in thread 103 `worker`",
        ),
        (ProcessEnd { unix_ns: 0, ..segv() }, "in thread 103 `worker`, 2026-01-31 02:59:02.000000"),
        (ProcessEnd::of(EndKind::Unfinished), "was ending, and did not get to say how"),
        (ProcessEnd::of(EndKind::Other(77)), "was ending, and did not get to say how"),
    ] {
        let recording = recording();
        assert!(recording.ring.stamp_end(&end));
        write(&dir, "ring", &recording.image());
        write(&dir, "made.bin", &recording.snapshot("recovered", 0, Codec::Lz4));
        for name in ["ring", "made.bin"] {
            let line = line(name, &dir).expect("a line");
            assert!(line.contains(expected), "{name}: {line}");
        }
    }
}

#[test]
fn silence_panics_and_good_order() {
    let dir = directory("silence");
    let quiet = recording();
    write(&dir, "quiet", &quiet.snapshot("recovered", 0, Codec::Lz4));
    let silent = "gone without a word: SIGKILL, out of memory, _exit, exec or loss of power";
    assert_eq!(line("quiet", &dir).as_deref(), Some(silent));
    write(&dir, "taken", &quiet.snapshot("manual", 2 * SECOND, Codec::Lz4));
    assert_eq!(line("taken", &dir), None);
    quiet.ring.count_panic(3 * SECOND, 103);
    write(&dir, "one", &quiet.snapshot("recovered", 0, Codec::Lz4));
    let one = format!("{silent}; 1 panic in thread 103 `worker`, 2026-01-31 02:59:03.000000");
    assert_eq!(line("one", &dir), Some(one));
    quiet.ring.count_panic(4 * SECOND, 0);
    write(&dir, "two", &quiet.snapshot("panic", 4 * SECOND, Codec::Lz4));
    let two = "was running when the snapshot was made; 2 panics, the last, 2026-01-31 02:59:04.000000";
    assert_eq!(line("two", &dir).as_deref(), Some(two));

    let ended = recording();
    ended.ring.mark_ended();
    write(&dir, "ended", &ended.image());
    assert_eq!(line("ended", &dir).as_deref(), Some("shut down in good order"));
    ended.ring.stamp_end(&segv());
    write(&dir, "both", &ended.image());
    let both = line("both", &dir).expect("a line");
    assert!(both.starts_with("shut down in good order, then ended by SIGSEGV"), "{both}");

    // A ring that has no room for it says nothing of it.
    let small = Recording::of(1, 8, 1024, &DEAD);
    small.know_shop();
    small.tick(&Thread::new(1, "t"), SECOND, 1);
    write(&dir, "small", &small.image());
    assert_eq!(line("small", &dir), None);
}

#[test]
fn the_end_is_in_verify_and_in_counts() {
    let dir = directory("ending_elsewhere");
    let recording = recording();
    recording.ring.stamp_end(&segv());
    recording.ring.count_panic(SECOND, 103);
    write(&dir, "ring", &recording.image());
    let expected = "process: ended by SIGSEGV (no memory there) at address 0x0 in thread 103 `worker`, ";
    let verify = view(&dir, &["verify", "ring"]).out;
    assert!(verify.contains(&format!("\n  {expected}")), "{verify}");
    let stats = view(&dir, &["ring", "--stats"]).out;
    assert!(stats.contains(&format!("nothing lost; {expected}")), "{stats}");
    let json: Json = serde_json::from_str(&view(&dir, &["ring", "--stats", "--format", "json"]).out).expect("JSON");
    let process = &json["sources"][0]["process"];
    assert_eq!((&process["state"], &process["signal"]), (&"signal".into(), &"SIGSEGV".into()));
    assert_eq!((&process["address"], &process["thread_id"], &process["panics"]), (&0.into(), &103.into(), &1.into()));
    assert!(process["text"].as_str().expect("text").starts_with("ended by SIGSEGV"), "{process}");
}
