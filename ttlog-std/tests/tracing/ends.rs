//! Ends: of the recorder, and of the process amid everything.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use tracing::{info, info_span};
use tracing_subscriber::prelude::*;
use ttlog_core::event::Role;

use super::common::Place;
use super::common::ring::RingContents;
use super::tree::Tree;
use super::{Case, WAY, install};

pub const CASES: &[Case] = &[("kill", kill), ("shutdown", shutdown), ("second", second), ("off", off), ("fork", fork)];

fn kill() {
    let _recorder = install();
    for thread in 0..4_u64 {
        std::thread::spawn(move || {
            let connection = info_span!("connection", thread);
            let _in_connection = connection.enter();
            for round in 0_u64.. {
                let request = info_span!("request", thread, round);
                request.in_scope(|| info!(round, "handled"));
                if round == 1000 {
                    println!("ready");
                }
            }
        });
    }
    loop {
        std::thread::park();
    }
}

#[test]
fn killed_amid_open_spans() {
    use std::io::{BufRead as _, BufReader};
    for way in ["layer", "subscriber"] {
        let place = Place::new(&format!("tracing-kill-{way}"));
        let mut child = place.child("kill").env(WAY, way).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("ready")));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        let ring = RingContents::read(&place.ring_files()[0]);
        assert_eq!(ring.loss.dropped_total(), 0);
        // Beginnings can be overwritten; of what is left, per thread and in its order: a span that is entered was
        // started, one that ends was left, and at most the last one is open.
        let mut contexts: std::collections::BTreeMap<_, Vec<_>> = Default::default();
        for event in &ring.events {
            contexts.entry(event.context).or_default().push(&event.event);
        }
        assert!(!contexts.is_empty());
        for events in contexts.values() {
            let starts = events.iter().position(|event| event.message == "request").unwrap();
            let mut open: Vec<u64> = Vec::new();
            for event in &events[starts..] {
                if let Some(id) = event.span(Role::Start) {
                    assert!(open.is_empty(), "{open:?}");
                    open.push(id);
                } else if let Some(id) = event.span(Role::End) {
                    assert_eq!(open.pop(), Some(id));
                } else if let Some(id) = event.span(Role::Span) {
                    assert_eq!(open.last(), Some(&id), "{event:?}");
                }
            }
        }
    }
}

fn shutdown() {
    let recorder = install();
    let [open, entered] = [info_span!("open"), info_span!("entered")];
    let in_entered = entered.clone().entered();
    recorder.request_snapshot("before").wait().unwrap();
    assert!(recorder.shutdown());
    info!("after the end");
    drop(in_entered);
    open.in_scope(|| info!("in open after the end"));
    open.record("x", 1);
    info_span!("after the end").in_scope(|| ());
    open.follows_from(&entered);
    drop((open, entered));
}

#[test]
fn spans_that_outlive_the_recorder() {
    for way in ["layer", "subscriber"] {
        let place = Place::new(&format!("tracing-shutdown-{way}"));
        let mut command = place.child("shutdown");
        command.env(WAY, way);
        let output = super::common::finish(command);
        assert!(output.status.success(), "{}", super::common::stderr(&output));
        assert_eq!(super::common::warnings(&output), [""; 0]);
        assert!(place.ring_files().is_empty());
    }
}

fn second() {
    tracing_subscriber::registry().init();
    let _recorder = ttlog_std::tracing::init("test");
    info!("not recorded");
    ttlog_std::info!("recorded");
}

#[test]
fn init_beside_another_subscriber_is_reported() {
    let place = Place::new("tracing-second");
    let warnings = super::common::warnings(&place.run("second"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("has a subscriber of `tracing` already"), "{warnings:?}");
    let ring = RingContents::read(&place.ring_files()[0]);
    assert_eq!(ring.events.len(), 1);
}

fn off() {
    let recorder = ttlog_std::tracing::init("test");
    assert!(!recorder.is_recording() && !tracing::enabled!(tracing::Level::ERROR));
    info_span!("nowhere").in_scope(|| info!("nowhere"));
}

#[test]
fn recorder_that_is_switched_off() {
    let place = Place::new("tracing-off");
    let mut command = place.child("off");
    command.env("TTLOG", "off");
    assert!(super::common::finish(command).status.success());
    assert!(place.ring_files().is_empty());
}

fn fork() {
    let _recorder = install();
    let span = info_span!("parent's");
    let in_span = span.enter();
    // SAFETY: the process has one thread besides the service thread, and the child only records and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        info!("in the child");
        info_span!("child's").in_scope(|| info!("in the child's span"));
        drop(in_span);
        drop(span);
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: the status is a valid place.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    info!("in the parent");
}

#[test]
fn child_of_fork_has_the_spans_of_its_parent() {
    for way in ["layer", "subscriber"] {
        let place = Place::new(&format!("tracing-fork-{way}"));
        let mut command = place.child("fork");
        command.env(WAY, way);
        let output = super::common::finish(command);
        assert!(output.status.success(), "{}", super::common::stderr(&output));
        let mut rings: Vec<_> = place.ring_files().iter().map(|path| RingContents::read(path)).collect();
        rings.sort_by_key(|ring| ring.events.len());
        assert_eq!(rings.len(), 2);
        let child = rings.iter().position(|ring| ring.events.iter().any(|e| e.event.message == "child's")).unwrap();
        let (child, parent) = (Tree::new(rings.remove(child)), Tree::new(rings.remove(0)));
        let id = parent.span("parent's").0;
        assert_eq!(parent.event("in the parent").span(Role::Span), Some(id));
        assert_eq!(child.event("in the child").span(Role::Span), Some(id));
        assert_eq!(child.span("child's").1.parent, id);
        assert_eq!(child.span_of("in the child's span"), "child's");
    }
}
