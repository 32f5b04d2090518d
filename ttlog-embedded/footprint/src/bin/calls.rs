//! The measured calls, without further callsites.
#![no_std]
#![no_main]

#[cortex_m_rt::entry]
fn main() -> ! {
    ttlog_footprint::run();
    ttlog_footprint::end::<u32>(&[])
}
