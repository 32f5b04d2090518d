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
/// ttlog_core::trace!("frame received", bytes, len = bytes.len());
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
/// ttlog_core::debug!("attempt {attempt} of {}", 3);
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
/// ttlog_core::info!("user {user} served", took_ms, status = 200);
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
/// ttlog_core::warn!(free_bytes, "disk almost full");
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
///     ttlog_core::error!("bad number", error, input = "x");
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
/// use ttlog_core::{Level, event};
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

/// Starts a span at a level given as a constant, and returns it as a [`Span`](crate::Span), which ends when it is dropped.
///
/// The level comes first, then the arguments of [`info_span!`](crate::info_span!).
///
/// ```
/// use ttlog_core::{Level, info, span};
///
/// let span = span!(Level::Info, "request", method = "GET", path = "/");
/// span.in_scope(|| info!("accepted"));
/// ```
#[macro_export]
macro_rules! span {
    ($($span:tt)*) => {
        $crate::__private::span!([$crate] [] [span] $($span)*)
    };
}

/// Starts a span at level trace. The syntax is that of [`info_span!`](crate::info_span!).
#[macro_export]
macro_rules! trace_span {
    ($($span:tt)*) => {
        $crate::__private::span!([$crate] [Trace] [span] $($span)*)
    };
}

/// Starts a span at level debug. The syntax is that of [`info_span!`](crate::info_span!).
#[macro_export]
macro_rules! debug_span {
    ($($span:tt)*) => {
        $crate::__private::span!([$crate] [Debug] [span] $($span)*)
    };
}

/// Starts a span at level info, and returns it as a [`Span`](crate::Span), which ends when it is dropped. All macros of
/// spans share its syntax, described below.
///
/// ```
/// let (method, path) = ("GET", "/");
/// let span = ttlog_core::info_span!("request", method, path, version = 2);
/// let _entered = span.enter();
/// ttlog_core::info!("accepted"); // belongs to the span
/// ```
///
#[doc = include_str!("../docs/spans.md")]
#[macro_export]
macro_rules! info_span {
    ($($span:tt)*) => {
        $crate::__private::span!([$crate] [Info] [span] $($span)*)
    };
}

/// Starts a span at level warn. The syntax is that of [`info_span!`](crate::info_span!).
#[macro_export]
macro_rules! warn_span {
    ($($span:tt)*) => {
        $crate::__private::span!([$crate] [Warn] [span] $($span)*)
    };
}

/// Starts a span at level error. The syntax is that of [`info_span!`](crate::info_span!).
#[macro_export]
macro_rules! error_span {
    ($($span:tt)*) => {
        $crate::__private::span!([$crate] [Error] [span] $($span)*)
    };
}

/// Starts and enters a span at a level given as a constant, and returns a [`Scope`](crate::Scope): when this is dropped,
/// the span is left and ends. That takes two records, where [`span!`](crate::span!) takes four.
///
/// The level comes first, then the arguments of [`info_span!`](crate::info_span!).
///
/// ```
/// use ttlog_core::{Level, info, scope};
///
/// let _scope = scope!(Level::Info, "parse", bytes = 512_u32);
/// info!("begins"); // belongs to the span
/// ```
#[macro_export]
macro_rules! scope {
    ($($span:tt)*) => {
        $crate::__private::span!([$crate] [] [scope] $($span)*)
    };
}

/// Starts and enters a span at level trace; see [`scope!`](crate::scope!).
#[macro_export]
macro_rules! trace_scope {
    ($($span:tt)*) => {
        $crate::__private::span!([$crate] [Trace] [scope] $($span)*)
    };
}

/// Starts and enters a span at level debug; see [`scope!`](crate::scope!).
#[macro_export]
macro_rules! debug_scope {
    ($($span:tt)*) => {
        $crate::__private::span!([$crate] [Debug] [scope] $($span)*)
    };
}

/// Starts and enters a span at level info; see [`scope!`](crate::scope!).
#[macro_export]
macro_rules! info_scope {
    ($($span:tt)*) => {
        $crate::__private::span!([$crate] [Info] [scope] $($span)*)
    };
}

/// Starts and enters a span at level warn; see [`scope!`](crate::scope!).
#[macro_export]
macro_rules! warn_scope {
    ($($span:tt)*) => {
        $crate::__private::span!([$crate] [Warn] [scope] $($span)*)
    };
}

/// Starts and enters a span at level error; see [`scope!`](crate::scope!).
#[macro_export]
macro_rules! error_scope {
    ($($span:tt)*) => {
        $crate::__private::span!([$crate] [Error] [scope] $($span)*)
    };
}

/// Records values of a span that were not known at its start, or have changed.
///
/// The span comes first: a [`Span`](crate::Span), a [`Scope`](crate::Scope), or the `context()` of one. Then come fields
/// as in [`info_span!`](crate::info_span!). If the span is off, they are not evaluated.
///
/// ```
/// use ttlog_core::{info_span, record};
///
/// let span = info_span!("request");
/// record!(span, status = 200_u16, sent_bytes = 5_012_u64);
/// ```
#[macro_export]
macro_rules! record {
    ($($span:tt)*) => {
        $crate::__private::span!([$crate] [] [record] $($span)*)
    };
}
