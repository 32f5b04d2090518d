//! Recovers the ring and compares its events with the worker's own count.

use std::fmt;
use std::path::{Path, PathBuf};

use ttlog_core::{Item, RingImage, SegmentState};
use ttlog_read::query::{Keep, Query};
use ttlog_read::source::device::load::Firmwares;
use ttlog_read::source::{Inputs, Source};
use ttlog_read::text::number::grouped;
use ttlog_read::timeline::Timeline;
use ttlog_view::Outcome;
use ttlog_view::command::options::SecretArgs;
use ttlog_view::command::recover;
use ttlog_view::command::recover::Recover;

use crate::kill::Death;
use crate::place::Place;
use crate::worker::SERVICE;

/// Turns the ring of the dead worker into a snapshot in `snapshots`, as `ttlog-view recover` does, and returns its
/// path.
pub(crate) fn recover(run: &Place, pid: u32, snapshots: &Path) -> Result<PathBuf, String> {
    let options = Recover {
        directory: run.path().to_path_buf(),
        output: Some(snapshots.to_path_buf()),
        remove: false,
        secrets: SecretArgs::default(),
    };
    let mut output = Vec::new();
    let outcome = recover::run(&options, &mut output).map_err(|error| error.to_string())?;
    let output = String::from_utf8_lossy(&output);
    if outcome != Outcome::Good {
        return Err(format!("the ring could not be recovered into {}", snapshots.display()));
    }
    // The name ends in a time, so the greatest is the latest if an earlier process had the same number.
    let (start, end) = (format!("ttlog-{SERVICE}-{pid}-"), "-recovered.bin");
    let names = std::fs::read_dir(snapshots).map_err(|error| format!("{}: {error}", snapshots.display()))?;
    names
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| name.to_str().is_some_and(|name| name.starts_with(&start) && name.ends_with(end)))
        .max()
        .map(|name| snapshots.join(name))
        .ok_or_else(|| {
            format!("there is no snapshot in {}; output of the recovery: {}", snapshots.display(), output.trim())
        })
}

/// Counts of the worker and of its ring.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Log calls that returned.
    pub(crate) counted: u64,
    /// Threads, each of which may have recorded one event that it did not count yet.
    pub(crate) threads: u64,
    /// Events in the snapshot.
    pub(crate) retained: u64,
    /// Events replaced by newer ones, counted by the ring.
    pub(crate) overwritten: u64,
    /// Events refused, counted by the ring.
    pub(crate) dropped: u64,
    /// Errors apart from these figures.
    pub(crate) faults: Vec<String>,
}

impl Verdict {
    /// Whether every event is accounted for.
    pub(crate) fn holds(&self) -> bool {
        let sum = self.retained + self.overwritten + self.dropped;
        self.faults.is_empty() && (self.counted..=self.counted + self.threads).contains(&sum)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = grouped(self.retained + self.overwritten + self.dropped);
        let [counted, retained, overwritten, dropped, threads] =
            [self.counted, self.retained, self.overwritten, self.dropped, self.threads].map(grouped);
        let verdict = if self.holds() { "every event is accounted for" } else { "NOT ACCOUNTED FOR" };
        write!(
            f,
            "{verdict}: counted {counted} <= retained {retained} + overwritten {overwritten} + dropped {dropped} \
             = {sum} <= counted + {threads} threads"
        )
    }
}

/// Compares the snapshot, and its ring, with the worker's own count.
pub(crate) fn account(death: &Death, snapshot: &Path) -> Result<Verdict, String> {
    let inputs = Inputs::read(&[snapshot.to_string_lossy()], &Firmwares::default());
    if let Some(error) = inputs.errors.first() {
        return Err(error.clone());
    }
    let mut sources = Vec::new();
    for input in &inputs.read {
        sources.push(Source::new(input).map_err(|error| format!("{}: {error}", input.path))?);
    }
    let [_] = sources[..] else { return Err(format!("{} is not exactly one snapshot", snapshot.display())) };
    let query = Query { keep: Keep::Last(0), ..Query::default() };
    let timeline = Timeline::read(&sources, &query, &mut ());
    let (source, found) = (&sources[0], &timeline.found[0]);
    let mut verdict = Verdict {
        counted: death.counts.iter().sum(),
        threads: death.counts.len() as u64,
        retained: found.events,
        overwritten: source.loss.overwritten,
        dropped: source.loss.dropped_total(),
        faults: Vec::new(),
    };
    let damage = source.damage.iter().chain(&found.damage);
    verdict.faults.extend(damage.map(|damage| format!("snapshot, byte {}: {}", damage.offset, damage.reason)));
    if found.damaged_events > 0 {
        verdict.faults.push(format!("{} events are damaged", found.damaged_events));
    }
    let ring = std::fs::read(&death.ring).map_err(|error| format!("{}: {error}", death.ring.display()))?;
    let in_ring = events_in_ring(&ring).map_err(|error| format!("{}: {error}", death.ring.display()))?;
    if in_ring != verdict.retained {
        verdict.faults.push(format!("the ring holds {in_ring} events, the snapshot of it {}", verdict.retained));
    }
    Ok(verdict)
}

/// Counts the events in a ring directly.
fn events_in_ring(ring: &[u8]) -> Result<u64, ttlog_core::FormatError> {
    let image = RingImage::parse(ring)?;
    let segments = (0..image.header().segment_count).filter_map(|index| match image.segment(index) {
        SegmentState::Valid(segment) => Some(segment),
        _ => None,
    });
    Ok(segments.map(|segment| segment.items().filter(|item| matches!(item, Item::Event(_))).count() as u64).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_is_strict_on_both_sides() {
        let verdict = |retained| Verdict { counted: 100, threads: 4, overwritten: 60, retained, ..Verdict::default() };
        let good: Vec<u64> = (0..100).filter(|retained| verdict(*retained).holds()).collect();
        assert_eq!(good, [40, 41, 42, 43, 44]);
        assert!(!Verdict { faults: vec![String::new()], ..verdict(40) }.holds());
        assert!(verdict(39).to_string().starts_with("NOT ACCOUNTED FOR: counted 100 <= retained 39 + "));
    }
}
