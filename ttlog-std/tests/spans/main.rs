//! Native spans: what they are in the ring, in every order, on several threads, in futures and in trouble.
//!
//! Each case runs in a child process, which leaves its ring behind; the test reads it.
#![cfg(target_os = "linux")]
#![allow(unreachable_pub, reason = "it is public among the modules of this test")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/allocations.rs"]
mod counted;

mod allocations;
mod ends;
mod functions;
mod kept;
#[cfg(feature = "tracing")]
mod mixed;
mod nesting;
mod tasks;
mod traces;

use common::ring::RingContents;
use common::{Case, Place, spans as tree};

/// Not a test: entry point of the children.
#[test]
#[ignore = "run by the other tests in a child process"]
fn child() {
    common::run_case([
        allocations::CASES,
        ends::CASES,
        functions::CASES,
        kept::CASES,
        #[cfg(feature = "tracing")]
        mixed::CASES,
        nesting::CASES,
        tasks::CASES,
        traces::CASES,
    ]);
}

/// Runs a case and reads the ring that it leaves.
fn ring_of(case: &str) -> RingContents {
    let place = Place::new(&format!("spans-{case}"));
    place.run(case);
    RingContents::read(&place.ring_files()[0])
}

/// Runs a case and reads the spans of the ring that it leaves.
fn tree_of(case: &str) -> tree::Tree {
    let ring = ring_of(case);
    assert_eq!((ring.loss.dropped_total(), ring.loss.overwritten), (0, 0));
    let tree = tree::Tree::new(ring);
    assert_eq!(tree.strays, 0, "{:?}", tree.stacks);
    tree
}

fn install() -> ttlog_std::Recorder {
    ttlog_std::Recorder::builder().service("test").capacity_bytes(32 << 20).build().unwrap()
}
