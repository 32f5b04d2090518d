//! End block: how the process ended, and how often it panicked. Signal handlers and exit hooks write it; readers of a
//! dead process's ring read it. Only rings with a long header have one.
//!
//! The first writer claims the block, with one compare-and-swap; later ends change nothing. It then stores the words,
//! their CRC, and last the word with the kind. Death in between therefore leaves a block that is recognizably
//! unfinished.
//!
//! # Format
//! docs/format.md §2.1.

use crate::memory::crc::{check_or_repair, crc32};
use crate::memory::kill::kill_point;
use crate::ring::Ring;
use crate::ring::layout::header_word;

/// Word indexes in the ring header.
mod end_word {
    pub(crate) const END: usize = 24;
    pub(crate) const ADDRESS: usize = 25;
    pub(crate) const TICKS: usize = 26;
    pub(crate) const UNIX_NS: usize = 27;
    pub(crate) const WHO: usize = 28;
    pub(crate) const SENDER: usize = 29;
    pub(crate) const PANIC_COUNT: usize = 30;
    pub(crate) const LAST_PANIC_TICKS: usize = 31;
    pub(crate) const LAST_PANIC_THREAD: usize = 32;
    pub(crate) const CRC: usize = 33;
}
use end_word::*;

/// Lower half of the end word while its block is being written.
const CLAIMED: u32 = u32::MAX;

/// Cause of the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndKind {
    /// A signal.
    Signal,
    /// A call of `exit`, or a return from `main`.
    Exit,
    /// A number that this version does not know.
    Other(u8),
    /// The block is incomplete or damaged. All that is known is that the process was ending.
    Unfinished,
}

impl EndKind {
    const SIGNAL: u8 = 1;
    const EXIT: u8 = 2;
    /// Number of [`Unfinished`](EndKind::Unfinished), in snapshots; no other kind ever has it.
    const UNFINISHED: u8 = 0xFF;

    /// Returns the number of this kind; 255 for [`Unfinished`](EndKind::Unfinished).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            EndKind::Signal => Self::SIGNAL,
            EndKind::Exit => Self::EXIT,
            EndKind::Other(number) => number,
            EndKind::Unfinished => Self::UNFINISHED,
        }
    }

    /// Returns the kind with this number, or `None` for 0, which means no end.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => None,
            Self::SIGNAL => Some(EndKind::Signal),
            Self::EXIT => Some(EndKind::Exit),
            Self::UNFINISHED => Some(EndKind::Unfinished),
            other => Some(EndKind::Other(other)),
        }
    }
}

/// Record of how a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessEnd {
    /// Cause of the end.
    pub kind: EndKind,
    /// Number of the signal; 0 if none.
    pub signal: u8,
    /// Code of the signal (`si_code`), or status of the exit, or [`STATUS_UNKNOWN`](Self::STATUS_UNKNOWN).
    pub code: i32,
    /// Fault address; 0 if none or unknown.
    pub address: u64,
    /// Time in ticks of the recording clock; 0 if unknown.
    pub ticks: u64,
    /// Time in nanoseconds since 1970; 0 if unknown.
    pub unix_ns: i64,
    /// Lower 32 bits of the operating system's id of the thread that ended the process; 0 if unknown.
    pub os_thread_id: u32,
    /// Context of that thread; 0 if none or unknown.
    pub context: u32,
    /// Process that sent the signal; 0 if none or unknown.
    pub sender_pid: u32,
    /// User of that process.
    pub sender_uid: u32,
}

impl ProcessEnd {
    /// Status of an exit if the C library does not report it.
    pub const STATUS_UNKNOWN: i32 = i32::MIN;

    /// Creates an end of which only the kind is known.
    #[must_use]
    pub const fn of(kind: EndKind) -> Self {
        ProcessEnd {
            kind,
            signal: 0,
            code: 0,
            address: 0,
            ticks: 0,
            unix_ns: 0,
            os_thread_id: 0,
            context: 0,
            sender_pid: 0,
            sender_uid: 0,
        }
    }

    /// Returns the words of the block, the end word first.
    fn encode(&self) -> [u64; 6] {
        [
            u64::from(self.kind.number()) | u64::from(self.signal) << 8 | u64::from(self.code as u32) << 32,
            self.address,
            self.ticks,
            self.unix_ns as u64,
            u64::from(self.os_thread_id) | u64::from(self.context) << 32,
            u64::from(self.sender_pid) | u64::from(self.sender_uid) << 32,
        ]
    }

    /// Reads the block from the words of a ring header, which can hold anything. Repairs a single flipped bit.
    pub(crate) fn decode(word: impl Fn(usize) -> u64) -> Option<Self> {
        let words = [END, ADDRESS, TICKS, UNIX_NS, WHO, SENDER].map(&word);
        let crc = word(CRC) as u32;
        if words == [0; 6] && crc == 0 {
            return None; // the usual case
        }
        let mut bytes = block_bytes(&words);
        if check_or_repair(&mut bytes, crc) {
            let word = |index: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[index * 8 + byte]));
            let (low, high) = (|index| word(index) as u32, |index| (word(index) >> 32) as u32);
            return Some(ProcessEnd {
                kind: EndKind::from_number(low(0) as u8)?,
                signal: (low(0) >> 8) as u8,
                code: high(0) as i32,
                address: word(1),
                ticks: word(2),
                unix_ns: word(3) as i64,
                os_thread_id: low(4),
                context: high(4),
                sender_pid: low(5),
                sender_uid: high(5),
            });
        }
        // Being written, or badly damaged. A flipped bit in an empty block is not an end.
        let unfinished = words[0] as u32 == CLAIMED || words[0] != 0 && crc != 0;
        unfinished.then_some(ProcessEnd::of(EndKind::Unfinished))
    }
}

/// Returns the bytes that the CRC of the block covers.
fn block_bytes(words: &[u64; 6]) -> [u8; 48] {
    let mut bytes = [0; 48];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// Panics of a process. Not covered by a checksum, like all counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Panics {
    /// Number of panics.
    pub count: u64,
    /// Time of the last panic, in ticks.
    pub last_ticks: u64,
    /// Operating system's id of the thread of the last panic; 0 if unknown.
    pub last_os_thread_id: u64,
}

impl Panics {
    pub(crate) fn decode(word: impl Fn(usize) -> u64) -> Self {
        Panics {
            count: word(PANIC_COUNT),
            last_ticks: word(LAST_PANIC_TICKS),
            last_os_thread_id: word(LAST_PANIC_THREAD),
        }
    }
}

impl Ring<'_> {
    /// Records how the process is ending, and returns whether it was recorded: `false` if an earlier end was recorded
    /// or begun, or the ring has a short header.
    ///
    /// Async-signal-safe: a few atomic operations. Concurrent and nested calls are fine; the first wins.
    pub fn stamp_end(&self, end: &ProcessEnd) -> bool {
        let Some(header) = self.long_header() else { return false };
        if header[END].swap_low(0, CLAIMED).is_err() {
            return false;
        }
        kill_point!(EndClaimed);
        let words = end.encode();
        for (word, value) in header[ADDRESS..=SENDER].iter().zip(&words[1..]) {
            word.store(*value);
            kill_point!(EndWord);
        }
        header[CRC].store_release(u64::from(crc32(&block_bytes(&words))));
        kill_point!(EndSealed);
        header[END].store_release(words[0]);
        kill_point!(EndStored);
        true
    }

    /// Adds the thread to the end recorded by [`stamp_end`](Self::stamp_end), which was unknown then. `end` is that end,
    /// with its thread. Only for the caller that recorded it.
    ///
    /// Async-signal-safe. Death in between leaves an unfinished block.
    pub fn name_end_thread(&self, end: &ProcessEnd) {
        if let Some(header) = self.long_header() {
            let words = end.encode();
            header[WHO].store(words[WHO - END]);
            header[CRC].store_release(u64::from(crc32(&block_bytes(&words))));
        }
    }

    /// Removes the end recorded by [`stamp_end`](Self::stamp_end), because the process continues. Only for the caller
    /// that recorded it.
    ///
    /// Async-signal-safe.
    pub fn withdraw_end(&self) {
        if let Some(header) = self.long_header() {
            // The CRC first: without it, the block has no meaning.
            header[CRC].store_release(0);
            header[END].store_release(0);
        }
    }

    /// Returns how the process ended, if that is recorded.
    #[must_use]
    pub fn end(&self) -> Option<ProcessEnd> {
        let header = self.long_header()?;
        // Acquire: the other words were stored before the end word.
        let end = header[END].load_acquire();
        ProcessEnd::decode(|index| if index == END { end } else { header[index].load() })
    }

    /// Counts a panic. `os_thread_id` is the operating system's id of its thread; 0 if unknown. Async-signal-safe.
    ///
    /// If two threads panic at the same moment, the time and thread of the last panic can be those of either.
    pub fn count_panic(&self, ticks: u64, os_thread_id: u64) {
        if let Some(header) = self.long_header() {
            header[LAST_PANIC_TICKS].store(ticks);
            kill_point!(PanicTimed);
            header[LAST_PANIC_THREAD].store(os_thread_id);
            kill_point!(PanicTold);
            header[PANIC_COUNT].add(1);
            kill_point!(PanicCounted);
        }
    }

    /// Adds the thread of the panic that was counted last, which was unknown then. Async-signal-safe.
    pub fn name_panic_thread(&self, os_thread_id: u64) {
        if let Some(header) = self.long_header() {
            header[LAST_PANIC_THREAD].store(os_thread_id);
        }
    }

    /// Returns the panics so far.
    #[must_use]
    pub fn panics(&self) -> Panics {
        self.long_header().map_or_else(Panics::default, |header| Panics::decode(|index| header[index].load()))
    }

    /// Records that the process is alive, and serves its ring, at `unix_ns`. Async-signal-safe.
    pub fn beat(&self, unix_ns: u64) {
        if let Some(header) = self.long_header() {
            header[header_word::HEARTBEAT].store(unix_ns);
        }
    }

    /// Records that snapshots should cover only the last `min_age_ns` nanoseconds; 0 for everything. Async-signal-safe.
    pub fn set_min_age_ns(&self, min_age_ns: u64) {
        if let Some(header) = self.long_header() {
            header[header_word::MIN_AGE].store(min_age_ns);
        }
    }
}
