//! A program that logs with `log`.

use log::{debug, error, info};

fn pay(order: u64, cents: u32) -> Result<u32, std::num::ParseIntError> {
    debug!(order, cents; "paying");
    "three".parse()
}

fn main() {
    env_logger::init();
    let order = 4711;
    match pay(order, 3980) {
        Ok(attempts) => info!("order {order} paid after {attempts} attempts"),
        Err(error) => error!(target: "audit", order, error:err; "not paid"),
    }
}
