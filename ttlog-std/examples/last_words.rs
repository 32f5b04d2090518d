//! A program that panics: its events are in a snapshot, and the panic is the last one.
//!
//! Run `cargo run -p ttlog-std --example last_words`, then `ttlog-view` with the path that it prints.

use ttlog_std::{Recorder, info, warn};

fn main() {
    let recorder = Recorder::init(10_000, 10, "last-words");
    info!("started", ring = ?recorder.ring_path());
    for tries_left in (0..3_u32).rev() {
        warn!("could not reach the server, {tries_left} tries left");
    }
    panic!("nothing left to do");
}
