//! The log macros.
//!
//! Each is a front end of one procedural macro and passes it `$crate`, so that the expansion finds this crate under any
//! name that the program gives it. docs/log-macros.md describes the syntax; [`info!`](crate::info) includes it.

/// Records an event at level trace: fine-grained steps, off in most builds.
///
/// The syntax is that of [`info!`](crate::info).
///
/// ```
/// let bytes = [1_u8, 2, 3];
/// ttlog_std::trace!("frame received", bytes, len = bytes.len());
/// ```
#[macro_export]
macro_rules! trace {
    ($($event:tt)*) => {
        $crate::__private::event!([$crate] [Trace] $($event)*)
    };
}

/// Records an event at level debug: details that help to find a fault.
///
/// The syntax is that of [`info!`](crate::info).
///
/// ```
/// let attempt = 2_u8;
/// ttlog_std::debug!("attempt {attempt} of {}", 3);
/// ```
#[macro_export]
macro_rules! debug {
    ($($event:tt)*) => {
        $crate::__private::event!([$crate] [Debug] $($event)*)
    };
}

/// Records an event at level info. All log macros share its syntax, described below.
///
/// ```
/// let (user, took_ms) = (7_u64, 12.345);
/// ttlog_std::info!("user {user} served", took_ms, status = 200);
/// ```
///
#[doc = include_str!("../docs/log-macros.md")]
///
/// [`Value`]: crate::Value
#[macro_export]
macro_rules! info {
    ($($event:tt)*) => {
        $crate::__private::event!([$crate] [Info] $($event)*)
    };
}

/// Records an event at level warn: something is off, but the program goes on.
///
/// The syntax is that of [`info!`](crate::info).
///
/// ```
/// let free_bytes = 4096_u64;
/// ttlog_std::warn!(free_bytes, "disk almost full");
/// ```
#[macro_export]
macro_rules! warn {
    ($($event:tt)*) => {
        $crate::__private::event!([$crate] [Warn] $($event)*)
    };
}

/// Records an event at level error: a failure.
///
/// The syntax is that of [`info!`](crate::info).
///
/// ```
/// if let Err(error) = "x".parse::<u32>() {
///     ttlog_std::error!("bad number", error, input = "x");
/// }
/// ```
#[macro_export]
macro_rules! error {
    ($($event:tt)*) => {
        $crate::__private::event!([$crate] [Error] $($event)*)
    };
}

/// Records an event at a level given as a constant.
///
/// The level comes first, then the arguments of [`info!`](crate::info); a `target:` may stand before or after the level.
///
/// ```
/// use ttlog_std::{Level, event};
///
/// const LEVEL: Level = Level::Warn;
/// event!(LEVEL, "disk almost full", free_percent = 3);
/// event!(Level::Info, target: "audit", "logged in", user = 7);
/// ```
#[macro_export]
macro_rules! event {
    ($($event:tt)*) => {
        $crate::__private::event!([$crate] [] $($event)*)
    };
}
