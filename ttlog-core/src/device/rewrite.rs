//! Replaces records in the copy of a device's segment.
//!
//! For viewers: a record whose payload is in a foreign format is replaced with one that readers of this format
//! understand.

use crate::record::{CONTROL, RESERVED, decode_record, encode_header, len_field, xor_words};
use crate::ring::{Item, Mode};
use crate::ring::{Record, Segment, SegmentHeader};

/// Function that replaces a record, see [`rewrite_segment`]. It writes the new payload, and returns the callsite and
/// the length of the payload in bytes.
pub type Replace<'r> = dyn Fn(&Record<'_>, &mut [u8]) -> Option<(u16, usize)> + 'r;

/// Copies the records of a device's segment to `out`, replacing some of them, and returns the resulting segment.
///
/// `replace` is called for each event. It writes the payload of the new record to the rest of `out`, and returns the
/// callsite and the length of the payload in bytes; `None` leaves the record unchanged. The time never changes. If a
/// new record does not fit into `out`, the original is copied; if that does not fit either, it is left out. Damaged
/// bytes are copied unchanged.
#[must_use]
pub fn rewrite_segment<'o>(segment: &Segment<'_>, out: &'o mut [u8], replace: &Replace<'_>) -> Segment<'o> {
    let used = segment.used();
    let is_device = segment.header.mode == Mode::Device;
    // Position in `used`, and bytes written.
    let (mut at, mut len) = (0, 0);
    for item in segment.items() {
        let Item::Event(event) = item else { continue };
        // Events beyond the count in the header are not copied.
        let Some(raw) = decode_record(used, event.offset, segment.header.seal()) else { break };
        len += copy(&used[at..event.offset], &mut out[len..]);
        at = event.offset + raw.len_bytes;
        let fill = |room: &mut [u8]| if is_device { replace(&event, room) } else { None };
        let written = put(&mut out[len..], raw.header.delta, segment.header.lap, fill);
        len += written.unwrap_or_else(|| copy(&used[event.offset..at], &mut out[len..]));
    }
    len += copy(&used[at..], &mut out[len..]);
    let offset_words = (len / 8) as u32;
    Segment { header: SegmentHeader { offset_words, ..segment.header }, records: &out[..len] }
}

/// Copies the bytes to the front of `out` if there is room for all of them, and returns the number of bytes copied.
fn copy(bytes: &[u8], out: &mut [u8]) -> usize {
    let Some(place) = out.get_mut(..bytes.len()) else { return 0 };
    place.copy_from_slice(bytes);
    bytes.len()
}

/// Writes a record to the front of `out`, with a payload that `fill` writes, and returns its length.
fn put(out: &mut [u8], delta: u32, lap: u8, fill: impl FnOnce(&mut [u8]) -> Option<(u16, usize)>) -> Option<usize> {
    /// Length of a device's longest record, in payload words.
    const WORDS_MAX: usize = crate::record::SHORT_PAYLOAD_WORDS;
    let (header, room) = out.split_first_chunk_mut::<8>()?;
    let room_len = room.len().min(WORDS_MAX * 8) / 8 * 8;
    let room = &mut room[..room_len];
    room.fill(0);
    let (callsite, payload_len) = fill(room)?;
    let words = payload_len.div_ceil(8);
    let payload = room.get(..words * 8)?;
    debug_assert!(!matches!(callsite, CONTROL | RESERVED));
    let (len, _) = len_field(words);
    let word = encode_header(callsite, len, delta, xor_words(payload) ^ u64::from(lap));
    *header = word.to_le_bytes();
    Some(8 + words * 8)
}
