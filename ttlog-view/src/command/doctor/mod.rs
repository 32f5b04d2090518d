//! The command `doctor`: reports whether processes record, where and how much, what is lost, and what to do about it.
//!
//! Rings and directories are [examined](examine) into a [`Report`] of facts and [remarks](remark::Remark), which is
//! shown as [text] or [JSON](json). Nothing is changed, and no input is trusted: files of other users, damaged files,
//! and thousands of files cost time and memory in proportion to the bytes read, and only some of the dead rings are
//! read whole.

pub mod directory;
pub mod examine;
pub mod json;
pub mod memory;
pub mod remark;
pub mod report;
pub mod text;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ttlog_read::source::find;

use crate::command::options::ColorChoice;
use crate::terminal::Outcome;
use crate::write::snapshot_file;
use directory::SnapshotsReport;
use memory::MemoryReport;
use report::Report;

/// Options of `doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Process IDs, rings, and directories with rings
    #[arg(value_name = "PID|RING|DIR")]
    pub targets: Vec<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = DoctorFormat::Text)]
    pub format: DoctorFormat,
    /// When to color text
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// Output format of `doctor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Examines the targets and prints the report.
///
/// # Errors
/// Returns an error if writing to `out` fails.
pub fn run(options: &Doctor, out: &mut dyn Write) -> io::Result<Outcome> {
    let mut report = Report::default();
    if options.targets.is_empty() {
        for directory in find::usual_directories() {
            // A directory that no recorder has used yet is not a problem.
            if directory.is_dir() {
                report.add_directory(&directory);
            }
        }
        report.add_nameless();
    }
    for target in &options.targets {
        report.add_target(target);
    }
    report.memory = MemoryReport::of_rings(&report.rings);
    for (directory, free_percent) in snapshot_directories(&report) {
        report.snapshots.push(SnapshotsReport::read(&directory, free_percent));
    }
    let text = match options.format {
        DoctorFormat::Text => text::render(&report, options.color.is_on()),
        DoctorFormat::Json => json::render(&report),
    };
    out.write_all(text.as_bytes())?;
    Ok(report.outcome())
}

/// Returns the snapshot directories of the processes, as far as their environment names them, and the usual one. Each
/// comes with the share of its disk that recorders leave free, in percent; the largest if they differ.
fn snapshot_directories(report: &Report) -> Vec<(PathBuf, u64)> {
    let mut directories: Vec<(PathBuf, u64)> = Vec::new();
    let mut add = |path: PathBuf, free_percent: u64| match directories.iter_mut().find(|(known, _)| *known == path) {
        Some((_, most)) => *most = free_percent.max(*most),
        None => directories.push((path, free_percent)),
    };
    let usual = || snapshot_file::directory(None);
    for ring in &report.rings {
        let variable = |name: &str| find::variable_of(ring.local_pid?, name);
        let told = variable("TTLOG_SNAPSHOT_DIR").map(PathBuf::from).filter(|directory| directory.is_absolute());
        let free_percent = variable("TTLOG_RETAIN_FREE_PERCENT").and_then(|text| percent(&text));
        let (told, free_percent) = (told.unwrap_or_else(usual), free_percent.unwrap_or(directory::FREE_PERCENT));
        // Where the snapshots go after a hand-over to a user who cannot create files in the directory.
        let private = ring.access.user.map(|user| told.join(format!("ttlog-{user}")));
        if let Some(private) = private.filter(|path| SnapshotsReport::read(path, 0).count > 0) {
            add(private, free_percent);
        }
        add(told, free_percent);
    }
    if directories.is_empty() {
        directories.push((usual(), directory::FREE_PERCENT));
    }
    directories
}

/// Parses a whole number of percent, with or without the sign, as recorders do.
fn percent(text: &str) -> Option<u64> {
    let text = text.trim();
    text.strip_suffix('%').unwrap_or(text).trim_end().parse().ok()
}
