//! The program of `slog-before` with the macros of TTLog.

use ttlog_std::{Recorder, error, info};

fn pay(order: u64, cents: u32) -> Result<u32, std::num::ParseIntError> {
    info!("paying", order, cents);
    "three".parse()
}

fn main() {
    let _recorder = Recorder::init(100_000, 100, "shop");
    let order = 4711;
    if let Err(error) = pay(order, 3980) {
        error!("not paid", order, error);
    }
}
