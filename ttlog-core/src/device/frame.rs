//! Frames: the units in which a device sends its ring over a byte stream that can lose, change or repeat bytes.
//!
//! A dump is a sequence of frames: a first frame, the bytes of the ring in small pieces with their offsets, the
//! callsite metadata that the receiver needs, and a last frame. Each frame has its own checksum. A lost frame costs
//! only its own bytes, and the receiver finds the next one by its delimiter. The stream can be shared with other
//! output. Each frame also has a form as a line of text, for terminal programs that only accept text.
//!
//! Nothing here allocates or blocks; encoding needs the 256 bytes of its output. Callable from an interrupt.
//!
//! # Format
//! docs/format.md §7. COBS as in S. Cheshire and M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions
//! on Networking 7 (1999); base64 as in RFC 4648 §4, without padding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::memory::crc::crc32;
use crate::record::word_at;

/// Version of the frames that are sent, as stated in the first frame of a dump.
pub const FRAME_VERSION: u16 = 1;
/// Maximum number of data bytes in a frame.
pub const FRAME_DATA_MAX: usize = 240;
/// Maximum length of a frame before encoding, in bytes.
pub const FRAME_CONTENT_MAX: usize = HEAD_LEN + FRAME_DATA_MAX + CRC_LEN;
/// Maximum length of a frame on the wire, in bytes, including its delimiters.
pub const FRAME_LEN_MAX: usize = 256;
/// Maximum number of data bytes in a frame of a dump: less than in other frames, to save stack on the device.
pub const DUMP_DATA_MAX: usize = 160;
/// Maximum length of such a frame before encoding, in bytes.
pub const DUMP_CONTENT_MAX: usize = HEAD_LEN + DUMP_DATA_MAX + CRC_LEN;
/// Maximum length of such a frame on the wire, in bytes, including its delimiters.
pub const DUMP_FRAME_LEN_MAX: usize = cobs::max_encoding_length(DUMP_CONTENT_MAX) + 2;
/// Maximum length of the line of text for such a frame, in bytes, without its end.
pub const DUMP_LINE_LEN_MAX: usize = LINE_START.len() + (DUMP_CONTENT_MAX * 4).div_ceil(3);
/// Maximum length of the line of text for a frame, in bytes, without its end.
pub const LINE_LEN_MAX: usize = LINE_START.len() + (FRAME_CONTENT_MAX * 4).div_ceil(3);
/// Line before a dump in text form.
pub const TEXT_BEGIN: &str = "-----BEGIN TTLOG DUMP-----";
/// Line after a dump in text form.
pub const TEXT_END: &str = "-----END TTLOG DUMP-----";

/// Prefix of a line that represents a frame.
pub const LINE_START: &str = "TTLOG:";
/// Number of bytes before the data.
const HEAD_LEN: usize = 8;
/// Number of bytes after the data.
const CRC_LEN: usize = 4;
/// Byte before and after each frame, and never inside one.
const DELIMITER: u8 = 0;

const _: () = assert!(cobs::max_encoding_length(FRAME_CONTENT_MAX) + 2 <= FRAME_LEN_MAX);

/// Kind of a frame's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Start of a dump; the data is a [`Begin`].
    Begin,
    /// Bytes of the ring from `offset` on.
    Ring,
    /// Part of the metadata of the callsite with the id `offset`; the data is a [`Part`] of its type tags and text.
    Callsite,
    /// Part of the segment at `offset` of the ring, compressed; the data is a [`Part`] of an LZ4 block.
    Packed,
    /// The segment at `offset` of the ring was replaced while it was sent: the receiver must discard what it has of it.
    Void,
    /// End of a dump; the data is the number of frames before this one, in 4 bytes.
    End,
    /// Bytes of another stream that shares the line.
    Stream,
}

impl FrameKind {
    const ALL: [FrameKind; 7] = [
        FrameKind::Begin,
        FrameKind::Ring,
        FrameKind::Callsite,
        FrameKind::Packed,
        FrameKind::Void,
        FrameKind::End,
        FrameKind::Stream,
    ];

    const fn code(self) -> u8 {
        self as u8 + 1
    }

    fn of(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

/// A frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Kind of the data.
    pub kind: FrameKind,
    /// Number of the dump. Frames of different dumps can be mixed where they share a line.
    pub dump: u8,
    /// Number of the frame in the dump, from 0, modulo 65,536.
    pub number: u16,
    /// Offset or id of the data, see [`FrameKind`]; otherwise 0.
    pub offset: u32,
    /// Data, at most [`FRAME_DATA_MAX`] bytes.
    pub data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Encodes the frame with its delimiters, and returns the used part of `out`.
    ///
    /// # Panics
    /// If there are more than [`FRAME_DATA_MAX`] bytes of data.
    pub fn encode<'o>(&self, out: &'o mut [u8; FRAME_LEN_MAX]) -> &'o [u8] {
        self.content().encode(out)
    }

    /// Encodes the frame as a line of text without its end, and returns the used part of `out`.
    ///
    /// # Panics
    /// If there are more than [`FRAME_DATA_MAX`] bytes of data.
    pub fn encode_line<'o>(&self, out: &'o mut [u8; LINE_LEN_MAX]) -> &'o [u8] {
        self.content().encode_line(out)
    }

    fn content(&self) -> FrameContent<FRAME_CONTENT_MAX> {
        let mut content = FrameContent::new();
        content.data_mut()[..self.data.len()].copy_from_slice(self.data);
        content.seal(self.kind, self.dump, self.number, self.offset, self.data.len());
        content
    }

    /// Decodes the content of a frame; `None` if it is not a frame.
    #[must_use]
    pub fn decode_content(content: &'a [u8]) -> Option<Self> {
        let (covered, crc) = content.split_last_chunk::<CRC_LEN>()?;
        let (head, data) = covered.split_first_chunk::<HEAD_LEN>()?;
        if data.len() > FRAME_DATA_MAX || crc32(covered) != u32::from_le_bytes(*crc) {
            return None;
        }
        Some(Frame {
            kind: FrameKind::of(head[0])?,
            dump: head[1],
            number: u16::from_le_bytes([head[2], head[3]]),
            offset: u32::from_le_bytes([head[4], head[5], head[6], head[7]]),
            data,
        })
    }

    /// Decodes the bytes between two delimiters in place; `None` if they are not a frame, in which case `bytes` can
    /// have changed.
    #[must_use]
    pub fn decode(bytes: &'a mut [u8]) -> Option<Self> {
        if bytes.is_empty() || bytes.len() > FRAME_LEN_MAX {
            return None;
        }
        let len = cobs::decode_in_place(bytes).ok()?;
        Self::decode_content(bytes.get(..len)?)
    }

    /// Decodes a line of text into `room`, ignoring blanks around it; `None` if it does not represent a frame.
    #[must_use]
    pub fn decode_line(line: &[u8], room: &'a mut [u8; FRAME_LEN_MAX]) -> Option<Self> {
        let text = line.trim_ascii().strip_prefix(LINE_START.as_bytes())?;
        let len = STANDARD_NO_PAD.decode_slice(text, room).ok()?;
        Self::decode_content(&room[..len])
    }
}

/// Returns whether a byte stream that starts with these bytes begins with a frame, or with a line of a dump in text
/// form.
pub(crate) fn starts_with_frame(start: &[u8]) -> bool {
    if start.starts_with(TEXT_BEGIN.as_bytes()) || start.starts_with(LINE_START.as_bytes()) {
        return true;
    }
    let frame = start.strip_prefix(&[DELIMITER]).unwrap_or(start);
    let Some(len) = frame.iter().position(|byte| *byte == DELIMITER).filter(|len| *len <= FRAME_LEN_MAX) else {
        return false;
    };
    let mut room = [0; FRAME_LEN_MAX];
    room[..len].copy_from_slice(&frame[..len]);
    Frame::decode(&mut room[..len]).is_some()
}

/// Buffer of `N` bytes in which the content of a frame is assembled before it is encoded.
#[derive(Clone, Debug)]
pub struct FrameContent<const N: usize = DUMP_CONTENT_MAX> {
    bytes: [u8; N],
    /// Length of the content in bytes after it was sealed; 0 before.
    len: usize,
}

impl<const N: usize> FrameContent<N> {
    /// Creates an empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N > HEAD_LEN + CRC_LEN && N <= FRAME_CONTENT_MAX, "room for a frame") };
        FrameContent { bytes: [0; N], len: 0 }
    }

    /// Returns the part of the buffer for the data.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[HEAD_LEN..N - CRC_LEN]
    }

    /// Completes the content, which has `data_len` bytes of data; the other arguments are those of [`Frame`].
    pub fn seal(&mut self, kind: FrameKind, dump: u8, number: u16, offset: u32, data_len: usize) {
        let data_end = HEAD_LEN + data_len.min(N - HEAD_LEN - CRC_LEN);
        self.bytes[0] = kind.code();
        self.bytes[1] = dump;
        self.bytes[2..4].copy_from_slice(&number.to_le_bytes());
        self.bytes[4..8].copy_from_slice(&offset.to_le_bytes());
        let crc = crc32(&self.bytes[..data_end]);
        self.bytes[data_end..data_end + CRC_LEN].copy_from_slice(&crc.to_le_bytes());
        self.len = data_end + CRC_LEN;
    }

    /// Encodes the sealed content with delimiters, and returns the used part of `out`. `out` must be long enough:
    /// [`FRAME_LEN_MAX`] or [`DUMP_FRAME_LEN_MAX`], depending on the length of the content.
    ///
    /// # Panics
    /// If `out` is too short.
    pub fn encode<'o>(&self, out: &'o mut [u8]) -> &'o [u8] {
        out[0] = DELIMITER;
        let len = cobs::encode(&self.bytes[..self.len], &mut out[1..]);
        out[len + 1] = DELIMITER;
        &out[..len + 2]
    }

    /// Encodes the sealed content as a line of text without its end, and returns the used part of `out`. `out` must be
    /// long enough: [`LINE_LEN_MAX`] or [`DUMP_LINE_LEN_MAX`].
    ///
    /// # Panics
    /// If `out` is too short even for the prefix of the line.
    pub fn encode_line<'o>(&self, out: &'o mut [u8]) -> &'o [u8] {
        let (start, rest) = out.split_at_mut(LINE_START.len());
        start.copy_from_slice(LINE_START.as_bytes());
        let len = STANDARD_NO_PAD.encode_slice(&self.bytes[..self.len], rest).unwrap_or(0);
        &out[..LINE_START.len() + len]
    }

    /// Returns the sealed content as a frame.
    #[must_use]
    pub fn frame(&self) -> Option<Frame<'_>> {
        Frame::decode_content(&self.bytes[..self.len])
    }
}

impl<const N: usize> Default for FrameContent<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Data of the first frame of a dump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begin {
    /// Version of the frames that follow; a receiver that does not know the version cannot read them.
    pub version: u16,
    /// Whether segments are compressed.
    pub packed: bool,
    /// Whether the dump includes callsite metadata.
    pub callsites: bool,
    /// Length of the ring in bytes.
    pub ring_len: u32,
    /// Identity of the ring.
    pub ring_id: u64,
    /// Number of the sending session.
    pub boot: u32,
    /// Build id of the sending firmware, zero-padded.
    pub build_id: [u8; 20],
}

/// Length of a [`Begin`] in bytes.
pub const BEGIN_LEN: usize = 40;
const FLAG_PACKED: u16 = 1;
const FLAG_CALLSITES: u16 = 2;

impl Begin {
    /// Encodes it as the data of a frame.
    #[must_use]
    pub fn encode(&self) -> [u8; BEGIN_LEN] {
        let flags = if self.packed { FLAG_PACKED } else { 0 } | if self.callsites { FLAG_CALLSITES } else { 0 };
        let mut out = [0; BEGIN_LEN];
        out[0..2].copy_from_slice(&self.version.to_le_bytes());
        out[2..4].copy_from_slice(&flags.to_le_bytes());
        out[4..8].copy_from_slice(&self.ring_len.to_le_bytes());
        out[8..16].copy_from_slice(&self.ring_id.to_le_bytes());
        out[16..20].copy_from_slice(&self.boot.to_le_bytes());
        out[20..40].copy_from_slice(&self.build_id);
        out
    }

    /// Decodes the data of a frame. Longer data is from a later version, which can add fields.
    #[must_use]
    pub fn decode(data: &[u8]) -> Option<Self> {
        let data: &[u8; BEGIN_LEN] = data.first_chunk()?;
        let (start, ring_id) = (word_at(data, 0)?, word_at(data, 8)?);
        let flags = (start >> 16) as u16;
        let mut build_id = [0; 20];
        build_id.copy_from_slice(&data[20..]);
        Some(Begin {
            version: start as u16,
            packed: flags & FLAG_PACKED != 0,
            callsites: flags & FLAG_CALLSITES != 0,
            ring_len: (start >> 32) as u32,
            ring_id,
            boot: word_at(data, 16)? as u32,
            build_id,
        })
    }
}

/// Part of something too long for one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Offset of the bytes in the whole.
    pub position: u16,
    /// Length of the whole in bytes.
    pub total: u16,
    /// Bytes of the part.
    pub bytes: &'a [u8],
}

/// Length of a [`Part`]'s header in bytes.
pub const PART_HEAD_LEN: usize = 4;
/// Maximum number of bytes of the whole in one part of a dump.
pub const DUMP_PART_LEN_MAX: usize = DUMP_DATA_MAX - PART_HEAD_LEN;

impl<'a> Part<'a> {
    /// Encodes a part of a whole as the data of a frame, and returns the number of bytes written to `out`. The part
    /// starts at `position` of the whole and holds as many of the bytes as fit. `out` has room for at least four bytes.
    pub fn encode<'b>(position: u16, total: u16, bytes: impl Iterator<Item = &'b u8>, out: &mut [u8]) -> usize {
        out[0..2].copy_from_slice(&position.to_le_bytes());
        out[2..4].copy_from_slice(&total.to_le_bytes());
        let mut len = PART_HEAD_LEN;
        for (place, byte) in out[PART_HEAD_LEN..].iter_mut().zip(bytes) {
            *place = *byte;
            len += 1;
        }
        len
    }

    /// Decodes the data of a frame; `None` if it is not a part, or does not fit into the whole.
    #[must_use]
    pub fn decode(data: &'a [u8]) -> Option<Self> {
        let (head, bytes) = data.split_first_chunk::<PART_HEAD_LEN>()?;
        let (position, total) = (u16::from_le_bytes([head[0], head[1]]), u16::from_le_bytes([head[2], head[3]]));
        let fits = usize::from(position) + bytes.len() <= usize::from(total);
        fits.then_some(Part { position, total, bytes })
    }
}

/// Result of scanning a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// Bytes between two delimiters, or the last 256 bytes, that are not a frame: other output or a damaged frame.
    Other(&'a [u8]),
}

/// Finds frames in a byte stream of arbitrary content. Buffers 256 bytes of it.
#[derive(Clone, Debug)]
pub struct FrameScanner {
    /// Bytes since the last delimiter.
    held: heapless::Vec<u8, FRAME_LEN_MAX>,
    /// Bytes returned last.
    given: [u8; FRAME_LEN_MAX],
}

impl FrameScanner {
    /// Creates a scanner, which can start at any position of a stream.
    #[must_use]
    pub const fn new() -> Self {
        FrameScanner { held: heapless::Vec::new(), given: [0; FRAME_LEN_MAX] }
    }

    /// Takes the next byte of the stream, and returns the item that ends with it, if any.
    pub fn push(&mut self, byte: u8) -> Option<Scanned<'_>> {
        if byte != DELIMITER {
            if self.held.push(byte).is_ok() {
                return None;
            }
            // Too long for a frame, so no frame began here.
            let len = self.take();
            let _ = self.held.push(byte); // just emptied
            return Some(Scanned::Other(&self.given[..len]));
        }
        if self.held.is_empty() {
            return None;
        }
        let raw = self.held.clone();
        let len = self.take();
        match Frame::decode(&mut self.given[..len]) {
            // Decoded again, because the borrow checker cannot see that nothing is borrowed if there is no frame.
            Some(_) => {
                self.given[..len].copy_from_slice(&raw);
                Frame::decode(&mut self.given[..len]).map(Scanned::Frame)
            }
            None => {
                self.given[..len].copy_from_slice(&raw);
                Some(Scanned::Other(&self.given[..len]))
            }
        }
    }

    /// Returns the buffered bytes at the end of the stream, which are not a frame.
    pub fn finish(&mut self) -> Option<&[u8]> {
        let len = self.take();
        (len > 0).then(|| &self.given[..len])
    }

    fn take(&mut self) -> usize {
        let len = self.held.len();
        self.given[..len].copy_from_slice(&self.held);
        self.held.clear();
        len
    }
}

impl Default for FrameScanner {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
