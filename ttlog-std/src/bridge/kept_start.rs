//! The start of an open span, kept beside the ring: parent and values, as far as they fit.
//!
//! A span can be open for longer than the ring reaches back. Its start is recorded again before the old record is
//! overwritten, and at a panic in it (see [`restate`](super::restate)).

use std::error::Error;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use tracing_core::field::{Field, Visit};
use ttlog_core::event::dynamic::DynamicValues;

/// Number of words for the values.
const WORDS: usize = 15;
/// Longest payload that is kept, in bytes.
pub(crate) const KEPT_LEN: usize = 8 * WORDS;
/// Length of the buffer in which a payload that is too long is encoded in its short form.
const SHORT_ROOM: usize = 1024;

/// The start of an open span. All zeros: there is none.
#[derive(Debug)]
pub(crate) struct KeptStart {
    /// Length of the payload in bytes; 0: it did not fit.
    len: AtomicU32,
    /// Number of the round in which it was recorded last.
    round: AtomicU32,
    words: [AtomicU64; WORDS],
}

impl KeptStart {
    /// Keeps the payload of a start that is being recorded, or else what `short` encodes into a buffer.
    ///
    /// The span is in its slot already, so whoever reads a mix of two payloads finds another id there afterwards.
    #[inline]
    pub(crate) fn keep(&self, payload: &[u8], round: u32, short: impl FnOnce(&mut [u8]) -> usize) {
        fence(Ordering::Release);
        self.round.store(round, Ordering::Relaxed);
        if payload.len() <= KEPT_LEN {
            self.store(payload);
        } else {
            self.keep_short(short);
        }
    }

    #[cold]
    #[inline(never)]
    fn keep_short(&self, short: impl FnOnce(&mut [u8]) -> usize) {
        let mut room = [0; SHORT_ROOM];
        let len = short(&mut room);
        self.store(room.get(..len).filter(|payload| payload.len() <= KEPT_LEN).unwrap_or_default());
    }

    #[inline]
    fn store(&self, payload: &[u8]) {
        for (word, bytes) in self.words.iter().zip(payload.chunks(8)) {
            let mut eight = [0; 8];
            eight[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(eight), Ordering::Relaxed);
        }
        self.len.store(payload.len() as u32, Ordering::Relaxed);
    }

    /// Copies the payload, and returns its length. It counts only if the span is in its slot afterwards.
    pub(crate) fn load(&self, payload: &mut [u8; KEPT_LEN]) -> usize {
        let len = self.len.load(Ordering::Relaxed) as usize;
        for (bytes, word) in payload.chunks_exact_mut(8).zip(&self.words) {
            bytes.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        fence(Ordering::Acquire);
        len.min(KEPT_LEN)
    }

    /// Returns the number of the round in which it was recorded last.
    pub(crate) fn round(&self) -> u32 {
        self.round.load(Ordering::Relaxed)
    }

    /// Notes that it is recorded again.
    pub(crate) fn set_round(&self, round: u32) {
        self.round.store(round, Ordering::Relaxed);
    }
}

/// Encodes ids and the values of `count` fields in short: texts are cut, and values are absent that would have to be
/// formatted once more. Of very many fields, all are absent.
pub(crate) fn encode_short(out: &mut [u8], ids: &[u64], count: usize, visit: impl Fn(&mut dyn Visit)) -> usize {
    let is_room = (ids.len() + count) * VALUE_LEN_MIN <= KEPT_LEN;
    let len = if is_room { KEPT_LEN } else { SHORT_ROOM };
    let mut values = DynamicValues::new(out.get_mut(..len).unwrap_or_default(), ids.len() + count);
    ids.iter().for_each(|id| values.id(*id));
    let mut short = Short { values, next: 0 };
    if is_room {
        visit(&mut short);
    }
    short.values.finish().len()
}

/// Bytes that any value can take, if only as a note that it was cut.
const VALUE_LEN_MIN: usize = 10;

/// Encodes values that are visited in the order of the fields; others are absent.
struct Short<'b> {
    values: DynamicValues<'b>,
    /// Index of the next field.
    next: usize,
}

impl<'b> Short<'b> {
    fn encode(&mut self, field: &Field, encode: impl FnOnce(&mut DynamicValues<'b>)) {
        if field.index() < self.next {
            return;
        }
        for _ in self.next..field.index() {
            self.values.absent();
        }
        self.next = field.index() + 1;
        encode(&mut self.values);
    }
}

impl Visit for Short<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.encode(field, |values| values.f64(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.encode(field, |values| values.i64(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.encode(field, |values| values.u64(value));
    }
    fn record_i128(&mut self, field: &Field, value: i128) {
        self.encode(field, |values| values.i128(value));
    }
    fn record_u128(&mut self, field: &Field, value: u128) {
        self.encode(field, |values| values.u128(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.encode(field, |values| values.bool(value));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.encode(field, |values| values.str(value));
    }
    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.encode(field, |values| values.blob(value));
    }
    fn record_error(&mut self, _: &Field, _: &(dyn Error + 'static)) {}
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
