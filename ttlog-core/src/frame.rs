//! Frames: the pieces in which a device sends its ring over a byte stream that may lose, change or repeat bytes.
//!
//! A dump is a run of frames: one that begins it, the bytes of the ring in small pieces, each with the place where it belongs, what the
//! receiver needs to know of callsites, and one that ends it. Each frame vouches for itself, so a lost one costs its own bytes
//! only, and the receiver finds the next by its delimiter. The stream may be shared with other output. Each frame also has a form as a
//! line of text, for terminal programs that only take such.
//!
//! Nothing here allocates or blocks; encoding needs the 256 bytes of its output. Callable from an interrupt.
//!
//! # Format
//! docs/format.md §7. COBS as in S. Cheshire and M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7
//! (1999); base64 as in RFC 4648 §4, without padding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::crc::crc32;
use crate::record::word_at;

/// Version of the frames that are sent; in the frame that begins a dump.
pub const FRAME_VERSION: u16 = 1;
/// Most bytes of data in a frame.
pub const FRAME_DATA_MAX: usize = 240;
/// Most bytes of a frame before it is encoded.
pub const FRAME_CONTENT_MAX: usize = HEAD_LEN + FRAME_DATA_MAX + CRC_LEN;
/// Most bytes of a frame on the wire, its delimiters included.
pub const FRAME_LEN_MAX: usize = 256;
/// Most bytes of data in a frame of a dump: fewer than a frame may have, so that a device needs less stack.
pub const DUMP_DATA_MAX: usize = 160;
/// Most bytes of such a frame before it is encoded.
pub const DUMP_CONTENT_MAX: usize = HEAD_LEN + DUMP_DATA_MAX + CRC_LEN;
/// Most bytes of such a frame on the wire, its delimiters included.
pub const DUMP_FRAME_LEN_MAX: usize = cobs::max_encoding_length(DUMP_CONTENT_MAX) + 2;
/// Most bytes of a line of text that stands for such a frame, without its end.
pub const DUMP_LINE_LEN_MAX: usize = LINE_START.len() + (DUMP_CONTENT_MAX * 4).div_ceil(3);
/// Most bytes of a line of text that stands for a frame, without its end.
pub const LINE_LEN_MAX: usize = LINE_START.len() + (FRAME_CONTENT_MAX * 4).div_ceil(3);
/// The line before a dump in lines of text.
pub const TEXT_BEGIN: &str = "-----BEGIN TTLOG DUMP-----";
/// The line after such a dump.
pub const TEXT_END: &str = "-----END TTLOG DUMP-----";

/// What a line that stands for a frame starts with.
const LINE_START: &str = "TTLOG:";
/// Bytes before the data.
const HEAD_LEN: usize = 8;
/// Bytes after the data.
const CRC_LEN: usize = 4;
/// What is before and after each frame, and never in it.
const DELIMITER: u8 = 0;

const _: () = assert!(cobs::max_encoding_length(FRAME_CONTENT_MAX) + 2 <= FRAME_LEN_MAX);

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A dump begins; the data is a [`Begin`].
    Begin,
    /// Bytes of the ring from `offset` on.
    Ring,
    /// A part of what there is to know of the callsite with the id `offset`; the data is a [`Part`] of its type tags and text.
    Callsite,
    /// A part of the segment at `offset` of the ring, compressed; the data is a [`Part`] of an LZ4 block.
    Packed,
    /// The segment at `offset` of the ring was replaced while it was sent: what came of it is to be forgotten.
    Void,
    /// The dump ends; the data is the number of frames before this one, 4 bytes.
    End,
    /// Bytes of a stream of something else that shares the line.
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
    /// What it carries.
    pub kind: FrameKind,
    /// Which dump it is of; frames of different dumps may come mixed where a line is shared.
    pub dump: u8,
    /// Its number in the dump, from 0, modulo 65,536.
    pub number: u16,
    /// Where it belongs, see [`FrameKind`]; else 0.
    pub offset: u32,
    /// At most [`FRAME_DATA_MAX`] bytes.
    pub data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Encodes the frame with its delimiters, and gives what of `out` it takes.
    ///
    /// # Panics
    /// If there are more than [`FRAME_DATA_MAX`] bytes of data.
    pub fn encode<'o>(&self, out: &'o mut [u8; FRAME_LEN_MAX]) -> &'o [u8] {
        self.content().encode(out)
    }

    /// Encodes the frame as a line of text without its end, and gives what of `out` it takes.
    ///
    /// # Panics
    /// If there are more than [`FRAME_DATA_MAX`] bytes of data.
    pub fn encode_line<'o>(&self, out: &'o mut [u8; LINE_LEN_MAX]) -> &'o [u8] {
        self.content().encode_line(out)
    }

    fn content(&self) -> Content<FRAME_CONTENT_MAX> {
        let mut content = Content::new();
        content.data_mut()[..self.data.len()].copy_from_slice(self.data);
        content.seal(self.kind, self.dump, self.number, self.offset, self.data.len());
        content
    }

    /// Reads the content of a frame; `None` if it is none.
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

    /// Reads what is between two delimiters, which is decoded in place; `None` if it is no frame, and then `bytes` may be changed.
    #[must_use]
    pub fn decode(bytes: &'a mut [u8]) -> Option<Self> {
        if bytes.is_empty() || bytes.len() > FRAME_LEN_MAX {
            return None;
        }
        let len = cobs::decode_in_place(bytes).ok()?;
        Self::decode_content(bytes.get(..len)?)
    }

    /// Reads a line of text, blanks around it allowed, into `room`; `None` if it stands for no frame.
    #[must_use]
    pub fn decode_line(line: &[u8], room: &'a mut [u8; FRAME_LEN_MAX]) -> Option<Self> {
        let text = line.trim_ascii().strip_prefix(LINE_START.as_bytes())?;
        let len = STANDARD_NO_PAD.decode_slice(text, room).ok()?;
        Self::decode_content(&room[..len])
    }
}

/// Returns whether a byte stream that starts with these bytes begins with a frame, or with a line of text of a dump.
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

/// Room of `N` bytes in which the content of a frame is put together, before it is encoded.
#[derive(Clone, Debug)]
pub struct Content<const N: usize = DUMP_CONTENT_MAX> {
    bytes: [u8; N],
    /// Bytes of the content, once it is sealed; 0 before.
    len: usize,
}

impl<const N: usize> Content<N> {
    /// Makes room.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N > HEAD_LEN + CRC_LEN && N <= FRAME_CONTENT_MAX, "room for a frame") };
        Content { bytes: [0; N], len: 0 }
    }

    /// Gives the room for the data.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[HEAD_LEN..N - CRC_LEN]
    }

    /// Completes a content of `data_len` bytes of data; the rest is as in [`Frame`].
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

    /// Encodes the sealed content with delimiters, and gives what of `out` it takes. There must be room for that: for a content of so many
    /// bytes, [`FRAME_LEN_MAX`] or [`DUMP_FRAME_LEN_MAX`].
    ///
    /// # Panics
    /// If there is not.
    pub fn encode<'o>(&self, out: &'o mut [u8]) -> &'o [u8] {
        out[0] = DELIMITER;
        let len = cobs::encode(&self.bytes[..self.len], &mut out[1..]);
        out[len + 1] = DELIMITER;
        &out[..len + 2]
    }

    /// Encodes the sealed content as a line of text without its end, and gives what of `out` it takes. There must be room for that:
    /// [`LINE_LEN_MAX`] or [`DUMP_LINE_LEN_MAX`].
    ///
    /// # Panics
    /// If there is not even room for the start of the line.
    pub fn encode_line<'o>(&self, out: &'o mut [u8]) -> &'o [u8] {
        let (start, rest) = out.split_at_mut(LINE_START.len());
        start.copy_from_slice(LINE_START.as_bytes());
        let len = STANDARD_NO_PAD.encode_slice(&self.bytes[..self.len], rest).unwrap_or(0);
        &out[..LINE_START.len() + len]
    }

    /// Gives the sealed content as a frame.
    #[must_use]
    pub fn frame(&self) -> Option<Frame<'_>> {
        Frame::decode_content(&self.bytes[..self.len])
    }
}

impl<const N: usize> Default for Content<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// What the frame that begins a dump tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Begin {
    /// Version of the frames that follow; a receiver that does not know it cannot read them.
    pub version: u16,
    /// Whether segments come compressed.
    pub packed: bool,
    /// Whether what there is to know of callsites comes along.
    pub callsites: bool,
    /// Bytes of the ring.
    pub ring_len: u32,
    /// Identity of the ring.
    pub ring_id: u64,
    /// The session that sends.
    pub boot: u32,
    /// Build id of the firmware that sends, zero padded.
    pub build_id: [u8; 20],
}

/// Bytes of a [`Begin`].
pub const BEGIN_LEN: usize = 40;
const FLAG_PACKED: u16 = 1;
const FLAG_CALLSITES: u16 = 2;

impl Begin {
    /// Lays it out as the data of a frame.
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

    /// Reads the data of a frame; longer data is that of a later version, which may add to it.
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

/// A part of something that is too long for one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Where its bytes belong in the whole.
    pub position: u16,
    /// Bytes of the whole.
    pub total: u16,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// Bytes of a [`Part`] before its own.
pub const PART_HEAD_LEN: usize = 4;
/// Most bytes of the whole that a part in a dump carries.
pub const DUMP_PART_LEN_MAX: usize = DUMP_DATA_MAX - PART_HEAD_LEN;

impl<'a> Part<'a> {
    /// Lays a part of a whole out as the data of a frame, and gives how much of `out` it takes: of the bytes, which begin at `position`
    /// of the whole, as many as fit. `out` has room for four bytes and more.
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

    /// Reads the data of a frame; `None` if it is no part, or does not fit into the whole.
    #[must_use]
    pub fn decode(data: &'a [u8]) -> Option<Self> {
        let (head, bytes) = data.split_first_chunk::<PART_HEAD_LEN>()?;
        let (position, total) = (u16::from_le_bytes([head[0], head[1]]), u16::from_le_bytes([head[2], head[3]]));
        let fits = usize::from(position) + bytes.len() <= usize::from(total);
        fits.then_some(Part { position, total, bytes })
    }
}

/// What was found in a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// What is between two delimiters, or since the last 256 bytes, and is no frame: other output, or a frame that was damaged.
    Other(&'a [u8]),
}

/// Finds frames in a byte stream, of whatever bytes it consists. Holds 256 bytes of it.
#[derive(Clone, Debug)]
pub struct FrameScanner {
    /// What came since the last delimiter.
    held: heapless::Vec<u8, FRAME_LEN_MAX>,
    /// What was handed out last.
    given: [u8; FRAME_LEN_MAX],
}

impl FrameScanner {
    /// Starts at any place of a stream.
    #[must_use]
    pub const fn new() -> Self {
        FrameScanner { held: heapless::Vec::new(), given: [0; FRAME_LEN_MAX] }
    }

    /// Takes the next byte of the stream, and gives what ends with it.
    pub fn push(&mut self, byte: u8) -> Option<Scanned<'_>> {
        if byte != DELIMITER {
            if self.held.push(byte).is_ok() {
                return None;
            }
            // No frame is so long, so none began here.
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
            // Decoded again, for the borrow checker does not see that nothing is borrowed where there is no frame.
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

    /// Gives what is held at the end of the stream, which is no frame.
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
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Kind, number, offset and data of a frame.
    type Found = (FrameKind, u16, u32, Vec<u8>);

    fn frames_in(stream: &[u8]) -> (Vec<Found>, Vec<u8>) {
        let (mut frames, mut other, mut scanner) = (Vec::new(), Vec::new(), FrameScanner::new());
        for &byte in stream {
            match scanner.push(byte) {
                Some(Scanned::Frame(frame)) => {
                    frames.push((frame.kind, frame.number, frame.offset, frame.data.to_vec()));
                }
                Some(Scanned::Other(bytes)) => other.extend(bytes),
                None => {}
            }
        }
        other.extend(scanner.finish().unwrap_or_default());
        (frames, other)
    }

    fn stream(count: u16, data: impl Fn(u16) -> Vec<u8>) -> (Vec<u8>, Vec<Found>) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for number in 0..count {
            let kind = FrameKind::ALL[usize::from(number) % 7];
            let data = data(number);
            let frame = Frame { kind, dump: 3, number, offset: u32::from(number) * 240, data: &data };
            bytes.extend(frame.encode(&mut [0; FRAME_LEN_MAX]));
            expected.push((kind, number, frame.offset, data));
        }
        (bytes, expected)
    }

    #[test]
    fn frames_of_every_length_come_back() {
        for fill in [0, 1, 0xFF] {
            let (bytes, expected) = stream(241, |number| std::vec![fill; usize::from(number)]);
            assert_eq!(frames_in(&bytes), (expected, Vec::new()));
        }
        let (longest, _) = stream(1, |_| std::vec![7; FRAME_DATA_MAX]);
        assert!(longest.len() <= FRAME_LEN_MAX);
    }

    #[test]
    fn other_output_between_frames_passes_through() {
        let (bytes, expected) = stream(3, |number| std::vec![number as u8; 5]);
        let frame_len = bytes.len() / 3;
        let mut mixed = b"boot 1\r\n".to_vec();
        for frame in bytes.chunks(frame_len) {
            mixed.extend(frame);
            mixed.extend(b"text ");
        }
        assert_eq!(frames_in(&mixed), (expected, b"boot 1\r\ntext text text ".to_vec()));
    }

    #[test]
    fn each_lost_changed_or_doubled_byte_costs_at_most_two_frames() {
        let (bytes, expected) = stream(6, |number| (0..40).map(|at| (at * number % 7) as u8).collect());
        for at in 0..bytes.len() {
            for change in 0..3 {
                let mut broken = bytes.clone();
                match change {
                    0 => drop(broken.remove(at)),
                    1 => broken[at] ^= 0x10,
                    _ => broken.insert(at, broken[at]),
                }
                let (frames, _) = frames_in(&broken);
                assert!(
                    frames.iter().all(|frame| expected.contains(frame)),
                    "byte {at}, change {change}: a false frame"
                );
                assert!(frames.len() + 2 >= expected.len(), "byte {at}, change {change}: {} frames", frames.len());
            }
        }
    }

    #[test]
    fn lines_come_back_and_broken_ones_do_not() {
        let data: Vec<u8> = (0..FRAME_DATA_MAX as u8).collect();
        let frame = Frame { kind: FrameKind::Ring, dump: 1, number: 2, offset: 480, data: &data };
        let mut out = [0; LINE_LEN_MAX];
        let line = frame.encode_line(&mut out).to_vec();
        assert_eq!(line.len(), LINE_LEN_MAX);
        assert!(line.is_ascii());
        let mut spaced = line.clone();
        spaced.extend(b"\r\n");
        assert_eq!(Frame::decode_line(&spaced, &mut [0; FRAME_LEN_MAX]), Some(frame));
        for at in 0..line.len() {
            let mut broken = line.clone();
            broken[at] ^= 1;
            assert_eq!(Frame::decode_line(&broken, &mut [0; FRAME_LEN_MAX]), None, "byte {at}");
            assert_eq!(Frame::decode_line(&line[..at], &mut [0; FRAME_LEN_MAX]), None, "{at} bytes");
        }
        assert_eq!(Frame::decode_line(&[b'A'; 5000], &mut [0; FRAME_LEN_MAX]), None);
    }

    #[test]
    fn noise_holds_no_frames() {
        let mut rng = fastrand::Rng::with_seed(1);
        let noise: Vec<u8> = (0..100_000).map(|_| if rng.u8(..8) == 0 { 0 } else { rng.u8(..) }).collect();
        assert_eq!(frames_in(&noise).0, []);
    }

    #[test]
    fn begin_and_parts_come_back() {
        let begin = Begin {
            version: FRAME_VERSION,
            packed: true,
            callsites: false,
            ring_len: 4096,
            ring_id: 1 << 60 | 5,
            boot: 9,
            build_id: [0xA5; 20],
        };
        assert_eq!(Begin::decode(&begin.encode()), Some(begin));
        assert_eq!(Begin::decode(&begin.encode()[1..]), None);
        let mut data = [0; FRAME_DATA_MAX];
        let len = Part::encode(236, 300, [5; 64].iter(), &mut data);
        assert_eq!(Part::decode(&data[..len]), Some(Part { position: 236, total: 300, bytes: &[5; 64] }));
        let len = Part::encode(237, 300, [5; 64].iter(), &mut data);
        assert_eq!(Part::decode(&data[..len]), None, "beyond the whole");
        assert_eq!(Part::encode(0, 300, [5; 300].iter(), &mut data), FRAME_DATA_MAX);
    }
}
