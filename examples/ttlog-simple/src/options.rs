//! The command line.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Range of the random moment at which the worker is killed, in milliseconds of work.
const AFTER_MS: std::ops::Range<u64> = 500..2000;

/// Kills a process in the middle of its work, and shows the events in its flight recorder.
///
/// A worker process indexes a directory tree on several threads, over and over, and logs every file. It is killed with
/// SIGKILL at a random moment. Then its ring is recovered into a snapshot, shown, and compared with the worker's own
/// count: every event whose log call returned must be in the ring, or counted there as overwritten or dropped.
#[derive(Debug, Parser)]
#[command(
    name = "ttlog-simple",
    version,
    after_help = "\
Exit codes:
  0  every event is accounted for
  1  events are missing, too many, or damaged
  2  the experiment could not be run, or the command line is wrong"
)]
pub(crate) struct Options {
    /// Tree to index [default: the repository of this program]
    ///
    /// Does not follow links; skips directories named .git or target.
    pub(crate) directory: Option<PathBuf>,

    /// Number of worker threads
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,

    /// Kill the worker after MS milliseconds of work [default: 500 to 2000, at random]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(..=3_600_000))]
    pub(crate) after_ms: Option<u64>,

    /// Seed of the random moment, for a repeatable run
    #[arg(long, value_name = "N", conflicts_with = "after_ms")]
    pub(crate) seed: Option<u64>,

    /// Size of the worker's ring, in KiB
    #[arg(long, default_value_t = 1024, value_name = "KIB")]
    #[arg(value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    pub(crate) ring_kib: u32,

    /// Number of last events to show
    #[arg(long, default_value_t = 12, value_name = "N")]
    pub(crate) last: u32,

    /// Directory for the snapshot [default: the temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    /// Be the worker of the run in this directory
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) worker: Option<PathBuf>,
}

impl Options {
    /// Returns the tree to index.
    pub(crate) fn tree(&self) -> PathBuf {
        self.directory.clone().unwrap_or_else(|| {
            let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
            std::fs::canonicalize(repository).unwrap_or_else(|_| repository.into())
        })
    }

    /// Returns how long the worker works.
    pub(crate) fn moment(&self) -> Duration {
        let random = match self.seed {
            // Multiplied, so that the moments of neighboring seeds differ.
            Some(seed) => (seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 32,
            // Hashers have random seeds: the only source of randomness in std.
            None => RandomState::new().hash_one(std::process::id()),
        };
        let chosen = AFTER_MS.start + random % (AFTER_MS.end - AFTER_MS.start);
        Duration::from_millis(self.after_ms.unwrap_or(chosen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_is_in_range_and_repeatable() {
        let moment = |line: &[&str]| Options::try_parse_from([&["ttlog-simple"], line].concat()).unwrap().moment();
        for seed in ["0", "1", "18446744073709551615"] {
            let after = moment(&["--seed", seed]);
            assert!((500..2000).contains(&after.as_millis()), "{after:?}");
            assert_eq!(after, moment(&["--seed", seed]));
        }
        assert_ne!(moment(&["--seed", "1"]), moment(&["--seed", "2"]));
        assert_eq!(moment(&["--after-ms", "7"]), Duration::from_millis(7));
    }

    #[test]
    fn wrong_lines_are_refused() {
        for line in [["--threads", "0"], ["--ring-kib", "1"], ["--after-ms", "-1"], ["--seed", "x"], ["a", "b"]] {
            assert!(Options::try_parse_from([&["ttlog-simple"], &line[..]].concat()).is_err(), "{line:?}");
        }
    }
}
