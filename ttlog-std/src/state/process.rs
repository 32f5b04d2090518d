//! The state of one process, not shared with its forks: everything with a lock that a thread of the parent might have
//! held at the moment of the `fork`, and the ring's file.
//!
//! A child of `fork` gets its own generation before any of its code runs; that of its parent is left unchanged and
//! never touched again there. The child's has no service thread and no memory for snapshots until it
//! [settles](crate::service::settle).

use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use ttlog_core::ring::SEGMENT_LEN_MAX;
use ttlog_core::snapshot::SnapshotOptions;

use crate::memory::ring_file::RingFile;
use crate::snapshot::queue::SnapshotQueue;
use crate::snapshot::scratch::Scratch;
#[cfg(target_os = "linux")]
use crate::sys::OwnMark;
use crate::sys::{lock, random};

/// Length of the longest segment of which a snapshot is written, in bytes: segments of an orphan can be of any size.
const SEGMENT_LEN: usize = SEGMENT_LEN_MAX as usize;

/// The parts of the recorder that are separate in each process. Never freed.
pub(crate) struct ProcessState {
    /// Id of the process. A process created without the C library's `fork` still has its parent's state, and another
    /// id.
    pid: u32,
    /// The same for a process in another pid namespace, where it can have the same id.
    #[cfg(target_os = "linux")]
    mark: OwnMark,
    /// Whether the process is a child of the one that started the recorder.
    #[cfg_attr(not(unix), allow(dead_code, reason = "for hand-overs, which are for Unix alone"))]
    pub(crate) is_child: bool,
    /// Requests to the service thread.
    pub(crate) queue: SnapshotQueue,
    /// Memory for the snapshot that is being written, and the lock that allows only one at a time.
    pub(crate) scratch: Mutex<Scratch>,
    /// Memory for a snapshot if that one is in use and cannot be waited for.
    pub(crate) spare_scratch: Mutex<Scratch>,
    /// Settings for writing snapshots.
    options: SnapshotOptions<'static>,
    /// Held while an anchor is written.
    pub(crate) anchor_lock: Mutex<()>,
    /// Held while the filter is changed.
    pub(crate) filter_lock: Mutex<()>,
    /// The ring's file; null if it has none (yet). The pointee is never freed.
    file: AtomicPtr<RingFile>,
    /// Whether the file has lost its name, so that the ring ends with the process.
    is_nameless: AtomicBool,
    /// The file beside which children create theirs: that of the nearest ancestor that had one; null if there is none.
    /// The pointee is never freed.
    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "for children of fork, which have rings on Linux alone")
    )]
    parent_file: AtomicPtr<RingFile>,
    /// Whether the service thread is recovering what it found at the start.
    pub(crate) is_recovering: AtomicBool,
    /// The user to whom the ring was handed over, and the directory of the ring, until its orphans have been found.
    #[cfg_attr(not(unix), allow(dead_code, reason = "for hand-overs, which are for Unix alone"))]
    pub(crate) handed_to: Mutex<Option<(u32, PathBuf)>>,
    /// Whether the service thread and the memory for snapshots exist, or creating them was attempted.
    pub(crate) is_settled: AtomicBool,
    /// Time of the latest anchor, in ticks.
    last_anchor: AtomicU64,
    /// Differs from that of processes whose spans have the same ids: those that were forked with this one.
    random: u64,
}

impl ProcessState {
    /// Creates the state of the process that starts the recorder.
    pub(crate) fn new(queue: SnapshotQueue, options: SnapshotOptions<'static>, file: Option<RingFile>) -> Self {
        let file = file.map_or(std::ptr::null_mut(), |file| std::ptr::from_mut(Box::leak(Box::new(file))));
        ProcessState {
            pid: std::process::id(),
            #[cfg(target_os = "linux")]
            mark: OwnMark::new(),
            is_child: false,
            queue,
            options,
            scratch: Mutex::new(Scratch::new(options, SEGMENT_LEN)),
            spare_scratch: Mutex::new(Scratch::spare(options, SEGMENT_LEN)),
            anchor_lock: Mutex::new(()),
            filter_lock: Mutex::new(()),
            file: AtomicPtr::new(file),
            parent_file: AtomicPtr::new(file),
            is_recovering: AtomicBool::new(false),
            handed_to: Mutex::new(None),
            is_nameless: AtomicBool::new(false),
            is_settled: AtomicBool::new(true),
            last_anchor: AtomicU64::new(0),
            random: random(),
        }
    }

    /// Returns a number that no other process has.
    pub(crate) fn random(&self) -> u64 {
        self.random
    }

    /// Creates the state of a child of `fork`, in its own memory; `None` if there is none. Async-signal-safe.
    #[cfg(target_os = "linux")]
    pub(crate) fn in_child(parent: &ProcessState) -> Option<&'static ProcessState> {
        let child = ProcessState {
            pid: std::process::id(),
            mark: OwnMark::new(),
            is_child: true,
            queue: SnapshotQueue::in_child(&parent.queue),
            options: parent.options,
            scratch: Mutex::new(Scratch::empty(parent.options)),
            spare_scratch: Mutex::new(Scratch::empty(parent.options)),
            anchor_lock: Mutex::new(()),
            filter_lock: Mutex::new(()),
            file: AtomicPtr::new(std::ptr::null_mut()),
            parent_file: AtomicPtr::new(
                parent
                    .file()
                    .or(parent.parent_file())
                    .map_or(std::ptr::null_mut(), |file| std::ptr::from_ref(file).cast_mut()),
            ),
            is_recovering: AtomicBool::new(false),
            handed_to: Mutex::new(None),
            is_nameless: AtomicBool::new(false),
            is_settled: AtomicBool::new(false),
            last_anchor: AtomicU64::new(0),
            random: random(),
        };
        leak(child)
    }

    /// Allocates the memory for snapshots that a child does not have yet.
    pub(crate) fn allocate_scratch(&self) {
        *lock(&self.scratch) = Scratch::new(self.options, SEGMENT_LEN);
        *lock(&self.spare_scratch) = Scratch::spare(self.options, SEGMENT_LEN);
    }

    /// Returns whether the calling process is an unprepared fork of the one that this belongs to: the locks might be
    /// held by threads that do not exist here, and the ring is that of the parent.
    pub(crate) fn is_in_fork(&self) -> bool {
        #[cfg(target_os = "linux")]
        if self.mark.is_of_another() {
            return true;
        }
        std::process::id() != self.pid
    }

    /// Returns the ring's file, if it has one.
    pub(crate) fn file(&self) -> Option<&'static RingFile> {
        // SAFETY: null, or complete and never freed.
        unsafe { self.file.load(Ordering::Acquire).as_ref() }
    }

    /// Returns the file beside which this process creates its own.
    #[cfg(target_os = "linux")]
    pub(crate) fn parent_file(&self) -> Option<&'static RingFile> {
        // SAFETY: null, or complete and never freed.
        unsafe { self.parent_file.load(Ordering::Acquire).as_ref() }
    }

    /// Notes that the ring's file is this one now, in another directory: children create theirs there.
    #[cfg(target_os = "linux")]
    pub(crate) fn move_file(&self, file: RingFile) -> &'static RingFile {
        let file = Box::leak(Box::new(file));
        self.file.store(file, Ordering::Release);
        self.parent_file.store(file, Ordering::Release);
        file
    }

    /// Stores the ring's file. Async-signal-safe. Without memory for it (a page) the file exists but is unknown.
    #[cfg(target_os = "linux")]
    pub(crate) fn set_file(&self, file: RingFile) -> Option<&'static RingFile> {
        let file = leak(file)?;
        self.file.store(std::ptr::from_ref(file).cast_mut(), Ordering::Release);
        Some(file)
    }

    /// Notes that the file could not be put in place, and that the ring is in the one before it, if there was one.
    #[cfg(target_os = "linux")]
    pub(crate) fn take_file_back(&self, before: Option<&'static RingFile>) {
        let before = before.map_or(std::ptr::null_mut(), |file| std::ptr::from_ref(file).cast_mut());
        self.file.store(before, Ordering::Release);
    }

    /// Returns whether the ring's file has lost its name.
    pub(crate) fn is_nameless(&self) -> bool {
        self.is_nameless.load(Ordering::Relaxed)
    }

    /// Notes whether the ring's file has lost its name.
    #[cfg(target_os = "linux")]
    pub(crate) fn note_nameless(&self, is_nameless: bool) {
        self.is_nameless.store(is_nameless, Ordering::Relaxed);
    }

    /// Notes that an anchor was written at `ticks`.
    pub(crate) fn note_anchor(&self, ticks: u64) {
        self.last_anchor.store(ticks, Ordering::Relaxed);
    }

    /// Returns the time of the latest anchor, in ticks.
    pub(crate) fn last_anchor(&self) -> u64 {
        self.last_anchor.load(Ordering::Relaxed)
    }
}

/// Moves a value into its own memory, permanently. Async-signal-safe.
#[cfg(target_os = "linux")]
pub(crate) fn leak<T: Sync + 'static>(value: T) -> Option<&'static T> {
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
