//! A boot loader that logs into the same ring as the application that it starts.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use ttlog_embedded::{Clock, Config, error, info};

// In the region of memory.x, with the same layout as in the application: the ring outlives updates of both.
ttlog_embedded::recorder!(static RECORDER: region, segment_len = 256, session_count = 8);

// Records hard faults, like the feature `panic-handler` panics. After either, the chip is reset.
ttlog_embedded::fault_handler!();

/// Cycles in a second: the internal oscillator, on which the chip starts.
const CLOCK_HZ: u32 = 16_000_000;
/// RCC_CSR, whose upper bits are the reset reason; reference manual RM0390, 6.3.21.
const RCC_CSR: *const u32 = 0x4002_3874 as *const u32;

unsafe extern "C" {
    /// Start of the application, with its vector table.
    static _application_start: u32;
    /// End of its flash.
    static _application_end: u32;
}

#[entry]
fn main() -> ! {
    let mut core = cortex_m::Peripherals::take().expect("this is the only place that takes them");
    core.DCB.enable_trace();
    core.DWT.set_cycle_count(0);
    core.DWT.enable_cycle_counter();
    // SAFETY: a read has no side effects. The application clears the register.
    let reset_reason = unsafe { RCC_CSR.read_volatile() } & 0xFE00_0000;
    let started = RECORDER.start(Config { clock: Clock::dwt(CLOCK_HZ), reset_reason, ..Config::DEFAULT });
    info!("boot loader started", boot = started.boot, reset_reason);

    let (start, end) = (&raw const _application_start, &raw const _application_end);
    // SAFETY: flash, where any word can be read.
    let (stack, reset) = unsafe { (start.read_volatile(), start.add(1).read_volatile()) };
    if stack >> 28 != 0x2 || !(start as u32..end as u32).contains(&reset) || reset & 1 == 0 {
        error!("there is no application", stack, reset);
        loop {
            cortex_m::asm::wfi();
        }
    }
    info!("starting the application", reset);
    // SAFETY: it has a stack in RAM, and starts in its flash. No interrupt was enabled here.
    unsafe { cortex_m::asm::bootload(start) }
}
