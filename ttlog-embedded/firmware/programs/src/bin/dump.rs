//! Records, and dumps when it is told to: `d` as frames over the serial port, `t` as lines of text, `s` as lines through semihosting; while
//! it does so an interrupt logs. `r` resets the machine, `q` ends the program.
#![no_std]
#![no_main]

use support::{print, uart};
use ttlog_embedded::dump::{dump_text_with, dump_with};
use ttlog_embedded::{Config, DumpOptions, info, warn};

support::entry!(main);
support::timer_handler!(timer);

ttlog_embedded::recorder!(static RECORDER: 4096);

fn mix(n: u32) -> u32 {
    n.wrapping_mul(0x9E37_79B9) ^ 0x1234_5678
}

fn timer() {
    warn!("in between");
}

fn send(bytes: &[u8]) -> Result<(), ()> {
    uart::send_all(bytes);
    Ok(())
}

fn main() -> ! {
    let started = RECORDER.start(Config::DEFAULT);
    let first = (started.boot - 1) * 100;
    for n in first + 1..=first + 100 {
        info!("count", n, mixed = mix(n), text = "some text");
    }
    uart::start();
    uart::send_all(b"ready\n");
    loop {
        let Some(command) = uart::receive() else { continue };
        // Within a frame, some thousand instructions after its start.
        support::arm_timer(200);
        let sent = match command {
            b'd' => dump_with(DumpOptions::DEFAULT, send),
            b't' => dump_text_with(DumpOptions::DEFAULT, send),
            b's' => dump_text_with(DumpOptions::DEFAULT, |line| {
                print!("{}", core::str::from_utf8(line).map_err(|_| ())?);
                Ok(())
            }),
            b'r' => support::reset(),
            _ => support::succeed(),
        };
        sent.expect("the port takes everything");
        support::stop_timer();
        uart::send_all(b"done\n");
    }
}
