//! Walks over the members of a value: to measure it, to pack it, and to format what has no native encoding.
//!
//! A member that is formatted (`#[value(display)]`) is formatted once, before a record is reserved, into the
//! [`Texts`] that are captured together with the value. Later walks take the texts from there, in the same order.

use core::fmt::{self, Write};
use core::mem::MaybeUninit;

use crate::record::packed::Packer;
use crate::record::value::{FormattedText, Native, Sealed};

/// Visits the members of a value in source order. Sealed.
pub trait Walk: Sealed {
    /// Visits a value with a native encoding.
    fn leaf<N: Native>(&mut self, native: N);
    /// Visits the index of a variant.
    #[inline(always)]
    fn variant(&mut self, index: u8) {
        self.leaf(index);
    }
    /// Visits a member that is recorded with `Display`.
    fn display(&mut self, value: &dyn fmt::Display);
    /// Visits a member that is recorded with `Debug`.
    fn debug(&mut self, value: &dyn fmt::Debug);
}

/// Coerces a reference, with an error that points at it.
#[inline(always)]
pub fn as_display<T: fmt::Display>(value: &T) -> &dyn fmt::Display {
    value
}

/// Coerces a reference, with an error that points at it.
#[inline(always)]
pub fn as_debug<T: fmt::Debug>(value: &T) -> &dyn fmt::Debug {
    value
}

/// Defines a walk that takes formatted texts from where they were captured.
macro_rules! walks {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* }
        |$walk:ident, $native:ident| $visit:expr;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name<'t> {
            pub(super) texts: TextReader<'t>,
            $($(#[$field_doc])* pub(super) $field: $type,)*
        }

        impl Sealed for $name<'_> {}
        impl Walk for $name<'_> {
            #[inline(always)]
            fn leaf<N: Native>(&mut self, $native: N) {
                let $walk = self;
                $visit
            }
            fn display(&mut self, _value: &dyn fmt::Display) {
                let text: FormattedText<'_, false> = self.texts.next_text();
                self.leaf(text);
            }
            fn debug(&mut self, _value: &dyn fmt::Debug) {
                let text: FormattedText<'_, true> = self.texts.next_text();
                self.leaf(text);
            }
        }
    )*};
}

walks! {
    /// Adds up the lengths of the members.
    Measure { cap: usize, len: usize } |walk, native| walk.len += native.packed_len(walk.cap);
    /// Packs the members.
    Pack { cap: usize, packer: &'t mut Packer } |walk, native| native.pack(walk.packer, walk.cap);
    /// Finds out whether all members are small, and how long the texts and bytes in them are.
    Smallness { is_small: bool, content_len: usize } |walk, native| {
        walk.is_small &= native.is_small();
        walk.content_len += native.content_len();
    };
    /// Packs members that are small.
    PackSmall { packer: &'t mut Packer } |walk, native| native.pack_small(walk.packer);

    // The rest is for values that are recorded as their only member, which is a leaf.
    /// Returns the head of a small value.
    SmallHead { head: u64 } |walk, native| walk.head = native.small_head();
    /// Packs the tail of a small value.
    PackSmallTail { packer: &'t mut Packer } |walk, native| native.pack_small_tail(walk.packer);
    /// Returns the head and the length of the tail.
    Head { cap: usize, head: u64, tail_len: usize } |walk, native| {
        walk.head = native.head(walk.cap);
        walk.tail_len = native.tail_len(walk.cap);
    };
    /// Packs the tail.
    PackTail { cap: usize, packer: &'t mut Packer } |walk, native| native.pack_tail(walk.packer, walk.cap);
    /// Stores the wide words.
    PutWide { packer: &'t mut Packer } |walk, native| native.put_wide(walk.packer);
}

/// Formats the members that have no native encoding.
pub(super) struct Format<'t>(pub(super) &'t mut Texts);

impl Sealed for Format<'_> {}
impl Walk for Format<'_> {
    #[inline(always)]
    fn leaf<N: Native>(&mut self, _native: N) {}
    fn display(&mut self, value: &dyn fmt::Display) {
        self.0.format(format_args!("{value}"));
    }
    fn debug(&mut self, value: &dyn fmt::Debug) {
        self.0.format(format_args!("{value:?}"));
    }
}

/// Bytes for the formatted members of one value.
pub const TEXTS_ROOM: usize = if cfg!(target_pointer_width = "64") { 256 } else { 64 };
/// Bytes before each text: its length and its original length.
const HEAD_LEN: usize = 6;
/// In place of the original length of a text that was not cut.
const WHOLE: u32 = u32::MAX;

/// Texts of the formatted members of one value, one after the other. A text that does not fit is cut at a character
/// boundary.
#[derive(Clone, Copy)]
pub struct Texts {
    bytes: [MaybeUninit<u8>; TEXTS_ROOM],
    /// Number of bytes that are initialized and valid.
    len: usize,
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texts").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Texts {
    /// Creates an empty list.
    #[inline(always)]
    pub(super) const fn new() -> Self {
        Texts { bytes: [MaybeUninit::uninit(); TEXTS_ROOM], len: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.iter_mut().zip(bytes).for_each(|(place, byte)| _ = place.write(*byte));
            self.len += bytes.len();
        }
    }

    /// Appends a text. If the impl returns an error, the text ends there.
    fn format(&mut self, text: fmt::Arguments<'_>) {
        let head_at = self.len;
        if TEXTS_ROOM - head_at < HEAD_LEN {
            return; // this text and all later ones are missing
        }
        self.push(&[0; HEAD_LEN]);
        let mut writer = TextWriter { texts: self, kept: 0, offered: 0 };
        let _ = writer.write_fmt(text); // on an error, the text before it is recorded
        let (kept, offered) = (writer.kept, writer.offered);
        let full_len = if kept < offered { u32::try_from(offered).unwrap_or(WHOLE - 1) } else { WHOLE };
        let len = self.len;
        self.len = head_at;
        self.push(&(kept as u16).to_le_bytes());
        self.push(&full_len.to_le_bytes());
        self.len = len;
    }

    fn initialized(&self) -> &[u8] {
        let bytes = &self.bytes[..self.len];
        // SAFETY: these bytes are initialized, see `len`.
        unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) }
    }
}

struct TextWriter<'t> {
    texts: &'t mut Texts,
    /// Number of bytes stored so far.
    kept: usize,
    /// Number of bytes offered so far, stored or not.
    offered: usize,
}

impl Write for TextWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // After a cut nothing more is stored: text with a hole in it would be wrong.
        let room = if self.offered > self.kept { 0 } else { TEXTS_ROOM - self.texts.len };
        let mut end = text.len().min(room);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.texts.push(&text.as_bytes()[..end]);
        self.kept += end;
        self.offered += text.len();
        Ok(())
    }
}

/// Reads texts one after the other.
#[derive(Clone, Copy)]
pub(super) struct TextReader<'t> {
    rest: &'t [u8],
}

impl<'t> TextReader<'t> {
    /// Starts at the first text.
    #[inline(always)]
    pub(super) fn new(texts: Option<&'t Texts>) -> Self {
        TextReader { rest: texts.map_or(&[], Texts::initialized) }
    }

    /// Returns the next text. If the room was full before it was formatted, it is empty and marked as cut.
    fn next_text<const DEBUG: bool>(&mut self) -> FormattedText<'t, DEBUG> {
        let missing = FormattedText { text: "", full_len: Some(1) };
        let Some((&[a, b, full @ ..], rest)) = self.rest.split_first_chunk::<HEAD_LEN>() else { return missing };
        let Some((text, rest)) = rest.split_at_checked(usize::from(u16::from_le_bytes([a, b]))) else { return missing };
        self.rest = rest;
        let full_len = Some(u32::from_le_bytes(full)).filter(|&len| len != WHOLE);
        FormattedText { text: core::str::from_utf8(text).unwrap_or_default(), full_len }
    }
}
