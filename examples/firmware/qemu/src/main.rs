//! TTLog on a Cortex-M3 in QEMU: a firmware that panics in its first run, faults in its second, and in its third sends
//! the events of all three over its UART.
//!
//! README.md shows how to run it.
#![no_std]
#![no_main]

mod uart;

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::{entry, exception};
use cortex_m_semihosting::debug;
use ttlog_embedded::{Clock, Config, debug, debug_scope, info, trace, warn};

use crate::uart::Uart;

// 4,096 bytes in `.uninit.ttlog`, which the start-up code does not touch.
ttlog_embedded::recorder!(static RECORDER: 4096);

// Records hard faults, like the feature `panic-handler` panics. After either, the chip is reset.
ttlog_embedded::fault_handler!();

/// Cycles of SysTick in a second: the internal oscillator.
const CLOCK_HZ: u32 = 12_000_000;
/// Milliseconds since the start.
static UPTIME_MS: AtomicU32 = AtomicU32::new(0);

#[entry]
fn main() -> ! {
    // SAFETY: a read of the register "Reset Cause" has no side effects.
    let reset_reason = unsafe { RESC.read_volatile() };
    let mut core = cortex_m::Peripherals::take().expect("this is the only place that takes them");
    start_systick(&mut core.SYST);

    let started = RECORDER.start(Config { clock: Clock::systick(CLOCK_HZ), reset_reason, ..Config::DEFAULT });
    info!("started", boot = started.boot);

    match started.boot {
        1 => {
            let mut level_mm = 1_930;
            loop {
                work(level_mm);
                level_mm += 10;
            }
        }
        2 => {
            warn!("about to execute an undefined instruction");
            cortex_m::asm::udf();
        }
        _ => {}
    }
    info!("sending the events of all runs");
    let Ok(()) = ttlog_embedded::dump_to(&mut Uart);
    debug::exit(debug::EXIT_SUCCESS);
    loop {
        cortex_m::asm::wfi();
    }
}

/// The work of every 10 ms.
fn work(level_mm: u32) {
    // Open until the end of the function: a panic or a hang within it leaves it open in the ring.
    let _measurement = debug_scope!("measurement", level_mm);
    let begin = UPTIME_MS.load(Ordering::Relaxed);
    while UPTIME_MS.load(Ordering::Relaxed).wrapping_sub(begin) < 10 {
        cortex_m::asm::wfi();
    }
    debug!("measured");
    assert!(level_mm < 2_000, "the tank overflows at {level_mm} mm");
}

/// Reset Cause; LM3S6965 data sheet, "System Control".
const RESC: *const u32 = 0x400F_E05C as *const u32;

/// Starts SysTick with a period of a millisecond.
fn start_systick(systick: &mut SYST) {
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(CLOCK_HZ / 1_000 - 1);
    systick.clear_current();
    systick.enable_interrupt();
    systick.enable_counter();
}

#[exception]
fn SysTick() {
    ttlog_embedded::clock::count_systick();
    let uptime_ms = UPTIME_MS.load(Ordering::Relaxed) + 1;
    UPTIME_MS.store(uptime_ms, Ordering::Relaxed);
    if uptime_ms.is_multiple_of(25) {
        trace!("tick", uptime_ms);
    }
}
