//! UART 0 of the LM3S6965, for output.

use core::convert::Infallible;

use embedded_io::{ErrorType, Write};

/// Base address of UART 0: LM3S6965 data sheet, "Memory Map".
const UART0: usize = 0x4000_C000;
/// Data.
const DR: *mut u32 = UART0 as *mut u32;
/// Flags.
const FR: *const u32 = (UART0 + 0x18) as *const u32;
/// Flag: no room for another byte.
const TX_FULL: u32 = 1 << 5;
/// Flag: bytes are still being sent.
const BUSY: u32 = 1 << 3;

/// The port. QEMU needs no setup; on the chip, set the clocks of UART 0 and port A, the pins' function and the baud
/// rate first.
pub struct Uart;

impl ErrorType for Uart {
    type Error = Infallible;
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let Some(&byte) = bytes.first() else { return Ok(0) };
        // SAFETY: registers of UART 0, which nothing else uses.
        unsafe {
            while FR.read_volatile() & TX_FULL != 0 {}
            DR.write_volatile(byte.into());
        }
        Ok(1)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        // SAFETY: as above.
        while unsafe { FR.read_volatile() } & BUSY != 0 {}
        Ok(())
    }
}
