//! Firmware whose logs leave over RTT, and are lost if nobody listens.
#![no_std]
#![no_main]

use cortex_m as _;
use defmt_rtt as _;
use panic_halt as _;

#[derive(defmt::Format)]
enum Valve {
    Open { percent: u8 },
}

#[cortex_m_rt::entry]
fn main() -> ! {
    defmt::info!("valve {}", Valve::Open { percent: 40 });
    let mut level_mm = 1_930;
    loop {
        defmt::debug!("level {=u32} mm", level_mm);
        assert!(level_mm < 2_000, "the tank overflows");
        level_mm += 10;
    }
}
