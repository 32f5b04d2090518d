//! The findings as text for people: a block for each ring and directory, with keys aligned, then whether all is well.

use std::fmt::Write as _;

use anstyle::Style;
use ttlog_read::text::escape::escaped;
use ttlog_read::text::number::{bytes, counted, grouped};
use ttlog_read::text::time::TimeStyle;
use ttlog_read::text::time::duration;

use super::directory::{DirectoryReport, Room, SnapshotsReport};
use super::examine::RingReport;
use super::memory::MemoryReport;
use super::remark::Remark;
use super::report::Report;
use crate::render::DROP_REASONS;
use crate::render::style::{BAD, DIM, GOOD, KEY};
use crate::terminal::times;

/// Width of a key, in columns.
const KEY_WIDTH: usize = 10;

/// Returns the text.
#[must_use]
pub fn render(report: &Report, color: bool) -> String {
    let mut page = Page { out: String::new(), color };
    for ring in &report.rings {
        page.ring(ring);
    }
    for directory in &report.directories {
        page.directory(directory);
    }
    for memory in &report.memory {
        page.memory(memory);
    }
    for snapshots in &report.snapshots {
        page.snapshots(snapshots);
    }
    for error in &report.errors {
        page.line(BAD, &format!("! {error}"));
    }
    if report.rings.is_empty() && report.directories.iter().all(DirectoryReport::is_empty) {
        page.line(BAD, "nothing found: no recorder has a ring in these directories");
    } else {
        match report.problem_count() {
            0 => page.line(GOOD, "all is well"),
            1 => page.line(BAD, "1 thing wants attention"),
            count => page.line(BAD, &format!("{} things want attention", grouped(count as u64))),
        }
    }
    page.out
}

struct Page {
    out: String,
    color: bool,
}

impl Page {
    fn styled(&mut self, style: Style, text: &str) {
        // Writing to a String cannot fail.
        _ = if self.color { write!(self.out, "{style}{text}{style:#}") } else { write!(self.out, "{text}") };
    }

    fn line(&mut self, style: Style, text: &str) {
        self.styled(style, text);
        self.out.push('\n');
    }

    fn head(&mut self, what: &str, name: &str) {
        self.styled(Style::new().bold(), what);
        self.out.push(' ');
        self.line(Style::new().bold(), name);
    }

    fn fact(&mut self, key: &str, value: &str) {
        self.out.push_str("  ");
        self.styled(KEY, &format!("{key:<KEY_WIDTH$}"));
        self.out.push_str(value);
        self.out.push('\n');
    }

    fn remarks(&mut self, remarks: &[Remark]) {
        for remark in remarks {
            if remark.attention {
                self.line(BAD, &format!("  ! {}", remark.text));
            } else {
                self.line(DIM, &format!("  - {}", remark.text));
            }
            if let Some(advice) = &remark.advice {
                self.out.push_str("    ");
                self.out.push_str(advice);
                self.out.push('\n');
            }
        }
        self.out.push('\n');
    }

    fn ring(&mut self, ring: &RingReport) {
        self.head("ring", &escaped(&ring.path.to_string_lossy()));
        let mut since = String::new();
        times::formatter(TimeStyle::Local, 0).push_clock(&mut since, ring.start_unix_ns);
        let process = match ring.pid {
            Some(pid) => {
                let on = if ring.host.is_empty() { String::new() } else { format!(" on {}", escaped(&ring.host)) };
                let here = ring.local_pid.filter(|here| *here != pid);
                let here = here.map_or_else(String::new, |here| format!(" ({here} here)"));
                format!("{}, pid {pid}{here}{on}, recording since {since}", escaped(&ring.service))
            }
            None => "unknown: the ring does not say".to_owned(),
        };
        self.fact("process", &process);
        let heartbeat = match ring.heartbeat_age_ns {
            Some(age) if ring.runs => format!(", heartbeat {} ago", duration(age)),
            _ => String::new(),
        };
        let state = if ring.ending_text.is_empty() { "unknown" } else { &ring.ending_text };
        self.fact("state", &format!("{state}{heartbeat}"));
        self.fact("file", &format!("{}, {}", bytes(ring.len_bytes), ring.access.text()));
        self.fact("window", &window(ring));
        self.fact("events", &events(ring));
        if let Some(filter) = &ring.filter {
            self.fact("level", &escaped(filter));
        }
        self.remarks(&ring.remarks);
    }

    fn directory(&mut self, directory: &DirectoryReport) {
        self.head("directory", &escaped(&directory.path.to_string_lossy()));
        self.fact("access", &directory.access.text());
        if let Some(room) = directory.room {
            self.fact("disk", &disk(&directory.path, room));
        }
        self.remarks(&directory.remarks);
    }

    fn memory(&mut self, memory: &MemoryReport) {
        self.head("memory", &bytes(memory.limit.bytes));
        let limit = match &memory.limit.file {
            Some(file) => escaped(&file.to_string_lossy()),
            None => "that of the machine: no cgroup limits it".to_owned(),
        };
        self.fact("limit", &limit);
        self.fact("used", &memory.used_text());
        self.fact("rings", &memory.rings_text());
        self.remarks(&memory.remarks);
    }

    fn snapshots(&mut self, snapshots: &SnapshotsReport) {
        self.head("snapshots", &escaped(&snapshots.path.to_string_lossy()));
        match snapshots.access {
            Some(access) => self.fact("access", &access.text()),
            None => self.fact("access", "not there yet"),
        }
        self.fact("files", &format!("{}, {}", counted(snapshots.count, "snapshot"), bytes(snapshots.bytes)));
        if let Some(room) = snapshots.room {
            self.fact("disk", &disk(&snapshots.path, room));
        }
        self.remarks(&snapshots.remarks);
    }
}

fn disk(path: &std::path::Path, room: Room) -> String {
    let shared = if path.starts_with("/dev/shm") { " (/dev/shm, memory)" } else { "" };
    format!("{} of {} free, {} %{shared}", bytes(room.free), bytes(room.total), room.free_percent())
}

fn window(ring: &RingReport) -> String {
    let all = format!("all since the start, {}", duration(ring.recorded_ns));
    let mut text = match (ring.covered_ns, ring.keeps) {
        (None, _) => all.clone(),
        (Some(covered), false) => format!("the last {}", duration(covered)),
        (Some(covered), true) => format!("the last {} below WARN", duration(covered)),
    };
    match (ring.priority_covered_ns, ring.covered_ns.is_some() && ring.keeps) {
        (Some(kept), _) => text.push_str(&format!("; of warnings and errors the last {}", duration(kept))),
        (None, true) => text.push_str(&format!("; of warnings and errors {all}")),
        (None, false) => {}
    }
    if ring.min_age_ns > 0 {
        text.push_str(&format!("; asked for: {}", duration(ring.min_age_ns)));
    }
    text
}

fn events(ring: &RingReport) -> String {
    let mut parts =
        vec![format!("{} retained", grouped(ring.retained)), format!("{} overwritten", grouped(ring.overwritten))];
    for ((_, reason), count) in DROP_REASONS.iter().zip(ring.dropped) {
        if count > 0 {
            parts.push(format!("{} dropped ({reason})", grouped(count)));
        }
    }
    if ring.dropped == [0; 4] {
        parts.push("none dropped".to_owned());
    }
    if ring.suppressed > 0 {
        parts.push(format!("{} suppressed", grouped(ring.suppressed)));
    }
    parts.join(", ")
}
