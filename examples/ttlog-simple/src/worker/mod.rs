//! The process that is killed: it indexes a directory tree on several threads, over and over, and logs every file.

mod index;
pub(crate) mod walk;

use std::convert::Infallible;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ttlog_std::{RingFileChoice, Trace, error, info};

use crate::counters::Counter;
use crate::options::Options;

/// The name under which the worker records.
pub(crate) const SERVICE: &str = "simple";

/// Logs, then counts that the log call has returned.
macro_rules! counted {
    ($counter:expr, $log:expr) => {{
        $log;
        $counter.add_one();
    }};
}
use counted;

/// Works until it is killed, or until the parent is gone. Returns only what prevents that.
pub(crate) fn run(run: &Path, options: &Options) -> Result<Infallible, String> {
    let counters = Counter::map(run).map_err(|error| format!("{}: {error}", run.display()))?;
    Trace::builder()
        .service(SERVICE)
        .capacity_bytes(options.ring_kib as usize * 1024)
        .directory(run)
        .ring_file(RingFileChoice::Required)
        .recover_orphans(false)
        // What the check expects of the ring is what is said here.
        .ignore_environment()
        .build()
        .map_err(|error| error.to_string())?;
    let tree = Arc::new(Tree::new(options.tree()));
    for (index, counter) in counters.into_iter().enumerate() {
        let tree = Arc::clone(&tree);
        let work = move || {
            loop {
                index::index_file(&tree.root, &tree.next(&counter), &counter);
            }
        };
        std::thread::Builder::new()
            .name(format!("indexer-{index}"))
            .spawn(work)
            .map_err(|error| format!("thread {index}: {error}"))?;
    }
    // The pipe from the parent has nothing in it; it ends with the parent.
    let ended = std::io::stdin().read(&mut [0]);
    Err(format!("the parent is gone ({ended:?})"))
}

/// The files still to be indexed in this round.
struct Tree {
    root: PathBuf,
    left: Mutex<Vec<PathBuf>>,
}

impl Tree {
    fn new(root: PathBuf) -> Self {
        Tree { root, left: Mutex::new(Vec::new()) }
    }

    /// Gives the next file. At the end of a round the thread that finds it walks the tree again, and the others wait.
    fn next(&self, counter: &Counter) -> PathBuf {
        loop {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(file) = left.pop() {
                return file;
            }
            let mut errors = 0_u64;
            *left = walk::files(&self.root, &mut |path, cause| {
                errors += 1;
                counted!(counter, error!("cannot walk {path}", path = path.to_string_lossy(), cause));
            });
            // From the last to the first.
            left.reverse();
            let files = left.len();
            counted!(counter, info!("round begins", files, errors));
            if files == 0 {
                drop(left);
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
    }
}
