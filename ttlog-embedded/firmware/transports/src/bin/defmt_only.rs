//! Uses only defmt, except for one line. Waits to be read; `r` resets, `q` ends the program.
#![no_std]
#![no_main]

use support::uart;
use ttlog_embedded as _;

support::entry!(main);

fn main() -> ! {
    uart::start();
    for number in 0..5_u8 {
        defmt::info!("number {=u8}", number);
    }
    uart::send_all(b"ready\n");
    loop {
        match uart::receive() {
            Some(b'r') => support::reset(),
            Some(b'q') => support::succeed(),
            _ => {}
        }
    }
}
