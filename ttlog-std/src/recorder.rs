//! The handle by which a program steers the recorder of its process.

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ttlog_core::callsite::start_epoch;
use ttlog_core::plugin::PluginHandle;
use ttlog_core::{Filter, FilterError, Level, Loss};

use crate::event::plugin;
use crate::memory::ring_file::RingFile;
use crate::service::settle::settle;
use crate::snapshot::error::SnapshotError;
use crate::snapshot::ticket::SnapshotTicket;
use crate::state::window::Window;
use crate::state::{self, State};
use crate::sys::report;

/// How long [`Recorder::shutdown`] waits for snapshots that were accepted.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// The handle of this process's recorder.
///
/// There is one recorder in a process, and it records until [`shutdown`](Recorder::shutdown) or the end of the
/// process: handles are cheap to clone, and dropping them changes nothing. A process that ends without `shutdown`
/// leaves its ring behind on purpose; the next start of any recorder of this user, or `ttlog-view recover`, makes a
/// snapshot of it.
///
/// # Examples
/// ```
/// use ttlog_std::{Recorder, info};
///
/// let recorder = Recorder::init(100_000, 100, "shop");
/// info!("order executed", symbol = "ACME", quantity = 5_u64);
/// let snapshot = recorder.request_snapshot("checkpoint").wait();
/// # let _ = std::fs::remove_file(snapshot?);
/// # assert!(recorder.shutdown());
/// # Ok::<(), ttlog_std::SnapshotError>(())
/// ```
#[derive(Clone)]
pub struct Recorder {
    /// `None` for the handle of a recorder that could not be made.
    state: Option<&'static State>,
}

impl Recorder {
    /// Returns a handle of the recorder that is there, if there is one.
    #[must_use]
    pub fn current() -> Option<Recorder> {
        let recorder = state::current().map(Recorder::of);
        recorder.as_ref().and_then(Recorder::state);
        recorder
    }

    /// Returns the recorder, with all that belongs to it in this process.
    fn state(&self) -> Option<&'static State> {
        self.state.inspect(|state| settle(state))
    }

    /// Returns the handle of a process without a recorder.
    pub(crate) fn off() -> Recorder {
        Recorder { state: None }
    }

    pub(crate) fn of(state: &'static State) -> Recorder {
        Recorder { state: Some(state) }
    }

    /// Asks the service thread for a snapshot. Returns at once.
    ///
    /// Dropping the ticket changes nothing; [`wait`](SnapshotTicket::wait) on it gives the path. The snapshot holds at
    /// least everything that was recorded before this call and not overwritten since. `reason` goes into the snapshot
    /// as it is, and into the file's name with everything but ASCII letters, digits, `.`, `_` and `-` replaced. All
    /// who wait when a snapshot begins get the same one, with the reasons of all; the next begins
    /// [`snapshot_throttle`](crate::Builder::snapshot_throttle) later.
    ///
    /// When as many requests are waiting as the channel has room for, the ticket fails with
    /// [`SnapshotError::QueueFull`].
    pub fn request_snapshot(&self, reason: &str) -> SnapshotTicket {
        match self.state() {
            Some(state) if !state.process().is_in_fork() => state.process().queue.request(reason),
            _ => SnapshotTicket::failed(SnapshotError::NoServiceThread),
        }
    }

    /// Returns the share of the ring that holds events, 0 to 1. It stays near 1 once the ring has been filled: then
    /// the oldest events are overwritten, which is what a ring is for.
    #[doc(alias = "get_buffer_utilization")]
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.state().map_or(0.0, |state| state.ring.utilization())
    }

    /// The same as [`utilization`](Self::utilization), under its first name.
    #[must_use]
    pub fn get_buffer_utilization(&self) -> f64 {
        self.utilization()
    }

    /// Records what these directives say from now on; every callsite knows at its next event. Events compiled out by
    /// the `max_level_…` features stay out.
    ///
    /// A directive is a level (`trace`, `debug`, `info`, `warn`, `error`) or `off`, for all that no other directive
    /// names, or `target=level`, for that target (the module path, if the event does not say otherwise) and all below
    /// it. The longest target wins, of several equal ones the last. Without a directive for the rest, the rest is
    /// recorded. At most 512 bytes.
    ///
    /// The same can be done from outside, with `ttlog-view level PID DIRECTIVES`: within 100 ms, unless a snapshot is
    /// being written.
    ///
    /// Waits for other callers of this function at most. Not for signal handlers.
    ///
    /// # Errors
    /// [`FilterError`] if the directives are no good; the filter stays as it was.
    ///
    /// # Examples
    /// ```
    /// # let recorder = ttlog_std::Recorder::init(1000, 10, "example");
    /// recorder.set_filter("info,my_crate::net=debug,other=off")?;
    /// assert_eq!(recorder.filter(), "info,my_crate::net=debug,other=off");
    /// assert!(recorder.set_filter("info,my_crate=loud").is_err());
    /// # recorder.shutdown();
    /// # Ok::<(), ttlog_std::FilterError>(())
    /// ```
    pub fn set_filter(&self, directives: &str) -> Result<(), FilterError> {
        let filter = Filter::parse(directives)?;
        if let Some(state) = self.state() {
            state.set_filter(filter);
        }
        Ok(())
    }

    /// Returns the directives that are in force; `off` without a recorder.
    #[must_use]
    pub fn filter(&self) -> String {
        let text = |state: &State| state.filter.with(|filter| filter.text().to_owned());
        match self.state() {
            // Only a storm of changes gives none.
            Some(state) => text(state).unwrap_or_else(|| Filter::EVERYTHING.text().to_owned()),
            None => "off".to_owned(),
        }
    }

    /// Records events of `level` and above from now on, of whatever target: a [`set_filter`](Self::set_filter) of this
    /// level alone.
    pub fn set_level(&self, level: Level) {
        // A level is a good directive.
        let _ = self.set_filter(&level.as_str().to_ascii_lowercase());
    }

    /// Returns the lowest level that is recorded of targets that no directive of the [filter](Self::filter) names;
    /// [`Level::Error`] too where that is none.
    #[must_use]
    pub fn level(&self) -> Level {
        let lowest = |state: &State| state.filter.with(|filter| filter.default_level()).flatten();
        self.state().and_then(lowest).unwrap_or(Level::Error)
    }

    /// Returns what a plugin needs to log into this recorder: see [`attach`](ttlog_core::plugin::attach). A process
    /// without a recorder gives a handle with which plugins record nothing.
    #[must_use]
    pub fn plugin_handle(&self) -> PluginHandle {
        self.state.map_or(PluginHandle::off(), |_| plugin::handle())
    }

    /// Returns what was lost so far: overwritten, dropped, suppressed.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.state().map_or(Loss::default(), |state| state.ring.loss())
    }

    /// Returns the file in which the ring is; `None` when it is in memory, or a part of it since somebody cut the file
    /// short, and will not outlive the process.
    #[must_use]
    pub fn ring_path(&self) -> Option<&Path> {
        self.state().filter(|state| !state.is_cut()).and_then(|state| state.process().file()).map(|file| file.path)
    }

    /// Returns how far back the ring reaches without a gap, just now. Takes some hundred loads; waits for nothing.
    #[must_use]
    pub fn window(&self) -> Window {
        self.state().map_or(Window::default(), |state| Window::of(&state.ring, &state.clock, state.settings.min_age))
    }

    /// Returns the bytes that the ring occupies, its table of callsites included.
    #[must_use]
    pub fn ring_len_bytes(&self) -> usize {
        self.state().map_or(0, |state| state.ring.len_bytes())
    }

    /// Returns whether events are being recorded: `false` after [`shutdown`](Self::shutdown), and when nothing could
    /// be set up.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.state().is_some_and(State::is_recording)
    }

    /// Ends recording in good order: no more events, snapshots that were asked for are finished, the ring is marked as
    /// ended and its file removed. `true` if all that is done.
    ///
    /// Waits for the snapshots, but no longer than 10 seconds; when that is not enough the ring's file stays, for the
    /// next start to recover. A child of `fork` ends its own recording only. Recording cannot be started again in this
    /// process. A program that wants its last events must ask for a snapshot first.
    pub fn shutdown(&self) -> bool {
        let Some(state) = self.state() else { return true };
        if state.process().is_in_fork() {
            return false;
        }
        state.ended.store(true, Ordering::SeqCst);
        start_epoch();
        if !state.process().queue.stop(SHUTDOWN_MAX) {
            report::warn(format_args!("shut down while a snapshot was being written; the ring's file stays"));
            return false;
        }
        crate::clock::stop_coarse();
        state.write_anchor();
        state.report_cut();
        state.ring.mark_ended();
        match state.process().file().map(RingFile::remove) {
            None | Some(Ok(())) => true,
            // Removed by an earlier call, or by somebody who tidied up.
            Some(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => true,
            Some(Err(error)) => {
                report::warn(format_args!("cannot remove the ring's file {:?}: {error}", self.ring_path()));
                false
            }
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            Some(state) => f
                .debug_struct("Recorder")
                .field("service", &state.service_name)
                .field("ring_path", &self.ring_path())
                .field("filter", &self.filter())
                .finish_non_exhaustive(),
            None => f.write_str("Recorder(not recording)"),
        }
    }
}
