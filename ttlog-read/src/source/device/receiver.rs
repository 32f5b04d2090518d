//! Dumps out of a byte stream: finds frames among other output, and puts the rings together that they carry.
//!
//! A stream is whatever a serial line, a file or a connection gives: frames, dumps in lines of text, log lines of something else, noise. A frame vouches for
//! itself, so each is taken by itself; a dump is what frames with one number make, from the one that begins it to the one that ends it. What is lost
//! on the way is missing in the ring, and counted; what comes twice is taken once.
//!
//! The bytes are hostile: what is kept is in proportion to what came, at most [`RING_LEN_MAX`] and [`PARTS_LEN_MAX`] for each of
//! [`DUMPS_MAX`] dumps at a time, and so is the time that it takes.

use std::collections::{BTreeMap, BTreeSet};

use ttlog_core::frame::{
    Begin, FRAME_VERSION, Frame, FrameKind, FrameScanner, LINE_LEN_MAX, Part, Scanned, TEXT_BEGIN, TEXT_END,
};
use ttlog_core::ring::{RingImage, SEGMENT_HEADER_LEN, SegmentState};
use ttlog_core::site_text::SiteText;
use ttlog_core::table::encode_site;

use super::geometry::restore_header;
use super::memory::RingCopy;
use crate::text::number::{counted, grouped};

/// Longest ring that is received. The largest parts have a few MiB of RAM, and a line would take a quarter of an hour for so much.
pub const RING_LEN_MAX: usize = 8 << 20;
/// Most bytes of callsites, and of compressed segments, that are kept of a dump.
pub const PARTS_LEN_MAX: usize = 16 << 20;
/// Rings above this length of which less than a 256th part came are left out: a few bytes are not to cost much.
const RING_LEN_CHEAP: usize = 1 << 20;
/// Rings up to this length are short.
const RING_LEN_SHORT: usize = 16 << 10;
/// Bytes of the ring that are kept together.
const PAGE_LEN: usize = 4096;
/// Most dumps that are under way at a time.
pub const DUMPS_MAX: usize = 4;
/// Longest line of text that is held; longer ones pass in pieces.
const TEXT_LINE_MAX: usize = 1024;
/// What lines that stand for frames start with.
const LINE_MARK: &[u8] = b"TTLOG:";
/// Bytes of type tags before the text of a callsite.
const TAGS_LEN: usize = 64;
/// Room for a callsite item.
const ITEM_ROOM_LEN: usize = 96 << 10;

/// What came out of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Output of something else, a line or a part of one, with its end.
    Text(Vec<u8>),
    /// A dump that ended, or of which no more came.
    Dump(Box<Dump>),
    /// Something that is to be said.
    Remark(String),
}

/// How the frames of a dump, or of a stream, fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that came.
    pub frames: u64,
    /// Frames that did not.
    pub lost: u64,
    /// Frames that came more than once, or too late.
    pub repeated: u64,
}

/// A dump as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// Its number.
    pub number: u8,
    /// What it said when it began, if that came.
    pub begin: Option<Begin>,
    /// Whether it came to its end.
    pub ended: bool,
    /// The ring; what is missing of it is zero.
    pub ring: RingCopy,
    /// Stretches of the ring that are missing: offset and length. Segments that hold nothing are not sent, and not missing.
    pub missing: Vec<(usize, usize)>,
    /// Callsite items that came along, in the order of their ids.
    pub callsites: Vec<Vec<u8>>,
    /// Callsites that did not come whole, or make no sense.
    pub damaged_callsites: u64,
    /// Its frames.
    pub counts: Counts,
}

impl Dump {
    /// Gives the bytes of the ring that are missing.
    #[must_use]
    pub fn missing_bytes(&self) -> u64 {
        self.missing.iter().map(|&(_, len)| len as u64).sum()
    }

    /// Tells whether all of it came.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.ended && self.missing.is_empty() && self.counts.lost == 0 && self.damaged_callsites == 0
    }

    /// Says in a line what came, and what did not.
    #[must_use]
    pub fn sentence(&self) -> String {
        let ring_len = grouped(self.ring.bytes.len() as u64);
        let mut text = format!("dump {}: {}", self.number, counted(self.counts.frames, "frame"));
        if let Some(begin) = &self.begin {
            text.push_str(&format!(", ring {:016x} of {ring_len} bytes, sent by boot {}", begin.ring_id, begin.boot));
        }
        let mut wrong = Vec::new();
        if self.begin.is_none() {
            wrong.push("its begin is missing".to_owned());
        }
        if !self.ended {
            wrong.push("its end is missing".to_owned());
        }
        if self.counts.lost > 0 {
            wrong.push(format!("{} lost", counted(self.counts.lost, "frame")));
        }
        if self.counts.repeated > 0 {
            wrong.push(format!("{} repeated", counted(self.counts.repeated, "frame")));
        }
        if !self.missing.is_empty() {
            wrong.push(format!("{} of {ring_len} bytes of the ring are missing", grouped(self.missing_bytes())));
        }
        if self.damaged_callsites > 0 {
            wrong.push(format!("{} not whole", counted(self.damaged_callsites, "callsite")));
        }
        if !wrong.is_empty() {
            text.push_str("; ");
            text.push_str(&wrong.join(", "));
        }
        text
    }
}

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

    /// Gives how many frames were damaged so far, as far as that can be told.
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

    /// Gives the dumps that are under way as they are, because no more comes of them.
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
        let mut room = [0; ttlog_core::frame::FRAME_LEN_MAX];
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
            let mut room = [0; ttlog_core::frame::FRAME_LEN_MAX];
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

/// Tells whether a byte may be part of a text: not of a frame's head.
fn is_text(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7F || matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C | 0x1B)
}

/// Gives the lines of text at the end of bytes that are a damaged frame otherwise: output that came after one whose end is lost.
fn text_in(bytes: &[u8]) -> Vec<u8> {
    /// Shorter runs of letters are in any noise.
    const RUN_LEN_MIN: usize = 16;
    let run = bytes.iter().rev().take_while(|&&byte| byte < 0x80 && is_text(byte)).count();
    if run >= RUN_LEN_MIN { bytes[bytes.len() - run..].to_vec() } else { Vec::new() }
}

/// Tells whether more of this line may make it one of ours.
fn is_start_of_ours(line: &[u8]) -> bool {
    !line.is_empty()
        && [LINE_MARK, TEXT_BEGIN.as_bytes(), TEXT_END.as_bytes()]
            .iter()
            .any(|mark| mark.starts_with(line) || line.starts_with(mark))
}

/// Takes the void segments, whose starts are given, out of the stretches that are missing: nothing is to be missed of those.
fn without_void(missing: &[(usize, usize)], void: &BTreeSet<usize>, segment_len: usize) -> Vec<(usize, usize)> {
    let mut rest = Vec::new();
    for &(offset, len) in missing {
        let (mut at, end) = (offset, offset + len);
        // One that starts before the stretch may reach into it.
        let before = void.range(..at).next_back();
        for &start in before.into_iter().chain(void.range(at..end)) {
            if start > at {
                rest.push((at, start - at));
            }
            at = at.max(start.saturating_add(segment_len)).min(end);
        }
        if at < end {
            rest.push((at, end - at));
        }
    }
    rest
}

/// Leaves of the stretches that are missing what is to be missed: of a segment whose header came only what that speaks of; of one of which
/// nothing came nothing, for segments that hold nothing are not sent, unless the dump was cut off.
fn without_unsent(missing: &[(usize, usize)], bytes: &[u8], ended: bool) -> Vec<(usize, usize)> {
    let Ok(image) = RingImage::parse(bytes) else { return missing.to_vec() };
    let start = usize::try_from(image.header().segments_offset).unwrap_or(usize::MAX);
    let segment_len = image.header().segment_len as usize;
    let mut rest: Vec<(usize, usize)> = Vec::new();
    let mut add = |from: usize, to: usize| match rest.last_mut() {
        Some((offset, len)) if *offset + *len == from => *len += to - from,
        _ if from < to => rest.push((from, to - from)),
        _ => {}
    };
    for &(offset, len) in missing {
        let (mut at, end) = (offset, offset + len);
        if at < start {
            add(at, end.min(start));
            at = end.min(start);
        }
        while at < end {
            let index = (at - start) / segment_len;
            let (from, to) = (start + index * segment_len, start + (index + 1) * segment_len);
            // Stretches are in order and apart.
            let touching = missing.partition_point(|&(offset, len)| offset + len <= from);
            let has_header = missing.get(touching).is_none_or(|&(offset, _)| offset >= from + SEGMENT_HEADER_LEN);
            let wanted = match u32::try_from(index).map(|index| image.segment(index)) {
                Ok(SegmentState::Valid(segment)) if has_header => from + SEGMENT_HEADER_LEN + segment.used().len(),
                _ if at == from && end >= to && ended => from,
                // Its header did not come, or makes no sense.
                _ => to,
            };
            add(at, end.min(wanted).max(at));
            at = end.min(to);
        }
    }
    rest
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

/// Something that comes in parts.
#[derive(Debug, Default)]
struct Whole {
    bytes: Vec<u8>,
    /// For each byte whether it came.
    came: Vec<bool>,
}

impl Whole {
    /// Takes a part in. Parts that do not agree on the length begin anew.
    fn take(&mut self, part: &Part<'_>) {
        if self.bytes.len() != usize::from(part.total) {
            self.bytes = vec![0; part.total.into()];
            self.came = vec![false; part.total.into()];
        }
        let range = usize::from(part.position)..usize::from(part.position) + part.bytes.len();
        self.bytes[range.clone()].copy_from_slice(part.bytes);
        self.came[range].fill(true);
    }

    /// Gives the bytes if all came.
    fn whole(&self) -> Option<&[u8]> {
        self.came.iter().all(|&came| came).then_some(&self.bytes)
    }
}

/// A page of a ring.
#[derive(Debug)]
struct Page {
    bytes: [u8; PAGE_LEN],
    /// For each word whether it came.
    came: [bool; PAGE_LEN / 8],
}

/// A ring as far as it came.
#[derive(Debug, Default)]
struct Pages(BTreeMap<usize, Box<Page>>);

impl Pages {
    /// Puts bytes where they belong; both are whole words.
    fn store(&mut self, offset: usize, data: &[u8]) {
        for (index, word) in data.chunks_exact(8).enumerate() {
            let at = offset + index * 8;
            let page = self
                .0
                .entry(at / PAGE_LEN)
                .or_insert_with(|| Box::new(Page { bytes: [0; PAGE_LEN], came: [false; PAGE_LEN / 8] }));
            let place = at % PAGE_LEN;
            page.bytes[place..place + 8].copy_from_slice(word);
            page.came[place / 8] = true;
        }
    }

    /// Forgets the words that lie wholly in a stretch.
    fn forget(&mut self, start: usize, end: usize) {
        let (start, end) = (start.next_multiple_of(8), end / 8 * 8);
        for (index, page) in self.0.range_mut(start / PAGE_LEN..end.div_ceil(PAGE_LEN)) {
            let first = index * PAGE_LEN;
            let (from, to) = (start.max(first) - first, end.min(first + PAGE_LEN).saturating_sub(first));
            if from < to {
                page.bytes[from..to].fill(0);
                page.came[from / 8..to / 8].fill(false);
            }
        }
    }

    /// Gives the length of segments, if the ring's header came.
    fn segment_len(&self) -> Option<usize> {
        let first = self.0.get(&0)?;
        RingImage::parse(&first.bytes).ok().map(|image| image.header().segment_len as usize)
    }

    fn came_words(&self) -> impl Iterator<Item = usize> {
        self.0.iter().flat_map(|(index, page)| {
            let came = page.came.iter().enumerate().filter(|(_, came)| **came);
            came.map(move |(word, _)| index * (PAGE_LEN / 8) + word)
        })
    }

    /// Gives the bytes up to `len`, or the last that came, and the stretches that did not come.
    fn ring(&self, len: usize) -> (Vec<u8>, Vec<(usize, usize)>) {
        let mut missing = Vec::new();
        let mut end = 0;
        for word in self.came_words() {
            if word * 8 > end {
                missing.push((end, word * 8 - end));
            }
            end = word * 8 + 8;
        }
        if len > end {
            missing.push((end, len - end));
        }
        let mut bytes = vec![0; len.max(end)];
        for (index, page) in &self.0 {
            let rest = bytes.get_mut(index * PAGE_LEN..).unwrap_or_default();
            let len = rest.len().min(PAGE_LEN);
            rest[..len].copy_from_slice(&page.bytes[..len]);
        }
        (bytes, missing)
    }
}

/// A dump while its frames come.
#[derive(Debug)]
struct Assembly {
    number: u8,
    begin: Option<Begin>,
    begin_data: Vec<u8>,
    ring: Pages,
    /// Where segments start of which nothing is to be missed, for they were replaced while they were sent.
    void: BTreeSet<usize>,
    callsites: BTreeMap<u32, Whole>,
    packed: BTreeMap<u32, Whole>,
    parts_len: usize,
    /// The number of the frame that came last.
    last: Option<u16>,
    /// Frames up to the one that ends the dump, as that says.
    expected: Option<u64>,
    counts: Counts,
}

impl Assembly {
    fn new(number: u8) -> Self {
        Assembly {
            number,
            begin: None,
            begin_data: Vec::new(),
            ring: Pages::default(),
            void: BTreeSet::new(),
            callsites: BTreeMap::new(),
            packed: BTreeMap::new(),
            parts_len: 0,
            last: None,
            expected: None,
            counts: Counts::default(),
        }
    }

    /// Tells whether the frame is the one that began this dump, once more.
    fn repeats_begin(&self, frame: &Frame<'_>) -> bool {
        self.begin.is_some() && self.begin_data == frame.data
    }

    /// Takes a frame in, and gives what is to be said of it.
    fn take(&mut self, frame: &Frame<'_>) -> Option<String> {
        let ahead = self.last.map_or(1, |last| frame.number.wrapping_sub(last));
        if ahead == 0 || ahead >= 1 << 15 {
            self.counts.repeated += 1;
            return None;
        }
        self.counts.frames += 1;
        self.counts.lost += self.last.map_or(u64::from(frame.number), |_| u64::from(ahead) - 1);
        self.last = Some(frame.number);
        let offset = frame.offset as usize;
        match frame.kind {
            FrameKind::Begin => return self.begin(frame.data),
            FrameKind::Ring => self.store(offset, frame.data),
            FrameKind::Callsite => {
                if let Some(part) = Part::decode(frame.data) {
                    Self::take_part(&mut self.callsites, &mut self.parts_len, frame.offset, &part);
                }
            }
            FrameKind::Packed => {
                if let Some(part) = Part::decode(frame.data) {
                    self.void.remove(&offset);
                    Self::take_part(&mut self.packed, &mut self.parts_len, frame.offset, &part);
                }
            }
            FrameKind::Void => self.forget(offset),
            FrameKind::End => {
                self.expected = frame.data.first_chunk().map(|count| u32::from_le_bytes(*count).into());
            }
            FrameKind::Stream => {}
        }
        None
    }

    fn begin(&mut self, data: &[u8]) -> Option<String> {
        let Some(begin) = Begin::decode(data) else {
            return Some(format!("dump {}: its begin is too short", self.number));
        };
        self.begin = Some(begin);
        self.begin_data = data.to_vec();
        if begin.version > FRAME_VERSION {
            return Some(format!(
                "dump {}: frames of version {}, this viewer knows version {FRAME_VERSION}; what it does not know is left out",
                self.number, begin.version
            ));
        }
        let ring_len = begin.ring_len as usize;
        (ring_len > RING_LEN_MAX).then(|| {
            let (most, number) = (grouped(RING_LEN_MAX as u64), self.number);
            format!("dump {number}: a ring of {} bytes; only the first {most} are taken", grouped(ring_len as u64))
        })
    }

    /// Puts bytes of the ring where they belong. What cannot be a piece of a ring is left out.
    fn store(&mut self, offset: usize, data: &[u8]) {
        let end = offset.saturating_add(data.len());
        let limit = self.begin.map_or(RING_LEN_MAX, |begin| (begin.ring_len as usize).min(RING_LEN_MAX));
        if !offset.is_multiple_of(8) || !data.len().is_multiple_of(8) || end > limit {
            return;
        }
        // A segment that was void is sent anew.
        self.void.remove(&offset);
        self.ring.store(offset, data);
    }

    fn take_part(wholes: &mut BTreeMap<u32, Whole>, parts_len: &mut usize, offset: u32, part: &Part<'_>) {
        if !wholes.contains_key(&offset) {
            // Each costs its length, and something for being there.
            let len = usize::from(part.total) * 2 + 64;
            if *parts_len + len > PARTS_LEN_MAX {
                return;
            }
            *parts_len += len;
        } else if wholes[&offset].bytes.len() < usize::from(part.total) {
            return; // it cannot grow
        }
        wholes.entry(offset).or_default().take(part);
    }

    /// Forgets what came of the segment at `offset`.
    fn forget(&mut self, offset: usize) {
        self.packed.remove(&(offset as u32));
        // Segments are 128 bytes or more, so there are not more of them.
        if self.void.len() < RING_LEN_MAX / 128 && offset < RING_LEN_MAX {
            self.void.insert(offset);
        }
        if let Some(len) = self.ring.segment_len() {
            self.ring.forget(offset, offset.saturating_add(len));
        }
    }

    /// Expands the segments that came compressed.
    fn unpack(&mut self) {
        let Some(segment_len) = self.ring.segment_len() else { return };
        let mut segment = vec![0; segment_len];
        for (offset, whole) in std::mem::take(&mut self.packed) {
            let Some(block) = whole.whole() else { continue };
            if lz4_flex::block::decompress_into(block, &mut segment).is_ok_and(|len| len == segment_len) {
                self.store(offset as usize, &segment);
            }
        }
    }

    /// Hands the dump on, if anything but its begin came.
    fn give(mut self, ended: bool, out: &mut dyn FnMut(Received)) {
        self.unpack();
        let came_bytes = self.ring.came_words().count() as u64 * 8;
        if came_bytes == 0 && self.callsites.is_empty() {
            return; // one that began and came to nothing, or the begin of one that is over, once more
        }
        let said_len = self.begin.map_or(0, |begin| (begin.ring_len as usize).min(RING_LEN_MAX) / 8 * 8);
        let last = self.ring.came_words().last().map_or(0, |word| word * 8 + 8);
        let ring_len = said_len.max(last);
        if ring_len > RING_LEN_CHEAP && ring_len as u64 / 256 > came_bytes {
            let text = format!("dump {}: next to nothing of its ring came, and it is left out", self.number);
            return out(Received::Remark(text));
        }
        let (mut bytes, missing) = self.ring.ring(said_len);
        // Trying all layouts takes a while, which a few bytes are not worth.
        let is_worth_it = bytes.len() <= RING_LEN_SHORT || came_bytes * 16 >= bytes.len() as u64;
        if is_worth_it && RingImage::parse(&bytes).is_err() {
            restore_header(&mut bytes, self.begin.map_or(0, |begin| begin.ring_id));
        }
        if let Some(expected) = self.expected {
            // The frame that ends it is not among those.
            self.counts.lost = expected.saturating_sub(self.counts.frames.saturating_sub(1));
        }
        let mut missing = without_void(&missing, &self.void, self.ring.segment_len().unwrap_or(0));
        missing = without_unsent(&missing, &bytes, ended);
        if ended && self.counts.lost == 0 {
            missing.clear();
        }
        let mut room = vec![0; ITEM_ROOM_LEN];
        let items = self.callsites.iter().map(|(id, whole)| {
            let (tags, text) = whole.whole()?.split_at_checked(TAGS_LEN)?;
            let text = SiteText::decode(text).ok()?;
            let len = encode_site(u16::try_from(*id).ok()?, &text, tags, &mut room)?;
            Some(room[..len].to_vec())
        });
        let items: Vec<Option<Vec<u8>>> = items.collect();
        out(Received::Dump(Box::new(Dump {
            number: self.number,
            begin: self.begin,
            ended,
            missing,
            ring: RingCopy { address: 0, bytes, changed_segments: self.void.len() as u32 },
            damaged_callsites: items.iter().filter(|item| item.is_none()).count() as u64,
            callsites: items.into_iter().flatten().collect(),
            counts: self.counts,
        })));
    }
}

#[cfg(test)]
mod tests;
