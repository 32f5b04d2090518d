//! Logs one kind of event `COUNT` times: the program that `ci/checks/instructions` runs under callgrind.
//!
//! `instructions CASE COUNT`. Only the function `measured` of the case (see `ttlog_benches::workload::cases`) is
//! counted. `mix_NAME` is a mix (see `ttlog_benches::workload::mix`), and `mix_NAME_loop` the fetching of its values.

use std::process::ExitCode;

use clap::Parser;
use ttlog_benches::Result;
use ttlog_benches::check::readback::{check_events, check_single};
use ttlog_benches::harness::recorder::MeasuredRecorder;
use ttlog_benches::workload::cases;
use ttlog_benches::workload::inputs;
use ttlog_benches::workload::mix;

/// Logs one kind of event COUNT times, for callgrind, and checks that all events are accounted for.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The case, as in `max_performance cost`; also bare_loop and empty_call; mix_NAME for a mix, mix_NAME_loop for its loop
    case: String,
    /// Number of events
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    count: u64,
}

fn main() -> ExitCode {
    let Arguments { case, count } = Arguments::parse();
    match run(&case, count) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, count: u64) -> Result<()> {
    if let Some(mix) = name.strip_prefix("mix_") {
        return run_mix(mix, count);
    }
    let known = || cases::ALL.iter().map(|case| case.name).collect::<Vec<_>>().join(", ");
    let case = cases::find(name).ok_or_else(|| format!("no such case: {name}; there are {}", known()))?;
    let recorder = MeasuredRecorder::start(case.setup)?;
    let inputs = inputs::table(case.texts);
    (case.measured)(inputs, 0, count);
    let emitted = if case.emits { count * case.records } else { 0 };
    check_single(case, inputs, &recorder.image()?, emitted, if case.records == 1 { 1000 } else { 0 })?;
    recorder.end()
}

fn run_mix(name: &str, count: u64) -> Result<()> {
    let (name, is_loop) = name.strip_suffix("_loop").map_or((name, false), |name| (name, true));
    let mix = mix::find(name).ok_or_else(|| format!("no such mix: {name}"))?;
    let recorder = MeasuredRecorder::start(mix.setup)?;
    if is_loop {
        (mix.measured_loop)(0, count);
    } else {
        (mix.measured)(0, count);
        check_events(mix.kept, &recorder.image()?, count, 1000, mix.check)?;
    }
    recorder.end()
}
