//! The start of an open span, kept beside the ring: parent and values, as far as they fit.
//!
//! A span can be open for longer than the ring reaches back. So its start is recorded again before the old record is
//! overwritten, and beside the warnings in it, which are kept longer.
//!
//! The context that starts a span claims a place, fills it and publishes the id of the span; whoever ends the span
//! releases the place. Others copy it at any time: ids are never used again, so a copy counts if the same id is there
//! before and afterwards.

use core::mem;

use crate::event::fields::{AnyFields, Cons, Fields, Nil};
use crate::memory::word::{Word, fence_acquire, fence_release};
use crate::record::SpanId;
use crate::record::packed::{LOOSE_LEN, Packer};
use crate::table::repeats_values;

/// Longest payload that is kept, in words. Texts of longer ones are cut.
pub const KEPT_WORDS: usize = 13;

/// Lower half of the id of a place that is being filled. The upper half does not matter.
const CLAIMED: u32 = u32::MAX;

/// A place for the start of an open span.
#[derive(Debug)]
#[repr(C, align(128))] // two cache lines: places side by side are used by different threads
pub struct KeptStart {
    /// Id of the span, whose lower half is neither 0 nor [`CLAIMED`]; 0: the place is free.
    id: Word,
    /// Lowest 16 bits: callsite of the record that repeats the start. Next 16: words of the payload. Upper half: what
    /// the recorder knows of the parent.
    about: Word,
    /// Number of the round in which it was recorded last, for the recorder.
    round: Word,
    payload: [Word; KEPT_WORDS],
}

/// A copy of the start of an open span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartCopy {
    /// Id of the span.
    pub id: u64,
    /// Callsite of the record that repeats its start.
    pub callsite: u16,
    /// Number by which the recorder finds the start of the parent.
    pub parent: u32,
    len: usize,
    words: [u64; KEPT_WORDS],
}

impl StartCopy {
    /// Returns the payload of the record that repeats the start.
    #[must_use]
    pub fn payload(&self) -> &[u64] {
        self.words.get(..self.len).unwrap_or_default()
    }
}

/// A place that was claimed, and belongs to the caller until it is published, or freed again when this is dropped.
#[derive(Debug)]
#[must_use = "nobody else can use the place"]
pub struct Claimed<'p>(&'p KeptStart);

impl KeptStart {
    /// Creates a free place.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new() -> Self {
        KeptStart {
            id: Word::new(0),
            about: Word::new(0),
            round: Word::new(0),
            payload: [const { Word::new(0) }; KEPT_WORDS],
        }
    }

    /// Creates a free place.
    #[cfg(loom)]
    #[must_use]
    pub fn new() -> Self {
        let word = || Word::new(0);
        KeptStart { id: word(), about: word(), round: word(), payload: core::array::from_fn(|_| word()) }
    }

    /// Returns whether spans with this id can be kept.
    #[inline(always)]
    #[must_use]
    pub const fn can_keep(id: u64) -> bool {
        id as u32 != 0 && id as u32 != CLAIMED
    }

    /// Returns the id of the span in the place; meaningless while it is being filled; 0: it is free.
    #[inline(always)]
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id.load()
    }

    /// Returns whether the place was never used.
    #[inline(always)]
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.about.load() == 0
    }

    /// Claims the place if it is free. One atomic operation. Callable anywhere.
    #[inline(always)]
    pub fn claim(&self) -> Option<Claimed<'_>> {
        if self.id.load_low() != 0 || self.id.swap_low(0, CLAIMED).is_err() {
            return None;
        }
        // Who sees anything of what is stored from here on sees that the place is claimed.
        fence_release();
        Some(Claimed(self))
    }

    /// Frees the place if the span with this id is in it. To be called once per span, when it ends.
    #[inline(always)]
    pub fn release(&self, id: u64) {
        if self.id.load() == id {
            self.id.store_release(0);
        }
    }

    /// Copies the start in the place; `None` if there is none.
    #[must_use]
    pub fn copy(&self) -> Option<StartCopy> {
        let id = self.id.load_acquire();
        if !Self::can_keep(id) {
            return None;
        }
        let about = self.about.load();
        let mut words = [0; KEPT_WORDS];
        for (copy, word) in words.iter_mut().zip(&self.payload) {
            *copy = word.load();
        }
        fence_acquire();
        let len = (about >> 16 & 0xFFFF) as usize;
        let copy = StartCopy { id, callsite: about as u16, parent: (about >> 32) as u32, len, words };
        (self.id.load() == id && copy.callsite != 0).then_some(copy)
    }

    /// Returns the number of the round in which the start was recorded last.
    #[inline]
    #[must_use]
    pub fn round(&self) -> u64 {
        self.round.load()
    }

    /// Notes that it is recorded again. If the span has ended meanwhile, the next one in this place is taken to be
    /// recorded now, which is not far from the truth.
    #[inline]
    pub fn set_round(&self, round: u64) {
        self.round.store(round);
    }
}

#[cfg(not(loom))]
impl Default for KeptStart {
    fn default() -> Self {
        KeptStart::new()
    }
}

impl<'p> Claimed<'p> {
    /// Returns whether the payload of these fields certainly fits, so that [`encode`](Self::encode) can store it.
    #[inline(always)]
    #[must_use]
    pub fn has_room_for<F: Fields>(fields: &F) -> bool {
        let longest = const { F::WIDE_WORDS * 8 + F::SMALL_LEN_MAX };
        let room = const { KEPT_WORDS * 8 - LOOSE_LEN - 8 };
        let keeps_values = const { repeats_values(&F::TYPES) };
        let fits = longest + const { F::CONTENT_LEN_MAX } <= room || longest + fields.content_len() <= room;
        keeps_values && fields.are_small() && fits
    }

    /// Encodes the payload of the start, and returns its number of words. There must be
    /// [room](Self::has_room_for).
    #[inline(always)]
    pub fn encode<F: Fields>(&self, fields: &F) -> usize {
        if !Self::has_room_for(fields) {
            return 0;
        }
        // SAFETY: all words of the place belong to this claim, and `has_room_for` has counted what `put_small` stores,
        // padding and loose bytes included.
        let mut packer = unsafe { Packer::loose(self.0.payload.as_ptr(), 0) };
        fields.put_small(&mut packer);
        packer.finish_loose().0
    }

    /// Encodes the payload of a start of any length, its texts cut so that it fits, and returns its number of words. If
    /// there are very many fields, only the ids, which are the first two. `None` if even without texts it does not fit.
    #[must_use]
    pub fn encode_cut(&self, fields: &dyn AnyFields, id: u64, parent: u64) -> Option<usize> {
        let ids = Cons(SpanId(id), Cons(SpanId(parent), Nil));
        let fields = if repeats_values(&fields.types()) { fields } else { &ids };
        let caps = [KEPT_WORDS * 8, 48, 32, 16, 8, 0];
        let cap = caps.into_iter().find(|cap| fields.payload_words(*cap) <= KEPT_WORDS)?;
        // SAFETY: all words of the place belong to this claim, and the payload was counted just now.
        let mut packer = unsafe { Packer::new(self.0.payload.as_ptr(), 0) };
        fields.put(&mut packer, cap);
        Some(packer.finish().0)
    }

    /// Publishes the span with this id, whose payload has `len` words. `callsite` is that of the record that repeats
    /// the start; `parent` and `round` are for the recorder. The id must be one that
    /// [can be kept](KeptStart::can_keep).
    #[inline(always)]
    pub fn publish(self, id: u64, callsite: u16, len: usize, parent: u32, round: u64) {
        debug_assert!(KeptStart::can_keep(id));
        self.0.about.store(u64::from(callsite) | ((len & 0xFFFF) as u64) << 16 | u64::from(parent) << 32);
        self.0.round.store(round);
        self.0.id.store_release(id);
        mem::forget(self);
    }
}

/// Frees the place again, also if a value panics while it is encoded.
impl Drop for Claimed<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.id.store_release(0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::event::fields::{Cons, Nil};

    fn payload(place: &KeptStart, len: usize) -> Vec<u64> {
        place.payload[..len].iter().map(Word::load).collect()
    }

    #[test]
    fn place_holds_one_span_at_a_time() {
        let place = KeptStart::new();
        assert!(place.is_unused() && place.copy().is_none());
        let claimed = place.claim().unwrap();
        assert!(place.claim().is_none() && place.copy().is_none());
        let len = claimed.encode(&Cons(7_u64, Cons(0.5_f64, Nil)));
        claimed.publish(1 << 32 | 5, 9, len, 3, 2);
        let copy = place.copy().unwrap();
        assert_eq!((copy.id, copy.callsite, copy.parent, place.round()), (1 << 32 | 5, 9, 3, 2));
        assert_eq!(copy.payload(), [0.5_f64.to_bits(), 7 << 3]);
        assert!(place.claim().is_none());
        place.release(5);
        assert!(place.copy().is_some(), "that is another span");
        place.release(1 << 32 | 5);
        assert!(place.copy().is_none());
        drop(place.claim().unwrap());
        assert!(place.claim().is_some());
    }

    #[test]
    fn fast_and_exact_encoding_agree() {
        let place = KeptStart::new();
        let claimed = place.claim().unwrap();
        let fields = Cons(300_u64, Cons(1_u64, Cons("abcdefghijklmnopqrstuvwxyz", Cons(true, Nil))));
        assert!(Claimed::has_room_for(&fields));
        let fast = payload(&place, claimed.encode(&fields));
        assert_eq!(fast, payload(&place, claimed.encode_cut(&fields, 0, 0).unwrap()));
        drop(claimed);
    }

    #[test]
    fn long_texts_are_cut_and_too_many_fields_are_not_kept() {
        let place = KeptStart::new();
        let claimed = place.claim().unwrap();
        let long = "x".repeat(1000);
        let text = long.as_str();
        let fields = Cons(1_u64, Cons(text, Cons(text, Nil)));
        assert!(!Claimed::has_room_for(&fields));
        assert_eq!(claimed.encode(&fields), 0);
        let len = claimed.encode_cut(&fields, 0, 0).unwrap();
        assert!((8..=KEPT_WORDS).contains(&len), "{len}");
        let wide = Cons(0_u128, Cons(0_u128, Cons(0_u128, Cons(0_u128, Nil))));
        let wide = Cons(0_u128, Cons(0_u128, Cons(0_u128, wide)));
        assert!(claimed.encode_cut(&wide, 0, 0).is_none());
        let many = Cons(1_u8, Cons(1_u8, Cons(1_u8, Cons(1_u8, wide))));
        assert!(!Claimed::has_room_for(&many));
        assert_eq!(claimed.encode_cut(&many, 5, 6), Some(2), "the ids");
        drop(claimed);
    }
}

#[cfg(all(test, loom))]
mod loom {
    use ::loom::model::Builder;
    use ::loom::sync::Arc;
    use ::loom::thread;

    use super::*;

    /// Stores a payload that tells which span it is of.
    fn start(place: &KeptStart, id: u64) -> bool {
        let Some(claimed) = place.claim() else { return false };
        place.payload[0].store(id);
        place.payload[1].store(id);
        claimed.publish(id, id as u16, 2, id as u32, 0);
        true
    }

    fn look(place: &KeptStart) {
        if let Some(copy) = place.copy() {
            assert_eq!(copy.payload(), [copy.id; 2]);
            assert_eq!((u64::from(copy.callsite), u64::from(copy.parent)), (copy.id, copy.id));
        }
    }

    fn explore(check: impl Fn(Arc<KeptStart>) + Sync + Send + 'static) {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(builder.preemption_bound.unwrap_or(2));
        builder.check(move || check(Arc::new(KeptStart::new())));
    }

    #[test]
    fn copy_is_never_of_two_spans() {
        explore(|place| {
            let writer = Arc::clone(&place);
            let writer = thread::spawn(move || {
                for id in [1, 2] {
                    assert!(start(&writer, id));
                    writer.release(id);
                }
            });
            look(&place);
            writer.join().unwrap();
            assert!(place.copy().is_none());
        });
    }

    #[test]
    fn one_of_two_spans_gets_the_place() {
        explore(|place| {
            let other = Arc::clone(&place);
            let other = thread::spawn(move || start(&other, 1));
            let mine = start(&place, 2);
            look(&place);
            let others = other.join().unwrap();
            assert!(mine != others);
            place.release(if mine { 2 } else { 1 });
            assert!(place.copy().is_none() && place.claim().is_some());
        });
    }
}
