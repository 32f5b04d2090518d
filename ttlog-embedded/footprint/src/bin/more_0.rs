//! The program `calls` with 64 more callsites of the kind `0`, which are never reached.
#![no_std]
#![no_main]

include!(concat!(env!("OUT_DIR"), "/more_0.rs"));

#[cortex_m_rt::entry]
fn main() -> ! {
    ttlog_footprint::run();
    ttlog_footprint::end(&CALLSITES)
}
