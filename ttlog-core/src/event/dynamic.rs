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
use core::marker::PhantomData;
use core::ptr::NonNull;
use core::slice;

use super::error_chain::{COUNT_MAX, TEXTS_MAX, sources_from};
use super::fields::{AnyFields, TypeList};
use crate::record::load::load_tail;
use crate::record::packed::{Packer, SHORT_LEN_MAX, is_short, length_len, put_length, short_varint, zigzag};
use crate::record::types::{TAG_ABSENT, Type};
use crate::record::value::Sealed;

/// Bytes that any value can take: room enough to state that it was cut, and how long it was.
const VALUE_LEN_MIN: usize = 10;

/// Fields of one event, encoded.
#[derive(Clone, Copy, Debug)]
pub struct DynamicFields<'b> {
    types: TypeList,
    hash: u32,
    payload: &'b [u64],
}

impl<'b> DynamicFields<'b> {
    /// Joins the types of a callsite's fields, their [`hash`](TypeList::hash), and the values encoded for them.
    #[inline]
    #[must_use]
    pub const fn new(types: TypeList, hash: u32, payload: &'b [u64]) -> Self {
        DynamicFields { types, hash, payload }
    }
}

impl Sealed for DynamicFields<'_> {}
impl AnyFields for DynamicFields<'_> {
    #[inline]
    fn types(&self) -> TypeList {
        self.types
    }
    #[inline]
    fn types_hash(&self) -> u32 {
        self.hash
    }
    #[inline]
    fn payload_words(&self, _cap: usize) -> usize {
        self.payload.len()
    }
    #[inline]
    fn put(&self, packer: &mut Packer, _cap: usize) {
        for word in self.payload {
            packer.put_word(*word);
        }
    }
}

/// Encodes the values of an event's fields, in the order of the fields.
///
/// Each method encodes the next field. A text that does not fit is cut at a character boundary, and a value that does
/// not fit is replaced by an empty text; in both cases the original length is recorded. Never allocates; panics only if
/// an impl of `Display`, `Debug` or `Error` does.
///
/// There is always room for [`VALUE_LEN_MIN`] bytes of each field that is left, and for a word of padding, so values
/// that need no more are stored without a check.
#[derive(Debug)]
pub struct DynamicValues<'b> {
    /// First byte of the buffer, which is aligned to a word.
    start: NonNull<u8>,
    /// Next byte: at least `left * VALUE_LEN_MIN + PADDING_LEN` bytes before the end of the buffer.
    next: NonNull<u8>,
    /// End of the buffer without the padding.
    end: NonNull<u8>,
    /// Number of fields that are not encoded yet.
    left: usize,
    buffer: PhantomData<&'b mut [u64]>,
}

impl<'b> DynamicValues<'b> {
    /// Starts with an empty buffer for `count` fields. If it has less than 10 bytes for each and 8 more, it takes only
    /// as many fields as it has room for.
    #[inline]
    #[must_use]
    pub fn new(out: &'b mut [u64], count: usize) -> Self {
        let len = (out.len() * 8).saturating_sub(PADDING_LEN);
        let start = NonNull::from(out).cast::<u8>();
        // SAFETY: at most the length of the buffer.
        let end = unsafe { start.add(len) };
        DynamicValues { start, next: start, end, left: fitting(count, len), buffer: PhantomData }
    }

    /// Starts again with an empty buffer.
    #[must_use]
    pub fn again(self, count: usize) -> Self {
        let len = self.end.addr().get() - self.start.addr().get();
        DynamicValues { next: self.start, left: fitting(count, len), ..self }
    }

    /// Returns the payload, padded with zeros. Fields not encoded yet are absent.
    #[inline]
    #[must_use]
    pub fn finish(mut self) -> &'b [u64] {
        while self.left > 0 {
            self.absent();
        }
        let len = self.len_bytes();
        if len == 0 {
            return &[];
        }
        // SAFETY: the padding is behind `end`, and `next` is not.
        unsafe { self.next.cast::<[u8; PADDING_LEN]>().write([0; PADDING_LEN]) };
        // SAFETY: this many bytes of the buffer, the padding included, were written; it is aligned to a word, and
        // borrowed for 'b, by this value alone, which ends here.
        unsafe { slice::from_raw_parts(self.start.cast::<u64>().as_ptr(), len.div_ceil(8)) }
    }

    /// Returns the number of fields that are not encoded yet.
    #[inline]
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// Returns the length of the values encoded so far, in bytes.
    #[inline]
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.next.addr().get() - self.start.addr().get()
    }

    /// Encodes an id, of type u64, which does not carry its type.
    #[inline]
    pub fn id(&mut self, id: u64) {
        if self.take_one() {
            self.put_varint(id);
        }
    }

    /// Encodes that the event does not have this field.
    #[inline]
    pub fn absent(&mut self) {
        if self.take_one() {
            self.put([TAG_ABSENT]);
        }
    }

    /// Encodes a bool.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        if self.take_one() {
            self.put([Type::Bool.tag(), u8::from(value)]);
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
        self.wide(Type::U128, value.to_le_bytes());
    }

    /// Encodes an i128.
    pub fn i128(&mut self, value: i128) {
        self.wide(Type::I128, value.to_le_bytes());
    }

    /// Encodes an f64.
    #[inline]
    pub fn f64(&mut self, value: f64) {
        if self.take_one() {
            self.put([Type::F64.tag()]);
            self.put(value.to_bits().to_le_bytes());
        }
    }

    /// Encodes a char.
    pub fn char(&mut self, value: char) {
        if self.take_one() {
            self.put([Type::Char.tag()]);
            self.put(u32::from(value).to_le_bytes());
        }
    }

    /// Encodes a unit.
    pub fn unit(&mut self) {
        if self.take_one() {
            self.put([Type::Unit.tag()]);
        }
    }

    /// Encodes a text.
    #[inline]
    pub fn str(&mut self, text: &str) {
        let len = text.len();
        if len > TINY_LEN_MAX || self.left == 0 {
            return self.longer_text(text);
        }
        self.left -= 1;
        let head = u64::from(Type::Str.tag()) | (len as u64) << 8;
        self.put_part(head | load_tail(text.as_bytes()) << 16, 2 + len);
    }

    #[inline(never)]
    fn longer_text(&mut self, text: &str) {
        if let Some(room) = self.begin(Type::Str) {
            let (kept, full_len) = cut(text.len(), room, |at| text.is_char_boundary(at));
            self.put_length(kept, full_len);
            self.put_bytes(&text.as_bytes()[..kept]);
        }
    }

    /// Encodes bytes.
    pub fn blob(&mut self, bytes: &[u8]) {
        let Some(room) = self.begin(Type::Bytes) else { return };
        let (kept, full_len) = cut(bytes.len(), room, |_| true);
        self.put_length(kept, full_len);
        self.put_bytes(&bytes[..kept]);
    }

    /// Encodes what the `Display` impl writes. If it returns an error, the text ends there.
    #[inline]
    pub fn display(&mut self, value: &dyn fmt::Display) {
        self.format(Type::Display, format_args!("{value}"));
    }

    /// Encodes what the `Debug` impl writes. If it returns an error, the text ends there.
    #[inline]
    pub fn debug(&mut self, value: &dyn fmt::Debug) {
        self.format(Type::Debug, format_args!("{value:?}"));
    }

    /// Encodes formatted text as `Display` text.
    #[inline]
    pub fn message(&mut self, value: &dyn fmt::Debug) {
        self.format(Type::Display, format_args!("{value:?}"));
    }

    /// Encodes the texts of an error and its sources, outermost first, at most 8 of them.
    pub fn error(&mut self, error: &(dyn Error + 'static)) {
        let chain = || sources_from(Some(error)).take(COUNT_MAX);
        let count = chain().count();
        let kept = count.min(TEXTS_MAX);
        if self.room() < (kept + 1) * VALUE_LEN_MIN {
            return self.display(&error);
        }
        let Some(room) = self.begin(Type::Error) else { return };
        // SAFETY: `begin` has left that room.
        let end = unsafe { self.next.add(room) };
        self.put_length(kept, (kept < count).then_some(count as u32));
        // For each source, however long the texts before it are: the last one is often the one that matters.
        let share = (room / (2 * TEXTS_MAX)).max(VALUE_LEN_MIN);
        for (index, error) in chain().take(kept).enumerate() {
            let others = (kept - 1 - index) * share;
            // SAFETY: the shares are half of the room, and the texts so far have left theirs.
            self.formatted(format_args!("{error}"), unsafe { end.sub(others) });
        }
    }

    /// Returns whether there is another field, which is encoded now.
    #[inline(always)]
    fn take_one(&mut self) -> bool {
        let has_one = self.left > 0;
        self.left -= usize::from(has_one);
        has_one
    }

    /// Returns the number of bytes that the value of the next field can take with its tag: at least 10, if there is a
    /// next field.
    #[inline]
    fn room(&self) -> usize {
        let others = self.left.saturating_sub(1) * VALUE_LEN_MIN;
        self.end.addr().get() - self.next.addr().get() - others
    }

    /// Writes the tag of the next value, and returns the number of bytes that it can take after the tag: at least 9.
    /// `None`: there are no more fields.
    #[inline]
    fn begin(&mut self, of: Type) -> Option<usize> {
        let room = self.room();
        self.take_one().then(|| {
            self.put([of.tag()]);
            room - 1
        })
    }

    #[inline(always)]
    fn tagged_varint(&mut self, of: Type, value: u64) {
        if !self.take_one() {
            return;
        }
        let tag = of.tag();
        if is_short(value) {
            let (varint, bits) = short_varint(value);
            self.put_part(varint << 8 | u64::from(tag), 1 + bits as usize / 8);
        } else {
            self.put([tag]);
            self.put_varint(value);
        }
    }

    fn wide(&mut self, of: Type, value: [u8; 16]) {
        if self.left > 0 && self.room() <= value.len() {
            if self.begin(Type::Display).is_some() {
                self.put_length(0, Some(value.len() as u32));
            }
        } else if self.begin(of).is_some() {
            self.put_bytes(&value);
        }
    }

    #[inline(never)]
    fn format(&mut self, of: Type, text: fmt::Arguments<'_>) {
        let Some(others) = self.left.checked_sub(1) else { return };
        self.left = others;
        self.put([of.tag()]);
        // SAFETY: there is room for the others, and for `VALUE_LEN_MIN` bytes, of which one was taken.
        let end = unsafe { self.end.sub(others * VALUE_LEN_MIN) };
        self.formatted(text, end);
    }

    /// Encodes the length of a formatted text and the text in front of `end`, which is at least `LONGEST_LENGTH` bytes
    /// away and not beyond the room of this value.
    #[inline]
    fn formatted(&mut self, text: fmt::Arguments<'_>, end: NonNull<u8>) {
        debug_assert!(end.addr().get() - self.next.addr().get() >= LONGEST_LENGTH);
        // Behind the shortest length first; the text moves if it turns out to be long.
        let head = self.next;
        self.put([0]);
        // SAFETY: the caller has left that room, of which the length took one byte.
        let end = unsafe { end.sub(LONGEST_LENGTH - 1) };
        let mut room = Room { next: self.next, end, cut: 0, buffer: PhantomData };
        let _ = room.write_fmt(text); // on an error, the text before it is recorded
        let Room { next, cut, .. } = room;
        let len = next.addr().get() - self.next.addr().get();
        if len <= SHORT_LEN_MAX && cut == 0 {
            self.next = next;
            // SAFETY: a byte of the buffer, as `put` has written it.
            unsafe { head.write(len as u8) };
        } else {
            self.move_text(head, len, len + cut);
        }
    }

    /// Moves a formatted text of `len` bytes from behind the byte at `head`, and encodes its length in front of it. It
    /// had `full_len` bytes before it was cut.
    #[cold]
    #[inline(never)]
    fn move_text(&mut self, head: NonNull<u8>, len: usize, full_len: usize) {
        let full_len = (full_len > len).then(|| u32::try_from(full_len).unwrap_or(u32::MAX));
        let length_len = length_len(len, full_len.is_some());
        // SAFETY: `formatted` has left `LONGEST_LENGTH` bytes for the length, of which the text took one.
        unsafe { head.add(1).copy_to(head.add(length_len), len) };
        self.next = head;
        self.put_length(len, full_len);
        // SAFETY: behind the text, as above.
        self.next = unsafe { self.next.add(len) };
    }

    /// Appends bytes that a value has room for.
    #[inline(always)]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        debug_assert!(self.len_bytes() + N <= self.end.addr().get() - self.start.addr().get() + PADDING_LEN);
        // SAFETY: the callers have counted: a value of at most VALUE_LEN_MIN bytes, or one in the room from `begin`.
        unsafe {
            self.next.cast::<[u8; N]>().write(bytes);
            self.next = self.next.add(N);
        }
    }

    /// Appends the lowest `len` bytes of a word, at most 8, that a value has room for. The next value overwrites the
    /// others.
    #[inline(always)]
    fn put_part(&mut self, word: u64, len: usize) {
        debug_assert!(len <= 8);
        self.put(word.to_le_bytes());
        // SAFETY: not less than before.
        self.next = unsafe { self.next.sub(8 - len) };
    }

    #[inline(always)]
    fn put_varint(&mut self, value: u64) {
        if is_short(value) {
            let (varint, bits) = short_varint(value);
            self.put_part(varint, bits as usize / 8);
        } else {
            self.put([7]);
            self.put(value.to_le_bytes());
        }
    }

    #[inline]
    fn put_length(&mut self, len: usize, full_len: Option<u32>) {
        if len <= SHORT_LEN_MAX && full_len.is_none() {
            self.put([len as u8]);
        } else {
            let mut head = [0; LONGEST_LENGTH];
            let head_len = put_length(len, full_len, &mut head);
            self.put_bytes(&head[..head_len]);
        }
    }

    /// Appends bytes that the caller has counted.
    #[inline(always)]
    fn put_bytes(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.end.addr().get() - self.next.addr().get());
        // SAFETY: within the room from `begin`; the buffer is borrowed by this value alone.
        unsafe {
            self.next.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            self.next = self.next.add(bytes.len());
        }
    }
}

/// Returns how many of `count` values there is room for in `len` bytes.
#[inline]
fn fitting(count: usize, len: usize) -> usize {
    /// Makes the compiler branch: the values wait for what is computed.
    #[cold]
    #[inline(never)]
    fn few(count: usize) -> usize {
        count
    }
    let most = len / VALUE_LEN_MIN;
    if count <= most { count } else { few(most) }
}

/// Length of the padding behind the values in bytes.
const PADDING_LEN: usize = 8;
/// Length of the longest text that fits into a word together with its type and its length.
const TINY_LEN_MAX: usize = 6;

/// Bytes of the longest encoded length.
const LONGEST_LENGTH: usize = 9;

/// Returns how much of `len` bytes can be kept in `room` bytes together with its length, and the original length if it
/// is cut; `is_boundary` is whether it can be cut there.
#[inline]
fn cut(len: usize, room: usize, is_boundary: impl Fn(usize) -> bool) -> (usize, Option<u32>) {
    if len + length_len(len, false) <= room {
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
    /// Next byte, at most `end`.
    next: NonNull<u8>,
    /// End of the room; moves to `next` when text is cut, because text with a hole in it would be wrong.
    end: NonNull<u8>,
    /// Number of bytes that were cut.
    cut: usize,
    buffer: PhantomData<&'b mut [u64]>,
}

impl Write for Room<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() > self.end.addr().get() - self.next.addr().get() {
            self.cut(text);
        } else {
            self.put(text.as_bytes());
        }
        Ok(())
    }
}

impl Room<'_> {
    /// Appends bytes for which there is room.
    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.end.addr().get() - self.next.addr().get());
        // SAFETY: the callers have compared; the buffer is borrowed by this value alone.
        unsafe {
            self.next.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
            self.next = self.next.add(bytes.len());
        }
    }

    #[cold]
    #[inline(never)]
    fn cut(&mut self, text: &str) {
        let mut kept = self.end.addr().get() - self.next.addr().get();
        while !text.is_char_boundary(kept) {
            kept -= 1;
        }
        self.put(&text.as_bytes()[..kept]);
        self.end = self.next;
        self.cut += text.len() - kept;
    }
}

#[cfg(test)]
mod tests;
