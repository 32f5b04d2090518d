//! Starts on damaged memory, with real resets. The program `damage` describes the damage and the checks.

use std::time::Duration;

use ttlog_qemu::{Run, machine};

/// Returns the numbers of the last line: trials, rings taken over, new rings, events of the undamaged ring, fewest left
/// of them.
fn damage(name: &str, mode: u32, trials: u32) -> [u32; 5] {
    let run = Run::new(machine(name), "damage").argument(mode).argument(trials).time_out(Duration::from_secs(300));
    let text = run.finish().expect_success();
    println!("{name}, {mode}: {}", text.trim_end());
    let numbers: Vec<u32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{text}"))
}

const GARBAGE: u32 = 0;
const FLIPPED_BIT: u32 = 1;
const HEADER_WORDS: u32 = 2;
const RANDOM_SEGMENTS: u32 = 3;
const ALL: u32 = 0;

/// Resets are quick here, so it runs all trials.
#[test]
fn cortex_m3() {
    let name = "stm32vldiscovery";
    let [trials, taken, fresh, ..] = damage(name, GARBAGE, ALL);
    assert_eq!((trials, taken, fresh), (1000, 0, 1000));
    // A flipped bit costs at most one event, never the ring.
    let [trials, taken, fresh, whole, fewest] = damage(name, FLIPPED_BIT, ALL);
    assert_eq!((trials, taken, fresh), (8192, 8192, 0));
    assert!(whole > 20 && fewest + 1 >= whole);
    // A word of the ring's header costs at most the ring, one of a segment's header at most the segment, which holds 5
    // events.
    let [_, taken, fresh, whole, fewest] = damage(name, HEADER_WORDS, ALL);
    assert!(taken > 100 && fresh > 10 && fewest + 5 >= whole);
    let [trials, taken, fresh, _, fewest] = damage(name, RANDOM_SEGMENTS, ALL);
    assert_eq!((trials, taken, fresh, fewest), (1000, 1000, 0, 0));
}

/// A sample of trials on other cores.
#[test]
fn other_cores() {
    for name in ["riscv-virt", "riscv-virt-imc", "microbit", "mps2-an505"] {
        let [trials, _, fresh, ..] = damage(name, GARBAGE, 30);
        assert_eq!((trials, fresh), (30, 30));
        let [trials, taken, _, whole, fewest] = damage(name, FLIPPED_BIT, 80);
        assert_eq!((trials, taken), (80, 80));
        assert!(fewest + 1 >= whole);
        let [trials, _, _, whole, fewest] = damage(name, HEADER_WORDS, 80);
        assert_eq!(trials, 80);
        assert!(fewest + 5 >= whole);
    }
}
