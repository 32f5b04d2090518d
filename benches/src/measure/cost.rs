//! Time and bytes per event, compared with the floor.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::check::readback::{Counted, check_single};
use crate::error::{Result, ensure};
use crate::harness::child;
use crate::harness::child::arguments;
use crate::harness::recorder::{MeasuredRecorder, Setup};
use crate::harness::report;
use crate::harness::stats::{median, rounded};
use crate::workload::cases;
use crate::workload::floor::{CELL_LEN, Floor};
use crate::workload::inputs;

/// Reported cases, in this order.
const REPORTED: [&str; 10] = [
    "event_0_fields",
    "event_3_fields",
    "event_3_fields_coarse",
    "event_3_fields_signals_off",
    "event_3_fields_warn",
    "event_3_fields_longer",
    "event_3_fields_text_8",
    "event_string_64",
    "event_template",
    "disabled",
];
/// Events before each timed stretch: about a lap of the ring, so that its memory is in its steady state.
const WARM_UP: u64 = 1 << 20;
/// Events whose values are checked after each round.
const CHECKED: u64 = 4096;

/// A line of the report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CostLine {
    /// The case.
    pub name: String,
    /// Nanoseconds per event: median over the rounds.
    pub ns_per_event: f64,
    /// Nanoseconds of the floor, measured alternately; for `disabled`, of a call of an empty function.
    pub floor_ns: f64,
    /// `ns_per_event` divided by `floor_ns`.
    pub ratio: f64,
    /// Bytes of records per event, counted over the full segments of the ring.
    pub bytes_per_event: f64,
    /// Measured rounds.
    pub rounds: u64,
    /// Events per round.
    pub events: u64,
    /// Events in the ring at the end; together with those overwritten and dropped, all that were emitted.
    pub retained: u64,
    /// Fastest and slowest round.
    pub ns_min_max: [f64; 2],
}

/// Options of the measurement.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Rounds: ours, floor, ours, floor …
    pub rounds: u64,
    /// Events per round.
    pub events: u64,
}

/// Measures all cases, or one, each in a process of its own, and prints the figures.
///
/// # Errors
/// If a case is unknown, cannot be measured, or yields a wrong answer.
pub fn run(options: Options, only: Option<&str>, json: bool) -> Result<()> {
    let Options { rounds, events } = options;
    let mut lines = Vec::new();
    for name in REPORTED.iter().filter(|name| only.is_none_or(|only| only == **name)) {
        let line: CostLine = child::run(&arguments!["cost-case", name, "--rounds", rounds, "--events", events])?;
        if lines.is_empty() {
            // The floor is measured with each case; that of the first one gets a line of its own.
            lines.push(floor_line(&line));
            if json {
                report::json(&lines[0])?;
            }
        }
        if json {
            report::json(&line)?;
        }
        lines.push(line);
    }
    ensure!(!lines.is_empty(), "no such case: {}; there are {}", only.unwrap_or_default(), REPORTED.join(", "));
    if !json {
        print(&lines);
    }
    Ok(())
}

fn floor_line(beside: &CostLine) -> CostLine {
    CostLine {
        name: "floor".to_owned(),
        ns_per_event: beside.floor_ns,
        ratio: 1.0,
        bytes_per_event: CELL_LEN as f64,
        retained: 0,
        ns_min_max: [beside.floor_ns; 2],
        ..beside.clone()
    }
}

fn print(lines: &[CostLine]) {
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            vec![
                line.name.clone(),
                format!("{:.2}", line.ns_per_event),
                format!("{:.2}", line.floor_ns),
                format!("{:.2}", line.ratio),
                format!("{:.1}", line.bytes_per_event),
                format!("{:.2} to {:.2}", line.ns_min_max[0], line.ns_min_max[1]),
            ]
        })
        .collect();
    report::table(&["case", "ns/event", "floor ns", "ratio", "bytes/event", "rounds from to"], &rows);
    println!(
        "\nmedian of {} rounds of {} events; the floor of 'disabled' is a call of an empty function",
        lines[0].rounds,
        report::grouped(lines[0].events)
    );
}

/// Measures one case in this process, with a recorder of its own whose ring is in a file or on the heap.
///
/// # Errors
/// If the case is unknown or an answer is wrong: an event is not accounted for, or has a value that was not logged.
pub fn measure(name: &str, heap: bool, options: Options) -> Result<CostLine> {
    let case = cases::find(name).ok_or_else(|| format!("no such case: {name}"))?;
    let recorder = MeasuredRecorder::start(Setup { heap, ..case.setup })?;
    let inputs = inputs::table(case.texts);
    let floor = Floor::new(recorder.directory())?;
    let mut emitted = 0;
    let mut stored = 0;
    let mut counted = Counted::default();
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        (case.measured)(inputs, emitted, WARM_UP);
        emitted += WARM_UP;
        let start = Instant::now();
        (case.measured)(inputs, emitted, options.events);
        ours.push(start.elapsed().as_nanos() as f64 / options.events as f64);
        emitted += options.events;

        floors.push(
            if case.emits {
                floor.run(inputs, stored, WARM_UP);
                let start = Instant::now();
                floor.run(inputs, stored + WARM_UP, options.events);
                let elapsed = start.elapsed();
                stored += WARM_UP + options.events;
                floor.check(inputs, stored)?;
                elapsed.as_nanos() as f64
            } else {
                cases::empty_call::measured(inputs, 0, WARM_UP);
                let start = Instant::now();
                cases::empty_call::measured(inputs, 0, options.events);
                start.elapsed().as_nanos() as f64
            } / options.events as f64,
        );

        let image = recorder.image()?;
        counted = check_single(case, inputs, &image, if case.emits { emitted } else { 0 }, CHECKED)?;
    }
    if !case.emits {
        must_not_evaluate()?;
    }
    recorder.end()?;
    let (ns, floor_ns) = (median(&ours), median(&floors));
    Ok(CostLine {
        name: case.name.to_owned(),
        ns_per_event: rounded(ns),
        floor_ns: rounded(floor_ns),
        ratio: rounded(ns / floor_ns),
        bytes_per_event: rounded(counted.bytes_per_event()),
        rounds: options.rounds,
        events: options.events,
        retained: counted.retained,
        ns_min_max: [ours.iter().copied().fold(f64::INFINITY, f64::min), ours.iter().copied().fold(0.0, f64::max)]
            .map(rounded),
    })
}

/// Checks that a disabled event does not evaluate its arguments.
fn must_not_evaluate() -> Result<()> {
    let mut evaluated = 0;
    for _ in 0..1000 {
        ttlog_std::info!(
            "never",
            value = {
                evaluated += 1;
                evaluated
            }
        );
    }
    ensure!(evaluated == 0, "the arguments of an event that is off were evaluated {evaluated} times");
    Ok(())
}
