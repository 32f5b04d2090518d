//! Says hello over semihosting and over the serial port, and answers a byte that it receives.
#![no_std]
#![no_main]

use support::uart;

support::entry!(main);

fn main() -> ! {
    support::println!("hello");
    uart::start();
    uart::send_all(b"hello, serial\n");
    loop {
        if let Some(byte) = uart::receive() {
            uart::send_all(&[byte.wrapping_add(1), b'\n']);
            support::succeed();
        }
    }
}
