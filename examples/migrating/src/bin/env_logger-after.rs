//! The program of `env_logger-before`, whose records go to the ring, too.

use log::{info, warn};
use ttlog_std::Recorder;

fn main() {
    let recorder = Recorder::init(100_000, 100, "shop");
    let console = env_logger::Builder::from_default_env().build();
    let level = console.filter();
    recorder.logger().beside(Box::new(console), level).install().expect("no other logger");
    info!(order = 4711; "accepted");
    warn!("payment provider is slow");
}
