//! The local time zone, and where it cannot be found.

use std::sync::OnceLock;

use jiff::tz::TimeZone;

use super::escape::escaped;

/// File that names the time zone of the machine.
const LOCALTIME: &str = "/etc/localtime";

/// The local time zone.
#[derive(Debug)]
struct LocalZone {
    zone: TimeZone,
    /// Whether it is known. Otherwise times are UTC, and say so.
    is_known: bool,
    problem: Option<String>,
}

fn local_zone() -> &'static LocalZone {
    static ZONE: OnceLock<LocalZone> = OnceLock::new();
    ZONE.get_or_init(|| match TimeZone::try_system() {
        Ok(zone) => LocalZone { zone, is_known: true, problem: None },
        Err(_) => LocalZone { zone: TimeZone::UTC, is_known: false, problem: explain() },
    })
}

/// Returns the local time zone; UTC if it is unknown.
#[must_use]
pub fn local() -> TimeZone {
    local_zone().zone.clone()
}

/// Returns whether the local time zone is known.
#[must_use]
pub fn is_known() -> bool {
    local_zone().is_known
}

/// Returns a sentence about why local times are shown and read in UTC, if a time zone is set that cannot be found. (A
/// machine without any is in UTC.)
#[must_use]
pub fn problem() -> Option<&'static str> {
    local_zone().problem.as_deref()
}

fn explain() -> Option<String> {
    let (name, by) = match std::env::var_os("TZ") {
        Some(name) => (name.to_string_lossy().into_owned(), "the variable TZ"),
        None => {
            std::fs::symlink_metadata(LOCALTIME).ok()?;
            let target = std::fs::read_link(LOCALTIME).unwrap_or_else(|_| LOCALTIME.into());
            let target = target.to_string_lossy().into_owned();
            (target.rsplit_once("zoneinfo/").map_or(target.clone(), |(_, name)| name.to_owned()), LOCALTIME)
        }
    };
    let reason = if jiff::tz::db().is_definitively_empty() {
        "this machine has no database of time zones"
    } else {
        "the database of time zones does not have it"
    };
    Some(format!("the time zone `{}` of {by} cannot be read: {reason}. Times are in UTC", escaped(&name)))
}
