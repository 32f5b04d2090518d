//! The command `doctor`: is it recording, where, how much, what is lost, and what is to be done about it.
//!
//! Rings and directories are [examined](examine) into a [`Report`], in which each thing has its facts and its [remarks](remark::Remark), and this is
//! shown as [text] or [JSON](json). Nothing is changed, and what is looked at is not trusted: files of others, damaged ones, and
//! thousands of them cost time and memory in proportion to what is read, and of dead rings only some are read whole.

pub mod directory;
pub mod examine;
pub mod json;
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
use report::Report;

/// Options of `doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Process ids, rings, and directories with rings
    #[arg(value_name = "PID|RING|DIR")]
    pub targets: Vec<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = DoctorFormat::Text)]
    pub format: DoctorFormat,
    /// When to color text
    #[arg(long, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// The form of what `doctor` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Looks, and tells.
///
/// # Errors
/// Returns an error if writing to `out` fails.
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
        DoctorFormat::Text => text::render(&report, options.color.is_on()),
        DoctorFormat::Json => json::render(&report),
    };
    out.write_all(text.as_bytes())?;
    Ok(report.outcome())
}

/// Returns the directories in which the processes put their snapshots, as far as their environment says, and the usual one; each with the
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
        let free_percent = variable("TTLOG_RETAIN_FREE_PERCENT").and_then(|text| percent(&text));
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
