//! The process that is killed: it indexes a directory tree on several threads, over and over, and logs every file.

mod index;
pub(crate) mod walk;

use std::convert::Infallible;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ttlog_std::{Recorder, RingFileChoice, error, info};

use crate::counters::{Counter, counted};
use crate::options::Options;

/// Service name of the worker.
pub(crate) const SERVICE: &str = "simple";

/// Works until it is killed or the parent is gone. Returns only an error.
pub(crate) fn run(run: &Path, options: &Options) -> Result<Infallible, String> {
    let counters = Counter::map(run).map_err(|error| format!("{}: {error}", run.display()))?;
    Recorder::builder()
        .service(SERVICE)
        .capacity_bytes(options.ring_kib as usize * 1024)
        .directory(run)
        .ring_file(RingFileChoice::Required)
        .recover_orphans(false)
        // The check expects exactly these options.
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
    // The pipe from the parent is empty, and closes with the parent.
    let ended = std::io::stdin().read(&mut [0]);
    Err(format!("the parent is gone ({ended:?})"))
}

/// The files left to index in this round.
struct Tree {
    root: PathBuf,
    left: Mutex<Vec<PathBuf>>,
}

impl Tree {
    fn new(root: PathBuf) -> Self {
        Tree { root, left: Mutex::new(Vec::new()) }
    }

    /// Returns the next file. At the end of a round, one thread walks the tree again while the others wait.
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
            // Files are popped from the end.
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
