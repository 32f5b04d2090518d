//! The device side of the TTLog flight recorder.
//!
//! What is here now: the log macros and the parts of [`ttlog_core`] from which a firmware builds its recorder, under one name, without
//! std and without allocation, for targets with and without atomic compare-and-swap (feature `critical-section`). Clocks, retained
//! memory, serial and RTT sinks, and fault handlers are not: a firmware brings its own.
//!
//! A recorder is a [`Ring`] on memory that the firmware chooses, a [`Cursor`] for each context that writes alone, and a [`Recorder`]
//! that the macros write to:
//!
//! ```
//! use ttlog_embedded::{Ring, RingConfig, Word};
//!
//! // On a device: a static in a section that a reset does not clear.
//! static MEMORY: [Word; 256] = [const { Word::new(0) }; 256];
//!
//! let config = RingConfig { ring_id: 1, segment_len: 256, table_len: 512, anchor_count: 2, ..RingConfig::PLAIN };
//! let ring = Ring::create(&MEMORY, &config).expect("2 KiB hold such a ring");
//! assert_eq!(ring.segment_count(), 5);
//! ```
//!
//! What a ring promises, when it drops events and what it costs stands in [`ttlog_core`].
#![no_std]

pub use ttlog_core::recorder::{Recorder, install};
pub use ttlog_core::ring::{Cursor, Outcome};
pub use ttlog_core::{
    AnyFields, Bytes, Callsite, ContextInfo, DropReason, Level, Loss, Metadata, Ring, RingConfig, RingError, RingImage,
    Value, Word,
};
pub use ttlog_core::{debug, error, event, info, trace, warn};
