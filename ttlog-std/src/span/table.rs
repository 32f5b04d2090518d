//! Open spans: from the id under which a layer or subscriber knows a span to the one that is recorded.
//!
//! `tracing` uses ids again after a span has ended, and each of its registries has ids of its own; the recorded ones
//! are unique in the process. The table has a fixed number of slots, and takes no lock: a span goes into the first free
//! slot of a short sequence, and its end frees the slot. Searches that fail end at the length of the longest sequence
//! so far.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use super::freed;
use super::kept_start::KeptStart;

/// Number of slots; a power of two. Memory is only used where spans are.
const SLOTS: usize = if cfg!(miri) { 1 << 10 } else { 1 << SLOT_BITS };
/// Number of bits of a slot's index.
const SLOT_BITS: u32 = 17;
/// Number of slots that are tried for one span before the table counts as full.
const PROBES_MAX: usize = NEAR_PROBES + 64;
/// Number of them where spans of the thread were before, so that they are in the processor's cache.
const NEAR_PROBES: usize = 8;
/// Number of slots side by side for which it is noted together whether one was ever used.
const CHUNK: usize = 256;
/// Key of a slot that is being filled. No id: the highest one stands for a span that is not recorded.
const CLAIMED: u64 = u64::MAX;

/// The number of the latest owner.
static LAST_OWNER: AtomicU64 = AtomicU64::new(0);

/// Returns a number for a layer or subscriber, from 1.
pub(crate) fn next_owner() -> u64 {
    LAST_OWNER.fetch_add(1, Ordering::Relaxed) + 1
}

/// The table of the process, allocated before its first layer or subscriber exists.
static TABLE: OnceLock<SpanTable> = OnceLock::new();
/// In place of the table, if there has been no layer or subscriber: it has room for nothing.
static NO_TABLE: SpanTable = SpanTable::empty();

/// Allocates the table of the process, unless it exists. Can wait for another thread that does.
pub(crate) fn prepare() {
    // Miri visits every slot whenever a reference to all of them is made.
    TABLE.get_or_init(|| SpanTable::new(if cfg!(miri) { 64 } else { SLOTS }));
}

/// Returns the table of the process. Never waits.
#[inline]
pub(crate) fn spans() -> &'static SpanTable {
    TABLE.get().unwrap_or(&NO_TABLE)
}

/// Open spans of all layers and subscribers.
#[derive(Debug)]
pub(crate) struct SpanTable {
    /// Their number is a power of two, or 0 if there was no memory for them.
    slots: &'static [Slot],
    /// Number of slots that a search visits at most; never decreases.
    probes: AtomicUsize,
    /// Whether slots of each chunk were ever used, so that a walk leaves alone what is untouched memory.
    used: [AtomicBool; SLOTS.div_ceil(CHUNK)],
}

/// A slot for an open span. All zeros: free.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Id of its owner; 0 if the slot is free, [`CLAIMED`] while the other fields are written.
    key: AtomicU64,
    /// The layer or subscriber that knows the span under this id.
    owner: AtomicU64,
    /// The recorded id; 0 if the slot is free.
    id: AtomicU64,
    /// Number of handles of the span, if its owner counts them.
    pub(crate) handle_count: AtomicU32,
    /// Data of its owner; null if there are none.
    data: AtomicPtr<()>,
    /// Its parent and values.
    pub(crate) start: KeptStart,
}

/// An open span.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenSpan {
    /// Index of its slot.
    slot: u32,
    /// The recorded id.
    pub(crate) id: u64,
}

impl OpenSpan {
    pub(super) const fn new(slot: u32, id: u64) -> Self {
        OpenSpan { slot, id }
    }

    pub(super) const fn slot(self) -> u32 {
        self.slot
    }
}

impl SpanTable {
    fn new(slots: usize) -> Self {
        SpanTable { slots: zeroed_slots(slots), ..SpanTable::empty() }
    }

    const fn empty() -> Self {
        let used = [const { AtomicBool::new(false) }; SLOTS.div_ceil(CHUNK)];
        SpanTable { slots: &[], probes: AtomicUsize::new(0), used }
    }

    /// Adds a span. Returns `None` if there is no room for it.
    pub(crate) fn insert(&self, owner: u64, key: u64, id: u64, data: *const ()) -> Option<OpenSpan> {
        if key == 0 || key == CLAIMED {
            return None;
        }
        for (probe, index) in self.indices(owner, key, PROBES_MAX).enumerate() {
            let slot = &self.slots[index];
            if slot.key.load(Ordering::Relaxed) != 0
                || slot.key.compare_exchange(0, CLAIMED, Ordering::Acquire, Ordering::Relaxed).is_err()
            {
                continue;
            }
            slot.owner.store(owner, Ordering::Relaxed);
            slot.id.store(id, Ordering::Relaxed);
            slot.handle_count.store(1, Ordering::Relaxed);
            slot.data.store(data.cast_mut(), Ordering::Relaxed);
            // Before the key, so that a search that can know the key goes far enough.
            if self.probes.load(Ordering::Relaxed) <= probe {
                self.probes.fetch_max(probe + 1, Ordering::Relaxed);
            }
            let used = &self.used[index / CHUNK];
            if !used.load(Ordering::Relaxed) {
                used.store(true, Ordering::Relaxed);
            }
            slot.key.store(key, Ordering::Release);
            return Some(OpenSpan { slot: index as u32, id });
        }
        None
    }

    /// Returns a key for a new span that `owner` knows under no id of its own. It is unique as the recorded id is, and
    /// leads to a slot that this thread has freed, which is in the processor's cache: ids that only count up would go
    /// through the memory of all slots.
    #[inline]
    pub(crate) fn key_for(&self, owner: u64, id: u64) -> u64 {
        let key = id << SLOT_BITS;
        let slot = freed::take().unwrap_or(id as u32);
        // Up to the 2^47th span of the process, all keys differ.
        key | u64::from(slot.wrapping_sub(near_slot(owner, key) as u32)) & ((1 << SLOT_BITS) - 1)
    }

    /// Returns the key of a span, if it is open.
    pub(crate) fn key_of(&self, span: OpenSpan) -> Option<u64> {
        let key = self.slot(span).key.load(Ordering::Acquire);
        (self.is_open(span) && key != 0 && key != CLAIMED).then_some(key)
    }

    /// Returns the span that `owner` knows under this id, if it is open and in the table.
    #[inline]
    pub(crate) fn find(&self, owner: u64, key: u64) -> Option<OpenSpan> {
        // Nearly always in the first slot.
        let first = near_slot(owner, key) & self.slots.len().wrapping_sub(1);
        if key == 0 || key == CLAIMED {
            return None;
        }
        self.span_in(first, owner, key).or_else(|| self.find_further(owner, key))
    }

    #[inline(never)]
    fn find_further(&self, owner: u64, key: u64) -> Option<OpenSpan> {
        let probes = self.probes.load(Ordering::Relaxed);
        self.indices(owner, key, probes).skip(1).find_map(|index| self.span_in(index, owner, key))
    }

    /// Returns the span in a slot, if it is the one that `owner` knows under this id.
    #[inline(always)]
    fn span_in(&self, index: usize, owner: u64, key: u64) -> Option<OpenSpan> {
        let slot = self.slots.get(index)?;
        let is_it = slot.key.load(Ordering::Acquire) == key && slot.owner.load(Ordering::Relaxed) == owner;
        let id = slot.id.load(Ordering::Relaxed);
        (is_it && id != 0).then_some(OpenSpan { slot: index as u32, id })
    }

    /// Removes a span that ended. Returns `false` if somebody else did.
    pub(crate) fn remove(&self, span: OpenSpan) -> bool {
        let slot = &self.slots[span.slot as usize];
        // Ids are unique, so only one call succeeds.
        let is_first = slot.id.compare_exchange(span.id, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_first {
            slot.key.store(0, Ordering::Release);
        }
        is_first
    }

    /// Returns whether a span is still open.
    #[inline]
    pub(crate) fn is_open(&self, span: OpenSpan) -> bool {
        self.slots.get(span.slot as usize).is_some_and(|slot| slot.id.load(Ordering::Relaxed) == span.id)
    }

    /// Returns whether any slot was ever used.
    pub(crate) fn was_used(&self) -> bool {
        self.probes.load(Ordering::Relaxed) > 0
    }

    /// Returns the open spans in the slots from `from` on, in the order of the slots.
    pub(crate) fn open_from(&self, from: usize) -> impl Iterator<Item = OpenSpan> {
        let chunks = self.slots.chunks(CHUNK).zip(&self.used).enumerate().skip(from / CHUNK);
        let used = chunks.filter(|(_, (_, used))| used.load(Ordering::Relaxed));
        let slots =
            used.flat_map(|(chunk, (slots, _))| (chunk * CHUNK..).zip(slots)).filter(move |(at, _)| *at >= from);
        slots.filter_map(|(index, slot)| {
            let key = slot.key.load(Ordering::Acquire);
            let id = slot.id.load(Ordering::Relaxed);
            (key != 0 && key != CLAIMED && id != 0).then_some(OpenSpan { slot: index as u32, id })
        })
    }

    /// Returns the slot of a span, which must be open for its content to be the span's.
    pub(crate) fn slot(&self, span: OpenSpan) -> &Slot {
        &self.slots[span.slot as usize]
    }

    /// Removes all spans of an owner that is dropped: nobody will report their ends. Takes time in proportion to the
    /// size of the table.
    pub(crate) fn forget(&self, owner: u64) {
        for span in self.open_from(0) {
            if self.slot(span).owner.load(Ordering::Relaxed) == owner {
                self.remove(span);
            }
        }
    }

    /// Returns the slots that a span can be in, in the order in which they are tried.
    ///
    /// First some at the lowest bits of the id. A registry uses these again when a span ends (with other bits from 51
    /// up, and with the thread in bits 38 to 50), and our own ids are consecutive. Then others, because spans of
    /// several threads can be crowded there.
    #[inline]
    fn indices(&self, owner: u64, key: u64, count: usize) -> impl Iterator<Item = usize> + use<> {
        let near = near_slot(owner, key);
        let mixed = (key ^ owner.rotate_left(48)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // In steps of their own, because the spans at the lowest bits are side by side.
        let (far, step) = ((mixed >> 40) as usize, mixed as usize >> 8 | 1);
        let mask = self.slots.len().wrapping_sub(1);
        let count = if self.slots.is_empty() { 0 } else { count };
        let index = move |probe: usize| match probe.checked_sub(NEAR_PROBES) {
            None => near.wrapping_add(probe),
            Some(probe) => far.wrapping_add(probe.wrapping_mul(step)),
        };
        (0..count).map(move |probe| index(probe) & mask)
    }
}

/// Returns the number in whose lowest bits the first slot is that is tried for a span.
#[inline]
fn near_slot(owner: u64, key: u64) -> usize {
    let thread = key >> 38 & 0x1FFF;
    key.wrapping_add((thread ^ owner << 13).wrapping_mul(0x9E37_79B9)) as usize
}

impl OpenSpan {
    /// Returns the index of its slot.
    pub(crate) fn slot_index(self) -> usize {
        self.slot as usize
    }
}

impl Slot {
    /// Returns the data of the span's owner.
    pub(crate) fn data(&self) -> *const () {
        self.data.load(Ordering::Relaxed)
    }
}

/// Allocates slots, which are never freed, without touching their memory, of which most is never used. Returns none
/// without memory.
fn zeroed_slots(count: usize) -> &'static [Slot] {
    let Ok(layout) = std::alloc::Layout::array::<Slot>(count) else { return &[] };
    if layout.size() == 0 {
        return &[];
    }
    // SAFETY: the layout has a size.
    let start = unsafe { std::alloc::alloc_zeroed(layout) }.cast::<Slot>();
    if start.is_null() {
        return &[];
    }
    // SAFETY: allocated just now with the layout of a slice of `count` slots, of which zeros are valid ones: all fields
    // are atomic numbers, arrays of them, and a pointer.
    unsafe { std::slice::from_raw_parts(start, count) }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::ptr::null;

    use super::*;

    #[test]
    fn naive_model() {
        let table = SpanTable::new(256);
        let mut model: HashMap<(u64, u64), OpenSpan> = HashMap::new();
        let mut random = 7_u64;
        for round in 0..if cfg!(miri) { 400 } else { 20_000_u64 } {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (owner, key) = (random >> 33 & 1, 1 + (random >> 40) % 150);
            match model.remove(&(owner, key)) {
                Some(span) => {
                    assert_eq!(table.find(owner, key).unwrap().id, span.id);
                    assert!(table.is_open(span) && table.remove(span) && !table.remove(span) && !table.is_open(span));
                }
                None => {
                    assert!(table.find(owner, key).is_none());
                    if model.len() < 120 {
                        model.insert((owner, key), table.insert(owner, key, round + 1, null()).unwrap());
                    }
                }
            }
        }
        assert!(model.iter().all(|((owner, key), span)| table.find(*owner, *key).unwrap().id == span.id));
        table.forget(0);
        assert!((0..150).all(|key| table.find(0, key).is_none()));
        assert!(model.iter().filter(|((owner, _), _)| *owner == 1).all(|(_, span)| table.is_open(*span)));
    }

    #[test]
    fn full_table_refuses_until_a_span_ends() {
        let table = SpanTable::new(64);
        let spans: Vec<_> = (1..=64).map(|key| table.insert(1, key, key, null()).unwrap()).collect();
        assert!(table.insert(1, 65, 65, null()).is_none());
        assert!(table.find(1, 65).is_none());
        assert!(table.remove(spans[20]));
        assert_eq!(table.insert(1, 65, 65, null()).unwrap().id, 65);
        assert!((1..=65).filter(|key| *key != 21).all(|key| table.find(1, key).unwrap().id == key));
    }

    #[test]
    #[cfg_attr(miri, ignore = "safe code, and slow there")]
    fn crowded_places_leave_room_elsewhere() {
        let table = SpanTable::new(1024);
        // Ids of two owners and several threads that begin at the same place, in a table that is three quarters full.
        let keys = (0..4).flat_map(|thread| (1..=96).map(move |low| thread << 38 | low));
        let all: Vec<_> = (0..2).flat_map(|owner| keys.clone().map(move |key| (owner, key))).collect();
        let spans: Vec<_> =
            (1..).zip(&all).map(|(id, (owner, key))| table.insert(*owner, *key, id, null()).unwrap()).collect();
        assert!(all.iter().zip(&spans).all(|((owner, key), span)| table.find(*owner, *key).unwrap().id == span.id));
        assert!(spans.into_iter().all(|span| table.remove(span)));
    }

    #[test]
    fn table_without_memory_refuses() {
        let table = SpanTable::new(0);
        assert!(table.insert(1, 1, 1, null()).is_none() && table.find(1, 1).is_none());
        table.forget(1);
    }

    #[test]
    fn keys_that_are_no_ids_are_refused() {
        let table = SpanTable::new(64);
        for key in [0, u64::MAX] {
            assert!(table.insert(1, key, 1, null()).is_none() && table.find(1, key).is_none());
        }
    }

    #[test]
    fn new_keys_lead_to_freed_slots_and_are_unique() {
        let table = SpanTable::new(256);
        let mut keys = HashSet::new();
        let mut open = |owner, id| {
            let key = table.key_for(owner, id);
            assert!(keys.insert(key));
            let span = table.insert(owner, key, id, null()).unwrap();
            assert_eq!((table.find(owner, key).unwrap().id, table.key_of(span)), (id, Some(key)));
            span
        };
        let outer = open(1, 1);
        let slots: HashSet<_> = (2..1000)
            .map(|id| {
                let span = open(1 + id % 2, id << 20 | id);
                assert!(table.remove(span) && table.key_of(span).is_none());
                freed::put(span.slot);
                span.slot
            })
            .collect();
        assert_eq!(slots.len(), 1);
        assert!(!slots.contains(&outer.slot));
    }

    #[test]
    fn threads_beside_each_other_find_their_own_spans() {
        let table = SpanTable::new(1024);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let table = &table;
                scope.spawn(move || {
                    for round in 0..if cfg!(miri) { 5 } else { 20_000_u64 } {
                        let keys = [1, 2, 3].map(|n| thread * 1000 + round % 7 * 10 + n);
                        let spans = keys.map(|key| table.insert(thread, key, key << 20 | round, null()).unwrap());
                        for (key, span) in keys.into_iter().zip(spans) {
                            assert_eq!(table.find(thread, key).unwrap().id, span.id);
                        }
                        assert!(spans.into_iter().all(|span| table.remove(span)));
                    }
                });
            }
        });
    }
}
