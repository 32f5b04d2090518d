//! The program of `log4rs-before`, with a ring and snapshots in place of files.

use std::time::Duration;

use log::{debug, info};
use ttlog_std::Recorder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let recorder = Recorder::builder()
        .service("shop")
        .capacity_bytes(64 << 20)
        .filter("debug,shop::db=warn")
        .snapshot_directory("log")
        .snapshot_every(Duration::from_secs(600))
        .retain_count(8)
        .build()?;
    recorder.logger().install()?;
    info!(order = 4711; "accepted");
    debug!(target: "shop::db", "not recorded");
    Ok(())
}
