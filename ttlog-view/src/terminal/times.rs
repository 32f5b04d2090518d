//! Times as the user sees them; a local time zone that cannot be read is reported once.

use std::sync::Once;

use ttlog_read::text::time::{TimeFormatter, TimeStyle};
use ttlog_read::text::zone;

use super::complain;

/// Creates a formatter for text.
#[must_use]
pub fn formatter(style: TimeStyle, digits: usize) -> TimeFormatter {
    // Whatever the times of events are, some lines have a date.
    if style != TimeStyle::Utc {
        report_zone();
    }
    TimeFormatter::new(style, digits)
}

/// Reports that local times are UTC because the time zone cannot be read, if so, at the first call.
pub fn report_zone() {
    static REPORTED: Once = Once::new();
    REPORTED.call_once(|| {
        if let Some(problem) = zone::problem() {
            complain(problem);
        }
    });
}
