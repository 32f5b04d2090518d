//! Records of `log` that came through `tracing-log`: events whose target, file and line are values.

use std::cell::Cell;
use std::fmt::Debug;

use tracing_core::Event;
use tracing_core::field::{Field, Visit};
use ttlog_core::event::dynamic::DynamicValues;

use super::level::from_tracing;
use super::log_sites::{LogSite, RecordSource, Text, enabled_site};

/// Longest target and longest path of a file, in bytes; the rest is cut.
const TEXT_LEN_MAX: usize = 256;

thread_local! {
    /// Whether the thread's record is being passed on by our logger, which has recorded it already.
    static IS_PASSED_ON: Cell<bool> = const { Cell::new(false) };
}

/// Calls `pass_on`, during which events of `tracing-log` are not recorded.
#[cfg(feature = "log")]
pub(crate) fn passing_on(pass_on: impl FnOnce()) {
    /// Ends it, after a panic too.
    struct End(bool);
    impl Drop for End {
        fn drop(&mut self) {
            let _ = IS_PASSED_ON.try_with(|passed| passed.set(self.0)); // an error means that the thread ends
        }
    }
    let _end = End(IS_PASSED_ON.try_with(|passed| passed.replace(true)).unwrap_or(false));
    pass_on();
}

/// Records an event of `tracing-log` under its real target, file and line. `span` is the recorded id of the span that
/// it belongs to; 0: none.
#[cold]
pub(crate) fn record(event: &Event<'_>, span: u64) {
    if IS_PASSED_ON.try_with(Cell::get).unwrap_or(false) {
        return;
    }
    let mut place = Place { target: Short::new(), file: Short::new(), line: 0 };
    event.record(&mut place);
    let (target, file) = (place.target.text(), place.file.text());
    let level = from_tracing(event.metadata().level());
    let source =
        RecordSource { level, target: Text::Other(target), file: Text::Other(file), line: place.line, keys: () };
    match enabled_site(&source, source.hash()) {
        None => {}
        Some(LogSite::Own(site)) => site.record(|out| {
            let mut values = DynamicValues::new(out, 2);
            values.id(span);
            event.record(&mut Message(&mut values));
            values.finish()
        }),
        Some(LogSite::Shared(site)) => site.record(|out| {
            let mut values = DynamicValues::new(out, 6);
            values.id(span);
            event.record(&mut Message(&mut values));
            values.str(target);
            values.str(file);
            values.u64(u64::from(place.line));
            values.finish()
        }),
    }
}

/// Place of a record in the program.
struct Place {
    target: Short,
    file: Short,
    line: u32,
}

impl Visit for Place {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.target.set(value),
            "log.file" => self.file.set(value),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "log.line" {
            self.line = u32::try_from(value).unwrap_or(0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// Encodes the message.
struct Message<'v, 'b>(&'v mut DynamicValues<'b>);

impl Visit for Message<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.str(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.message(value);
        }
    }
}

/// A text of bounded length, on the stack.
struct Short {
    bytes: [u8; TEXT_LEN_MAX],
    len: usize,
}

impl Short {
    fn new() -> Self {
        Short { bytes: [0; TEXT_LEN_MAX], len: 0 }
    }

    fn set(&mut self, text: &str) {
        let text = crate::sys::cut(text, TEXT_LEN_MAX);
        self.len = text.len();
        self.bytes[..text.len()].copy_from_slice(text.as_bytes());
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}
