//! Memory behind the library probe-rs: its mock memory, and the core dumps that it writes. Run by `ci/checks/probe`.
#![cfg(feature = "probe-mock")]

mod support;

use std::collections::HashMap;

use clap::Parser as _;
use probe_rs::test::MockMemory;
use probe_rs::{CoreDump, CoreType, InstructionSet};
use ttlog_read::source::device::memory::{Memory as _, find_rings};
use ttlog_read::source::device::probe::ProbeMemory;
use ttlog_view::Outcome;
use ttlog_view::command::cli::{Cli, Command};
use ttlog_view::command::device::probe::Probe;
use ttlog_view::command::device::probe::Watch;

use support::device::{BUILD_ID, Device, RAM, motor, motor_elf};
use support::{directory, view, write};

fn options(arguments: &[&str]) -> Probe {
    let line = [&["ttlog-view", "probe", "--chip", "test"][..], arguments].concat();
    match Cli::try_parse_from(line).expect("a good command line").command {
        Some(Command::Probe(options)) => options,
        other => panic!("{other:?}"),
    }
}

fn mock(ram: Vec<u8>) -> (MockMemory, std::ops::Range<u64>) {
    let range = RAM..RAM + ram.len() as u64;
    let mut memory = MockMemory::new();
    memory.add_range(RAM, ram);
    (memory, range)
}

#[test]
fn the_ring_of_a_probe_is_found_by_symbol_and_by_searching() {
    let device = motor();
    let (mut memory, range) = mock(device.ram());
    let mut memory = ProbeMemory::new(&mut memory, Vec::from([range.clone()]));
    for symbols in [&[(RAM + 0x100, 0)][..], &[]] {
        let found = find_rings(&mut memory, symbols).expect("it can be read");
        assert_eq!(found.rings.len(), 1);
        assert_eq!((found.rings[0].address, &found.rings[0].bytes), (RAM + 0x100, &device.ring()));
        assert_eq!(found.remarks, Vec::<String>::new());
    }
    assert_eq!(memory.ram().first(), Some(&range));
}

#[test]
fn a_probe_shows_what_an_image_shows() {
    let dir = directory("probe_image");
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    write(&dir, "RAM.bin", &motor().ram());
    let elf = dir.join("motor.elf").to_string_lossy().into_owned();
    let options = options(&["--elf", &elf, "-q"]);
    let mut watch = Watch::new(&options).expect("good options");
    let (mut memory, range) = mock(motor().ram());
    let mut out = Vec::new();
    let outcome =
        watch.look(&mut ProbeMemory::new(&mut memory, Vec::from([range])), &mut out).expect("it can be written");
    assert_eq!(outcome, Outcome::Good);
    let image = view(&dir, &["image", "RAM.bin", "--elf", "motor.elf", "-q"]);
    assert_eq!(String::from_utf8(out).expect("text"), image.out);
}

#[test]
fn following_shows_each_event_once() {
    let dir = directory("probe_follow");
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    let elf = dir.join("motor.elf").to_string_lossy().into_owned();
    let options = options(&["--elf", &elf, "--follow", "--limit", "2"]);
    let mut watch = Watch::new(&options).expect("good options");
    let mut look = |ram: Vec<u8>| {
        let (mut memory, range) = mock(ram);
        let mut out = Vec::new();
        watch.look(&mut ProbeMemory::new(&mut memory, Vec::from([range])), &mut out).expect("it can be written");
        String::from_utf8(out).expect("text")
    };
    let events = |text: &str| text.lines().filter(|line| line.contains("turned to")).count();
    // Before the firmware has created a ring.
    assert_eq!(look(vec![0; 8192]), "");
    let mut device = Device::new(8);
    device.boot(BUILD_ID, 0);
    for n in 0..5 {
        device.turned(10, n);
    }
    let first = look(device.ram());
    assert!(first.starts_with("── test (boot 1): boot 1 of motor") && events(&first) == 2, "{first}");
    assert_eq!(look(device.ram()), "");
    for n in 5..9 {
        device.turned(10, n);
    }
    let more = look(device.ram());
    assert_eq!((events(&more), more.lines().count()), (4, 4), "{more}");
    // A reset begins a new session.
    device.boot(BUILD_ID, 8);
    device.turned(10, 9);
    let other = look(device.ram());
    assert!(other.starts_with("── test (boot 2): ") && events(&other) == 1, "{other}");
    // The whole ring is replaced.
    for n in 0..400 {
        device.turned(10, n);
    }
    assert!(events(&look(device.ram())) > 20);
    assert_eq!(look(device.ram()), "");
}

#[test]
fn zeros_are_said_to_be_such() {
    let (mut memory, range) = mock(vec![0; 16 << 10]);
    let found =
        find_rings(&mut ProbeMemory::new(&mut memory, Vec::from([range.clone()])), &[]).expect("it can be read");
    assert!(found.only_zeros);
    let options = options(&[]);
    let mut watch = Watch::new(&options).expect("good options");
    let mut out = Vec::new();
    let outcome =
        watch.look(&mut ProbeMemory::new(&mut memory, Vec::from([range])), &mut out).expect("it can be written");
    assert_eq!((outcome, out.len()), (Outcome::Failed, 0));
}

#[test]
fn core_dumps_that_probe_rs_writes_can_be_read() {
    let dir = directory("probe_core");
    write(&dir, "motor.elf", &motor_elf(&BUILD_ID));
    write(&dir, "RAM.bin", &motor().ram());
    let ram = motor().ram();
    let range = RAM..RAM + ram.len() as u64;
    let mut dump = CoreDump {
        registers: HashMap::new(),
        data: vec![(0x4000_0000..0x4000_0004, vec![1, 2, 3, 0xFF]), (range.clone(), ram)],
        instruction_set: InstructionSet::Thumb2,
        supports_native_64bit_access: false,
        core_type: CoreType::Armv7em,
        fpu_support: true,
        floating_point_register_count: Some(32),
    };
    dump.registers.insert(probe_rs::RegisterId(15), probe_rs::RegisterValue::U32(0xFFFF_FFF0));
    dump.store(&dir.join("dump")).expect("the file can be written");
    let run = view(&dir, &["core", "dump", "--elf", "motor.elf", "-q"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    assert_eq!(run.out, view(&dir, &["image", "RAM.bin", "--elf", "motor.elf", "-q"]).out);
    // The library also reads its dumps as memory.
    let found = find_rings(&mut ProbeMemory::new(&mut dump, Vec::from([range])), &[]).expect("it can be read");
    assert_eq!(found.rings[0].bytes, motor().ring());
}
