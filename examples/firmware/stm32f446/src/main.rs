//! TTLog on a Nucleo-F446RE: an application whose boot loader logs into the same ring. After a reset it sends the
//! events of both over the serial port of the on-board debugger. An interrupt of the highest priority logs too, and the
//! user button makes it panic.
//!
//! README.md shows how to flash both and how to read their events.
#![no_std]
#![no_main]

use cortex_m::peripheral::NVIC;
use cortex_m_rt::entry;
use stm32f4xx_hal::pac::{self, interrupt};
use stm32f4xx_hal::prelude::*;
use stm32f4xx_hal::rcc::Config as RccConfig;
use stm32f4xx_hal::timer::Event;
use stm32f4xx_hal::watchdog::IndependentWatchdog;
use ttlog_embedded::dump::{DumpOptions, dump_with};
use ttlog_embedded::{Clock, Config, Recovered, debug, info, trace, warn};

// In the region of memory.x, with the same layout as in the boot loader: the ring outlives updates of both.
ttlog_embedded::recorder!(static RECORDER: region, segment_len = 256, session_count = 8);

// Records hard faults, like the feature `panic-handler` panics. After either, the chip is reset.
ttlog_embedded::fault_handler!();

#[entry]
fn main() -> ! {
    let mut core = cortex_m::Peripherals::take().expect("this is the only place that takes them");
    let device = pac::Peripherals::take().expect("this is the only place that takes them");

    // RCC_CSR, whose upper bits are the reset reason (reference manual RM0390, 6.3.21). They add up until they are
    // cleared.
    let reset_reason = device.RCC.csr().read().bits() & 0xFE00_0000;
    device.RCC.csr().modify(|_, w| w.rmvf().set_bit());

    let mut rcc = device.RCC.freeze(RccConfig::hsi().sysclk(84.MHz()));
    core.DCB.enable_trace();
    core.DWT.set_cycle_count(0);
    core.DWT.enable_cycle_counter();
    let clock = Clock::dwt(rcc.clocks.hclk().raw());
    let started = RECORDER.start(Config { clock, reset_reason, ..Config::DEFAULT });
    info!("started", boot = started.boot, reset_reason);

    // PA2 is the serial port of the debugger, PC13 the user button (pressed is low).
    let gpioa = device.GPIOA.split(&mut rcc);
    let button = device.GPIOC.split(&mut rcc).pc13.into_input();
    let mut serial = device.USART2.tx(gpioa.pa2, 115_200.bps(), &mut rcc).expect("the clock supports 115,200 baud");
    if let Recovered::Ring { event_count, .. } = started.recovered {
        info!("sending earlier events", event_count);
        // Not `dump_to_06`: this HAL's `write` returns 0 instead of waiting for room, on which `write_all` panics.
        if dump_with(DumpOptions::DEFAULT, |bytes| serial.bwrite_all(bytes)).is_err() {
            warn!("the dump was cut off");
        }
    }

    let mut ticker = device.TIM2.counter_hz(&mut rcc);
    ticker.listen(Event::Update);
    ticker.start(20.Hz()).expect("the clock supports 20 Hz");
    // SAFETY: no critical section relies on masking this interrupt. Log calls are safe to interrupt.
    unsafe {
        core.NVIC.set_priority(pac::Interrupt::TIM2, 0);
        NVIC::unmask(pac::Interrupt::TIM2);
    }

    let mut watchdog = IndependentWatchdog::new(device.IWDG);
    watchdog.start(2_000.millis());
    let mut delay = device.TIM5.delay_us(&mut rcc);
    let mut turn = 0_u32;
    loop {
        delay.delay_ms(500);
        watchdog.feed();
        // The cycle counter wraps every 51 s; this counts the wraps, even if nothing is logged for longer.
        RECORDER.keep_time();
        turn += 1;
        debug!("turn", turn);
        assert!(button.is_high(), "the button was pressed in turn {turn}");
    }
}

/// Logs in the middle of the loop's log calls.
#[interrupt]
fn TIM2() {
    // SAFETY: the flag of TIM2, which nothing else touches once the timer runs.
    unsafe { (*pac::TIM2::ptr()).sr().modify(|_, w| w.uif().clear_bit()) };
    trace!("tick");
}
