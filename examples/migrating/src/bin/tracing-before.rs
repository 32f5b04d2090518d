//! A program that logs with `tracing`.

use tracing::{error, info, instrument};
use tracing_subscriber::EnvFilter;

#[instrument]
fn pay(order: u64, cents: u32) -> Result<u32, std::num::ParseIntError> {
    info!(provider = "acme", "paying");
    "three".parse()
}

fn main() {
    tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).init();
    if let Err(error) = pay(4711, 3980) {
        error!(error = &error as &dyn std::error::Error, "not paid");
    }
}
