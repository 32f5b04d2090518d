//! Logs with defmt and with the macros of TTLog, also during a log call: in a `Format`, and in an interrupt that is not
//! masked. Then waits to be read; `r` resets, `q` ends the program.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU8, Ordering};

use defmt::Format;
use support::uart;
use transports::clock;
use ttlog_embedded::Config;

ttlog_embedded::recorder!(static RECORDER: 2048, segment_len = 512);

support::entry!(main);
support::urgent_handler!(urgent);

static URGENT: AtomicU8 = AtomicU8::new(0);

fn urgent() {
    let number = URGENT.load(Ordering::Relaxed) + 1;
    URGENT.store(number, Ordering::Relaxed);
    defmt::error!("urgent {=u8}", number);
}

/// Is interrupted while it is formatted.
struct Interrupted;

impl Format for Interrupted {
    fn format(&self, to: defmt::Formatter<'_>) {
        support::pend_urgent();
        defmt::write!(to, "interrupted {=u8}", 7);
    }
}

/// Logs while it is formatted.
struct Talkative;

impl Format for Talkative {
    fn format(&self, to: defmt::Formatter<'_>) {
        defmt::debug!("formatting");
        ttlog_embedded::debug!("formatting");
        defmt::write!(to, "talkative");
    }
}

#[derive(Format)]
enum State {
    Idle,
    Busy { jobs: u16 },
}

fn main() -> ! {
    uart::start();
    let started = RECORDER.start(Config { clock: clock(), ..Config::DEFAULT });
    defmt::info!("up: {}", started);
    ttlog_embedded::info!("a native event", boot = started.boot);
    defmt::warn!("{=i16} degrees at {=str}", -40, "the valve");
    defmt::trace!("{} then {}", State::Idle, State::Busy { jobs: 3 });
    defmt::info!("dumped {=[u8]}", &[0xA5; 300][..]);
    defmt::info!("{} and back", Interrupted);
    defmt::info!("{} and done", Talkative);
    defmt::println!("level {}", ttlog_embedded::Level::Warn);
    ttlog_embedded::info!("end", urgent = URGENT.load(Ordering::Relaxed), loss = RECORDER.loss().dropped_total());
    uart::send_all(b"ready\n");
    loop {
        match uart::receive() {
            Some(b'r') => support::reset(),
            Some(b'q') => support::succeed(),
            _ => {}
        }
    }
}
