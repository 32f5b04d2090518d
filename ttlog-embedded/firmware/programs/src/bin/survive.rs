//! Fills RAM that a reset does not clear, resets, and checks it. The argument is the number of resets.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};

support::entry!(main);

const WORDS: usize = 512;
const MAGIC: u32 = 0x5EED_1234;

#[unsafe(link_section = ".uninit.retained")]
static RETAINED: [AtomicU32; WORDS] = [const { AtomicU32::new(0) }; WORDS];
/// `.data`: the start must restore it.
static INITIALIZED: AtomicU32 = AtomicU32::new(77);
/// `.bss`: the start must clear it.
static CLEARED: AtomicU32 = AtomicU32::new(0);

fn main() -> ! {
    assert_eq!((INITIALIZED.load(Ordering::Relaxed), CLEARED.load(Ordering::Relaxed)), (77, 0));
    INITIALIZED.store(1, Ordering::Relaxed);
    CLEARED.store(1, Ordering::Relaxed);
    let resets = if RETAINED[0].load(Ordering::Relaxed) == MAGIC { RETAINED[1].load(Ordering::Relaxed) + 1 } else { 0 };
    for (index, word) in RETAINED.iter().enumerate().skip(2) {
        let expected = |resets: u32| (index as u32).wrapping_mul(0x9E37_79B9) ^ resets;
        if resets > 0 {
            assert_eq!(word.load(Ordering::Relaxed), expected(resets - 1), "word {index} after {resets} resets");
        }
        word.store(expected(resets), Ordering::Relaxed);
    }
    RETAINED[0].store(MAGIC, Ordering::Relaxed);
    RETAINED[1].store(resets, Ordering::Relaxed);
    if resets == support::argument(0) {
        support::println!("survived {} resets", resets);
        support::succeed();
    }
    support::reset()
}
