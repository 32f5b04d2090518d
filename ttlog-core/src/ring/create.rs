//! Creation of a ring in zeroed memory.

use super::Ring;
use super::config::{RingConfig, RingError};
use super::header::RingHeader;
use super::layout::{
    ANCHOR_LEN, DEVICE_MIN_READER_VERSION, FORMAT_VERSION, MIN_READER_VERSION, PRIORITY_SEQUENCE_BIT, RING_MAGIC,
    header_word,
};
use crate::memory::word::Word;

impl<'m> Ring<'m> {
    /// Lays out a ring in `words`, which must be zero, and returns its handle. Surplus words at the end stay unused.
    ///
    /// # Errors
    /// [`RingError`] if the configuration is invalid or the region too small.
    pub fn create(words: &'m [Word], config: &RingConfig) -> Result<Self, RingError> {
        config.check(words.len())?;
        let ring = Ring::over(words, config);
        let header = ring.fixed_header(config);
        ring.words[header_word::NEXT_SEQUENCE].store(1);
        if config.priority_segment_count > 0 {
            ring.words[header_word::PRIORITY_NEXT_SEQUENCE].store(PRIORITY_SEQUENCE_BIT | 1);
        }
        // The magic is stored last: a region in which creation was interrupted is not a ring.
        for (index, chunk) in header.chunks_exact(8).enumerate().rev() {
            ring.words[index].store_release(u64::from_le_bytes(chunk.try_into().unwrap_or(RING_MAGIC)));
        }
        Ok(ring)
    }

    /// Returns the part of the ring header that never changes.
    pub(crate) fn fixed_header(&self, config: &RingConfig) -> [u8; 64] {
        let header_len = config.header_len() as u32;
        let is_device = config.session_count > 0;
        let header = RingHeader {
            format_version: FORMAT_VERSION,
            min_reader_version: if is_device { DEVICE_MIN_READER_VERSION } else { MIN_READER_VERSION },
            header_len,
            ring_id: config.ring_id,
            segment_len: config.segment_len,
            segment_count: self.segment_count,
            segments_offset: self.segments as u64 * 8,
            table_offset: header_len + config.anchor_count * ANCHOR_LEN as u32,
            table_len: config.table_len,
            anchors_offset: header_len,
            anchor_count: config.anchor_count,
            priority_segment_count: config.priority_segment_count,
            ..RingHeader::default()
        };
        header.encode_fixed()
    }

    /// Returns the handle of a ring that [`create`](Self::create) laid out with the same configuration, in `words` or in
    /// memory that is now there.
    ///
    /// # Panics
    /// If `words` is too short for what precedes the segments.
    #[must_use]
    pub fn over(words: &'m [Word], config: &RingConfig) -> Self {
        let segments = config.overhead_len() / 8;
        let segment_words = config.segment_len as usize / 8;
        let segment_count = (words.len() - segments) / segment_words;
        Ring {
            words: &words[..segments + segment_count * segment_words],
            segments,
            segment_words,
            segment_count: u32::try_from(segment_count).unwrap_or(u32::MAX),
            priority_segment_count: config.priority_segment_count,
            header_words: config.header_len() / 8,
            table_words: config.table_len as usize / 8,
            anchor_count: config.anchor_count,
        }
    }
}
