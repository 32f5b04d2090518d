//! The findings as one JSON object. The documentation of the viewer describes the format.

use std::fmt::Write as _;

use ttlog_read::text::time::TimeFormatter;

use super::directory::{Access, DirectoryReport, Room, SnapshotsReport};
use super::examine::RingReport;
use super::remark::Remark;
use super::report::Report;
use crate::render::json::push_string;
use crate::render::{DROP_REASONS, ending};

/// Returns the object, with a line break.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut out = format!("{{\"attention\":{},\"rings\":[", report.problem_count());
    list(&mut out, &report.rings, ring);
    out.push_str("],\"directories\":[");
    list(&mut out, &report.directories, directory);
    out.push_str("],\"snapshots\":[");
    list(&mut out, &report.snapshots, snapshots);
    out.push_str("],\"errors\":[");
    list(&mut out, &report.errors, |out, error| push_string(out, error));
    out.push_str("]}\n");
    out
}

fn list<T>(out: &mut String, items: &[T], push: impl Fn(&mut String, &T)) {
    for (index, item) in items.iter().enumerate() {
        out.push_str(if index > 0 { ",\n" } else { "\n" });
        push(out, item);
    }
}

/// Appends `,"key":` and a number or `null`.
fn number<N: std::fmt::Display>(out: &mut String, key: &str, value: Option<N>) {
    // Writing to a String cannot fail.
    _ = match value {
        Some(value) => write!(out, ",\"{key}\":{value}"),
        None => write!(out, ",\"{key}\":null"),
    };
}

fn text(out: &mut String, key: &str, value: Option<&str>) {
    _ = write!(out, ",\"{key}\":"); // as above
    match value {
        Some(value) => push_string(out, value),
        None => out.push_str("null"),
    }
}

fn push_path(out: &mut String, path: &std::path::Path) {
    out.push_str("{\"path\":");
    push_string(out, &path.to_string_lossy());
}

fn push_access(out: &mut String, access: Option<Access>) {
    let mode = access.and_then(|access| access.mode).map(|mode| format!("{mode:04o}"));
    text(out, "mode", mode.as_deref());
    number(out, "user", access.and_then(|access| access.user));
}

fn push_room(out: &mut String, room: Option<Room>) {
    number(out, "disk_bytes", room.map(|room| room.total));
    number(out, "disk_free_bytes", room.map(|room| room.free));
}

/// Appends the remarks and ends the object.
fn push_remarks(out: &mut String, remarks: &[Remark]) {
    out.push_str(",\"remarks\":[");
    for (index, remark) in remarks.iter().enumerate() {
        _ = write!(out, "{}{{\"attention\":{}", if index > 0 { "," } else { "" }, remark.attention); // as above
        text(out, "text", Some(&remark.text));
        text(out, "advice", remark.advice.as_deref());
        out.push('}');
    }
    out.push_str("]}");
}

fn ring(out: &mut String, ring: &RingReport) {
    push_path(out, &ring.path);
    number(out, "bytes", Some(ring.len_bytes));
    push_access(out, Some(ring.access));
    text(out, "service", Some(&ring.service));
    number(out, "pid", ring.pid);
    number(out, "local_pid", ring.local_pid);
    text(out, "host", Some(&ring.host));
    let mut since = String::new();
    TimeFormatter::rfc3339().push_clock(&mut since, ring.start_unix_ns);
    text(out, "since", Some(&since));
    text(out, "state", Some(ending::word(&ring.ending)));
    text(out, "state_text", Some(&ring.ending_text));
    number(out, "heartbeat_age_ns", ring.heartbeat_age_ns);
    number(out, "recorded_ns", Some(ring.recorded_ns));
    number(out, "covered_ns", ring.covered_ns);
    number(out, "priority_covered_ns", ring.priority_covered_ns);
    number(out, "min_age_ns", Some(ring.min_age_ns).filter(|age| *age > 0));
    number(out, "retained", Some(ring.retained));
    number(out, "overwritten", Some(ring.overwritten));
    out.push_str(",\"dropped\":{");
    for (index, ((reason, _), count)) in DROP_REASONS.iter().zip(ring.dropped).enumerate() {
        _ = write!(out, "{}\"{reason}\":{count}", if index > 0 { "," } else { "" }); // as above
    }
    out.push('}');
    number(out, "suppressed", Some(ring.suppressed));
    number(out, "panics", Some(ring.panics));
    text(out, "level", ring.filter.as_deref());
    push_remarks(out, &ring.remarks);
}

fn directory(out: &mut String, directory: &DirectoryReport) {
    push_path(out, &directory.path);
    push_access(out, Some(directory.access));
    push_room(out, directory.room);
    number(out, "rings", Some(directory.ring_count));
    number(out, "stale", Some(directory.stale_count));
    number(out, "unfinished", Some(directory.unfinished_count));
    number(out, "damaged", Some(directory.damaged_count));
    push_remarks(out, &directory.remarks);
}

fn snapshots(out: &mut String, snapshots: &SnapshotsReport) {
    push_path(out, &snapshots.path);
    push_access(out, snapshots.access);
    push_room(out, snapshots.room);
    number(out, "count", Some(snapshots.count));
    number(out, "bytes", Some(snapshots.bytes));
    push_remarks(out, &snapshots.remarks);
}
