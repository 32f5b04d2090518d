//! TTLog on an ESP32-C3: a firmware that panics after a while, and sends its events over UART 0 after the reset.
//!
//! README.md shows how to flash it and how to read its events.
#![no_std]
#![no_main]

use esp_hal::clock::CpuClock;
use esp_hal::delay::Delay;
use esp_hal::main;
use esp_hal::system::{reset_reason, software_reset};
use esp_hal::time::Instant;
use esp_hal::uart::UartTx;
use ttlog_embedded::{Clock, Config, FailureAction, Recovered, debug, info, warn};

// 8 KiB in `.uninit.ttlog`, which esp-hal and the boot loader do not touch.
ttlog_embedded::recorder!(static RECORDER: 8192);

// Required by the second-stage boot loader.
esp_bootloader_esp_idf::esp_app_desc!();

#[main]
fn main() -> ! {
    let peripherals = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    // The code of the ESP32-C3 Technical Reference Manual, table "Reset Source".
    let reason = reset_reason().map_or(0, |reason| reason as u32);

    // After `init`, which starts the timer that the clock reads.
    let started = RECORDER.start(Config {
        clock: Clock::new(ticks, Some(ticks64), 1_000_000),
        reset_reason: reason,
        // Called by TTLog's panic handler, also for exceptions of the core, which esp-hal turns into panics.
        after_failure: FailureAction::Call(software_reset),
        ..Config::DEFAULT
    });
    info!("started", boot = started.boot, reset_reason = reason);

    let mut uart = UartTx::new(peripherals.UART0, esp_hal::uart::Config::default())
        .expect("the clock supports 115,200 baud")
        .with_tx(peripherals.GPIO21);
    if let Recovered::Ring { event_count, .. } = started.recovered {
        info!("sending earlier events", event_count);
        if ttlog_embedded::dump_to(&mut uart).is_err() {
            warn!("the dump was cut off");
        }
    }

    let delay = Delay::new();
    let mut level_mm = 1_930_u32;
    loop {
        delay.delay_millis(200);
        level_mm += 10;
        debug!("measured", level_mm);
        assert!(level_mm < 2_000, "the tank overflows at {level_mm} mm");
    }
}

/// Returns the microseconds since the start.
fn ticks64() -> u64 {
    Instant::now().duration_since_epoch().as_micros()
}

/// Returns their lower 32 bits.
fn ticks() -> u32 {
    ticks64() as u32
}
