//! Counters of begun events, in memory that all processes of the soak share.
//!
//! Taking a slot needs two atomic operations, so that a child of `fork` can do it too. A slot belongs to one thread at
//! a time, and records the process.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Number of slots. The first one counts the slots that were taken.
const SLOT_COUNT: usize = 1 << 17;

/// Counter of a thread, alone in its cache line.
#[repr(C, align(64))]
pub(crate) struct Slot {
    pid: AtomicU64,
    begun: AtomicU64,
}

impl Slot {
    /// Counts an event whose arguments are being evaluated, so the recorder has decided to record it. Returns its
    /// number.
    pub(crate) fn begin(&self) -> u64 {
        let number = self.begun.load(Ordering::Relaxed);
        self.begun.store(number + 1, Ordering::Release);
        number
    }
}

/// All slots.
#[derive(Clone, Copy)]
pub(crate) struct Slots(&'static [Slot]);

impl Slots {
    /// Creates the file of the slots.
    pub(crate) fn create(path: &Path) -> Self {
        let file = File::create_new(path).unwrap();
        file.set_len((SLOT_COUNT * size_of::<Slot>()) as u64).unwrap();
        drop(file);
        Self::open(path)
    }

    /// Maps the file of the slots for the life of the process.
    pub(crate) fn open(path: &Path) -> Self {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let len = SLOT_COUNT * size_of::<Slot>();
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of a file of this length; nothing else in this process uses it.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: aligned to a page, as long as the mapping, which is never undone; atomics only.
        Slots(unsafe { std::slice::from_raw_parts(start.cast(), SLOT_COUNT) })
    }

    /// Takes a slot for a thread of this process, or returns `None` if none are left. Async-signal-safe.
    pub(crate) fn take(self) -> Option<&'static Slot> {
        let taken = self.0[0].begun.fetch_add(1, Ordering::Relaxed) + 1;
        let slot = self.0.get(taken as usize)?;
        slot.pid.store(u64::from(std::process::id()), Ordering::Release);
        Some(slot)
    }

    fn of(self, pid: u64) -> impl Iterator<Item = &'static Slot> {
        let taken = self.0[0].begun.load(Ordering::Acquire) as usize;
        self.0.iter().skip(1).take(taken).filter(move |slot| slot.pid.load(Ordering::Acquire) == pid)
    }

    /// Returns the number of events that a process has begun, and the number of its slots.
    pub(crate) fn begun_by(self, pid: u64) -> (u64, u64) {
        self.of(pid).fold((0, 0), |(begun, slots), slot| (begun + slot.begun.load(Ordering::Acquire), slots + 1))
    }

    /// Takes the slots away from a dead process, because another process can get its pid.
    pub(crate) fn retire(self, pid: u64) {
        self.of(pid).for_each(|slot| slot.pid.store(0, Ordering::Release));
    }
}
