//! The backlog: possible orphans, recovered one at a time between other duties.

use std::path::{Path, PathBuf};

use ttlog_core::ring::file_name::NamePart;

use super::orphans::{self, OrphanOutcome, Rules};
use super::take::retain;
use crate::snapshot::retention::{self, Scope};
use crate::state::State;
use crate::sys::{lock, report};

/// The rings of dead processes that were found at one time, and the results of their recovery, reported in one line
/// however many there are.
pub(crate) struct Backlog {
    left: std::vec::IntoIter<PathBuf>,
    /// Rings that were locked; they are tried once more, because somebody might only have looked at them. `None` the
    /// second time.
    locked: Option<Vec<PathBuf>>,
    recovered_count: u64,
    /// Whether it is not that of the start: only the first one is reported, because workers come and go for years.
    is_repeated: bool,
    last: PathBuf,
}

impl Backlog {
    /// Searches a directory.
    pub(crate) fn find(directory: Option<&Path>) -> Self {
        let left = directory.map(orphans::candidates).unwrap_or_default().into_iter();
        Backlog { left, locked: Some(Vec::new()), recovered_count: 0, is_repeated: false, last: PathBuf::new() }
    }

    /// Searches a directory while the process runs.
    pub(crate) fn find_again(directory: Option<&Path>) -> Self {
        Backlog { is_repeated: true, ..Self::find(directory) }
    }

    /// Returns whether nothing is left to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.len() == 0
    }

    /// Recovers the next one, if it is an orphan. Takes a few hundredths of a second for a ring of 16 MiB.
    pub(crate) fn recover_one(&mut self, state: &'static State) {
        static TROUBLE: report::Once = report::Once::new();
        let Some(path) = self.left.next() else { return };
        let mut scratch = lock(&state.process().scratch);
        let (directory, free_percent) = (state.snapshot_directory.get(), state.settings.retain_free_percent);
        let rules = Rules::new(directory, free_percent, state.ring.len_bytes(), state.memory_bytes);
        let outcome = orphans::recover(&path, &rules, &mut scratch);
        drop(scratch);
        match outcome {
            Ok(OrphanOutcome::Recovered(snapshot)) => {
                self.retain_recovered(state, &snapshot);
                self.recovered_count += 1;
                self.last = snapshot;
            }
            Ok(OrphanOutcome::Locked) => self.locked.iter_mut().for_each(|locked| locked.push(path.clone())),
            Ok(OrphanOutcome::Removed | OrphanOutcome::LeftAlone) => {}
            Err(error) => TROUBLE.warn(format_args!("{error} (further trouble of this kind is not reported)")),
        }
        if self.is_empty() {
            // Before the second try: a process that ends meanwhile has reported what it did.
            self.report();
            self.left = self.locked.take().unwrap_or_default().into_iter();
        }
    }

    /// The dead process might have belonged to another service.
    fn retain_recovered(&self, state: &State, snapshot: &Path) {
        let name = snapshot.file_name().unwrap_or_default();
        let Some(service) = retention::service_of(name.as_encoded_bytes()) else { return };
        let is_own = NamePart::service(&state.service_name).is(service);
        let scope = if is_own { Scope::Service(service) } else { Scope::RecoveredOf(service) };
        retain(state, scope, Some(snapshot));
    }

    /// Reports how many were recovered since the last report, if any were.
    fn report(&mut self) {
        static REPEATED: report::Once = report::Once::new();
        match std::mem::take(&mut self.recovered_count) {
            0 => {}
            count if self.is_repeated => REPEATED.warn(format_args!(
                "recovered the events of {count} processes that died, to make room for rings of new children, the \
                 last into {:?} (further ones are not reported)",
                self.last
            )),
            1 => report::warn(format_args!("recovered the events of a process that died: {:?}", self.last)),
            count => report::warn(format_args!(
                "recovered the events of {count} processes that died, the last into {:?}",
                self.last
            )),
        }
    }
}
