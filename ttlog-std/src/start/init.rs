//! The two ways in which a program gets its [`Recorder`]: the short form and the full one.

use super::builder::Builder;
use crate::config::error::InitError;
use crate::recorder::Recorder;
use crate::sys::report;

impl Recorder {
    /// Starts recording in any case, and returns the handle.
    ///
    /// `event_capacity` is converted to bytes at 40 per event, which is generous for events with a few fields (most
    /// need 16 to 32), and rounded up to whole segments. `channel_capacity` is the number of snapshot requests that can
    /// wait. `service` is the name of the ring and its snapshots.
    ///
    /// Capacities out of range ([`CAPACITY_BYTES_MIN`](crate::CAPACITY_BYTES_MIN) to
    /// [`CAPACITY_BYTES_MAX`](crate::CAPACITY_BYTES_MAX), and 1 to
    /// [`CHANNEL_CAPACITY_MAX`](crate::CHANNEL_CAPACITY_MAX)) are moved to the nearest limit. An environment variable
    /// with an invalid value is ignored. If there is no place for a ring file, the ring is on the heap, and does not
    /// outlive the process. A second call returns the existing recorder. Each of these is reported in one line on
    /// stderr. To control any of this, see [`builder`](Self::builder).
    ///
    /// All levels are recorded; [`set_level`](Self::set_level) restricts that.
    ///
    /// # Panics
    /// Never.
    pub fn init(event_capacity: usize, channel_capacity: usize, service: &str) -> Recorder {
        let builder =
            Builder::new().service(service).event_capacity(event_capacity).channel_capacity(channel_capacity).clamped();
        build_in_any_case(builder)
    }

    /// Returns a builder: the full form of [`init`](Self::init), which returns errors.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

/// Starts a recorder with the default options; a second call returns the existing one. Reports problems on stderr.
#[cfg(any(feature = "tracing", feature = "log"))]
pub(super) fn start_in_any_case(service: &str) -> Recorder {
    build_in_any_case(Builder::new().service(service).clamped())
}

fn build_in_any_case(builder: Builder) -> Recorder {
    match builder.build() {
        Ok(recorder) => recorder,
        Err(InitError::AlreadyInitialized) => {
            report::warn(format_args!("initialized a second time; the first recorder continues unchanged"));
            Recorder::current().unwrap_or(Recorder::off())
        }
        Err(error) => {
            report::warn(format_args!("nothing is recorded: {error}"));
            Recorder::off()
        }
    }
}
