//! The start of an open span, kept beside the ring: parent and values, as far as they fit.
//!
//! A span can be open for longer than the ring reaches back. Its start is recorded again before the old record is
//! overwritten, and at a panic in it (see `bridge/repeat`).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Number of words for the values.
const WORDS: usize = 15;
/// Longest payload that is kept, in bytes.
pub(crate) const KEPT_LEN: usize = 8 * WORDS;
/// Length of the buffer in which a payload that is too long is encoded in its short form.
pub(crate) const SHORT_ROOM: usize = 1024;

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
