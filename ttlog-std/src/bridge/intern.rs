//! A table to which entries are added, and from which none is removed: finding and adding take no lock.

use std::sync::atomic::{AtomicPtr, Ordering};

/// Number of slots that are tried for one entry before the table counts as full.
const PROBES_MAX: usize = 64;

/// A table of at most `N` entries, by open addressing. `N` is a power of two.
#[derive(Debug)]
pub(crate) struct InternTable<T: 'static, const N: usize> {
    /// Null, or a leaked box; set once.
    slots: [AtomicPtr<T>; N],
}

impl<T: Send + Sync + 'static, const N: usize> InternTable<T, N> {
    /// Creates an empty table. Its memory is zero, so as a static it takes none before it is used.
    pub(crate) const fn new() -> Self {
        const { assert!(N.is_power_of_two()) };
        InternTable { slots: [const { AtomicPtr::new(std::ptr::null_mut()) }; N] }
    }

    /// Returns the entry with this hash for which `is_it` returns `true`.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&'static T> {
        self.probes(hash).map_while(load).find(|entry| is_it(entry))
    }

    /// Like [`find`](Self::find), but adds the entry if it is missing. Returns `None` if there is no room for it.
    ///
    /// If two threads add the same entry at once, one of the two is dropped.
    pub(crate) fn find_or_add(
        &self,
        hash: u64,
        is_it: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> Option<&'static T> {
        if let Some(found) = self.find(hash, &is_it) {
            return Some(found);
        }
        if self.probes(hash).all(|slot| load(slot).is_some()) {
            return None;
        }
        let new = Box::into_raw(Box::new(make()));
        for slot in self.probes(hash) {
            match slot.compare_exchange(std::ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: it was leaked just now, and nothing frees the entries of the table.
                Ok(_) => return Some(unsafe { &*new }),
                Err(_) => match load(slot).filter(|entry| is_it(entry)) {
                    None => {}
                    Some(faster) => {
                        // SAFETY: leaked just now, and not in the table.
                        drop(unsafe { Box::from_raw(new) });
                        return Some(faster);
                    }
                },
            }
        }
        // SAFETY: leaked just now, and not in the table.
        drop(unsafe { Box::from_raw(new) });
        None
    }

    /// Returns the slots that an entry with this hash can be in.
    fn probes(&self, hash: u64) -> impl Iterator<Item = &AtomicPtr<T>> {
        (0..PROBES_MAX.min(N)).map(move |probe| &self.slots[(hash as usize).wrapping_add(probe) & (N - 1)])
    }
}

fn load<T>(slot: &AtomicPtr<T>) -> Option<&'static T> {
    // SAFETY: null, or a leaked box that was complete before it was stored with release.
    unsafe { slot.load(Ordering::Acquire).as_ref() }
}

/// Hashes texts and numbers into one number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hasher(u64);

impl Hasher {
    pub(crate) const fn new() -> Self {
        Hasher(0)
    }

    #[inline]
    pub(crate) fn number(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 ^= self.0 >> 29;
    }

    #[inline]
    pub(crate) fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        self.number(bytes.len() as u64);
        // The last word overlaps with the one before it.
        if let Some(last) = bytes.last_chunk() {
            bytes[..bytes.len() - 1].chunks_exact(8).for_each(|word| self.number(word_of(word)));
            self.number(u64::from_le_bytes(*last));
        } else {
            self.number(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
        }
    }

    #[inline]
    pub(crate) fn finish(self) -> u64 {
        (self.0 ^ self.0 >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 16
    }
}

fn word_of(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Barrier;

    use super::*;

    fn hash(number: u64) -> u64 {
        let mut hasher = Hasher::new();
        hasher.number(number);
        hasher.finish()
    }

    #[test]
    fn entries_stay_where_they_are() {
        static TABLE: InternTable<u64, 1024> = InternTable::new();
        let places: Vec<_> = (0..500).map(|n| TABLE.find_or_add(hash(n), |e| *e == n, || n).unwrap()).collect();
        for (n, place) in (0..500).zip(places) {
            assert!(std::ptr::eq(TABLE.find_or_add(hash(n), |e| *e == n, || unreachable!()).unwrap(), place));
        }
        assert_eq!(TABLE.find(hash(500), |e| *e == 500), None);
    }

    #[test]
    fn full_table_refuses_and_keeps_what_it_has() {
        static TABLE: InternTable<u64, 64> = InternTable::new();
        let added = (0..100).filter(|&n| TABLE.find_or_add(hash(n), |e| *e == n, || n).is_some()).count();
        assert_eq!(added, 64);
        assert!((0..64).all(|n| TABLE.find(hash(n), |e| *e == n) == Some(&n)));
    }

    #[test]
    fn threads_racing_agree_on_every_entry() {
        static TABLE: InternTable<u64, 2048> = InternTable::new();
        const COUNT: usize = if cfg!(miri) { 40 } else { 1000 };
        let barrier = Barrier::new(4);
        let places: Vec<Vec<usize>> = std::thread::scope(|scope| {
            let work = || {
                barrier.wait();
                let add = |n| TABLE.find_or_add(hash(n), |e| *e == n, || n).unwrap();
                (0..COUNT as u64).map(|n| std::ptr::from_ref(add(n)).addr()).collect()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(places.iter().all(|of_thread| *of_thread == places[0]));
        assert_eq!(places[0].iter().collect::<HashSet<_>>().len(), COUNT);
    }

    #[test]
    fn texts_of_every_length_differ() {
        let text = "abcdefghijklmnopqrstuvwxyz";
        let hashes: HashSet<_> = (0..=text.len())
            .map(|len| {
                let mut hasher = Hasher::new();
                hasher.text(&text[..len]);
                hasher.finish()
            })
            .collect();
        assert_eq!(hashes.len(), text.len() + 1);
    }
}
