//! The firmware of `before`, whose logs and panic are in RAM that a reset leaves alone.
#![no_std]
#![no_main]

use cortex_m as _;
use ttlog_embedded::{Config, debug};

ttlog_embedded::recorder!(static RECORDER: 4096);

#[derive(defmt::Format)]
enum Valve {
    Open { percent: u8 },
}

#[cortex_m_rt::entry]
fn main() -> ! {
    RECORDER.start(Config::DEFAULT);
    defmt::info!("valve {}", Valve::Open { percent: 40 });
    let mut level_mm = 1_930;
    loop {
        debug!("level {level_mm} mm");
        assert!(level_mm < 2_000, "the tank overflows");
        level_mm += 10;
    }
}
