//! The basis of all other tests in QEMU, for each machine: programs run, print, and use the serial port; RAM survives
//! resets; and a timer interrupts at a chosen instruction.

use std::io::{BufRead, BufReader, Write};

use ttlog_qemu::{MACHINES, Machine, Run, machine};

/// Runs a check on all machines, and prints their names.
fn on_all(check: impl Fn(&'static Machine)) {
    for machine in &MACHINES {
        println!("{} ({})", machine.name, machine.core);
        check(machine);
    }
}

#[test]
fn hello() {
    on_all(|machine| {
        let mut guest = Run::new(machine, "hello").serial().start();
        let mut lines = BufReader::new(guest.serial().try_clone().expect("a socket can be cloned"));
        let mut line = Vec::new();
        lines.read_until(b'\n', &mut line).expect("the guest says hello");
        assert!(line.ends_with(b"hello, serial\n"), "{line:?}");
        guest.serial().write_all(b"x").expect("the guest is there");
        line.clear();
        lines.read_until(b'\n', &mut line).expect("the guest answers");
        assert_eq!(line, b"y\n");
        assert_eq!(guest.finish().expect_success(), "hello\n");
    });
}

#[test]
fn ram_survives_a_reset() {
    on_all(|machine| {
        let text = Run::new(machine, "survive").argument(20).finish().expect_success();
        assert_eq!(text, "survived 20 resets\n");
    });
}

#[test]
fn timer_interrupts_at_the_chosen_instruction() {
    on_all(|machine| {
        let text = Run::new(machine, "tick").finish().expect_success();
        assert!(text.starts_with("exact at "), "{text}");
    });
}

#[test]
fn ram_is_read_while_the_guest_runs() {
    let mut guest = Run::new(machine("mps2-an385"), "hello").serial().qmp().start();
    // After its hello it waits for a byte, and its stack is in use.
    let mut line = String::new();
    let mut lines = BufReader::new(guest.serial().try_clone().expect("a socket can be cloned"));
    lines.read_line(&mut line).expect("the guest says hello");
    let image = guest.ram_image();
    assert_eq!(image.len(), 64 << 10);
    guest.qmp().reset().expect("QEMU resets it");
    line.clear();
    lines.read_line(&mut line).expect("the guest says hello again");
    assert_eq!(line, "hello, serial\n");
    guest.qmp().quit().expect("QEMU ends");
    assert!(guest.finish().status.success());
}

#[test]
fn failure_of_the_guest_is_seen() {
    let output = Run::new(machine("mps2-an385"), "fail").finish();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.text.contains("this is to fail"), "{output:?}");
}

/// Interrupts at every instruction of log calls, with SysTick as clock.
#[test]
fn time_of_systick_never_goes_back() {
    for name in ["lm3s6965evb", "lm3s6965evb-v6m", "microbit", "mps2-an505"] {
        let run = Run::new(machine(name), "systick").time_out(std::time::Duration::from_secs(300));
        let text = run.finish().expect_success();
        println!("{name}: {text}");
        assert!(text.contains("2500 points, "), "{name}: {text}");
    }
}
