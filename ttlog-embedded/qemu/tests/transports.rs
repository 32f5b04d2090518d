//! All ways out of the firmware: serial port, semihosting, RTT, and RAM read from outside, each shown by the viewer
//! itself.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::Value;
use ttlog_qemu::{Guest, MACHINES, Machine, Run, Variant, machine, program};
use ttlog_read::source::device::receiver::{Received, Receiver};
use ttlog_view::Outcome;
use ttlog_view::command::cli::{Cli, Command};
use ttlog_view::command::device::{image, serial};

/// Runs a command of the viewer, and returns its verdict and the events that it shows.
fn view(arguments: &[&str]) -> (Outcome, Vec<Value>) {
    let all = ["ttlog-view"].iter().chain(arguments).chain(&["--format", "ndjson"]);
    let cli = Cli::try_parse_from(all).expect("the arguments are good");
    let mut out = Vec::new();
    let outcome = match cli.command {
        Some(Command::Serial(options)) => serial::run(&options, &mut out),
        Some(Command::Image(options)) => image::run(&options, &mut out),
        other => panic!("not for devices: {other:?}"),
    };
    let text = String::from_utf8(out).expect("JSON is text");
    let events = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    (outcome.expect("memory takes all"), events)
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("paths here are text")
}

fn elf(machine: &Machine, name: &str) -> PathBuf {
    program(machine, Variant::Usual, name)
}

/// A file that is removed when dropped.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("ttlog-transports-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).expect("there is room for a file");
        TempFile(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0); // in the folder of temporary files; nothing depends on it
    }
}

/// Waits until the guest has sent `text`.
fn wait_for(guest: &mut Guest, text: &[u8]) {
    let mut said = Vec::new();
    while !said.ends_with(text) {
        let mut byte = [0];
        guest.serial().read_exact(&mut byte).expect("the guest talks");
        said.push(byte[0]);
    }
}

fn command(guest: &mut Guest, byte: u8) {
    guest.serial().write_all(&[byte]).expect("the guest listens");
}

/// Starts a program and waits until it is ready.
fn start(machine: &'static Machine, name: &str, argument: u32) -> Guest {
    let mut guest =
        Run::new(machine, name).argument(argument).time_out(Duration::from_secs(300)).serial().qmp().start();
    wait_for(&mut guest, b"ready\n");
    guest
}

fn end(mut guest: Guest) {
    command(&mut guest, b'q');
    let _ = guest.finish().expect_success(); // it prints nothing
}

/// Lets the viewer read the serial port during a dump, through a `line` that may change the bytes.
fn watch(
    guest: &mut Guest,
    elf: &Path,
    what: u8,
    dumps: u32,
    mut line: impl FnMut(u8, &mut Vec<u8>) + Send,
) -> (Outcome, Vec<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = format!("tcp:{}", listener.local_addr().expect("it is bound"));
    let mut from = guest.serial().try_clone().expect("a socket can be cloned");
    from.set_read_timeout(Some(Duration::from_millis(50))).expect("not zero");
    thread::scope(|scope| {
        scope.spawn(move || {
            let (mut to, _): (TcpStream, _) = listener.accept().expect("the viewer connects");
            let mut block = [0; 512];
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(20) {
                let mut mangled = Vec::new();
                match from.read(&mut block) {
                    Ok(0) => break,
                    Ok(len) => block[..len].iter().for_each(|byte| line(*byte, &mut mangled)),
                    Err(_) => {} // nothing came for a while
                }
                // The viewer has seen enough and closed the connection.
                if to.write_all(&mangled).is_err() || is_closed(&to) {
                    break;
                }
            }
        });
        command(guest, what);
        let dumps = dumps.to_string();
        view(&["serial", &port, "--elf", text_of(elf), "--dumps", &dumps])
    })
}

/// Whether the other end is closed.
fn is_closed(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let closed = matches!(stream.peek(&mut [0]), Ok(0));
    stream.set_nonblocking(false).expect("a socket");
    closed
}

fn unchanged(byte: u8, out: &mut Vec<u8>) {
    out.push(byte);
}

/// Returns the events that `uart_dump` records: message, number and voltage.
fn expected(count: i64) -> Vec<(String, i64, Option<i64>)> {
    let mut all = Vec::new();
    for number in 0..count {
        all.push(("measured".to_owned(), number, Some(3300 - number)));
        if number % 10 == 9 {
            all.push((format!("ten more, {number} now"), number, None));
        }
    }
    all
}

/// Returns the same for the events shown, without those that record the sending.
fn measured(events: &[Value]) -> Vec<(String, i64, Option<i64>)> {
    let relevant = events.iter().filter(|event| event["message"] != "sending");
    relevant
        .map(|event| {
            let message = event["message"].as_str().expect("text");
            let number = event["fields"]["number"].as_i64().expect("a number");
            (message.to_owned(), number, event["fields"]["millivolts"].as_i64())
        })
        .collect()
}

const COUNT: u32 = 40;

#[test]
fn serial_port_of_every_machine() {
    for machine in &MACHINES {
        println!("{} ({})", machine.name, machine.core);
        let elf = elf(machine, "uart_dump");
        let mut guest = start(machine, "uart_dump", COUNT);
        for what in [b'd', b't'] {
            let (outcome, events) = watch(&mut guest, &elf, what, 1, unchanged);
            assert_eq!((outcome, measured(&events)), (Outcome::Good, expected(COUNT.into())));
        }
        assert_eq!(events_while_sending(&mut guest, &elf), expected(COUNT.into()));
        end(guest);
    }
}

/// Requests a dump whose writes record events, and returns the events from before.
fn events_while_sending(guest: &mut Guest, elf: &Path) -> Vec<(String, i64, Option<i64>)> {
    let (_, events) = watch(guest, elf, b'l', 1, unchanged);
    let writes: Vec<i64> = events.iter().filter_map(|event| event["fields"]["write"].as_i64()).collect();
    let sent: Vec<i64> = (1..).take(writes.len()).collect();
    assert!(!writes.is_empty() && writes == sent, "events recorded while the dump went on: {writes:?}");
    measured(&events)
}

#[test]
fn bytes_lost_changed_and_doubled_on_the_way() {
    let machine = machine("mps2-an385");
    let elf = elf(machine, "uart_dump");
    let mut guest = start(machine, "uart_dump", COUNT);
    let all = expected(COUNT.into());
    let (mut shown, mut damaged) = (0, 0);
    const SEEDS: u64 = 12;
    for seed in 0..SEEDS {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut changes = 0;
        let what = if seed % 3 == 2 { b't' } else { b'd' };
        let (outcome, events) = watch(&mut guest, &elf, what, 1, |byte, out| match rng.u32(..3000) {
            0 => changes += 1,
            1 => {
                changes += 1;
                out.push(byte ^ 1 << rng.u8(..8));
            }
            2 => {
                changes += 1;
                out.extend([byte; 2]);
            }
            _ => out.push(byte),
        });
        let events = measured(&events);
        println!("seed {seed}: {changes} changes, {} of {} events", events.len(), all.len());
        let mut rest = all.iter();
        assert!(
            events.iter().all(|event| rest.any(|one| one == event)),
            "seed {seed}: false events, or in a wrong order"
        );
        assert!(outcome == Outcome::Partial || events == all, "seed {seed}: a loss is not reported");
        shown += events.len();
        damaged += usize::from(changes > 0);
        wait_until_quiet(&mut guest);
    }
    assert!(damaged > 8, "there were changes");
    assert!(shown > all.len() * SEEDS as usize / 3, "most of what is not damaged is shown: {shown}");
    // When the line is good again, all events arrive.
    let (outcome, events) = watch(&mut guest, &elf, b'd', 1, unchanged);
    assert_eq!((outcome, measured(&events)), (Outcome::Good, all));
    end(guest);
}

#[test]
fn sessions_before_and_after_a_reset_in_one_dump() {
    let machine = machine("lm3s6965evb");
    let elf = elf(machine, "uart_dump");
    let mut guest = start(machine, "uart_dump", 10);
    command(&mut guest, b'r');
    wait_for(&mut guest, b"ready\n");
    let (outcome, events) = watch(&mut guest, &elf, b'd', 1, unchanged);
    end(guest);
    let boots: Vec<_> = events.iter().map(|event| event["boot"].as_u64()).collect();
    assert_eq!(boots, [[Some(1); 11], [Some(2); 11]].concat());
    assert_eq!((outcome, measured(&events)), (Outcome::Good, [expected(10), expected(10)].concat()));
}

/// Discards the bytes still under way after the viewer has closed.
fn wait_until_quiet(guest: &mut Guest) {
    guest.serial().set_read_timeout(Some(Duration::from_millis(300))).expect("not zero");
    let mut block = [0; 512];
    while guest.serial().read(&mut block).is_ok_and(|len| len > 0) {}
}

#[test]
fn semihosting() {
    for name in ["microbit", "mps2-an385", "riscv-virt"] {
        let machine = machine(name);
        let text = Run::new(machine, "semihosting_dump").finish().expect_success();
        assert!(text.starts_with("now it comes\n"), "{text}");
        let file = TempFile::new(&format!("{name}.txt"), text.as_bytes());
        let (outcome, events) =
            view(&["serial", text_of(&file.0), "--elf", text_of(&elf(machine, "semihosting_dump"))]);
        let numbers: Vec<i64> = events.iter().filter_map(|event| event["fields"]["number"].as_i64()).collect();
        assert_eq!((outcome, numbers), (Outcome::Good, (0..20).collect()), "{name}");
    }
}

/// The channel of a guest, in an image of its RAM.
struct Channel {
    buffer: usize,
    size: usize,
    write: usize,
}

impl Channel {
    /// Finds the control block as a probe does.
    fn find(machine: &Machine, ram: &[u8]) -> Option<Self> {
        let at = ram.windows(16).position(|bytes| bytes == b"SEGGER RTT\0\0\0\0\0\0")?;
        let word = |index: usize| {
            let bytes = ram.get(at + 16 + 4 * index..)?.first_chunk()?;
            usize::try_from(u32::from_le_bytes(*bytes)).ok()
        };
        assert_eq!((word(0), word(1)), (Some(1), Some(0)), "one channel up, none down");
        let base = usize::try_from(machine.ram_base).ok()?;
        Some(Channel { buffer: word(3)?.checked_sub(base)?, size: word(4)?, write: word(5)? })
    }
}

#[test]
fn rtt_read_in_the_ram_of_the_running_guest() {
    for name in ["mps2-an385", "riscv-virt"] {
        let machine = machine(name);
        let mut guest = start(machine, "rtt_dump", 0);
        let (mut stream, mut receiver, mut read) = (Vec::new(), Receiver::new(), 0);
        let mut is_whole = None;
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_whole.is_none() {
            assert!(Instant::now() < deadline, "the dump does not end: {} bytes came", stream.len());
            let ram = guest.ram_image();
            let channel = Channel::find(machine, &ram).expect("a control block");
            let mut came = Vec::new();
            while read != channel.write {
                came.push(ram[channel.buffer + read]);
                read = (read + 1) % channel.size;
            }
            if came.is_empty() {
                // The guest has not run since, as on a busy host. An offset that it has would fill its port.
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            receiver.push(&came, &mut |what| match what {
                Received::Dump(dump) => is_whole = Some(dump.is_whole()),
                other => panic!("something else came: {other:?}"),
            });
            stream.extend(came);
            let [low, high, ..] = read.to_le_bytes();
            guest.serial().write_all(&[b'r', low, high]).expect("the guest listens");
        }
        assert_eq!(is_whole, Some(true), "{name}");
        assert!(stream.len() > 1024, "the buffer was filled several times");
        end(guest);
        let file = TempFile::new(&format!("{name}.rtt"), &stream);
        let (outcome, events) = view(&["serial", text_of(&file.0), "--elf", text_of(&elf(machine, "rtt_dump"))]);
        let numbers: Vec<i64> = events.iter().filter_map(|event| event["fields"]["number"].as_i64()).collect();
        assert_eq!((outcome, numbers), (Outcome::Good, (0..60).collect()), "{name}");
    }
}

/// Lets the viewer read the RAM of a running guest.
fn view_ram(guest: &mut Guest, machine: &Machine, name: &str) -> (Outcome, Vec<Value>) {
    let file = TempFile::new(&format!("{}-{name}.ram", machine.name), &guest.ram_image());
    let base = format!("{:#x}", machine.ram_base);
    view(&["image", text_of(&file.0), "--base", &base, "--elf", text_of(&elf(machine, name))])
}

#[test]
fn ring_read_in_the_ram_of_the_running_guest() {
    for machine in &MACHINES {
        println!("{} ({})", machine.name, machine.core);
        let mut guest = start(machine, "uart_dump", COUNT);
        let (outcome, events) = view_ram(&mut guest, machine, "uart_dump");
        assert_eq!((outcome, measured(&events)), (Outcome::Good, expected(COUNT.into())));
        end(guest);
    }
}

#[test]
fn ring_read_while_it_is_written() {
    let machine = machine("mps2-an385");
    let mut guest = start(machine, "async_dump", 0);
    // The guest may be read before its first round.
    let mut last = None;
    for _ in 0..30 {
        let (_, events) = view_ram(&mut guest, machine, "async_dump");
        let rounds: Vec<i64> = events.iter().filter_map(|event| event["fields"]["round"].as_i64()).collect();
        assert!(rounds.iter().all(|round| round % 64 == 0), "a false event: {rounds:?}");
        assert!(rounds.is_sorted(), "a wrong order: {rounds:?}");
        let newest = rounds.last().copied();
        assert!(newest >= last, "older than {last:?}: {newest:?}");
        last = newest;
    }
    assert!(last > Some(0), "it went on meanwhile");
    end(guest);
}

#[test]
fn async_task_dumps_on_request_and_at_intervals() {
    for name in ["microbit", "mps2-an385", "riscv-virt-imc"] {
        let machine = machine(name);
        let elf = elf(machine, "async_dump");
        let mut guest = start(machine, "async_dump", 0);
        let (_, events) = watch(&mut guest, &elf, b'd', 1, unchanged);
        assert!(events.iter().any(|event| event["message"] == "working"), "{name}: {events:?}");
        wait_until_quiet(&mut guest);
        end(guest);

        let mut guest = start(machine, "async_dump", 1);
        // Without a request: the guest ignores the byte. Events in two dumps are shown once.
        let (_, events) = watch(&mut guest, &elf, b'-', 3, unchanged);
        let mut rounds: Vec<i64> = events.iter().filter_map(|event| event["fields"]["round"].as_i64()).collect();
        let count = rounds.len();
        rounds.sort_unstable();
        rounds.dedup();
        assert!(count > 0 && count == rounds.len(), "{name}: events are shown twice: {events:?}");
    }
}

/// Returns message and level of the events of `defmt_events` in a session; with `has_urgent`, also the event of an
/// interrupt that comes while another one is formatted.
fn logged(boot: u32, has_urgent: bool) -> Vec<(String, &'static str)> {
    let event_count = (10 + u32::from(has_urgent)) * (boot - 1);
    let recovered = match boot {
        1 => "Nothing".to_owned(),
        _ => format!("Ring {{ event_count: {event_count}, abandoned_count: 0, damaged_count: 0 }}"),
    };
    let up = format!("up: Started {{ boot: {boot}, recovered: {recovered} }}");
    let rest = [
        ("a native event", "INFO"),
        ("-40 degrees at the valve", "WARN"),
        ("Idle then Busy { jobs: 3 }", "TRACE"),
        ("urgent 1", "ERROR"),
        ("interrupted 7 and back", "INFO"),
        // One of defmt, one of ours.
        ("formatting", "DEBUG"),
        ("formatting", "DEBUG"),
        ("talkative and done", "INFO"),
        ("level Warn", "INFO"),
        ("end", "INFO"),
    ];
    let rest = rest.into_iter().filter(|(text, _)| has_urgent || *text != "urgent 1");
    [(up, "INFO")].into_iter().chain(rest.map(|(text, level)| (text.to_owned(), level))).collect()
}

#[test]
fn defmt_in_one_timeline_with_native_events() {
    for name in ["microbit", "mps2-an385", "mps2-an500", "mps2-an505", "riscv-virt", "riscv-virt-imc"] {
        let machine = machine(name);
        println!("{name} ({})", machine.core);
        let mut guest = start(machine, "defmt_events", 0);
        command(&mut guest, b'r');
        wait_for(&mut guest, b"ready\n");
        let (outcome, events) = view_ram(&mut guest, machine, "defmt_events");
        end(guest);
        // On targets that mask interrupts for atomic operations, a non-maskable one that logs meanwhile is refused and
        // counted.
        let has_urgent = name != "microbit";
        let mut expected_events = Vec::new();
        for boot in 1..=2 {
            expected_events.extend(logged(boot, has_urgent).into_iter().map(|(text, level)| (boot, text, level)));
        }
        let shown: Vec<_> = events
            .iter()
            .map(|event| {
                let boot = event["boot"].as_u64().and_then(|boot| u32::try_from(boot).ok()).expect("a number");
                let text = event["message"].as_str().expect("text").to_owned();
                (boot, text, event["level"].as_str().expect("text"))
            })
            .collect();
        assert_eq!((outcome, shown), (Outcome::Good, expected_events), "{name}");
        // The frame that is too long is counted in each session, and so is the refused one.
        let losses: Vec<i64> = events.iter().filter_map(|event| event["fields"]["loss"].as_i64()).collect();
        assert_eq!(losses, if has_urgent { [1, 2] } else { [2, 4] }, "{name}");
    }
}

#[test]
fn firmware_that_knows_defmt_only() {
    for name in ["microbit", "mps2-an386", "riscv-virt"] {
        let machine = machine(name);
        let mut guest = start(machine, "defmt_only", 0);
        command(&mut guest, b'r');
        wait_for(&mut guest, b"ready\n");
        let (outcome, events) = view_ram(&mut guest, machine, "defmt_only");
        end(guest);
        let shown: Vec<_> = events.iter().map(|event| (event["boot"].as_u64(), event["message"].as_str())).collect();
        let numbers = ["number 0", "number 1", "number 2", "number 3", "number 4"];
        let expected: Vec<_> = (1..=2).flat_map(|boot| numbers.map(|text| (Some(boot), Some(text)))).collect();
        assert_eq!((outcome, shown), (Outcome::Good, expected), "{name}");
    }
}
