//! Events and spans of `tracing`: what they are in the ring, beside other layers, and in trouble.
//!
//! Each case runs in a child process, which leaves its ring behind; the test reads it.
//!
//! Faults of other layers, and the test of each:
//! - values recorded twice, or lost, after the start of a span: `spans::values_and_causes_that_come_later`
//! - a span entered twice, or on several threads at once: `spans::span_on_several_threads`,
//!   `spans::guards_in_any_order_and_on_any_thread`
//! - a span made in one place and entered in another: `runtime::ten_thousand_tasks_at_once` (its blocking work)
//! - guards held across `.await`: `runtime::guards_held_across_await`
//! - ids of spans that are used again: `spans::values_and_causes_that_come_later`,
//!   `spans::subscribers_beside_each_other`
//! - `follows_from` a span that is closed or hidden: `spans::values_and_causes_that_come_later`,
//!   `filters::parents_that_the_filter_hides`
//! - parents named, or none: `spans::parents_of_spans_and_events`,
//!   `reference::parents_are_those_that_the_registry_knows`
//! - parents hidden by a filter, also after a reload: `filters::parents_that_the_filter_hides`,
//!   `filters::reload_of_another_layer`, `traps::filter_around_the_layer_that_is_reloaded`
//! - `log_enabled!` through `tracing-log` before an event: `logs::questions_about_records_withhold_no_event`
//! - `enabled!`: `filters::level_that_changes_at_run_time` (its case `macros`), and a unit test of the filter
//! - a level that changes at run time: `traps::level_reaches_all_callsites_and_costs_nothing_afterwards`
//! - a subscriber in a box or an `Arc`: `traps::subscriber_in_a_box_or_an_arc`
//! - a layer that keeps its subscriber alive: `traps::layer_does_not_hold_its_subscriber`
//! - the end of a subscriber amid new callsites: `traps::subscriber_that_is_dropped_while_callsites_are_registered`
//! - a span whose last handle lives on: `traps::span_with_a_handle_at_death_is_open`
//! - a `Debug` that logs, enters spans or panics: `events::debug_that_logs_or_panics`,
//!   `traps::debug_that_enters_spans`, `traps::spans_that_are_never_made_take_no_room`
//! - records of `log` with a target of `log`: `logs::records_through_tracing_keep_their_places`
#![cfg(target_os = "linux")]
#![allow(unreachable_pub, reason = "it is public among the modules of this test")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/allocations.rs"]
mod counted;

mod allocations;
mod ends;
mod events;
mod filters;
mod logs;
mod mock;
mod panics;
mod reference;
mod runtime;
mod spans;
mod tasks;
mod threads;
mod traps;

use common::ring::RingContents;
use common::{Case, Place, spans as tree};

/// Not a test: entry point of the children.
#[test]
#[ignore = "run by the other tests in a child process"]
fn child() {
    common::run_case([
        allocations::CASES,
        ends::CASES,
        events::CASES,
        filters::CASES,
        logs::CASES,
        panics::CASES,
        mock::CASES,
        reference::CASES,
        runtime::CASES,
        spans::CASES,
        tasks::CASES,
        threads::CASES,
        traps::CASES,
    ]);
}

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
