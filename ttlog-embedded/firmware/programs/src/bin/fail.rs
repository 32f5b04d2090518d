//! Panics; the test must notice.
#![no_std]
#![no_main]

support::entry!(main);

fn main() -> ! {
    panic!("this is to fail")
}
