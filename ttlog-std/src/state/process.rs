//! The state of one process, not shared with its forks: everything with a lock that a thread of the parent may have
//! held at the moment of the `fork`, and the ring's file.
//!
//! A child of `fork` gets a generation of its own before any of its code runs; the one of its parent is left as it is
//! and never touched again there. That of a child has no service thread and no memory for snapshots until it
//! [settles](crate::service::settle).

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use ttlog_core::ring::SEGMENT_LEN_MAX;
use ttlog_core::snapshot::SnapshotOptions;

use crate::memory::ring_file::RingFile;
use crate::snapshot::queue::SnapshotQueue;
use crate::snapshot::scratch::Scratch;
use crate::sys::lock;

/// The longest segment that a snapshot is written of: those of an orphan may be of any size.
const SEGMENT_LEN: usize = SEGMENT_LEN_MAX as usize;

/// The parts of the recorder that each process has for itself. Never freed.
pub(crate) struct ProcessState {
    /// The process. One that was made past the C library's `fork` has its parent's state still, and another id.
    pid: u32,
    /// Requests to the service thread.
    pub(crate) queue: SnapshotQueue,
    /// Memory for the snapshot that is being written, and the lock by which there is one at a time.
    pub(crate) scratch: Mutex<Scratch>,
    /// Memory for a snapshot when that one is in use and cannot be waited for.
    pub(crate) spare_scratch: Mutex<Scratch>,
    /// How snapshots are written.
    options: SnapshotOptions<'static>,
    /// Held while an anchor is written.
    pub(crate) anchor_lock: Mutex<()>,
    /// Held while the filter is changed.
    pub(crate) filter_lock: Mutex<()>,
    /// The ring's file; null: it has none (yet). What it points to is never freed.
    file: AtomicPtr<RingFile>,
    /// The file that the first ancestor with one had: children make theirs beside it.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "for children of fork, which have rings on Linux alone")
    )]
    parent_file: Option<&'static RingFile>,
    /// Whether the service thread and the memory for snapshots are there, or were tried for.
    pub(crate) is_settled: AtomicBool,
    /// When the latest anchor was written, in ticks.
    last_anchor: AtomicU64,
}

impl ProcessState {
    /// Makes that of the process that starts the recorder.
    pub(crate) fn new(queue: SnapshotQueue, options: SnapshotOptions<'static>, file: Option<RingFile>) -> Self {
        let file = file.map(|file| &*Box::leak(Box::new(file)));
        ProcessState {
            pid: std::process::id(),
            queue,
            options,
            scratch: Mutex::new(Scratch::new(options, SEGMENT_LEN)),
            spare_scratch: Mutex::new(Scratch::spare(options, SEGMENT_LEN)),
            anchor_lock: Mutex::new(()),
            filter_lock: Mutex::new(()),
            file: AtomicPtr::new(file.map_or(std::ptr::null_mut(), |file| std::ptr::from_ref(file).cast_mut())),
            parent_file: file,
            is_settled: AtomicBool::new(true),
            last_anchor: AtomicU64::new(0),
        }
    }

    /// Makes that of a child of `fork`, in memory of its own; `None` if there is none. Async-signal-safe.
    #[cfg(target_os = "linux")]
    pub(crate) fn in_child(parent: &ProcessState) -> Option<&'static ProcessState> {
        let child = ProcessState {
            pid: std::process::id(),
            queue: SnapshotQueue::in_child(&parent.queue),
            options: parent.options,
            scratch: Mutex::new(Scratch::empty(parent.options)),
            spare_scratch: Mutex::new(Scratch::empty(parent.options)),
            anchor_lock: Mutex::new(()),
            filter_lock: Mutex::new(()),
            file: AtomicPtr::new(std::ptr::null_mut()),
            parent_file: parent.parent_file,
            is_settled: AtomicBool::new(false),
            last_anchor: AtomicU64::new(0),
        };
        leak(child)
    }

    /// Allocates the memory for snapshots that a child does not have yet.
    pub(crate) fn allocate_scratch(&self) {
        *lock(&self.scratch) = Scratch::new(self.options, SEGMENT_LEN);
        *lock(&self.spare_scratch) = Scratch::spare(self.options, SEGMENT_LEN);
    }

    /// Returns whether the calling process is a fork of the one that this belongs to, which was not prepared for: the
    /// locks may be held by threads that do not exist here, and the ring is that of the parent.
    pub(crate) fn is_in_fork(&self) -> bool {
        std::process::id() != self.pid
    }

    /// Returns the ring's file, if it has one.
    pub(crate) fn file(&self) -> Option<&'static RingFile> {
        // SAFETY: null, or complete and never freed.
        unsafe { self.file.load(Ordering::Acquire).as_ref() }
    }

    /// Returns the file beside which this process makes its own.
    #[cfg(target_os = "linux")]
    pub(crate) fn parent_file(&self) -> Option<&'static RingFile> {
        self.parent_file
    }

    /// Takes the ring's file. Async-signal-safe. Without memory for it (a page) the file is there and nobody knows.
    #[cfg(target_os = "linux")]
    pub(crate) fn set_file(&self, file: RingFile) -> Option<&'static RingFile> {
        let file = leak(file)?;
        self.file.store(std::ptr::from_ref(file).cast_mut(), Ordering::Release);
        Some(file)
    }

    /// Says that the file could not be put in place.
    #[cfg(target_os = "linux")]
    pub(crate) fn forget_file(&self) {
        self.file.store(std::ptr::null_mut(), Ordering::Release);
    }

    /// Says that an anchor was written at `ticks`.
    pub(crate) fn note_anchor(&self, ticks: u64) {
        self.last_anchor.store(ticks, Ordering::Relaxed);
    }

    /// Returns when the latest anchor was written, in ticks.
    pub(crate) fn last_anchor(&self) -> u64 {
        self.last_anchor.load(Ordering::Relaxed)
    }
}

/// Puts a value into memory of its own, for good. Async-signal-safe.
#[cfg(target_os = "linux")]
fn leak<T: Sync + 'static>(value: T) -> Option<&'static T> {
    const { assert!(align_of::<T>() <= 4096) };
    let place = crate::sys::map_private(size_of::<T>()).ok()?.cast::<T>();
    // SAFETY: a mapping that is long enough, aligned to a page, never unmapped and known to nobody else.
    unsafe {
        place.write(value);
        Some(place.as_ref())
    }
}

impl fmt::Debug for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessState").field("queue", &self.queue).field("file", &self.file()).finish_non_exhaustive()
    }
}
