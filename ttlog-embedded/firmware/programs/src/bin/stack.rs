//! Prints how much stack a dump needs: as frames, as lines of text, and compressed.
#![no_std]
#![no_main]

use ttlog_embedded::dump::{dump_text_with, dump_with, scratch_len};
use ttlog_embedded::{Config, DumpOptions, info};

support::entry!(main);

ttlog_embedded::recorder!(static RECORDER: 4096);

/// More than any dump needs, and less than the stack has.
const PAINTED_LEN: usize = 24 << 10;
const PAINT: u32 = 0x7AC3_5EA5;

/// Runs `body` on a painted stack, and returns the number of bytes it used.
#[inline(never)]
fn stack_of(body: fn()) -> usize {
    let here = 0_u32;
    let top = (&raw const here) as usize & !3;
    // Nobody uses what is below; a little is left for this function itself.
    let words = || (top - PAINTED_LEN..top - 128).step_by(4);
    for place in words() {
        // SAFETY: in the stack, below its used part.
        unsafe { (place as *mut u32).write_volatile(PAINT) };
    }
    body();
    // SAFETY: as above.
    let used = words().find(|place| unsafe { (*place as *const u32).read_volatile() } != PAINT);
    top - used.unwrap_or(top)
}

/// A sink that takes everything.
fn take(bytes: &[u8]) -> Result<(), ()> {
    core::hint::black_box(bytes);
    Ok(())
}

fn frames() {
    dump_with(DumpOptions::DEFAULT, take).expect("it takes all");
}

fn text() {
    dump_text_with(DumpOptions::DEFAULT, take).expect("it takes all");
}

fn packed() {
    static mut SCRATCH: [u8; scratch_len(256)] = [0; scratch_len(256)];
    let scratch = &raw mut SCRATCH;
    // SAFETY: used only here, and once.
    let scratch = unsafe { &mut *scratch };
    dump_with(DumpOptions { scratch: Some(scratch) }, take).expect("it takes all");
}

fn main() -> ! {
    RECORDER.start(Config::DEFAULT);
    for n in 0..1000_u32 {
        info!("fills the ring", n, half = n as u16);
    }
    support::println!("{} {} {}", stack_of(frames), stack_of(text), stack_of(packed));
    support::succeed()
}
