//! Reads TTLog recordings: snapshots, the rings of running and dead processes, and recordings of devices.
//!
//! This is the reading side of the program `ttlog-view`, for programs that want the events themselves: open files,
//! query them, and iterate over the events in order of time.
//!
//! ```no_run
//! use ttlog_read::{Query, Secrets, Timeline};
//!
//! let inputs = ttlog_read::open(&["crash.bin"]);
//! for line in inputs.errors.iter().chain(&inputs.remarks) {
//!     eprintln!("{line}");
//! }
//! let sources = inputs.sources(&Secrets::default())?;
//! let query = Query { filter: "level>=WARN".parse()?, ..Query::default() };
//! let mut timeline = Timeline::read(&sources, &query, &mut ());
//! let mut events = timeline.events();
//! while let Some(event) = events.next_event() {
//!     println!("{:?} {:?} {}", event.unix_ns(), event.level(), event.message());
//!     for (name, value) in event.fields() {
//!         println!("    {name} = {value}");
//!     }
//!     for span in event.spans() {
//!         println!("    in {:?}, {} ns so far", span.name(), span.total_ns());
//!     }
//! }
//! for open in timeline.open_spans(0) {
//!     println!("in the middle of {:?} {:?}", open.span.name(), open.span.fields());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | [`source`] | reads files and recognizes their contents; reports the process, its end, and what was lost |
//! | [`query`] | conditions, limits in time, and how many events are wanted |
//! | [`timeline`] | the events of all sources in order of time, with marks where some are missing; trees of spans |
//! | [`span`] | lives of spans: when they were entered and left, by whom, and whether they are open |
//! | [`event`] | field values, messages, and which values are withheld |
//! | [`text`] | makes logged text harmless to a terminal; times and numbers as people read them |
//!
//! - **A file can hold several recordings.** Each is a source of its own.
//! - **Files are hostile.** Whatever they hold, nothing panics, memory stays in proportion to what they really
//!   contain, and what is intact comes out.
//! - **Nothing is mapped**, so a file can be truncated while it is read. A running process is not disturbed.
//! - **Nothing is hidden.** What was overwritten, dropped or damaged is counted ([`Source::loss`],
//!   [`Timeline::found`]), and marked in the timeline where it is missing.
//! - **Secrets are withheld** unless [`Secrets::new`] says otherwise.
//! - **Nothing is printed**, and no command line is read. Messages are returned, and [`timeline::Progress`] receives
//!   the progress of reading.
//!
//! The feature `defmt` (on by default) decodes what firmware logs with defmt; `probe` reads devices through a debug
//! probe.

pub mod event;
pub mod query;
pub mod source;
pub mod span;
pub mod text;
pub mod timeline;

pub use event::secrets::Secrets;
pub use event::value::FieldValue;
pub use query::{Filter, Query};
pub use source::device::load::Firmwares;
pub use source::{Inputs, Source};
pub use timeline::{Event, Timeline};

/// Reads files: snapshots, rings, directories that contain them, and patterns such as `/tmp/ttlog-*.bin`. `-` is
/// standard input.
///
/// [`Inputs::errors`] lists what could not be read. [`Inputs::read`] also takes the firmware files that name the
/// events of devices.
#[must_use]
pub fn open<N: AsRef<str>>(names: &[N]) -> Inputs {
    Inputs::read(names, &Firmwares::default())
}
