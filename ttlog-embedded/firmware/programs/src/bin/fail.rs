//! Panics: the test must see it.
#![no_std]
#![no_main]

support::entry!(main);

fn main() -> ! {
    panic!("this is to fail")
}
