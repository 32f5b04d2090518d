//! The findings about all rings and directories.

use std::path::Path;

use ttlog_read::source::Holder;
use ttlog_read::source::find::{find, nameless_rings, variable_of};
use ttlog_read::text::escape::error_line;

use super::directory::{DirectoryReport, SnapshotsReport, quoted};
use super::examine::RingReport;
use super::memory::MemoryReport;
use super::remark::Remark;
use crate::terminal::Outcome;

/// All findings.
#[derive(Debug, Default)]
pub struct Report {
    /// Rings that were read.
    pub rings: Vec<RingReport>,
    /// Directories that contain rings.
    pub directories: Vec<DirectoryReport>,
    /// Memory of the processes of the rings.
    pub memory: Vec<MemoryReport>,
    /// Directories that contain snapshots.
    pub snapshots: Vec<SnapshotsReport>,
    /// Messages about targets that could not be examined.
    pub errors: Vec<String>,
}

impl Report {
    /// Returns all remarks.
    pub fn remarks(&self) -> impl Iterator<Item = &Remark> {
        let rings = self.rings.iter().flat_map(|ring| &ring.remarks);
        let directories = self.directories.iter().flat_map(|directory| &directory.remarks);
        let memory = self.memory.iter().flat_map(|memory| &memory.remarks);
        rings.chain(directories).chain(memory).chain(self.snapshots.iter().flat_map(|snapshots| &snapshots.remarks))
    }

    /// Returns the number of remarks that need attention.
    #[must_use]
    pub fn problem_count(&self) -> usize {
        self.errors.len() + self.remarks().filter(|remark| remark.attention).count()
    }

    /// Returns the outcome of the command.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.rings.is_empty() && self.directories.iter().all(|directory| directory.is_empty()) {
            Outcome::Failed
        } else if self.problem_count() > 0 {
            Outcome::Partial
        } else {
            Outcome::Good
        }
    }

    fn add_ring(&mut self, path: &Path, reach: &Path, holder: Option<Holder>) {
        match RingReport::read(path, reach, holder) {
            Ok(ring) => self.rings.push(ring),
            Err(error) => self.errors.push(error),
        }
    }

    pub(super) fn add_directory(&mut self, path: &Path) {
        if self.directories.iter().any(|directory| directory.path == path) {
            return;
        }
        let (directory, rings) = match DirectoryReport::read(path) {
            Ok(read) => read,
            Err(error) => return self.errors.push(error_line(path, &error)),
        };
        self.directories.push(directory);
        for ring in rings {
            self.add_ring(&ring, &ring, None);
        }
    }

    /// Adds the rings of running processes that no directory shows.
    pub(super) fn add_nameless(&mut self) {
        for ring in nameless_rings() {
            let (path, reach, holder) = (ring.path.clone(), ring.reach.clone(), Some(ring.holder()));
            drop(ring);
            self.add_ring(&path, &reach, holder);
        }
    }

    /// Adds the ring of a process or at this path, and its directory.
    pub(super) fn add_target(&mut self, target: &str) {
        let path = Path::new(target);
        if path.is_dir() {
            return self.add_directory(path);
        }
        match find(target) {
            Ok(ring) => {
                let (path, reach) = (ring.path.clone(), ring.reach.clone());
                let holder = ring.holder();
                drop(ring);
                self.add_ring(&path, &reach, Some(holder));
                let parent = path.parent().unwrap_or(Path::new(""));
                // If the whole directory is examined, its report covers all rings.
                if let Some(ring) = self.rings.last_mut().filter(|ring| ring.is_stale()) {
                    let advice = format!("ttlog-view recover {} --remove makes a snapshot of it", quoted(parent));
                    ring.remarks.push(Remark::problem("stale: its process is gone", advice));
                }
                if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                    match DirectoryReport::alone(parent) {
                        Ok(directory) => self.directories.push(directory),
                        Err(error) => self.errors.push(error_line(parent, &error)),
                    }
                }
            }
            Err(error) => {
                let hint = target.parse().ok().and_then(switched_off).unwrap_or_default();
                self.errors.push(format!("{error}{hint}"));
            }
        }
    }
}

/// Adds a remark if the environment of a process prevents it from having a ring visible to others.
fn switched_off(pid: u64) -> Option<String> {
    let says = |name: &str, value: &str| variable_of(pid, name).filter(|found| found.eq_ignore_ascii_case(value));
    if says("TTLOG", "off").is_some() {
        return Some(" (its environment says TTLOG=off)".to_owned());
    }
    says("TTLOG_RING_FILE", "none")
        .map(|_| " (its environment says TTLOG_RING_FILE=none: its ring is on the heap)".to_owned())
}
