//! Resets and interrupts at every instruction of log calls. The program `sweep` describes what it sweeps and checks.

use std::time::Duration;

use ttlog_qemu::{Machine, Output, Run, Variant, machine};

/// The program's first argument.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Reset = 0,
    Interrupt = 1,
    InterruptAndReset = 2,
    NestedInterrupts = 3,
}

const MODES: [Mode; 4] = [Mode::Reset, Mode::Interrupt, Mode::InterruptAndReset, Mode::NestedInterrupts];

fn sweep(machine: &'static Machine, variant: Variant, mode: Mode) -> Output {
    Run::of_variant(machine, variant, "sweep")
        .argument(mode as u32)
        .argument(1)
        .time_out(Duration::from_secs(300))
        .finish()
}

/// Runs the sweeps, and checks that they interrupted calls at 1,500 points or more.
fn sweep_right(name: &str) {
    let machine = machine(name);
    for mode in MODES {
        let started = std::time::Instant::now();
        let text = sweep(machine, Variant::Usual, mode).expect_success();
        println!("{name} {mode:?}: {} ({:?})", text.trim_end(), started.elapsed());
        let numbers: Vec<u32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [_, inside, nothing, reservation, event] = numbers[..] else { panic!("{text}") };
        assert!(inside >= 1500, "{name} {mode:?}: {text}");
        if mode == Mode::Reset || mode == Mode::InterruptAndReset {
            // Each kind of end occurred: before the reservation, before the commit, after it.
            assert!(nothing > 0 && reservation > 0 && event > 0, "{name} {mode:?}: {text}");
            assert_eq!(nothing + reservation + event, inside, "{name} {mode:?}: {text}");
        }
    }
}

#[test]
fn cortex_m3_at_every_instruction() {
    sweep_right("lm3s6965evb");
}

#[test]
fn cortex_m3_with_little_ram_at_every_instruction() {
    sweep_right("stm32vldiscovery");
}

#[test]
fn riscv_at_every_instruction() {
    sweep_right("riscv-virt");
}

#[test]
fn riscv_without_atomics_at_every_instruction() {
    sweep_right("riscv-virt-imc");
}

/// Without compare-and-swap: the same instructions as on a Cortex-M0.
#[test]
fn armv6m_at_every_instruction() {
    sweep_right("lm3s6965evb-v6m");
}

#[test]
fn cortex_m0_at_every_instruction() {
    sweep_right("microbit");
}

#[test]
fn cortex_m7_at_every_instruction() {
    sweep_right("mps2-an500");
}

#[test]
fn cortex_m33_at_every_instruction() {
    sweep_right("mps2-an505");
}

/// Detects a recorder that publishes records before it stores their words.
#[test]
fn wrong_store_order_is_noticed() {
    for (name, mode) in ["lm3s6965evb", "lm3s6965evb-v6m"].into_iter().flat_map(|name| MODES.map(|mode| (name, mode))) {
        let output = sweep(machine(name), Variant::MutantCommitFirst, mode);
        println!("{name} {mode:?}: {}", output.text.trim_end());
        // A mode whose calls all continue before it checks the ring cannot notice.
        let can_notice = mode != Mode::NestedInterrupts;
        assert_eq!(output.status.code(), Some(i32::from(can_notice)), "{mode:?}: {}", output.text);
        assert_eq!(output.text.contains("panicked"), can_notice, "{mode:?}: {}", output.text);
    }
}
