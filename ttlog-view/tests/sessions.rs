//! Output of the sessions of devices, for all sources of their rings.

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use ttlog_core::RingImage;
use ttlog_core::device::frame::{Frame, FrameKind};
use ttlog_core::event::Nil;

use support::device::{BUILD_ID, Device, RAM, dump_frames, dump_lines, id, motor, motor_elf};
use support::{Run, compare, directory, view, write};

const OTHER_ID: [u8; 20] = *b"\xB2another firmware 2\x01";

/// Creates a directory with an image of RAM and the ELF file of its firmware.
fn motor_directory(name: &str) -> std::path::PathBuf {
    let dir = directory(name);
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    write(&dir, "RAM.bin", &motor().ram());
    dir
}

fn image(dir: &Path, more: &[&str]) -> Run {
    let base = format!("{RAM:#x}");
    view(dir, &[&["image", "RAM.bin", "--base", &base][..], more].concat())
}

fn ndjson(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON value per line")).collect()
}

#[test]
fn text_of_an_image() {
    let dir = motor_directory("device_text");
    let run = image(&dir, &["--elf", "motor.elf"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    compare("device.txt", &run.out);
    let run = image(&dir, &["--elf", "motor.elf", "-v", "-q"]);
    compare("device-verbose.txt", &run.out);
    // The base is not needed: without it, the ring is searched for.
    assert_eq!(view(&dir, &["image", "RAM.bin", "--elf", "motor.elf", "-v", "-q"]).out, run.out);
    assert_eq!(view(&dir, &["RAM.bin", "--elf", "motor.elf", "-v", "-q"]).out, run.out);
    // A dictionary yields the same as the ELF file.
    assert_eq!(view(&dir, &["dictionary", "motor.elf", "-o", "motor.dict"]).code, Some(0));
    assert_eq!(image(&dir, &["--dictionary", "motor.dict", "-v", "-q"]).out, run.out);
}

#[test]
fn json_filters_and_counts_of_sessions() {
    let dir = motor_directory("device_json");
    let run = image(&dir, &["--elf", "motor.elf", "--format", "ndjson"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let events = ndjson(&run.out);
    let of = |event: &Json| {
        (event["boot"].as_u64(), event["since_boot_ns"].as_u64(), event["message"].as_str().map(str::to_owned))
    };
    let expected = [
        (1, 1_000_000, "booted"),
        (1, 501_000_000, "turned to -100"),
        (1, 1_001_000_000, "turned to 0"),
        (1, 1_501_000_000, "turned to 100"),
        (1, 1_501_001_000, "stalled"),
        (2, 1_234_000, "booted"),
        (2, 1_235_000, "turned to 7"),
    ];
    let expected = expected.map(|(boot, ns, text)| (Some(boot), Some(ns), Some(text.to_owned())));
    assert_eq!(events.iter().map(of).collect::<Vec<_>>(), expected);
    assert_eq!((&events[0]["time"], &events[0]["unix_ns"]), (&Json::Null, &Json::Null));
    assert_eq!(events[0]["source"], "RAM.bin (boot 1)");
    assert_eq!(events[4]["fields"], serde_json::json!({"why": "over\u{1b}[31mload", "pin": {"withheld": true}}));
    let count =
        |filter: &str| image(&dir, &["--elf", "motor.elf", "--format", "ndjson", "-f", filter]).out.lines().count();
    assert_eq!((count("boot=1"), count("session=2"), count("boot>=1"), count("boot!=1")), (5, 2, 7, 2));
    assert_eq!((count("level=ERROR"), count("angle<0"), count("unit=left")), (1, 1, 2));
    let last = image(&dir, &["--elf", "motor.elf", "-q", "--limit", "1"]).out;
    assert_eq!(last, "boot 2 +0.001235 s DEBUG motor::drive: turned to 7  force=7\n");
    let stats = image(&dir, &["--elf", "motor.elf", "--stats", "--group-by", "boot,level"]).out;
    compare("device-stats.txt", &stats);
    let stats = image(&dir, &["--elf", "motor.elf", "--stats", "--format", "json"]).out;
    let stats: Json = serde_json::from_str(&stats).expect("one JSON value");
    assert_eq!(stats["sources"][1]["boot"], 2);
    assert_eq!(stats["sources"][1]["reset_reason"], 0x24);
    assert_eq!(stats["sources"][1]["build_id"], "a16669726d77617265206f6e6520303030310001");
}

#[test]
fn shown_times_of_a_device_can_be_copied() {
    let dir = motor_directory("device_times");
    let limited = |since: &str, until: &str| {
        let limits = ["--since", since, "--until", until];
        image(&dir, &[&["--elf", "motor.elf", "-q"][..], &limits].concat())
    };
    let all = image(&dir, &["--elf", "motor.elf", "-q"]).out;
    let shown: Vec<&str> = all.lines().filter_map(|line| line.split_once(" s ")).map(|(time, _)| time).collect();
    assert_eq!(shown.len(), 7, "{all}");
    for (n, time) in shown.iter().enumerate() {
        for form in [format!("{time} s"), format!("{time}s"), (*time).to_owned()] {
            let run = limited(&form, &form);
            assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{form}");
            assert_eq!(run.out.lines().collect::<Vec<_>>(), [all.lines().nth(n).expect("an event")], "{form}");
        }
    }
    let count = |since: &str, until: &str| limited(since, until).out.lines().count();
    assert_eq!((count("boot 2", "boot 2"), count("boot 1", "boot 1"), count("boot 1 +1 s", "boot 2")), (2, 5, 5));
    assert_eq!((count("-1s", "+1s"), count("boot 3", "boot 9")), (5, 0));
    // A device has no dates.
    for date in ["2026-01-31", "02:59"] {
        let run = limited(date, date);
        let line = "7 events have no wall-clock time (times of devices are -5s or `boot 2 +1.5 s`) and are left out";
        assert_eq!((run.code, run.out.as_str(), run.err), (Some(0), "", format!("ttlog-view: {line}\n")));
    }
    write(&dir, "shop.ring", &support::shop(1).image());
    let run = view(&dir, &["shop.ring", "-q", "--since", "boot 2"]);
    assert_eq!(
        (run.out.as_str(), run.err.as_str()),
        ("", "ttlog-view: 9 events have no time of a device and are left out\n")
    );
}

#[test]
fn a_session_is_shown_with_names_of_its_own_build_only() {
    let dir = directory("device_builds");
    let mut device = Device::new(8);
    device.boot(BUILD_ID, 0);
    device.turned(10, 1);
    device.boot(OTHER_ID, 0);
    device.turned(10, 2);
    write(&dir, "RAM.bin", &device.ram());
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    write(&dir, "other.elf", &motor_elf(&OTHER_ID));
    write(&dir, "wrong.elf", &motor_elf(&[9; 20]));
    let both = image(&dir, &["--elf", "motor.elf", "--elf", "other.elf", "-q"]);
    assert_eq!((both.code, both.err.as_str()), (Some(0), ""));
    assert_eq!(both.out.matches("turned to").count(), 2);
    // One of two: the other's events are there, with a message about the missing names.
    let one = image(&dir, &["--elf", "other.elf", "-q"]);
    assert_eq!(one.code, Some(1));
    let line = "boot 1: its events have no names: the firmware is build a16669726d77617265206f6e6520303030310001, \
                and given is b2616e6f74686572206669726d77617265203201 of other.elf";
    assert!(one.err.contains(line), "{}", one.err);
    assert_eq!(one.out.matches("turned to").count(), 1);
    assert!(one.out.contains("callsite 2 is not in the table"), "{}", one.out);
    // None: none of the given files is of any use.
    let none = image(&dir, &["--elf", "wrong.elf", "-q"]);
    assert_eq!(none.code, Some(2));
    write(&dir, "frames", &dump_frames(0, &device.ring(), OTHER_ID).concat());
    for (elf, code) in [("wrong.elf", 2), ("other.elf", 1)] {
        assert_eq!(view(&dir, &["serial", "frames", "--elf", elf, "-q"]).code, Some(code), "{elf}");
    }
    assert_eq!(none.out.matches("is not in the table").count(), 2, "{}", none.out);
    assert!(none.err.contains("given is 0909090909090909090909090909090909090909 of wrong.elf"), "{}", none.err);
    let plain = view(&dir, &["RAM.bin", "--elf", "wrong.elf"]);
    assert_eq!(plain.code, Some(2), "{}", plain.err);
    // Without any files.
    let without = image(&dir, &["-q"]);
    assert_eq!(without.code, Some(1));
    assert!(without.err.contains("boot 2: its events have no names without --elf, of build b2616e"), "{}", without.err);
}

#[test]
fn sessions_that_the_header_has_forgotten_are_told_by_their_segments() {
    let dir = directory("device_many");
    let mut device = Device::new(16);
    for boot in 0..9 {
        device.boot(if boot < 4 { OTHER_ID } else { BUILD_ID }, boot);
        device.turned(10, boot as i16);
    }
    write(&dir, "RAM.bin", &device.ram());
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    write(&dir, "other.elf", &motor_elf(&OTHER_ID));
    let run = image(&dir, &["--elf", "motor.elf", "--elf", "other.elf", "--format", "ndjson"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let angles: Vec<_> =
        ndjson(&run.out).iter().map(|event| (event["boot"].as_u64(), event["fields"]["angle"].as_i64())).collect();
    assert_eq!(angles, (0..9).map(|boot| (Some(boot + 1), Some(boot as i64))).collect::<Vec<_>>());
}

/// A reset while a segment is being opened can leave it without the tag of its build.
#[test]
fn a_forgotten_session_has_its_build_from_whichever_segment_tells_it() {
    let dir = directory("device_untagged");
    let mut device = Device::new(16);
    device.boot(OTHER_ID, 0);
    (0..20).for_each(|angle| device.turned(10, angle));
    for boot in 1..9 {
        device.boot(BUILD_ID, boot);
        device.turned(10, 100);
    }
    let mut ram = device.ram();
    let segments = ram.len() - 300 - 16 * 256;
    let tag = &mut ram[segments + 36..segments + 40];
    assert_eq!(tag, &OTHER_ID[..4]);
    tag.fill(0);
    write(&dir, "RAM.bin", &ram);
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    write(&dir, "other.elf", &motor_elf(&OTHER_ID));
    let run = image(&dir, &["--elf", "motor.elf", "--elf", "other.elf", "--format", "ndjson"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    let events = ndjson(&run.out);
    let first: Vec<_> =
        events.iter().filter(|event| event["boot"] == 1).map(|event| event["fields"]["angle"].as_i64()).collect();
    assert_eq!(first, (0..20).map(Some).collect::<Vec<_>>());
    assert_eq!(events.len(), 28);
}

#[test]
fn a_clock_of_unknown_rate_is_shown_in_ticks() {
    let dir = directory("device_ticks");
    let mut device = Device::new(4);
    device.boot_with(BUILD_ID, 0, 0);
    device.event(42, id::BOOTED, &Nil);
    write(&dir, "RAM.bin", &device.ram());
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    let run = image(&dir, &["--elf", "motor.elf", "-q"]);
    assert_eq!(run.out, "boot 1 tick 42  INFO motor: booted  unit=\"left\"\n");
}

#[test]
fn what_was_overwritten_is_said_where_it_is_missing() {
    let dir = directory("device_overwritten");
    let mut device = Device::new(4);
    device.boot(BUILD_ID, 0);
    for n in 0..200 {
        device.turned(1000, n);
    }
    write(&dir, "RAM.bin", &device.ram());
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    let run = image(&dir, &["--elf", "motor.elf"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let shown = run.out.lines().filter(|line| line.contains("turned to")).count();
    assert!(run.out.contains(&format!("{} overwritten", 200 - shown)), "{}", run.out);
    assert!(run.out.contains("──── complete from boot 1 +0."), "{}", run.out);
}

#[test]
fn damage_of_a_ring_costs_what_it_hits() {
    let dir = directory("device_damage");
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    let good = motor().ram();
    for bit in (0..good.len() * 8).step_by(61) {
        let mut damaged = good.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        write(&dir, "RAM.bin", &damaged);
        let run = image(&dir, &["--elf", "motor.elf", "--format", "ndjson"]);
        assert!(run.code.is_some_and(|code| code <= 2), "bit {bit}: {}", run.err);
        for event in ndjson(&run.out) {
            // Nothing false is shown: an event with another text would be a false one.
            let message = event["message"].as_str().unwrap_or_default();
            let known = ["", "booted", "turned to -100", "turned to 0", "turned to 100", "turned to 7", "stalled"];
            assert!(known.contains(&message), "bit {bit}: {event}");
        }
    }
}

#[test]
fn core_dumps_of_both_kinds() {
    let dir = motor_directory("device_core");
    let expected = image(&dir, &["--elf", "motor.elf", "-q"]).out;
    let ram = motor().ram();
    // As written by probe-rs: a map with names, bytes as a list of numbers.
    let mut pack = vec![0x81, 0xA4];
    pack.extend(b"data");
    pack.extend([0x91, 0x92, 0x82, 0xA5]);
    pack.extend(b"start");
    pack.push(0xCE);
    pack.extend((RAM as u32).to_be_bytes());
    pack.push(0xA3);
    pack.extend(b"end");
    pack.push(0xCE);
    pack.extend((RAM as u32 + ram.len() as u32).to_be_bytes());
    pack.push(0xDD);
    pack.extend((ram.len() as u32).to_be_bytes());
    for &byte in &ram {
        if byte >= 0x80 {
            pack.push(0xCC);
        }
        pack.push(byte);
    }
    write(&dir, "probe-rs.core", &pack);
    write(&dir, "elf.core", &support::device::elf_core(RAM, &ram));
    for name in ["probe-rs.core", "elf.core"] {
        let run = view(&dir, &["core", name, "--elf", "motor.elf", "-q"]);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{name}");
        assert_eq!(run.out, expected, "{name}");
        assert_eq!(view(&dir, &[name, "--elf", "motor.elf", "-q"]).out, expected, "{name}");
    }
    let elf = view(&dir, &["core", "motor.elf"]);
    assert_eq!(
        (elf.code, elf.err.as_str()),
        (Some(2), "ttlog-view: motor.elf: an ELF file, but no core file; with --elf it tells names\n")
    );
}

#[test]
fn dumps_out_of_a_file_as_frames_and_as_lines() {
    let dir = motor_directory("device_serial");
    let expected = image(&dir, &["--elf", "motor.elf", "-q"]).out;
    let ring = motor().ring();
    let mut frames = b"boot!\r\n".to_vec();
    frames.extend(dump_frames(3, &ring, BUILD_ID).concat());
    write(&dir, "frames", &frames);
    write(&dir, "lines", format!("boot!\r\n{}", dump_lines(3, &ring, BUILD_ID)).as_bytes());
    for name in ["frames", "lines"] {
        let run = view(&dir, &["serial", name, "--elf", "motor.elf", "-q"]);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{name}");
        assert_eq!(run.out, expected, "{name}");
        let run = view(&dir, &["serial", name, "--elf", "motor.elf"]);
        assert!(run.err.starts_with("boot!\nttlog-view: dump 3: ") && !run.err.contains("lost"), "{}", run.err);
        let run = view(&dir, &["serial", name, "--elf", "motor.elf", "--passthrough"]);
        assert!(run.out.starts_with("boot!\n── "), "{}", run.out);
        // Given without a command.
        let run = view(&dir, &[name, "--elf", "motor.elf", "-q"]);
        assert_eq!((run.code, run.err.as_str(), &run.out), (Some(0), "", &expected), "{name}");
    }
    write(&dir, "noise", &[b'x'; 5000]);
    let none = view(&dir, &["serial", "noise", "-q"]);
    assert_eq!((none.code, none.err.as_str()), (Some(2), "ttlog-view: no dump came\n"));
    let json = view(&dir, &["serial", "frames", "--format", "json"]);
    assert_eq!(json.code, Some(2));
}

#[test]
fn what_is_lost_on_the_way_is_counted_and_said() {
    let dir = motor_directory("device_lost");
    let mut frames = dump_frames(0, &motor().ring(), BUILD_ID);
    frames.remove(4);
    let at = frames[5].len() / 2;
    frames[5][at] ^= 0x20;
    let again = frames[6].clone();
    frames.insert(6, again);
    write(&dir, "frames", &frames.concat());
    let run = view(&dir, &["serial", "frames", "--elf", "motor.elf", "-q"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.err.contains("2 frames lost, 1 frame repeated, 328 of 2,408 bytes of the ring are missing"),
        "{}",
        run.err
    );
    assert!(run.err.contains("1 frame damaged on the way"), "{}", run.err);
    assert!(run.out.contains("booted"), "{}", run.out);
    let run = view(&dir, &["serial", "frames", "--elf", "motor.elf"]);
    assert!(run.out.contains(" bytes: did not come"), "{}", run.out);
}

#[test]
fn what_lost_frames_carried_is_damaged_and_not_being_written() {
    let dir = motor_directory("device_hole");
    let mut device = Device::new(4);
    device.boot(BUILD_ID, 0);
    for n in 0..30 {
        device.turned(10, n);
    }
    let frames = device.sent(0, &[]);
    let ring = device.ring();
    let header_len = RingImage::parse(&ring).expect("a good ring").header().segments_offset as u32;
    // A frame with records of a segment whose header is in another frame.
    let has_records = |frame: &Vec<u8>| {
        let mut bytes = frame[1..frame.len() - 1].to_vec();
        let frame = Frame::decode(&mut bytes).expect("a good frame");
        frame.kind == FrameKind::Ring && frame.offset > header_len && !(frame.offset - header_len).is_multiple_of(256)
    };
    let tail = frames.iter().position(has_records).expect("there is one");
    let kept = frames.iter().enumerate().filter(|(index, _)| *index != tail);
    write(&dir, "frames", &kept.flat_map(|(_, frame)| frame.clone()).collect::<Vec<_>>());
    let run = view(&dir, &["serial", "frames", "--elf", "motor.elf", "--stats", "--format", "ndjson", "-q"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    let lines = ndjson(&run.out);
    let source = lines.iter().find(|line| line.get("source").is_some()).expect("a source");
    assert_eq!((&source["being_written"], &source["damaged"]), (&0.into(), &true.into()), "{source}");
    assert!((15..30).contains(&source["retained"].as_u64().expect("a number")), "{source}");
}

#[test]
fn what_a_device_sends_is_shown_whatever_frame_is_lost() {
    let dir = motor_directory("device_sent");
    let device = motor();
    let expected = image(&dir, &["--elf", "motor.elf", "--format", "ndjson"]).out;
    let places = |text: &str| {
        let of = |event: &Json| (event["boot"].as_u64(), event["ticks"].as_u64(), event["message"].to_string());
        ndjson(text).iter().map(of).collect::<Vec<_>>()
    };
    let expected = places(&expected);
    let frames = device.sent(5, &[]);
    let mut whole = 0;
    for lost in 0..=frames.len() {
        let kept = frames.iter().enumerate().filter(|(index, _)| *index != lost);
        write(&dir, "frames", &kept.flat_map(|(_, frame)| frame.clone()).collect::<Vec<_>>());
        let run = view(&dir, &["serial", "frames", "--elf", "motor.elf", "--format", "ndjson", "-q"]);
        assert_eq!(run.code, Some(i32::from(lost != frames.len())), "frame {lost}: {}", run.err);
        let events = places(&run.out);
        assert!(events.iter().all(|event| expected.contains(event)), "frame {lost}: {}", run.out);
        whole += usize::from(events == expected);
    }
    // The header of the ring comes twice, and only the frames of two segments contain events.
    assert!(whole >= frames.len() + 1 - 4, "{whole} of {}", frames.len());
}

#[test]
fn a_dump_without_the_header_of_its_ring_is_read_by_its_segments() {
    let dir = motor_directory("device_headless");
    let mut device = Device::new(8);
    device.boot(BUILD_ID, 0);
    for n in 0..60 {
        device.turned(10, n);
    }
    let is_header = |frame: &Vec<u8>| {
        let mut bytes = frame[1..frame.len() - 1].to_vec();
        Frame::decode(&mut bytes).is_some_and(|frame| frame.kind == FrameKind::Ring && frame.offset < 168 + 4 * 48)
    };
    let mut frames = device.sent(0, &[]);
    let before = frames.len();
    frames.retain(|frame| !is_header(frame));
    assert!(frames.len() + 4 <= before);
    write(&dir, "frames", &frames.concat());
    let run = view(&dir, &["serial", "frames", "--elf", "motor.elf", "--format", "ndjson", "-q"]);
    assert_eq!(run.code, Some(1), "{}", run.err);
    let angles: Vec<_> = ndjson(&run.out).iter().map(|event| event["fields"]["angle"].as_i64()).collect();
    assert_eq!(angles, (0..60).map(Some).collect::<Vec<_>>(), "{}", run.err);
}

#[test]
fn dumps_that_carry_their_names_need_no_elf_file() {
    let dir = motor_directory("device_embedded");
    let sites = support::device::motor_callsites();
    write(&dir, "frames", &motor().sent(5, &sites).concat());
    let run = view(&dir, &["serial", "frames", "-q"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert_eq!(run.out, image(&dir, &["--elf", "motor.elf", "-q"]).out);
    // A callsite that did not arrive whole loses only its own names.
    let mut frames = motor().sent(5, &sites);
    let with_site = frames.iter().rposition(|frame| frame.get(2) == Some(&3)).expect("there is such a frame");
    frames.remove(with_site);
    write(&dir, "frames", &frames.concat());
    let run = view(&dir, &["serial", "frames", "-q"]);
    assert_eq!(run.code, Some(1));
    assert!(run.out.contains("is not in the table") && run.out.contains("booted"), "{}", run.out);
}

#[test]
fn a_dump_that_comes_again_shows_what_is_new() {
    let dir = directory("device_again");
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    let mut device = Device::new(8);
    device.boot(BUILD_ID, 0);
    device.turned(10, 1);
    let mut stream = dump_frames(0, &device.ring(), BUILD_ID).concat();
    device.turned(10, 2);
    stream.extend(dump_frames(1, &device.ring(), BUILD_ID).concat());
    stream.extend(dump_frames(2, &device.ring(), BUILD_ID).concat());
    device.boot(BUILD_ID, 0);
    device.turned(10, 3);
    stream.extend(dump_frames(3, &device.ring(), BUILD_ID).concat());
    write(&dir, "frames", &stream);
    let run = view(&dir, &["serial", "frames", "--elf", "motor.elf"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert_eq!(run.out.matches("turned").count(), 3, "{}", run.out);
    assert_eq!(run.out.matches("── frames (boot ").count(), 2, "{}", run.out);
    let one = view(&dir, &["serial", "frames", "--elf", "motor.elf", "--dumps", "1", "-q"]);
    assert_eq!(one.out.lines().count(), 1, "{}", one.out);
}

#[test]
fn dumps_over_a_connection_and_from_standard_input() {
    let dir = motor_directory("device_tcp");
    let expected = image(&dir, &["--elf", "motor.elf", "-q"]).out;
    let stream = dump_frames(0, &motor().ring(), BUILD_ID).concat();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
    let address = format!("tcp:{}", listener.local_addr().expect("it has an address"));
    let bytes = stream.clone();
    let device = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("the viewer connects");
        // In pieces, as they arrive over a line, and the line stays open.
        for piece in bytes.chunks(100) {
            connection.write_all(piece).expect("the viewer reads");
        }
        connection
    });
    let run = view(&dir, &["serial", &address, "--elf", "motor.elf", "-q", "--dumps", "1"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert_eq!(run.out, expected);
    drop(device.join());
    let mut child = Command::new(env!("CARGO_BIN_EXE_ttlog-view"))
        .args(["serial", "-", "--elf", "motor.elf", "-q"])
        .current_dir(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    child.stdin.take().expect("a pipe").write_all(&stream).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[cfg(target_os = "linux")]
#[test]
fn dumps_over_a_serial_port() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let dir = motor_directory("device_port");
    let expected = image(&dir, &["--elf", "motor.elf", "-q"]).out;
    let line = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&line).and_then(|()| unlockpt(&line)).expect("it is ours");
    let port = ptsname(&line, Vec::new()).expect("it has a name").into_string().expect("of letters");
    let child = Command::new(env!("CARGO_BIN_EXE_ttlog-view"))
        .args(["serial", &port, "--elf", "motor.elf", "-q", "--dumps", "3"])
        .current_dir(&dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let stream = dump_frames(0, &motor().ring(), BUILD_ID).concat();
    // Sent repeatedly: bytes that arrive before the port is open and raw are lost or changed, as from a device that
    // was already on.
    let mut line = std::fs::File::from(line);
    let sender = std::thread::spawn(move || {
        for _ in 0..100 {
            for piece in stream.chunks(100) {
                if line.write_all(piece).is_err() {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        }
    });
    let output = child.wait_with_output().expect("it ends");
    drop(sender); // ends with the test
    let out = String::from_utf8_lossy(&output.stdout);
    // The first dump can have lost its beginning, and with it the data that converts ticks to times; the others are
    // whole.
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().filter(|line| !line.contains(" tick ")).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&out), sorted(&expected));
}

#[test]
fn sessions_are_kept_as_snapshots_without_secrets() {
    let dir = motor_directory("device_save");
    let run = image(&dir, &["--elf", "motor.elf", "--save", ".", "--format", "ndjson"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert_eq!(run.err.matches("ttlog-view: saved ./ttlog-motor-").count(), 2, "{}", run.err);
    let saved: Vec<_> = run.err.lines().filter_map(|line| line.strip_prefix("ttlog-view: saved ")).collect();
    let again = view(&dir, &[&saved[..], &["--format", "ndjson", "--show-secrets"]].concat());
    assert_eq!((again.code, again.err.as_str()), (Some(0), ""));
    let without_source = |text: &str| {
        let mut events = ndjson(text);
        for event in &mut events {
            event.as_object_mut().expect("an object").remove("source");
        }
        events
    };
    assert_eq!(without_source(&again.out), without_source(&run.out));
    for name in &saved {
        let verify = view(&dir, &["verify", name]);
        assert_eq!(verify.code, Some(0), "{}", verify.out);
        assert!(verify.out.contains("by: a device, boot "), "{}", verify.out);
    }
    // A snapshot serves as the dictionary of its build.
    assert_eq!(image(&dir, &["--elf", saved[0], "-q"]).out, image(&dir, &["--elf", "motor.elf", "-q"]).out);
}

#[test]
fn what_has_names_only_says_how_to_use_it() {
    let dir = motor_directory("device_names");
    assert_eq!(view(&dir, &["dictionary", "motor.elf", "-o", "motor.dict"]).code, Some(0));
    for (name, what) in [("motor.elf", "an ELF file"), ("motor.dict", "a dictionary")] {
        let run = view(&dir, &[name]);
        assert_eq!(run.code, Some(2));
        assert!(run.err.contains(what) && run.err.contains("--elf beside a recording"), "{}", run.err);
    }
}

#[test]
fn control_characters_of_devices_never_reach_the_terminal() {
    let dir = motor_directory("device_escapes");
    let mut stream = b"\x1b]0;title\x07\x1b[2Jtext\xff\r\n".to_vec();
    stream.extend(dump_frames(0, &motor().ring(), BUILD_ID).concat());
    write(&dir, "frames", &stream);
    for arguments in [
        &["serial", "frames", "--elf", "motor.elf", "--passthrough"][..],
        &["serial", "frames", "--elf", "motor.elf"],
        &["serial", "frames", "--elf", "motor.elf", "--format", "ndjson"],
    ] {
        let run = view(&dir, arguments);
        for text in [&run.out, &run.err] {
            assert_eq!(text.chars().find(|c| c.is_control() && *c != '\n'), None, "{arguments:?}: {text:?}");
        }
    }
}
