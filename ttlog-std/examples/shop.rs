//! A small service, to be killed: two workers take orders, and the payment provider is slow, then stops answering.
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

/// Takes every second order, until the process ends.
fn work(first: u64) {
    for order in (first..).step_by(2) {
        http::handle(4700 + order);
        thread::sleep(Duration::from_millis(20));
    }
}

mod http {
    use ttlog_std::{debug, info, info_scope};

    /// Answers the request that places an order.
    pub(crate) fn handle(order: u64) {
        let _request = info_scope!("request", order);
        debug!("POST /orders", bytes = 180 + order % 40);
        let items = super::db::load(order);
        let status = if super::payment::charge(order, items * 1990) { 201_u16 } else { 503 };
        info!("answered with {status}", items);
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

    use ttlog_std::{error, info, info_scope, warn};

    /// Returns whether the card was charged. The payment provider is slow from order 4710 on, and stops answering at
    /// order 4714.
    pub(crate) fn charge(order: u64, cents: u64) -> bool {
        let card = "4111 1111 1111 1111";
        let _charge = info_scope!("charge", cents);
        if order < 4710 {
            info!("paid", secret card);
            return true;
        }
        sleep(Duration::from_millis(2));
        warn!("provider is slow, retrying", secret card);
        sleep(Duration::from_millis(2));
        if order >= 4714 {
            println!("the payment provider does not answer");
            sleep(Duration::from_secs(3600));
        }
        let cause = Error::from(ErrorKind::ConnectionReset);
        error!("not paid: {cause}");
        false
    }
}
