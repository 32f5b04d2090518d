//! Starting the recorder: the options, what can be wrong with them, and the order in which things are set up.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicPtr};
use std::sync::{Mutex, PoisonError};

use ttlog_core::callsite::start_epoch;
use ttlog_core::filter::FilterCell;
use ttlog_core::ring::{Renewal, SEGMENT_LEN_MAX};
use ttlog_core::{Filter, FilterError, Ring, RingConfig, RingError, Word};

use crate::clock::{self, ClockInfo};
use crate::config::environment::{self, BadVariable};
use crate::config::settings::{
    CAPACITY_BYTES_MAX, CAPACITY_BYTES_MIN, CHANNEL_CAPACITY_MAX, RingFileChoice, SEGMENT_BYTES_MIN, Settings,
    TABLE_BYTES_MAX, TABLE_BYTES_MIN, kept_segment_count,
};
use crate::death::panic;
#[cfg(target_os = "linux")]
use crate::fork::child::Heritage;
use crate::memory::process_item;
use crate::memory::process_item::Description;
use crate::memory::ring_file::{self, MappingError, Region};
use crate::recorder::{RecorderInner, Trace, publish, recorder};
use crate::snapshot::file;
use crate::snapshot::queue::{Service, Work};
use crate::snapshot::{cause, names};
use crate::state::process::Generation;
use crate::state::registry::Registry;
use crate::sys::report;

/// Bytes that an event takes, as [`Trace::init`] reckons.
pub(super) const EVENT_LEN: usize = 40;
/// Fewest segments of a ring: two for threads, one for nested events, one to be opened next.
const SEGMENT_COUNT_MIN: usize = 4;
/// Size of the table in small rings; the core makes it larger in large ones.
const TABLE_BYTES_DEFAULT_MIN: u32 = 64 * 1024;

/// How to start the recorder of this process: made by [`Trace::builder`], ended by [`build`](Builder::build).
///
/// Every option has a default that suits a server, so `Trace::builder().build()` is complete. Each can be changed without building
/// the program again, by an environment variable that wins over what the program says: the crate's documentation has the
/// table.
///
/// # Examples
/// ```no_run
/// use ttlog_std::{Level, Trace};
///
/// let trace = Trace::builder()
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
    /// Whether the environment is left out of account.
    pub(super) ignore_environment: bool,
    /// Whether options out of range are moved into it, with a warning, instead of being errors.
    clamp: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Builder::new()
    }
}

impl Builder {
    /// Makes one with the defaults.
    pub fn new() -> Self {
        Builder { settings: Settings::default(), ignore_environment: false, clamp: false }
    }

    /// Moves sizes into their range, with a warning, instead of refusing them.
    pub(crate) fn clamped(mut self) -> Self {
        self.clamp = true;
        self
    }

    /// Starts the recorder of this process.
    ///
    /// Takes a few milliseconds: the clock is measured, and the ring's pages are made present. What goes wrong besides the
    /// errors below degrades the recorder and is told on stderr. When the environment says `TTLOG=off` there is no recorder:
    /// the handle is then one that does nothing.
    ///
    /// # Errors
    /// [`InitError`]; nothing was changed then.
    pub fn build(mut self) -> Result<Trace, InitError> {
        // One at a time; the others find out that they come too late.
        static STARTING: Mutex<()> = Mutex::new(());
        let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        if recorder().is_some() {
            return Err(InitError::AlreadyInitialised);
        }
        if ttlog_core::recorder::installed().is_some() {
            return Err(InitError::OtherRecorder);
        }
        if !self.ignore_environment && self.take_environment()? {
            return Ok(Trace::off());
        }
        self.settings.check(self.clamp)?;
        let layout = self.layout()?;
        let asked = self.settings.channel_capacity;
        self.settings.channel_capacity = self.in_range("channel_capacity", asked, 1, CHANNEL_CAPACITY_MAX)?;
        let service = self.settings.service.get_or_insert_with(default_service).clone();

        let clock = clock::choose(self.settings.coarse_clock);
        let start = clock.anchor();
        let description = Description::new(&service);
        let prepare = |words: &'static [Word], config: &RingConfig| -> Result<Ring<'static>, RingError> {
            let ring = Ring::create(words, config)?;
            let mut room = [0; process_item::ITEM_MAX_LEN];
            if let Some(item) = description.encode_item(&clock, clock.name, start.unix_ns, 0, &mut room) {
                // A table too small for it has a ring without a name, which is better than none.
                let _ = ring.append_entry(item);
            }
            ring.write_anchor(start);
            Ok(ring)
        };
        let made = self.make_ring(&service, &layout, prepare).inspect_err(|_| clock::stop_coarse())?;
        Ok(self.start(service, description, clock, made))
    }

    /// The part that cannot fail.
    fn start(self, service: String, description: Description, clock: ClockInfo, made: MadeRing) -> Trace {
        let settings = self.settings;
        clock.activate();
        let MadeRing { region, ring, config, directory } = made;
        #[cfg(target_os = "linux")]
        let heritage = Heritage::new(config, description, format!("ttlog-{}", names::service(&service)).into());
        #[cfg(not(target_os = "linux"))]
        drop(description);
        let service_thread = Service::new(settings.channel_capacity, settings.snapshot_throttle);
        let options = file::options(&settings);
        let generation = Generation::new(service_thread, options, region.file);
        let filter = FilterCell::new();
        // It was checked.
        if let Ok(checked) = Filter::parse(&settings.filter) {
            filter.set(checked);
            ring.set_filter_text(checked.text());
        }
        let inner = publish(RecorderInner {
            ring,
            words: region.words,
            registry: Registry::new(config.table_len as usize, options.withhold.map(|withhold| withhold.keys)),
            clock,
            generation: AtomicPtr::new(Box::leak(Box::new(generation))),
            snapshot_directory: settings.snapshot_directory.clone().unwrap_or_else(std::env::temp_dir),
            service_name: service,
            filter,
            ended: AtomicBool::new(false),
            renewal: Renewal::new(),
            #[cfg(target_os = "linux")]
            heritage,
            settings,
        });
        let settings = &inner.settings;
        #[cfg(target_os = "linux")]
        {
            crate::fork::child::prepare_children();
            crate::death::end::watch(settings.fatal_signals);
            if let Some(file) = inner.generation().file().filter(|_| settings.fault_handler) {
                if let Err(error) = crate::memory::guard::guard(inner.words, file) {
                    report::warn(format_args!("cutting the ring's file short would end this process: {error}"));
                }
            }
        }
        let work = Work {
            orphan_directory: directory.filter(|_| settings.recover_orphans),
            populated_words: if inner.generation().file().is_some() {
                ring_file::POPULATE_AT_ONCE_BYTES / 8
            } else {
                usize::MAX
            },
        };
        if let Err(error) = Service::start(inner, work) {
            report::warn(format_args!(
                "no service thread, so no snapshots on request and times less exact; events are recorded: {error}"
            ));
        }
        if let Some(signal) = settings.snapshot_on_signal {
            if let Err(error) = cause::watch_signal(signal) {
                report::warn(format_args!("no snapshots on a signal: {error}"));
            }
        }
        if settings.panic_hook {
            panic::install_hook(settings.panic_backtrace);
        }
        // Libraries that use ttlog-core's macros. Nobody can have installed another in the meantime but a program that races
        // with itself; then its own events still come here.
        if ttlog_core::recorder::install(inner).is_err() {
            start_epoch();
            report::warn(format_args!("another recorder was installed meanwhile; it gets the events of libraries"));
        }
        Trace::of(inner)
    }

    /// Takes the environment over the options. `true` if it says that there shall be no recorder.
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
        for (name, meant) in environment::misspelt(std::env::vars_os().map(|(name, _)| name)) {
            report::warn(format_args!("environment variable {name} means nothing; is {meant} meant?"));
        }
        Ok(false)
    }

    fn in_range(&self, option: &'static str, value: usize, min: usize, max: usize) -> Result<usize, InitError> {
        let near = value.clamp(min, max);
        if near == value {
            Ok(value)
        } else if self.clamp {
            report::warn(format_args!("{option} {value} is out of range, {near} is used"));
            Ok(near)
        } else {
            Err(InitError::OutOfRange { option, value, min, max })
        }
    }

    fn layout(&self) -> Result<Layout, InitError> {
        let capacity =
            self.in_range("capacity_bytes", self.settings.capacity_bytes, CAPACITY_BYTES_MIN, CAPACITY_BYTES_MAX)?;
        let mut config = RingConfig::for_capacity(capacity, names::random());
        config.table_len = config.table_len.max(TABLE_BYTES_DEFAULT_MIN);
        let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        if let Some(bytes) = self.settings.segment_bytes {
            let max = (SEGMENT_LEN_MAX as usize).min(capacity / SEGMENT_COUNT_MIN);
            config.segment_len = narrow(self.in_range("segment_bytes", bytes, SEGMENT_BYTES_MIN, max)?) / 8 * 8;
        }
        if let Some(bytes) = self.settings.table_bytes {
            config.table_len = narrow(self.in_range("table_bytes", bytes, TABLE_BYTES_MIN, TABLE_BYTES_MAX)?) / 8 * 8;
        }
        let segment_len = config.segment_len as usize;
        let kept_bytes = self.settings.kept_bytes;
        let kept_bytes = kept_bytes.map(|bytes| self.in_range("kept_bytes", bytes, 0, capacity / 2)).transpose()?;
        config.kept_segment_count = kept_segment_count(kept_bytes, capacity.div_ceil(segment_len), segment_len);
        Ok(Layout::of(config, capacity))
    }

    /// Makes the ring: in a file, on the heap, or, when there is no memory at all, in the last resort.
    fn make_ring(
        &self,
        service: &str,
        layout: &Layout,
        prepare: impl Fn(&'static [Word], &RingConfig) -> Result<Ring<'static>, RingError>,
    ) -> Result<MadeRing, InitError> {
        if self.settings.ring_file != RingFileChoice::None {
            let stem = format!(
                "ttlog-{}-{}-{}-{:016x}",
                names::service(service),
                std::process::id(),
                process_item::start_time(),
                names::random()
            );
            let mut failures: Vec<MappingError> = Vec::new();
            for directory in ring_file::candidate_directories(self.settings.directory.as_deref()) {
                let made = ring_file::create_ring_file(&directory, &stem, layout.len_words, |words| {
                    prepare(words, &layout.config)
                });
                match made {
                    Ok((region, ring)) => {
                        let directory = region.file.as_ref().and_then(|file| file.path.parent()).map(Path::to_path_buf);
                        return Ok(MadeRing { region, ring, config: layout.config, directory });
                    }
                    Err(error) => failures.push(error),
                }
            }
            if self.settings.ring_file == RingFileChoice::Required {
                return Err(failures.pop().map_or(InitError::OutOfMemory, InitError::from));
            }
            let causes: Vec<_> = failures.iter().map(ToString::to_string).collect();
            report::warn(format_args!(
                "events are kept in memory only and will not outlive this process: {}",
                causes.join("; ")
            ));
        }
        let on_heap = ring_file::heap(layout.len_words).and_then(|region| {
            let ring = prepare(region.words, &layout.config).ok()?;
            Some(MadeRing { region, ring, config: layout.config, directory: None })
        });
        if let Some(made) = on_heap {
            return Ok(made);
        }
        if !self.clamp {
            return Err(InitError::OutOfMemory);
        }
        report::warn(format_args!("no memory for the ring, {} bytes must do", ring_file::EMERGENCY_BYTES));
        let config = RingConfig {
            ring_id: layout.config.ring_id,
            segment_len: 1024,
            table_len: 8192,
            anchor_count: 16,
            ..RingConfig::PLAIN
        };
        let region = ring_file::emergency().ok_or(InitError::OutOfMemory)?;
        let ring = prepare(region.words, &config).map_err(|_| InitError::OutOfMemory)?;
        Ok(MadeRing { region, ring, config, directory: None })
    }
}

/// The shape of the ring to be made.
struct Layout {
    config: RingConfig,
    len_words: usize,
}

impl Layout {
    /// Rounds the capacity up to whole segments and adds what comes before them.
    fn of(config: RingConfig, capacity: usize) -> Self {
        let segments = capacity.next_multiple_of(config.segment_len as usize);
        Layout { config, len_words: (config.overhead_len() + segments) / 8 }
    }
}

/// A ring, laid out.
struct MadeRing {
    region: Region,
    ring: Ring<'static>,
    config: RingConfig,
    /// The directory of its file.
    directory: Option<PathBuf>,
}

/// Gives the executable's file name.
fn default_service() -> String {
    std::env::current_exe()
        .ok()
        .and_then(|path| path.file_stem().map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "unnamed".to_owned())
}

/// Why there is no (new) recorder.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// This process has its recorder; [`Trace::current`] gives it.
    AlreadyInitialised,
    /// Something else was installed as the recorder of ttlog-core's macros.
    OtherRecorder,
    /// An option is out of its range.
    OutOfRange {
        /// The option's name.
        option: &'static str,
        /// What was asked for.
        value: usize,
        /// The least that is possible.
        min: usize,
        /// The most that is possible.
        max: usize,
    },
    /// An option that is no size cannot have this value.
    Option {
        /// The option's name.
        option: &'static str,
        /// What was asked for, in Rust's notation.
        value: String,
        /// What would do.
        expected: &'static str,
    },
    /// An environment variable cannot have this value.
    Environment {
        /// Its name.
        variable: &'static str,
        /// What it says.
        value: String,
        /// What would do.
        expected: String,
    },
    /// The directives of the [`filter`](Builder::filter) are no good.
    Filter {
        /// What was asked for.
        directives: String,
        /// What is wrong with it.
        error: FilterError,
    },
    /// The ring file that was [required](RingFileChoice::Required) cannot be had.
    RingFile {
        /// What was being done, as in "create directory".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// There is not enough memory for the ring.
    OutOfMemory,
}

impl From<BadVariable> for InitError {
    fn from(bad: BadVariable) -> Self {
        let BadVariable { variable, value, expected } = bad;
        InitError::Environment { variable, value, expected }
    }
}

impl From<MappingError> for InitError {
    fn from(error: MappingError) -> Self {
        let MappingError { action, path, cause } = error;
        InitError::RingFile { action, path, cause }
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitError::AlreadyInitialised => f.write_str("this process has a recorder already"),
            InitError::OtherRecorder => f.write_str("another recorder is installed in this process"),
            InitError::OutOfRange { option, value, min, max } => {
                write!(f, "{option} {value} is not in {min} to {max}")
            }
            InitError::Option { option, value, expected } => write!(f, "{option} {value} is not {expected}"),
            InitError::Environment { variable, value, expected } => {
                write!(f, "environment variable {variable}={value:?}: expected {expected}")
            }
            InitError::Filter { directives, error } => write!(f, "filter {directives:?}: {error}"),
            InitError::RingFile { action, path, cause } => write!(f, "cannot {action} {path:?}: {cause}"),
            InitError::OutOfMemory => f.write_str("not enough memory for the ring"),
        }
    }
}

impl std::error::Error for InitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InitError::RingFile { cause, .. } => Some(cause),
            InitError::Filter { error, .. } => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::CAPACITY_BYTES_DEFAULT;

    #[test]
    fn layout_holds_what_was_asked_for() {
        for capacity in [CAPACITY_BYTES_MIN, 100_000, CAPACITY_BYTES_DEFAULT, CAPACITY_BYTES_MAX] {
            let layout = Builder::new().capacity_bytes(capacity).layout().unwrap();
            let segments = layout.len_words * 8 - layout.config.overhead_len();
            assert!(segments >= capacity && segments - capacity < layout.config.segment_len as usize);
            assert_eq!(segments % layout.config.segment_len as usize, 0);
            assert!(segments / layout.config.segment_len as usize >= SEGMENT_COUNT_MIN);
        }
    }

    #[test]
    fn sizes_out_of_range_are_refused_or_moved() {
        for (option, builder) in [
            ("capacity_bytes", Builder::new().event_capacity(0)),
            ("capacity_bytes", Builder::new().event_capacity(usize::MAX)),
            ("segment_bytes", Builder::new().segment_bytes(0)),
            ("segment_bytes", Builder::new().capacity_bytes(CAPACITY_BYTES_MIN).segment_bytes(65_536)),
            ("table_bytes", Builder::new().table_bytes(usize::MAX)),
        ] {
            let error = builder.layout().map(drop).unwrap_err();
            assert!(error.to_string().starts_with(option), "{error}");
            let layout = builder.clamped().layout().unwrap();
            assert!(layout.len_words * 8 <= CAPACITY_BYTES_MAX + TABLE_BYTES_MAX + 65_536);
        }
    }

    #[test]
    fn room_for_warnings_and_errors_is_within_the_capacity() {
        let small = || Builder::new().capacity_bytes(64 << 10).segment_bytes(1024);
        let with = small().kept_bytes(8192).layout().unwrap();
        assert_eq!((with.config.kept_segment_count, with.len_words), (8, small().layout().unwrap().len_words));
        assert_eq!(small().kept_bytes(32 << 10).layout().unwrap().config.kept_segment_count, 32);
        let error = small().kept_bytes((32 << 10) + 1).layout().map(drop).unwrap_err();
        assert_eq!(error.to_string(), "kept_bytes 32769 is not in 0 to 32768");
    }

    #[test]
    fn odd_segment_and_table_sizes_are_rounded() {
        let layout = Builder::new().segment_bytes(1001).table_bytes(5001).layout().unwrap();
        assert_eq!((layout.config.segment_len, layout.config.table_len), (1000, 5000));
    }
}
