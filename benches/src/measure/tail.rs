//! The slowest calls: the time of single events, alone and while snapshots are taken.
//!
//! The processor's counter is read before and after each call. The time of two reads without a call in between is
//! reported as well, not subtracted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use ttlog_std::info;

use crate::check::readback::check_single;
use crate::error::Result;
use crate::harness::child;
use crate::harness::child::arguments;
use crate::harness::recorder::{MeasuredRecorder, Setup};
use crate::harness::report;
use crate::harness::stats::{Histogram, rounded};
use crate::workload::cases::standard;
use crate::workload::floor::ticks;
use crate::workload::inputs;
use crate::workload::inputs::{INPUT_COUNT, Input, Inputs};

/// Time between snapshots.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(1);
/// Targets: p99.9 divided by the median, and p99.9 with snapshots divided by p99.9 without.
const REACH_TAIL: f64 = 10.0;
const REACH_SNAPSHOTS: f64 = 2.0;

/// A line of the report, in nanoseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TailLine {
    /// Work between the two reads.
    pub name: String,
    /// Calls.
    pub calls: u64,
    /// Median.
    pub p50: f64,
    /// 99 % of the calls take no longer.
    pub p99: f64,
    /// 99.9 % take no longer.
    pub p99_9: f64,
    /// 99.99 % take no longer.
    pub p99_99: f64,
    /// The slowest.
    pub max: f64,
    /// Snapshots taken meanwhile.
    pub snapshots: u64,
}

/// Measures in a process of its own, and prints.
///
/// # Errors
/// If something cannot be measured or events are not accounted for.
pub fn run(calls: u64, json: bool) -> Result<()> {
    let lines: [TailLine; 3] = child::run(&arguments!["tail-case", "--calls", calls])?;
    if json {
        return lines.iter().try_for_each(report::json);
    }
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            let mut row = vec![line.name.clone(), report::grouped(line.calls)];
            row.extend([line.p50, line.p99, line.p99_9, line.p99_99, line.max].map(|ns| format!("{ns:.0}")));
            row.push(line.snapshots.to_string());
            row
        })
        .collect();
    report::table(&["nanoseconds", "calls", "p50", "p99", "p99.9", "p99.99", "max", "snapshots"], &rows);
    let [_, alone, beside] = &lines;
    let (tail, snapshots) = (alone.p99_9 / alone.p50, beside.p99_9 / alone.p99_9);
    println!("p99.9 : median = {tail:.1} (target: {REACH_TAIL}, {})", report::verdict(tail <= REACH_TAIL));
    println!(
        "p99.9 with snapshots : without = {snapshots:.2} (target: {REACH_SNAPSHOTS}, {})",
        report::verdict(snapshots <= REACH_SNAPSHOTS)
    );
    Ok(())
}

/// Measures in this process, with a recorder of its own: the bare reads, the calls alone, and the calls with a snapshot
/// each second.
///
/// # Errors
/// If events are not accounted for, or a snapshot fails.
pub fn measure(calls: u64) -> Result<[TailLine; 3]> {
    let case = standard();
    let recorder = MeasuredRecorder::start(Setup::default())?;
    let inputs = inputs::table(case.texts);
    let warm_up = (calls / 10).clamp(1, 1 << 20);
    (case.measured)(inputs, 0, warm_up);

    let (begun, begun_ticks) = (Instant::now(), ticks());
    let mut bare = Histogram::new();
    for _ in 0..calls.min(10_000_000) {
        let before = ticks();
        bare.add(ticks().wrapping_sub(before));
    }
    let mut alone = Histogram::new();
    time_calls(inputs, warm_up, calls, &mut alone);

    let mut beside = Histogram::new();
    let done = AtomicBool::new(false);
    let snapshots = std::thread::scope(|scope| {
        let maker = scope.spawn(|| make_snapshots(&recorder, &done));
        time_calls(inputs, warm_up + calls, calls, &mut beside);
        done.store(true, Ordering::Relaxed);
        maker.join().unwrap_or_else(|_| Err("the thread that asks for snapshots panicked".to_owned()))
    })?;
    let ns_per_tick = begun.elapsed().as_nanos() as f64 / ticks().wrapping_sub(begun_ticks) as f64;

    check_single(case, inputs, &recorder.image()?, warm_up + 2 * calls, u64::MAX)?;
    recorder.end()?;
    let line = |name: &str, histogram: &Histogram, snapshots| {
        let at = |share| rounded(histogram.quantile(share) as f64 * ns_per_tick);
        TailLine {
            name: name.to_owned(),
            calls: histogram.count(),
            p50: at(0.5),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: rounded(histogram.max() as f64 * ns_per_tick),
            snapshots,
        }
    };
    Ok([
        line("nothing between the reads", &bare, 0),
        line("event", &alone, 0),
        line("event, a snapshot each second", &beside, snapshots),
    ])
}

#[inline(never)]
fn time_calls(inputs: &Inputs, first: u64, calls: u64, histogram: &mut Histogram) {
    for index in first..first + calls {
        let Input { text: symbol, quantity, price } = inputs[index as usize % INPUT_COUNT];
        let before = ticks();
        info!("order executed", symbol, quantity, price);
        histogram.add(ticks().wrapping_sub(before));
    }
}

/// Takes a snapshot at once and then each second, until `done`. Removes the files.
fn make_snapshots(recorder: &MeasuredRecorder, done: &AtomicBool) -> std::result::Result<u64, String> {
    let mut count = 0;
    while !done.load(Ordering::Relaxed) {
        let next = Instant::now() + SNAPSHOT_INTERVAL;
        let path = recorder.snapshot().map_err(|error| error.to_string())?;
        std::fs::remove_file(&path).map_err(|error| format!("cannot remove {path:?}: {error}"))?;
        count += 1;
        while !done.load(Ordering::Relaxed) && Instant::now() < next {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(count)
}
