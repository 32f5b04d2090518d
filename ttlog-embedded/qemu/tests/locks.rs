//! A lock of log calls that a reset leaves taken, or that another core holds, on targets without compare-and-swap.

use std::path::Path;

use clap::Parser as _;
use serde_json::Value;
use ttlog_qemu::{Run, Variant, machine, program};
use ttlog_view::Outcome;
use ttlog_view::command::cli::{Cli, Command};

/// Targets on which log calls take the lock.
const MACHINES: [&str; 3] = ["lm3s6965evb-v6m", "microbit", "riscv-virt-imc"];

/// Runs the program, and returns its output without the dump, and the events.
fn run(name: &str, how: u32) -> (String, Vec<Value>) {
    let machine = machine(name);
    let printed = Run::new(machine, "lock").argument(how).finish().expect_success();
    let elf = program(machine, Variant::Usual, "lock");
    let file = std::env::temp_dir().join(format!("ttlog-locks-{}-{name}-{how}", std::process::id()));
    std::fs::write(&file, &printed).expect("the folder of temporary files can be written to");
    let events = view(&file, &elf);
    let _ = std::fs::remove_file(&file); // in the folder of temporary files; nothing depends on it
    (printed.lines().next().unwrap_or_default().to_owned(), events)
}

fn view(file: &Path, elf: &Path) -> Vec<Value> {
    let (file, elf) = (file.display().to_string(), elf.display().to_string());
    let line = ["ttlog-view", "serial", &file, "--elf", &elf, "--format", "ndjson", "--quiet"];
    let Some(Command::Serial(options)) = Cli::parse_from(line).command else { unreachable!("it is that command") };
    let mut out = Vec::new();
    let outcome = ttlog_view::command::device::serial::run(&options, &mut out).expect("a vector takes everything");
    let text = String::from_utf8(out).expect("the viewer writes UTF-8");
    assert_eq!(outcome, Outcome::Good, "{text}");
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[test]
fn a_lock_that_a_reset_left_taken_is_freed_before_the_start() {
    for name in MACHINES {
        let (_, events) = run(name, 0);
        let taken: Vec<_> = events.iter().map(|event| &event["fields"]["was_taken"]).collect();
        assert_eq!(taken, [&Value::Bool(false), &Value::Bool(true)], "{name}: {events:#?}");
    }
}

#[test]
fn a_failure_waits_for_the_lock_with_a_bound() {
    for name in MACHINES {
        for (how, target, said) in [
            (1, "panic", "the lock is freed by force"),
            (2, "fault", "the lock is freed by force"),
            (3, "panic", "the lock is free"),
        ] {
            let (first, events) = run(name, how);
            assert_eq!(first, said, "{name}");
            let [started, failures @ .., last] = events.as_slice() else { panic!("{name}: only {events:#?}") };
            assert_eq!((&started["fields"]["boot"], &last["fields"]["boot"]), (&1.into(), &2.into()), "{name}");
            let is_right = |event: &Value| event["target"] == target && event["boot"] == 1;
            assert!(!failures.is_empty() && failures.iter().all(is_right), "{name}: {events:#?}");
        }
    }
}
