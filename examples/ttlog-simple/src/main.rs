//! Kills a process in the middle of its work, and shows the events in its flight recorder.
//!
//! | file | what it does |
//! | --- | --- |
//! | `main` | runs and narrates the experiment |
//! | `options` | the command line |
//! | `output` | the program's output and errors |
//! | `place` | a directory for the run, removed at its end |
//! | `worker` | the process that is killed: indexes a directory tree on several threads and logs every file |
//! | `counters` | counts log calls that returned, independent of the recorder |
//! | `kill` | starts the worker and kills it |
//! | `check` | recovers the ring and compares it with the count |
//! | `show` | runs commands of ttlog-view |

mod check;
mod counters;
mod kill;
mod options;
mod output;
mod place;
mod show;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;

use options::Options;
use output::{complain, say};

/// Every event is accounted for.
const EXIT_GOOD: u8 = 0;
/// Events are missing, too many, or damaged.
const EXIT_NOT_ACCOUNTED: u8 = 1;
/// The experiment could not be run.
const EXIT_FAILED: u8 = 2;

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(run) = &options.worker {
        let Err(error) = worker::run(run, &options);
        return failed(&format!("worker: {error}"));
    }
    match experiment(&options) {
        Ok(true) => ExitCode::from(EXIT_GOOD),
        Ok(false) => ExitCode::from(EXIT_NOT_ACCOUNTED),
        Err(error) => failed(&error),
    }
}

fn failed(error: &str) -> ExitCode {
    complain(error);
    ExitCode::from(EXIT_FAILED)
}

/// Runs the experiment and prints its course. Returns whether every event is accounted for.
fn experiment(options: &Options) -> Result<bool, String> {
    let tree = options.tree();
    let file_count = worker::walk::check(&tree)?;
    let snapshots = options.output.clone().unwrap_or_else(std::env::temp_dir);
    if !snapshots.is_dir() {
        return Err(format!("the snapshot cannot go to {}, which is no directory", snapshots.display()));
    }
    let run = place::Place::new()?;
    let after = options.moment();

    say(format_args!("{} threads index {file_count} files of {}, over and over", options.threads, tree.display()))?;
    let death = kill::start_and_kill(&run, &tree, options, after)?;
    say(format_args!(
        "process {} killed with SIGKILL after {} ms of work; its ring is {}",
        death.pid,
        after.as_millis(),
        death.ring.display()
    ))?;
    let snapshot = check::recover(&run, death.pid, &snapshots)?;
    let verdict = check::account(&death, &snapshot)?;

    let view = show::Viewer::new(&snapshot);
    say(format_args!("\nThe last events before its death:"))?;
    view.show(&["--limit", &options.last.to_string()])?;
    say(format_args!("\nWhat is in the ring:"))?;
    view.show(&["--stats", "--group-by", "level,target"])?;
    say(format_args!(""))?;
    view.show(&["--stats", "--quiet", "--group-by", "thread"])?;

    say(format_args!("\nThe snapshot: {}\nExplore it with:", snapshot.display()))?;
    for arguments in [
        "--last 100ms",
        "--filter 'level>=WARN'",
        "--filter 'bytes>100000' --limit 20",
        "--stats --group-by callsite",
        "--format ndjson",
    ] {
        say(format_args!("  ttlog-view {} {arguments}", view.quoted()))?;
    }
    say(format_args!("  ttlog-view verify {}", view.quoted()))?;
    say(format_args!(
        "(install ttlog-view with `cargo install --path ttlog-view`, or use `cargo run -r --bin ttlog-view --`)\n"
    ))?;
    for fault in &verdict.faults {
        complain(fault);
    }
    say(format_args!("{verdict}"))?;
    Ok(verdict.holds())
}
