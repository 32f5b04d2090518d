//! Putting other records in the place of some in the copy of a device's segment.
//!
//! For viewers: a record whose payload is in a format of somebody else's becomes one that readers of this format understand.

use crate::record::{CONTROL, RESERVED, decode_record, encode_header, len_field, xor_words};
use crate::ring::{Item, Mode};
use crate::ring::{Record, Segment, SegmentHeader};

/// Puts another record in the place of one, see [`rewrite_segment`]: writes the payload, and gives callsite and bytes of the payload.
pub type Replace<'r> = dyn Fn(&Record<'_>, &mut [u8]) -> Option<(u16, usize)> + 'r;

/// Copies the records of a device's segment to `out`, with others in the place of some, and gives the segment that they make.
///
/// `replace` is asked for each event. It puts the payload of the record that is to stand in its place into what is left of `out`, and gives
/// its callsite and the bytes of the payload; `None`: the record stays. The time stays in any case. What finds no room in `out` is left
/// as it was, or where not even that finds room, left out. Damaged bytes are copied as they are.
#[must_use]
pub fn rewrite_segment<'o>(segment: &Segment<'_>, out: &'o mut [u8], replace: &Replace<'_>) -> Segment<'o> {
    let used = segment.used();
    let is_device = segment.header.mode == Mode::Device;
    // Up to where `used` is dealt with, and what has come of it.
    let (mut at, mut len) = (0, 0);
    for item in segment.items() {
        let Item::Event(event) = item else { continue };
        // Events that lie behind what the header speaks of are not copied.
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

/// Copies the bytes to the front of `out`, if there is room for all of them, and gives how many were copied.
fn copy(bytes: &[u8], out: &mut [u8]) -> usize {
    let Some(place) = out.get_mut(..bytes.len()) else { return 0 };
    place.copy_from_slice(bytes);
    bytes.len()
}

/// Puts a record at the front of `out` whose payload `fill` writes, and gives its length.
fn put(out: &mut [u8], delta: u32, lap: u8, fill: impl FnOnce(&mut [u8]) -> Option<(u16, usize)>) -> Option<usize> {
    /// The longest record of a device.
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
