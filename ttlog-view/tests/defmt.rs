//! Events that firmware logs with defmt, among its other events.
#![cfg(feature = "defmt")]

mod support;

use serde_json::Value as Json;

use support::device::{BUILD_ID, Device, defmt_elf, defmt_index as index};
use support::{Run, directory, view, write};

fn bytes(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn half(number: u16) -> [u8; 2] {
    number.to_le_bytes()
}

/// Returns the frame of `speed {=u16} of {=str}, {=[u8]:02x}`.
fn speed(speed: u16, name: &str, raw: &[u8]) -> Vec<u8> {
    let len = |len: usize| (len as u32).to_le_bytes();
    bytes(&[&half(index::SPEED), &half(speed), &len(name.len()), name.as_bytes(), &len(raw.len()), raw])
}

fn run(name: &str, device: &Device, more: &[&str]) -> Run {
    let dir = directory(name);
    write(&dir, "motor.elf", &defmt_elf(&BUILD_ID, false));
    write(&dir, "RAM.bin", &device.ram());
    view(&dir, &[&["image", "RAM.bin", "--base", "0x20000000", "--elf", "motor.elf"][..], more].concat())
}

fn device() -> Device {
    let mut device = Device::new(8);
    device.boot(BUILD_ID, 0);
    device
}

#[test]
fn frames_stand_among_other_events() {
    let device = device();
    device.turned(1000, 1);
    device.frame(1000, &half(index::PLAIN));
    device.frame(1000, &speed(700, "left\x1b[2J", &[1, 0xAB]));
    let nested = bytes(&[&half(index::NESTED), &half(index::POINT), &[3, 0xFE], &half(index::STATE), &[1, 9]]);
    device.frame(1000, &nested);
    device.turned(1000, 2);
    let text = run("defmt_text", &device, &["-q"]);
    assert_eq!((text.code, text.err.as_str()), (Some(0), ""));
    let expected = "\
boot 1 +0.001000 s DEBUG motor::drive: turned to 1  force=1
boot 1 +0.002000 s  WARN motor: {stalled}
boot 1 +0.003000 s  INFO motor: speed 700 of left\\u{1b}[2J, [01, ab]
boot 1 +0.004000 s ERROR motor: at Point { x: 3, y: -2 } in Running(9)
boot 1 +0.005000 s DEBUG motor::drive: turned to 2  force=2
";
    assert_eq!(text.out, expected);
    let json = run("defmt_json", &device, &["--format", "ndjson", "--filter", "level>=WARN"]);
    let events: Vec<Json> = json.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["message"], &events[0]["target"]), (&"{stalled}".into(), &"motor".into()));
    assert_eq!(events[1]["fields"]["text"], "at Point { x: 3, y: -2 } in Running(9)");
    assert_eq!(run("defmt_filter", &device, &["-q", "-f", "message~=of left"]).out.lines().count(), 1);
    let stats = run("defmt_stats", &device, &["--stats", "--group-by", "level", "-q"]);
    assert!(stats.out.contains("5 events in 4 groups"), "{}", stats.out);
}

#[test]
fn frames_with_a_time_of_their_own() {
    let dir = directory("defmt_timestamp");
    let device = device();
    device.frame(1000, &bytes(&[&half(index::PLAIN), &[1, 2, 3, 4]]));
    write(&dir, "motor.elf", &defmt_elf(&BUILD_ID, true));
    write(&dir, "RAM.bin", &device.ram());
    let run = view(&dir, &["image", "RAM.bin", "--elf", "motor.elf", "-q"]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), "boot 1 +0.001000 s  WARN motor: {stalled}\n"));
}

#[test]
fn what_is_saved_needs_no_elf_file() {
    let dir = directory("defmt_save");
    let device = device();
    device.frame(1000, &half(index::PLAIN));
    device.frame(1000, &speed(1, "x", &[]));
    write(&dir, "motor.elf", &defmt_elf(&BUILD_ID, false));
    write(&dir, "RAM.bin", &device.ram());
    let run = view(&dir, &["image", "RAM.bin", "--elf", "motor.elf", "-q", "--save", "."]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    let saved = run.err.trim().strip_prefix("ttlog-view: saved ").expect("one was saved").to_owned();
    assert_eq!(view(&dir, &[&saved, "-q"]).out, run.out);
    assert_eq!(run.out.lines().count(), 2);
}

#[test]
fn long_messages_are_cut_and_say_so() {
    let device = device();
    // The longest that fits in a segment.
    let name = "n".repeat(130);
    device.frame(1000, &speed(1, &name, &[0; 30]));
    let text = run("defmt_long", &device, &["-q"]).out;
    assert!(text.contains(&format!("speed 1 of {name}, [00, 00")), "{text}");
    // Many values of no bytes make a long text.
    let many = bytes(&[&half(index::LIST), &2000_u32.to_le_bytes(), &half(index::EMPTY)]);
    device.frame(1000, &many);
    let text = run("defmt_cut", &device, &["-q"]).out;
    assert!(text.contains("[(), (), (), ") && text.contains('…'), "{text}");
    let json = run("defmt_cut_json", &device, &["--format", "ndjson", "-f", "level=DEBUG"]).out;
    let event: Json = serde_json::from_str(&json).expect("one event");
    assert_eq!(event["fields"]["text"]["full_len"].as_u64(), Some(2 + 2000 * 2 + 1999 * 2));
}

#[test]
fn frames_that_cannot_be_decoded_stay_as_they_are() {
    let device = device();
    let no_end = bytes(&[&half(index::NESTED), &half(index::ITSELF).repeat(60)]);
    let endless = bytes(&[&half(index::LIST), &u32::MAX.to_le_bytes(), &half(index::EMPTY)]);
    let long = bytes(&[&half(index::SPEED), &half(1), &u32::MAX.to_le_bytes()]);
    let more = bytes(&[&half(index::PLAIN), &[0]]);
    let frames = [&[][..], &[1], &half(999), &half(index::POINT), &no_end, &endless, &long, &more];
    for frame in frames {
        device.frame(1000, frame);
    }
    device.frame(1000, &half(index::PLAIN));
    let run = run("defmt_bad", &device, &["-q"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert_eq!(run.out.matches("defmt: defmt frame  frame=").count(), frames.len(), "{}", run.out);
    assert_eq!(run.out.matches("{stalled}").count(), 1, "{}", run.out);
}

#[test]
fn random_frames_do_no_harm() {
    let mut rng = fastrand::Rng::with_seed(3);
    for round in 0..20 {
        let device = device();
        for _ in 0..40 {
            let mut frame = half(rng.u16(1..9)).to_vec();
            for _ in 0..rng.usize(..24) {
                frame.push(if rng.bool() { rng.u8(..9) } else { rng.u8(..) });
            }
            device.frame(1, &frame);
        }
        let run = run("defmt_random", &device, &["-q"]);
        assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "round {round}");
        assert!(run.out.lines().count() > 10, "{}", run.out);
    }
}
