//! Shared by the programs.
#![no_std]

use core::convert::Infallible;
use core::sync::atomic::{AtomicU32, Ordering};

use support::uart;
use ttlog_embedded::Clock;

/// A clock that advances by a tick at each read.
pub fn clock() -> Clock {
    static TICKS: AtomicU32 = AtomicU32::new(0);
    let ticks = || {
        let now = TICKS.load(Ordering::Relaxed);
        TICKS.store(now + 1, Ordering::Relaxed);
        now
    };
    Clock::new(ticks, None, 1_000)
}

/// The serial port as a writer.
pub struct Port;

impl embedded_io::ErrorType for Port {
    type Error = Infallible;
}

impl embedded_io::Write for Port {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        // As little as a port with a short buffer takes.
        let len = bytes.len().min(16);
        uart::send_all(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl embedded_io_async::Write for Port {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        embedded_io::Write::write(self, bytes)
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
