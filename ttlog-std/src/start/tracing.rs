//! The start of a recorder for events of `tracing`.

use tracing_core::Subscriber;
use tracing_core::dispatcher::{Dispatch, set_global_default};
use tracing_subscriber::registry::LookupSpan;

use super::init::start_in_any_case;
use crate::bridge::layer::{self, RecorderLayer};
use crate::bridge::subscriber::subscriber;
use crate::recorder::Recorder;
use crate::sys::report;

/// Starts recording in any case, makes the recorder the subscriber of the process, and returns the handle.
///
/// For programs that want nothing but the recorder; one that has a subscriber adds a [`layer`](crate::tracing::layer) to
/// it. All options have their defaults, and can be changed by environment variables. Like
/// [`Recorder::init`], it reports problems in one line on stderr, an existing subscriber among them.
///
/// ```
/// let recorder = ttlog_std::tracing::init("shop");
/// tracing::info!(symbol = "ACME", quantity = 5, "order executed");
/// # recorder.shutdown();
/// ```
pub fn init(service: &str) -> Recorder {
    let recorder = start_in_any_case(service);
    if set_global_default(Dispatch::new(subscriber())).is_err() {
        report::warn(format_args!(
            "the process has a subscriber of `tracing` already, so its events are not recorded; add a layer to it"
        ));
    }
    recorder
}

impl Recorder {
    /// Returns a layer that records events and spans of `tracing`: the same as
    /// [`tracing::layer`](crate::tracing::layer()).
    #[must_use]
    pub fn layer<S>(&self) -> RecorderLayer<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        layer::layer()
    }
}
