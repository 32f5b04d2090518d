//! One ring: its process, whether it is still recording, the time it covers, what was lost, and how to improve it.

use std::path::{Path, PathBuf};

use ttlog_read::query::{Keep, Query};
use ttlog_read::source::holder::Holder;
use ttlog_read::source::process::state_of;
use ttlog_read::source::separate::one_recording;
use ttlog_read::source::{Ending, Input, Kind, Source, open, read};
use ttlog_read::text::escape::error_line;
use ttlog_read::text::number::{bytes, counted};
use ttlog_read::text::time::TimeStyle;
use ttlog_read::text::time::{duration, since_ns};
use ttlog_read::timeline::Timeline;

use super::directory::Access;
use super::remark::Remark;
use crate::render::ending;
use crate::terminal::times;

/// Maximum age of a service thread's heartbeat, in nanoseconds. There are ten per second.
const HEARTBEAT_MAX_NS: u64 = 5_000_000_000;

/// Advice for each reason for which events are dropped, in the order of
/// [`DROP_REASONS`](crate::render::DROP_REASONS).
const DROP_ADVICE: [&str; 4] = [
    "they do not fit a segment: log less at once, or raise TTLOG_SEGMENT_BYTES",
    "they were logged while the same thread was in a log call and no shared segment was available: \
     raise TTLOG_CAPACITY_BYTES, or log less in allocators, Display and signal handlers",
    "more threads logged at once than there are segments: raise TTLOG_CAPACITY_BYTES or lower TTLOG_SEGMENT_BYTES",
    "the table has no room for more callsites: raise TTLOG_TABLE_BYTES",
];

/// Findings about a ring.
#[derive(Debug)]
pub struct RingReport {
    /// Path of the file.
    pub path: PathBuf,
    /// Size of the file, in bytes.
    pub len_bytes: u64,
    /// Owner and permissions.
    pub access: Access,
    /// Service name; empty if unknown.
    pub service: String,
    /// Process id, in the pid namespace of the process; `None` if unknown.
    pub pid: Option<u64>,
    /// Id of the running process in this pid namespace; `None` if it cannot be seen.
    pub local_pid: Option<u64>,
    /// Host name; can be empty.
    pub host: String,
    /// Start of recording, in nanoseconds since 1970.
    pub start_unix_ns: i64,
    /// Current state of the process, or how it ended.
    pub ending: Ending,
    /// The same as a sentence; empty if nothing is known.
    pub ending_text: String,
    /// Whether its process is running and uses it.
    pub runs: bool,
    /// Age of the service thread's last heartbeat, in nanoseconds; `None` if not recorded.
    pub heartbeat_age_ns: Option<u64>,
    /// Time before the end of the ring from which it is complete, in nanoseconds; `None` if it is complete since the
    /// start.
    pub covered_ns: Option<u64>,
    /// The same for warnings and errors, if they have priority segments.
    pub priority_covered_ns: Option<u64>,
    /// Whether warnings and errors have priority segments.
    pub keeps: bool,
    /// Length of the recording, in nanoseconds.
    pub recorded_ns: u64,
    /// Requested time window, in nanoseconds; 0 if none.
    pub min_age_ns: u64,
    /// Number of events in the ring.
    pub retained: u64,
    /// Number of events overwritten by newer ones.
    pub overwritten: u64,
    /// Number of events refused, by reason.
    pub dropped: [u64; 4],
    /// Number of events withheld by sampling or a rate limit.
    pub suppressed: u64,
    /// Number of panics of the process.
    pub panics: u64,
    /// Filter in effect; `None` if not recorded.
    pub filter: Option<String>,
    /// Remarks about the ring.
    pub remarks: Vec<Remark>,
}

impl RingReport {
    /// Returns whether its process is gone without having shut the recorder down.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        !self.runs && matches!(self.ending, Ending::LetGo | Ending::Silent | Ending::Unrecorded | Ending::Told(_))
    }

    /// Reads the ring at `reach`, known as `path`. `holder` is the process through which it was found, if it was.
    ///
    /// # Errors
    /// Returns a message that says why it cannot be read.
    pub fn read(path: &Path, reach: &Path, holder: Option<Holder>) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| error_line(path, error);
        let file = open(reach).map_err(|error| failed(&error))?;
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        let content = read(&file).map_err(|error| failed(&error))?;
        one_recording(&content.data).map_err(|error| failed(&error))?;
        let mut input = Input::new(path.to_string_lossy().into_owned(), content);
        input.bytes.holder = holder.or(input.bytes.holder);
        let local_pid = input.bytes.holder.and_then(|holder| holder.local_pid);
        let source = Source::new(&input).map_err(|error| failed(&error))?;
        if !matches!(source.kind, Kind::Ring(_)) {
            return Err(failed(&"is not a ring"));
        }
        let sources = [source];
        let query = Query { keep: Keep::First(0), duplicates: true, ..Query::default() };
        let timeline = Timeline::read(&sources, &query, &mut ());
        let mut report = RingReport { local_pid, ..Self::of(path, &metadata, &timeline) };
        report.remark(&timeline, &metadata, reach);
        Ok(report)
    }

    fn of(path: &Path, metadata: &std::fs::Metadata, timeline: &Timeline<'_, '_>) -> Self {
        let (source, found) = (&timeline.sources[0], &timeline.found[0]);
        let process = source.process.unwrap_or_default();
        let end = source.scale.smooth_ns(source.newest_anchor).max(timeline.end.unwrap_or(i64::MIN));
        let until = |from: i64| u64::try_from(end.saturating_sub(from)).unwrap_or(0);
        let covered = |ticks: u64| (ticks != 0).then(|| until(source.scale.smooth_ns(ticks)));
        let oldest = source.oldest_anchor.map_or(end, |ticks| source.scale.smooth_ns(ticks));
        let mut time = times::formatter(TimeStyle::Local, 0);
        RingReport {
            path: path.to_path_buf(),
            len_bytes: metadata.len(),
            access: Access::of(metadata),
            service: process.service.to_owned(),
            pid: source.process.map(|process| process.pid),
            host: process.host.to_owned(),
            start_unix_ns: process.start_unix_ns,
            local_pid: None,
            runs: matches!(source.kind, Kind::Ring(liveness) if liveness.is_running()),
            ending: Ending::of(source),
            ending_text: ending::of_source(timeline, 0, &mut time).unwrap_or_default(),
            heartbeat_age_ns: (source.life.heartbeat_unix_ns != 0).then(|| since_ns(source.life.heartbeat_unix_ns)),
            covered_ns: covered(source.complete_from),
            priority_covered_ns: covered(source.priority_complete_from),
            keeps: source.priority_segment_count > 0,
            recorded_ns: until(oldest),
            min_age_ns: source.min_age_ns,
            retained: found.events,
            overwritten: source.loss.overwritten,
            dropped: source.loss.dropped,
            suppressed: source.loss.suppressed,
            panics: source.life.panics.count,
            filter: source.filter.map(str::to_owned),
            remarks: Vec::new(),
        }
    }

    /// Collects the remarks.
    fn remark(&mut self, timeline: &Timeline<'_, '_>, metadata: &std::fs::Metadata, reach: &Path) {
        let (source, found) = (&timeline.sources[0], &timeline.found[0]);
        let mut remarks = Vec::new();
        if self.runs {
            self.remark_service(&mut remarks);
        }
        if self.runs && self.filter.as_ref().is_some_and(|filter| filter.trim().eq_ignore_ascii_case("off")) {
            let advice =
                "ttlog-view level PID info has it record again; TTLOG_LEVEL says what it records from its start on";
            remarks.push(Remark::problem("it records nothing: its level is off", advice));
        }
        if let Some(mode) = self.access.mode.filter(|mode| mode & 0o077 != 0) {
            let text = format!("other users can read or write it (mode {mode:04o})");
            remarks.push(Remark::problem(text, "chmod 600; recorders make rings with mode 0600"));
        }
        match links(metadata) {
            Some(0) => remarks.push(Remark::problem(
                "its file has lost its name: what it holds is gone with the process",
                "if the recorder finds a place, it moves the ring to a new file within a second; if not, take a \
                 snapshot of it (ttlog-view snapshot PID), and find out who removes files there",
            )),
            Some(1) if is_elsewhere(reach) => remarks.push(Remark::problem(
                "its file is not at its path: no other process will find it there",
                "if the recorder finds a place, it moves the ring to a new file within a second; if not, take a \
                 snapshot of it (ttlog-view snapshot PID), and find out what is mounted over it",
            )),
            Some(2..) => remarks.push(Remark::problem(
                "its file has another name, too (a hard link): recorders do not recover such rings",
                "remove the link that is not from the recorder",
            )),
            _ => {}
        }
        if found.is_damaged(source) {
            let places = counted((source.damage.len() + found.damage.len()) as u64, "damaged place");
            let text = format!("{places}, {} lost to damage", counted(found.damaged_events, "event"));
            remarks.push(Remark::problem(text, "ttlog-view verify shows what is lost, and where"));
        }
        for (((_, reason), count), advice) in crate::render::DROP_REASONS.iter().zip(self.dropped).zip(DROP_ADVICE) {
            if count > 0 {
                remarks.push(Remark::problem(format!("{} dropped ({reason})", counted(count, "event")), advice));
            }
        }
        if let Some(covered) = self.covered_ns.filter(|covered| *covered < self.min_age_ns) {
            let factor = u128::from(self.min_age_ns).div_ceil(u128::from(covered.max(1)));
            let wanted = u64::try_from(u128::from(self.len_bytes) * factor).unwrap_or(u64::MAX);
            let text = format!("covers {}, and is to cover {}", duration(covered), duration(self.min_age_ns));
            let advice =
                format!("raise TTLOG_CAPACITY_BYTES to {} or so, or record less (ttlog-view level)", bytes(wanted));
            remarks.push(Remark::problem(text, advice));
        }
        self.remarks = remarks;
    }

    /// Adds the remarks about a running process.
    fn remark_service(&self, remarks: &mut Vec<Remark>) {
        let state = self.local_pid.and_then(|pid| Some((pid, state_of(pid)?)));
        match (state, self.heartbeat_age_ns) {
            (Some((pid, 'T' | 't')), _) => {
                let advice = format!("kill -CONT {pid} resumes it; ttlog-view snapshot {pid} works meanwhile");
                remarks.push(Remark::problem("the process is stopped", advice));
            }
            (_, Some(age)) if age > HEARTBEAT_MAX_NS => {
                let text = format!("the recorder's service thread last ran {} ago", duration(age));
                let advice = "events are recorded, but there are no snapshots, no new anchors and no changes of the \
                              level until the process restarts; ttlog-view snapshot works";
                remarks.push(Remark::problem(text, advice));
            }
            _ => {}
        }
    }
}

/// Returns whether a file was reached as one that a process has open, because its own path does not lead to it.
fn is_elsewhere(reach: &Path) -> bool {
    let mut parts = reach.strip_prefix("/proc").into_iter().flatten();
    parts.nth(1).is_some_and(|part| part == "fd" || part == "map_files")
}

/// Returns the number of names of a file; `None` if unknown on this system.
#[cfg(unix)]
fn links(metadata: &std::fs::Metadata) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::nlink(metadata))
}

#[cfg(not(unix))]
fn links(_metadata: &std::fs::Metadata) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_files_are_not_at_their_paths() {
        for (reach, expected) in [
            ("/proc/17/fd/3", true),
            ("/proc/17/map_files/7f00-7f10", true),
            ("/proc/17/root/dev/shm/ttlog-0/a.ring", false),
            ("/dev/shm/ttlog-0/a.ring", false),
            ("fd/fd", false),
        ] {
            assert_eq!(is_elsewhere(Path::new(reach)), expected, "{reach}");
        }
    }
}
