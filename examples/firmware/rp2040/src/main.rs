//! TTLog on a Raspberry Pi Pico: both cores log into one ring. Core 1 gets stuck after a while, the watchdog resets the
//! chip, and the firmware sends its events over UART 0.
//!
//! README.md shows how to flash it and how to read its events.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};

use embedded_hal::delay::DelayNs;
use rp2040_hal as hal;
use rp2040_hal::Clock as _;
use rp2040_hal::fugit::{ExtU32, RateExtU32};
use rp2040_hal::multicore::{Multicore, Stack};
use rp2040_hal::pac;
use rp2040_hal::uart::{DataBits, StopBits, UartConfig, UartPeripheral};
use ttlog_embedded::{Clock, Config, FailureAction, Recovered, debug, error, info, warn};

// 16 KiB in `.uninit.ttlog`, which the start-up code does not touch; both cores log into it.
ttlog_embedded::recorder!(static RECORDER: 16384, segment_len = 512);

// Records hard faults, like the feature `panic-handler` panics. After either, the chip is reset.
ttlog_embedded::fault_handler!();

/// The second stage of the boot loader, for most flash chips.
#[used]
#[unsafe(link_section = ".boot2")]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_GENERIC_03H;

/// Frequency of the crystal of the Pico, in hertz.
const CRYSTAL_HZ: u32 = 12_000_000;
/// Stack of core 1.
static CORE1_STACK: Stack<4096> = Stack::new();
/// Samples that core 1 has taken.
static SAMPLE_COUNT: AtomicU32 = AtomicU32::new(0);

#[hal::entry]
fn main() -> ! {
    let mut pac = pac::Peripherals::take().expect("this is the only place that takes them");
    let reset_reason = reset_reason(&pac);

    // Starts the microsecond counter that the clock below reads.
    let mut watchdog = hal::Watchdog::new(pac.WATCHDOG);
    let clocks = hal::clocks::init_clocks_and_plls(
        CRYSTAL_HZ,
        pac.XOSC,
        pac.CLOCKS,
        pac.PLL_SYS,
        pac.PLL_USB,
        &mut pac.RESETS,
        &mut watchdog,
    )
    .ok()
    .expect("the crystal runs");
    let mut timer = hal::Timer::new(pac.TIMER, &mut pac.RESETS, &clocks);

    // Before core 1 runs, which logs too.
    let started = RECORDER.start(Config {
        clock: clock(),
        reset_reason,
        after_failure: FailureAction::Call(hal::reset),
        ..Config::DEFAULT
    });
    info!("started", boot = started.boot, reset_reason);

    let mut sio = hal::Sio::new(pac.SIO);
    let pins = hal::gpio::Pins::new(pac.IO_BANK0, pac.PADS_BANK0, sio.gpio_bank0, &mut pac.RESETS);
    let mut uart =
        UartPeripheral::new(pac.UART0, (pins.gpio0.into_function(), pins.gpio1.into_function()), &mut pac.RESETS)
            .enable(UartConfig::new(115_200.Hz(), DataBits::Eight, None, StopBits::One), clocks.peripheral_clock.freq())
            .expect("the clock supports 115,200 baud");
    if let Recovered::Ring { event_count, .. } = started.recovered {
        info!("sending earlier events", event_count);
        if ttlog_embedded::dump_to(&mut uart).is_err() {
            warn!("the dump was cut off");
        }
    }

    let mut multicore = Multicore::new(&mut pac.PSM, &mut pac.PPB, &mut sio.fifo);
    let stack = CORE1_STACK.take().expect("core 1 is started once");
    multicore.cores()[1].spawn(stack, move || core1(timer)).expect("core 1 answers");

    watchdog.start(2_000.millis());
    let mut seen = 0;
    loop {
        timer.delay_ms(500);
        let now = SAMPLE_COUNT.load(Ordering::Relaxed);
        info!("core 0 saw samples", count = now.wrapping_sub(seen));
        if now == seen {
            warn!("core 1 does not respond; waiting for the watchdog");
        } else {
            watchdog.feed();
        }
        seen = now;
    }
}

/// Takes samples, and gets stuck after 100 of them.
fn core1(mut timer: hal::Timer) {
    info!("core 1 started");
    for number in 1..=100_u32 {
        timer.delay_ms(50);
        let value = timer.get_counter_low() ^ number;
        debug!("core 1 took a sample", number, value);
        SAMPLE_COUNT.store(number, Ordering::Relaxed);
    }
    error!("core 1 is stuck");
    loop {
        cortex_m::asm::nop();
    }
}

/// Returns the timer of the chip as clock: a microsecond per tick, the same for both cores.
fn clock() -> Clock {
    // SAFETY: TIMERAWL can be read at any time, without side effects (TIMELR would latch the upper half).
    unsafe { Clock::of_register((*pac::TIMER::PTR).timerawl().as_ptr(), 1_000_000) }
}

/// Returns the reason of the reset: CHIP_RESET (RP2040 data sheet, 2.12.7), with the REASON of the watchdog (4.7.6) in
/// the lowest two bits.
fn reset_reason(pac: &pac::Peripherals) -> u32 {
    pac.VREG_AND_CHIP_RESET.chip_reset().read().bits() | pac.WATCHDOG.reason().read().bits()
}
