//! Several recordings in one file, or on standard input: each is shown with its own names, process, clock and losses.

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ttlog_core::event::{Cons, Field, Metadata, Nil};
use ttlog_core::snapshot::{Codec, encode_item, recordings};
use ttlog_core::{Level, ProcessInfo};

use support::device::{BUILD_ID, dump_frames, dump_lines, motor, motor_elf};
use support::{Recording, Run, SECOND, SHOP, START, Thread, directory, shop, view, wrapped, write};

/// The message of another program under the id that the shop uses for its first message.
static OTHER: Metadata = Metadata {
    level: Level::Warn,
    target: "bank",
    message: "other",
    file: "src/bank.rs",
    line: 1,
    fields: &[Field::dynamic("y")],
};
const BANK: ProcessInfo<'static> = ProcessInfo { service: "bank", pid: 99, host: "web-4", ..SHOP };
/// A day before the start of the shop.
const BANK_START: i64 = START - 86_400_000_000_000;

/// Returns a recording of another program, whose callsite 1 is another one, and whose clock started elsewhere.
fn bank(ring_id: u64) -> Recording {
    let recording =
        Recording::dated(ring_id, 4, 512, &BANK, &[(0, BANK_START), (100 * SECOND, BANK_START + 100_000_000_000)]);
    recording.callsite(1, &OTHER, Cons(0f64, Nil));
    let thread = Thread::new(1, "teller");
    for n in 0..3 {
        recording.event(&thread, SECOND + n, 1, Cons(0.5 + n as f64, Nil));
    }
    recording
}

fn snapshot(recording: &Recording) -> Vec<u8> {
    recording.snapshot("manual", 10 * SECOND, Codec::Lz4)
}

/// Returns the events shown as NDJSON, without the name of the file.
fn events(run: &Run) -> Vec<String> {
    let without_source = |line: &str| {
        let (start, rest) = line.split_once(",\"source\":").expect("a source");
        format!("{start}{}", rest.split_once(",\"fields\"").expect("fields").1)
    };
    let mut events: Vec<_> = run.out.lines().map(without_source).collect();
    events.sort();
    events
}

/// Runs the program with bytes on its standard input.
fn view_stdin(directory: &Path, arguments: &[&str], bytes: &[u8]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ttlog-view"))
        .args(arguments)
        .current_dir(directory)
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be run");
    let mut stdin = child.stdin.take().expect("a pipe");
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads everything");
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("output is UTF-8"),
        err: String::from_utf8(output.stderr).expect("output is UTF-8"),
    }
}

/// Whatever the kinds and their order: one file shows what its parts show as separate files, and so does a pipe.
#[test]
fn one_file_shows_what_its_parts_show() {
    let dir = directory("several_parts");
    let kinds = [
        ("a.bin", snapshot(&shop(1))),
        ("b.bin", bank(2).snapshot("panic", 10 * SECOND, Codec::None)),
        ("c.ring", wrapped(3).image()),
        ("d.ring", bank(4).image()),
        ("e.bin", Recording::on_a_server(5, 4, 1, 512, &BANK).snapshot("panic", 0, Codec::Lz4)),
    ];
    for (name, bytes) in &kinds {
        write(&dir, name, bytes);
    }
    for (first, first_bytes) in &kinds {
        for (second, second_bytes) in &kinds {
            for between in [vec![], vec![0; 100]] {
                let both = [&first_bytes[..], &between, second_bytes].concat();
                write(&dir, "both", &both);
                let expected = events(&view(&dir, &[first, second, "--format", "ndjson"]));
                let run = view(&dir, &["both", "--format", "ndjson"]);
                assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{first} and {second}");
                assert_eq!(events(&run), expected, "{first} and {second}");
                let run = view_stdin(&dir, &["-", "--format", "ndjson"], &both);
                assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{first} and {second}");
                assert_eq!(events(&run), expected, "{first} and {second}");
                for run in [view(&dir, &["verify", "both"]), view_stdin(&dir, &["verify", "-"], &both)] {
                    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{first} and {second}: {}", run.out);
                    assert_eq!(run.out.matches(": intact\n").count(), 2, "{}", run.out);
                }
            }
        }
    }
    let all: Vec<u8> = kinds.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    write(&dir, "all", &all);
    let names = kinds.each_ref().map(|(name, _)| *name);
    let expected = events(&view(&dir, &[&names[..], &["--format", "ndjson"]].concat()));
    assert_eq!(events(&view(&dir, &["all", "--format", "ndjson"])), expected);
    let sources = view(&dir, &["all", "--stats", "--format", "ndjson"]).out;
    for (number, service) in [(1, "shop"), (2, "bank"), (3, "shop"), (4, "bank"), (5, "bank")] {
        let line = sources.lines().find(|line| line.contains(&format!("all (recording {number})"))).expect("a source");
        assert!(line.contains(&format!("\"service\":\"{service}\"")), "{line}");
    }
}

#[test]
fn text_of_two_recordings() {
    let dir = directory("several_text");
    let both = [snapshot(&shop(1)), b"12345".to_vec(), snapshot(&wrapped(2)), snapshot(&bank(3))].concat();
    write(&dir, "both.bin", &both);
    let run = view(&dir, &["both.bin", "--filter", "level>=INFO", "--limit", "6"]);
    support::compare("several.txt", &format!("{}{}", run.err, run.out));
    assert_eq!(run.code, Some(1), "the bytes between them are reported");
}

/// The second is cut off anywhere: the first is whole, and nothing is shown under the names of another.
#[test]
fn second_is_cut_off() {
    let dir = directory("several_cut");
    let (first, second) = (snapshot(&shop(1)), snapshot(&bank(2)));
    write(&dir, "a.bin", &first);
    let whole = events(&view(&dir, &["a.bin", "--format", "ndjson"]));
    for len in (1..second.len()).step_by(41) {
        let both = [&first[..], &second[..len]].concat();
        let run = view_stdin(&dir, &["-", "--format", "ndjson"], &both);
        let shown = events(&run);
        assert_eq!(run.code, Some(1), "cut at {len}");
        assert!(!run.err.is_empty() || run.out.contains("bank"), "cut at {len}: nothing is reported");
        let of_bank = |event: &&String| event.contains("\"target\":\"bank\"");
        assert_eq!(shown.iter().filter(|event| !of_bank(event)).cloned().collect::<Vec<_>>(), whole, "cut at {len}");
        assert!(shown.iter().filter(of_bank).all(|event| event.contains("\"pid\":99")), "cut at {len}");
        let run = view_stdin(&dir, &["verify", "-"], &both);
        assert_eq!(run.code.map(|code| code > 0), Some(true), "cut at {len}: {}", run.out);
        assert!(run.out.contains(": intact\n"), "cut at {len}: {}", run.out);
    }
}

/// A program appends recordings, and a crash cuts one off: the next is whole.
#[test]
fn first_is_cut_off() {
    let dir = directory("several_first_cut");
    let (first, second) = (snapshot(&shop(1)), snapshot(&bank(2)));
    write(&dir, "b.bin", &second);
    let whole = events(&view(&dir, &["b.bin", "--format", "ndjson"]));
    for (first, from) in [(first, 300), (shop(1).image(), 200)] {
        for len in (from..first.len()).step_by(first.len() / 37) {
            write(&dir, "both.bin", &[&first[..len], &second].concat());
            let run = view(&dir, &["both.bin", "--format", "ndjson"]);
            assert_eq!(run.code, Some(1), "cut at {len}");
            let of_bank: Vec<_> = events(&run).into_iter().filter(|event| event.contains("\"pid\":99")).collect();
            assert_eq!(of_bank, whole, "cut at {len}");
        }
    }
}

#[test]
fn same_recording_twice_is_shown_once() {
    let dir = directory("several_same");
    let bytes = snapshot(&shop(1));
    write(&dir, "a.bin", &bytes);
    write(&dir, "twice.bin", &bytes.repeat(2));
    let (once, twice) = (view(&dir, &["a.bin"]), view(&dir, &["twice.bin"]));
    assert_eq!(twice.code, Some(0));
    assert!(once.out.contains(": 9 events\n"), "{}", once.out);
    assert!(
        twice.out.contains("twice.bin (recording 1)") && twice.out.contains("twice.bin (recording 2)"),
        "{}",
        twice.out
    );
    assert!(twice.out.contains(": 0 events and 9 that another recording has too\n"), "{}", twice.out);
    let count = |arguments: &[&str]| view(&dir, &[arguments, &["--format", "ndjson"]].concat()).out.lines().count();
    assert_eq!((count(&["a.bin"]), count(&["twice.bin"]), count(&["twice.bin", "--duplicates"])), (9, 9, 18));
}

fn item(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; body.len() + 20];
    let len = encode_item(kind, body, &mut bytes).expect("room enough");
    bytes.truncate(len);
    bytes
}

/// Inserts a table entry after the header of a snapshot.
fn with_entry(snapshot: &[u8], entry: &[u8]) -> Vec<u8> {
    let header_len = 20 + u32::from_be_bytes([11, 12, 13, 14].map(|at| snapshot[at])) as usize;
    let process_len = 20 + u32::from_be_bytes([11, 12, 13, 14].map(|at| snapshot[header_len + at])) as usize;
    let (start, rest) = snapshot.split_at(header_len + process_len);
    [start, &item(1, entry), rest].concat()
}

#[test]
fn id_defined_twice_is_damage() {
    let dir = directory("several_ids");
    let entry = |id, metadata: &Metadata| {
        let mut room = [0; 512];
        let len =
            ttlog_core::encode_callsite(id, metadata, <Cons<f64, Nil> as ttlog_core::Fields>::SPLIT_TYPES, &mut room);
        room[..len.expect("room enough")].to_vec()
    };
    let good = snapshot(&bank(1));
    // The same again is no contradiction.
    write(&dir, "same.bin", &with_entry(&good, &entry(1, &OTHER)));
    let run = view(&dir, &["same.bin"]);
    assert!(run.out.contains("WARN teller bank: other  y=1.5") && !run.out.contains("differently"), "{}", run.out);
    let another = Metadata { message: "something else", ..OTHER };
    write(&dir, "twice.bin", &with_entry(&good, &entry(1, &another)));
    let run = view(&dir, &["twice.bin", "--show-secrets"]);
    assert_eq!(run.code, Some(1));
    assert!(!run.out.contains("bank: ") && !run.out.contains("something else"), "{}", run.out);
    assert!(run.out.contains("damaged: offset "), "{}", run.out);
    assert!(run.out.contains("callsite 1 is defined twice, differently; its events have no names"), "{}", run.out);
    assert!(run.out.contains("[damaged: callsite 1 is defined twice, differently; bytes 0x"), "{}", run.out);
    let run = view(&dir, &["verify", "twice.bin"]);
    assert_eq!(run.code, Some(1));
    assert!(run.out.contains("DAMAGED, but usable"), "{}", run.out);
    // A filter cannot match names that are not known.
    assert!(!view(&dir, &["twice.bin", "-q", "--filter", "target=bank"]).out.contains("teller"));

    // In a ring too.
    let ring = bank(1);
    ring.callsite(1, &another, Cons(0f64, Nil));
    write(&dir, "twice.ring", &ring.image());
    let run = view(&dir, &["verify", "twice.ring"]);
    assert_eq!(run.code, Some(1));
    assert!(run.out.contains("callsite 1 is defined twice, differently"), "{}", run.out);

    // A second process, and the first again.
    let ring = bank(1);
    for process in [&SHOP, &BANK] {
        let mut room = [0; 512];
        let len = ttlog_core::encode_process(process, &mut room).expect("room enough");
        ring.ring.append_entry(&room[..len]).expect("room in the table");
    }
    write(&dir, "processes.ring", &ring.image());
    let run = view(&dir, &["verify", "processes.ring"]);
    assert_eq!(run.code, Some(1));
    assert!(run.out.contains("by: unknown") && run.out.contains("another process than before"), "{}", run.out);
}

#[test]
fn recordings_of_devices_in_one_file() {
    let dir = directory("several_devices");
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    let (ram, ring) = (motor().ram(), motor().ring());
    let frames: Vec<u8> = dump_frames(1, &ring, BUILD_ID).concat();
    let lines = dump_lines(2, &ring, BUILD_ID).into_bytes();
    let count = |bytes: &[u8], options: &[&str]| {
        write(&dir, "file", bytes);
        let run = view(&dir, &[&["file", "--elf", "motor.elf", "--format", "ndjson"], options].concat());
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
        let piped = view_stdin(&dir, &[&["-", "--elf", "motor.elf", "--format", "ndjson"], options].concat(), bytes);
        assert_eq!((piped.code, events(&piped)), (Some(0), events(&run)));
        run.out.lines().count()
    };
    let events_once = count(&ram, &[]);
    assert_eq!(events_once, count(&ring, &[]));
    let server = snapshot(&shop(1));
    for (first, second) in [
        (&ram, &ram),
        (&ring, &ring),
        (&ram, &ring),
        (&ring, &ram),
        (&frames, &frames),
        (&frames, &lines),
        (&lines, &frames),
        (&ring, &frames),
        (&frames, &ring),
    ] {
        let both = [&first[..], second].concat();
        assert_eq!(count(&both, &[]), events_once, "the same events, once");
        assert_eq!(count(&both, &["--duplicates"]), 2 * events_once);
    }
    for other in [&ring, &frames, &lines] {
        for both in [[&server[..], other].concat(), [&other[..], &server].concat()] {
            assert_eq!(count(&both, &[]), events_once + 9);
        }
    }
}

#[test]
fn dictionaries_in_one_file_are_firmwares_of_their_own() {
    let dir = directory("several_dictionaries");
    let other_id = [7; 20];
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    write(&dir, "ram", &motor().ram());
    let dictionary = |name: &str, elf: &[u8]| {
        write(&dir, "x.elf", elf);
        assert_eq!(view(&dir, &["dictionary", "x.elf", "-o", name]).code, Some(0));
        std::fs::read(dir.join(name)).expect("it was written")
    };
    let own = dictionary("own", &motor_elf(&BUILD_ID));
    let other = dictionary("other", &motor_elf(&other_id));
    let expected = view(&dir, &["ram", "--elf", "own", "--format", "ndjson"]);
    assert_eq!(expected.code, Some(0));
    for both in [[&own[..], &other].concat(), [&other[..], &own].concat()] {
        write(&dir, "both", &both);
        let run = view(&dir, &["ram", "--elf", "both", "--format", "ndjson"]);
        assert_eq!((run.code, run.out.replace("\"both\"", "\"own\"")), (Some(0), expected.out.clone()));
        let run = view(&dir, &["dictionary", "both", "-o", "again"]);
        assert_eq!(run.code, Some(2));
        assert!(run.err.contains("both: holds 2 firmwares, not one"), "{}", run.err);
        // They have no events of their own.
        let run = view(&dir, &["both"]);
        assert!(run.code != Some(0) && run.err.contains("a dictionary has names and no events"), "{}", run.err);
    }
}

/// A part that needs a newer reader costs itself only.
#[test]
fn newer_recording_among_others() {
    let dir = directory("several_newer");
    let newer = [item(0, &[0xA2, 0, 9, 1, 9]), item(2, b"something new"), item(3, &[0x82, 0, 1])].concat();
    write(&dir, "all", &[snapshot(&shop(1)), newer, snapshot(&bank(2))].concat());
    let run = view(&dir, &["all", "--format", "ndjson"]);
    assert_eq!((run.code, events(&run).len()), (Some(1), 12));
    assert!(run.err.contains("all (recording 2): offset ") && run.err.contains('9'), "{}", run.err);
}

#[test]
fn ring_in_a_longer_file_is_not_thrown_away() {
    let dir = directory("several_recover");
    std::fs::create_dir(dir.join("rings")).expect("a directory can be made");
    write(&dir.join("rings"), "both.ring", &[shop(1).image(), bank(2).image()].concat());
    let run = view(&dir, &["recover", "rings", "--output", ".", "--remove"]);
    assert_eq!(run.code, Some(1), "{}", run.out);
    assert!(run.err.contains("both.ring: not recovered: it holds 2 recordings"), "{}", run.err);
    assert!(dir.join("rings/both.ring").exists());
    let run = view(&dir, &["snapshot", "rings/both.ring", "-o", "."]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("both.ring: it holds 2 recordings"), "{}", run.err);
    let run = view(&dir, &["doctor", "rings"]);
    assert!([&run.out, &run.err].iter().any(|text| text.contains("both.ring: it holds 2 recordings")), "{}", run.out);
    assert_eq!(view(&dir, &["rings/both.ring", "--format", "ndjson"]).out.lines().count(), 12);
}

#[test]
fn compressed_files_are_named() {
    let dir = directory("several_compressed");
    for (magic, tool) in [
        (&b"\x1f\x8b\x08"[..], "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x04\x22\x4d\x18", "lz4"),
        (b"BZh9", "bzip2"),
    ] {
        write(&dir, "a.bin.z", &[magic, &[7; 100]].concat());
        let run = view(&dir, &["a.bin.z"]);
        let advice = format!("a.bin.z: compressed with {tool}; show it with `{tool} -dc FILE | ttlog-view -`");
        assert!(run.code == Some(2) && run.err.contains(&advice), "{}", run.err);
    }
}

/// A process writes to no copy of its ring.
#[cfg(target_os = "linux")]
#[test]
fn ring_after_another_recording_is_a_copy() {
    let dir = directory("several_running");
    let stat = std::fs::read_to_string("/proc/self/stat").expect("this is Linux");
    let start = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19)?.parse().ok());
    let pid = std::process::id().into();
    let process =
        ProcessInfo { service: "alive", pid, process_start: start.expect("field 22"), ..ProcessInfo::default() };
    let running = Recording::of(3, 2, 512, &process);
    write(&dir, "file", &[snapshot(&bank(2)), running.image()].concat());
    let run = view(&dir, &["file"]);
    assert!(run.out.contains("file (recording 2): ring") && !run.out.contains("running process"), "{}", run.out);
}

/// Many tiny recordings, which each claim much: time and memory are limited, and the rest is reported.
#[test]
fn many_tiny_recordings() {
    let dir = directory("several_many");
    let mut callsite = [0; 512];
    let types = <Cons<f64, Nil> as ttlog_core::Fields>::TYPES;
    let len = ttlog_core::encode_callsite(0xFFFD, &OTHER, types, &mut callsite).expect("room enough");
    let tiny = [item(0, &[0xA1, 0, 3]), item(1, &callsite[..len]), item(3, &[0x82, 1, 0])].concat();
    let file = tiny.repeat((4 << 20) / tiny.len());
    assert!(recordings(&file).count() > 20_000);
    write(&dir, "many", &file);
    let start = Instant::now();
    #[cfg(target_os = "linux")]
    let run = {
        // 1 GiB of address space.
        let script = "ulimit -v 1048576; exec \"$0\" many -q";
        let run = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_ttlog-view")])
            .current_dir(&dir)
            .output()
            .expect("a shell");
        (run.status.code(), String::from_utf8_lossy(&run.stderr).into_owned())
    };
    #[cfg(not(target_os = "linux"))]
    let run = {
        let run = view(&dir, &["many", "-q"]);
        (run.code, run.err)
    };
    assert!(start.elapsed() < Duration::from_secs(120), "took {:?}", start.elapsed());
    assert_eq!(run.0, Some(1), "{}", run.1);
    assert!(run.1.contains("the rest is not read, because there are more than 1,024 recordings"), "{}", run.1);
}
