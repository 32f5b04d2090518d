//! Sends its events through semihosting, as lines of text.
#![no_std]
#![no_main]

use transports::clock;
use ttlog_embedded::dump::dump_text_with;
use ttlog_embedded::{Config, DumpOptions, info};

ttlog_embedded::recorder!(static RECORDER: 1024);

support::entry!(main);

fn main() -> ! {
    RECORDER.start(Config { clock: clock(), ..Config::DEFAULT });
    for number in 0..20_u8 {
        info!("measured", number);
    }
    support::println!("now it comes");
    let sent = dump_text_with(DumpOptions::DEFAULT, |line| {
        support::print!("{}", core::str::from_utf8(line)?);
        Ok::<_, core::str::Utf8Error>(())
    });
    if sent.is_err() {
        support::fail();
    }
    support::succeed()
}
