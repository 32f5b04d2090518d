//! The starts of open native spans, kept beside the ring: see [`ttlog_core::span::kept`].
//!
//! A thread looks for a free place where it found the last one, so that most spans of a thread use the same few cache
//! lines over and over. Nobody has to search for a span: its [`SpanContext`] knows the place.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use ttlog_core::SpanContext;
use ttlog_core::span::kept::{Claimed, KeptStart, StartCopy};

/// Number of places; a power of two. Memory is only used where spans are.
const PLACES: usize = if cfg!(miri) { 1 << 8 } else { 1 << 15 };
/// Number of places that are tried for one span.
const PROBES_MAX: u32 = 64;
/// Number of places side by side for which it is noted together whether one was ever used.
const CHUNK: usize = 64;
/// Number of places between those where two threads begin to look.
const STRIDE: u32 = 24;

// A number of a place fits the lower half of a mark.
const _: () = assert!(PLACES < 1 << 16);

static KEPT: [KeptStart; PLACES] = [const { KeptStart::new() }; PLACES];
/// Whether places of each chunk were ever used, so that a walk leaves alone what is untouched memory.
static USED: [AtomicBool; PLACES / CHUNK] = [const { AtomicBool::new(false) }; PLACES / CHUNK];
/// Number of threads that have looked for a place.
static THREADS: AtomicU32 = AtomicU32::new(0);

/// Stands for a thread that has not looked yet.
const NOWHERE: u32 = u32::MAX;

thread_local! {
    /// Where the thread looks first: where it has freed a place, or behind the one that it took.
    static NEXT: Cell<u32> = const { Cell::new(NOWHERE) };
}

/// A place of its own for a span that starts.
#[derive(Debug)]
pub(crate) struct Place {
    index: u32,
    pub(crate) start: Claimed<'static>,
}

impl Place {
    /// Returns the number of the place, as a [`SpanContext`] has it.
    #[inline(always)]
    pub(crate) fn number(&self) -> u32 {
        self.index + 1
    }

    /// Publishes the span with this id, whose payload has `len` words. `callsite` is that of its repeated start.
    #[inline(always)]
    pub(crate) fn publish(self, id: u64, callsite: u16, len: usize, parent: &SpanContext, round: u32) {
        self.start.publish(id, callsite, len, parent_mark(parent), u64::from(round));
    }
}

/// Claims a place; `None` if those that were tried are in use. Takes no lock. Async-signal-safe.
#[inline(always)]
pub(crate) fn claim() -> Option<Place> {
    let index = NEXT.with(Cell::get);
    if let Some(place) = KEPT.get(index as usize) {
        if let Some(start) = place.claim() {
            return Some(claimed(index, start));
        }
    }
    claim_elsewhere(index)
}

#[inline(always)]
fn claimed(index: u32, start: Claimed<'static>) -> Place {
    if KEPT[index as usize].is_unused() {
        USED[index as usize / CHUNK].store(true, Ordering::Relaxed);
    }
    NEXT.with(|next| next.set((index + 1) % PLACES as u32));
    Place { index, start }
}

#[cold]
#[inline(never)]
fn claim_elsewhere(first: u32) -> Option<Place> {
    let first = match first {
        NOWHERE => THREADS.fetch_add(1, Ordering::Relaxed).wrapping_mul(STRIDE),
        first => first,
    };
    (0..PROBES_MAX).find_map(|probe| {
        // Side by side, and then further and further away.
        let index = first.wrapping_add(probe).wrapping_add(probe / 16 * probe * 8) % PLACES as u32;
        KEPT[index as usize].claim().map(|start| claimed(index, start))
    })
}

/// Frees the place of a span that ends.
#[inline(always)]
pub(crate) fn release(span: &SpanContext) {
    let index = span.place().wrapping_sub(1);
    if let Some(place) = KEPT.get(index as usize) {
        place.release(span.id());
        NEXT.with(|next| next.set(index));
    }
}

/// Returns the number of a parent's place, with the lowest bits of its id: it can end before its child.
#[inline(always)]
const fn parent_mark(parent: &SpanContext) -> u32 {
    parent.place() | (parent.id() as u32) << 16
}

/// Returns the kept starts of a span and its ancestors, innermost first, as far as they are open and there is room.
pub(crate) fn with_ancestors<const N: usize>(span: &SpanContext) -> [Option<StartCopy>; N] {
    let mut chain = [None; N];
    let mut next = start_at(span.place()).filter(|start| start.id == span.id());
    for start in &mut chain {
        let Some(found) = next else { break };
        *start = next;
        next = start_at(found.parent & 0xFFFF).filter(|parent| parent.id as u16 == (found.parent >> 16) as u16);
    }
    chain
}

/// Returns whether a span whose start is kept has not ended.
#[inline]
pub(crate) fn is_open(span: &SpanContext) -> bool {
    KEPT.get(span.place().wrapping_sub(1) as usize).is_some_and(|place| place.id() == span.id())
}

/// Returns the start that is kept at a place with this number.
pub(crate) fn start_at(number: u32) -> Option<StartCopy> {
    KEPT.get(number.wrapping_sub(1) as usize)?.copy()
}

/// Returns the places with open spans from index `from` on, each with its index.
pub(crate) fn open_from(from: usize) -> impl Iterator<Item = (usize, &'static KeptStart)> {
    let chunks = KEPT.chunks(CHUNK).zip(&USED).enumerate().skip(from / CHUNK);
    let used = chunks.filter(|(_, (_, used))| used.load(Ordering::Relaxed));
    let places = used.flat_map(|(chunk, (places, _))| (chunk * CHUNK..).zip(places));
    places.filter(move |(index, place)| *index >= from && KeptStart::can_keep(place.id()))
}

/// Returns whether there has been any span.
pub(crate) fn was_used() -> bool {
    THREADS.load(Ordering::Relaxed) > 0
}

#[cfg(test)]
mod tests {
    use super::super::ids::next_id;
    use super::*;

    fn start() -> SpanContext {
        let id = next_id();
        let place = claim().unwrap();
        let number = place.number();
        place.start.publish(id, 1, 0, 0, 0);
        SpanContext::outermost(id).kept_at(number)
    }

    #[test]
    fn nested_spans_use_the_same_places_again() {
        let outer = start();
        let places: Vec<_> = (0..3)
            .map(|_| {
                let [a, b] = [start(), start()];
                assert!(is_open(&a) && is_open(&b) && a.place() != b.place());
                release(&b);
                release(&a);
                assert!(!is_open(&a) && is_open(&outer));
                (a.place(), b.place())
            })
            .collect();
        assert!(places.iter().all(|pair| *pair == places[0]), "{places:?}");
        release(&outer);
    }

    #[test]
    fn walk_meets_each_open_span_once() {
        let spans: Vec<_> = (0..40).map(|_| start()).collect();
        let met = |span: &SpanContext| open_from(0).filter(|(_, place)| place.id() == span.id()).count();
        assert!(spans.iter().all(|span| met(span) == 1));
        assert_eq!(start_at(spans[7].place()).unwrap().id, spans[7].id());
        let (index, _) = open_from(0).find(|(_, place)| place.id() == spans[7].id()).unwrap();
        assert!(open_from(index + 1).all(|(_, place)| place.id() != spans[7].id()));
        spans.iter().for_each(release);
        assert!(spans.iter().all(|span| met(span) == 0));
    }

    #[test]
    fn without_a_place_the_span_goes_on() {
        // On a thread of its own, so that the others find free places again.
        let spans: Vec<_> =
            std::iter::repeat_with(claim).take(PLACES + 1).take_while(Option::is_some).flatten().collect();
        assert!(spans.len() > 40);
        assert!(claim().is_none());
        drop(spans);
        assert!(claim().is_some());
    }
}
