//! The program of `slog-before` with the macros of TTLog.

use ttlog_std::{Recorder, error, info, info_scope};

fn pay(cents: u32) -> Result<u32, std::num::ParseIntError> {
    info!("paying", cents);
    "three".parse()
}

fn main() {
    let _recorder = Recorder::init(100_000, 100, "shop");
    let _scope = info_scope!("order", id = 4711);
    if let Err(error) = pay(3980) {
        error!("not paid", error);
    }
}
