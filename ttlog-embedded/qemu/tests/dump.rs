//! Dumps of running firmware, by all ways that QEMU has, shown by `ttlog-view`: over the serial port, live, with bytes that are lost,
//! flipped and doubled on the way; through semihosting; and out of the RAM of the guest while it runs.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use ttlog_qemu::{Guest, Run, Variant, machine, program};

const MACHINE: &str = "lm3s6965evb";

fn elf() -> PathBuf {
    program(machine(MACHINE), Variant::Usual, "dump")
}

/// The viewer, as `cargo test` of the workspace builds it.
fn viewer() -> Command {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--locked", "-p", "ttlog-view"]).current_dir(&root);
        let status = cargo.env("CARGO_TARGET_DIR", &target).status().expect("cargo runs");
        assert!(status.success(), "ttlog-view does not build");
        target.join("debug/ttlog-view")
    });
    Command::new(path)
}

/// Starts the program, with `sessions` resets done, and waits until it is ready.
fn start(resets: u32) -> Guest {
    let mut guest = Run::new(machine(MACHINE), "dump").serial().qmp().start();
    read_until(&mut guest, b"ready\n");
    for _ in 0..resets {
        guest.serial().write_all(b"r").expect("the guest is there");
        read_until(&mut guest, b"ready\n");
    }
    guest
}

/// Gives what the guest sends up to `end`, without it.
fn read_until(guest: &mut Guest, end: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(end) {
        guest.serial().read_exact(&mut byte).expect("the guest sends");
        bytes.push(byte[0]);
    }
    bytes.truncate(bytes.len() - end.len());
    bytes
}

/// Has the guest dump, and gives what it sends.
fn dump(guest: &mut Guest, command: u8) -> Vec<u8> {
    guest.serial().write_all(&[command]).expect("the guest is there");
    read_until(guest, b"done\n")
}

/// Shows a dump that comes over a connection while it comes.
fn show_live(bytes: &[u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it has an address");
    let mut view = viewer();
    view.arg("serial").arg(format!("tcp:{address}")).arg("--elf").arg(elf()).args(["--format", "ndjson"]);
    let view =
        view.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the viewer runs");
    let (mut connection, _) = listener.accept().expect("the viewer connects");
    for part in bytes.chunks(100) {
        connection.write_all(part).expect("the viewer reads");
    }
    drop(connection);
    let output = view.wait_with_output().expect("the viewer ends");
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Gives the numbers of the events shown, and checks the values of each.
fn numbers(shown: &str) -> Vec<u32> {
    let field = |line: &str, name: &str| {
        let rest = line.split_once(&format!("\"{name}\":"))?.1;
        rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
    };
    let events = shown.lines().filter(|line| line.contains("\"count\""));
    let numbers = events.map(|line| {
        let (n, mixed): (u32, u32) =
            field(line, "n").zip(field(line, "mixed")).unwrap_or_else(|| panic!("no values: {line}"));
        assert_eq!(mixed, n.wrapping_mul(0x9E37_79B9) ^ 0x1234_5678, "{line}");
        assert!(line.contains("\"some text\""), "{line}");
        n
    });
    numbers.collect()
}

/// Checks that these are the latest events of the guest, up to `last`.
fn assert_latest(shown: &str, last: u32, count_min: usize) {
    let numbers = numbers(shown);
    assert!(numbers.len() >= count_min, "{} events:\n{shown}", numbers.len());
    let expected: Vec<u32> = (last + 1 - numbers.len() as u32..=last).collect();
    assert_eq!(numbers, expected, "{shown}");
}

#[test]
fn serial_frames_and_text() {
    let mut guest = start(1);
    for command in [b'd', b't'] {
        let bytes = dump(&mut guest, command);
        assert!(bytes.len() > 4096);
        assert_latest(&show_live(&bytes), 200, 80);
    }
    // What the interrupt logged during the first dump is in the second.
    let shown = show_live(&dump(&mut guest, b'd'));
    assert!(shown.contains("in between"), "{shown}");
}

#[test]
fn serial_with_damage_on_the_way() {
    let mut guest = start(0);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut all = 0;
    for round in 0..6 {
        let mut damaged = Vec::new();
        for byte in dump(&mut guest, if round % 2 == 0 { b'd' } else { b't' }) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            match random >> 32 & 0x7FF {
                0 => {}                                           // lost
                1 => damaged.push(byte ^ 1 << (random >> 8 & 7)), // flipped
                2 => damaged.extend([byte, byte]),                // doubled
                _ => damaged.push(byte),
            }
        }
        let numbers = numbers(&show_live(&damaged));
        assert!(numbers.is_sorted() && numbers.iter().all(|n| (1..=100).contains(n)), "round {round}: {numbers:?}");
        all += numbers.len();
    }
    // Nothing false, and not nothing.
    assert!(all > 150, "{all} events in six dumps");
}

#[test]
fn semihosting() {
    let mut guest = start(0);
    assert_eq!(dump(&mut guest, b's'), b"");
    guest.serial().write_all(b"q").expect("the guest is there");
    let text = guest.finish().expect_success();
    let path = std::env::temp_dir().join(format!("ttlog-qemu-{}.dump", std::process::id()));
    std::fs::write(&path, &text).expect("temporary files can be written");
    let output = viewer().arg("serial").arg(&path).arg("--elf").arg(elf()).args(["--format", "ndjson"]).output();
    std::fs::remove_file(&path).expect("it was there");
    assert_latest(&String::from_utf8_lossy(&output.expect("the viewer runs").stdout), 100, 40);
}

#[test]
fn ram_of_the_running_guest() {
    let mut guest = start(1);
    let path = std::env::temp_dir().join(format!("ttlog-qemu-{}.ram", std::process::id()));
    std::fs::write(&path, guest.ram_image()).expect("temporary files can be written");
    let base = format!("{:#x}", machine(MACHINE).ram_base);
    // With the address the ring is found by its symbol, without it by its magic.
    for options in [&["--base", &base][..], &[]] {
        let mut view = viewer();
        view.arg("image").arg(&path).args(options).arg("--elf").arg(elf()).args(["--format", "ndjson"]);
        let output = view.output().expect("the viewer runs");
        let shown = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_latest(&shown, 200, 80);
    }
    std::fs::remove_file(&path).expect("it was there");
}
