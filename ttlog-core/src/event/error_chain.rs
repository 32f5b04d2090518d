//! Errors as fields: the texts of an error and its sources, formatted before a record is reserved.

use core::error::Error;
use core::fmt::{self, Write};
use core::iter::successors;
use core::ops::Deref;

use super::capture::{Bare, FORMAT_ROOM, Value};
use crate::record::value::{ErrorTexts, TextEnd};

/// Maximum number of texts stored of an error's chain, including the error.
pub(super) const TEXTS_MAX: usize = 8;
/// Maximum number of errors that are counted of a chain, which can be circular.
pub(super) const COUNT_MAX: usize = 1000;
/// Bytes that each source can have, however long the texts before it are: the last one is often the one that matters.
const SHARE: usize = FORMAT_ROOM / (2 * TEXTS_MAX);

/// Texts of an error and its sources that live for the duration of the log call.
#[derive(Debug)]
pub struct ErrorChain {
    text: heapless::String<FORMAT_ROOM>,
    ends: heapless::Vec<TextEnd, TEXTS_MAX>,
    /// Number of texts in the chain, stored or not.
    count: u32,
}

/// Formats an error and its sources, outermost first, at most 8 of them. Otherwise like
/// [`display`](super::capture::display).
pub fn error_chain<E: Error + ?Sized>(error: &E) -> ErrorChain {
    // As `Display`, because a type without a size, such as `dyn Error + Send`, is not made `dyn Error`.
    collect(&error, error.source())
}

#[inline(never)]
fn collect(error: &dyn fmt::Display, source: Option<&(dyn Error + 'static)>) -> ErrorChain {
    let sources = || sources_from(source).take(COUNT_MAX - 1);
    let count = 1 + sources().count();
    let kept = count.min(TEXTS_MAX);
    let mut chain = ErrorChain { text: heapless::String::new(), ends: heapless::Vec::new(), count: count as u32 };
    chain.push(error, kept - 1);
    for (index, source) in sources().take(kept - 1).enumerate() {
        chain.push(source, kept - 2 - index);
    }
    chain
}

/// Returns an error and its sources, outermost first. They can be circular.
pub(crate) fn sources_from<'e>(
    error: Option<&'e (dyn Error + 'static)>,
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    fn source_of<'e>(error: &&'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
        let error: &'e (dyn Error + 'static) = *error;
        error.source()
    }
    successors(error, source_of)
}

impl ErrorChain {
    /// Adds a text, and leaves room for those of `further` sources.
    fn push(&mut self, error: &dyn fmt::Display, further: usize) {
        let mut text = Capped { room: FORMAT_ROOM - further * SHARE, offered: 0, out: &mut self.text };
        let start = text.out.len();
        let _ = write!(text, "{error}"); // on an error, the text before it is recorded
        let offered = text.offered;
        let is_cut = offered > self.text.len() - start;
        let full_len = is_cut.then(|| u32::try_from(offered).unwrap_or(u32::MAX));
        // There is room: one for each text that is kept.
        let _ = self.ends.push(TextEnd { end: self.text.len() as u16, full_len });
    }
}

const _: () = assert!(FORMAT_ROOM <= u16::MAX as usize, "ends are 16 bits wide");

/// Text that is cut where `out` is `room` bytes long.
struct Capped<'a> {
    out: &'a mut heapless::String<FORMAT_ROOM>,
    room: usize,
    /// Number of bytes offered so far, stored or not.
    offered: usize,
}

impl Write for Capped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.offered += text.len();
        let mut kept = text.len().min(self.room - self.out.len());
        while !text.is_char_boundary(kept) {
            kept -= 1;
        }
        if kept < text.len() {
            // After a cut nothing more is stored: text with a hole in it would be wrong.
            self.room = self.out.len() + kept;
        }
        self.out.push_str(&text[..kept]).map_err(|_| fmt::Error)
    }
}

impl Value for ErrorChain {
    type Native<'a> = ErrorTexts<'a>;
    fn native(&self) -> ErrorTexts<'_> {
        let kept = self.ends.len() as u32;
        ErrorTexts { text: &self.text, ends: &self.ends, full_len: (self.count > kept).then_some(self.count) }
    }
}

/// Selects the chain of an error.
///
/// Besides types that implement `Error` there are those that only point to one: boxes, and the errors of `anyhow` and
/// `eyre`, which are boxes of their own. They are found by `Deref`, without knowing them; through references, too.
pub trait ViaError {
    /// One chain, or an option of one.
    type Held;
    /// Captures the argument.
    fn ttlog_hold(&self) -> Self::Held;
}

impl<T: Error + ?Sized> ViaError for &&&&&&Bare<'_, T> {
    type Held = ErrorChain;
    fn ttlog_hold(&self) -> ErrorChain {
        error_chain(self.0)
    }
}

impl<T: Deref<Target: Error>> ViaError for &&&&&Bare<'_, T> {
    type Held = ErrorChain;
    fn ttlog_hold(&self) -> ErrorChain {
        error_chain(&**self.0)
    }
}

impl<T: Deref<Target: Deref<Target: Error>>> ViaError for &&&&Bare<'_, T> {
    type Held = ErrorChain;
    fn ttlog_hold(&self) -> ErrorChain {
        error_chain(&***self.0)
    }
}

impl<T: Error> ViaError for &&&Bare<'_, Option<T>> {
    type Held = Option<ErrorChain>;
    fn ttlog_hold(&self) -> Option<ErrorChain> {
        self.0.as_ref().map(|error| error_chain(error))
    }
}

impl<T: Deref<Target: Error>> ViaError for &&Bare<'_, Option<T>> {
    type Held = Option<ErrorChain>;
    fn ttlog_hold(&self) -> Option<ErrorChain> {
        self.0.as_ref().map(|error| error_chain(&**error))
    }
}

impl<T: Deref<Target: Deref<Target: Error>>> ViaError for &Bare<'_, Option<T>> {
    type Held = Option<ErrorChain>;
    fn ttlog_hold(&self) -> Option<ErrorChain> {
        self.0.as_ref().map(|error| error_chain(&***error))
    }
}
