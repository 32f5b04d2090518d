//! Measures what a log call costs on a microcontroller: the calls, and how the guest counts them.
//!
//! Each program calls [`run`], which logs each kind of event and prints how far the SysTick counter moved, one line per
//! figure. With `-icount shift=0` QEMU's clock advances 1 ns per instruction, so the counter counts instructions, in
//! the unit of the line `calibration`. `report.py` reads the lines, and the trace of a second run with few calls.
//!
//! Each call is in a function that is not inlined (`call_KIND`, written by build.rs), so that nothing of it moves out
//! of the loop. `bare_KIND` has the same frame and arguments and logs nothing; it is measured in the same loop, and
//! subtracted.
#![no_std]

use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use semihosting::println;

mod recorder;

include!(concat!(env!("OUT_DIR"), "/calls.rs"));

/// Calls of each kind, unless the host sets another number.
const ROUNDS: u32 = 10_000;
/// Calls of each kind over which bytes in the ring are counted.
const ROUNDS_FOR_BYTES: u32 = 1_000;
/// Instructions that the line `calibration` stands for.
const CALIBRATION_INSTRUCTIONS: u32 = 2_000_000;
/// Full turn of SysTick.
const TURN: u32 = 1 << 24;

/// Number of calls of each kind, set by the host before the guest starts. 0, the initial value of QEMU's memory, means
/// [`ROUNDS`].
#[unsafe(no_mangle)]
#[unsafe(link_section = ".uninit.rounds")]
static HOST_ROUNDS: AtomicU32 = AtomicU32::new(0);

/// The logged values: readings of a 12-bit sensor, small counts, and a few large numbers.
static VALUES: [u32; 16] =
    [2_011, 2_034, 7, 4_095, 0, 1_998, 812, 70_000, 2_040, 3, 2_029, 255, 256, 2_017, 1_000_000, 90];

/// Returns a value that the compiler does not know.
fn value(index: u32) -> u32 {
    // SAFETY: a reference is valid for reads.
    unsafe { ptr::read_volatile(&VALUES[(index & 15) as usize]) }
}

/// Prints how far `count` calls of `round` move the counter.
fn measure(name: &str, count: u32, round: impl Fn(u32)) {
    recorder::fill();
    let before = SYST::get_current();
    for index in 0..count {
        round(index);
    }
    let after = SYST::get_current();
    println!("ticks {name} {count} {}", before.wrapping_sub(after) & (TURN - 1));
}

/// Prints how many bytes `round` puts into the ring: those of events alone, and those including changes of segments.
fn measure_bytes(name: &str, round: impl Fn(u32)) {
    let (mut count, mut event_bytes, mut all_bytes) = (0, 0, 0);
    for index in 0..ROUNDS_FOR_BYTES {
        let before = recorder::position();
        round(index);
        let after = recorder::position();
        let segments = after.segment.wrapping_sub(before.segment);
        all_bytes += (segments * recorder::SEGMENT_LEN + after.offset).wrapping_sub(before.offset) % recorder::RING_LEN;
        if segments == 0 && after.offset >= before.offset {
            count += 1;
            event_bytes += after.offset - before.offset;
        }
    }
    println!("event_bytes {name} {count} {event_bytes}");
    println!("all_bytes {name} {ROUNDS_FOR_BYTES} {all_bytes}");
}

/// Prints how far a known number of instructions moves the counter.
fn calibrate() {
    let before = SYST::get_current();
    // SAFETY: counts a register of its own down to 0.
    unsafe {
        core::arch::asm!("2:", "subs {count}, {count}, #1", "bne 2b",
            count = inout(reg) CALIBRATION_INSTRUCTIONS / 2 => _, options(nomem, nostack));
    }
    let after = SYST::get_current();
    println!("calibration {CALIBRATION_INSTRUCTIONS} {}", before.wrapping_sub(after) & (TURN - 1));
}

/// Measures everything and prints it.
pub fn run() {
    let mut syst = Peripherals::take().expect("nobody else takes them").SYST;
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(TURN - 1);
    syst.clear_current();
    syst.enable_counter();
    recorder::start();

    let host_rounds = HOST_ROUNDS.load(Ordering::Relaxed);
    if host_rounds == 0 {
        calibrate();
    }
    let count = if host_rounds == 0 { ROUNDS } else { host_rounds };
    let small = |index| value(index) as u8;
    measure("bare_0", count, |_| bare_0());
    measure("call_0", count, |_| call_0());
    measure("bare_u32", count, |i| bare_u32(value(i)));
    measure("call_u32", count, |i| call_u32(value(i)));
    measure("bare_u32_u8", count, |i| bare_u32_u8(value(i), small(i + 1)));
    measure("call_u32_u8", count, |i| call_u32_u8(value(i), small(i + 1)));
    measure("bare_4_u32", count, |i| bare_4_u32(value(i), value(i + 1), value(i + 2), value(i + 3)));
    measure("call_4_u32", count, |i| call_4_u32(value(i), value(i + 1), value(i + 2), value(i + 3)));
    if host_rounds == 0 {
        measure_bytes("call_0", |_| call_0());
        measure_bytes("call_u32", |i| call_u32(value(i)));
        measure_bytes("call_u32_u8", |i| call_u32_u8(value(i), small(i + 1)));
        measure_bytes("call_4_u32", |i| call_4_u32(value(i), value(i + 1), value(i + 2), value(i + 3)));
    }
}

/// Keeps `callsites` in the program, and ends it.
pub fn end<T>(callsites: &'static [T]) -> ! {
    core::hint::black_box(callsites);
    semihosting::process::exit(0)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    semihosting::process::exit(1)
}
