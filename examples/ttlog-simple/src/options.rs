//! The command line.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// The worker is killed after so many milliseconds of work, if it is not said when.
const AFTER_MS: std::ops::Range<u64> = 500..2000;

/// Kills a process in the middle of its work, and shows what its flight recorder has kept.
///
/// A worker process indexes a directory tree on several threads, over and over, and logs every file. It is killed with SIGKILL at a random
/// moment. Then its ring is recovered into a snapshot, shown, and compared with a count that the worker kept elsewhere: every event whose
/// log call had returned must be in the ring, or counted there as overwritten or dropped.
#[derive(Debug, Parser)]
#[command(
    name = "ttlog-simple",
    version,
    after_help = "\
Exit codes:
  0  every event is accounted for
  1  it is not: events are missing, too many, or damaged
  2  the experiment could not be made, or the command line is wrong"
)]
pub(crate) struct Options {
    /// The tree to index; by default the repository this program was built from
    ///
    /// Links are not followed; directories named .git or target are passed over.
    pub(crate) directory: Option<PathBuf>,

    /// Threads of the worker
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,

    /// Kill the worker after so many milliseconds of work; by default 500 to 2000, at random
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(..=3_600_000))]
    pub(crate) after_ms: Option<u64>,

    /// Choose the random moment by this number, so that it can be had again
    #[arg(long, value_name = "N", conflicts_with = "after_ms")]
    pub(crate) seed: Option<u64>,

    /// Size of the worker's ring, in KiB
    #[arg(long, default_value_t = 1024, value_name = "KIB", value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    pub(crate) ring_kib: u32,

    /// How many of the last events are shown
    #[arg(long, default_value_t = 12, value_name = "N")]
    pub(crate) last: u32,

    /// Where the snapshot goes; by default the temporary directory
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,

    /// Be the worker of the run whose files are here
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) worker: Option<PathBuf>,
}

impl Options {
    /// Gives the tree to index.
    pub(crate) fn tree(&self) -> PathBuf {
        self.directory.clone().unwrap_or_else(|| {
            let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
            std::fs::canonicalize(repository).unwrap_or_else(|_| repository.into())
        })
    }

    /// Gives how long the worker may work.
    pub(crate) fn moment(&self) -> Duration {
        let random = match self.seed {
            // Multiplied, so that neighbouring seeds are far apart.
            Some(seed) => (seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 32,
            // Hashers are seeded at random: the one source of randomness in std.
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
