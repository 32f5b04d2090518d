//! Shared writer: several contexts in one segment, each of which can interrupt any other.
//!
//! A reservation is one compare-and-swap of the segment's commit half-word. The segment is zeroed beforehand, and the
//! first word stored into a reservation is a header with its length. So a reader, or a context that was interrupted,
//! can always skip uncommitted records. A reservation keeps its segment: it is not replaced before all reservations are
//! complete.
//!
//! Priority segments are always shared. There, a reservation can start with a record that identifies the context.

use core::cell::Cell;

use crate::event::fields::AnyFields;
use crate::memory::kill::kill_point;
use crate::memory::word::fence_release;
use crate::record::packed::Packer;
use crate::record::{CONTEXT_NAME_MAX, CONTROL, ContextInfo, KIND_CONTEXT, RESERVED, encode_header, len_field};
use crate::ring::layout::{Mode, SEGMENT_HEADER_WORDS, SequenceWord, commit, header_word, segment_word};
use crate::ring::write::cursor::AppendOutcome;
use crate::ring::write::identify::Identify;
use crate::ring::write::segment::Class;
use crate::ring::write::size::fit;
use crate::ring::{DropReason, Ring};

/// Maximum number of attempts of an append when other contexts are faster.
const TRIES_MAX: u32 = 64;

/// An event for a shared segment, with its size.
struct SizedEvent<'a> {
    ticks: u64,
    context: u32,
    callsite: u16,
    fields: &'a dyn AnyFields,
    /// Maximum length of its texts and sequences, in bytes.
    cap: usize,
    /// Length field of the record's header.
    len: u8,
    /// Words of the payload, including the context and the count of a long payload.
    len_words: usize,
}

impl<'a> SizedEvent<'a> {
    /// Computes the size of an event. An empty segment has `most` words for it. Returns `None` if it is too large.
    fn new(ticks: u64, context: u32, callsite: u16, fields: &'a dyn AnyFields, most: usize) -> Option<Self> {
        // Minus two words: the context, and the count of a long payload.
        let (cap, payload_words) = fit(|cap| fields.payload_words(cap), most.saturating_sub(2))?;
        let (len, len_words) = len_field(1 + payload_words);
        Some(SizedEvent { ticks, context, callsite, fields, cap, len, len_words })
    }
}

impl Ring<'_> {
    /// Appends an event to a shared segment. Bounded and lock-free; callable anywhere, including nested.
    ///
    /// If no shared segment is available, the event is counted as dropped for `reason`.
    pub fn append_shared(
        &self,
        ticks: u64,
        context: u32,
        callsite: u16,
        fields: &dyn AnyFields,
        reason: DropReason,
    ) -> AppendOutcome {
        let Some(event) = SizedEvent::new(ticks, context, callsite, fields, self.record_words()) else {
            return self.refuse(DropReason::TooLarge);
        };
        let class = self.main_class();
        for _ in 0..TRIES_MAX {
            let Some(index) = self.shared_segment(&class, ticks) else {
                break;
            };
            if let Some(at) = self.reserve(&class, index, 1 + event.len_words) {
                self.fill(index, at, &event, None);
                return AppendOutcome::Recorded;
            }
        }
        self.refuse(reason)
    }

    /// Appends a warning or an error to the priority class, where other events do not replace it. Bounded and
    /// lock-free; callable anywhere, including nested.
    ///
    /// `told` holds the sequence number of the segment with the context's latest identity record; 0 if none. The
    /// identity is recorded once per segment, in front of an event, with the name that `who` has then, and never if
    /// `told` is `None`. Without a priority class, or if all its segments are in use, the event goes to another shared
    /// segment, as in [`append_shared`](Self::append_shared). If that is not available either, the event is counted as
    /// dropped for `reason`.
    pub fn append_priority(
        &self,
        ticks: u64,
        who: &dyn Identify,
        told: Option<&Cell<u64>>,
        callsite: u16,
        fields: &dyn AnyFields,
        reason: DropReason,
    ) -> AppendOutcome {
        let context = who.context();
        let shared = || self.append_shared(ticks, context, callsite, fields, reason);
        let Some(class) = self.priority_class() else { return shared() };
        let Some(event) = SizedEvent::new(ticks, context, callsite, fields, self.record_words()) else {
            return self.refuse(DropReason::TooLarge);
        };
        for _ in 0..TRIES_MAX {
            let Some(index) = self.shared_segment(&class, ticks) else { break };
            let untold = told.filter(|told| told.get() != self.sequence_of(index));
            let is_recorded = match untold {
                None => self.append_at(&class, index, &event),
                Some(told) => self.append_introduced(&class, index, &event, who, told),
            };
            if is_recorded {
                return AppendOutcome::Recorded;
            }
        }
        // All segments of the class are stuck or being opened. Before the event goes where others can overwrite it, its
        // time is recorded.
        self.header(header_word::PRIORITY_STRAYED_UNTIL).raise(ticks);
        kill_point!(PriorityStrayed);
        shared()
    }

    /// Appends an event to a shared segment, if that has room and is still the shared one.
    fn append_at(&self, class: &Class, index: u32, event: &SizedEvent<'_>) -> bool {
        let at = self.reserve(class, index, 1 + event.len_words);
        at.inspect(|at| self.fill(index, *at, event, None)).is_some()
    }

    /// Like `append_at`, with the context's identity in front of the event, unless the two do not fit into a segment or
    /// the identity would take too much of it.
    #[cold]
    fn append_introduced(
        &self,
        class: &Class,
        index: u32,
        event: &SizedEvent<'_>,
        who: &dyn Identify,
        told: &Cell<u64>,
    ) -> bool {
        let mut room = [0; CONTEXT_NAME_MAX];
        let identity = who.renewed(&mut room);
        let who_words = 1 + identity.payload_words();
        let resized = || {
            let most = self.record_words() - who_words;
            SizedEvent::new(event.ticks, event.context, event.callsite, event.fields, most)
        };
        let Some(event) = (who_words <= self.record_words() / 4).then(resized).flatten() else {
            return self.append_at(class, index, event);
        };
        let Some(at) = self.reserve(class, index, who_words + 1 + event.len_words) else { return false };
        // Read again, because the segment might have been replaced before the reservation. Its new content then lacks
        // this context's identity, and the next event records it.
        told.set(self.sequence_of(index));
        kill_point!(PriorityTold);
        self.fill(index, at, &event, Some((&identity, who_words)));
        true
    }

    /// Returns the sequence number of a segment.
    fn sequence_of(&self, index: u32) -> u64 {
        let word = self.segment(index)[segment_word::SEQUENCE].load_acquire();
        SequenceWord::decode(word).map_or(0, |word| word.sequence)
    }

    fn refuse(&self, reason: DropReason) -> AppendOutcome {
        self.count_one_dropped(reason);
        AppendOutcome::Dropped(reason)
    }

    /// Returns the segment of a class that accepts reservations. Opens one if needed.
    fn shared_segment(&self, class: &Class, ticks: u64) -> Option<u32> {
        let current = self.header(class.shared_segment);
        let now = current.load_acquire() as u32;
        kill_point!(SharedLoaded);
        // An index outside the class occurs only if another process wrote to the ring; it counts as none.
        let index_in = |word: u32| word.checked_sub(1).filter(|index| class.has(*index));
        if let Some(index) = index_in(now) {
            return Some(index);
        }
        let held = self.open_segment(class, Mode::SharedContexts, 0, ticks)?;
        kill_point!(SharedOpened);
        match current.swap_low(now, held.index + 1) {
            Ok(()) => {
                kill_point!(SharedPublished);
                Some(held.index)
            }
            Err(other) => {
                kill_point!(SharedSurplus);
                // Another context was faster. Our segment has no reservation, so it can be replaced at once.
                self.close_shared(held.index);
                index_in(other)
            }
        }
    }

    /// Closes a segment for reservations.
    pub(crate) fn close_shared(&self, index: u32) {
        let word = &self.segment(index)[segment_word::COMMIT];
        let mut now = word.load() as u32;
        kill_point!(CloseLoaded);
        // Bounded: each failure is another context's reservation, and the segment is finite.
        while now & commit::CLOSED == 0 && now & commit::SHARED != 0 {
            match word.swap_low(now, now | commit::CLOSED) {
                Ok(()) => {
                    kill_point!(Closed);
                    return;
                }
                Err(changed) => now = changed,
            }
        }
    }

    /// Reserves `words` words and returns their index. Returns `None` if the segment has no room (and closes it), or is
    /// no longer the shared one.
    fn reserve(&self, class: &Class, index: u32, words: usize) -> Option<usize> {
        let commit_word = &self.segment(index)[segment_word::COMMIT];
        let mut now = commit_word.load() as u32;
        loop {
            kill_point!(ReserveLoaded);
            let open = now & (commit::SHARED | commit::CLOSED | commit::OWNED) == commit::SHARED;
            let at = commit::offset(now);
            if open && at + words <= self.record_words() {
                match commit_word.swap_low(now, now + commit::step(words, 1)) {
                    Ok(()) => {
                        kill_point!(Reserved);
                        return Some(at);
                    }
                    Err(changed) => {
                        now = changed;
                        continue;
                    }
                }
            }
            self.close_shared(index);
            // The context that closes a segment makes room for the next one. If another has done so already, that is
            // fine.
            let _ = self.header(class.shared_segment).swap_low(index + 1, 0);
            kill_point!(ReserveForgotten);
            return None;
        }
    }

    /// Fills a reservation with the event and commits it. If `who` is given, the context's identity, with its number of
    /// words, comes before the event.
    fn fill(&self, index: u32, at: usize, event: &SizedEvent<'_>, who: Option<(&ContextInfo<'_>, usize)>) {
        let segment = self.segment(index);
        // Valid until the reservation is complete: the segment cannot be replaced before.
        let base = segment[segment_word::BASE].load();
        let lap = SequenceWord::decode(segment[segment_word::SEQUENCE].load()).map_or(0, |word| word.lap);
        let lap = u64::from(lap);
        let SizedEvent { ticks, context, callsite, fields, cap, len, len_words } = *event;
        let delta = ticks.wrapping_sub(base);
        let who_words = who.map_or(0, |(_, words)| words);
        let reserved = &segment[SEGMENT_HEADER_WORDS + at..][..who_words + 1 + len_words];
        kill_point!(FillBegun);
        #[cfg(not(ttlog_mutant_commit_first))]
        reserved[0].store(encode_header(RESERVED, 0, reserved.len() as u32 - 1, lap));
        #[cfg(ttlog_mutant_commit_first)]
        reserved[0].store(encode_header(callsite, len, delta as u32, lap));
        kill_point!(FillLength);
        fence_release(); // a reader that sees any other word of the reservation also sees that header
        let record = &reserved[who_words..];
        // SAFETY: the packer stores `len_words` words, which are those of `record` after its header.
        let (payload_words, others) = unsafe {
            let mut packer = Packer::new(record[1..].as_ptr(), lap);
            if len == 255 {
                packer.put_word(len_words as u64);
            }
            packer.put_word(u64::from(context) | delta >> 32 << 32);
            fields.put(&mut packer, cap);
            packer.finish()
        };
        debug_assert_eq!(payload_words, record.len() - 1);
        let header = encode_header(callsite, len, delta as u32, others);
        if let Some((who, _)) = who {
            record[0].store(header);
            kill_point!(FillUnnamed);
            // SAFETY: the packer stores `payload_words` words, one less than `who_words`.
            let (payload_words, others) = unsafe {
                let mut packer = Packer::new(reserved[1..].as_ptr(), lap);
                who.pack(&mut packer);
                packer.finish()
            };
            debug_assert_eq!(payload_words, who_words - 1);
            // Published last, together with the event after it.
            reserved[0].store_release(encode_header(CONTROL, (who_words - 1) as u8, KIND_CONTEXT, others));
        } else {
            reserved[0].store_release(header);
        }
        kill_point!(FillSealed);
        segment[segment_word::CLOSE].raise(ticks);
        kill_point!(FillRaised);
        segment[segment_word::COMMIT].add_high_release(1);
        kill_point!(FillDone);
    }
}
