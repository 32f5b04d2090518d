//! The program of `log-before` with the macros of TTLog.

use ttlog_std::{Recorder, debug, error, info};

fn pay(order: u64, cents: u32) -> Result<u32, std::num::ParseIntError> {
    debug!("paying", order, cents);
    "three".parse()
}

fn main() {
    let _recorder = Recorder::init(100_000, 100, "shop");
    let order = 4711;
    match pay(order, 3980) {
        Ok(attempts) => info!("order {order} paid after {attempts} attempts"),
        Err(error) => error!(target: "audit", "not paid", order, error),
    }
}
