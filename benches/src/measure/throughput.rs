//! Several threads at once: how many events they record together, all of them accounted for.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::check::readback::{check_values, read_ring};
use crate::error::{Result, ensure};
use crate::harness::child;
use crate::harness::child::arguments;
use crate::harness::recorder::MeasuredRecorder;
use crate::harness::report;
use crate::harness::stats::{median, median_index};
use crate::workload::cases;
use crate::workload::inputs;

/// Events of all threads together before the timed ones.
const WARM_UP_TOTAL: u64 = 1 << 20;
/// Prefix of the threads' names.
const NAME: &str = "bench-";
/// Thread `t` starts with input `t * STRIDE`.
const STRIDE: u64 = 61;
/// Up to this number of threads, each has segments of its own, and an event's index is its number in its thread. With
/// more threads, some events go to shared segments or are refused, and the index of the next one does not count them.
const INDEXED_THREADS_MAX: u64 = 64;
/// Targets: the rate of 2 threads divided by that of 1, and of 16 divided by that of 2.
const REACH_2_TO_1: f64 = 1.9;
const REACH_16_TO_2: f64 = 0.9;

/// A line of the report: the median round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ThroughputLine {
    /// Threads that log at once.
    pub threads: u64,
    /// Calls that returned, counted by the threads.
    pub emitted: u64,
    /// Events read back from the ring afterwards.
    pub retained: u64,
    /// Events replaced by newer ones, counted by the ring.
    pub overwritten: u64,
    /// Events refused, counted by the ring.
    pub dropped: u64,
    /// Timed events divided by the time from the common start to the end of the last thread.
    pub events_per_second: f64,
    /// Retained events whose values were compared with the logged ones.
    pub checked: u64,
    /// Rounds of which this is the median.
    pub rounds: u64,
}

/// Measures each number of threads in turn, for several rounds, each in a process of its own.
///
/// # Errors
/// If a round cannot be measured or its events are not all accounted for.
pub fn run(threads: &[u64], rounds: u64, events: u64, json: bool) -> Result<()> {
    let mut all: Vec<Vec<ThroughputLine>> = vec![Vec::new(); threads.len()];
    for _ in 0..rounds {
        for (count, lines) in threads.iter().zip(&mut all) {
            lines.push(child::run(&arguments!["throughput-round", "--threads", count, "--events", events])?);
        }
    }
    let mut medians = Vec::new();
    for lines in &all {
        let rates: Vec<f64> = lines.iter().map(|line| line.events_per_second).collect();
        let line = ThroughputLine { rounds, ..lines[median_index(&rates)].clone() };
        ensure!(
            line.emitted == line.retained + line.overwritten + line.dropped,
            "{} threads: the figures do not add up: {line:?}",
            line.threads
        );
        if json {
            report::json(&line)?;
        }
        medians.push(line);
    }
    if !json {
        print(&medians);
    }
    // Within the same round, so that other load on the machine affects both.
    let ratio = |of: u64, to: u64| -> Option<f64> {
        let lines = |count: u64| threads.iter().position(|threads| *threads == count).map(|index| &all[index]);
        let pairs = lines(of)?.iter().zip(lines(to)?);
        Some(median(&pairs.map(|(of, to)| of.events_per_second / to.events_per_second).collect::<Vec<_>>()))
    };
    for (of, to, reach) in [(2, 1, REACH_2_TO_1), (16, 2, REACH_16_TO_2)] {
        if let Some(ratio) = ratio(of, to) {
            // On stderr, apart from the lines of JSON.
            eprintln!(
                "{of} threads : {to} threads = {ratio:.2} (target: {reach}, {}; median of {rounds} rounds)",
                report::verdict(ratio >= reach)
            );
        }
    }
    Ok(())
}

fn print(lines: &[ThroughputLine]) {
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            let mut row = vec![line.threads.to_string(), format!("{:.1} M", line.events_per_second / 1e6)];
            row.extend(
                [line.emitted, line.retained, line.overwritten, line.dropped, line.checked].map(report::grouped),
            );
            row
        })
        .collect();
    report::table(&["threads", "events/s", "emitted", "retained", "overwritten", "dropped", "checked"], &rows);
}

/// Measures one round in this process, with a recorder of its own: `threads` threads log `events` events together.
///
/// # Errors
/// If the events are not accounted for, or one has values that were not logged.
pub fn measure(threads: u64, events: u64) -> Result<ThroughputLine> {
    let case = cases::standard();
    let recorder = MeasuredRecorder::start(case.setup)?;
    let inputs = inputs::table(case.texts);
    let (warm_up, timed) = ((WARM_UP_TOTAL / threads).max(1), (events / threads).max(1));
    let barrier = Barrier::new(threads as usize);
    let barrier = &barrier;
    let work = move |thread: u64| -> (Instant, Instant) {
        let first = thread * STRIDE;
        (case.measured)(inputs, first, warm_up);
        barrier.wait();
        let start = Instant::now();
        (case.measured)(inputs, first + warm_up, timed);
        (start, Instant::now())
    };
    let times: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
        let spawn = |thread| {
            std::thread::Builder::new().name(format!("{NAME}{thread}")).spawn_scoped(scope, move || work(thread))
        };
        let handles: std::io::Result<Vec<_>> = (0..threads).map(spawn).collect();
        let handles = handles.map_err(|error| format!("cannot start {threads} threads: {error}"))?;
        let joined = handles.into_iter().map(|handle| handle.join().map_err(|_| "a thread panicked".into()));
        joined.collect::<Result<_>>()
    })?;
    let start = times.iter().map(|times| times.0).min().ok_or("no threads")?;
    let end = times.iter().map(|times| times.1).max().ok_or("no threads")?;
    let elapsed = end.duration_since(start).max(Duration::from_nanos(1));

    let emitted = threads * (warm_up + timed);
    let image = recorder.image()?;
    let mut checked = 0;
    let counted = read_ring(&image, |event| {
        let thread = event.thread.strip_prefix(NAME).and_then(|number| number.parse::<u64>().ok());
        if let (Some(thread), Some(index), ..=INDEXED_THREADS_MAX) = (thread, event.record.index, threads) {
            check_values(case, inputs, index + thread * STRIDE, event)?;
            checked += 1;
        }
        Ok(())
    })?;
    counted.must_account_for(emitted).map_err(|error| format!("{threads} threads: {error}"))?;
    ensure!(
        checked == counted.retained || threads > INDEXED_THREADS_MAX,
        "{threads} threads: only {checked} of {} events say whose they are",
        counted.retained
    );
    recorder.end()?;
    Ok(ThroughputLine {
        threads,
        emitted,
        retained: counted.retained,
        overwritten: counted.overwritten,
        dropped: counted.dropped,
        events_per_second: ((threads * timed) as f64 / elapsed.as_secs_f64()).round(),
        checked,
        rounds: 1,
    })
}
