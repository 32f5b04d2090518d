//! The logger of `log`: records of programs that have no `tracing`.

use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};
use ttlog_core::event::Field;
use ttlog_core::event::dynamic::DynamicValues;

use super::callsite::BridgedCallsite;
use super::follow;
use super::level::{from_log, is_recorded, lowest_recorded, to_log};
use super::log_sites::{Keys, LogSite, RecordSource, Text, enabled_site, key_fields, only_site_at};

/// Number of key-values of a record, at most; further ones are not recorded.
const PAIRS_MAX: usize = 32;

/// A logger that records all records that the recorder's filter selects, alone or beside another logger.
///
/// It records into the recorder of the process, whichever way that is started, before or after; without one it does
/// nothing. Created by [`Recorder::logger`](crate::Recorder::logger) or [`log::logger`](crate::log::logger).
pub struct Logger {
    /// Other loggers that get all records, each with the most verbose level that it wants.
    beside: Vec<(Box<dyn Log>, LevelFilter)>,
}

/// Returns a logger, to be [installed](Logger::install) as that of the process.
///
/// ```
/// ttlog_std::log::logger().install()?;
/// log::info!(user = 7, path = "/cart"; "served");
/// # Ok::<(), log::SetLoggerError>(())
/// ```
#[must_use = "it does nothing before `install`"]
pub fn logger() -> Logger {
    Logger { beside: Vec::new() }
}

impl Logger {
    /// Passes every record on to another logger too: the one that the process had so far. That one applies its own
    /// filter. `max_level` is the most verbose level that it wants, as it would have passed it to
    /// [`log::set_max_level`]; if unknown, [`LevelFilter::Trace`]. Several calls put several loggers beside it.
    ///
    /// ```no_run
    /// # fn console() -> Box<dyn log::Log> { Box::new(ttlog_std::log::logger()) }
    /// ttlog_std::log::logger().beside(console(), log::LevelFilter::Info).install()?;
    /// # Ok::<(), log::SetLoggerError>(())
    /// ```
    #[must_use = "it does nothing before `install`"]
    pub fn beside(mut self, other: Box<dyn Log>, max_level: LevelFilter) -> Self {
        self.beside.push((other, max_level));
        self
    }

    /// Installs it as the logger of the process, and keeps the maximum level of `log` in step with the recorder's
    /// filter from now on: at changes of the filter, it follows within 100 ms.
    ///
    /// A logger that is passed to [`log::set_boxed_logger`] instead leaves the maximum level to
    /// the program.
    ///
    /// # Errors
    /// [`SetLoggerError`] if the process has a logger already; nothing was changed then.
    pub fn install(self) -> Result<(), SetLoggerError> {
        let least = self.beside.iter().map(|(_, max_level)| *max_level).max().unwrap_or(LevelFilter::Off);
        log::set_boxed_logger(Box::new(self))?;
        follow::log(least);
        log::set_max_level(least.max(to_log(lowest_recorded())));
        Ok(())
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_recorded(from_log(metadata.level()), metadata.target())
            || self.beside.iter().any(|(other, _)| other.enabled(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        record_log(record);
        for (other, _) in &self.beside {
            // If it passes the record on to `tracing`, our layer would record it again.
            #[cfg(feature = "tracing")]
            super::log_event::passing_on(|| other.log(record));
            #[cfg(not(feature = "tracing"))]
            other.log(record);
        }
    }

    fn flush(&self) {
        for (other, _) in &self.beside {
            other.flush();
        }
    }
}

impl std::fmt::Debug for Logger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let levels: Vec<_> = self.beside.iter().map(|(_, level)| level).collect();
        f.debug_struct("Logger").field("levels_beside", &levels).finish_non_exhaustive()
    }
}

fn record_log(record: &Record<'_>) {
    let source = RecordSource {
        level: from_log(record.level()),
        target: target(record),
        file: record.file_static().map_or(Text::Other(record.file().unwrap_or_default()), Text::Static),
        line: record.line().unwrap_or_default(),
        keys: KeysOf(record),
    };
    let hash = source.hash();
    if let Some(only) = only_site_at(&source, hash) {
        if !only.callsite().is_enabled() || record_own::<true>(only.callsite(), record) {
            return;
        }
        only.has_others();
    }
    record_other(record, &source, hash);
}

/// Records a record whose place is new, or has had records with different keys, or has no callsite of its own.
#[inline(never)]
fn record_other(record: &Record<'_>, source: &RecordSource<'_, KeysOf<'_>>, hash: u64) {
    match enabled_site(source, hash) {
        None => {}
        Some(LogSite::Own(site)) => {
            // Its keys were compared just now. A source that has others at each visit is recorded as far as there are
            // fields.
            record_own::<false>(site, record);
        }
        Some(LogSite::Shared(site)) => site.record(|out| {
            let mut values = DynamicValues::new(out, 6);
            encode_leading(&mut values, record);
            values.str(source.target.get());
            values.str(source.file.get());
            values.u64(u64::from(source.line));
            if !source.keys.are_names_of(&[]) {
                values.display(&KeyValues(record));
            }
            values.finish()
        }),
    }
}

/// Records a record at a callsite of its own. If its keys are others and `COMPARES`, it is not recorded, and `false` is
/// returned.
#[inline(always)]
fn record_own<const COMPARES: bool>(site: &'static BridgedCallsite, record: &Record<'_>) -> bool {
    let fields = key_fields(site);
    site.record_if(|out| {
        let mut values = DynamicValues::new(out, 2 + fields.len());
        encode_leading(&mut values, record);
        let mut encoder = Encoder::<COMPARES> { values: &mut values, fields, count: 0, is_equal: true };
        // Errors come from sources that stop halfway; what they have visited so far is recorded.
        let _ = record.key_values().visit(&mut encoder);
        let is_it = !COMPARES || encoder.is_equal && encoder.count == fields.len();
        is_it.then(|| values.finish())
    })
}

/// Returns the target of a record: that of the macros of `log`, if none is stated, is the path of the module.
#[inline]
fn target<'r>(record: &'r Record<'_>) -> Text<'r> {
    match record.module_path_static() {
        Some(path) if std::ptr::eq(path, record.target()) => Text::Static(path),
        _ => Text::Other(record.target()),
    }
}

/// Encodes the span that the thread is in, and the message.
fn encode_leading(values: &mut DynamicValues<'_>, record: &Record<'_>) {
    values.id(crate::span::stack::current().id());
    match record.args().as_str() {
        Some(text) => values.str(text),
        None => values.message(record.args()),
    }
}

/// The keys of a record.
#[derive(Clone, Copy)]
struct KeysOf<'r>(&'r Record<'r>);

impl Keys for KeysOf<'_> {
    #[inline]
    fn are_names_of(&self, fields: &[Field]) -> bool {
        let mut comparison = Comparison { rest: fields.iter(), left: PAIRS_MAX, is_equal: true };
        let _ = self.0.key_values().visit(&mut comparison); // as when the values are encoded
        comparison.is_equal && comparison.rest.len() == 0
    }

    fn to_vec(&self) -> Vec<&str> {
        let mut keys = Collected(Vec::new());
        let _ = self.0.key_values().visit(&mut keys); // as above
        keys.0
    }
}

/// Copies of the keys of a record.
struct Collected<'kvs>(Vec<&'kvs str>);

impl<'kvs> VisitSource<'kvs> for Collected<'kvs> {
    fn visit_pair(&mut self, key: Key<'kvs>, _: Value<'kvs>) -> Result<(), kv::Error> {
        self.0.extend(recorded(&key).filter(|_| self.0.len() < PAIRS_MAX));
        Ok(())
    }
}

/// Returns the text of a key that is recorded. One that does not live as long as the record cannot be kept; no source
/// of `log` has one.
#[inline]
fn recorded<'kvs>(key: &Key<'kvs>) -> Option<&'kvs str> {
    key.to_borrowed_str()
}

/// Compares the keys of a record with the names of fields.
struct Comparison<'f> {
    /// Fields that the next keys are compared with.
    rest: std::slice::Iter<'f, Field>,
    /// Number of keys that are still compared.
    left: usize,
    is_equal: bool,
}

impl<'kvs> VisitSource<'kvs> for Comparison<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, _: Value<'kvs>) -> Result<(), kv::Error> {
        let Some(key) = recorded(&key).filter(|_| self.left > 0) else { return Ok(()) };
        self.left -= 1;
        self.is_equal &= self.rest.next().is_some_and(|field| field.name == key);
        if self.is_equal { Ok(()) } else { Err(kv::Error::msg("another key")) }
    }
}

/// Encodes the values of a record, and compares its keys with the names of the fields if `COMPARES`.
struct Encoder<'v, 'b, const COMPARES: bool> {
    values: &'v mut DynamicValues<'b>,
    fields: &'static [Field],
    /// Number of keys so far.
    count: usize,
    is_equal: bool,
}

impl<'kvs, const COMPARES: bool> VisitSource<'kvs> for Encoder<'_, '_, COMPARES> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        let Some(key) = recorded(&key) else { return Ok(()) };
        match self.fields.get(self.count) {
            Some(field) if !COMPARES || field.name == key => self.count += 1,
            None if !COMPARES || self.count == PAIRS_MAX => return Ok(()),
            _ => {
                self.is_equal = false;
                return Err(kv::Error::msg("another key"));
            }
        }
        let left = self.values.left();
        let result = value.visit(&mut OneValue(self.values));
        // Whatever the value did, the next one has the place of its own key.
        if self.values.left() == left {
            self.values.absent();
        }
        result
    }
}

/// Encodes one value.
struct OneValue<'v, 'b>(&'v mut DynamicValues<'b>);

/// The key-values of a record as one text.
struct KeyValues<'a, 'r>(&'a Record<'r>);

impl std::fmt::Display for KeyValues<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        struct Pairs<'a, 'f> {
            to: &'a mut std::fmt::Formatter<'f>,
            separator: &'static str,
        }
        impl<'kvs> VisitSource<'kvs> for Pairs<'_, '_> {
            fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
                write!(self.to, "{}{key}={value:?}", self.separator)?;
                self.separator = " ";
                Ok(())
            }
        }
        // An error means that the room is used up, or that the source stops halfway.
        let _ = self.0.key_values().visit(&mut Pairs { to: f, separator: "" });
        Ok(())
    }
}

impl<'v> VisitValue<'v> for OneValue<'_, '_> {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.0.display(&value);
        Ok(())
    }
    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.0.unit();
        Ok(())
    }
    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.0.u64(value);
        Ok(())
    }
    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.0.i64(value);
        Ok(())
    }
    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        self.0.u128(value);
        Ok(())
    }
    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        self.0.i128(value);
        Ok(())
    }
    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.0.f64(value);
        Ok(())
    }
    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.0.bool(value);
        Ok(())
    }
    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.0.str(value);
        Ok(())
    }
    fn visit_char(&mut self, value: char) -> Result<(), kv::Error> {
        self.0.char(value);
        Ok(())
    }
    fn visit_error(&mut self, error: &(dyn std::error::Error + 'static)) -> Result<(), kv::Error> {
        self.0.error(error);
        Ok(())
    }
    // By default an error that lives as long as the record is visited as any value.
    fn visit_borrowed_error(&mut self, error: &'v (dyn std::error::Error + 'static)) -> Result<(), kv::Error> {
        self.visit_error(error)
    }
}
