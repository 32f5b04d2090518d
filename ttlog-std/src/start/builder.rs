//! Starting the recorder: the options, and the order of the setup.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicPtr};
use std::sync::{Mutex, PoisonError};

use ttlog_core::event::filter::FilterCell;
use ttlog_core::event::start_epoch;
use ttlog_core::ring::{Gate, Renewal};
use ttlog_core::{Filter, Ring, RingConfig, RingError, Word};

use super::ring::{MadeRing, check_sizes, make_ring};
use super::sizes::{Memory, Room, usual_child_bytes};
use crate::clock::{self, ClockInfo};
use crate::config::environment;
use crate::config::error::{BadVariable, InitError};
use crate::config::settings::{CHANNEL_CAPACITY_MAX, Settings, in_range};
use crate::death::{end, panic};
use crate::fork;
use crate::memory::budget::Budget;
use crate::memory::process_item::{self, Description};
use crate::memory::{guard, heap};
use crate::recorder::Recorder;
use crate::service::snapshot_signal;
use crate::service::thread::{self, Work};
use crate::snapshot::queue::SnapshotQueue;
use crate::snapshot::scratch;
use crate::state::forked::{ChildRoom, ForkState};
use crate::state::place::Place;
use crate::state::process::ProcessState;
use crate::state::registry::Registry;
use crate::state::ring::CurrentRing;
use crate::state::{self, State};
use crate::sys::report;

/// Bytes per event, as assumed by [`Recorder::init`].
pub(super) const EVENT_LEN: usize = 40;

/// Configuration and start of this process's recorder: created by [`Recorder::builder`], finished by
/// [`build`](Builder::build).
///
/// Every option has a default that suits a server, so `Recorder::builder().build()` is complete. Each can be changed
/// without a rebuild, by an environment variable that takes precedence over the program's setting: the crate's
/// documentation has the table.
///
/// # Examples
/// ```no_run
/// use ttlog_std::{Level, Recorder};
///
/// let recorder = Recorder::builder()
///     .service("shop")
///     .capacity_bytes(64 << 20)
///     .snapshot_directory("/var/lib/shop")
///     .level(Level::Debug)
///     .build()?;
/// # Ok::<(), ttlog_std::InitError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is recorded before `build`"]
pub struct Builder {
    pub(super) settings: Settings,
    /// Whether the environment is ignored.
    pub(super) ignore_environment: bool,
    /// Whether options out of range are moved into it, with a warning, instead of being errors.
    pub(super) clamp: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Builder::new()
    }
}

impl Builder {
    /// Creates a builder with the defaults.
    pub fn new() -> Self {
        Builder { settings: Settings::default(), ignore_environment: false, clamp: false }
    }

    /// Moves sizes into their range, with a warning, instead of rejecting them.
    pub(crate) fn clamped(mut self) -> Self {
        self.clamp = true;
        self
    }

    /// Starts the recorder of this process.
    ///
    /// Takes a few milliseconds: the clock is measured, and the ring's pages are populated. Problems other than the
    /// errors below degrade the recorder and are reported on stderr. If `TTLOG=off` is set in the environment, there is
    /// no recorder, and the handle does nothing.
    ///
    /// # Errors
    /// [`InitError`]; nothing was changed in that case.
    pub fn build(mut self) -> Result<Recorder, InitError> {
        // One at a time; the others find that they are too late.
        static STARTING: Mutex<()> = Mutex::new(());
        let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        if state::current().is_some() {
            return Err(InitError::AlreadyInitialized);
        }
        if ttlog_core::recorder::installed().is_some() {
            return Err(InitError::OtherRecorder);
        }
        if !self.ignore_environment && self.take_environment()? {
            return Ok(Recorder::off());
        }
        self.settings.check(self.clamp)?;
        check_sizes(&mut self.settings, self.clamp)?;
        let asked = self.settings.channel_capacity;
        self.settings.channel_capacity = in_range(self.clamp, "channel_capacity", asked, 1, CHANNEL_CAPACITY_MAX)?;
        let service = self.settings.service.get_or_insert_with(default_service).clone();
        #[cfg(unix)]
        crate::sys::note_own_user(crate::sys::effective_uid());

        let clock = clock::choose(self.settings.coarse_clock);
        let start = clock.anchor();
        let description = Description::new(&service);
        let prepare = |words: &'static [Word], config: &RingConfig| -> Result<Ring<'static>, RingError> {
            let ring = Ring::create(words, config)?;
            let mut room = [0; process_item::ITEM_LEN_MAX];
            if let Some(item) = description.encode_item(&clock, clock.name, start.unix_ns, 0, &mut room) {
                // If the table is too small for it, the ring has no name, which is better than no ring.
                let _ = ring.append_entry(item);
            }
            ring.write_anchor(start);
            Ok(ring)
        };
        let memory = Memory::of_process();
        let made =
            make_ring(&self.settings, self.clamp, &service, &memory, prepare).inspect_err(|_| clock::stop_coarse())?;
        Ok(self.start(service, description, clock, memory, made))
    }

    /// The part that cannot fail.
    fn start(
        self,
        service: String,
        description: Description,
        clock: ClockInfo,
        memory: Memory,
        made: MadeRing,
    ) -> Recorder {
        let settings = self.settings;
        clock.activate();
        state::thread::prepare_ends();
        let MadeRing { words, file, ring, config, directory, room } = made;
        let memory_bytes = memory.total;
        let forked = ForkState::new(config, child_room(&settings, memory, room), description, service.as_str().into());
        let queue = SnapshotQueue::new(settings.channel_capacity, settings.snapshot_throttle);
        let options = scratch::options(&settings);
        let process = ProcessState::new(queue, options, file);
        let filter = FilterCell::new();
        // It was checked before.
        if let Ok(checked) = Filter::parse(&settings.filter) {
            filter.set(checked);
            ring.set_filter_text(checked.text());
        }
        let state = state::publish(State {
            ring: CurrentRing::new(ring),
            words,
            memory_bytes,
            registry: Registry::new(config.table_len as usize, options.withhold.map(|withhold| withhold.keys)),
            clock,
            process: AtomicPtr::new(Box::leak(Box::new(process))),
            snapshot_directory: Place::new(settings.snapshot_directory.clone().unwrap_or_else(std::env::temp_dir)),
            service_name: service,
            filter,
            ended: AtomicBool::new(false),
            gate: Gate::new(),
            renewal: Renewal::new(),
            forked,
            span_keys: std::hash::RandomState::new(),
            settings,
        });
        begin_work(state, directory);
        Recorder::of(state)
    }

    /// Applies the environment to the options. Returns `true` if the environment turns the recorder off.
    fn take_environment(&mut self) -> Result<bool, InitError> {
        let read = |name: &str| std::env::var_os(name);
        let clamp = self.clamp;
        let on_bad = |bad: BadVariable| {
            if clamp {
                report::warn(format_args!("{bad}; it is ignored"));
                return Ok(());
            }
            Err(InitError::from(bad))
        };
        match environment::is_switched_off(read) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(bad) => on_bad(bad)?,
        }
        environment::apply(&mut self.settings, read, on_bad)?;
        for (name, meant) in environment::misspelled(std::env::vars_os().map(|(name, _)| name)) {
            report::warn(format_args!("environment variable {name} means nothing; is {meant} meant?"));
        }
        Ok(false)
    }
}

/// Returns the memory for the rings of children.
fn child_room(settings: &Settings, memory: Memory, room: Room) -> ChildRoom {
    let children_bytes = room.children_bytes(settings, &memory);
    let budget = Budget::new(children_bytes);
    if let Some(budget) = budget {
        report::share(&budget.reported);
    }
    let limit = memory.limit.filter(|_| room.is_memory);
    ChildRoom { budget, usual_bytes: usual_child_bytes(children_bytes), limit }
}

/// Returns the executable's file name.
fn default_service() -> String {
    std::env::current_exe()
        .ok()
        .and_then(|path| path.file_stem().map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "unnamed".to_owned())
}

/// Starts everything besides recording: handlers, hooks and the service thread. Failures are reported on stderr.
fn begin_work(state: &'static State, directory: Option<PathBuf>) {
    let settings = &state.settings;
    fork::prepare_children();
    end::watch(settings.fatal_signals);
    if let Some(file) = state.process().file().filter(|_| settings.fault_handler) {
        if let Err(error) = guard::guard(state.words, file) {
            report::warn(format_args!("truncating the ring's file would end this process: {error}"));
        }
    }
    let work = Work {
        orphan_directory: directory.filter(|_| settings.recover_orphans),
        populated_words: if state.process().file().is_some() { heap::POPULATE_AT_ONCE_BYTES / 8 } else { usize::MAX },
    };
    if let Err(error) = thread::start(state, work) {
        report::warn(format_args!(
            "no service thread, so no snapshots on request and times less exact; events are recorded: {error}"
        ));
    }
    if let Some(signal) = settings.snapshot_on_signal {
        if let Err(error) = snapshot_signal::install(signal) {
            report::warn(format_args!("no snapshots on a signal: {error}"));
        }
    }
    if settings.panic_hook {
        panic::install_hook(state, settings.panic_backtrace);
    }
    // Libraries that use ttlog-core's macros. Another recorder can only have been installed meanwhile by a program that
    // races with itself; its own events still come here.
    if ttlog_core::recorder::install(state).is_err() {
        start_epoch();
        report::warn(format_args!("another recorder was installed meanwhile; it gets the events of libraries"));
    }
}
