//! The log macros.
//!
//! Each is a thin front end of one procedural macro, to which it passes `$crate`, so that the expansion finds this
//! crate whatever the program calls it. The syntax is described at [`info!`](crate::info).

/// Records an event at level trace: the finest steps, off in most builds.
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
/// use ttlog_std::info;
///
/// let (user, path, ms) = (7_u64, "/index.html", 12.345);
/// info!("listening");                                    // a message
/// info!("request served", user, path, took_ms = ms);     // and fields: by the name of a variable, or `name = value`
/// info!(user, path, "request served");                   // fields can come first
/// info!("user {user} took {ms:.1} ms", path);            // variables in the message are fields too
/// info!("{} of {} served", user, 10);                    // so are positional arguments
/// ```
///
/// An event consists of its fields, each with its type; the reader formats the text. The call copies the fields into
/// the ring and returns: it does not block, allocate or format (except for `%` and `?`). If the level is off, nothing
/// is evaluated.
///
/// # Fields
///
/// | written | recorded |
/// | --- | --- |
/// | `user` | the variable, named `user` |
/// | `req.user.id` | the place, named `req.user.id` |
/// | `name = value` | any expression; also `http.status = value` and `"any text" = value` |
/// | `%value`, `name = %value` | the text of `Display`, made in the call |
/// | `?value`, `name = ?value` | the text of `Debug`, made in the call |
/// | `env = "prod"`, `port = 8080` | literals: part of the callsite, at no cost per event |
/// | `secret token`, `secret pin = value`, `secret %value` | as without `secret`, and marked as secret |
///
/// A value without `%` or `?` is an integer, float, bool, char, string, bytes, an `Option`, a slice or array of these,
/// an error (recorded with its sources), or a type that implements [`Value`](crate::Value).
///
/// ```
/// use ttlog_std::info;
///
/// #[derive(Debug)]
/// struct Session { id: u64 }
///
/// let session = Session { id: 3 };
/// let address = std::net::Ipv4Addr::LOCALHOST;
/// info!("session opened", session.id, %address, ?session, http.status = 200, "any text" = true);
/// ```
///
/// # Secrets
///
/// A field marked `secret` is recorded like any other, so that the log call costs no more, but its value is withheld
/// when a snapshot is written and when events are shown or exported: readers see that there was a value, but not the
/// value. The same applies, marked or not, to fields with a telling name: `password`, `user.api_key`, `Set-Cookie`, …
/// (the list can be extended). The mark goes before a field, as shown in the table; to mark a variable in the message,
/// list it:
///
/// ```
/// use ttlog_std::info;
///
/// let (user, token, pin) = (7_u64, "t0k3n", 1234_u16);
/// info!("login", user, secret token, secret code = pin + 1);
/// info!("user {user} has token {token}", secret token);
/// ```
///
/// A variable or field that is itself called `secret` remains a field: `info!("x", secret)`, `info!("x", secret = 5)`.
/// Only `secret % x` in an unnamed argument needs parentheses to be a calculation.
///
/// # Message
///
/// A string literal: first, last, or anywhere between. It is followed by its positional arguments, if any, then by
/// fields. Braces are those of `std::fmt`: `{name}`, `{}`, `{0}`, with a format such as `{ms:.1}`, `{count:>8}`,
/// `{id:#x}` or `{state:?}`, and `{{` for a brace. `{req.id}` works too. Widths and precisions are numbers (not
/// `width$` or `*`). `{name}` shows the listed field of that name, or else a variable in scope. The value of a
/// placeholder needs `Display` (`Debug` for `{:?}`) unless it is one of the types above.
///
/// # Target
///
/// `info!(target: "audit", "logged in", user)` sets the target to a constant string. The default is the module path.
#[macro_export]
macro_rules! info {
    ($($event:tt)*) => {
        $crate::__private::event!([$crate] [Info] $($event)*)
    };
}

/// Records an event at level warn: something is wrong, and the program continues.
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

/// Records an event at level error: something failed.
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
/// The level comes first, followed by the arguments of [`info!`](crate::info); `target:` can come before or after the
/// level.
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
