//! Callsite ids: the mapping from callsites to ids, and their items in the ring.
//!
//! A callsite gets its id on its first use, once per list of field types (a callsite in a generic function can have
//! several). The table of ids is allocated at the start and entries are only ever added: finding and adding take no
//! lock, allocate nothing, and can be interrupted anywhere by a signal handler that logs.
//!
//! The item is in the ring's table before anybody can learn the id, so a record never refers to a callsite that a
//! reader of a dead ring cannot find. When several threads encounter a new callsite at once, one adds it and the others
//! wait for it, but not for long: a thread that waited in vain (the first might be suspended, or be the very thread
//! that a signal handler interrupted) adds it as well. Both ids are then in the ring's table, and everybody uses the
//! one that was finished first.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use ttlog_core::event::Role;
use ttlog_core::event::secret::SecretKeys;
use ttlog_core::record::MemberPath;
use ttlog_core::table::{encode_callsite_marking, encode_repeating_callsite};
use ttlog_core::{Callsite, Metadata, Ring, TypeList, encode_callsite};

/// Highest id; 65,535 marks a reservation in the ring.
const ID_MAX: u32 = 65_534;
/// Stands for the id of a callsite that did not fit, so that its events are refused at little cost.
const REFUSED: u32 = u32::MAX;
/// Longest encoded callsite, in bytes. Only one with very many fields or a very long message is longer.
const ITEM_LEN_MAX: usize = 4096;
/// Number of times a thread checks for the id that another one is adding; about 10 µs to 100 µs.
const LOOKS: u32 = 2000;
/// Number of slots that are tried for one key before the table counts as full.
const PROBES_MAX: usize = 256;

/// A slot for one callsite with one list of types.
#[derive(Debug)]
struct Slot {
    /// Hash of callsite and types, see [`key`]; 0 if the slot is free. Set once.
    key: AtomicU64,
    /// The id; 0 if it is not there yet; [`REFUSED`] if it never will be. Set once, after the item is in the ring's
    /// table.
    id: AtomicU32,
}

/// The ids assigned so far.
#[derive(Debug)]
pub(crate) struct Registry {
    /// Slots, by open addressing; their number is a power of two.
    slots: Box<[Slot]>,
    /// The highest assigned id.
    last_id: AtomicU32,
    /// Names of fields that are marked as secret in the table, so that readers of the ring know them too.
    secret_keys: Option<SecretKeys<'static>>,
    /// Whether a callsite was refused; the first refusal is reported.
    refused: AtomicBool,
}

impl Registry {
    /// Allocates slots for as many callsites as a ring's table of `table_len` bytes can hold. `secret_keys`: names of
    /// fields that are secret in addition to those that are marked.
    pub(crate) fn new(table_len: usize, secret_keys: Option<SecretKeys<'static>>) -> Self {
        // No item is shorter than 40 bytes; half of the slots stay free.
        let count = (table_len / 20).clamp(64, 2 * ID_MAX as usize).next_power_of_two();
        let slots = (0..count).map(|_| Slot { key: AtomicU64::new(0), id: AtomicU32::new(0) }).collect();
        Registry { slots, last_id: AtomicU32::new(0), secret_keys, refused: AtomicBool::new(false) }
    }

    /// Returns the id of a callsite whose run-time fields have these types, adding it to the ring's table if it is new.
    ///
    /// Returns `None` if the ring's table or the ids are exhausted: the callsite's events are refused from then on. The
    /// first time is reported on stderr. Callable wherever the program logs.
    pub(crate) fn register(
        &self,
        ring: &Ring<'_>,
        callsite: &'static Callsite,
        types: TypeList,
        types_hash: u32,
        origin: Origin,
    ) -> Option<u16> {
        let key = match origin {
            Origin::Program => key(callsite, types_hash),
            Origin::Plugin => content_key(callsite, types)?,
        };
        let id = self.find_or_add(ring, key, callsite, types).and_then(|id| u16::try_from(id).ok());
        if id.is_none() && !self.refused.swap(true, Ordering::Relaxed) {
            let Metadata { file, line, .. } = callsite.metadata();
            crate::sys::report::warn(format_args!(
                "the ring's callsite table is full: events of {file}:{line} and of other new callsites are not \
                 recorded (but counted); a larger table_bytes makes room"
            ));
        }
        id
    }

    fn find_or_add(&self, ring: &Ring<'_>, key: u64, callsite: &'static Callsite, types: TypeList) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut index = key as usize & mask;
        for _ in 0..PROBES_MAX.min(self.slots.len()) {
            let slot = &self.slots[index];
            let mut found = slot.key.load(Ordering::Acquire);
            if found == 0 {
                match slot.key.compare_exchange(0, key, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => return self.add(ring, slot, callsite, types),
                    Err(taken) => found = taken,
                }
            }
            if found == key {
                for _ in 0..LOOKS {
                    let id = slot.id.load(Ordering::Acquire);
                    if id != 0 {
                        return Some(id);
                    }
                    std::hint::spin_loop();
                }
                return self.add(ring, slot, callsite, types);
            }
            index = (index + 1) & mask;
        }
        None
    }

    /// Adds the callsite to the ring's table under a new id, and returns the slot's id: this one, or that of a faster
    /// thread.
    fn add(&self, ring: &Ring<'_>, slot: &Slot, callsite: &'static Callsite, types: TypeList) -> Option<u32> {
        let id = self.append(ring, callsite, types).unwrap_or(REFUSED);
        match slot.id.compare_exchange(0, id, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Some(id),
            Err(faster) => Some(faster),
        }
    }

    fn append(&self, ring: &Ring<'_>, callsite: &'static Callsite, types: TypeList) -> Option<u32> {
        let metadata = callsite.metadata();
        let starts_spans = starts_spans(metadata, types);
        let count = if starts_spans { 2 } else { 1 };
        let next = |last: u32| (last + count <= ID_MAX).then_some(last + count);
        let id = self.last_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()? + 1;
        let mut item = [0; ITEM_LEN_MAX];
        let in_keys = |path: &MemberPath<'_>| self.secret_keys.is_some_and(|keys| keys.contains_path(path));
        let is_secret = |path: &MemberPath<'_>, is_marked| is_marked || in_keys(path);
        if starts_spans {
            let id = repeating_id(u16::try_from(id).ok()?);
            let len = encode_repeating_callsite(id, metadata, types, is_secret, &mut item)?;
            ring.append_entry(item.get(..len)?).ok()?;
        }
        let len = encode_callsite_marking(u16::try_from(id).ok()?, metadata, types, is_secret, &mut item)?;
        ring.append_entry(item.get(..len)?).ok()?;
        Some(id)
    }

    /// Returns the highest assigned id; 0 if there is none.
    #[cfg(any(test, target_os = "linux"))]
    pub(crate) fn last_id(&self) -> u32 {
        self.last_id.load(Ordering::Relaxed)
    }
}

/// Returns whether the events of a callsite start native spans, which are repeated under an id that follows its own.
/// (Spans of `tracing`, whose values carry their types, have a callsite of their own for that.)
fn starts_spans(metadata: &Metadata, types: TypeList) -> bool {
    types.is_split() && metadata.fields.first().is_some_and(|field| matches!(field.role, Role::Start | Role::Begin))
}

/// Returns the id of the callsite that repeats the starts of the callsite with this id: the next one.
#[inline(always)]
pub(crate) const fn repeating_id(id: u16) -> u16 {
    id + 1
}

/// Location of a callsite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In the program, for as long as it runs: its address identifies it.
    Program,
    /// In a plugin: after the plugin was unloaded, another one might have another callsite at the same address, or it
    /// might be back at another address. The contents of a callsite identify it.
    Plugin,
}

/// Returns a hash that identifies a callsite of a plugin with a list of types: that of its item in the table; never 0.
/// Returns `None` if the item is too long for the table.
fn content_key(callsite: &'static Callsite, types: TypeList) -> Option<u64> {
    let mut item = [0; ITEM_LEN_MAX];
    let len = encode_callsite(0, callsite.metadata(), types, &mut item)?;
    let mut hash = len as u64;
    for chunk in item.get(..len)?.chunks(8) {
        let mut eight = [0; 8];
        eight[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(eight)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash ^= hash >> 29;
    }
    Some(finished(hash))
}

/// Returns a hash that identifies a callsite of the program with a list of types; never 0.
///
/// The address of the callsite alone would suffice, except for libraries that are loaded at run time and share this
/// very recorder with the program: after one was unloaded, another might have a callsite at the same address. So the
/// addresses and lengths of its texts and its line are included. With all 65,534 ids in use, the odds of a collision
/// are 1 in 8 billion; the events of one callsite would then be shown under the name of the other.
fn key(callsite: &'static Callsite, types_hash: u32) -> u64 {
    let metadata = callsite.metadata();
    let text = |text: &'static str| [text.as_ptr() as usize as u64, text.len() as u64];
    let [message, message_len] = text(metadata.message);
    let [target, target_len] = text(metadata.target);
    let [file, file_len] = text(metadata.file);
    let lens = message_len << 40 ^ target_len << 20 ^ file_len;
    let place = std::ptr::from_ref(callsite) as usize as u64;
    let mut hash = u64::from(types_hash) << 32 | u64::from(metadata.line);
    for part in [place, message, target, file, lens, metadata.fields.len() as u64] {
        hash = (hash ^ part).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash ^= hash >> 29;
    }
    finished(hash)
}

/// Spreads the hashed values over all bits of the hash; never 0.
fn finished(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (hash ^ hash >> 32).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;

    use super::*;
    use ttlog_core::event::Field;
    use ttlog_core::{Level, RingConfig, Type, Word};

    const METADATA: Metadata =
        Metadata { level: Level::Info, target: "t", message: "m", file: "f.rs", line: 1, fields: &[] };

    fn callsites(count: usize) -> &'static [Callsite] {
        (0..count).map(|_| Callsite::new(&METADATA)).collect::<Vec<_>>().leak()
    }

    fn ring(table_len: u32) -> Ring<'static> {
        let config = RingConfig { ring_id: 1, segment_len: 1024, table_len, anchor_count: 0, ..RingConfig::PLAIN };
        let words = (0..(config.overhead_len() + 1024) / 8).map(|_| Word::new(0)).collect::<Vec<_>>().leak();
        Ring::create(words, &config).unwrap()
    }

    #[test]
    fn same_callsite_and_types_same_id() {
        let (ring, registry) = (ring(4096), Registry::new(4096, None));
        let [a, b] = callsites(2) else { unreachable!() };
        assert_eq!(registry.register(&ring, a, TypeList::Nil, 1, Origin::Program), Some(1));
        assert_eq!(registry.register(&ring, b, TypeList::Nil, 1, Origin::Program), Some(2));
        assert_eq!(registry.register(&ring, a, TypeList::Nil, 2, Origin::Program), Some(3));
        assert_eq!(registry.register(&ring, a, TypeList::Nil, 1, Origin::Program), Some(1));
        assert_eq!(registry.last_id(), 3);
    }

    #[test]
    fn callsites_of_plugins_are_what_they_say() {
        let (ring, registry) = (ring(4096), Registry::new(4096, None));
        const OTHER: Metadata = Metadata { message: "n", fields: &[Field::dynamic("x")], ..METADATA };
        let [a, b] = callsites(2) else { unreachable!() };
        let other: &Callsite = Box::leak(Box::new(Callsite::new(&OTHER)));
        let register = |callsite, types| registry.register(&ring, callsite, types, 1, Origin::Plugin);
        assert_eq!(register(a, TypeList::Nil), Some(1));
        assert_eq!(register(b, TypeList::Nil), Some(1), "the same one, loaded at another address");
        assert_eq!(register(other, TypeList::Cons(Type::U8, &TypeList::Nil)), Some(2));
        assert_eq!(register(other, TypeList::Cons(Type::U16, &TypeList::Nil)), Some(3));
        assert_eq!(registry.register(&ring, a, TypeList::Nil, 1, Origin::Program), Some(4));
    }

    #[test]
    fn full_table_refuses_and_keeps_what_it_has() {
        let (ring, registry) = (ring(256), Registry::new(256, None));
        let callsites = callsites(100);
        let ids: Vec<_> =
            callsites.iter().map(|c| registry.register(&ring, c, TypeList::Nil, 1, Origin::Program)).collect();
        let given = ids.iter().flatten().count();
        assert!((2..20).contains(&given), "{given} callsites in 256 bytes");
        let again: Vec<_> =
            callsites.iter().map(|c| registry.register(&ring, c, TypeList::Nil, 1, Origin::Program)).collect();
        assert_eq!(ids[..given], again[..given]);
    }

    #[test]
    fn ids_end_before_the_reserved_one() {
        let (ring, registry) = (ring(1 << 20), Registry::new(1 << 20, None));
        registry.last_id.store(ID_MAX - 1, Ordering::Relaxed);
        let [a, b] = callsites(2) else { unreachable!() };
        assert_eq!(registry.register(&ring, a, TypeList::Nil, 1, Origin::Program), Some(65_534));
        assert_eq!(registry.register(&ring, b, TypeList::Nil, 1, Origin::Program), None);
    }

    #[test]
    fn threads_racing_agree_on_every_id() {
        let (ring, registry) = (ring(1 << 20), Registry::new(1 << 20, None));
        let callsites = callsites(500);
        let barrier = Barrier::new(4);
        let ids: Vec<Vec<Option<u16>>> = std::thread::scope(|scope| {
            let work = || {
                barrier.wait();
                callsites.iter().map(|c| registry.register(&ring, c, TypeList::Nil, 9, Origin::Program)).collect()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|of_thread| *of_thread == ids[0]));
        assert_eq!(ids[0].iter().flatten().collect::<HashSet<_>>().len(), 500);
    }

    #[test]
    fn interrupted_registration_is_done_by_another() {
        let (ring, registry) = (ring(4096), Registry::new(4096, None));
        let [a] = callsites(1) else { unreachable!() };
        // As left by a thread that was suspended right after claiming the slot.
        let claimed = key(a, 1);
        registry.slots[claimed as usize & (registry.slots.len() - 1)].key.store(claimed, Ordering::Relaxed);
        assert_eq!(registry.register(&ring, a, TypeList::Nil, 1, Origin::Program), Some(1));
    }
}
