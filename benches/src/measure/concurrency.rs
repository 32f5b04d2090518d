//! Many threads on one ring, and many rings in one process.

use std::collections::HashMap;
use std::sync::Barrier;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use ttlog_core::event::{Cons, Nil};
use ttlog_core::ring::Cursor;
use ttlog_core::{AnyFields, ContextInfo, Fields, Item, Ring, RingConfig, RingImage, SegmentState, ValueRef, Word};
use ttlog_core::{CallsiteInfo, Metadata, TableItem, encode_callsite};
use ttlog_std::{Level, info};

use crate::check::readback::read_ring;
use crate::error::{Result, ensure};
use crate::harness::child;
use crate::harness::child::arguments;
use crate::harness::recorder::{MeasuredRecorder, Setup};
use crate::harness::report;
use crate::harness::stats::rounded;
use crate::workload::floor;

/// A line of the report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConcurrencyLine {
    /// Name of the case: threads or rings.
    pub name: String,
    /// How many, all in use at the same time.
    pub count: u64,
    /// Events emitted by all of them.
    pub emitted: u64,
    /// Events read back.
    pub retained: u64,
    /// Events replaced by newer ones.
    pub overwritten: u64,
    /// Events refused.
    pub dropped: u64,
    /// Events divided by the time of all of them together.
    pub events_per_second: f64,
    /// Bytes of all rings.
    pub ring_bytes: u64,
}

/// Measures both, each in a process of its own, and prints the figures.
///
/// # Errors
/// If something cannot be measured or is not accounted for.
pub fn run(threads: u64, rings: u64, json: bool) -> Result<()> {
    let lines: [ConcurrencyLine; 2] = [
        child::run(&arguments!["concurrency-case", "threads", threads])?,
        child::run(&arguments!["concurrency-case", "rings", rings])?,
    ];
    if json {
        return lines.iter().try_for_each(report::json);
    }
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            let mut row = vec![line.name.clone()];
            row.extend([line.count, line.emitted, line.retained, line.overwritten, line.dropped].map(report::grouped));
            row.push(format!("{:.1} M", line.events_per_second / 1e6));
            row.push(format!("{:.1} MiB", line.ring_bytes as f64 / f64::from(1 << 20)));
            row
        })
        .collect();
    report::table(&["at once", "count", "emitted", "retained", "overwritten", "dropped", "events/s", "rings"], &rows);
    Ok(())
}

/// Events of each of many threads.
const THREAD_EVENTS: u64 = 2_000;
/// Stretches of these events. Threads wait for each other between stretches, so that all are halfway through together.
const STRETCHES: u64 = 4;

/// Lets `threads` threads log at the same time to the ring of 16 MiB, which has fewer segments.
///
/// # Errors
/// If events are not accounted for, appear twice, or have values that were not logged.
pub fn many_threads(threads: u64) -> Result<ConcurrencyLine> {
    let recorder = MeasuredRecorder::start(Setup::default())?;
    let barrier = Barrier::new(threads as usize);
    let barrier = &barrier;
    let start = Instant::now();
    std::thread::scope(|scope| {
        for worker in 0..threads {
            let work = move || {
                for stretch in 0..STRETCHES {
                    barrier.wait();
                    let from = stretch * THREAD_EVENTS / STRETCHES;
                    for step in from..(stretch + 1) * THREAD_EVENTS / STRETCHES {
                        info!("step done", worker, step);
                    }
                }
                barrier.wait(); // all threads live until all have logged
            };
            let spawned = std::thread::Builder::new().stack_size(64 * 1024).spawn_scoped(scope, work);
            if let Err(error) = spawned {
                // The others would wait for it forever.
                eprintln!("cannot start thread {worker} of {threads}: {error}");
                std::process::exit(1);
            }
        }
    });
    let elapsed = start.elapsed();
    let emitted = threads * THREAD_EVENTS;
    let image = recorder.image()?;
    let mut last_steps: HashMap<u64, Vec<u64>> = HashMap::new();
    let counted = read_ring(&image, |event| {
        let [(_, ValueRef::Unsigned(worker)), (_, ValueRef::Unsigned(step))] = event.values()?[..] else {
            return Err("an event has other fields than were logged".into());
        };
        ensure!(worker < threads && step < THREAD_EVENTS, "step {step} of worker {worker} was never logged");
        last_steps.entry(worker).or_default().push(step);
        Ok(())
    })?;
    counted.must_account_for(emitted)?;
    for (worker, steps) in &mut last_steps {
        let count = steps.len();
        steps.sort_unstable();
        steps.dedup();
        ensure!(steps.len() == count, "steps of worker {worker} appear twice");
    }
    let line = ConcurrencyLine {
        name: "threads on one ring".to_owned(),
        count: threads,
        emitted,
        retained: counted.retained,
        overwritten: counted.overwritten,
        dropped: counted.dropped,
        events_per_second: rounded(emitted as f64 / elapsed.as_secs_f64()),
        ring_bytes: recorder.handle().ring_len_bytes() as u64,
    };
    recorder.end()?;
    Ok(line)
}

/// Bytes of each of many rings, and of their segments.
const RING_LEN: usize = 4096;
const SEGMENT_LEN: u32 = 512;
/// Events per ring, rising: the first rings hold all of theirs, the others overwrite some.
const RING_EVENTS_MIN: u64 = 100;
const RING_EVENTS_MAX: u64 = 300;
/// The id of their only callsite.
const CALLSITE: u16 = 1;

static METADATA: Metadata = Metadata {
    level: Level::Info,
    target: "ttlog_benches",
    message: "step done",
    file: file!(),
    line: line!(),
    fields: &[ttlog_core::event::Field::dynamic("ring"), ttlog_core::event::Field::dynamic("step")],
};

/// Returns the number of events for ring number `ring` of `rings`.
fn events_of(ring: u64, rings: u64) -> u64 {
    RING_EVENTS_MIN + ring * (RING_EVENTS_MAX - RING_EVENTS_MIN) / rings.max(1)
}

/// Writes to `rings` rings of [`RING_LEN`] bytes on the heap in turn, so that all are in use at the same time.
///
/// # Errors
/// If events are not accounted for or have values that were not logged.
pub fn many_rings(rings: u64) -> Result<ConcurrencyLine> {
    let config =
        |ring_id| RingConfig { ring_id, segment_len: SEGMENT_LEN, table_len: 0, anchor_count: 0, ..RingConfig::PLAIN };
    let words = RING_LEN / 8;
    let memory: Vec<Word> = (0..rings as usize * words).map(|_| Word::new(0)).collect();
    let made: std::result::Result<Vec<(Ring<'_>, Cursor<'_>)>, _> = memory
        .chunks_exact(words)
        .zip(0..)
        .map(|(words, ring_id)| Ring::create(words, &config(ring_id)).map(|ring| (ring, Cursor::new())))
        .collect();
    let made = made?;
    let start = Instant::now();
    for step in 0..RING_EVENTS_MAX {
        for ((ring, cursor), number) in made.iter().zip(0..) {
            if step < events_of(number, rings) {
                append(ring, cursor, Cons(number, Cons(step, Nil)));
            }
        }
    }
    let elapsed = start.elapsed();

    let item = callsite_item(&Cons(0_u64, Cons(0_u64, Nil)))?;
    let TableItem::Callsite(callsite) = TableItem::decode(&item)? else { return Err("no callsite".into()) };
    let (mut emitted, mut retained, mut overwritten, mut dropped) = (0, 0, 0, 0);
    let mut bytes = vec![0; RING_LEN];
    for ((ring, _), number) in made.iter().zip(0..) {
        let events = events_of(number, rings);
        ring.copy_image(&mut bytes);
        let image = RingImage::parse(&bytes)?;
        let (found, loss) = (check_ring(&image, &callsite, number, events)?, image.loss());
        ensure!(
            events == found + loss.overwritten + loss.dropped_total(),
            "ring {number}: emitted {events}, found {found}, lost {loss:?}"
        );
        emitted += events;
        retained += found;
        overwritten += loss.overwritten;
        dropped += loss.dropped_total();
    }
    Ok(ConcurrencyLine {
        name: format!("rings of {RING_LEN} bytes"),
        count: rings,
        emitted,
        retained,
        overwritten,
        dropped,
        events_per_second: rounded(emitted as f64 / elapsed.as_secs_f64()),
        ring_bytes: rings * RING_LEN as u64,
    })
}

fn append<'m>(ring: &Ring<'m>, cursor: &Cursor<'m>, fields: impl Fields) {
    if !cursor.append_small(CALLSITE, floor::ticks(), &fields) {
        let who = ContextInfo { context: 1, os_thread_id: 0, next_index: 0, name: "" };
        cursor.append_slow(ring, &floor::ticks, &who, CALLSITE, &fields);
    }
}

fn callsite_item(fields: &dyn AnyFields) -> Result<Vec<u8>> {
    let mut item = vec![0; 512];
    let len = encode_callsite(CALLSITE, &METADATA, fields.types(), &mut item).ok_or("the callsite is too long")?;
    item.truncate(len);
    Ok(item)
}

/// Counts the events of ring `number`, which must be the last of its `events` without a gap.
fn check_ring(image: &RingImage<'_>, callsite: &CallsiteInfo<'_>, number: u64, events: u64) -> Result<u64> {
    let mut steps = Vec::new();
    for index in 0..image.header().segment_count {
        let segment = match image.segment(index) {
            SegmentState::Valid(segment) => segment,
            SegmentState::Unused => continue,
            other => return Err(format!("ring {number}, segment {index}: {other:?}").into()),
        };
        for item in segment.items() {
            let Item::Event(record) = item else { continue };
            let values: std::result::Result<Vec<_>, _> = callsite.values(record.payload).collect();
            let values = values.map_err(|error| error.to_string())?;
            let [(_, ValueRef::Unsigned(ring)), (_, ValueRef::Unsigned(step))] = values[..] else {
                return Err(format!("ring {number} holds {values:?}").into());
            };
            ensure!(ring == number, "ring {number} holds an event of ring {ring}");
            steps.push(step);
        }
    }
    steps.sort_unstable();
    let first = events - steps.len() as u64;
    ensure!(steps.iter().copied().eq(first..events), "ring {number} holds other events than its last {}", steps.len());
    Ok(steps.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_small_rings_are_accounted_for() {
        let line = many_rings(50).unwrap();
        assert_eq!(line.emitted, (0..50).map(|ring| events_of(ring, 50)).sum::<u64>());
        assert!(line.overwritten > 0, "{line:?}");
        assert_eq!(line.dropped, 0);
    }
}
