//! A program whose records go to the console.

use log::{info, warn};

fn main() {
    env_logger::init();
    info!(order = 4711; "accepted");
    warn!("payment provider is slow");
}
