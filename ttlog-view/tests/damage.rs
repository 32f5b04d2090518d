//! Damages a small snapshot and a small ring with every truncation and every flipped bit, and tries bytes that are
//! neither: nothing panics, and nothing is shown that was not recorded.

mod support;

use std::collections::HashSet;

use ttlog_core::ring::{EndKind, ProcessEnd};
use ttlog_core::snapshot::Codec;
use ttlog_read::query::Query;
use ttlog_read::source::{Input, Source};
use ttlog_read::text::time::TimeFormatter;
use ttlog_read::timeline::Timeline;
use ttlog_view::render::json::JsonRenderer;
use ttlog_view::render::stats::{json_sources, push_losses};

use support::{SECOND, Thread};

/// Returns a recording of a few events on two threads, small enough to damage it in every way.
fn small() -> support::Recording {
    let recording = support::Recording::new(0x0123_4567_89ab_cdef, 3, 256);
    recording.know_shop();
    let (main, worker) = (Thread::new(1, "main"), Thread::new(2, "worker"));
    recording.started(&main, SECOND, 80);
    recording.order(&worker, SECOND + 5, 100, "ann", 1.5, "/a");
    recording.tick(&main, SECOND + 9, 1);
    recording.refused(&worker, SECOND + 20, 100);
    recording
}

/// Returns the same with everything that a ring on a server records: a segment for errors, an end, a panic, a filter.
fn on_a_server() -> support::Recording {
    let recording = support::Recording::on_a_server(0x0123_4567_89ab_cdef, 4, 1, 256, &support::SHOP);
    let (main, worker, told) = (Thread::new(1, "main"), Thread::new(2, "worker"), std::cell::Cell::new(0));
    recording.started(&main, SECOND, 80);
    recording.order(&worker, SECOND + 5, 100, "ann", 1.5, "/a");
    recording.tick(&main, SECOND + 9, 1);
    recording.priority_refused(&worker, &told, SECOND + 20, 100);
    recording.ring.count_panic(SECOND + 21, 102);
    recording.ring.set_filter_text("info,shop::orders=debug");
    let end = ProcessEnd { signal: 11, code: 1, ticks: SECOND + 22, context: 2, ..ProcessEnd::of(EndKind::Signal) };
    assert!(recording.ring.stamp_end(&end));
    recording
}

/// Returns the events that the viewer reads from these bytes, as JSON without times and threads, and whether it
/// reports damage; `None` if it rejects them.
fn read(data: &[u8]) -> Option<(Vec<String>, bool)> {
    let input = Input::new("x".to_owned(), data.to_vec().into());
    let sources = [Source::new(&input).ok()?];
    let mut timeline = Timeline::read(&sources, &Query::default(), &mut ());
    let mut events = Vec::new();
    let mut reader = timeline.events();
    while let Some(event) = reader.next_event() {
        let mut json = String::new();
        JsonRenderer::new().push(&mut json, &event);
        let json: serde_json::Value = serde_json::from_str(&json).expect("well-formed JSON");
        // Events that depend on a lost table entry are missing, not wrong.
        events.push(match event.damage {
            Some(_) => String::new(),
            None => format!("{} {} {} {}", json["level"], json["target"], json["message"], json["fields"]),
        });
    }
    // The summary of the file is well-formed, and harmless to a terminal.
    let json = json_sources(&timeline).pop()?;
    serde_json::from_str::<serde_json::Value>(&json).expect("well-formed JSON");
    let mut text = String::new();
    push_losses(&mut text, &timeline, &mut TimeFormatter::rfc3339());
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    let damaged = timeline.found.first()?.is_damaged(timeline.sources.first()?);
    Some((events, damaged))
}

/// Checks a damaged copy: events shown were recorded, and missing events are reported. Returns the number of events
/// shown.
fn check(data: &[u8], good: &HashSet<String>, what: &str) -> usize {
    let Some((events, _)) = read(data) else { return 0 };
    let shown = events.iter().filter(|event| !event.is_empty());
    let mut seen = HashSet::new();
    for event in shown {
        assert!(good.contains(event), "{what}: shows what was never recorded: {event}");
        assert!(seen.insert(event.clone()), "{what}: shows an event twice: {event}");
    }
    seen.len()
}

fn good_events(data: &[u8]) -> HashSet<String> {
    let (events, damaged) = read(data).expect("it is whole");
    assert!(!damaged);
    assert_eq!(events.len(), 4);
    events.into_iter().collect()
}

fn truncations(data: &[u8]) {
    let good = good_events(data);
    let mut most = 0;
    for len in 0..data.len() {
        let count = check(&data[..len], &good, &format!("cut at {len}"));
        assert!(count >= most, "cut at {len}: a longer file shows fewer events");
        most = count;
        if let Some((_, damaged)) = read(&data[..len]) {
            assert!(damaged, "cut at {len}: nothing said of it");
        }
    }
}

#[test]
fn every_truncation_of_a_snapshot() {
    truncations(&small().snapshot("panic", 2 * SECOND, Codec::Lz4));
    truncations(&small().snapshot("panic", 2 * SECOND, Codec::None));
    truncations(&on_a_server().snapshot("panic", 2 * SECOND, Codec::Lz4));
}

#[test]
fn every_truncation_of_a_ring() {
    truncations(&small().image());
    truncations(&on_a_server().image());
}

#[test]
fn every_flipped_bit_of_a_snapshot() {
    let server = on_a_server().snapshot("recovered", 0, Codec::Lz4);
    for mut data in
        [Codec::Lz4, Codec::None].map(|codec| small().snapshot("panic", 2 * SECOND, codec)).into_iter().chain([server])
    {
        let good = good_events(&data);
        for bit in 0..data.len() * 8 {
            data[bit / 8] ^= 1 << (bit % 8);
            // The damage costs at most one item, and no item holds more than two events.
            let count = check(&data, &good, &format!("bit {bit} flipped"));
            assert!(count + 2 >= good.len(), "bit {bit} flipped: {count} events left");
            data[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_flipped_bit_of_a_ring() {
    flipped_bits_of_a_ring(small().image());
    flipped_bits_of_a_ring(on_a_server().image());
}

fn flipped_bits_of_a_ring(mut data: Vec<u8>) {
    let good = good_events(&data);
    let header = *ttlog_core::RingImage::parse(&data).expect("a good ring").header();
    let table = header.table_offset as usize..(header.table_offset + header.table_len) as usize;
    for bit in 0..data.len() * 8 {
        // Most of a small ring is empty: one bit of each empty word, and of each empty byte in other words, in turn,
        // is enough.
        let word = &data[bit / 64 * 8..][..8];
        let skipped =
            if *word == [0; 8] { bit % 64 != bit / 64 % 64 } else { word[bit / 8 % 8] == 0 && bit % 8 != bit / 8 % 8 };
        if skipped {
            continue;
        }
        data[bit / 8] ^= 1 << (bit % 8);
        let count = check(&data, &good, &format!("bit {bit} flipped"));
        // A wrong length in the table can hide the entries after it, and with them the meaning of events.
        assert!(count + 2 >= good.len() || table.contains(&(bit / 8)), "bit {bit} flipped: {count} events left");
        data[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn noise_and_overwritten_stretches() {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let rings = [small(), on_a_server()];
    let images = rings.map(|ring| [ring.image(), ring.snapshot("panic", 2 * SECOND, Codec::Lz4)]).concat();
    for round in 0..4000 {
        let mut data = images[round % images.len()].clone();
        let start = next() as usize % data.len();
        let len = next() as usize % 200;
        for byte in data.iter_mut().skip(start).take(len) {
            *byte = match round % 3 {
                0 => 0,
                1 => 0xff,
                _ => next() as u8,
            };
        }
        _ = read(&data);
    }
    for len in [0, 1, 8, 100, 5000] {
        let noise: Vec<u8> = (0..len).map(|_| next() as u8).collect();
        assert!(read(&noise).is_none(), "{len} bytes of noise");
    }
}
