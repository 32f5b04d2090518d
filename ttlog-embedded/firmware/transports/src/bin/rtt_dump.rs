//! Sends its events through RTT. The host reads the channel in RAM, and sends the channel's read offset, which a debug
//! probe would store, over the serial port: `r` and two bytes. `q` ends the program.
#![no_std]
#![no_main]

use rtt_target::ChannelMode;
use support::uart;
use transports::clock;
use ttlog_embedded::rtt::{Progress, RttDump};
use ttlog_embedded::{Config, DumpOptions, info};

ttlog_embedded::recorder!(static RECORDER: 2048);

support::entry!(main);

/// Offset of the first channel's read offset in the control block: after the identity, two counts, and four words of
/// the channel.
const READ_OFFSET_AT: usize = 16 + 2 * 4 + 4 * 4;

unsafe extern "C" {
    static mut _SEGGER_RTT: [u8; 0];
}

fn receive() -> u8 {
    loop {
        if let Some(byte) = uart::receive() {
            return byte;
        }
    }
}

fn main() -> ! {
    uart::start();
    // Blocking, as probes set it: the dump must not block all the same.
    let channels = rtt_target::rtt_init! {
        up: {
            0: { size: 512, mode: ChannelMode::BlockIfFull, name: "TTLog" }
        }
    };
    let mut channel = channels.up.0;
    RECORDER.start(Config { clock: clock(), ..Config::DEFAULT });
    for number in 0..60_u8 {
        info!("measured", number);
    }
    uart::send_all(b"ready\n");
    let mut dump = RttDump::new(DumpOptions::DEFAULT);
    loop {
        if dump.pump(&mut channel) == Progress::BufferTooShort {
            support::fail();
        }
        match uart::receive() {
            Some(b'r') => {
                let offset = u32::from(receive()) | u32::from(receive()) << 8;
                // SAFETY: the word that the host writes, in the control block, which the channel reads as an atomic.
                unsafe { (&raw mut _SEGGER_RTT).byte_add(READ_OFFSET_AT).cast::<u32>().write_volatile(offset) };
            }
            Some(b'q') => support::succeed(),
            _ => {}
        }
    }
}
