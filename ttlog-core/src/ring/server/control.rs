//! Control block: a request to a running process, written into its mapped ring by another process, and the answer. Only
//! rings with a long header have one.
//!
//! The requester stores its process id and its text, and last the request's number, which is one more than the last
//! answered number. The process polls the number, executes the request, and stores the result, and last the number as
//! answered. A text carries its CRC: one that two requesters wrote at once, or that was read while it was written, is
//! rejected.
//!
//! The permissions of the file control access: whoever may write the file may make requests.
//!
//! # Format
//! docs/format.md §2.5.

use core::fmt;

use crate::memory::crc::crc32;
use crate::memory::kill::kill_point;
use crate::memory::word::{Word, fence_acquire, fence_release};
use crate::record::word_at;
use crate::ring::layout::HEADER_LEN;
use crate::ring::{Ring, RingImage};

/// Maximum length of the text of a request, and of the published filter, in bytes.
pub const CONTROL_TEXT_MAX: usize = 512;

/// Word indexes in the ring header.
mod control_word {
    pub(crate) const REQUEST: usize = 40;
    pub(crate) const ACKNOWLEDGED: usize = 41;
    pub(crate) const RESULT: usize = 42;
    pub(crate) const REQUESTER: usize = 43;
    /// Length of the text in the lower half, its CRC in the upper; the text follows.
    pub(crate) const REQUEST_TEXT: usize = 44;
    /// As above.
    pub(crate) const FILTER_TEXT: usize = 109;
}
use control_word::*;

/// Length of a text in words.
const TEXT_WORDS: usize = CONTROL_TEXT_MAX / 8;

/// A command in a request. `Display` formats it as the request's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlCommand<'a> {
    /// Use these filter directives from now on: `level DIRECTIVES`.
    Level(&'a str),
}

impl<'a> ControlCommand<'a> {
    /// Parses the text of a request. Returns `None` if this version does not know the command.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (command, rest) = text.split_once(' ').unwrap_or((text, ""));
        (command == "level").then_some(ControlCommand::Level(rest.trim()))
    }
}

impl fmt::Display for ControlCommand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlCommand::Level(directives) => write!(f, "level {directives}"),
        }
    }
}

/// Result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlResult {
    /// The request was executed.
    Done,
    /// The text, or the command's argument, is invalid.
    BadText,
    /// The process does not know the command.
    UnknownCommand,
    /// A number that this version does not know.
    Other(u64),
}

impl ControlResult {
    /// Returns the number of this result.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            ControlResult::Done => 0,
            ControlResult::BadText => 1,
            ControlResult::UnknownCommand => 2,
            ControlResult::Other(number) => number,
        }
    }

    /// Returns the result with this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            0 => ControlResult::Done,
            1 => ControlResult::BadText,
            2 => ControlResult::UnknownCommand,
            other => ControlResult::Other(other),
        }
    }
}

/// A pending request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlRequest<'b> {
    /// Number, for [`Ring::answer_request`].
    pub number: u64,
    /// Process id that the requester claims. It is not checked and can be anything.
    pub requester_pid: u64,
    /// Text of the request; see [`ControlCommand::parse`]. `None` if it is too long, not UTF-8, or does not match its
    /// CRC; to be answered with [`ControlResult::BadText`].
    pub text: Option<&'b str>,
}

/// Returns the word with the length and CRC of a text.
fn text_mark(text: &[u8]) -> u64 {
    text.len() as u64 | u64::from(crc32(text)) << 32
}

/// Returns the text whose mark is `mark`, if it is intact. `bytes` can hold anything.
fn checked_text(mark: u64, bytes: &[u8]) -> Option<&str> {
    let text = bytes.get(..mark as u32 as usize)?;
    if text.len() > CONTROL_TEXT_MAX || text_mark(text) != mark {
        return None;
    }
    core::str::from_utf8(text).ok()
}

/// Returns as much of a text as fits.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(CONTROL_TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Loads the text whose mark is at `at`.
fn load_text<'b>(header: &[Word], at: usize, buffer: &'b mut [u8; CONTROL_TEXT_MAX]) -> Option<&'b str> {
    let mark = header[at].load_acquire();
    crate::ring::read::live::copy_words(&header[at + 1..][..TEXT_WORDS], buffer);
    checked_text(mark, buffer)
}

/// Process side. A bounded number of atomic loads and stores: callable anywhere, but intended for one thread.
impl Ring<'_> {
    /// Returns the pending request, with its text in `buffer`. Costs two loads if there is none.
    pub fn pending_request<'b>(&self, buffer: &'b mut [u8; CONTROL_TEXT_MAX]) -> Option<ControlRequest<'b>> {
        let header = self.long_header()?;
        let number = header[REQUEST].load_acquire();
        if number == header[ACKNOWLEDGED].load() {
            return None;
        }
        let requester_pid = header[REQUESTER].load();
        let text = load_text(header, REQUEST_TEXT, buffer);
        fence_acquire();
        // Another request came meanwhile. The text can be that of either, and is read at the next call.
        if header[REQUEST].load() != number {
            return None;
        }
        Some(ControlRequest { number, requester_pid, text })
    }

    /// Answers request `number`, after it was executed or refused. `filter` is the current filter, as for
    /// [`set_filter_text`](Self::set_filter_text).
    pub fn answer_request(&self, number: u64, result: ControlResult, filter: &str) {
        let Some(header) = self.long_header() else { return };
        self.set_filter_text(filter);
        header[RESULT].store_release(result.number());
        kill_point!(AnswerTold);
        header[ACKNOWLEDGED].store_release(number);
        kill_point!(Answered);
    }

    /// Publishes the current filter, or its first 512 bytes, to readers. Only one caller at a time.
    pub fn set_filter_text(&self, filter: &str) {
        let Some(header) = self.long_header() else { return };
        let text = cut(filter).as_bytes();
        header[FILTER_TEXT].store_release(0);
        kill_point!(FilterVoided);
        fence_release(); // a reader that sees any store below also sees that the mark is gone
        for (index, word) in header[FILTER_TEXT + 1..][..TEXT_WORDS].iter().enumerate() {
            let chunk = text.get(index * 8..).unwrap_or_default();
            word.store(u64::from_le_bytes(core::array::from_fn(|byte| chunk.get(byte).copied().unwrap_or(0))));
            kill_point!(FilterWord);
        }
        header[FILTER_TEXT].store_release(text_mark(text));
        kill_point!(FilterTold);
    }

    /// Returns the latest published filter, or `None` if there is none, or it is damaged or being changed.
    pub fn filter_text<'b>(&self, buffer: &'b mut [u8; CONTROL_TEXT_MAX]) -> Option<&'b str> {
        load_text(self.long_header()?, FILTER_TEXT, buffer).filter(|text| !text.is_empty())
    }
}

/// Control block, read from the bytes of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlImage<'a> {
    /// Number of the latest request.
    pub request_number: u64,
    /// Number of the last answered request.
    pub acknowledged: u64,
    /// Answer.
    pub result: ControlResult,
    /// Process id that the latest requester claims.
    pub requester_pid: u64,
    /// Text of the latest request, if it is intact.
    pub request: Option<&'a str>,
    /// Current filter, if it was published and is intact.
    pub filter: Option<&'a str>,
}

/// The text of a request is too long or empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadControlText;

impl fmt::Display for BadControlText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a request is a text of 1 to {CONTROL_TEXT_MAX} bytes")
    }
}

impl core::error::Error for BadControlText {}

/// State of a request, as seen by its requester.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlAnswer {
    /// No answer yet: the process has not polled, or is not alive.
    Waiting,
    /// Answer.
    Answered(ControlResult),
    /// Another requester overwrote the request; it might or might not have been answered before.
    Replaced,
}

impl<'a> RingImage<'a> {
    /// Reads the control block. Returns `None` if the ring has none, or it is truncated.
    #[must_use]
    pub fn control(&self) -> Option<ControlImage<'a>> {
        let bytes = self.long_header()?;
        let word = |index: usize| word_at(bytes, index * 8).unwrap_or(0);
        let text = |at: usize| {
            let start = (at + 1) * 8;
            checked_text(word(at), bytes.get(start..start + CONTROL_TEXT_MAX)?).filter(|text| !text.is_empty())
        };
        Some(ControlImage {
            request_number: word(REQUEST),
            acknowledged: word(ACKNOWLEDGED),
            result: ControlResult::from_number(word(RESULT)),
            requester_pid: word(REQUESTER),
            request: text(REQUEST_TEXT),
            filter: text(FILTER_TEXT),
        })
    }
}

impl ControlImage<'_> {
    /// Creates the next request after the one in the block, with `text`.
    ///
    /// # Errors
    /// [`BadControlText`] if the text is empty or longer than [`CONTROL_TEXT_MAX`].
    pub fn request(&self, requester_pid: u32, text: &str) -> Result<EncodedRequest, BadControlText> {
        if text.is_empty() || text.len() > CONTROL_TEXT_MAX {
            return Err(BadControlText);
        }
        let mut body = [0; BODY_LEN];
        body[..8].copy_from_slice(&u64::from(requester_pid).to_le_bytes());
        body[8..16].copy_from_slice(&text_mark(text.as_bytes()).to_le_bytes());
        body[16..16 + text.len()].copy_from_slice(text.as_bytes());
        Ok(EncodedRequest { number: self.acknowledged.wrapping_add(1).to_le_bytes(), body, text_len: text.len() })
    }

    /// Returns the state of `request`, from a block that was read after the request was written.
    #[must_use]
    pub fn answer_to(&self, request: &EncodedRequest) -> ControlAnswer {
        let number = u64::from_le_bytes(request.number);
        let pid = u64::from_le_bytes(core::array::from_fn(|byte| request.body[byte]));
        let is_ours = self.request_number == number
            && self.requester_pid == pid
            && self.request.map(str::as_bytes) == Some(request.text());
        if !is_ours {
            ControlAnswer::Replaced
        } else if self.acknowledged == number {
            ControlAnswer::Answered(self.result)
        } else {
            ControlAnswer::Waiting
        }
    }
}

/// Length of a request in bytes: the process id, length and CRC of the text, and the text.
const BODY_LEN: usize = 16 + CONTROL_TEXT_MAX;

/// A request, encoded as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedRequest {
    number: [u8; 8],
    body: [u8; BODY_LEN],
    text_len: usize,
}

impl EncodedRequest {
    /// Returns the two writes to make to the ring, as offsets from its start and bytes, in this order. The first must
    /// be complete before the second begins.
    #[must_use]
    pub fn writes(&self) -> [(u64, &[u8]); 2] {
        [(REQUESTER as u64 * 8, &self.body[..]), (REQUEST as u64 * 8, &self.number[..])]
    }

    fn text(&self) -> &[u8] {
        &self.body[16..16 + self.text_len]
    }
}

/// The block comes after the words common to all headers, and its parts are at the offsets given in format.md.
const _: () = assert!(REQUEST * 8 > HEADER_LEN && REQUEST_TEXT + 1 + TEXT_WORDS == FILTER_TEXT);
