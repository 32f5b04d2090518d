//! Logs one kind of event `COUNT` times: the program that `ci/checks/instructions` runs under callgrind.
//!
//! `instructions CASE COUNT`. Only the function `measured` of the case (see `ttlog_benches::workload::cases`) is
//! counted.

use std::process::ExitCode;

use clap::Parser;
use ttlog_benches::Result;
use ttlog_benches::check::readback::check_single;
use ttlog_benches::harness::recorder::MeasuredRecorder;
use ttlog_benches::workload::cases;
use ttlog_benches::workload::inputs;

/// Logs one kind of event COUNT times, for callgrind, and checks that all events are accounted for.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The case, as in `max_performance cost`; also bare_loop and empty_call
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
    let known = || cases::ALL.iter().map(|case| case.name).collect::<Vec<_>>().join(", ");
    let case = cases::find(name).ok_or_else(|| format!("no such case: {name}; there are {}", known()))?;
    let recorder = MeasuredRecorder::start(case.setup)?;
    let inputs = inputs::table(case.texts);
    (case.measured)(inputs, 0, count);
    let emitted = if case.emits { count * case.records } else { 0 };
    check_single(case, inputs, &recorder.image()?, emitted, if case.records == 1 { 1000 } else { 0 })?;
    recorder.end()
}
