//! Sizes of records: how many words an event takes, and where its texts are cut so that it fits.

use crate::event::fields::AnyFields;
use crate::record::{ContextInfo, len_field};
use crate::ring::Ring;

/// Maximum length of texts and sequences, in bytes; lower if a record would not fit otherwise.
const CAP_MAX: usize = 16 * 1024;

/// Size of an event's record in a segment that its context writes alone.
#[derive(Clone, Copy)]
pub(crate) struct RecordSize {
    /// Maximum length of its texts and sequences, in bytes.
    pub(crate) cap: usize,
    /// Words of the payload, without the count of a long one.
    pub(crate) payload_words: usize,
    /// Length field of the header.
    pub(crate) len: u8,
    /// Words of the payload, including the count of a long one.
    pub(crate) len_words: usize,
}

impl RecordSize {
    /// Words of a rebase record.
    const REBASE_WORDS: usize = 2;

    /// Computes the size of an event. Returns `None` if it is too large for a segment that starts with `who`.
    pub(crate) fn new(ring: &Ring<'_>, who: &ContextInfo<'_>, fields: &dyn AnyFields) -> Option<Self> {
        let context_words = (1 + who.payload_words()).min(ring.record_words() / 4);
        // Number of words that an empty segment can always hold.
        let most = ring.record_words().saturating_sub(context_words + Self::REBASE_WORDS);
        let (cap, payload_words) = fit(|cap| fields.payload_words(cap), most)?;
        let (len, len_words) = len_field(payload_words);
        Some(RecordSize { cap, payload_words, len, len_words })
    }

    /// Returns the number of words of the record and of a rebase before it.
    pub(crate) fn needed_words(&self) -> usize {
        1 + self.len_words + Self::REBASE_WORDS
    }
}

/// Returns a cap under which the payload, including its count, has less than `most` words, and the resulting number of
/// payload words; `payload_words` returns it for a cap, without the count.
pub(crate) fn fit(payload_words: impl Fn(usize) -> usize, most: usize) -> Option<(usize, usize)> {
    let mut cap = CAP_MAX.min(most * 8);
    loop {
        let words = payload_words(cap);
        if len_field(words).1 < most {
            return Some((cap, words));
        }
        if cap == 0 {
            return None;
        }
        cap /= 2;
    }
}
