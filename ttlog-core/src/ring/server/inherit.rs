//! Inheritance of the table from the previous ring, so that callsites keep their ids.
//!
//! A forked process gets its own ring in place of its parent's. By then, callsite ids are cached throughout the
//! process, so the entries are copied. They stay at their old positions, because an append that `fork` interrupted
//! continues to store where it began.

use crate::memory::word::Word;
use crate::ring::Ring;
use crate::ring::table::ENTRY_COMMITTED;

/// Number of bytes at the start of an entry that are passed to the function that decides whether to copy it.
pub const ENTRY_START_LEN: usize = 64;

impl Ring<'_> {
    /// Copies the used part of the table, unchanged, to the same position in `to`, which is memory of the same length
    /// and zero there.
    ///
    /// Async-signal-safe. The ring can be written meanwhile: an entry that is incomplete when it is copied stays
    /// incomplete in the copy.
    pub fn copy_table_words(&self, to: &[Word]) {
        let table = self.table();
        let start = (table.as_ptr() as usize - self.words.as_ptr() as usize) / size_of::<Word>();
        let Some(to) = to.get(start..start + table.len()) else { return };
        self.walk_table(|at, header, body| {
            for (from, to) in body.iter().zip(&to[at + 1..]) {
                to.store(from.load());
            }
            to[at].store(header);
        });
    }

    /// Returns the length of the used part of the table in bytes, complete entries or not.
    ///
    /// Async-signal-safe. The ring can be written meanwhile.
    #[must_use]
    pub fn table_used_len(&self) -> usize {
        let mut used = 0;
        self.walk_table(|at, _, body| used = at + 1 + body.len());
        used * size_of::<Word>()
    }

    /// Copies the complete entries of the table for which `keep` returns `true` to the same positions in the table of
    /// `heir`, which has no entries yet. The others leave gaps that readers skip. `keep` receives the first
    /// [`ENTRY_START_LEN`] bytes of an entry, or all if it is shorter. The rest of the layout of `heir` can differ; its
    /// table must have room for the [used part](Self::table_used_len), or the last entries are left out.
    ///
    /// Async-signal-safe if `keep` is. No append to either ring may happen meanwhile.
    pub fn bequeath_table(&self, heir: &Ring<'_>, keep: impl Fn(&[u8]) -> bool) {
        let to = heir.table();
        self.walk_table(|at, header, body| {
            let Some(to) = to.get(at..=at + body.len()) else { return };
            let mut start = [0; ENTRY_START_LEN];
            for (bytes, word) in start.chunks_exact_mut(8).zip(body) {
                bytes.copy_from_slice(&word.load().to_le_bytes());
            }
            let len = header as u32 & !ENTRY_COMMITTED;
            if header as u32 & ENTRY_COMMITTED == 0 || !keep(&start[..ENTRY_START_LEN.min(len as usize)]) {
                to[0].store(u64::from(len));
                return;
            }
            for (from, to) in body.iter().zip(&to[1..]) {
                to.store(from.load());
            }
            to[0].store_release(header);
        });
    }

    /// Stores an entry in a gap that [`bequeath_table`](Self::bequeath_table) has left, for a table without room at its
    /// end. Returns `false` if there is no gap of a suitable size.
    ///
    /// Async-signal-safe. No append may happen meanwhile.
    pub fn fill_gap(&self, entry: &[u8]) -> bool {
        let (table, needed) = (self.table(), 1 + entry.len().div_ceil(8));
        let mut gap = None;
        self.walk_table(|at, header, body| {
            let room = 1 + body.len();
            // The remainder must be a gap as well: a header and a word.
            let is_good = header as u32 & ENTRY_COMMITTED == 0 && (room == needed || room >= needed + 2);
            if is_good && !entry.is_empty() && gap.is_none() {
                gap = Some((at, room));
            }
        });
        let Some((at, room)) = gap else { return false };
        if room > needed {
            table[at + needed].store_release((room - needed - 1) as u64 * 8);
        }
        self.store_entry(at, entry);
        true
    }

    /// Calls `visit` with the position, the header word and the words of each entry, complete or not.
    fn walk_table(&self, mut visit: impl FnMut(usize, u64, &[Word])) {
        let table = self.table();
        let mut at = 0;
        while let Some(word) = table.get(at) {
            let header = word.load_acquire();
            let len = (header as u32 & !ENTRY_COMMITTED) as usize;
            let next = at + 1 + len.div_ceil(8);
            match table.get(at + 1..next) {
                Some(body) if len > 0 => visit(at, header, body),
                _ => return,
            }
            at = next;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::ring::{Ring, RingConfig, RingImage};

    fn config(table_len: u32) -> RingConfig {
        RingConfig { table_len, ..RingConfig::for_capacity(16 << 10, 1) }
    }

    fn words(config: &RingConfig) -> Vec<Word> {
        (0..(config.overhead_len() + 4 * config.segment_len as usize) / 8).map(|_| Word::new(0)).collect()
    }

    fn bytes(words: &[Word]) -> Vec<u8> {
        words.iter().flat_map(|word| word.load().to_le_bytes()).collect()
    }

    fn entries(words: &[Word]) -> Vec<Vec<u8>> {
        RingImage::parse(&bytes(words)).unwrap().entries().map(|entry| entry.bytes.to_vec()).collect()
    }

    #[test]
    fn heir_has_the_entries_that_are_kept_and_takes_new_ones() {
        let config = config(512);
        let (old, moved, new) = (words(&config), words(&config), words(&config));
        let ring = Ring::create(&old, &config).unwrap();
        let long = [7; 100];
        for entry in [&b"one"[..], b"two, which is longer", &long, b"four"] {
            ring.append_entry(entry).unwrap();
        }
        ring.copy_table_words(&moved);
        let ring = Ring::create(&moved, &config).unwrap();
        assert_eq!(entries(&moved), entries(&old));
        let heir = Ring::create(&new, &config).unwrap();
        ring.bequeath_table(&heir, |start| {
            assert!(start.len() <= ENTRY_START_LEN);
            !start.starts_with(b"two")
        });
        heir.append_entry(b"five").unwrap();
        assert_eq!(entries(&new), [b"one".to_vec(), long.to_vec(), b"four".to_vec(), b"five".to_vec()]);
    }

    #[test]
    fn heir_can_have_a_smaller_table() {
        let (large, small) = (config(512), RingConfig { anchor_count: 1, ..config(64) });
        let (old, new) = (words(&large), words(&small));
        let ring = Ring::create(&old, &large).unwrap();
        assert_eq!(ring.table_used_len(), 0);
        ring.append_entry(b"one").unwrap();
        ring.append_entry(b"two, which is longer").unwrap();
        assert_eq!(ring.table_used_len(), 2 * 8 + 8 + 24);
        let heir = Ring::create(&new, &small).unwrap();
        ring.bequeath_table(&heir, |_| true);
        assert_eq!(entries(&new), [b"one".to_vec(), b"two, which is longer".to_vec()]);
        ring.append_entry(&[3; 24]).unwrap();
        let new = words(&small);
        ring.bequeath_table(&Ring::create(&new, &small).unwrap(), |_| true);
        assert_eq!(entries(&new).len(), 2, "what does not fit is left out");
    }

    #[test]
    fn gaps_are_filled_where_the_rest_is_a_gap_again() {
        let config = config(256);
        // With 32 bytes, one word would be left over.
        let lens = [(33, true), (1, true), (24, true), (32, false), (40, true), (41, false)];
        for (len, fits) in lens.into_iter().take(if cfg!(miri) { 1 } else { lens.len() }) {
            let (old, new) = (words(&config), words(&config));
            let ring = Ring::create(&old, &config).unwrap();
            ring.append_entry(&[1; 40]).unwrap();
            while ring.append_entry(b"another").is_ok() {}
            let heir = Ring::create(&new, &config).unwrap();
            ring.bequeath_table(&heir, |start| start[0] != 1);
            let before = entries(&new);
            assert!(before.len() > 5 && heir.append_entry(&[2]).is_err());
            assert_eq!(heir.fill_gap(&vec![2; len]), fits, "{len}");
            let mut expected = before;
            if fits {
                expected.insert(0, vec![2; len]);
            }
            assert_eq!(entries(&new), expected, "{len}");
        }
    }

    #[test]
    fn entry_that_was_being_written_is_left_out() {
        let config = config(256);
        let (old, new) = (words(&config), words(&config));
        let ring = Ring::create(&old, &config).unwrap();
        ring.append_entry(b"complete").unwrap();
        ring.append_entry(b"cut off in the middle").unwrap();
        ring.append_entry(b"after it").unwrap();
        ring.table()[2].store(21); // as `append_entry` leaves it before its last store
        let heir = Ring::create(&new, &config).unwrap();
        ring.bequeath_table(&heir, |_| true);
        assert_eq!(entries(&new), [b"complete".to_vec(), b"after it".to_vec()]);
    }

    #[test]
    fn start_of_an_entry_tells_what_it_is() {
        use crate::{EntryStart, Level, Metadata, ProcessInfo, TypeList, encode_callsite, encode_process};

        let mut out = [0; 512];
        let len = encode_process(&ProcessInfo { service: "s", ..ProcessInfo::default() }, &mut out).unwrap();
        assert_eq!(EntryStart::decode(&out[..len.min(ENTRY_START_LEN)]), EntryStart::Process);
        let metadata = Metadata {
            level: Level::Info,
            target: "a target that is rather long, so that the entry is longer than what is shown of it",
            message: "m",
            file: "f.rs",
            line: 1,
            fields: &[],
        };
        for id in [1, 24, 256, 65_534] {
            encode_callsite(id, &metadata, TypeList::Nil, &mut out).unwrap();
            assert_eq!(EntryStart::decode(&out[..ENTRY_START_LEN]), EntryStart::Callsite(id.into()));
        }
        for bytes in [&[][..], &[0x80], &[0x82, 0x02], &[0x82, 0x18, 0x63], b"text"] {
            assert_eq!(EntryStart::decode(bytes), EntryStart::Unknown);
        }
    }

    #[test]
    fn full_and_hostile_tables_end() {
        let config = config(64);
        let (old, new) = (words(&config), words(&config));
        let ring = Ring::create(&old, &config).unwrap();
        ring.append_entry(&[1; 24]).unwrap();
        ring.append_entry(&[2; 24]).unwrap();
        let heir = Ring::create(&new, &config).unwrap();
        ring.bequeath_table(&heir, |_| true);
        assert_eq!(entries(&new).len(), 2);
        ring.table()[4].store(u64::MAX);
        ring.copy_table_words(&words(&config));
        ring.bequeath_table(&heir, |_| true);
    }
}
