//! Starts the worker and kills it in the middle of its work.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::counters;
use crate::options::Options;
use crate::place::Place;

/// Time limit for the worker's first event.
const START_MAX: Duration = Duration::from_secs(20);

/// Remains of a killed worker.
#[derive(Debug)]
pub(crate) struct Death {
    pub(crate) pid: u32,
    /// Its ring.
    pub(crate) ring: PathBuf,
    /// Returned log calls of each thread.
    pub(crate) counts: Vec<u64>,
}

/// Starts a worker, lets it work for `after`, and kills it.
pub(crate) fn start_and_kill(run: &Place, tree: &Path, options: &Options, after: Duration) -> Result<Death, String> {
    let run = run.path();
    let in_run = |error| format!("{}: {error}", run.display());
    counters::create(run, options.threads).map_err(in_run)?;
    let program = std::env::current_exe().map_err(|error| format!("cannot find the path of this program: {error}"))?;
    let mut worker = Command::new(&program)
        .arg("--worker")
        .arg(run)
        .arg(format!("--threads={}", options.threads))
        .arg(format!("--ring-kib={}", options.ring_kib))
        .arg("--")
        .arg(tree)
        .stdin(Stdio::piped()) // its end tells the worker that this process is gone
        .stdout(Stdio::null())
        .spawn()
        .map(Worker)
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;

    let started = Instant::now();
    while counters::read(run).map_err(in_run)?.iter().sum::<u64>() == 0 {
        worker.must_run()?;
        if started.elapsed() > START_MAX {
            return Err(format!("the worker has logged nothing within {} s", START_MAX.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(after);
    worker.must_run()?;
    worker.kill()?;

    let counts = counters::read(run).map_err(in_run)?;
    Ok(Death { pid: worker.0.id(), ring: ring_in(run)?, counts })
}

/// Finds the one ring of the run.
fn ring_in(run: &Path) -> Result<PathBuf, String> {
    let entries = std::fs::read_dir(run).map_err(|error| format!("{}: {error}", run.display()))?;
    let is_ring = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "ring");
    let ring = entries.flatten().map(|entry| entry.path()).find(is_ring);
    ring.ok_or_else(|| format!("the worker left no ring in {}", run.display()))
}

/// A worker that does not outlive its handle.
struct Worker(Child);

impl Worker {
    fn must_run(&mut self) -> Result<(), String> {
        match self.0.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("the worker ended before it was killed: {status}")),
            Err(error) => Err(format!("cannot watch the worker: {error}")),
        }
    }

    /// Kills it (on Unix with SIGKILL) and waits for its end.
    fn kill(&mut self) -> Result<(), String> {
        let status =
            self.0.kill().and_then(|()| self.0.wait()).map_err(|error| format!("cannot kill the worker: {error}"))?;
        #[cfg(unix)]
        if std::os::unix::process::ExitStatusExt::signal(&status) != Some(9) {
            return Err(format!("the worker was not killed, but ended: {status}"));
        }
        #[cfg(not(unix))]
        let _ = status; // does not show who ended it
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail if the worker has already been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
