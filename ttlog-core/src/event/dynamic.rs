//! Fields whose types are known only when the event is recorded: those of `tracing`, of `log`, and of other facades.
//!
//! Each value carries its type ([`Type::Any`]), so one callsite holds a number today and a text
//! tomorrow, or nothing. [`DynamicValues`] encodes them one by one into the caller's buffer, in front of the ring: a
//! `Display` impl can log, panic or take long without harm to the ring. [`DynamicFields`] is the result.
//!
//! # Format
//! docs/format.md §4.2, tag 21.

use core::error::Error;
use core::fmt::{self, Write};

use super::error_chain::{COUNT_MAX, TEXTS_MAX, sources_from};
use super::fields::{AnyFields, TypeList};
use crate::record::packed::{Packer, SHORT_LEN_MAX, encode_text, is_short, put_length, short_varint, zigzag};
use crate::record::types::{TAG_ABSENT, Type};
use crate::record::value::Sealed;

/// Bytes that any value can take: room enough to state that it was cut, and how long it was.
const VALUE_LEN_MIN: usize = 10;

/// Fields of one event, encoded.
#[derive(Clone, Copy, Debug)]
pub struct DynamicFields<'b> {
    types: TypeList,
    hash: u32,
    payload: &'b [u8],
}

impl<'b> DynamicFields<'b> {
    /// Joins the types of a callsite's fields, their [`hash`](TypeList::hash), and the values encoded for them.
    #[must_use]
    pub const fn new(types: TypeList, hash: u32, payload: &'b [u8]) -> Self {
        DynamicFields { types, hash, payload }
    }
}

impl Sealed for DynamicFields<'_> {}
impl AnyFields for DynamicFields<'_> {
    fn types(&self) -> TypeList {
        self.types
    }
    fn types_hash(&self) -> u32 {
        self.hash
    }
    fn payload_words(&self, _cap: usize) -> usize {
        self.payload.len().div_ceil(8)
    }
    #[inline]
    fn put(&self, packer: &mut Packer, _cap: usize) {
        let words = self.payload.chunks_exact(8);
        let tail = words.remainder();
        for bytes in words {
            let mut word = [0; 8];
            word.copy_from_slice(bytes);
            packer.put_word(u64::from_le_bytes(word));
        }
        if !tail.is_empty() {
            let mut word = [0; 8];
            word[..tail.len()].copy_from_slice(tail);
            packer.put_word(u64::from_le_bytes(word));
        }
    }
}

/// Encodes the values of an event's fields, in the order of the fields.
///
/// Each method encodes the next field. A text that does not fit is cut at a character boundary, and a value that does
/// not fit is replaced by an empty text; in both cases the original length is recorded. Never allocates; panics only if
/// an impl of `Display`, `Debug` or `Error` does.
#[derive(Debug)]
pub struct DynamicValues<'b> {
    out: &'b mut [u8],
    len: usize,
    /// Number of fields that are not encoded yet.
    left: usize,
}

impl<'b> DynamicValues<'b> {
    /// Starts with an empty buffer for `count` fields. If it has less than 10 bytes for each, it takes only as many
    /// fields as it has room for.
    #[must_use]
    pub fn new(out: &'b mut [u8], count: usize) -> Self {
        let left = count.min(out.len() / VALUE_LEN_MIN);
        DynamicValues { out, len: 0, left }
    }

    /// Returns the payload. Fields not encoded yet are absent.
    #[must_use]
    pub fn finish(mut self) -> &'b [u8] {
        while self.left > 0 {
            self.absent();
        }
        &self.out[..self.len]
    }

    /// Returns the number of fields that are not encoded yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// Encodes an id, of type u64, which does not carry its type.
    #[inline]
    pub fn id(&mut self, id: u64) {
        if let Some([place @ .., _]) = self.next_place() {
            self.len += encode_varint(id, place);
        }
    }

    /// Encodes that the event does not have this field.
    #[inline]
    pub fn absent(&mut self) {
        if let Some([tag, ..]) = self.next_place() {
            *tag = TAG_ABSENT;
            self.len += 1;
        }
    }

    /// Encodes a bool.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        if let Some([tag, place, ..]) = self.next_place() {
            *tag = Type::Bool.tag();
            *place = u8::from(value);
            self.len += 2;
        }
    }

    /// Encodes a u64.
    #[inline]
    pub fn u64(&mut self, value: u64) {
        self.tagged_varint(Type::U64, value);
    }

    /// Encodes an i64.
    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.tagged_varint(Type::I64, zigzag(value));
    }

    /// Encodes a u128.
    pub fn u128(&mut self, value: u128) {
        self.fixed(Type::U128, &value.to_le_bytes());
    }

    /// Encodes an i128.
    pub fn i128(&mut self, value: i128) {
        self.fixed(Type::I128, &value.to_le_bytes());
    }

    /// Encodes an f64.
    #[inline]
    pub fn f64(&mut self, value: f64) {
        if let Some([tag, place @ .., _]) = self.next_place() {
            *tag = Type::F64.tag();
            *place = value.to_bits().to_le_bytes();
            self.len += 9;
        }
    }

    /// Encodes a char.
    pub fn char(&mut self, value: char) {
        self.fixed(Type::Char, &u32::from(value).to_le_bytes());
    }

    /// Encodes a unit.
    pub fn unit(&mut self) {
        self.fixed(Type::Unit, &[]);
    }

    /// Encodes a text.
    #[inline]
    pub fn str(&mut self, text: &str) {
        if let Some(room) = self.begin(Type::Str) {
            self.text(text, room);
        }
    }

    /// Encodes bytes.
    pub fn blob(&mut self, bytes: &[u8]) {
        let Some(room) = self.begin(Type::Bytes) else { return };
        let (kept, full_len) = cut(bytes.len(), room, |_| true);
        self.len += put_length(kept, full_len, &mut self.out[self.len..]);
        self.bytes(&bytes[..kept]);
    }

    /// Encodes what the `Display` impl writes. If it returns an error, the text ends there.
    pub fn display(&mut self, value: &dyn fmt::Display) {
        self.format(Type::Display, format_args!("{value}"));
    }

    /// Encodes what the `Debug` impl writes. If it returns an error, the text ends there.
    pub fn debug(&mut self, value: &dyn fmt::Debug) {
        self.format(Type::Debug, format_args!("{value:?}"));
    }

    /// Encodes formatted text as `Display` text.
    pub fn message(&mut self, value: &dyn fmt::Debug) {
        self.format(Type::Display, format_args!("{value:?}"));
    }

    /// Encodes the texts of an error and its sources, outermost first, at most 8 of them.
    pub fn error(&mut self, error: &(dyn Error + 'static)) {
        let chain = || sources_from(Some(error)).take(COUNT_MAX);
        let count = chain().count();
        let kept = count.min(TEXTS_MAX);
        let Some(room) = self.begin(Type::Error) else { return };
        if room < kept * VALUE_LEN_MIN + VALUE_LEN_MIN {
            self.len -= 1;
            self.left += 1;
            return self.display(&error);
        }
        let full_len = (kept < count).then_some(count as u32);
        self.len += put_length(kept, full_len, &mut self.out[self.len..]);
        let end = self.len + room - VALUE_LEN_MIN;
        // For each source, however long the texts before it are: the last one is often the one that matters.
        let share = (room / (2 * TEXTS_MAX)).max(VALUE_LEN_MIN);
        for (index, error) in chain().take(kept).enumerate() {
            let others = (kept - 1 - index) * share;
            self.formatted(format_args!("{error}"), end - self.len - others);
        }
    }

    /// Returns whether there is another field, which is encoded now.
    #[inline]
    fn take_one(&mut self) -> bool {
        let has_one = self.left > 0;
        self.left -= usize::from(has_one);
        has_one
    }

    /// Writes the tag of the next value, and returns the number of bytes that it can take after the tag: at least 9.
    /// `None`: there are no more fields.
    #[inline]
    fn begin(&mut self, of: Type) -> Option<usize> {
        if !self.take_one() {
            return None;
        }
        self.bytes(&[of.tag()]);
        Some((self.out.len() - self.len).saturating_sub(self.left * VALUE_LEN_MIN))
    }

    /// Encodes a value of a fixed length.
    #[inline]
    fn fixed(&mut self, of: Type, bytes: &[u8]) {
        let Some(room) = self.begin(of) else { return };
        if bytes.len() <= room {
            self.bytes(bytes);
        } else {
            self.out[self.len - 1] = Type::Display.tag();
            self.len += put_length(0, Some(bytes.len() as u32), &mut self.out[self.len..]);
        }
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(place) = self.out.get_mut(self.len..self.len + bytes.len()) {
            place.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    /// Takes the next field, and returns the bytes that any value has room for. `None`: there are no more fields.
    #[inline]
    fn next_place(&mut self) -> Option<&mut [u8; VALUE_LEN_MIN]> {
        self.left = self.left.checked_sub(1)?;
        self.out.get_mut(self.len..)?.first_chunk_mut()
    }

    #[inline]
    fn tagged_varint(&mut self, of: Type, value: u64) {
        if let Some([tag, place @ ..]) = self.next_place() {
            *tag = of.tag();
            self.len += 1 + encode_varint(value, place);
        }
    }

    /// Encodes the length of a text and the text in at most `room` bytes.
    #[inline]
    fn text(&mut self, text: &str, room: usize) {
        let len = text.len();
        if len <= SHORT_LEN_MAX && len < room {
            if let Some([head, place @ ..]) = self.out.get_mut(self.len..self.len + 1 + len) {
                *head = len as u8;
                place.copy_from_slice(text.as_bytes());
                self.len += 1 + len;
                return;
            }
        }
        let (kept, full_len) = cut(len, room, |at| text.is_char_boundary(at));
        self.len += encode_text(&text[..kept], full_len, &mut self.out[self.len..]).unwrap_or(0);
    }

    fn format(&mut self, of: Type, text: fmt::Arguments<'_>) {
        if let Some(room) = self.begin(of) {
            self.formatted(text, room);
        }
    }

    /// Encodes the length of a formatted text and the text in at most `room` bytes.
    fn formatted(&mut self, text: fmt::Arguments<'_>, room: usize) {
        if let Some(text) = text.as_str() {
            return self.text(text, room);
        }
        // Behind the shortest length first; the text moves if it turns out to be long.
        let start = self.len;
        let most = room.saturating_sub(LONGEST_LENGTH);
        let Some(place) = self.out.get_mut(start + 1..start + 1 + most) else { return };
        let mut room = Room { out: place, len: 0, offered: 0 };
        let _ = room.write_fmt(text); // on an error, the text before it is recorded
        let (len, offered) = (room.len, room.offered);
        if len <= SHORT_LEN_MAX && offered == len {
            self.out[start] = len as u8;
            self.len = start + 1 + len;
            return;
        }
        let full_len = (offered > len).then(|| u32::try_from(offered).unwrap_or(u32::MAX));
        let mut head = [0; LONGEST_LENGTH];
        let head_len = put_length(len, full_len, &mut head);
        if head_len > 1 {
            self.out.copy_within(start + 1..start + 1 + len, start + head_len);
        }
        self.out[start..start + head_len].copy_from_slice(&head[..head_len]);
        self.len = start + head_len + len;
    }
}

/// Encodes a varint at the front of `out`, and returns its bytes.
#[inline]
fn encode_varint(value: u64, out: &mut [u8; 9]) -> usize {
    let [first, rest @ ..] = out;
    if is_short(value) {
        let (word, bits) = short_varint(value);
        // All eight bytes at once, of which the next value overwrites the rest.
        let bytes = word.to_le_bytes();
        *first = bytes[0];
        rest[..7].copy_from_slice(&bytes[1..]);
        bits as usize / 8
    } else {
        *first = 7;
        *rest = value.to_le_bytes();
        9
    }
}

/// Bytes of the longest encoded length.
const LONGEST_LENGTH: usize = 9;

/// Returns how much of `len` bytes can be kept in `room` bytes together with its length, and the original length if it
/// is cut; `is_boundary` is whether it can be cut there.
#[inline]
fn cut(len: usize, room: usize, is_boundary: impl Fn(usize) -> bool) -> (usize, Option<u32>) {
    if len + crate::record::packed::length_len(len, false) <= room {
        return (len, None);
    }
    let mut kept = room.saturating_sub(LONGEST_LENGTH).min(len);
    while !is_boundary(kept) {
        kept -= 1;
    }
    (kept, Some(u32::try_from(len).unwrap_or(u32::MAX)))
}

/// Room for formatted text; text that does not fit is cut at a character boundary and counted.
struct Room<'b> {
    out: &'b mut [u8],
    len: usize,
    /// Number of bytes offered so far, stored or not.
    offered: usize,
}

impl Write for Room<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        if let (true, Some(place)) = (self.offered == self.len, self.out.get_mut(self.len..end)) {
            place.copy_from_slice(text.as_bytes());
            (self.len, self.offered) = (end, end);
            return Ok(());
        }
        // After a cut nothing more is stored: text with a hole in it would be wrong.
        let mut kept = if self.offered > self.len { 0 } else { text.len().min(self.out.len() - self.len) };
        while !text.is_char_boundary(kept) {
            kept -= 1;
        }
        self.offered += text.len();
        self.out[self.len..self.len + kept].copy_from_slice(&text.as_bytes()[..kept]);
        self.len += kept;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
