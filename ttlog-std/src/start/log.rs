//! The start of a recorder for records of `log`.

use super::init::start_in_any_case;
use crate::bridge::logger::{Logger, logger};
use crate::recorder::Recorder;
use crate::sys::report;

/// Starts recording in any case, makes the recorder the logger of the process, and returns the handle.
///
/// For programs that want nothing but the recorder; one that has a logger puts it [beside](Logger::beside). All options
/// have their defaults, and can be changed by environment variables. Like [`Recorder::init`], it reports problems in
/// one line on stderr, an existing logger among them.
///
/// ```
/// let recorder = ttlog_std::log::init("shop");
/// log::info!(quantity = 5; "order executed");
/// # recorder.shutdown();
/// ```
pub fn init(service: &str) -> Recorder {
    let recorder = start_in_any_case(service);
    if logger().install().is_err() {
        report::warn(format_args!(
            "the process has a logger already, so records of `log` are not recorded; put it beside ours"
        ));
    }
    recorder
}

impl Recorder {
    /// Returns a logger for records of `log`: the same as [`log::logger`](crate::log::logger).
    #[must_use = "it does nothing before `install`"]
    pub fn logger(&self) -> Logger {
        logger()
    }
}
