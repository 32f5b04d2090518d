//! Panics and faults: after the reset that follows, the recorded events say what happened, and where.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use clap::Parser as _;
use object::{Object as _, ObjectSymbol as _, SymbolKind};
use serde_json::Value;
use ttlog_qemu::{MACHINES, Machine, Run, Variant, machine, program};
use ttlog_view::Outcome;
use ttlog_view::command::cli::{Cli, Command};

/// How the program `failures` fails: its first argument.
const PANIC: u32 = 0;
const PANIC_IN_INTERRUPT: u32 = 1;
const BAD_LOAD: u32 = 2;
const BAD_INSTRUCTION: u32 = 3;
const PANIC_IN_PANIC: u32 = 4;
const FAULT_IN_PANIC: u32 = 5;
const FAULT_WITHOUT_STACK: u32 = 6;
/// Action after the failure: its second argument.
const RESET: u32 = 0;
const HALT: u32 = 1;
const CALL: u32 = 2;
const CALL_FAILING: u32 = 3;

fn is_arm(machine: &Machine) -> bool {
    machine.target.starts_with("thumb")
}

/// Whether the program records the registers that name the cause of a fault.
fn has_fault_status(machine: &Machine) -> bool {
    is_arm(machine) && !machine.target.starts_with("thumbv6m")
}

/// Returns the machines on which an access to unmapped memory is a fault. QEMU lets it pass on one.
fn machines_that_miss_memory() -> impl Iterator<Item = &'static Machine> {
    MACHINES.iter().filter(|machine| !machine.name.starts_with("lm3s6965evb"))
}

/// Returns a unique name for a file.
fn temporary(kind: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("ttlog-failures-{}-{number}.{kind}", std::process::id()))
}

/// Lets the viewer read `bytes` from a file, and returns the events.
#[track_caller]
fn view(elf: &Path, kind: &str, bytes: &[u8], arguments: &[&str]) -> Vec<Value> {
    let (outcome, events) = try_view(elf, kind, bytes, arguments);
    assert_eq!(outcome, Outcome::Good, "of the viewer, which showed {events:#?}");
    events
}

/// As [`view`], with the viewer's verdict.
fn try_view(elf: &Path, kind: &str, bytes: &[u8], arguments: &[&str]) -> (Outcome, Vec<Value>) {
    let file = temporary(kind);
    fs::write(&file, bytes).expect("the folder of temporary files can be written to");
    let (name, elf) = (file.display().to_string(), elf.display().to_string());
    let mut line = vec!["ttlog-view", kind, &name];
    line.extend(arguments);
    line.extend(["--elf", &elf, "--format", "ndjson", "--quiet"]);
    let mut out = Vec::new();
    let outcome = match Cli::parse_from(line).command {
        Some(Command::Serial(options)) => ttlog_view::command::device::serial::run(&options, &mut out),
        Some(Command::Image(options)) => ttlog_view::command::device::image::run(&options, &mut out),
        _ => unreachable!("these are the commands that are tested here"),
    };
    let _ = fs::remove_file(&file); // in the folder of temporary files; nothing depends on it
    let text = String::from_utf8(out).expect("the viewer writes UTF-8");
    let events = text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON"));
    (outcome.expect("a vector takes everything"), events.collect())
}

/// The result of a run of `failures`.
struct Failed {
    machine: &'static Machine,
    elf: PathBuf,
    /// Output of the guest besides the dump.
    text: String,
    events: Vec<Value>,
}

/// Lets the program fail as `how` says, and returns what was recorded.
fn fail(machine: &'static Machine, how: u32, then: u32) -> Failed {
    let printed = Run::new(machine, "failures").argument(how).argument(then).finish().expect_success();
    let elf = program(machine, Variant::Usual, "failures");
    let events = view(&elf, "serial", printed.as_bytes(), &[]);
    let text =
        printed.lines().filter(|line| !line.is_empty() && !line.starts_with("TTLOG:") && !line.starts_with("-----"));
    Failed { machine, elf, text: text.map(|line| format!("{line}\n")).collect(), events }
}

impl Failed {
    /// Checks that the first session started, failed with events of these targets, and was followed by another; returns
    /// these events.
    #[track_caller]
    fn failures(&self, targets: &[&str]) -> Vec<&Value> {
        let (machine, events) = (self.machine.name, &self.events);
        let is_start = |event: &Value, boot: u64| event["message"] == "started" && event["fields"]["boot"] == boot;
        let [first, failures @ .., last] = events.as_slice() else { panic!("{machine}: only {events:#?}") };
        assert!(is_start(first, 1), "{machine}: the first of {events:#?}");
        assert!(is_start(last, 2), "{machine}: the last of {events:#?}");
        let found: Vec<_> = failures.iter().map(|event| event["target"].as_str().unwrap_or_default()).collect();
        assert_eq!(found, targets, "{machine}: targets of {events:#?}");
        assert!(failures.iter().all(|event| event["level"] == "ERROR"), "{machine}: levels of {events:#?}");
        failures.iter().collect()
    }

    /// Returns the name of the function that contains an address.
    fn function_at(&self, address: &Value) -> String {
        let address = address.as_u64().expect("an address is a number");
        let bytes = fs::read(&self.elf).expect("the program was built");
        let elf = object::File::parse(bytes.as_slice()).expect("the program is an ELF file");
        let thumb = u64::from(is_arm(self.machine));
        let mut symbols = elf.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
        let symbol =
            symbols.find(|symbol| (symbol.address() & !thumb..symbol.address() + symbol.size()).contains(&address));
        symbol.and_then(|symbol| symbol.name().ok().map(str::to_owned)).unwrap_or_default()
    }
}

/// Returns the targets of the events of a fault.
fn fault_targets(machine: &Machine) -> Vec<&'static str> {
    let count = if has_fault_status(machine) {
        4
    } else if is_arm(machine) {
        3
    } else {
        5
    };
    vec!["fault"; count]
}

/// Returns the fields of several events.
fn fields_of(events: &[&Value]) -> Value {
    let all = events.iter().filter_map(|event| event["fields"].as_object()).flatten();
    Value::Object(all.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Checks that an event is a panic with a message, from the line of the source that contains `text`.
#[track_caller]
fn expect_panic(failed: &Failed, event: &Value, message: &str, text: &str) {
    let source = include_str!("../../firmware/failing/src/bin/failures.rs");
    let line = source.lines().position(|line| line.contains(text)).expect("the source has the text") + 1;
    let column = source.lines().nth(line - 1).and_then(|line| line.find("panic!")).expect("it is a panic") + 1;
    let (machine, fields) = (failed.machine.name, &event["fields"]);
    assert_eq!(event["target"], "panic", "{machine}: {event:#}");
    assert!(event["message"].as_str().is_some_and(|text| text.ends_with(message)), "{machine}: {event:#}");
    assert!(
        fields["file"].as_str().is_some_and(|file| "failing/src/bin/failures.rs".ends_with(file)),
        "{machine}: {event:#}"
    );
    assert!(fields["file"].as_str().is_some_and(|file| file.ends_with("/failures.rs")), "{machine}: {event:#}");
    assert_eq!((&fields["line"], &fields["column"]), (&line.into(), &column.into()), "{machine}: {event:#}");
}

/// Checks that an event is a fault in a function.
#[track_caller]
fn expect_fault(failed: &Failed, event: &Value, function: &str) {
    let machine = failed.machine.name;
    let at = if is_arm(failed.machine) { "pc" } else { "mepc" };
    assert_eq!(failed.function_at(&event["fields"][at]), function, "{machine}: {event:#}");
    assert_eq!(event["target"], "fault", "{machine}: {event:#}");
}

#[test]
fn panic_says_what_and_where() {
    for machine in &MACHINES {
        let failed = fail(machine, PANIC, RESET);
        let events = failed.failures(&["panic"]);
        expect_panic(&failed, events[0], ": the answer is 41, not 42", "panic!(\"the answer");
        assert_eq!(events[0]["fields"]["message"], "the answer is 41, not 42");
    }
}

#[test]
fn panic_in_an_urgent_interrupt() {
    for machine in &MACHINES {
        let failed = fail(machine, PANIC_IN_INTERRUPT, RESET);
        let events = failed.failures(&["panic"]);
        expect_panic(&failed, events[0], ": in an urgent interrupt", "panic!(\"in an urgent");
    }
}

#[test]
fn panic_whose_message_panics_ends() {
    for machine in &MACHINES {
        let failed = fail(machine, PANIC_IN_PANIC, RESET);
        let events = failed.failures(&["panic"]);
        expect_panic(&failed, events[0], ", after another failure", "panic!(\"the answer");
    }
}

#[test]
fn panic_whose_message_faults_ends() {
    for machine in machines_that_miss_memory() {
        let failed = fail(machine, FAULT_IN_PANIC, RESET);
        let events = failed.failures(&["fault"]);
        expect_fault(&failed, events[0], "load_from_nowhere");
    }
}

#[test]
fn load_from_nowhere_says_where_and_why() {
    for machine in machines_that_miss_memory() {
        let failed = fail(machine, BAD_LOAD, RESET);
        let events = failed.failures(&fault_targets(machine));
        expect_fault(&failed, events[0], "load_from_nowhere");
        let fields = &fields_of(&events);
        if has_fault_status(machine) {
            // A precise bus error whose address is valid, which became a hard fault.
            assert_eq!(fields["cfsr"], 0x8200, "{}: {fields:#}", machine.name);
            assert_eq!(fields["bfar"], 0xB000_0000_u32, "{}: {fields:#}", machine.name);
            assert_eq!(fields["hfsr"], 0x4000_0000, "{}: {fields:#}", machine.name);
        } else if is_arm(machine) {
            assert!(fields.get("cfsr").is_none(), "{}: {fields:#}", machine.name);
        } else {
            assert_eq!(fields["mcause"], 5, "{}: {fields:#}", machine.name); // load access fault
            assert_eq!(fields["mtval"], 0x0180_0000, "{}: {fields:#}", machine.name);
        }
        if is_arm(machine) {
            let ram = u64::from(machine.ram_base)..u64::from(machine.ram_base) + (4 << 20);
            assert!(fields["sp"].as_u64().is_some_and(|sp| ram.contains(&sp)), "{}: {fields:#}", machine.name);
            let lr = fields["lr"].as_u64().expect("a number") & !1;
            assert!(failed.function_at(&lr.into()).contains("main"), "{}: {fields:#}", machine.name);
        }
    }
}

#[test]
fn undefined_instruction_says_where_and_why() {
    for machine in &MACHINES {
        let failed = fail(machine, BAD_INSTRUCTION, RESET);
        let events = failed.failures(&fault_targets(machine));
        expect_fault(&failed, events[0], "execute_nothing");
        let fields = &events[0]["fields"];
        if has_fault_status(machine) {
            assert_eq!(fields["cfsr"], 0x1_0000, "{}: {fields:#}", machine.name); // UNDEFINSTR
        } else if !is_arm(machine) {
            assert_eq!(fields["mcause"], 2, "{}: {fields:#}", machine.name);
        }
    }
}

#[test]
fn fault_without_a_stack_is_recorded_without_the_registers() {
    for machine in MACHINES.iter().filter(|machine| has_fault_status(machine)) {
        let failed = fail(machine, FAULT_WITHOUT_STACK, RESET);
        let events = failed.failures(&["fault"]);
        let fields = &events[0]["fields"];
        assert!(fields.get("pc").is_none(), "{}: {fields:#}", machine.name);
        assert_eq!(fields["cfsr"].as_u64().unwrap_or(0) & 1 << 12, 1 << 12, "{}: {fields:#}", machine.name);
    }
}

#[test]
fn hook_is_called_and_may_fail() {
    for machine in &MACHINES {
        let failed = fail(machine, PANIC, CALL);
        assert_eq!(failed.text, "the hook was called\n", "{}", machine.name);
        failed.failures(&["panic"]);
    }
    // On RISC-V nothing follows.
    for machine in MACHINES.iter().filter(|machine| is_arm(machine)) {
        let failed = fail(machine, PANIC, CALL_FAILING);
        assert_eq!(failed.text, "the bad hook was called\n", "{}", machine.name);
        let events = failed.failures(&["panic", "panic"]);
        expect_panic(&failed, events[1], ", after another failure", "panic!(\"the answer");
    }
}

#[test]
fn halted_machine_is_read_from_outside() {
    // The memory of these two is not where QEMU's control channel looks.
    for machine in MACHINES.iter().filter(|machine| !["microbit", "mps2-an505"].contains(&machine.name)) {
        let mut guest = Run::new(machine, "failures").argument(PANIC).argument(HALT).qmp().start();
        let elf = program(machine, Variant::Usual, "failures");
        let (base, deadline) = (format!("{:#x}", machine.ram_base), Instant::now() + Duration::from_secs(20));
        loop {
            let image = guest.ram_image();
            // The guest may not have come so far yet.
            let (_, events) = try_view(&elf, "image", &image, &["--base", &base]);
            if let [first, panic] = events.as_slice() {
                assert_eq!((&first["message"], &panic["target"]), (&"started".into(), &"panic".into()));
                break;
            }
            assert!(Instant::now() < deadline, "{}: {events:#?}", machine.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Interrupts panic in log calls and between them; each time the earlier events are there, and the panic.
#[test]
fn panic_in_an_interrupt_of_a_log_call() {
    const RUNS: u32 = 100;
    for name in ["microbit", "mps2-an385", "mps2-an500", "mps2-an505", "riscv-virt", "riscv-virt-imc"] {
        let machine = machine(name);
        let printed = Run::new(machine, "interrupted").argument(RUNS).finish().expect_success();
        let elf = program(machine, Variant::Usual, "interrupted");
        let events = view(&elf, "serial", printed.as_bytes(), &[]);
        let mut sessions: BTreeMap<u64, Vec<&Value>> = BTreeMap::new();
        for event in &events {
            sessions.entry(event["boot"].as_u64().expect("a session has a number")).or_default().push(event);
        }
        assert_eq!(sessions.len(), RUNS as usize, "{name}");
        let mut in_call = 0;
        for (boot, events) in sessions {
            let (panic, counted) = events.split_last().expect("a session without events is none");
            assert_eq!(panic["target"], "panic", "{name}, run {boot}: {panic:#}");
            for (number, event) in counted.iter().enumerate() {
                assert_eq!(event["fields"]["number"], number, "{name}, run {boot}: {event:#}");
            }
            in_call += u32::from(panic["fields"]["message"] == "interrupted, in a log call");
        }
        assert!(in_call > RUNS / 4 && in_call < RUNS, "{name}: {in_call} of {RUNS} interrupts were in a log call");
    }
}
