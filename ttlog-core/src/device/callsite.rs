//! Callsites of devices: expansion of the macros where a callsite must take neither RAM nor flash.
//!
//! A callsite is two items in sections that are not loaded (the linker script `ttlog.x` ensures this): its text
//! ([`callsite_text`](crate::table::callsite_text)), and an entry that links the text to an id and to the types of the run-time
//! fields. The id is the address of a byte in a section that begins at address 1. All that remains in the program is a
//! number below 65,536, which the linker puts into an instruction.
//!
//! Assembly writes the entry, in a function that is generic over the types, because the types are only known there. If
//! the compiler copies that function (an unrolled loop, two lists of types), one text has several ids, at no cost.
//!
//! With the feature `embedded-metadata`, both are loaded into flash, and dumps include them.
//!
//! # Format
//! docs/format.md §3.3.

use core::sync::atomic::{AtomicU8, Ordering};

use crate::device::DeviceRecorder;
use crate::event::fields::Fields;
use crate::event::level::Level;
use crate::event::metadata::Metadata;
use crate::memory::word::Word;
use crate::table::callsite_text;

/// Number of bytes for type tags in an entry.
pub const ENTRY_TAGS_LEN: usize = 64;
/// Length of an entry in bytes: id, address of the text, type tags.
pub const ENTRY_LEN: usize = 8 + ENTRY_TAGS_LEN;

/// Recorder that the macros write to.
pub static RECORDER: DeviceRecorder = DeviceRecorder::new();

/// Recording threshold. 0: everything is off; a higher value enables more levels.
static OPENNESS: AtomicU8 = AtomicU8::new(0);
/// Sum of openness and level for the highest level that is on.
const JUST_ON: u8 = Level::Error as u8 + 1;

/// Records events of `level` and above from now on; `None`: no events. Callable from any context.
pub fn set_level(level: Option<Level>) {
    OPENNESS.store(level.map_or(0, |level| JUST_ON - level as u8), Ordering::Relaxed);
}

/// Returns whether events of `level` are recorded. Costs a load and a compare.
#[inline(always)]
#[must_use]
pub fn is_level_on(level: Level) -> bool {
    OPENNESS.load(Ordering::Relaxed) >= JUST_ON - level as u8
}

/// Encoded text of a callsite.
#[derive(Debug)]
#[repr(transparent)]
pub struct CallsiteText<const N: usize>([u8; N]);

impl<const N: usize> CallsiteText<N> {
    /// Encodes the text; `N` is [`callsite_text::encoded_len`].
    #[must_use]
    pub const fn new(metadata: &Metadata) -> Self {
        CallsiteText(callsite_text::encode(metadata))
    }
}

// The id is the last argument, because the values are often in the first registers already. The case without room is a
// separate function, so that the usual path needs no extra registers.

/// Records an event without run-time fields.
#[inline(never)]
fn record_0(id: u32) {
    if !RECORDER.append(id, 0, 0, |_| {}) {
        record_anew(0, 0, id);
    }
}

/// Records an event whose fields are one word, in two halves.
#[inline(never)]
fn record_1(low: u32, high: u32, id: u32) {
    let word = join(low, high);
    if !RECORDER.append(id, 1, word, |words| words[0].store(word)) {
        record_anew(low, high, id | 1 << 16);
    }
}

/// Records an event whose fields are two words.
#[inline(never)]
fn record_2(low0: u32, high0: u32, low1: u32, high1: u32, id: u32) {
    let (first, second) = (join(low0, high0), join(low1, high1));
    let put = |words: &[Word]| {
        words[0].store(first);
        words[1].store(second);
    };
    if !RECORDER.append(id, 2, first ^ second, put) {
        record_2_anew(low0, high0, low1, high1, id);
    }
}

/// Slow path of [`record_0`] and [`record_1`]; `id` has the number of words from bit 16 on.
#[cold]
#[inline(never)]
fn record_anew(low: u32, high: u32, id: u32) {
    let word = join(low, high);
    RECORDER.append_anew(id & 0xFFFF, (id >> 16) as u8, word, |words| {
        if let Some(first) = words.first() {
            first.store(word);
        }
    });
}

/// Slow path of [`record_2`].
#[cold]
#[inline(never)]
fn record_2_anew(low0: u32, high0: u32, low1: u32, high1: u32, id: u32) {
    let (first, second) = (join(low0, high0), join(low1, high1));
    RECORDER.append_anew(id, 2, first ^ second, |words| {
        if let [a, b, ..] = words {
            a.store(first);
            b.store(second);
        }
    });
}

#[inline(always)]
const fn join(low: u32, high: u32) -> u64 {
    low as u64 | (high as u64) << 32
}

/// Records an event. Fixed-size fields of at most two words go straight into registers; everything else takes the
/// general path.
#[inline(always)]
pub fn record<F: Fields>(id: u32, fields: F) {
    let half = |words: u128, index: u32| (words >> (32 * index)) as u32;
    match F::FIXED_LEN {
        Some(0) => record_0(id),
        Some(1..=8) => {
            let words = fields.fixed();
            record_1(half(words, 0), half(words, 1), id);
        }
        Some(9..=16) => {
            let words = fields.fixed();
            record_2(half(words, 0), half(words, 1), half(words, 2), half(words, 3), id);
        }
        _ => RECORDER.append_any(id as u16, &fields),
    }
}

/// Returns the word of type tags at `index` of an entry, for the assembly.
///
/// # Panics
/// At compile time, if the event has too many fields: their types take more than 64 tags.
#[must_use]
pub const fn tag_word<F: Fields>(index: usize) -> u64 {
    let tags: [u8; ENTRY_TAGS_LEN] = F::TYPES.tag_bytes();
    let mut word = [0; 8];
    let mut byte = 0;
    while byte < 8 {
        word[byte] = tags[index * 8 + byte];
        byte += 1;
    }
    u64::from_le_bytes(word)
}

/// Records an event of the callsite whose text is the static `$text`.
#[doc(hidden)]
#[macro_export]
macro_rules! __ttlog_record_callsite {
    ($text:ident, $values:expr) => {{
        // Generic, because the types are only known this way where the entry is written.
        #[inline(always)]
        fn __ttlog_callsite<F: $crate::__private::Fields>(fields: F) {
            $crate::__private::record($crate::__ttlog_callsite_id!($text, F), fields)
        }
        __ttlog_callsite($values)
    }};
}

/// Writes the entry of a callsite and returns its id. `$load` are instructions that load the address of label 771 into
/// a register. The flag `$flags` says whether the sections of entries are loaded.
#[doc(hidden)]
#[macro_export]
macro_rules! __ttlog_entry {
    ($text:ident, $fields:ident, $flags:literal, $options:tt, $($load:literal),+) => {{
        let id: u32;
        // SAFETY: writes into sections of the object file that no code reads, and loads a number into a register.
        unsafe {
            ::core::arch::asm!(
                ".pushsection .ttlog.id,\"\",%progbits",
                "771: .byte 0",
                ".popsection",
                concat!(".pushsection .ttlog.entry,\"", $flags, "\",%progbits"),
                ".p2align 2",
                ".4byte 771b",
                ".4byte {text}",
                ".8byte {t0}, {t1}, {t2}, {t3}, {t4}, {t5}, {t6}, {t7}",
                ".popsection",
                $($load,)+
                text = sym $text,
                t0 = const $crate::__private::tag_word::<$fields>(0),
                t1 = const $crate::__private::tag_word::<$fields>(1),
                t2 = const $crate::__private::tag_word::<$fields>(2),
                t3 = const $crate::__private::tag_word::<$fields>(3),
                t4 = const $crate::__private::tag_word::<$fields>(4),
                t5 = const $crate::__private::tag_word::<$fields>(5),
                t6 = const $crate::__private::tag_word::<$fields>(6),
                t7 = const $crate::__private::tag_word::<$fields>(7),
                id = lateout(reg) id,
                options $options,
            );
        }
        id
    }};
}

#[cfg(not(feature = "embedded-metadata"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __ttlog_flagged_entry {
    ($text:ident, $fields:ident, $($rest:tt)+) => { $crate::__ttlog_entry!($text, $fields, "", $($rest)+) };
}

#[cfg(feature = "embedded-metadata")]
#[doc(hidden)]
#[macro_export]
macro_rules! __ttlog_flagged_entry {
    ($text:ident, $fields:ident, $($rest:tt)+) => { $crate::__ttlog_entry!($text, $fields, "a", $($rest)+) };
}

#[cfg(ttlog_callsite_id = "movw")]
#[doc(hidden)]
#[macro_export]
macro_rules! __ttlog_callsite_id {
    ($text:ident, $fields:ident) => {
        $crate::__ttlog_flagged_entry!(
            $text,
            $fields,
            (pure, nomem, nostack, preserves_flags),
            "movw {id}, #:lower16:771b"
        )
    };
}

#[cfg(ttlog_callsite_id = "thumb1")]
#[doc(hidden)]
#[macro_export]
macro_rules! __ttlog_callsite_id {
    ($text:ident, $fields:ident) => {
        $crate::__ttlog_flagged_entry!(
            $text,
            $fields,
            (pure, nomem, nostack),
            "movs {id}, #:lower8_15:771b",
            "lsls {id}, {id}, #8",
            "adds {id}, #:lower0_7:771b"
        )
    };
}

#[cfg(ttlog_callsite_id = "riscv")]
#[doc(hidden)]
#[macro_export]
macro_rules! __ttlog_callsite_id {
    ($text:ident, $fields:ident) => {
        $crate::__ttlog_flagged_entry!(
            $text,
            $fields,
            (pure, nomem, nostack, preserves_flags),
            "lui {id}, %hi(771b)",
            "addi {id}, {id}, %lo(771b)"
        )
    };
}
