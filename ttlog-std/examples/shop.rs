//! A small service, to be killed: two workers take orders, and the payment provider stops answering.
//!
//! Run `cargo run -p ttlog-std --example shop`, then `kill -9` with the process id that it prints, then `ttlog-view`
//! with the path that it prints. `docs/picture` does this for the picture in the README.

use std::thread;
use std::time::Duration;

use ttlog_std::{Recorder, info};

fn main() {
    let recorder = Recorder::init(100_000, 100, "shop");
    let ring = recorder.ring_path().expect("the ring is in a file, so that it survives");
    println!("process {}, ring {}", std::process::id(), ring.display());
    info!("listening", port = 8080_u16, workers = 2_u8);
    let workers = [("worker-1", 0_u64), ("worker-2", 1)].map(|(name, first)| {
        thread::Builder::new().name(name.into()).spawn(move || work(first)).expect("a thread can be started")
    });
    for worker in workers {
        worker.join().expect("workers do not panic");
    }
}

/// Takes every second order, until the process ends. From the eleventh on the payment provider does not answer.
fn work(first: u64) {
    for order in (first..).step_by(2) {
        http::handle(4700 + order, order >= 10);
        if order == 15 {
            println!("the payment provider does not answer");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

mod http {
    use ttlog_std::{debug, info};

    /// Answers the request that places an order.
    pub(crate) fn handle(order: u64, provider_is_down: bool) {
        debug!("POST /orders", order, bytes = 180 + order % 40);
        let items = super::db::load(order);
        let status = if super::payment::charge(order, items * 1990, provider_is_down) { 201_u16 } else { 503 };
        info!("order {order} answered with {status}", items);
    }
}

mod db {
    use std::time::{Duration, Instant};

    use ttlog_std::debug;

    /// Returns the number of items in an order.
    pub(crate) fn load(order: u64) -> u64 {
        let (start, rows) = (Instant::now(), 1 + order % 3);
        std::thread::sleep(Duration::from_micros(300 * rows));
        debug!("query took {ms:.2} ms", ms = start.elapsed().as_secs_f64() * 1e3, rows);
        rows
    }
}

mod payment {
    use std::io::{Error, ErrorKind};
    use std::thread::sleep;
    use std::time::Duration;

    use ttlog_std::{error, info, warn};

    /// Returns whether the card was charged.
    pub(crate) fn charge(order: u64, cents: u64, provider_is_down: bool) -> bool {
        let card = "4111 1111 1111 1111";
        if !provider_is_down {
            info!("order {order} paid", cents, secret card);
            return true;
        }
        sleep(Duration::from_millis(2));
        warn!("payment provider is slow, retrying", order, timeout_ms = 2_u64);
        sleep(Duration::from_millis(2));
        let cause = Error::from(ErrorKind::ConnectionReset);
        error!("order {order} not paid: {cause}", cents, secret card);
        false
    }
}
