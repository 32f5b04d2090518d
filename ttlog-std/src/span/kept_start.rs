//! The start of an open span, kept beside the ring: parent and values, as far as they fit.
//!
//! A span can be open for longer than the ring reaches back. Its start is recorded again before the old record is
//! overwritten, and at a panic in it (see `bridge/repeat`).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Longest payload that is kept, in words.
pub(crate) const KEPT_WORDS: usize = 15;
/// Length of the buffer in which a payload that is too long is encoded in its short form, in words.
pub(crate) const SHORT_ROOM: usize = 128;

/// The start of an open span. All zeros: there is none.
#[derive(Debug)]
pub(crate) struct KeptStart {
    /// Length of the payload in words; 0: it did not fit.
    len: AtomicU32,
    /// Number of the round in which it was recorded last.
    round: AtomicU32,
    words: [AtomicU64; KEPT_WORDS],
}

impl KeptStart {
    /// Keeps the payload of a start that is being recorded, or else what `short` encodes into a buffer.
    ///
    /// The span is in its slot already, so whoever reads a mix of two payloads finds another id there afterwards.
    #[inline]
    pub(crate) fn keep(&self, payload: &[u64], round: u32, short: impl FnOnce(&mut [u64]) -> usize) {
        fence(Ordering::Release);
        self.round.store(round, Ordering::Relaxed);
        if payload.len() <= KEPT_WORDS {
            self.store(payload);
        } else {
            self.keep_short(short);
        }
    }

    #[cold]
    #[inline(never)]
    fn keep_short(&self, short: impl FnOnce(&mut [u64]) -> usize) {
        let mut room = [0; SHORT_ROOM];
        let len = short(&mut room);
        self.store(room.get(..len).filter(|payload| payload.len() <= KEPT_WORDS).unwrap_or_default());
    }

    #[inline]
    fn store(&self, payload: &[u64]) {
        for (word, value) in self.words.iter().zip(payload) {
            word.store(*value, Ordering::Relaxed);
        }
        self.len.store(payload.len() as u32, Ordering::Relaxed);
    }

    /// Copies the payload, and returns its length. It counts only if the span is in its slot afterwards.
    pub(crate) fn load(&self, payload: &mut [u64; KEPT_WORDS]) -> usize {
        let len = self.len.load(Ordering::Relaxed) as usize;
        for (value, word) in payload.iter_mut().zip(&self.words) {
            *value = word.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        len.min(KEPT_WORDS)
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
