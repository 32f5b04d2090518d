//! TTLog on the nRF52840-DK with embassy: one task works and logs, another sends the events over the serial port of the
//! on-board debugger, after a reset and when button 1 is pressed. Button 2 makes the firmware panic.
//!
//! README.md shows how to flash it and how to read its events.
#![no_std]
#![no_main]

use embassy_executor::Spawner;
use embassy_nrf::gpio::{Input, Pull};
use embassy_nrf::uarte::{self, UarteTx};
use embassy_nrf::{bind_interrupts, pac, peripherals};
use embassy_time::Timer;
use ttlog_embedded::task::{DumpSchedule, dump_task, request_dump};
use ttlog_embedded::{Clock, Config, Recovered, debug, info, warn};

// 16 KiB in `.uninit.ttlog`, which the start-up code does not touch.
ttlog_embedded::recorder!(static RECORDER: 16384);

// Records hard faults, like the feature `panic-handler` panics. After either, the chip is reset.
ttlog_embedded::fault_handler!();

bind_interrupts!(struct Irqs {
    UARTE0 => uarte::InterruptHandler<peripherals::UARTE0>;
});

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    // RESETREAS, nRF52840 Product Specification, "POWER". Its bits add up until they are cleared.
    let reasons = pac::POWER.resetreas().read();
    pac::POWER.resetreas().write_value(reasons); // a bit is cleared by writing 1
    let reset_reason = reasons.0;
    // Starts the clock of embassy-time, which the recorder reads from its start on.
    let board = embassy_nrf::init(embassy_nrf::config::Config::default());
    let started = RECORDER.start(Config { clock: Clock::embassy(), reset_reason, ..Config::DEFAULT });
    info!("started", boot = started.boot, reset_reason);

    // Pins of the DK: the serial port of the debugger, buttons 1 and 2.
    let uart = UarteTx::new(board.UARTE0, Irqs, board.P0_06, uarte::Config::default());
    let dump_button = Input::new(board.P0_11, Pull::Up);
    let panic_button = Input::new(board.P0_12, Pull::Up);
    spawner.spawn(send_dumps(uart).expect("spawned once"));
    spawner.spawn(dump_on_request(dump_button).expect("spawned once"));
    spawner.spawn(panic_on_request(panic_button).expect("spawned once"));

    if let Recovered::Ring { event_count, .. } = started.recovered {
        info!("requesting a dump of earlier events", event_count);
        request_dump();
    }

    let mut level_mm = 1_500_u32;
    loop {
        Timer::after_millis(100).await;
        level_mm = 1_500 + (level_mm + 7) % 500;
        debug!("measured", level_mm);
        if level_mm > 1_990 {
            warn!("the tank is nearly full", level_mm);
        }
    }
}

/// Sends the events on request. The other tasks continue to run and to log.
#[embassy_executor::task]
async fn send_dumps(uart: UarteTx<'static>) -> ! {
    dump_task(uart, DumpSchedule::ON_REQUEST).await
}

/// Requests a dump each time the button is pressed.
#[embassy_executor::task]
async fn dump_on_request(mut button: Input<'static>) {
    loop {
        button.wait_for_falling_edge().await;
        request_dump();
    }
}

/// Panics when the button is pressed.
#[embassy_executor::task]
async fn panic_on_request(mut button: Input<'static>) {
    button.wait_for_falling_edge().await;
    panic!("button 2 was pressed");
}
