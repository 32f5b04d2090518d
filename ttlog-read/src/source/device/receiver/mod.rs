//! Dumps from a byte stream: finds frames among other output, and assembles the rings that they carry.
//!
//! A stream is whatever a serial line, a file or a connection delivers: frames, dumps in lines of text, other log
//! lines, noise. Each frame is verifiable alone and is handled separately. A dump consists of the frames with one
//! number, from the one that begins it to the one that ends it. Losses on the way are missing from the ring, and
//! counted; repeated frames are used once.
//!
//! The bytes are hostile: memory and time stay in proportion to the input, and memory is at most [`RING_LEN_MAX`] and
//! [`PARTS_LEN_MAX`] for each of [`DUMPS_MAX`] simultaneous dumps.

mod assembly;
mod dump;
mod missing;
mod pieces;

use ttlog_core::device::frame::{
    Frame, FrameKind, FrameScanner, LINE_LEN_MAX, LINE_START, Scanned, TEXT_BEGIN, TEXT_END,
};

use assembly::Assembly;

pub use assembly::{PARTS_LEN_MAX, RING_LEN_MAX};
pub use dump::{Counts, Dump, Received};

/// Most simultaneous dumps.
pub const DUMPS_MAX: usize = 4;
/// Longest line of text that is held; longer ones are passed on in pieces.
const TEXT_LINE_MAX: usize = 1024;

/// Splits a stream into dumps and other output.
#[derive(Debug, Default)]
pub struct Receiver {
    scanner: FrameScanner,
    /// Bytes since the last delimiter, or the last 256 bytes, that were not passed on as text.
    held: Vec<u8>,
    /// Number of the scanner's bytes that were passed on as text.
    shown_len: usize,
    /// Whether only text was received since the last delimiter.
    is_text: bool,
    /// Current line of text.
    line: Vec<u8>,
    /// A line that began like a frame but was not one: a terminal can have broken it. Empty: none.
    broken: Vec<u8>,
    dumps: Vec<Assembly>,
    /// Number of pieces between delimiters that are neither a frame nor text, and of lines that look like frames but
    /// are not.
    damaged: u64,
}

impl Receiver {
    /// Creates a receiver, which can start anywhere in a stream.
    #[must_use]
    pub fn new() -> Self {
        Receiver { is_text: true, ..Receiver::default() }
    }

    /// Returns the number of damaged frames so far, as far as they can be recognized.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8], out: &mut dyn FnMut(Received)) {
        for &byte in bytes {
            self.push_byte(byte, out);
        }
    }

    /// Passes on other output that was held back, because no more is arriving at the moment.
    pub fn idle(&mut self, out: &mut dyn FnMut(Received)) {
        if self.is_text {
            self.show_held(out);
            if !is_start_of_ours(&self.line) {
                self.end_line(out);
            }
        }
    }

    /// Ends the stream. Unfinished dumps are passed on as they are. Bytes that are pushed afterwards begin another
    /// stream: nothing in them continues what was cut off here.
    pub fn finish(&mut self, out: &mut dyn FnMut(Received)) {
        let rest = self.scanner.finish().map(<[u8]>::to_vec).unwrap_or_default();
        self.other(&rest, false, out);
        self.end_line(out);
        self.damaged += u64::from(!std::mem::take(&mut self.broken).is_empty());
        self.held.clear();
        self.is_text = true;
        self.give_up(out);
    }

    /// Passes on unfinished dumps as they are, because no more of their frames are expected.
    pub fn give_up(&mut self, out: &mut dyn FnMut(Received)) {
        for dump in std::mem::take(&mut self.dumps) {
            dump.give(false, out);
        }
    }

    fn push_byte(&mut self, byte: u8, out: &mut dyn FnMut(Received)) {
        let is_delimiter = byte == 0;
        if !is_delimiter {
            self.held.push(byte);
            self.is_text &= is_text(byte);
        }
        // Frames are taken out of the scanner's buffer, so nothing of it is borrowed below.
        let found = match self.scanner.push(byte) {
            None => None,
            Some(Scanned::Frame(frame)) => Some(Ok(OwnedFrame::of(&frame))),
            Some(Scanned::Other(bytes)) => Some(Err(bytes.to_vec())),
        };
        match found {
            // The second byte of each frame is its kind, which is not text. So a piece of only text is not a frame.
            None if byte == b'\n' && self.is_text => self.show_held(out),
            None => {}
            Some(Ok(frame)) => {
                self.held.clear();
                self.shown_len = 0;
                self.is_text = true;
                self.take(&frame.as_frame(), out);
            }
            Some(Err(bytes)) => {
                self.other(&bytes, is_delimiter, out);
                // The byte that did not fit is held now.
                self.held.clear();
                self.held.extend((!is_delimiter).then_some(byte));
                self.is_text = is_delimiter || is_text(byte);
            }
        }
    }

    /// Passes on the held bytes as text, although the scanner holds them as well.
    fn show_held(&mut self, out: &mut dyn FnMut(Received)) {
        let held = std::mem::take(&mut self.held);
        self.shown_len += held.len();
        self.text(&held, out);
    }

    /// Handles bytes that the scanner rejects as a frame; the front of them was already passed on.
    fn other(&mut self, bytes: &[u8], ended_by_delimiter: bool, out: &mut dyn FnMut(Received)) {
        let rest = bytes.get(self.shown_len..).unwrap_or_default().to_vec();
        self.shown_len = 0;
        if !rest.is_empty() && ended_by_delimiter && !bytes.iter().copied().all(is_text) {
            self.damaged += 1;
        }
        // The rest of a damaged frame is not text output.
        let readable: Vec<u8> = if rest.iter().copied().all(is_text) { rest } else { text_in(&rest) };
        self.text(&readable, out);
    }

    fn text(&mut self, bytes: &[u8], out: &mut dyn FnMut(Received)) {
        for &byte in bytes {
            self.line.push(byte);
            if byte == b'\n' || self.line.len() >= TEXT_LINE_MAX {
                self.end_line(out);
            }
        }
    }

    fn end_line(&mut self, out: &mut dyn FnMut(Received)) {
        let line = std::mem::take(&mut self.line);
        let trimmed = line.trim_ascii();
        if self.continues(trimmed, out) {
            return;
        }
        if trimmed.is_empty() || trimmed == TEXT_BEGIN.as_bytes() || trimmed == TEXT_END.as_bytes() {
            if trimmed.is_empty() && !line.is_empty() {
                out(Received::Text(line));
            }
            return;
        }
        // Other output can precede it if something else wrote half a line.
        let Some(at) = line.windows(LINE_START.len()).position(|window| window == LINE_START.as_bytes()) else {
            return out(Received::Text(line));
        };
        if at > 0 {
            out(Received::Text(line[..at].to_vec()));
        }
        let mut room = [0; ttlog_core::device::frame::FRAME_LEN_MAX];
        match Frame::decode_line(&line[at..], &mut room).map(|frame| OwnedFrame::of(&frame)) {
            Some(frame) => self.take(&frame.as_frame(), out),
            None => self.broken = line[at..].trim_ascii().to_vec(),
        }
    }

    /// Joins a line with the preceding broken one if they make a frame; otherwise the preceding line was damaged.
    fn continues(&mut self, line: &[u8], out: &mut dyn FnMut(Received)) -> bool {
        if self.broken.is_empty() {
            return false;
        }
        let mut whole = std::mem::take(&mut self.broken);
        let is_base64 = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        if !line.is_empty() && line.iter().all(is_base64) && whole.len() + line.len() <= LINE_LEN_MAX {
            whole.extend_from_slice(line);
            let mut room = [0; ttlog_core::device::frame::FRAME_LEN_MAX];
            match Frame::decode_line(&whole, &mut room).map(|frame| OwnedFrame::of(&frame)) {
                Some(frame) => self.take(&frame.as_frame(), out),
                None => self.broken = whole,
            }
            return true;
        }
        self.damaged += 1;
        false
    }

    fn take(&mut self, frame: &Frame<'_>, out: &mut dyn FnMut(Received)) {
        if frame.kind == FrameKind::Stream {
            return out(Received::Text(frame.data.to_vec()));
        }
        let begins = frame.kind == FrameKind::Begin;
        let mut at = self.dumps.iter().position(|dump| dump.number == frame.dump);
        if let Some(index) = at.filter(|&index| begins && !self.dumps[index].repeats_begin(frame)) {
            // Another dump with the same number: no more frames of the one before will arrive.
            self.dumps.remove(index).give(false, out);
            at = None;
        }
        let index = at.unwrap_or_else(|| {
            if self.dumps.len() >= DUMPS_MAX {
                self.dumps.remove(0).give(false, out);
            }
            self.dumps.push(Assembly::new(frame.dump));
            self.dumps.len() - 1
        });
        if let Some(remark) = self.dumps[index].take(frame) {
            out(Received::Remark(remark));
        }
        if frame.kind == FrameKind::End {
            self.dumps.remove(index).give(true, out);
        }
    }
}

/// Returns whether a byte can be part of text, and not of a frame's head.
fn is_text(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7F || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C | 0x1B)
}

/// Returns the lines of text at the end of a damaged frame: output that followed a frame whose end is lost.
fn text_in(bytes: &[u8]) -> Vec<u8> {
    /// Shorter runs of letters occur in any noise.
    const RUN_LEN_MIN: usize = 16;
    let run = bytes.iter().rev().take_while(|&&byte| byte < 0x80 && is_text(byte)).count();
    if run >= RUN_LEN_MIN { bytes[bytes.len() - run..].to_vec() } else { Vec::new() }
}

/// Returns whether the line can still become one that encodes a frame.
fn is_start_of_ours(line: &[u8]) -> bool {
    !line.is_empty()
        && [LINE_START.as_bytes(), TEXT_BEGIN.as_bytes(), TEXT_END.as_bytes()]
            .iter()
            .any(|mark| mark.starts_with(line) || line.starts_with(mark))
}

/// A frame that owns its data.
struct OwnedFrame {
    kind: FrameKind,
    dump: u8,
    number: u16,
    offset: u32,
    data: Vec<u8>,
}

impl OwnedFrame {
    fn of(frame: &Frame<'_>) -> Self {
        let Frame { kind, dump, number, offset, data } = *frame;
        OwnedFrame { kind, dump, number, offset, data: data.to_vec() }
    }

    fn as_frame(&self) -> Frame<'_> {
        let OwnedFrame { kind, dump, number, offset, ref data } = *self;
        Frame { kind, dump, number, offset, data }
    }
}

#[cfg(test)]
mod tests;
