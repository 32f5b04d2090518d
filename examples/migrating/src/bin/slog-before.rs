//! A program that logs with `slog`.

use slog::{Drain, Logger, error, info, o};

fn pay(log: &Logger, cents: u32) -> Result<u32, std::num::ParseIntError> {
    info!(log, "paying"; "cents" => cents);
    "three".parse()
}

fn main() {
    let decorator = slog_term::PlainSyncDecorator::new(std::io::stderr());
    let drain = slog_term::FullFormat::new(decorator).build().fuse();
    let root = Logger::root(drain, o!("service" => "shop"));
    let log = root.new(o!("order" => 4711));
    if let Err(error) = pay(&log, 3980) {
        error!(log, "not paid"; "error" => #error);
    }
}
