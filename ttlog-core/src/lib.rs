//! The flight recorder's core: rings, records, callsites, snapshots, and the wire format of all of them.
//!
//! An event goes, in a few stores, into a fixed-size ring in memory that survives the program. This crate is what a library
//! uses to log under whichever recorder the program has, and what recorders and viewers are built from. It is `no_std` and
//! does not allocate.
//!
//! - **Bounded**: a ring is as large as it was made; a record is at most a segment; texts are capped and say so.
//! - **Never blocks**: no lock, no allocation, no system call, here or in what the macros expand to.
//! - **When full**, the oldest segment's events are replaced, and counted as overwritten. Nothing waits.
//! - **Lost** are events that were overwritten, and those refused because no segment was free or could hold them; both are
//!   counted where a reader finds them. An event whose macro has returned is one or the other, or retained.
//! - **Bytes from outside are hostile**: readers here do not panic, do not allocate, and take time in proportion to the bytes.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`level`], [`callsite`] | what is known at compile time, and whether it is on |
//! | [`filter`] | directives such as `info,my_crate::net=debug` |
//! | [`value`], [`capture`], [`fields`] | what an event carries |
//! | [`record`], [`packed`] | how it is encoded |
//! | [`ring`] | where it goes |
//! | [`table`] | what is written once: process, callsites |
//! | [`site_text`] | what a device's callsites say, outside its flash |
//! | [`secret`] | which fields are withheld from snapshots and exports |
//! | `frame` | what devices send over byte streams (feature `frames`) |
//! | [`clock`] | ticks and wall-clock time |
//! | [`snapshot`] | what is kept and sent |
//! | [`recorder`] | the recorder that the macros of this crate write to |
//! | `plugin` | a library that is loaded at run time, and logs into the program's recorder (not on devices) |
//!
//! The format is described in `docs/format.md`, the design in `docs/architecture.md`.
#![no_std]
// The boot of devices and other things are in no model, and what only they use is not used then.
#![cfg_attr(loom, allow(dead_code, unused_imports))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;
// The macros' expansions name this crate by `$crate`; its own doc tests by its name.
extern crate self as ttlog_core;

#[cfg(ttlog_no_swap)]
compile_error!(
    "this target has no compare-and-swap: enable the feature `single-core` of ttlog-core or ttlog-embedded if it has one core, else \
     `critical-section` with an implementation of the crate critical-section"
);

pub mod clock;
pub mod device;
pub mod error;
pub mod event;
mod macros;
mod memory;
pub mod record;
pub mod recorder;
pub mod ring;
pub mod snapshot;
pub mod table;

#[cfg(feature = "frames")]
pub use device::frame;
#[cfg(ttlog_sites)]
pub use device::site;
pub use event::{callsite, capture, fields, filter, level, secret};
#[cfg(ttlog_kill_points)]
pub use memory::kill;
pub use record::{packed, value};
#[cfg(not(target_os = "none"))]
pub use recorder::plugin;
pub use table::site_text;

pub use clock::{Anchor, TimeScale};
pub use error::{FormatError, FormatErrorKind};
pub use event::callsite::{Callsite, Metadata};
pub use event::capture::Value;
pub use event::fields::{AnyFields, Fields, TypeList};
pub use event::filter::{Filter, FilterError};
pub use event::level::Level;
pub use memory::crc::crc32;
pub use memory::word::Word;
pub use record::ContextInfo;
pub use record::value::{Bytes, Type, ValueRef};
pub use ring::{DropReason, Item, Loss, Record, Ring, RingConfig, RingError, RingImage, Segment, SegmentState};
pub use table::{CallsiteInfo, EntryStart, FieldInfo, ProcessInfo, TableItem, encode_callsite, encode_process};

/// What the macros expand to. Not for use by hand; may change in any version.
#[doc(hidden)]
pub mod __private {
    pub use crate::event::callsite::{Callsite, Field, Literal, Metadata};
    pub use crate::event::capture::{
        Bare, Templ, TemplDebug, Value, ViaBoxedError, ViaDebug, ViaDisplay, ViaError, ViaNothing, ViaValue, debug,
        display,
    };
    pub use crate::event::fields::{Cons, Nil};
    pub use crate::event::level::{Level, is_kept, level_enabled};
    #[cfg(not(ttlog_sites))]
    pub use crate::recorder::install::record;
    #[cfg(ttlog_sites)]
    pub use crate::{
        __ttlog_record_site as record_site,
        device::site::{SiteText, is_level_on, record, tag_word},
        event::fields::Fields,
        table::site_text::encoded_len as text_len,
    };
    #[cfg(ttlog_sites)]
    pub use ttlog_macros::device_event as event;
    #[cfg(not(ttlog_sites))]
    pub use ttlog_macros::event;
}
