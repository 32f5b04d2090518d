//! Records events, then sends them over the serial port on request: `d` for frames, `t` for lines of text, `l` for
//! frames while events are recorded, `r` to reset, `q` to end.
#![no_std]
#![no_main]

use core::convert::Infallible;

use support::uart;
use transports::{Port, clock};
use ttlog_embedded::{Config, dump_text_to, dump_to, info, warn};

ttlog_embedded::recorder!(static RECORDER: 2048);

support::entry!(main);

/// A port whose driver logs.
struct Chatty {
    writes: u32,
}

impl embedded_io::ErrorType for Chatty {
    type Error = Infallible;
}

impl embedded_io::Write for Chatty {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.writes += 1;
        // Seldom enough that earlier events are not replaced.
        if self.writes.is_multiple_of(8) {
            info!("sending", write = self.writes / 8);
        }
        Port.write(bytes)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn main() -> ! {
    uart::start();
    RECORDER.start(Config { clock: clock(), reset_reason: 0x11, ..Config::DEFAULT });
    for number in 0..support::argument(0) {
        info!("measured", number, millivolts = 3300 - number as i32);
        if number % 10 == 9 {
            warn!("ten more, {number} now", unit = "mV");
        }
    }
    uart::send_all(b"ready\n");
    loop {
        let Some(command) = uart::receive() else { continue };
        let sent = match command {
            b'd' => dump_to(&mut Port),
            b't' => dump_text_to(&mut Port),
            b'l' => dump_to(&mut Chatty { writes: 0 }),
            b'r' => support::reset(),
            b'q' => support::succeed(),
            _ => Ok(()),
        };
        let Ok(()) = sent;
        uart::send_all(b"sent\n");
    }
}
