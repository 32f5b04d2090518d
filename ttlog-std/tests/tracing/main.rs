//! Events and spans of `tracing`: what they are in the ring, beside other layers, and in trouble.
//!
//! Each case runs in a child process, which leaves its ring behind; the test reads it.
#![cfg(target_os = "linux")]
#![allow(unreachable_pub, reason = "it is public among the modules of this test")]

#[path = "../common/mod.rs"]
mod common;

mod allocations;
mod ends;
mod events;
mod filters;
mod logs;
mod panics;
mod reference;
mod spans;
mod tasks;
mod threads;
mod tree;

use common::Place;
use common::ring::RingContents;

/// Not a test: entry point of the children.
#[test]
#[ignore = "run by the other tests in a child process"]
fn child() {
    let Some(case) = common::case() else { return };
    let modules = [
        allocations::CASES,
        ends::CASES,
        events::CASES,
        filters::CASES,
        logs::CASES,
        panics::CASES,
        reference::CASES,
        spans::CASES,
        tasks::CASES,
        threads::CASES,
    ];
    let (_, run) = modules.into_iter().flatten().find(|(name, _)| *name == case).expect("a case of this name");
    run();
}

/// A case by its name.
type Case = (&'static str, fn());

/// Runs a case and reads the ring that it leaves.
fn ring_of(case: &str) -> RingContents {
    let place = Place::new(&format!("tracing-{case}"));
    place.run(case);
    RingContents::read(&place.ring_files()[0])
}

/// Runs a case with the layer and with the subscriber of our own, and calls `check` with each ring. The case gets its
/// subscriber from [`install`].
fn rings_of(case: &str, check: impl Fn(RingContents)) {
    for way in ["layer", "subscriber"] {
        let place = Place::new(&format!("tracing-{case}-{way}"));
        let mut command = place.child(case);
        command.env(WAY, way);
        let output = common::finish(command);
        assert!(output.status.success(), "{case} with the {way}: {:?}\n{}", output.status, common::stderr(&output));
        check(RingContents::read(&place.ring_files()[0]));
    }
}

/// Environment variable with the way in which a case gets its subscriber.
const WAY: &str = "TTLOG_TEST_WAY";

/// Starts the recorder, and the subscriber that the test wants.
fn install() -> ttlog_std::Recorder {
    use tracing_subscriber::prelude::*;
    if std::env::var_os(WAY).is_some_and(|way| way == "subscriber") {
        return ttlog_std::tracing::init("test");
    }
    let recorder = ttlog_std::Recorder::init(100_000, 100, "test");
    tracing_subscriber::registry().with(recorder.layer()).init();
    recorder
}
