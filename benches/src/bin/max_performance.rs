//! Measures the limits of TTLog, and checks each figure by reading the ring back. `max_performance --help` lists the
//! measurements.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use ttlog_benches::Result;
use ttlog_benches::harness::report;
use ttlog_benches::measure::concurrency;
use ttlog_benches::measure::cost;
use ttlog_benches::measure::memory;
use ttlog_benches::measure::mix;
use ttlog_benches::measure::places;
use ttlog_benches::measure::snapshot_time;
use ttlog_benches::measure::syscalls;
use ttlog_benches::measure::tail;
use ttlog_benches::measure::throughput;

/// Measures the limits of TTLog, and checks each figure by reading the ring back.
///
/// Without a subcommand, runs all measurements except `places` and `syscalls`, the longer ones shortened.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Time and bytes of each kind of event, compared with the floor: one read of the clock and a store of 32 bytes
    ///
    /// With --mix, the events are drawn from stated distributions (`ttlog_benches::workload::mix`), and the floor of each
    /// is one read of the clock and a memcpy of the same values.
    Cost {
        #[command(flatten)]
        options: CostOptions,
        /// Measure events of real services, with values of unpredictable lengths
        #[arg(long)]
        mix: bool,
        /// Measure only this case
        #[arg(long)]
        case: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Time of the standard event with the ring in a file in /dev/shm, in a file on a disk, and on the heap
    Places {
        /// A directory on a disk [default: the directory for temporary files]
        #[arg(long)]
        disk: Option<PathBuf>,
        #[command(flatten)]
        options: CostOptions,
        #[command(flatten)]
        output: Output,
    },
    /// Events per second of several threads at once; fails unless all events are accounted for
    Throughput {
        /// Numbers of threads
        #[arg(long, value_delimiter = ',', default_value = "1,2,16")]
        #[arg(value_parser = clap::value_parser!(u64).range(1..=1024))]
        threads: Vec<u64>,
        /// Rounds for each number of threads; the median counts
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=1000))]
        rounds: u64,
        /// Events of all threads together in a round
        #[arg(long, default_value_t = 32_000_000, value_parser = events())]
        events: u64,
        #[command(flatten)]
        output: Output,
    },
    /// Bytes of the standard event in the ring and in a snapshot
    Memory {
        #[command(flatten)]
        output: Output,
    },
    /// Many threads on one ring, and many small rings in one process
    Concurrency {
        /// Threads alive at the same time
        #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=8192))]
        threads: u64,
        /// Rings of 4 KiB in use at the same time
        #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        rings: u64,
        #[command(flatten)]
        output: Output,
    },
    /// Time of the slowest calls, alone and while snapshots are taken
    Tail {
        /// Calls, measured twice
        #[arg(long, default_value_t = 200_000_000, value_parser = events())]
        calls: u64,
        #[command(flatten)]
        output: Output,
    },
    /// Time from a full ring of 16 MiB to a snapshot on disk
    Snapshot {
        /// Snapshots; the median counts
        #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u64).range(1..=1000))]
        rounds: u64,
        #[command(flatten)]
        output: Output,
    },
    /// System calls of events after the first of their thread (to ask for its name), and of the recorder's own thread
    /// (needs strace)
    Syscalls {
        /// Threads that log
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1024))]
        threads: u64,
        /// Seconds
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
        seconds: u64,
        #[command(flatten)]
        output: Output,
    },
    // Hidden: this program calls itself, once for each recorder.
    #[command(hide = true)]
    CostCase {
        case: String,
        #[arg(long)]
        heap: bool,
        #[command(flatten)]
        options: CostOptions,
    },
    #[command(hide = true)]
    MixCase {
        mix: String,
        #[command(flatten)]
        options: CostOptions,
    },
    #[command(hide = true)]
    ThroughputRound {
        #[arg(long)]
        threads: u64,
        #[arg(long)]
        events: u64,
    },
    #[command(hide = true)]
    MemoryCase {
        #[arg(long, action = clap::ArgAction::Set)]
        pauses: bool,
        #[arg(long, action = clap::ArgAction::Set)]
        longer: bool,
    },
    #[command(hide = true)]
    ConcurrencyCase { what: String, count: u64 },
    #[command(hide = true)]
    TailCase {
        #[arg(long)]
        calls: u64,
    },
    #[command(hide = true)]
    SnapshotCase {
        #[arg(long)]
        rounds: u64,
    },
    #[command(hide = true)]
    SyscallsCase {
        #[arg(long)]
        threads: u64,
        #[arg(long)]
        seconds: u64,
    },
}

#[derive(Args, Clone, Copy)]
struct CostOptions {
    /// Rounds: ours, floor, ours, floor …; the median counts
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// Events in a round
    #[arg(long, default_value_t = 4_000_000, value_parser = events())]
    events: u64,
}

#[derive(Args, Clone, Copy)]
struct Output {
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

fn events() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1000..=100_000_000_000)
}

impl From<CostOptions> for cost::Options {
    fn from(options: CostOptions) -> Self {
        cost::Options { rounds: options.rounds, events: options.events }
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("max_performance: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Option<Command>) -> Result<()> {
    match command {
        None => run_all(),
        Some(Command::Cost { options, mix: true, case, output }) => {
            mix::run(options.into(), case.as_deref(), output.json)
        }
        Some(Command::Cost { options, mix: false, case, output }) => {
            cost::run(options.into(), case.as_deref(), output.json)
        }
        Some(Command::Places { disk, options, output }) => {
            let disk = disk.unwrap_or_else(std::env::temp_dir);
            places::run(&disk, options.rounds, options.events, output.json)
        }
        Some(Command::Throughput { threads, rounds, events, output }) => {
            throughput::run(&threads, rounds, events, output.json)
        }
        Some(Command::Memory { output }) => memory::run(output.json),
        Some(Command::Concurrency { threads, rings, output }) => concurrency::run(threads, rings, output.json),
        Some(Command::Tail { calls, output }) => tail::run(calls, output.json),
        Some(Command::Snapshot { rounds, output }) => snapshot_time::run(rounds, output.json),
        Some(Command::Syscalls { threads, seconds, output }) => syscalls::run(threads, seconds, output.json),
        Some(Command::CostCase { case, heap, options }) => report::json(&cost::measure(&case, heap, options.into())?),
        Some(Command::MixCase { mix, options }) => report::json(&mix::measure(&mix, options.into())?),
        Some(Command::ThroughputRound { threads, events }) => report::json(&throughput::measure(threads, events)?),
        Some(Command::MemoryCase { pauses, longer }) => report::json(&memory::measure(pauses, longer)?),
        Some(Command::ConcurrencyCase { what, count }) => report::json(&match what.as_str() {
            "threads" => concurrency::many_threads(count)?,
            "rings" => concurrency::many_rings(count)?,
            _ => return Err(format!("no such case: {what}").into()),
        }),
        Some(Command::TailCase { calls }) => report::json(&tail::measure(calls)?),
        Some(Command::SnapshotCase { rounds }) => report::json(&snapshot_time::measure(rounds)?),
        Some(Command::SyscallsCase { threads, seconds }) => report::json(&syscalls::child(threads, seconds)?),
    }
}

/// About a minute.
fn run_all() -> Result<()> {
    let title = |text: &str| println!("\n== {text}");
    title("cost");
    cost::run(cost::Options { rounds: 7, events: 4_000_000 }, None, false)?;
    title("mix");
    mix::run(cost::Options { rounds: 7, events: 4_000_000 }, None, false)?;
    title("throughput");
    throughput::run(&[1, 2, 16], 3, 32_000_000, false)?;
    title("memory");
    memory::run(false)?;
    title("concurrency");
    concurrency::run(1024, 100_000, false)?;
    title("tail");
    tail::run(20_000_000, false)?;
    title("snapshot");
    snapshot_time::run(9, false)
}
