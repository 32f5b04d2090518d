//! The recorder: the one of this process, and [`Trace`], the handle by which the program steers it.
//!
//! [`RecorderInner`] is made once, by the [builder](crate::Builder), and never freed: threads write into its ring until the
//! process ends. The log macros find it through [`recorder`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::Duration;

use ttlog_core::callsite::start_epoch;
use ttlog_core::filter::FilterCell;
use ttlog_core::plugin::PluginHandle;
use ttlog_core::recorder::Recorder;
use ttlog_core::ring::Renewal;
use ttlog_core::{AnyFields, Callsite, Filter, FilterError, Level, Loss, Metadata, Ring, Word};

use crate::clock::ClockInfo;
use crate::config::settings::Settings;
#[cfg(target_os = "linux")]
use crate::fork::child::Heritage;
use crate::memory::ring_file::RingFile;
use crate::snapshot::file::{self, BorrowedScratch, Label, SnapshotError, Source, System, Urgency};
#[cfg(target_os = "linux")]
use crate::snapshot::queue::{Service, Work};
use crate::snapshot::ticket::SnapshotTicket;
use crate::start::builder::{Builder, InitError};
use crate::state::process::Generation;
use crate::state::registry::Registry;
use crate::state::window::Window;
use crate::sys::report;

/// How long [`Trace::shutdown`] waits for snapshots that were accepted.
const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// The recorder of this process; null until it is made. Set once, to a leaked box.
static RECORDER: AtomicPtr<RecorderInner> = AtomicPtr::new(std::ptr::null_mut());

/// Gives the recorder of this process. One load and a test; callable anywhere.
#[inline(always)]
pub(crate) fn recorder() -> Option<&'static RecorderInner> {
    // SAFETY: the pointer is null, or a leaked box that was complete before `publish` stored it with release.
    unsafe { RECORDER.load(Ordering::Acquire).as_ref() }
}

/// Makes `inner` the recorder of this process. Called once, under the builder's lock.
pub(crate) fn publish(inner: RecorderInner) -> &'static RecorderInner {
    let inner = Box::leak(Box::new(inner));
    RECORDER.store(inner, Ordering::Release);
    inner
}

/// Everything that recording needs.
pub(crate) struct RecorderInner {
    /// Where records go.
    pub(crate) ring: Ring<'static>,
    /// The memory of the ring.
    pub(crate) words: &'static [Word],
    /// Callsite ids.
    pub(crate) registry: Registry,
    /// What [`now`](crate::clock::now) reads.
    pub(crate) clock: ClockInfo,
    /// What this process has for itself; a child of `fork` has another. Set once in each process, to something that is never
    /// freed.
    pub(crate) generation: AtomicPtr<Generation>,
    /// Where snapshots go.
    pub(crate) snapshot_directory: PathBuf,
    /// The name of the service, as the program gave it.
    pub(crate) service_name: String,
    /// Which events are recorded. Changed under the filter lock of the generation.
    pub(crate) filter: FilterCell,
    /// Set by `shutdown`, for good.
    pub(crate) ended: AtomicBool,
    /// Whether this process has its ring; a child of `fork` makes it at its first event.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "for children of fork, which have rings on Linux alone")
    )]
    pub(crate) renewal: Renewal,
    /// What a child makes its ring from.
    #[cfg(target_os = "linux")]
    pub(crate) heritage: Heritage,
    /// The options, as checked.
    pub(crate) settings: Settings,
}

impl RecorderInner {
    /// Gives what this process has for itself. One load; callable anywhere.
    pub(crate) fn generation(&self) -> &'static Generation {
        // SAFETY: what is stored there is complete and never freed, see the field.
        unsafe { &*self.generation.load(Ordering::Acquire) }
    }

    /// Tells whether events are recorded at all.
    pub(crate) fn is_recording(&self) -> bool {
        !self.ended.load(Ordering::Relaxed)
    }

    /// Pairs the ring's clock with the wall clock, unless somebody else is doing so. In a fork, that is the parent.
    pub(crate) fn write_anchor(&self) {
        let generation = self.generation();
        if generation.service.is_in_fork() {
            return;
        }
        if let Ok(_guard) = generation.anchor_lock.try_lock() {
            let anchor = self.clock.anchor();
            self.ring.write_anchor(anchor);
            generation.note_anchor(anchor.ticks);
        }
    }

    /// Pairs the clocks where no service thread does, in a child of `fork` that does nothing but log: when a second has passed since
    /// that was done last. Bounded; async-signal-safe.
    pub(crate) fn write_anchor_if_due(&self) {
        let generation = self.generation();
        if !generation.is_settled.load(Ordering::Relaxed) {
            let age = self.clock.precise_now().wrapping_sub(generation.last_anchor());
            if age >= self.clock.ticks_per_second {
                self.write_anchor();
            }
        }
    }

    /// Makes sure that this process has what its parent had besides the ring: the service thread and memory for snapshots. In the
    /// process that started the recorder, and from the second call on, it is a load and a test.
    ///
    /// Not async-signal-safe: it allocates and starts a thread.
    pub(crate) fn settle(&'static self) {
        #[cfg(target_os = "linux")]
        {
            let generation = self.generation();
            if generation.is_settled.load(Ordering::Acquire)
                || !self.is_recording()
                || !crate::fork::child::make_sure_of_ring(self)
                || generation.is_settled.swap(true, Ordering::AcqRel)
            {
                return;
            }
            generation.allocate_scratch();
            let work = Work { orphan_directory: None, populated_words: usize::MAX };
            if let Err(error) = Service::start(self, work) {
                report::warn(format_args!(
                    "no service thread in this child process, so no snapshots on request: {error}"
                ));
            }
        }
    }

    /// Puts a filter in force. Waits for other callers.
    pub(crate) fn set_filter(&self, filter: Filter<'_>) {
        let _changing = self.generation().filter_lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.filter.set(filter);
        start_epoch();
        self.ring.set_filter_text(filter.text());
    }

    /// Calls `tell` with the filter in force, which does not change meanwhile.
    pub(crate) fn with_filter_text(&self, tell: impl FnOnce(&str)) {
        let _unchanged = self.generation().filter_lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.filter.with(|filter| tell(filter.text()));
    }

    /// Tells whether somebody cut the ring's file short, so that a part of the ring is memory without a file.
    pub(crate) fn is_cut(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.generation().file().is_some() && crate::memory::guard::cut_len() > 0;
        #[cfg(not(target_os = "linux"))]
        false
    }

    /// Warns once, when the ring's file was cut short.
    pub(crate) fn report_cut(&self) {
        #[cfg(target_os = "linux")]
        if let Some(file) = self.generation().file().filter(|_| self.is_cut()) {
            static CUT: report::Once = report::Once::new();
            CUT.warn(format_args!(
                "somebody cut the ring's file {:?} short: its events are lost from there on, and {} of {} bytes will not \
                 outlive this process",
                file.path,
                crate::memory::guard::cut_len(),
                self.ring.len_bytes()
            ));
        }
    }

    /// Writes a snapshot, waiting for one that is under way.
    pub(crate) fn write_snapshot(&self, reason: &str, urgency: Urgency) -> Result<PathBuf, SnapshotError> {
        let mut scratch = self.generation().scratch.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_snapshot_with(reason, urgency, scratch.borrow())
    }

    /// Writes a snapshot with the given working memory, if the disk has room for one of this urgency.
    pub(crate) fn write_snapshot_with(
        &self,
        reason: &str,
        urgency: Urgency,
        scratch: BorrowedScratch<'_>,
    ) -> Result<PathBuf, SnapshotError> {
        let directory = &self.snapshot_directory;
        let room = file::find_room(&System, directory, urgency, self.settings.retain_free_percent)?;
        self.write_anchor();
        let label = Label { service: &self.service_name, pid: u64::from(std::process::id()), reason };
        let ticks = self.clock.precise_now();
        let scratch = match self.settings.min_age {
            Some(age) => scratch.leaving_out_before(ticks, self.clock.ticks_per_second, age),
            None => scratch,
        };
        file::write(&System, directory, room, label, Source::Live(self.ring), ticks, scratch)
    }
}

/// Takes the events of libraries that know only ttlog-core.
impl Recorder for RecorderInner {
    fn is_on(&self, metadata: &Metadata) -> bool {
        self.filter.is_on(metadata) && self.is_recording()
    }

    fn record(&self, callsite: &'static Callsite, fields: &dyn AnyFields) {
        crate::state::thread::record_slow(callsite, fields);
    }
}

impl fmt::Debug for RecorderInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecorderInner")
            .field("service", &self.service_name)
            .field("ring", &self.ring)
            .field("file", &self.generation().file().map(|file| &file.path))
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

/// The handle of this process's recorder.
///
/// There is one recorder in a process, and it records until [`shutdown`](Trace::shutdown) or the end of the process: handles
/// are cheap to clone, and dropping them changes nothing. A process that ends without `shutdown` leaves its ring behind on
/// purpose; the next start of any recorder of this user, or `ttlog-view recover`, makes a snapshot of it.
///
/// # Examples
/// ```
/// use ttlog_std::{Trace, info};
///
/// let trace = Trace::init(100_000, 100, "shop");
/// info!("order executed", symbol = "ACME", quantity = 5_u64);
/// let snapshot = trace.request_snapshot("checkpoint").wait();
/// # let _ = std::fs::remove_file(snapshot?);
/// # assert!(trace.shutdown());
/// # Ok::<(), ttlog_std::SnapshotError>(())
/// ```
#[derive(Clone)]
pub struct Trace {
    /// `None` for the handle of a recorder that could not be made.
    inner: Option<&'static RecorderInner>,
}

impl Trace {
    /// Starts recording, whatever happens, and gives the handle.
    ///
    /// `event_capacity` is turned into bytes at 40 to the event, which is generous for events with a few fields (most need 16
    /// to 32), and rounded up to whole segments. `channel_capacity` is how many snapshot requests may wait. `service` is the
    /// name under which the ring and its snapshots are known.
    ///
    /// Capacities out of range ([`CAPACITY_BYTES_MIN`](crate::CAPACITY_BYTES_MIN) to
    /// [`CAPACITY_BYTES_MAX`](crate::CAPACITY_BYTES_MAX), and 1 to
    /// [`CHANNEL_CAPACITY_MAX`](crate::CHANNEL_CAPACITY_MAX)) are moved to the nearest limit. An environment variable whose value
    /// makes no sense is ignored. Without a place for a ring file the ring is on the heap, and does not outlive the process. A
    /// second call gives the recorder that is there. Each of these is told in one line on stderr. For control over any of it,
    /// see [`builder`](Self::builder).
    ///
    /// All levels are recorded; [`set_level`](Self::set_level) restricts that.
    ///
    /// # Panics
    /// Never.
    pub fn init(event_capacity: usize, channel_capacity: usize, service: &str) -> Trace {
        let builder =
            Builder::new().service(service).event_capacity(event_capacity).channel_capacity(channel_capacity).clamped();
        match builder.build() {
            Ok(trace) => trace,
            Err(InitError::AlreadyInitialised) => {
                report::warn(format_args!("initialised a second time; the first recorder goes on unchanged"));
                Trace::current().unwrap_or(Trace::off())
            }
            Err(error) => {
                report::warn(format_args!("nothing is recorded: {error}"));
                Trace::off()
            }
        }
    }

    /// Gives the full form of [`init`](Self::init), whose errors are returned.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Gives a handle of the recorder that is there, if there is one.
    #[must_use]
    pub fn current() -> Option<Trace> {
        let trace = recorder().map(Trace::of);
        trace.as_ref().and_then(Trace::inner);
        trace
    }

    /// Gives the recorder, with all that belongs to it in this process.
    fn inner(&self) -> Option<&'static RecorderInner> {
        self.inner.inspect(|inner| inner.settle())
    }

    /// Gives the handle of a process without a recorder.
    pub(crate) fn off() -> Trace {
        Trace { inner: None }
    }

    pub(crate) fn of(inner: &'static RecorderInner) -> Trace {
        Trace { inner: Some(inner) }
    }

    /// Asks the service thread for a snapshot. Returns at once.
    ///
    /// Dropping the ticket changes nothing; [`wait`](SnapshotTicket::wait) on it gives the path. The snapshot holds at least
    /// everything that was recorded before this call and not overwritten since. `reason` goes into the snapshot as it is, and
    /// into the file's name with everything but ASCII letters, digits, `.`, `_` and `-` replaced. All who wait when a snapshot begins
    /// get the same one, with the reasons of all; the next begins [`snapshot_throttle`](Builder::snapshot_throttle) later.
    ///
    /// When as many requests are waiting as the channel has room for, the ticket fails with [`SnapshotError::QueueFull`].
    pub fn request_snapshot(&self, reason: &str) -> SnapshotTicket {
        match self.inner() {
            Some(inner) => inner.generation().service.request(reason),
            None => SnapshotTicket::failed(SnapshotError::NoServiceThread),
        }
    }

    /// Gives the share of the ring that holds events, 0 to 1. It stays near 1 once the ring has been filled: then the oldest
    /// events are overwritten, which is what a ring is for.
    #[must_use]
    pub fn get_buffer_utilization(&self) -> f64 {
        self.inner().map_or(0.0, |inner| inner.ring.utilization())
    }

    /// Records what these directives say from now on; every callsite knows at its next event. Events compiled out by the
    /// `max_level_…` features stay out.
    ///
    /// A directive is a level (`trace`, `debug`, `info`, `warn`, `error`) or `off`, for all that no other directive names, or
    /// `target=level`, for that target (the module path, if the event does not say otherwise) and all below it. The longest
    /// target wins, of several equal ones the last. Without a directive for the rest, the rest is recorded. At most 512 bytes.
    ///
    /// The same can be done from outside, with `ttlog-view level PID DIRECTIVES`: within 100 ms, unless a snapshot is being written.
    ///
    /// Waits for other callers of this function at most. Not for signal handlers.
    ///
    /// # Errors
    /// [`FilterError`] if the directives are no good; the filter stays as it was.
    ///
    /// # Examples
    /// ```
    /// # let trace = ttlog_std::Trace::init(1000, 10, "example");
    /// trace.set_filter("info,my_crate::net=debug,other=off")?;
    /// assert_eq!(trace.filter(), "info,my_crate::net=debug,other=off");
    /// assert!(trace.set_filter("info,my_crate=loud").is_err());
    /// # trace.shutdown();
    /// # Ok::<(), ttlog_std::FilterError>(())
    /// ```
    pub fn set_filter(&self, directives: &str) -> Result<(), FilterError> {
        let filter = Filter::parse(directives)?;
        if let Some(inner) = self.inner() {
            inner.set_filter(filter);
        }
        Ok(())
    }

    /// Gives the directives that are in force; `off` without a recorder.
    #[must_use]
    pub fn filter(&self) -> String {
        let text = |inner: &RecorderInner| inner.filter.with(|filter| filter.text().to_owned());
        match self.inner() {
            // Only a storm of changes gives none.
            Some(inner) => text(inner).unwrap_or_else(|| Filter::EVERYTHING.text().to_owned()),
            None => "off".to_owned(),
        }
    }

    /// Records events of `level` and above from now on, of whatever target: a [`set_filter`](Self::set_filter) of this level
    /// alone.
    pub fn set_level(&self, level: Level) {
        // A level is a good directive.
        let _ = self.set_filter(&level.as_str().to_ascii_lowercase());
    }

    /// Gives the lowest level that is recorded of targets that no directive of the [filter](Self::filter) names;
    /// [`Level::Error`] too where that is none.
    #[must_use]
    pub fn level(&self) -> Level {
        let lowest = |inner: &RecorderInner| inner.filter.with(|filter| filter.default_level()).flatten();
        self.inner().and_then(lowest).unwrap_or(Level::Error)
    }

    /// Gives what a plugin needs to log into this recorder: see [`attach`](ttlog_core::plugin::attach). A process without a recorder
    /// gives a handle with which plugins record nothing.
    #[must_use]
    pub fn plugin_handle(&self) -> PluginHandle {
        self.inner.map_or(PluginHandle::off(), |_| crate::event::plugin::handle())
    }

    /// Gives what was lost so far: overwritten, dropped, suppressed.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.inner().map_or(Loss::default(), |inner| inner.ring.loss())
    }

    /// Gives the file in which the ring is; `None` when it is in memory, or a part of it since somebody cut the file short, and
    /// will not outlive the process.
    #[must_use]
    pub fn ring_path(&self) -> Option<&Path> {
        self.inner().filter(|inner| !inner.is_cut()).and_then(|inner| inner.generation().file()).map(|file| file.path)
    }

    /// Gives how far back the ring reaches without a gap, just now. Takes some hundred loads; waits for nothing.
    #[must_use]
    pub fn window(&self) -> Window {
        self.inner().map_or(Window::default(), |inner| Window::of(&inner.ring, &inner.clock, inner.settings.min_age))
    }

    /// Gives the bytes that the ring occupies, its table of callsites included.
    #[must_use]
    pub fn ring_len_bytes(&self) -> usize {
        self.inner().map_or(0, |inner| inner.ring.len_bytes())
    }

    /// Tells whether events are being recorded: `false` after [`shutdown`](Self::shutdown), and when nothing could be set up.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.inner().is_some_and(RecorderInner::is_recording)
    }

    /// Ends recording in good order: no more events, snapshots that were asked for are finished, the ring is marked as ended
    /// and its file removed. `true` if all that is done.
    ///
    /// Waits for the snapshots, but no longer than 10 seconds; when that is not enough the ring's file stays, for the
    /// next start to recover. A child of `fork` ends its own recording only. Recording cannot be started again in this process. A
    /// program that wants its last events must ask for a snapshot first.
    pub fn shutdown(&self) -> bool {
        let Some(inner) = self.inner() else { return true };
        if inner.generation().service.is_in_fork() {
            return false;
        }
        inner.ended.store(true, Ordering::SeqCst);
        start_epoch();
        if !inner.generation().service.stop(SHUTDOWN_MAX) {
            report::warn(format_args!("shut down while a snapshot was being written; the ring's file stays"));
            return false;
        }
        crate::clock::stop_coarse();
        inner.write_anchor();
        inner.report_cut();
        inner.ring.mark_ended();
        match inner.generation().file().map(RingFile::remove) {
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

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inner {
            Some(inner) => f
                .debug_struct("Trace")
                .field("service", &inner.service_name)
                .field("ring_path", &self.ring_path())
                .field("filter", &self.filter())
                .finish_non_exhaustive(),
            None => f.write_str("Trace(not recording)"),
        }
    }
}
