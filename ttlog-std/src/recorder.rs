//! The handle with which a program controls the recorder of its process.

use std::fmt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ttlog_core::event::start_epoch;
use ttlog_core::recorder::plugin::PluginHandle;
use ttlog_core::{Filter, FilterError, Level, Loss};

use crate::event::plugin;
use crate::memory::ring_file::RingFile;
#[cfg(unix)]
use crate::service::hand_over::{HandOverError, hand_over_to};
use crate::service::settle::settle;
use crate::snapshot::error::SnapshotError;
use crate::snapshot::ticket::SnapshotTicket;
use crate::state::window::Window;
use crate::state::{self, State};
#[cfg(unix)]
use crate::sys::User;
use crate::sys::report;

/// Longest time that [`Recorder::shutdown`] waits for accepted snapshots.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// A handle to this process's recorder.
///
/// There is one recorder in a process, and it records until [`shutdown`](Recorder::shutdown) or the end of the process:
/// handles are cheap to clone, and dropping them changes nothing. A process that ends without `shutdown` leaves its
/// ring behind on purpose; the next start of any recorder of this user, or `ttlog-view recover`, turns it into a
/// snapshot.
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
    /// `None` for the handle of a recorder that could not be created.
    state: Option<&'static State>,
}

impl Recorder {
    /// Returns a handle to the existing recorder, if there is one.
    #[must_use]
    pub fn current() -> Option<Recorder> {
        let recorder = state::current().map(Recorder::of);
        recorder.as_ref().and_then(Recorder::state);
        recorder
    }

    /// Returns the recorder, with everything that belongs to it in this process.
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

    /// Requests a snapshot from the service thread. Returns immediately.
    ///
    /// Dropping the ticket changes nothing; [`wait`](SnapshotTicket::wait) on it returns the path. The snapshot
    /// contains at least everything that was recorded before this call and not overwritten since. `reason` goes into
    /// the snapshot unchanged, and into the file's name with everything except ASCII letters, digits, `.`, `_` and `-`
    /// replaced. All requests that wait when a snapshot begins get the same one, with the reasons of all; the next
    /// begins [`snapshot_throttle`](crate::Builder::snapshot_throttle) later.
    ///
    /// If the channel is full of waiting requests, the ticket fails with [`SnapshotError::QueueFull`].
    pub fn request_snapshot(&self, reason: &str) -> SnapshotTicket {
        match self.state() {
            Some(state) if !state.process().is_in_fork() => state.process().queue.request(reason),
            _ => SnapshotTicket::failed(SnapshotError::NoServiceThread),
        }
    }

    /// Returns the share of the ring that holds events, 0 to 1. It stays near 1 once the ring has been filled: from
    /// then on the oldest events are overwritten, as intended.
    #[doc(alias = "get_buffer_utilization")]
    #[must_use]
    pub fn utilization(&self) -> f64 {
        self.state().map_or(0.0, |state| state.ring.utilization())
    }

    /// Returns the same as [`utilization`](Self::utilization); the original name of that method.
    #[must_use]
    pub fn get_buffer_utilization(&self) -> f64 {
        self.utilization()
    }

    /// Applies filter directives from now on; every callsite follows them at its next event. Events compiled out by the
    /// `max_level_…` features stay out.
    ///
    /// A directive is a level (`trace`, `debug`, `info`, `warn`, `error`) or `off`, for everything that no other
    /// directive names, or `target=level`, for that target (the module path, unless the event sets another) and
    /// everything below it. The longest target wins; of several equal ones, the last. If no directive covers the rest,
    /// the rest is recorded. A dash also matches an underscore, so that `my-crate=debug`, the name of a package, covers
    /// the module path `my_crate`. At most 512 bytes.
    ///
    /// `ttlog-view level PID DIRECTIVES` does the same from outside: within 100 ms, unless a snapshot is being written.
    ///
    /// Waits at most for other callers of this function. Not for signal handlers.
    ///
    /// # Errors
    /// [`FilterError`] if the directives are invalid; the filter is then unchanged.
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

    /// Returns the directives in force; `off` without a recorder.
    #[must_use]
    pub fn filter(&self) -> String {
        let text = |state: &State| state.filter.with(|filter| filter.text().to_owned());
        match self.state() {
            // There is none only during a storm of changes.
            Some(state) => text(state).unwrap_or_else(|| Filter::EVERYTHING.text().to_owned()),
            None => "off".to_owned(),
        }
    }

    /// Records events of `level` and above from now on, whatever their target: a [`set_filter`](Self::set_filter) with
    /// only this level.
    pub fn set_level(&self, level: Level) {
        // A level is a valid directive.
        let _ = self.set_filter(&level.as_str().to_ascii_lowercase());
    }

    /// Returns the lowest recorded level of targets that no directive of the [filter](Self::filter) names; also
    /// [`Level::Error`] if none of their events is recorded.
    #[must_use]
    pub fn level(&self) -> Level {
        let lowest = |state: &State| state.filter.with(|filter| filter.default_level()).flatten();
        self.state().and_then(lowest).unwrap_or(Level::Error)
    }

    /// Returns the handle with which a plugin logs into this recorder: see [`attach`](ttlog_core::recorder::plugin::attach). In a
    /// process without a recorder, plugins record nothing with the handle.
    #[must_use]
    pub fn plugin_handle(&self) -> PluginHandle {
        self.state.map_or(PluginHandle::off(), |_| plugin::handle())
    }

    /// Returns the losses so far: overwritten, dropped, suppressed.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.state().map_or(Loss::default(), |state| state.ring.loss())
    }

    /// Returns the path of the ring's file, or `None` if the ring, or a part of it since somebody truncated the file,
    /// is in memory and will not outlive the process.
    ///
    /// The path changes if somebody removes the file: within a second the ring has a new one.
    #[must_use]
    pub fn ring_path(&self) -> Option<&Path> {
        self.state().filter(|state| state.outlives()).and_then(|state| state.process().file()).map(|file| file.path)
    }

    /// Returns how far back the ring currently reaches without a gap. Takes a few hundred loads; never waits.
    #[must_use]
    pub fn window(&self) -> Window {
        self.state().map_or(Window::default(), |state| Window::of(&state.ring, &state.clock, state.settings.min_age))
    }

    /// Returns the size of the ring in bytes, including its table of callsites.
    #[must_use]
    pub fn ring_len_bytes(&self) -> usize {
        self.state().map_or(0, |state| state.ring.len_bytes())
    }

    /// Returns whether events are being recorded: `false` after [`shutdown`](Self::shutdown), and if nothing could be
    /// set up.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.state().is_some_and(State::is_recording)
    }

    /// Prepares for the process to become another user: what it will create later, and the ring, are this user's from
    /// now on. For programs that start with more rights than they keep.
    ///
    /// Call it with the old rights, before `setgid` and `setuid`; the chapter [files](crate::_documentation::files) has
    /// the order. Without it, recording goes on and nothing is lost, but children of `fork` might have their rings in
    /// memory only, the new user cannot read the ring from outside, and snapshots fail if their directory is not open
    /// to all.
    ///
    /// - The ring's file becomes the user's, and moves to where a recorder of this user would have put it: see
    ///   [`ring_path`](Self::ring_path). Children of `fork` have theirs beside it.
    /// - If the user cannot create files in the directory of the snapshots, they go to `ttlog-<uid>` in it. In a
    ///   directory that stays, the snapshots of this service become the user's, as far as they were the present one's.
    /// - Rings that an earlier run has left in the new directory are recovered once the process has become this user.
    ///
    /// In a child of `fork` this concerns the child's ring and those of its own children; earlier snapshots stay the
    /// old user's. A recorder whose ring is on the heap has only snapshots to hand over. Access control lists and
    /// supplementary groups are not taken into account.
    ///
    /// Waits for other callers, and up to two seconds for the recovery of rings of the old user.
    ///
    /// # Errors
    /// [`HandOverError`]: what could not be handed over, for lack of rights (`CAP_CHOWN`) or because a directory
    /// belongs to a third user. The rest has been handed over, and recording goes on.
    ///
    /// # Examples
    /// ```no_run
    /// # fn give_up_privileges(uid: u32, gid: u32) {}
    /// let recorder = ttlog_std::Recorder::init(100_000, 100, "shop");
    /// // Bind ports, read keys ... then:
    /// recorder.hand_over(1000, 1000)?;
    /// give_up_privileges(1000, 1000); // setgroups, setgid, setuid
    /// # Ok::<(), ttlog_std::HandOverError>(())
    /// ```
    #[cfg(unix)]
    pub fn hand_over(&self, uid: u32, gid: u32) -> Result<(), HandOverError> {
        match self.state() {
            Some(state) => hand_over_to(state, User { uid, gid }),
            None => Ok(()),
        }
    }

    /// Ends recording cleanly: no more events are accepted, requested snapshots are finished, the ring is marked as
    /// ended and its file removed. Returns `true` if all of that succeeded.
    ///
    /// Waits for the snapshots, but no longer than 10 seconds; if that is not enough, the ring's file stays, for the
    /// next start to recover. A child of `fork` ends only its own recording. Recording cannot be restarted in this
    /// process. A program that wants its last events must request a snapshot first.
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
            // Removed by an earlier call, or by somebody else.
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
