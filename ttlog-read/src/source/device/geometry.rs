//! The layout of a device's ring whose header is lost, reconstructed from the segments, each of which is verifiable
//! alone.

use ttlog_core::Word;
use ttlog_core::ring::{Mode, Ring, RingConfig, RingImage, SEGMENT_LEN_MIN, SegmentState};

/// Longest ring for which all layouts are tried.
const RING_LEN_MAX: usize = 256 << 10;
/// Longest segments that are tried, and the step between the lengths.
const SEGMENT_LEN_MAX: u32 = 2048;
const SEGMENT_LEN_STEP: usize = 64;
/// Most session slots of a header.
const SESSIONS_MAX: u32 = 28;
/// Bytes of a ring header that never change.
const FIXED_LEN: usize = 64;

/// Restores the fixed part of a ring's header if the segments reveal the layout: of all possible layouts, the one with
/// the most good and the fewest damaged segments.
pub(super) fn restore_header(bytes: &mut [u8], ring_id: u64) {
    if bytes.len() > RING_LEN_MAX || bytes.len() < FIXED_LEN {
        return;
    }
    let words: Vec<Word> = (0..bytes.len() / 8).map(|_| Word::new(0)).collect();
    let mut attempt = bytes.to_vec();
    let mut best: Option<(i64, Vec<u8>)> = None;
    for segment_len in (SEGMENT_LEN_MIN..=SEGMENT_LEN_MAX).step_by(SEGMENT_LEN_STEP) {
        for session_count in 1..=SESSIONS_MAX {
            let config =
                RingConfig { ring_id, segment_len, table_len: 0, anchor_count: 0, session_count, ..RingConfig::PLAIN };
            let Some(header) = header_of(&config, &words) else { continue };
            attempt[..FIXED_LEN].copy_from_slice(&header);
            let score = score(&attempt);
            if score > best.as_ref().map_or(0, |(score, _)| *score) {
                best = Some((score, header));
            }
        }
    }
    if let Some((_, header)) = best {
        bytes[..FIXED_LEN].copy_from_slice(&header);
    }
}

/// Returns the fixed part of the header for a ring of this configuration in these words.
fn header_of(config: &RingConfig, words: &[Word]) -> Option<Vec<u8>> {
    Ring::create(words, config).ok()?;
    Some(words[..FIXED_LEN / 8].iter().flat_map(|word| word.load().to_le_bytes()).collect())
}

/// Returns the number of good segments minus the number of damaged ones.
fn score(bytes: &[u8]) -> i64 {
    let Ok(image) = RingImage::parse(bytes) else { return 0 };
    (0..image.present_segments())
        .map(|index| match image.segment(index) {
            SegmentState::Valid(segment) if segment.header.mode == Mode::Device => 1,
            SegmentState::Unused | SegmentState::Opening { .. } => 0,
            SegmentState::Valid(_) | SegmentState::Damaged(_) => -1,
        })
        .sum()
}
