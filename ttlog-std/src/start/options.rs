//! The options of the [`Builder`], one method each. They are stored in [`settings`](crate::config::settings);
//! [`environment`](crate::config::environment) has the variables that override them.

use std::path::PathBuf;
use std::time::Duration;

use ttlog_core::Level;

use super::builder::{Builder, EVENT_LEN};
use crate::config::settings::{FatalSignals, RingFileChoice, SnapshotSignal};
// For the documentation.
#[cfg(doc)]
use crate::config::settings::{CAPACITY_BYTES_MAX, CAPACITY_BYTES_MIN, CHANNEL_CAPACITY_MAX};

impl Builder {
    /// Sets the name of the ring and its snapshots; default: the name of the executable. Any text is accepted: in file
    /// names everything except ASCII letters, digits, `.`, `_` and `-` becomes `_`, and at most 64 characters are kept.
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.settings.service = Some(name.into());
        self
    }

    /// Sets the capacity for events in bytes, [`CAPACITY_BYTES_MIN`] to [`CAPACITY_BYTES_MAX`]. It is rounded up to
    /// whole segments, and does not include the table of callsites.
    ///
    /// Default: 16 MiB, but at most a 16th of the memory that the process can have (by the machine and its cgroups), a
    /// quarter of the ring's file system, and no more than leaves half of that file system's free room and three
    /// quarters of the free memory. A capacity that is set is used as it is, unless it is memory and more than half of
    /// what is free of it: then a quarter of that is used, with a warning.
    pub fn capacity_bytes(mut self, capacity_bytes: usize) -> Self {
        self.settings.capacity_bytes = Some(capacity_bytes);
        self
    }

    /// Sets the capacity for events of each child of `fork` in bytes, [`CAPACITY_BYTES_MIN`] to
    /// [`CAPACITY_BYTES_MAX`], and at most that of the first process. Default: the same as that of the first process,
    /// but at most a 64th of [`children_bytes`](Self::children_bytes).
    pub fn child_capacity_bytes(mut self, capacity_bytes: usize) -> Self {
        self.settings.child_capacity_bytes = Some(capacity_bytes);
        self
    }

    /// Sets how many bytes the ring files of all children of `fork` can take together, including those of dead
    /// children that are not snapshots yet. Default: a 16th of the memory that the process can have (by the machine and
    /// its cgroups), and at most a quarter of the ring's file system.
    ///
    /// When little is left, further rings are smaller. When nothing is left, they are in memory, with one warning.
    pub fn children_bytes(mut self, bytes: usize) -> Self {
        self.settings.children_bytes = Some(bytes);
        self
    }

    /// Sets the same as [`capacity_bytes`](Self::capacity_bytes), under the name that matches
    /// [`min_age`](Self::min_age).
    pub fn max_bytes(self, max_bytes: usize) -> Self {
        self.capacity_bytes(max_bytes)
    }

    /// Sets how many bytes of the capacity are reserved for events of level warn and error, so that a flood of events
    /// of lower levels cannot evict them: 0 (they share the room of all) to half of the capacity; default an eighth, or
    /// 0 if the ring has fewer than 16 segments. It is rounded up to whole segments, at least two.
    pub fn priority_bytes(mut self, priority_bytes: usize) -> Self {
        self.settings.priority_bytes = Some(priority_bytes);
        self
    }

    /// Sets the capacity as a number of events of 40 bytes each.
    pub fn event_capacity(self, event_capacity: usize) -> Self {
        self.capacity_bytes(event_capacity.saturating_mul(EVENT_LEN))
    }

    /// Sets how many snapshot requests can wait, 1 to [`CHANNEL_CAPACITY_MAX`]; default 64. Only waiting requests use
    /// memory.
    pub fn channel_capacity(mut self, channel_capacity: usize) -> Self {
        self.settings.channel_capacity = channel_capacity;
        self
    }

    /// Sets the bytes of a segment: 512 to 65,536, and at most a quarter of the capacity, rounded down to a multiple of
    /// 8. Default: a 256th of the capacity, 4 to 64 KiB. A thread takes a segment at a time, so small segments suit
    /// many threads, and large ones large events: no event can be longer than a segment.
    pub fn segment_bytes(mut self, segment_bytes: usize) -> Self {
        self.settings.segment_bytes = Some(segment_bytes);
        self
    }

    /// Sets the bytes of the table of callsites: 4 KiB to 64 MiB, rounded down to a multiple of 8. Default: a 16th of
    /// the capacity, 64 KiB to 4 MiB. A callsite takes about 150 bytes; events of callsites that do not fit are dropped
    /// and counted.
    pub fn table_bytes(mut self, table_bytes: usize) -> Self {
        self.settings.table_bytes = Some(table_bytes);
        self
    }

    /// Sets the directory of the ring file, which is then the only one that is tried. Default: `/dev/shm/ttlog-<uid>`,
    /// or if that cannot be used, `ttlog-<uid>` in the temp directory. It is created if missing, with mode 0700. In a
    /// directory that others can write to, or that belongs to another user, a directory `ttlog-<uid>` is used instead.
    /// A path that is itself a symbolic link is refused, because somebody else might have placed it.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.directory = Some(directory.into());
        self
    }

    /// Sets the directory of snapshots. Default: the temp directory. It is created if missing, with mode 0700.
    pub fn snapshot_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.snapshot_directory = Some(directory.into());
        self
    }

    /// Sets the lowest recorded level; default [`Level::Trace`]: everything. The same as a [`filter`](Self::filter)
    /// with only this level.
    pub fn level(self, level: Level) -> Self {
        self.filter(level.as_str().to_ascii_lowercase())
    }

    /// Sets which events are recorded, by directives such as `info,my_crate::net=debug,other=off`: see
    /// [`Recorder::set_filter`](crate::Recorder::set_filter), which can change it later. At most 512 bytes.
    pub fn filter(mut self, directives: impl Into<String>) -> Self {
        self.settings.filter = directives.into();
        self
    }

    /// Makes events read a clock that a thread updates every millisecond, instead of the processor's; default `false`.
    /// It saves most of the cost of an event and gives times with a resolution of 1 ms; the order within a thread is
    /// kept.
    pub fn coarse_clock(mut self, coarse: bool) -> Self {
        self.settings.coarse_clock = coarse;
        self
    }

    /// Sets whether a thread that is renamed after its first event has its new name from the next segment on; default
    /// `true`.
    ///
    /// A log call then asks the operating system for the name when it opens a segment, once per thousands of events;
    /// it makes no other system call after the first event of its thread. With `false` it makes none at all, as a
    /// thread needs whose seccomp filter ends the process for `prctl(PR_GET_NAME)`.
    pub fn thread_renames(mut self, follow: bool) -> Self {
        self.settings.thread_renames = follow;
        self
    }

    /// Sets whether a panic is recorded as an event and followed by a snapshot, before the previous panic hook runs;
    /// default `true`.
    pub fn panic_hook(mut self, install: bool) -> Self {
        self.settings.panic_hook = install;
        self
    }

    /// Sets whether the backtrace of a panic is recorded, whatever the value of `RUST_BACKTRACE`; default `true`.
    /// Formatting it takes milliseconds, and longer with large debug information.
    pub fn panic_backtrace(mut self, capture: bool) -> Self {
        self.settings.panic_backtrace = capture;
        self
    }

    /// Sets whether rings that dead processes of this user left in the directory are turned into snapshots; default
    /// `true`. The service thread does this after the start.
    pub fn recover_orphans(mut self, recover: bool) -> Self {
        self.settings.recover_orphans = recover;
        self
    }

    /// Sets whether SIGBUS gets a handler that keeps the process running when somebody truncates the ring's file, where
    /// the next event would otherwise end it; default `true`.
    ///
    /// The handler deals only with faults in the ring. All others are passed to the previous handler, as if this one
    /// did not exist; a handler that is installed later should do the same. A thread that blocks SIGBUS is not
    /// protected.
    pub fn fault_handler(mut self, install: bool) -> Self {
        self.settings.fault_handler = install;
        self
    }

    /// Sets whether the ring is in a file; default [`RingFileChoice::Preferred`].
    pub fn ring_file(mut self, choice: RingFileChoice) -> Self {
        self.settings.ring_file = choice;
        self
    }

    /// Sets which signals that end the process are recorded in the ring, so that a reader can determine how the process
    /// ended; default [`FatalSignals::All`].
    ///
    /// The handlers record the signal and pass it on to the previous handler, or to the system, so that the process
    /// ends as it would have. Termination signals that the program handles or ignores at the start are left alone, and
    /// so are all of them in process 1 of a container, which the system protects from being ended by them.
    pub fn fatal_signals(mut self, signals: FatalSignals) -> Self {
        self.settings.fatal_signals = signals;
        self
    }

    /// Sets how far back the ring should reach, 100 ms to 366 days; default: as far as it does. Older events are left
    /// out of snapshots, and a ring that reaches less far is reported. The ring itself does not grow: set the bytes it
    /// needs with [`capacity_bytes`](Self::capacity_bytes).
    pub fn min_age(mut self, age: Duration) -> Self {
        self.settings.min_age = Some(age);
        self
    }

    /// Makes the recorder take a snapshot at this interval, 100 ms to 366 days; default: none.
    pub fn snapshot_every(mut self, interval: Duration) -> Self {
        self.settings.snapshot_every = Some(interval);
        self
    }

    /// Makes the recorder take a snapshot after an event of this level or above, [`Level::Warn`] or [`Level::Error`];
    /// default: none.
    pub fn snapshot_on_level(mut self, level: Level) -> Self {
        self.settings.snapshot_on_level = Some(level);
        self
    }

    /// Makes the recorder take a snapshot when the process gets this signal; default: none, and no handler.
    pub fn snapshot_on_signal(mut self, signal: SnapshotSignal) -> Self {
        self.settings.snapshot_on_signal = Some(signal);
        self
    }

    /// Makes the recorder take a snapshot whenever this share of the ring, 0.1 to 1, was written since the last one, so
    /// that events are on disk before they are overwritten; default: none.
    pub fn snapshot_when_filled(mut self, share: f64) -> Self {
        self.settings.snapshot_when_filled = Some(share);
        self
    }

    /// Sets the least time between two snapshots, 0 to 366 days; default 1 s. Requests in the meantime are answered by
    /// the next one.
    pub fn snapshot_throttle(mut self, interval: Duration) -> Self {
        self.settings.snapshot_throttle = interval;
        self
    }

    /// Sets how many snapshots of this service are kept in the snapshot directory, including those of earlier runs, 1
    /// or more; default 32. The oldest are removed first.
    pub fn retain_count(mut self, count: usize) -> Self {
        self.settings.retain_count = count;
        self
    }

    /// Sets how many bytes the snapshots of this service can take; default 1 GiB. The newest always stays.
    pub fn retain_bytes(mut self, bytes: u64) -> Self {
        self.settings.retain_bytes = bytes;
        self
    }

    /// Sets the largest age of snapshots of this service, 100 ms to 366 days; default: no limit. The newest always
    /// stays.
    pub fn retain_age(mut self, age: Duration) -> Self {
        self.settings.retain_age = Some(age);
        self
    }

    /// Sets the share of the snapshots' disk that stays free, 0 to 90 percent; default 15. Old snapshots of this
    /// service are removed for that; if that is not enough, no snapshot is written.
    pub fn retain_free_percent(mut self, percent: u8) -> Self {
        self.settings.retain_free_percent = percent;
        self
    }

    /// Adds names of fields whose values are withheld from snapshots, to the built-in ones (`password`, `token`,
    /// `cookie` and the like) and to those of the environment. A field matches if its name, or the end of its name
    /// after `.`, `_` or `-`, is one of them, ignoring case. `order.customer.card` is a member of the field `order`.
    pub fn secret_keys(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.settings.secret_keys.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Sets whether values of secret fields are withheld from snapshots; default `true`. The ring always contains them.
    pub fn withhold_secrets(mut self, withhold: bool) -> Self {
        self.settings.withhold_secrets = withhold;
        self
    }

    /// Makes the builder ignore the environment: the options are as set by the program, whatever the values of `TTLOG`
    /// and the `TTLOG_*` variables.
    pub fn ignore_environment(mut self) -> Self {
        self.ignore_environment = true;
        self
    }
}
