//! Time and bytes of the events of real services, each compared with a floor for the same values.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::check::readback::{Counted, check_events};
use crate::error::{Result, ensure};
use crate::harness::child;
use crate::harness::child::arguments;
use crate::harness::recorder::{MeasuredRecorder, RING_LEN, Setup};
use crate::harness::report;
use crate::harness::stats::{median, rounded};
use crate::measure::cost::Options;
use crate::workload::mix::{self, MIXES};
use crate::workload::strip::Strip;

/// Events before each timed stretch: more than a lap of the ring.
const WARM_UP: u64 = 1 << 20;
/// Events whose values are checked after each round.
const CHECKED: u64 = 4096;

/// A line of the report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MixLine {
    /// The mix.
    pub name: String,
    /// Nanoseconds per event: median over the rounds.
    pub ns_per_event: f64,
    /// Nanoseconds of the floor, measured alternately.
    pub floor_ns: f64,
    /// `ns_per_event` divided by `floor_ns`.
    pub ratio: f64,
    /// Fastest round.
    pub ns_min: f64,
    /// Fastest round of the floor.
    pub floor_min: f64,
    /// `ns_min` divided by `floor_min`: what other programs disturb least.
    pub ratio_min: f64,
    /// Bytes of records per event, counted over the full segments of the ring.
    pub bytes_per_event: f64,
    /// Events that a ring of 16 MiB holds, if it holds only these.
    pub events_in_16_mib: u64,
    /// Measured rounds.
    pub rounds: u64,
    /// Events per round.
    pub events: u64,
}

/// Measures all mixes, or one, each in a process of its own, and prints the figures.
///
/// # Errors
/// If a mix is unknown, cannot be measured, or yields a wrong answer.
pub fn run(options: Options, only: Option<&str>, json: bool) -> Result<()> {
    let Options { rounds, events } = options;
    let mut rows = Vec::new();
    for mix in MIXES.iter().filter(|mix| only.is_none_or(|only| only == mix.name)) {
        let line: MixLine = child::run(&arguments!["mix-case", mix.name, "--rounds", rounds, "--events", events])?;
        if json {
            report::json(&line)?;
        }
        rows.push(vec![
            line.name,
            format!("{:.2}", line.ns_per_event),
            format!("{:.2}", line.floor_ns),
            format!("{:.2}", line.ratio),
            format!("{:.2} / {:.2} = {:.2}", line.ns_min, line.floor_min, line.ratio_min),
            format!("{:.1}", line.bytes_per_event),
            report::grouped(line.events_in_16_mib),
        ]);
    }
    let names: Vec<_> = MIXES.iter().map(|mix| mix.name).collect();
    ensure!(!rows.is_empty(), "no such mix: {}; there are {}", only.unwrap_or_default(), names.join(", "));
    if !json {
        let head = ["mix", "ns/event", "floor ns", "ratio", "fastest rounds", "bytes/event", "events in 16 MiB"];
        report::table(&head, &rows);
        println!("\nmedian of {rounds} rounds of {} events", report::grouped(events));
    }
    Ok(())
}

/// Measures one mix in this process, with a recorder of its own whose ring is in a file.
///
/// # Errors
/// If the mix is unknown or an answer is wrong: an event is not accounted for, or has a value that was not logged.
pub fn measure(name: &str, options: Options) -> Result<MixLine> {
    let mix = mix::find(name).ok_or_else(|| format!("no such mix: {name}"))?;
    let recorder = MeasuredRecorder::start(Setup { heap: false, ..mix.setup })?;
    let mut strip = Strip::new(recorder.directory().ok_or("the ring has no file")?)?;
    let mut emitted = 0;
    let mut counted = Counted::default();
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    let per_event = |start: Instant| start.elapsed().as_nanos() as f64 / options.events as f64;
    for _ in 0..options.rounds {
        (mix.measured)(emitted, WARM_UP);
        emitted += WARM_UP;
        let start = Instant::now();
        (mix.measured)(emitted, options.events);
        ours.push(per_event(start));
        emitted += options.events;

        (mix.floor)(&mut strip, emitted, WARM_UP);
        let start = Instant::now();
        (mix.floor)(&mut strip, emitted, options.events);
        floors.push(per_event(start));

        counted = check_events(mix.kept, &recorder.image()?, emitted, CHECKED, mix.check)?;
    }
    recorder.end()?;
    let least = |times: &[f64]| times.iter().copied().fold(f64::INFINITY, f64::min);
    let (ns, floor_ns) = (median(&ours), median(&floors));
    Ok(MixLine {
        name: mix.name.to_owned(),
        ns_per_event: rounded(ns),
        floor_ns: rounded(floor_ns),
        ratio: rounded(ns / floor_ns),
        ns_min: rounded(least(&ours)),
        floor_min: rounded(least(&floors)),
        ratio_min: rounded(least(&ours) / least(&floors)),
        bytes_per_event: rounded(counted.bytes_per_event()),
        events_in_16_mib: (RING_LEN as f64 / counted.segment_bytes_per_event()) as u64,
        rounds: options.rounds,
        events: options.events,
    })
}
