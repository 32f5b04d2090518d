//! Table of a ring: entries that are appended and never change.
//!
//! # Format
//! docs/format.md §2.3.

use core::fmt;

use super::Ring;
use crate::memory::crc::crc32;
use crate::memory::kill::kill_point;
use crate::record::word_at;

/// Bit of a table entry's header word: its bytes are complete.
pub(crate) const ENTRY_COMMITTED: u32 = 1 << 31;
/// Length of the longest entry of the table, in bytes.
pub(crate) const ENTRY_LEN_MAX: u32 = 0xFFFF;

/// The table has no room for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableFull;

impl fmt::Display for TableFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ring's table is full")
    }
}

impl core::error::Error for TableFull {}

impl Ring<'_> {
    /// Returns the length of the table in bytes.
    #[must_use]
    pub fn table_len(&self) -> usize {
        self.table().len() * 8
    }

    /// Appends an entry to the table. Others can append at the same time.
    ///
    /// # Errors
    /// [`TableFull`]; nothing has been written then.
    ///
    /// # Format
    /// docs/format.md §2.3.
    pub fn append_entry(&self, entry: &[u8]) -> Result<(), TableFull> {
        let table = self.table();
        let len = u32::try_from(entry.len()).ok().filter(|len| (1..=ENTRY_LEN_MAX).contains(len)).ok_or(TableFull)?;
        let mut at = 0;
        loop {
            let needed = 1 + entry.len().div_ceil(8);
            if at + needed > table.len() {
                return Err(TableFull);
            }
            match table[at].swap_low(0, len) {
                Ok(()) => break,
                Err(taken) => at += 1 + ((taken & !ENTRY_COMMITTED) as usize).div_ceil(8),
            }
        }
        kill_point!(EntryClaimed);
        self.store_entry(at, entry);
        Ok(())
    }

    /// Stores an entry in room that the caller has claimed, and commits it.
    pub(crate) fn store_entry(&self, at: usize, entry: &[u8]) {
        let table = self.table();
        for (word, chunk) in table[at + 1..].iter().zip(entry.chunks(8)) {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_le_bytes(bytes));
            kill_point!(EntryWord);
        }
        let committed = entry.len() as u64 | u64::from(ENTRY_COMMITTED);
        table[at].store_release(committed | u64::from(crc32(entry)) << 32);
        kill_point!(EntryCommitted);
    }
}

/// An entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableEntry<'a> {
    /// Offset from the start of the table, in bytes.
    pub offset: usize,
    /// Bytes of the entry: a CBOR item.
    pub bytes: &'a [u8],
}

/// Returns the entry whose header word is at `at`, if its CRC is valid.
fn entry_at(table: &[u8], at: usize, len_max: u32) -> Option<TableEntry<'_>> {
    let header = word_at(table, at)?;
    let len = header as u32 & !ENTRY_COMMITTED;
    if len == 0 || len > len_max {
        return None;
    }
    let bytes = table.get(at + 8..)?.get(..len as usize)?;
    (crc32(bytes) == (header >> 32) as u32).then_some(TableEntry { offset: at, bytes })
}

pub(super) fn next_entry<'a>(table: &'a [u8], at: &mut usize) -> Option<TableEntry<'a>> {
    /// Maximum length of entries that the word-by-word search accepts, which bounds the work.
    const SEARCH_LEN_MAX: u32 = 4096;
    let after = |entry: &TableEntry<'_>| entry.offset + 8 + entry.bytes.len().next_multiple_of(8);
    loop {
        let header = word_at(table, *at).filter(|&header| header != 0)?;
        if let Some(entry) = entry_at(table, *at, ENTRY_LEN_MAX) {
            *at = after(&entry);
            return Some(entry);
        }
        // Not committed, or damaged. Its length is valid if a valid entry follows.
        let len = (header as u32 & !ENTRY_COMMITTED) as usize;
        let follower = *at + 8 + len.next_multiple_of(8);
        if entry_at(table, follower, ENTRY_LEN_MAX).is_some() {
            *at = follower;
            continue;
        }
        let mut search = *at + 8;
        let found = loop {
            if search + 8 > table.len() {
                return None;
            }
            if let Some(entry) = entry_at(table, search, SEARCH_LEN_MAX) {
                break entry;
            }
            search += 8;
        };
        *at = after(&found);
        return Some(found);
    }
}
