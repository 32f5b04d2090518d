//! Core of the flight recorder: rings, records, callsites, snapshots, and the format of all of them.
//!
//! An event takes a few stores into a fixed-size ring in memory that survives the program. Libraries use this crate to
//! log under any recorder the program has; recorders and viewers are built from it. It is `no_std` and does not
//! allocate.
//!
//! - **Bounded**: the size of a ring is fixed; a record is at most as long as a segment; texts are capped and marked as
//!   cut.
//! - **Never blocks**: no lock, no allocation and no system call, neither here nor in the expansions of the macros.
//! - **When full**, new events replace those of the oldest segment, which are counted as overwritten. Nothing waits.
//! - **Lost** events are those that were overwritten, and those refused because no segment was free or could hold them.
//!   Readers find both counts. An event whose macro has returned is overwritten, refused or retained.
//! - **Bytes from outside are hostile**: readers here do not panic or allocate, and take time in proportion to the
//!   bytes.
//!
//! | module | content |
//! | --- | --- |
//! | [`clock`], [`mod@error`] | ticks and wall-clock time; errors of bytes from outside |
//! | [`mod@record`] | encoding of events: header word, values, types |
//! | [`mod@event`] | callsites, levels, fields, filters, secrets |
//! | [`recorder`] | the recorder that the macros of this crate write to; plugins, which log into the program's |
//! | [`table`] | entries written once: process, callsites |
//! | [`ring`] | memory that events are recorded in, and its readers |
//! | [`device`] | the ring of a device: taking it over after a reset, and sending it |
//! | [`mod@span`] | spans, and the traces of several processes |
//! | [`snapshot`] | copies of a ring, to save and to send: writer, reader, file names |
//!
//! [`docs/format.md`](_documentation::format) specifies the format,
//! [`docs/architecture.md`](_documentation::architecture) the design.
#![no_std]
// The models leave out some parts, such as the boot of devices, and with them the users of some items.
#![cfg_attr(loom, allow(dead_code, unused_imports))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;
// The expansions of the macros name this crate `$crate`; its own doc tests use its name.
extern crate self as ttlog_core;

#[cfg(ttlog_no_swap)]
compile_error!(
    "this target has no compare-and-swap: enable the feature `single-core` of ttlog-core or ttlog-embedded if it has \
     one core, else `critical-section` with an implementation of the crate critical-section"
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
pub mod span;
pub mod table;

#[cfg(ttlog_kill_points)]
pub use memory::kill;

pub use clock::{Anchor, TimeScale};
pub use error::{FormatError, FormatErrorKind};
pub use event::capture::{Element, Value};
pub use event::filter::{Filter, FilterError};
pub use event::{AnyFields, Callsite, Fields, Level, Metadata, SpanContext, TypeList};
pub use memory::crc::crc32;
pub use memory::word::Word;
pub use record::{Bytes, ContextInfo, Type, UnixTime, UuidBytes, ValueRef};
pub use ring::{DropReason, Item, Loss, Record, Ring, RingConfig, RingError, RingImage, Segment, SegmentState};
pub use span::{Entered, InSpan, InSpanExt, Scope, Span, TraceId, Traceparent};
pub use table::{CallsiteInfo, EntryStart, FieldInfo, ProcessInfo, TableItem, encode_callsite, encode_process};
pub use ttlog_macros::Value;
/// Runs a function in a span of its own; see [`info_span!`].
pub use ttlog_macros::instrument_core as instrument;

/// The documents that this crate implements.
pub mod _documentation {
    // The first definition of a link counts: here the page of the documentation, on its own the file.
    #[doc = "[format.md]: crate::_documentation::format\n"]
    #[doc = include_str!("../docs/architecture.md")]
    pub mod architecture {}
    #[doc = include_str!("../docs/format.md")]
    pub mod format {}
}

/// Support for the expansions of the macros. Not for direct use; can change in any version.
#[doc(hidden)]
pub mod __private {
    pub use crate::event::capture::{
        Bare, Templ, TemplDebug, Value, ViaDebug, ViaDisplay, ViaNothing, ViaValue, debug, display,
    };
    pub use crate::event::error_chain::ViaError;
    pub use crate::event::shown::{AsDebug, AsDisplay, ViaOwnDebug, ViaOwnDisplay};
    pub use crate::event::{
        Callsite, Cons, Field, Level, Literal, Metadata, Nil, Role, Shown, is_priority, level_enabled,
    };
    #[cfg(not(ttlog_device_callsites))]
    pub use crate::recorder::install::record;
    pub use crate::span::start::{
        NO_SPAN, contextual, event_parent, parent_of_event, root, scope, span as span_of, under, updated,
    };
    #[cfg(not(ttlog_device_callsites))]
    pub use crate::span::start::{current_id, start};
    pub use crate::span::{Scope, Span, SpanStart};

    /// Never called: its type is what the expansion of `#[instrument]` needs.
    #[must_use]
    pub fn never<T>() -> T {
        unreachable!("never called")
    }
    #[cfg(ttlog_device_callsites)]
    pub use crate::{
        __ttlog_record_callsite as record_callsite,
        device::callsite::{CallsiteText, is_level_on, record, tag_word},
        event::Fields,
        table::callsite_text::encoded_len as text_len,
    };
    pub use ttlog_macros::{ValueOfEmbedded, ValueOfStd};
    #[cfg(ttlog_device_callsites)]
    pub use ttlog_macros::{device_event as event, device_span as span};
    #[cfg(not(ttlog_device_callsites))]
    pub use ttlog_macros::{event, span};

    /// Support for the expansion of `#[derive(Value)]`.
    pub mod derive {
        pub use crate::event::capture::{Element, Value};
        pub use crate::event::nested::{Nested, NoTexts};
        pub use crate::event::walk::{Texts, Walk, as_debug, as_display};
        pub use crate::record::{EnumType, Member, StructType, Type};
    }
}
