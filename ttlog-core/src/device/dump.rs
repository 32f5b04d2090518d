//! Dumps: sends a device's ring in frames while its writers continue.
//!
//! A dump walks over the ring and returns one frame after another, so it can be sent at the pace of its sink, paused,
//! and resumed. It locks nothing. If a segment is replaced while it is being sent, a frame voids what was sent, and the
//! segment is sent again.
//!
//! # Format
//! docs/format.md §7.

use crate::device::frame::{Begin, DUMP_DATA_MAX, DUMP_PART_LEN_MAX, FRAME_VERSION, FrameContent, FrameKind, Part};
use crate::memory::word::{Word, fence_acquire};
use crate::ring::layout::{Mode, SEGMENT_HEADER_WORDS, SequenceWord, commit, segment_word};
use crate::ring::{DEVICE_SEGMENT_LEN_MAX, Ring};

/// Number of words in a frame.
const PIECE_WORDS: usize = DUMP_DATA_MAX / 8;
/// How many times a segment that was replaced meanwhile is sent again.
const TRIES_MAX: u8 = 3;

/// Metadata of a callsite, where the firmware has it in flash.
#[derive(Clone, Copy, Debug)]
pub struct CallsiteBytes {
    /// Id of the callsite.
    pub id: u16,
    /// Type tags of the callsite.
    pub tags: &'static [u8; 64],
    /// Text of the callsite.
    pub text: &'static [u8],
}

/// Returns the metadata of the callsite at an index, starting from 0; `None` if there are no more.
pub type CallsiteAt = fn(usize) -> Option<CallsiteBytes>;

/// Content and options of a dump.
#[derive(Debug)]
pub struct RingDumpOptions<'s> {
    /// Number of the dump, different from those of earlier dumps.
    pub number: u8,
    /// Number of the sending session.
    pub boot: u32,
    /// As in [`Session`](crate::ring::Session).
    pub build_id: [u8; 20],
    /// Index of the first segment to send; the oldest is a good choice.
    pub first_index: u32,
    /// Source of callsite metadata, if the dump should include it.
    pub callsites: Option<CallsiteAt>,
    /// Buffer to compress segments in, of [`RingDump::scratch_len`] bytes. If it is `None` or too short, segments are
    /// sent uncompressed. Without the feature `lz4`, segments are only copied to it before they are sent.
    pub scratch: Option<&'s mut [u8]>,
}

/// A dump of a ring in progress.
#[derive(Debug)]
pub struct RingDump<'m, 's> {
    ring: Ring<'m>,
    options: RingDumpOptions<'s>,
    /// Number of frames returned so far.
    frame_count: u32,
    stage: Stage,
    /// Position in the current segment, in the stage `Pieces`.
    walk: Walk,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Begin,
    /// The ring header from this word on. It is sent again at the end, because nothing else can be read without it, and
    /// a frame can be lost.
    Header {
        at: usize,
        is_again: bool,
    },
    /// The callsite of this index, from this byte on.
    Callsite(usize, usize),
    /// Number of segments sent.
    Segments(u32),
    /// Number of segments sent, with the next one sent in part.
    Pieces(u32),
    /// A segment in the scratch buffer: `len` bytes from `start` on, of which `position` were sent.
    Copied {
        visited: u32,
        start: usize,
        len: usize,
        position: usize,
        is_packed: bool,
    },
    End,
    Done,
}

/// Position of the walk through a segment's words.
#[derive(Clone, Copy, Debug, Default)]
struct Walk {
    tries: u8,
    sequence_word: u64,
    commit_word: u64,
    /// Index of the next word from the start of the segment.
    at: usize,
    /// Number of words in use, including the header.
    used: usize,
    /// Number of words left of the record, or the zeros, that the previous piece began.
    left: usize,
    /// Whether these words belong to a record or a reservation and are copied. If not, no header precedes them yet, and
    /// they are sent as zeros.
    has_header: bool,
}

impl<'m, 's> RingDump<'m, 's> {
    /// Begins a dump.
    #[must_use]
    pub fn new(ring: Ring<'m>, options: RingDumpOptions<'s>) -> Self {
        RingDump { ring, options, frame_count: 0, stage: Stage::Begin, walk: Walk::default() }
    }

    /// Returns the length of the scratch buffer, in bytes, that segments of this length need for compression: a copy of
    /// the segment, and output that can be slightly longer.
    #[must_use]
    pub const fn scratch_len(segment_len: usize) -> usize {
        segment_len + segment_len + segment_len / 8 + 32
    }

    /// Writes the next frame to `content` and returns whether there is one. If not, the dump has ended.
    ///
    /// Takes time in proportion to the frame, or to a segment if segments are compressed. Does not block. Writers can
    /// continue meanwhile.
    pub fn next_frame(&mut self, content: &mut FrameContent) -> bool {
        loop {
            match self.stage {
                Stage::Begin => {
                    self.stage = Stage::Header { at: 0, is_again: false };
                    self.begin(content);
                    return true;
                }
                Stage::Header { at, is_again } => {
                    let words = &self.ring.words[at..self.ring.segments.min(at + PIECE_WORDS)];
                    if !words.is_empty() {
                        self.stage = Stage::Header { at: at + words.len(), is_again };
                        crate::ring::read::live::copy_words(words, content.data_mut());
                        self.seal(content, FrameKind::Ring, at * 8, words.len() * 8);
                        return true;
                    }
                    self.stage = if is_again { Stage::End } else { Stage::Callsite(0, 0) };
                }
                Stage::Callsite(index, position) => match self.options.callsites.and_then(|callsite| callsite(index)) {
                    None => self.stage = Stage::Segments(0),
                    Some(callsite) => {
                        let total = callsite.tags.len() + callsite.text.len();
                        if position < total && total <= usize::from(u16::MAX) {
                            self.stage = Stage::Callsite(index, position + DUMP_PART_LEN_MAX);
                            let whole = callsite.tags.iter().chain(callsite.text).skip(position);
                            let len = Part::encode(position as u16, total as u16, whole, content.data_mut());
                            self.seal(content, FrameKind::Callsite, callsite.id.into(), len);
                            return true;
                        }
                        self.stage = Stage::Callsite(index + 1, 0);
                    }
                },
                Stage::Segments(visited) if visited == self.ring.segment_count => {
                    self.stage = Stage::Header { at: 0, is_again: true };
                }
                Stage::Segments(visited) => self.enter_segment(visited),
                Stage::Pieces(visited) if self.walk.at >= self.walk.used => self.stage = Stage::Segments(visited + 1),
                Stage::Pieces(visited) => {
                    self.piece(visited, content);
                    return true;
                }
                Stage::Copied { visited, len, position, .. } if position >= len => {
                    self.stage = Stage::Segments(visited + 1);
                }
                Stage::Copied { visited, start, len, position, is_packed } => {
                    let most = if is_packed { DUMP_PART_LEN_MAX } else { DUMP_DATA_MAX };
                    let end = len.min(position + most);
                    self.stage = Stage::Copied { visited, start, len, position: end, is_packed };
                    self.copied(visited, start..start + len, position..end, is_packed, content);
                    return true;
                }
                Stage::End => {
                    self.stage = Stage::Done;
                    content.data_mut()[..4].copy_from_slice(&self.frame_count.to_le_bytes());
                    self.seal(content, FrameKind::End, 0, 4);
                    return true;
                }
                Stage::Done => return false,
            }
        }
    }

    /// Numbers a frame.
    fn seal(&mut self, content: &mut FrameContent, kind: FrameKind, offset: usize, data_len: usize) {
        content.seal(kind, self.options.number, self.frame_count as u16, offset as u32, data_len);
        self.frame_count = self.frame_count.wrapping_add(1);
    }

    fn begin(&mut self, content: &mut FrameContent) {
        let begin = Begin {
            version: FRAME_VERSION,
            packed: cfg!(feature = "lz4") && self.options.scratch.is_some(),
            callsites: self.options.callsites.is_some(),
            ring_len: self.ring.len_bytes() as u32,
            ring_id: self.ring.words[2].load(),
            boot: self.options.boot,
            build_id: self.options.build_id,
        }
        .encode();
        content.data_mut()[..begin.len()].copy_from_slice(&begin);
        self.seal(content, FrameKind::Begin, 0, begin.len());
    }

    /// Returns the index of the segment to send after `visited` others.
    fn index(&self, visited: u32) -> u32 {
        (self.options.first_index % self.ring.segment_count + visited) % self.ring.segment_count
    }

    /// Returns the byte offset of a segment in the ring.
    fn offset(&self, visited: u32) -> usize {
        (self.ring.segments + self.index(visited) as usize * self.ring.segment_words) * 8
    }

    /// Looks at the next segment.
    fn enter_segment(&mut self, visited: u32) {
        self.stage = match self.copy(visited) {
            Some(stage) => stage,
            None if self.begin_walk(visited, 0) => Stage::Pieces(visited),
            None => Stage::Segments(visited + 1),
        };
    }

    /// Starts to send a segment directly from the ring. Returns `false` if it is empty.
    fn begin_walk(&mut self, visited: u32, tries: u8) -> bool {
        let segment = self.ring.segment(self.index(visited));
        let sequence_word = segment[segment_word::SEQUENCE].load_acquire();
        // Acquire: the reservations that the word counts were made before.
        let commit_word = segment[segment_word::COMMIT].load_acquire();
        if sequence_word == 0 && segment[segment_word::CONTEXT].load() == 0 {
            return false;
        }
        // While a segment is being opened, only its header is useful: it records what was lost.
        let holds_records = SequenceWord::decode(sequence_word).is_some_and(|word| word.phase == 0);
        let records = if holds_records { commit::offset(commit_word as u32).min(self.ring.record_words()) } else { 0 };
        let used = SEGMENT_HEADER_WORDS + records;
        self.walk = Walk { tries, sequence_word, commit_word, at: 0, used, left: 0, has_header: false };
        true
    }

    /// Sends as much of a segment as a frame holds, or voids what was sent.
    fn piece(&mut self, visited: u32, content: &mut FrameContent) {
        let offset = self.offset(visited);
        let segment = self.ring.segment(self.index(visited));
        let walk = &mut self.walk;
        let start = walk.at;
        let end = walk.used.min(start + PIECE_WORDS);
        for out in content.data_mut().chunks_exact_mut(8).take(end - start) {
            out.copy_from_slice(&walk.next_word(segment).to_le_bytes());
            walk.at += 1;
        }
        fence_acquire();
        if segment[segment_word::SEQUENCE].load() == walk.sequence_word {
            return self.seal(content, FrameKind::Ring, offset + start * 8, (end - start) * 8);
        }
        let tries = walk.tries + 1;
        if tries > TRIES_MAX || !self.begin_walk(visited, tries) {
            self.stage = Stage::Segments(visited + 1);
        }
        self.seal(content, FrameKind::Void, offset, 0);
    }

    /// Copies a segment into the scratch buffer, if there is one, and compresses it there if that saves space.
    #[inline(never)]
    fn copy(&mut self, visited: u32) -> Option<Stage> {
        let index = self.index(visited);
        let segment_len = self.ring.segment_len();
        let scratch = self.options.scratch.as_deref_mut().filter(|s| s.len() >= Self::scratch_len(segment_len))?;
        debug_assert!(segment_len <= DEVICE_SEGMENT_LEN_MAX as usize, "a device's ring");
        let (copy, packed) = scratch.split_at_mut(segment_len);
        copy.fill(0);
        // A segment that is replaced repeatedly, or being opened, is sent directly from the ring.
        let crate::ring::SegmentState::Valid(segment) = self.ring.copy_segment(index, copy) else { return None };
        let used = SEGMENT_HEADER_WORDS * 8 + segment.used().len();
        if let Some(len) = compress(copy, packed).filter(|len| *len < used) {
            return Some(Stage::Copied { visited, start: segment_len, len, position: 0, is_packed: true });
        }
        Some(Stage::Copied { visited, start: 0, len: used, position: 0, is_packed: false })
    }

    /// Sends a part of the scratch buffer, starting at `whole`.
    fn copied(
        &mut self,
        visited: u32,
        whole: core::ops::Range<usize>,
        part: core::ops::Range<usize>,
        is_packed: bool,
        content: &mut FrameContent,
    ) {
        let offset = self.offset(visited);
        let scratch = self.options.scratch.as_deref().unwrap_or_default();
        let bytes = &scratch[whole.start + part.start..whole.start + part.end];
        if is_packed {
            let len = Part::encode(part.start as u16, whole.len() as u16, bytes.iter(), content.data_mut());
            return self.seal(content, FrameKind::Packed, offset, len);
        }
        content.data_mut()[..bytes.len()].copy_from_slice(bytes);
        self.seal(content, FrameKind::Ring, offset + part.start, part.len());
    }
}

/// Compresses a segment and returns the compressed length. A separate function, so that only its callers need the
/// stack.
#[cfg(feature = "lz4")]
#[inline(never)]
fn compress(segment: &[u8], out: &mut [u8]) -> Option<usize> {
    // With this bound, the compiler knows that the smaller of two tables is enough.
    let segment = &segment[..segment.len().min(DEVICE_SEGMENT_LEN_MAX as usize)];
    lz4_flex::block::compress_into(segment, out).ok()
}

#[cfg(not(feature = "lz4"))]
fn compress(_segment: &[u8], _out: &mut [u8]) -> Option<usize> {
    None
}

impl Walk {
    /// Returns the word at `at` as a reader may see it: zeros where no header is stored yet. Without this, words copied
    /// one at a time while writers continue would look like records that nobody wrote; see `live::copy_shared`.
    fn next_word(&mut self, segment: &[Word]) -> u64 {
        if self.at < SEGMENT_HEADER_WORDS {
            return match self.at {
                segment_word::SEQUENCE => self.sequence_word,
                segment_word::COMMIT => self.commit_word,
                at => segment[at].load(),
            };
        }
        if self.left > 0 {
            self.left -= 1;
            return if self.has_header { segment[self.at].load() } else { 0 };
        }
        let next = crate::ring::read::live::next_header(&segment[..self.used], self.at).unwrap_or(self.used);
        if next > self.at {
            // Reserved, but nothing stored yet.
            (self.left, self.has_header) = (next - self.at - 1, false);
            return 0;
        }
        let header = segment[self.at].load_acquire();
        // Readers skip the words of a reservation by its length. They are copied all the same, because the length could
        // be damaged.
        (self.left, self.has_header) = ((header >> 16 & 0xFF) as usize, true);
        header
    }
}

const _: () = assert!(Mode::Device.number() == 3, "the reservations that `Walk` knows are those of devices");

#[cfg(test)]
mod tests;
