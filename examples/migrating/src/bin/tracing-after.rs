//! The program of `tracing-before`, whose events and spans go to the ring, too.

use tracing::{error, info, instrument};
use tracing_subscriber::{EnvFilter, prelude::*};
use ttlog_std::Recorder;

#[instrument]
fn pay(order: u64, cents: u32) -> Result<u32, std::num::ParseIntError> {
    info!(provider = "acme", "paying");
    "three".parse()
}

fn main() {
    let recorder = Recorder::init(100_000, 100, "shop");
    let console = tracing_subscriber::fmt::layer().with_filter(EnvFilter::from_default_env());
    tracing_subscriber::registry().with(console).with(recorder.layer()).init();
    if let Err(error) = pay(4711, 3980) {
        error!(error = &error as &dyn std::error::Error, "not paid");
    }
}
