//! Filters: directives in a text that select the recorded events by level and target.
//!
//! ```text
//! info,my_crate::net=debug,other=off
//! ```
//!
//! A directive is a level or `off`, for every target that no other directive names, or `target=level`, for that target
//! and all below it (`my_crate::net` covers `my_crate::net` and `my_crate::net::tcp`, but not `my_crate::network`). The
//! directive with the longest target wins; of several with the same target, the last. Targets that no directive covers
//! are recorded. Blanks around names and the case of levels do not matter.
//!
//! A dash in a directive also matches an underscore, so the name of a package can be written as Cargo spells it:
//! `my-crate=debug` covers the module path `my_crate` and all below it, as well as a target that really is `my-crate`.
//! An underscore matches only itself. If `my-crate` and `my_crate` are both named, each target follows the directive
//! that is spelled like it.
//!
//! A filter is its text: nothing is compiled, allocated or sorted. It is evaluated once per callsite and change, off
//! the hot path, by a scan of the text.

mod cell;

use core::fmt;

use crate::event::level::Level;

pub use cell::FilterCell;

/// Maximum length of a filter's text, in bytes.
pub const FILTER_LEN_MAX: usize = 512;

/// Valid directives.
///
/// # Examples
/// ```
/// use ttlog_core::{Filter, Level};
///
/// let filter = Filter::parse("info,my_crate::net=debug,other=off")?;
/// assert!(filter.is_on(Level::Debug, "my_crate::net::tcp"));
/// assert!(!filter.is_on(Level::Debug, "my_crate::disk"));
/// assert!(!filter.is_on(Level::Error, "other"));
/// # Ok::<(), ttlog_core::FilterError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter<'a> {
    /// Valid directives. If they come from a [`FilterCell`], they can be any text, and evaluation must handle that.
    text: &'a str,
}

impl Filter<'static> {
    /// Filter that records everything.
    pub const EVERYTHING: Filter<'static> = Filter { text: "trace" };
}

impl<'a> Filter<'a> {
    /// Parses directives. Does not block or allocate; takes time in proportion to the text.
    ///
    /// # Errors
    /// [`FilterError`] for the first invalid directive.
    pub fn parse(text: &'a str) -> Result<Self, FilterError> {
        if text.len() > FILTER_LEN_MAX {
            return Err(FilterError { offset: FILTER_LEN_MAX, kind: FilterErrorKind::TooLong });
        }
        let mut offset = 0;
        for piece in text.split(',') {
            check(piece).map_err(|(within, kind)| FilterError { offset: offset + within, kind })?;
            offset += piece.len() + 1;
        }
        Ok(Filter { text })
    }

    /// Creates a filter from directives that [`parse`](Self::parse) accepted before. In other text, invalid directives
    /// are skipped.
    pub(crate) const fn trusted(text: &'a str) -> Self {
        Filter { text }
    }

    /// Returns the directives.
    #[must_use]
    pub fn text(self) -> &'a str {
        self.text
    }

    /// Returns whether events of this level and target are recorded. Does not block or allocate; takes time in
    /// proportion to the text; callable from any context.
    #[must_use]
    pub fn is_on(self, level: Level, target: &str) -> bool {
        level as u8 >= self.threshold(target)
    }

    /// Returns the lowest recorded level of targets that no directive names; `None` if none is recorded.
    #[must_use]
    pub fn default_level(self) -> Option<Level> {
        let bare = self.directives().filter(|directive| directive.target.is_none()).last();
        Level::try_from(bare.map_or(Level::Trace as u8, |directive| directive.threshold)).ok()
    }

    /// Returns the lowest level that is recorded of any target; `None` if nothing is recorded. It can be lower than any
    /// event's, if a directive is overridden by another with the same target.
    #[must_use]
    pub fn lowest_level(self) -> Option<Level> {
        let targets = self.directives().filter(|directive| directive.target.is_some());
        let lowest = targets.map(|directive| directive.threshold).min().unwrap_or(OFF);
        Level::try_from(lowest).ok().into_iter().chain(self.default_level()).min()
    }

    /// Returns the number of the lowest recorded level; [`OFF`] if none is.
    fn threshold(self, target: &str) -> u8 {
        let mut threshold = Level::Trace as u8;
        let mut best = (0, true);
        for directive in self.directives() {
            // One more than the length of the target, so that a bare level is the shortest.
            let rank = match directive.target {
                None => (0, true),
                Some(prefix) if is_within(target, prefix) => (prefix.len() + 1, target.starts_with(prefix)),
                Some(_) => continue,
            };
            if rank >= best {
                best = rank;
                threshold = directive.threshold;
            }
        }
        threshold
    }

    /// Returns an iterator over the valid directives.
    fn directives(self) -> impl Iterator<Item = Directive<'a>> {
        self.text.split(',').filter_map(|piece| check(piece).ok())
    }
}

impl fmt::Display for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text)
    }
}

/// One directive.
#[derive(Clone, Copy)]
struct Directive<'a> {
    /// Target; `None`: all other targets.
    target: Option<&'a str>,
    /// Number of the lowest recorded level, or [`OFF`].
    threshold: u8,
}

/// Threshold above all levels.
const OFF: u8 = Level::Error as u8 + 1;

/// Parses one directive. Returns the byte offset and kind of an error.
fn check(piece: &str) -> Result<Directive<'_>, (usize, FilterErrorKind)> {
    let blanks = |text: &str| text.len() - text.trim_start().len();
    let (target, level, level_offset) = match piece.rfind('=') {
        Some(equals) => (Some(piece[..equals].trim()), &piece[equals + 1..], equals + 1),
        None => (None, piece, 0),
    };
    if piece.trim().is_empty() {
        return Err((blanks(piece).min(piece.len()), FilterErrorKind::NoDirective));
    }
    if target.is_some_and(str::is_empty) {
        return Err((blanks(piece), FilterErrorKind::NoTarget));
    }
    let level_offset = level_offset + blanks(level);
    let threshold = if level.trim().eq_ignore_ascii_case("off") {
        OFF
    } else {
        level.trim().parse::<Level>().map_err(|_| (level_offset, FilterErrorKind::UnknownLevel))? as u8
    };
    Ok(Directive { target, threshold })
}

/// Returns whether `target` is `path` or below it. A dash in `path` also matches an underscore, because Cargo turns the
/// dashes of a package's name into underscores in its module paths.
#[must_use]
pub fn is_within(target: &str, path: &str) -> bool {
    let (target, path) = (target.as_bytes(), path.as_bytes());
    let Some((start, rest)) = target.split_at_checked(path.len()) else { return false };
    let same = |(&is, &wanted): (&u8, &u8)| is == wanted || (is, wanted) == (b'_', b'-');
    start.iter().zip(path).all(same) && (rest.is_empty() || rest.starts_with(b"::"))
}

/// Error in directives: position and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// Byte offset in the text.
    pub offset: usize,
    /// Kind of error.
    pub kind: FilterErrorKind,
}

/// Kinds of errors in directives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterErrorKind {
    /// A directive is missing.
    NoDirective,
    /// The target before the `=` is missing.
    NoTarget,
    /// The level is neither a level nor `off`.
    UnknownLevel,
    /// The text is longer than [`FILTER_LEN_MAX`].
    TooLong,
}

impl fmt::Display for FilterErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterErrorKind::NoDirective => f.write_str("expected a level or target=level"),
            FilterErrorKind::NoTarget => f.write_str("expected a target before the `=`"),
            FilterErrorKind::UnknownLevel => {
                f.write_str("unknown level, expected one of trace, debug, info, warn, error, off, or target=level")
            }
            FilterErrorKind::TooLong => write!(f, "longer than {FILTER_LEN_MAX} bytes"),
        }
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {}", self.offset, self.kind)
    }
}

impl core::error::Error for FilterError {}

#[cfg(all(test, not(loom)))]
mod tests;
