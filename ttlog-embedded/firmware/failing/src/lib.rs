//! Shared by the programs of this package.
#![no_std]

use ttlog_embedded::dump::{DumpOptions, dump_text_with};

/// Prints the ring as lines of text.
pub fn dump() {
    let printed: Result<(), ()> = dump_text_with(DumpOptions::DEFAULT, |bytes| {
        let text = core::str::from_utf8(bytes).map_err(drop)?;
        support::print!("{}", text);
        Ok(())
    });
    if printed.is_err() {
        support::fail();
    }
}

/// The recipe that docs/firmware.md recommends for Cortex-M7.
#[cfg(feature = "mps2-an500")]
mod cortex_m7 {
    include!("../../../recipes/cortex_m7.rs");

    /// Enables the data cache, except for the first 64 KiB of RAM.
    pub fn set_up() {
        // SAFETY: nobody else uses the peripherals.
        let mut core = unsafe { cortex_m::Peripherals::steal() };
        uncache(&mut core.MPU, 0x2000_0000, 16);
        core.SCB.enable_dcache(&mut core.CPUID);
    }
}
#[cfg(feature = "mps2-an500")]
pub use cortex_m7::set_up;
/// Does nothing on this machine.
#[cfg(not(feature = "mps2-an500"))]
pub fn set_up() {}
