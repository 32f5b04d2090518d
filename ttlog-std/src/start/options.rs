//! The options of the [`Builder`], a method each. What they become is in [`settings`](crate::config::settings), the
//! variables that override them in [`environment`](crate::config::environment).

use std::path::PathBuf;
use std::time::Duration;

use ttlog_core::Level;

use super::builder::{Builder, EVENT_LEN};
use crate::config::settings::{FatalSignals, RingFileChoice, SnapshotSignal};
// For the documentation.
#[cfg(doc)]
use crate::config::settings::{CAPACITY_BYTES_MAX, CAPACITY_BYTES_MIN, CHANNEL_CAPACITY_MAX};

impl Builder {
    /// Sets the name under which the ring and its snapshots are known; default: the name of the executable. Any text
    /// will do: in file names everything but ASCII letters, digits, `.`, `_` and `-` becomes `_`, and at most 64
    /// characters are kept.
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.settings.service = Some(name.into());
        self
    }

    /// Sets the room for events in bytes, [`CAPACITY_BYTES_MIN`] to [`CAPACITY_BYTES_MAX`]; default 16 MiB. It is
    /// rounded up to whole segments, and the table of callsites comes on top of it.
    pub fn capacity_bytes(mut self, capacity_bytes: usize) -> Self {
        self.settings.capacity_bytes = capacity_bytes;
        self
    }

    /// The same as [`capacity_bytes`](Self::capacity_bytes), under the name that goes with [`min_age`](Self::min_age).
    pub fn max_bytes(self, max_bytes: usize) -> Self {
        self.capacity_bytes(max_bytes)
    }

    /// Sets how many bytes of the capacity are for events of level warn and error alone, so that a flood of lesser
    /// ones cannot evict them: 0 (they share the room of all) to half of the capacity; default an eighth, or 0 where
    /// the ring has fewer than 16 segments. It is rounded up to whole segments, of which there are two at least.
    pub fn kept_bytes(mut self, kept_bytes: usize) -> Self {
        self.settings.kept_bytes = Some(kept_bytes);
        self
    }

    /// Sets the room for events as a count of events of 40 bytes each.
    pub fn event_capacity(self, event_capacity: usize) -> Self {
        self.capacity_bytes(event_capacity.saturating_mul(EVENT_LEN))
    }

    /// Sets how many snapshot requests may wait, 1 to [`CHANNEL_CAPACITY_MAX`]; default 64. Memory is used only by
    /// those that do wait.
    pub fn channel_capacity(mut self, channel_capacity: usize) -> Self {
        self.settings.channel_capacity = channel_capacity;
        self
    }

    /// Sets the bytes of a segment: 512 to 65,536, and a quarter of the capacity at most, rounded down to a multiple
    /// of 8. Default: a 256th of the capacity, 4 to 64 KiB. A thread takes a segment at a time, so small segments suit
    /// many threads, and large ones large events: no event can be longer than a segment.
    pub fn segment_bytes(mut self, segment_bytes: usize) -> Self {
        self.settings.segment_bytes = Some(segment_bytes);
        self
    }

    /// Sets the bytes of the table of callsites: 4 KiB to 64 MiB, rounded down to a multiple of 8. Default: a 16th of
    /// the capacity, 64 KiB to 4 MiB. A callsite takes about 150; events of callsites that find no room are dropped
    /// and counted.
    pub fn table_bytes(mut self, table_bytes: usize) -> Self {
        self.settings.table_bytes = Some(table_bytes);
        self
    }

    /// Sets the directory of the ring file, which is then the only one that is tried. Default: `/dev/shm/ttlog-<uid>`,
    /// or where that cannot be used, `ttlog-<uid>` in the temp directory. It is made if missing, with mode 0700. In a
    /// directory that others can write to, or that is not this user's, a directory `ttlog-<uid>` is used instead. One
    /// that is a symbolic link itself is refused, for somebody else may have laid it.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.directory = Some(directory.into());
        self
    }

    /// Sets the directory of snapshots. Default: the temp directory. It is made if missing, with mode 0700.
    pub fn snapshot_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.snapshot_directory = Some(directory.into());
        self
    }

    /// Sets the lowest level that is recorded; default [`Level::Trace`]: everything. The same as a
    /// [`filter`](Self::filter) of this level alone.
    pub fn level(self, level: Level) -> Self {
        self.filter(level.as_str().to_ascii_lowercase())
    }

    /// Sets which events are recorded, by directives such as `info,my_crate::net=debug,other=off`: see
    /// [`Recorder::set_filter`](crate::Recorder::set_filter), by which it can be changed. At most 512 bytes.
    pub fn filter(mut self, directives: impl Into<String>) -> Self {
        self.settings.filter = directives.into();
        self
    }

    /// Has events read a clock that a thread moves each millisecond, instead of the processor's; default `false`. It
    /// saves most of the cost of an event and gives times that are 1 ms coarse; the order within a thread is kept.
    pub fn coarse_clock(mut self, coarse: bool) -> Self {
        self.settings.coarse_clock = coarse;
        self
    }

    /// Sets whether a panic is recorded as an event and followed by a snapshot, before the panic hook that was there
    /// runs; default `true`.
    pub fn panic_hook(mut self, install: bool) -> Self {
        self.settings.panic_hook = install;
        self
    }

    /// Sets whether the event of a panic has a backtrace, whatever `RUST_BACKTRACE` says; default `true`. Making its
    /// text takes milliseconds, and longer where the debug information is large.
    pub fn panic_backtrace(mut self, capture: bool) -> Self {
        self.settings.panic_backtrace = capture;
        self
    }

    /// Sets whether rings that dead processes of this user left in the directory are made snapshots of; default
    /// `true`. It is done by the service thread, after the start.
    pub fn recover_orphans(mut self, recover: bool) -> Self {
        self.settings.recover_orphans = recover;
        self
    }

    /// Sets whether SIGBUS gets a handler that keeps the process going when somebody cuts the ring's file short, where
    /// the next event would end it otherwise; default `true`.
    ///
    /// The handler takes care of faults in the ring only. All others go to the handler that was there before, as if
    /// this one were not there; a handler that is installed later should do the same. A thread that blocks SIGBUS is
    /// not helped.
    pub fn fault_handler(mut self, install: bool) -> Self {
        self.settings.fault_handler = install;
        self
    }

    /// Sets whether the ring is in a file; default [`RingFileChoice::Preferred`].
    pub fn ring_file(mut self, choice: RingFileChoice) -> Self {
        self.settings.ring_file = choice;
        self
    }

    /// Sets which signals that end the process are noted in the ring, so that a reader can tell how the process ended;
    /// default [`FatalSignals::All`].
    ///
    /// The handlers note the signal and hand it on: to the handler that was there before, or to the system, so that
    /// the process ends as it would have. Termination signals that the program handles or ignores at the start are
    /// left alone, and so are all of them in process 1 of a container, which the system keeps from being ended by
    /// them.
    pub fn fatal_signals(mut self, signals: FatalSignals) -> Self {
        self.settings.fatal_signals = signals;
        self
    }

    /// Sets how far back the ring should reach, 100 ms to 366 days; default: as far as it does. What is older is left
    /// out of snapshots, and a ring that reaches less far says so. The ring itself does not grow: give it the bytes it
    /// needs with [`capacity_bytes`](Self::capacity_bytes).
    pub fn min_age(mut self, age: Duration) -> Self {
        self.settings.min_age = Some(age);
        self
    }

    /// Has a snapshot taken at this interval, 100 ms to 366 days; default: none.
    pub fn snapshot_every(mut self, interval: Duration) -> Self {
        self.settings.snapshot_every = Some(interval);
        self
    }

    /// Has a snapshot taken after an event of this level or above, [`Level::Warn`] or [`Level::Error`]; default: none.
    pub fn snapshot_on_level(mut self, level: Level) -> Self {
        self.settings.snapshot_on_level = Some(level);
        self
    }

    /// Has a snapshot taken when the process gets this signal; default: none, and no handler.
    pub fn snapshot_on_signal(mut self, signal: SnapshotSignal) -> Self {
        self.settings.snapshot_on_signal = Some(signal);
        self
    }

    /// Has a snapshot taken whenever this share of the ring, 0.1 to 1, was written since the last one, so that what is
    /// overwritten is on disk before; default: none.
    pub fn snapshot_when_filled(mut self, share: f64) -> Self {
        self.settings.snapshot_when_filled = Some(share);
        self
    }

    /// Sets the least time between two snapshots, 0 to 366 days; default 1 s. What asks for one meanwhile is answered
    /// by the next.
    pub fn snapshot_throttle(mut self, interval: Duration) -> Self {
        self.settings.snapshot_throttle = interval;
        self
    }

    /// Sets how many snapshots of this service are kept in the snapshot directory, those of earlier runs included, 1
    /// or more; default 32. The oldest are removed first.
    pub fn retain_count(mut self, count: usize) -> Self {
        self.settings.retain_count = count;
        self
    }

    /// Sets how many bytes the snapshots of this service may take; default 1 GiB. The newest stays in any case.
    pub fn retain_bytes(mut self, bytes: u64) -> Self {
        self.settings.retain_bytes = bytes;
        self
    }

    /// Sets how old snapshots of this service may become, 100 ms to 366 days; default: no limit. The newest stays in
    /// any case.
    pub fn retain_age(mut self, age: Duration) -> Self {
        self.settings.retain_age = Some(age);
        self
    }

    /// Sets the share of the snapshots' disk that stays free, 0 to 90 percent; default 15. Old snapshots of this
    /// service are removed for it, and when that is not enough no snapshot is written.
    pub fn retain_free_percent(mut self, percent: u8) -> Self {
        self.settings.retain_free_percent = percent;
        self
    }

    /// Adds names of fields whose values are withheld from snapshots, to the built-in ones (`password`, `token`,
    /// `cookie` and the like) and to those of the environment. A field is meant when its name, or the end of it after
    /// `.`, `_` or `-`, is one of them in any case.
    pub fn secret_keys(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.settings.secret_keys.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Sets whether values of secret fields are withheld from snapshots; default `true`. The ring has them in any case.
    pub fn withhold_secrets(mut self, withhold: bool) -> Self {
        self.settings.withhold_secrets = withhold;
        self
    }

    /// Has the environment left out of account: the options are as the program sets them, whatever `TTLOG` and the
    /// `TTLOG_*` variables say.
    pub fn ignore_environment(mut self) -> Self {
        self.ignore_environment = true;
        self
    }
}
