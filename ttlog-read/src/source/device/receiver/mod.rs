//! Dumps out of a byte stream: finds frames among other output, and puts the rings together that they carry.
//!
//! A stream is whatever a serial line, a file or a connection gives: frames, dumps in lines of text, log lines of something else, noise. A frame vouches for
//! itself, so each is taken by itself; a dump is what frames with one number make, from the one that begins it to the one that ends it. What is lost
//! on the way is missing in the ring, and counted; what comes twice is taken once.
//!
//! The bytes are hostile: what is kept is in proportion to what came, at most [`RING_LEN_MAX`] and [`PARTS_LEN_MAX`] for each of
//! [`DUMPS_MAX`] dumps at a time, and so is the time that it takes.

mod assembly;
mod dump;
mod missing;
mod pieces;

use ttlog_core::device::frame::{Frame, FrameKind, FrameScanner, LINE_LEN_MAX, Scanned, TEXT_BEGIN, TEXT_END};

use assembly::Assembly;

pub use assembly::{PARTS_LEN_MAX, RING_LEN_MAX};
pub use dump::{Counts, Dump, Received};

/// Most dumps that are under way at a time.
pub const DUMPS_MAX: usize = 4;
/// Longest line of text that is held; longer ones pass in pieces.
const TEXT_LINE_MAX: usize = 1024;
/// What lines that stand for frames start with.
const LINE_MARK: &[u8] = b"TTLOG:";

/// Takes a stream apart.
#[derive(Debug, Default)]
pub struct Receiver {
    scanner: FrameScanner,
    /// What came since the last delimiter, or the last 256 bytes, and was not handed on as text.
    held: Vec<u8>,
    /// Bytes of what the scanner holds that were handed on as text.
    shown_len: usize,
    /// Whether nothing but text came since the last delimiter.
    is_text: bool,
    /// The line of text that is under way.
    line: Vec<u8>,
    /// A line that began like one of ours and was no frame: a terminal may have broken it. Empty: there is none.
    broken: Vec<u8>,
    dumps: Vec<Assembly>,
    /// Pieces between delimiters that are neither a frame nor text, and lines that look like frames and are none.
    damaged: u64,
}

impl Receiver {
    /// Starts at any place of a stream.
    #[must_use]
    pub fn new() -> Self {
        Receiver { is_text: true, ..Receiver::default() }
    }

    /// Returns how many frames were damaged so far, as far as that can be told.
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

    /// Hands on what was held back of other output, because no more is coming at the moment.
    pub fn idle(&mut self, out: &mut dyn FnMut(Received)) {
        if self.is_text {
            self.show_held(out);
            if !is_start_of_ours(&self.line) {
                self.end_line(out);
            }
        }
    }

    /// Ends the stream. Dumps that did not come to their end are given as they are.
    pub fn finish(&mut self, out: &mut dyn FnMut(Received)) {
        let rest = self.scanner.finish().map(<[u8]>::to_vec).unwrap_or_default();
        self.other(&rest, false, out);
        self.end_line(out);
        self.damaged += u64::from(!self.broken.is_empty());
        self.give_up(out);
    }

    /// Returns the dumps that are under way as they are, because no more comes of them.
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
        // Frames are taken out of what the scanner holds, so nothing of it is borrowed below.
        let found = match self.scanner.push(byte) {
            None => None,
            Some(Scanned::Frame(frame)) => Some(Ok(OwnedFrame::of(&frame))),
            Some(Scanned::Other(bytes)) => Some(Err(bytes.to_vec())),
        };
        match found {
            // The second byte of each frame is its kind, which is no text: so what is all text is no frame.
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

    /// Hands on what is held as text, although the scanner holds it as well.
    fn show_held(&mut self, out: &mut dyn FnMut(Received)) {
        let held = std::mem::take(&mut self.held);
        self.shown_len += held.len();
        self.text(&held, out);
    }

    /// Takes what the scanner gives as no frame; the front of it was handed on already.
    fn other(&mut self, bytes: &[u8], ended_by_delimiter: bool, out: &mut dyn FnMut(Received)) {
        let rest = bytes.get(self.shown_len..).unwrap_or_default().to_vec();
        self.shown_len = 0;
        if !rest.is_empty() && ended_by_delimiter && !bytes.iter().copied().all(is_text) {
            self.damaged += 1;
        }
        // What is left of a damaged frame is no output of anything.
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
        // Other output may stand before it, where somebody else wrote half a line.
        let Some(at) = line.windows(LINE_MARK.len()).position(|window| window == LINE_MARK) else {
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

    /// Takes a line that goes on where the one before was broken off; else that one was damaged.
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
            // Another one of the same number: of the one before no more comes.
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

/// Returns whether a byte may be part of a text: not of a frame's head.
fn is_text(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7F || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C | 0x1B)
}

/// Returns the lines of text at the end of bytes that are a damaged frame otherwise: output that came after one whose end is lost.
fn text_in(bytes: &[u8]) -> Vec<u8> {
    /// Shorter runs of letters are in any noise.
    const RUN_LEN_MIN: usize = 16;
    let run = bytes.iter().rev().take_while(|&&byte| byte < 0x80 && is_text(byte)).count();
    if run >= RUN_LEN_MIN { bytes[bytes.len() - run..].to_vec() } else { Vec::new() }
}

/// Returns whether more of this line may make it one of ours.
fn is_start_of_ours(line: &[u8]) -> bool {
    !line.is_empty()
        && [LINE_MARK, TEXT_BEGIN.as_bytes(), TEXT_END.as_bytes()]
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
