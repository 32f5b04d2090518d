//! The command `doctor`: is it recording, where, how much, what is lost, and what is to be done about it.
//!
//! Rings and directories are [examined](examine) into a [`Report`], in which each thing has its facts and its [`Remark`]s, and this is
//! shown as [text] or [JSON](json). Nothing is changed, and what is looked at is not trusted: files of others, damaged ones, and
//! thousands of them cost time and memory in proportion to what is read, and of dead rings only some are read whole.

pub mod directory;
pub mod examine;
pub mod json;
pub mod text;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::command::cli::{Doctor, DoctorFormat};
use crate::terminal::Outcome;
use crate::write::snapshot_file;
use ttlog_read::source::find::{self, find};

use directory::{DirectoryReport, SnapshotsReport};
use examine::RingReport;

/// Most rings of dead processes that are read whole in one directory; the rest are counted.
const DEAD_MAX: usize = 16;

/// Something to be said of a ring or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Whether somebody should do something.
    pub attention: bool,
    /// What there is.
    pub text: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Remark {
    /// Something that wants attention.
    fn problem(text: impl Into<String>, advice: impl Into<String>) -> Self {
        Remark { attention: true, text: text.into(), advice: Some(advice.into()) }
    }

    /// Something good to know.
    fn note(text: impl Into<String>) -> Self {
        Remark { attention: false, text: text.into(), advice: None }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// The rings that were read.
    pub rings: Vec<RingReport>,
    /// The directories in which rings are.
    pub directories: Vec<DirectoryReport>,
    /// The directories in which snapshots are.
    pub snapshots: Vec<SnapshotsReport>,
    /// What could not be looked at, a line each.
    pub errors: Vec<String>,
}

impl Report {
    /// Gives everything there is to be said.
    pub fn remarks(&self) -> impl Iterator<Item = &Remark> {
        let rings = self.rings.iter().flat_map(|ring| &ring.remarks);
        let directories = self.directories.iter().flat_map(|directory| &directory.remarks);
        rings.chain(directories).chain(self.snapshots.iter().flat_map(|snapshots| &snapshots.remarks))
    }

    /// Gives the number of things that want attention.
    #[must_use]
    pub fn problem_count(&self) -> usize {
        self.errors.len() + self.remarks().filter(|remark| remark.attention).count()
    }

    /// Gives how the command ends.
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

    fn add_ring(&mut self, path: &Path, reach: &Path) {
        match RingReport::read(path, reach) {
            Ok(ring) => self.rings.push(ring),
            Err(error) => self.errors.push(error),
        }
    }

    fn add_directory(&mut self, path: &Path) {
        if self.directories.iter().any(|directory| directory.path == path) {
            return;
        }
        let (directory, rings) = match DirectoryReport::read(path) {
            Ok(read) => read,
            Err(error) => return self.errors.push(ttlog_read::text::escape::error_line(path, &error)),
        };
        self.directories.push(directory);
        for ring in rings {
            self.add_ring(&ring, &ring);
        }
    }

    /// Takes in the ring of a process, or of this path, and where it lies.
    fn add_target(&mut self, target: &str) {
        let path = Path::new(target);
        if path.is_dir() {
            return self.add_directory(path);
        }
        match find(target) {
            Ok(ring) => {
                let (path, reach) = (ring.path.clone(), ring.reach.clone());
                drop(ring);
                self.add_ring(&path, &reach);
                let parent = path.parent().unwrap_or(Path::new(""));
                // Where the whole directory is looked at, that says it of all of them.
                if let Some(ring) = self.rings.last_mut().filter(|ring| ring.is_stale()) {
                    let advice =
                        format!("ttlog-view recover {} --remove makes a snapshot of it", directory::quoted(parent));
                    ring.remarks.push(Remark::problem("stale: its process is gone", advice));
                }
                if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                    match DirectoryReport::alone(parent) {
                        Ok(directory) => self.directories.push(directory),
                        Err(error) => self.errors.push(ttlog_read::text::escape::error_line(parent, &error)),
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

/// Says so where the environment of a process keeps it from having a ring that others can see.
fn switched_off(pid: u64) -> Option<String> {
    let says = |name: &str, value: &str| find::variable_of(pid, name).filter(|found| found.eq_ignore_ascii_case(value));
    if says("TTLOG", "off").is_some() {
        return Some(" (its environment says TTLOG=off)".to_owned());
    }
    says("TTLOG_RING_FILE", "none")
        .map(|_| " (its environment says TTLOG_RING_FILE=none: its ring is on the heap)".to_owned())
}

/// Looks, and tells.
///
/// # Errors
/// Those of writing to `out`.
pub fn run(options: &Doctor, out: &mut dyn Write) -> io::Result<Outcome> {
    let mut report = Report::default();
    if options.targets.is_empty() {
        for directory in find::usual_directories() {
            // That a recorder never used one of them is no fault.
            if directory.is_dir() {
                report.add_directory(&directory);
            }
        }
    }
    for target in &options.targets {
        report.add_target(target);
    }
    for (directory, free_percent) in snapshot_directories(&report) {
        report.snapshots.push(SnapshotsReport::read(&directory, free_percent));
    }
    let text = match options.format {
        DoctorFormat::Text => text::shown(&report, options.color.is_on()),
        DoctorFormat::Json => json::shown(&report),
    };
    out.write_all(text.as_bytes())?;
    Ok(report.outcome())
}

/// Gives the directories in which the processes put their snapshots, as far as their environment says, and the usual one; each with the
/// share of its disk that they leave free, in percent: the largest, where they differ.
fn snapshot_directories(report: &Report) -> Vec<(PathBuf, u64)> {
    let mut directories: Vec<(PathBuf, u64)> = Vec::new();
    let mut add = |path: PathBuf, free_percent: u64| match directories.iter_mut().find(|(known, _)| *known == path) {
        Some((_, most)) => *most = free_percent.max(*most),
        None => directories.push((path, free_percent)),
    };
    let usual = || snapshot_file::directory(None);
    for ring in &report.rings {
        let variable = |name: &str| find::variable_of(ring.pid.filter(|_| ring.runs)?, name);
        let told = variable("TTLOG_SNAPSHOT_DIR").map(PathBuf::from).filter(|directory| directory.is_absolute());
        let free_percent = variable("TTLOG_RETAIN_FREE").and_then(|text| percent(&text));
        add(told.unwrap_or_else(usual), free_percent.unwrap_or(directory::FREE_PERCENT));
    }
    if directories.is_empty() {
        directories.push((usual(), directory::FREE_PERCENT));
    }
    directories
}

/// Reads whole percents, with or without the sign, as recorders do.
fn percent(text: &str) -> Option<u64> {
    let text = text.trim();
    text.strip_suffix('%').unwrap_or(text).trim_end().parse().ok()
}
