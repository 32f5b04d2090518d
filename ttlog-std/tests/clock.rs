//! Times of events, as a reader finds them in the ring of a dead process.
#![cfg(target_os = "linux")]

mod common;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::Place;
use ttlog_core::{Item, RingImage, SegmentState, TableItem, TimeScale, ValueRef};
use ttlog_std::{Recorder, info};

/// Number of anchors: that of the start, three early ones, and two that are a second apart.
const ANCHORS: usize = 6;
/// Number of events to compare, at least.
const EVENTS: usize = 1000;

fn anchor_count(ring: &Path) -> usize {
    RingImage::parse(&std::fs::read(ring).unwrap()).unwrap().anchors().count()
}

/// Not a test: entry point of the children of the tests below.
#[test]
#[ignore = "run by the other tests in child processes"]
fn child() {
    let Some(_) = common::case() else { return };
    let recorder = Recorder::builder().build().unwrap();
    let ring = recorder.ring_path().unwrap().to_path_buf();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let (mut after_last, mut logged) = (0, 0);
    common::wait_until("anchors and events", || {
        for _ in 0..20 {
            let before = now();
            info!("now", before, after_last);
            after_last = now();
            std::thread::sleep(Duration::from_millis(1));
        }
        logged += 20;
        logged > EVENTS && anchor_count(&ring) >= ANCHORS
    });
    std::process::abort();
}

/// Checks that each event lies between the readings of the wall clock before and after it.
#[test]
fn events_of_a_dead_process_are_dated_by_its_anchors() {
    let place = Place::new("clock");
    let output = common::finish(place.child("dated"));
    assert!(!output.status.success(), "it aborts");
    assert_eq!(common::warnings(&output), [""; 0]);
    let rings = place.ring_files();
    let bytes = std::fs::read(&rings[0]).unwrap();
    let image = RingImage::parse(&bytes).unwrap();
    let process = image.entries().find_map(|entry| match TableItem::decode(entry.bytes).unwrap() {
        TableItem::Process(process) => Some(process),
        _ => None,
    });
    let callsites: Vec<_> = image
        .entries()
        .filter_map(|entry| match TableItem::decode(entry.bytes).unwrap() {
            TableItem::Callsite(callsite) => Some(callsite),
            _ => None,
        })
        .collect();
    let anchors: Vec<_> = image.anchors().collect();
    assert!(anchors.len() >= ANCHORS);
    let scale = TimeScale::<1024>::new(&anchors, process.unwrap().ticks_per_second);
    assert_eq!(scale.steps().count(), 0, "{anchors:?}");

    // For each event: the wall clock before it and after the previous one, and its converted time.
    let mut events = Vec::new();
    for index in 0..image.header().segment_count {
        let SegmentState::Valid(segment) = image.segment(index) else { continue };
        for item in segment.items() {
            let Item::Event(record) = item else { continue };
            let callsite = callsites.iter().find(|callsite| callsite.id == record.callsite).unwrap();
            let values: Vec<_> = callsite.values(record.payload).map(|value| value.unwrap().1).collect();
            let [ValueRef::Unsigned(before), ValueRef::Unsigned(after_last)] = values[..] else { panic!("{values:?}") };
            events.push((before as i64, after_last as i64, scale.unix_ns(record.ticks)));
        }
    }
    events.sort_unstable();
    assert!(events.len() > EVENTS, "{}", events.len());
    let mut off: Vec<i64> = events
        .windows(2)
        .map(|pair| {
            let [(before, _, time), (_, after, _)] = pair[..] else { unreachable!("two at a time") };
            (before - time).max(time - after).max(0)
        })
        .collect();
    off.sort_unstable();
    assert!(off[off.len() * 9 / 10] <= 1000, "{:?} ns", &off[off.len() * 9 / 10..]);
    assert!(off[off.len() - 1] <= 50_000, "{:?} ns", &off[off.len() - 10..]);
}
