//! Sending a device's ring in frames, while its writers go on.
//!
//! A dump is a walk over the ring that gives one frame after the other, so that it can be sent at the pace of its sink, set aside, and
//! resumed. Nothing is held meanwhile: a segment that is replaced under way is taken back by a frame that says so, and sent anew.
//!
//! # Format
//! docs/format.md §7.

use crate::device::frame::{Begin, Content, DUMP_DATA_MAX, DUMP_PART_LEN_MAX, FRAME_VERSION, FrameKind, Part};
use crate::memory::word::{Word, fence_acquire};
use crate::ring::layout::{Mode, SEGMENT_HEADER_WORDS, SequenceWord, commit, segment_word};
use crate::ring::{DEVICE_SEGMENT_LEN_MAX, Ring};

/// Words in a frame.
const PIECE_WORDS: usize = DUMP_DATA_MAX / 8;
/// How often a segment is sent again that was replaced meanwhile.
const TRIES_MAX: u8 = 3;

/// What is known of a callsite, where the firmware has it in its flash.
#[derive(Clone, Copy, Debug)]
pub struct SiteBytes {
    /// Its id.
    pub id: u16,
    /// The tags of its types.
    pub tags: &'static [u8; 64],
    /// Its text.
    pub text: &'static [u8],
}

/// Tells what is known of the callsites, from index 0 on; `None`: there are no more.
pub type SiteAt = fn(usize) -> Option<SiteBytes>;

/// What a dump is to say and to do.
#[derive(Debug)]
pub struct RingDumpOptions<'s> {
    /// A number that differs from that of the dumps before.
    pub number: u8,
    /// The session that sends, and the build id of its firmware.
    pub boot: u32,
    /// As in [`Session`](crate::ring::Session).
    pub build_id: [u8; 20],
    /// The index of the segment to begin with; the oldest is a good choice.
    pub first_index: u32,
    /// What is known of the callsites, if the dump is to carry it.
    pub sites: Option<SiteAt>,
    /// Room to compress segments in, of [`RingDump::scratch_len`]; `None`, or too short: they are sent as they are. Without the feature
    /// `lz4` it only has segments copied before they are sent.
    pub scratch: Option<&'s mut [u8]>,
}

/// A ring on its way out.
#[derive(Debug)]
pub struct RingDump<'m, 's> {
    ring: Ring<'m>,
    options: RingDumpOptions<'s>,
    /// Frames given so far.
    frame_count: u32,
    stage: Stage,
    /// The segment that is on its way, in the stage `Pieces`.
    walk: Walk,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    Begin,
    /// The ring header from this word on; once more at the end, for without it nothing else can be read, and a frame may be lost.
    Header {
        at: usize,
        is_again: bool,
    },
    /// The callsite of this index, from this byte on.
    Site(usize, usize),
    /// So many segments were sent.
    Segments(u32),
    /// So many segments were sent, and some words of the next.
    Pieces(u32),
    /// A segment that lies in the scratch: `len` bytes from `start` on, of which `position` were sent.
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

/// Where the walk through a segment's words is.
#[derive(Clone, Copy, Debug, Default)]
struct Walk {
    tries: u8,
    sequence_word: u64,
    commit_word: u64,
    /// The next word, counted from the segment's start.
    at: usize,
    /// Words that are used, its header included.
    used: usize,
    /// Words left of the record, or the zeros, that a piece before began.
    left: usize,
    /// Whether these are words of a record or a reservation, which are copied; else there is no header before them yet, and they are sent
    /// as zeros.
    has_header: bool,
}

impl<'m, 's> RingDump<'m, 's> {
    /// Begins a dump.
    #[must_use]
    pub fn new(ring: Ring<'m>, options: RingDumpOptions<'s>) -> Self {
        RingDump { ring, options, frame_count: 0, stage: Stage::Begin, walk: Walk::default() }
    }

    /// Returns the bytes of scratch that it takes to compress segments of so many bytes: they are copied, and what comes of them may be a
    /// little longer.
    #[must_use]
    pub const fn scratch_len(segment_len: usize) -> usize {
        segment_len + segment_len + segment_len / 8 + 32
    }

    /// Puts the next frame together in `content`, and gives whether there is one: if not, the dump has ended.
    ///
    /// Takes a time in proportion to the frame, or where segments are compressed to a segment. Does not block. Not to be called by
    /// several contexts at once, as the borrow checker has it; writers go on meanwhile.
    pub fn next_frame(&mut self, content: &mut Content) -> bool {
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
                    self.stage = if is_again { Stage::End } else { Stage::Site(0, 0) };
                }
                Stage::Site(index, position) => match self.options.sites.and_then(|site| site(index)) {
                    None => self.stage = Stage::Segments(0),
                    Some(site) => {
                        let total = site.tags.len() + site.text.len();
                        if position < total && total <= usize::from(u16::MAX) {
                            self.stage = Stage::Site(index, position + DUMP_PART_LEN_MAX);
                            let whole = site.tags.iter().chain(site.text).skip(position);
                            let len = Part::encode(position as u16, total as u16, whole, content.data_mut());
                            self.seal(content, FrameKind::Callsite, site.id.into(), len);
                            return true;
                        }
                        self.stage = Stage::Site(index + 1, 0);
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
    fn seal(&mut self, content: &mut Content, kind: FrameKind, offset: usize, data_len: usize) {
        content.seal(kind, self.options.number, self.frame_count as u16, offset as u32, data_len);
        self.frame_count = self.frame_count.wrapping_add(1);
    }

    fn begin(&mut self, content: &mut Content) {
        let begin = Begin {
            version: FRAME_VERSION,
            packed: cfg!(feature = "lz4") && self.options.scratch.is_some(),
            callsites: self.options.sites.is_some(),
            ring_len: self.ring.len_bytes() as u32,
            ring_id: self.ring.words[2].load(),
            boot: self.options.boot,
            build_id: self.options.build_id,
        }
        .encode();
        content.data_mut()[..begin.len()].copy_from_slice(&begin);
        self.seal(content, FrameKind::Begin, 0, begin.len());
    }

    /// The index of the segment to send after so many others.
    fn index(&self, visited: u32) -> u32 {
        (self.options.first_index % self.ring.segment_count + visited) % self.ring.segment_count
    }

    /// Where a segment begins in the ring, in bytes.
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

    /// Starts to send a segment as it lies in the ring; `false`: it holds nothing.
    fn begin_walk(&mut self, visited: u32, tries: u8) -> bool {
        let segment = self.ring.segment(self.index(visited));
        let sequence_word = segment[segment_word::SEQUENCE].load_acquire();
        // Acquire: the reservations that it speaks of were made before.
        let commit_word = segment[segment_word::COMMIT].load_acquire();
        if sequence_word == 0 && segment[segment_word::CONTEXT].load() == 0 {
            return false;
        }
        // While it is being opened only its header is of use: for what it has lost.
        let holds_records = SequenceWord::decode(sequence_word).is_some_and(|word| word.phase == 0);
        let records = if holds_records { commit::offset(commit_word as u32).min(self.ring.record_words()) } else { 0 };
        let used = SEGMENT_HEADER_WORDS + records;
        self.walk = Walk { tries, sequence_word, commit_word, at: 0, used, left: 0, has_header: false };
        true
    }

    /// Sends as much of a segment as a frame holds, or takes back what was sent.
    fn piece(&mut self, visited: u32, content: &mut Content) {
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

    /// Copies a segment into the scratch, if there is one, and compresses it there if that is of use.
    #[inline(never)]
    fn copy(&mut self, visited: u32) -> Option<Stage> {
        let index = self.index(visited);
        let segment_len = self.ring.segment_len();
        let scratch = self.options.scratch.as_deref_mut().filter(|s| s.len() >= Self::scratch_len(segment_len))?;
        debug_assert!(segment_len <= DEVICE_SEGMENT_LEN_MAX as usize, "a device's ring");
        let (copy, packed) = scratch.split_at_mut(segment_len);
        copy.fill(0);
        // One that is replaced again and again, or being opened, is sent as it lies.
        let crate::ring::SegmentState::Valid(segment) = self.ring.copy_segment(index, copy) else { return None };
        let used = SEGMENT_HEADER_WORDS * 8 + segment.used().len();
        if let Some(len) = compress(copy, packed).filter(|len| *len < used) {
            return Some(Stage::Copied { visited, start: segment_len, len, position: 0, is_packed: true });
        }
        Some(Stage::Copied { visited, start: 0, len: used, position: 0, is_packed: false })
    }

    /// Sends a part of what lies in the scratch, in the place `whole`.
    fn copied(
        &mut self,
        visited: u32,
        whole: core::ops::Range<usize>,
        part: core::ops::Range<usize>,
        is_packed: bool,
        content: &mut Content,
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

/// Compresses a segment, and gives the length of what comes of it. A function of its own, so that only who calls it needs the stack.
#[cfg(feature = "lz4")]
#[inline(never)]
fn compress(segment: &[u8], out: &mut [u8]) -> Option<usize> {
    // That there are no more is known to the compiler then, and with it that the smaller one of two tables will do.
    let segment = &segment[..segment.len().min(DEVICE_SEGMENT_LEN_MAX as usize)];
    lz4_flex::block::compress_into(segment, out).ok()
}

#[cfg(not(feature = "lz4"))]
fn compress(_segment: &[u8], _out: &mut [u8]) -> Option<usize> {
    None
}

impl Walk {
    /// Returns the word at `at`, as it may be shown: where no header is stored yet zeros. What is copied word by word, while writers go on,
    /// would else look like records that nobody wrote; see `live::copy_shared`.
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
            // Reserved, and nothing stored yet.
            (self.left, self.has_header) = (next - self.at - 1, false);
            return 0;
        }
        let header = segment[self.at].load_acquire();
        // The words of a reservation are passed over by its length. They are copied all the same, for that may have been hit.
        (self.left, self.has_header) = ((header >> 16 & 0xFF) as usize, true);
        header
    }
}

const _: () = assert!(Mode::Device.number() == 3, "the reservations that `Walk` knows are those of devices");

#[cfg(test)]
mod tests;
