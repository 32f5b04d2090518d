//! What all of these programs do.
#![no_std]
#![no_main]

#[cortex_m_rt::entry]
fn main() -> ! {
    ttlog_footprint::run();
    ttlog_footprint::end::<u32>(&[])
}
