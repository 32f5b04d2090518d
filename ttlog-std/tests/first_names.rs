//! The first names of the recorder in this crate: `Trace` and the methods of its handle.

mod common;

use common::{Place, Snapshot};
use ttlog_std::{Trace, info};

/// Not a test: entry point of the child of the test below.
#[test]
#[ignore = "run by the other test in a child process"]
fn child() {
    if common::case().is_none() {
        return;
    }
    let trace = Trace::init(10_000, 10, "shop");
    info!("order executed", symbol = "ACME");
    assert!((0.0..=1.0).contains(&trace.get_buffer_utilization()));
    trace.request_snapshot("checkpoint").wait().unwrap();
    assert!(trace.shutdown());
}

#[test]
fn first_names_go_on_working() {
    let place = Place::new("first-names");
    place.run("first names");
    let paths = place.snapshot_files();
    let [path] = &paths[..] else { panic!("{paths:?}") };
    assert_eq!(Snapshot::read(path).with_message("order executed").len(), 1);
}
