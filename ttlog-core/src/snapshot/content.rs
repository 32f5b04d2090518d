//! Content types of files and memory, detected from the first bytes.

use super::item::ITEM_MARK;
use crate::ring::RING_MAGIC;

/// Number of bytes that [`content_of`] examines; fewer are enough if there are no more.
#[cfg(feature = "frames")]
pub const CONTENT_LEN_MAX: usize = crate::device::frame::FRAME_LEN_MAX;
/// Number of bytes that [`content_of`] examines; fewer are enough if there are no more.
#[cfg(not(feature = "frames"))]
pub const CONTENT_LEN_MAX: usize = ITEM_MARK.len();

/// Content type, detected from the first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A ring.
    Ring,
    /// A snapshot, or another sequence of its items, such as a dictionary.
    Snapshot,
    /// A device's output in frames, or in lines of text that represent frames. (Only with the feature `frames`.)
    Frames,
    /// None of these, or damaged at the start. A byte stream can hold frames later; see [`holds_items`] for snapshots.
    Unknown,
}

/// Returns the content type of bytes that start with `start`.
#[must_use]
pub fn content_of(start: &[u8]) -> Content {
    if start.starts_with(&RING_MAGIC) {
        Content::Ring
    } else if start.starts_with(&ITEM_MARK) {
        Content::Snapshot
    } else if starts_with_frame(start) {
        Content::Frames
    } else {
        Content::Unknown
    }
}

/// Returns whether an item of a snapshot begins anywhere in `bytes`.
#[must_use]
pub fn holds_items(bytes: &[u8]) -> bool {
    bytes.windows(ITEM_MARK.len()).any(|window| window == ITEM_MARK)
}

#[cfg(feature = "frames")]
fn starts_with_frame(start: &[u8]) -> bool {
    crate::device::frame::starts_with_frame(start)
}

#[cfg(not(feature = "frames"))]
fn starts_with_frame(_start: &[u8]) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_and_snapshots_are_known_by_their_first_bytes() {
        assert_eq!(content_of(b"TTLOGRNG"), Content::Ring);
        assert_eq!(content_of(b"TTLOGRN"), Content::Unknown);
        assert_eq!(content_of(b"\xd9\xd9\xf7\x84\x64TTLG\0"), Content::Snapshot);
        assert_eq!(content_of(b"\xd9\xd9\xf7\x84\x64TTL"), Content::Unknown);
        assert_eq!(content_of(b""), Content::Unknown);
        const { assert!(CONTENT_LEN_MAX >= RING_MAGIC.len() && CONTENT_LEN_MAX >= ITEM_MARK.len()) };
    }

    #[test]
    fn items_are_found_anywhere() {
        assert!(holds_items(b"xx\xd9\xd9\xf7\x84\x64TTLG"));
        assert!(!holds_items(b"xx\xd9\xd9\xf7\x84\x64TTL"));
        assert!(!holds_items(b""));
    }

    #[cfg(feature = "frames")]
    #[test]
    fn frames_are_known_by_the_first_of_them() {
        use crate::device::frame::{FRAME_DATA_MAX, FRAME_LEN_MAX, Frame, FrameKind, LINE_LEN_MAX, TEXT_BEGIN};
        let data = [7; FRAME_DATA_MAX];
        let frame = Frame { kind: FrameKind::Begin, dump: 1, number: 0, offset: 0, data: &data };
        let mut bytes = frame.encode(&mut [0; FRAME_LEN_MAX]).to_vec();
        assert_eq!(content_of(&bytes[..CONTENT_LEN_MAX.min(bytes.len())]), Content::Frames);
        assert_eq!(content_of(&bytes[..bytes.len() - 1]), Content::Unknown);
        bytes[9] ^= 1;
        assert_eq!(content_of(&bytes), Content::Unknown);
        assert_eq!(content_of(&frame.encode_line(&mut [0; LINE_LEN_MAX])[..CONTENT_LEN_MAX]), Content::Frames);
        assert_eq!(content_of(TEXT_BEGIN.as_bytes()), Content::Frames);
        assert_eq!(content_of(b"\0\0\0"), Content::Unknown);
    }
}
