//! TTLog as the logger of defmt: what firmware logs with `defmt::info!` goes into the ring.
//!
//! ```ignore
//! use ttlog_embedded as _; // was: use defmt_rtt as _;
//! ```
//!
//! With the feature `defmt-recorder` that is all: the first log call starts a ring of 4 KiB, without a clock. Without
//! the feature, the firmware declares a [`recorder!`](crate::recorder!) with the size and clock it wants, and starts
//! it; earlier logs are not recorded. `-Tdefmt.x` stays among the linker's arguments, beside `-Tttlog.x`. Native events
//! and those of defmt can be mixed; `ttlog-view` shows them in one timeline, with the firmware's ELF file.
//!
//! - **Each frame is an event** with the target `defmt`, the message `defmt frame`, and the frame's bytes as its only
//!   field. The encoding chosen for other loggers does not apply, because a record has its own length and check.
//! - **Times** are those of the ring's clock. A `defmt::timestamp!` is not needed, and costs its bytes in each record.
//! - **Levels** are chosen by `DEFMT_LOG` at compile time, as usual. Of the recorder's own level only "nothing"
//!   applies.
//! - **Interrupts are masked** while a frame is collected, as in other defmt loggers, by the firmware's implementation
//!   of the crate critical-section. A frame that nests nevertheless (it cannot be masked, or comes from a `Format`) is
//!   recorded, before the frame that it interrupts.
//! - **Bounded**: all frames in progress share 256 bytes, or the number in the environment variable
//!   `TTLOG_DEFMT_FRAME_LEN` at compile time. A frame without room is counted as too large, one nested more than four
//!   deep as re-entrant. A frame longer than a segment is cut and cannot be decoded; choose segments longer than the
//!   frames.
//! - **Never panics**. Flushing does nothing: what was logged is in memory that survives.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering, compiler_fence};

use critical_section::RestoreState;
use ttlog_core::{Bytes, DropReason};

use crate::recorder::DEVICE;

/// Bytes for all frames in progress.
const ROOM_LEN: usize = room_len(option_env!("TTLOG_DEFMT_FRAME_LEN"));
/// Most frames in progress: that of a context, and those of whatever interrupts it in spite of the mask.
const DEPTH_MAX: usize = 4;

/// Parses the decimal number; 256 if there is none.
const fn room_len(text: Option<&str>) -> usize {
    let Some(text) = text else { return 256 };
    let (bytes, mut len, mut at) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        assert!(bytes[at].is_ascii_digit() && len < 10_000, "TTLOG_DEFMT_FRAME_LEN must be a number of bytes");
        len = len * 10 + (bytes[at] - b'0') as usize;
        at += 1;
    }
    len
}

#[defmt::global_logger]
struct Logger;

static FRAMES: Frames<ROOM_LEN> = Frames::new();
static MASK: Mask = Mask(UnsafeCell::new(RestoreState::invalid()));

/// State to restore at the end of the outermost frame's critical section. Only the context that entered the section
/// reads and writes it; nested ones leave it as it was, see [`Logger::release`].
struct Mask(UnsafeCell<RestoreState>);

// SAFETY: used in a critical section only.
unsafe impl Sync for Mask {}

// SAFETY: a critical section from acquire to release keeps other threads, interrupts and cores out; whatever nests on
// the same core ends before the interrupted code continues, as `Frames` requires. Nothing here logs with defmt.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        // SAFETY: released once: below, or by `release` of the same frame.
        let restore = unsafe { critical_section::acquire() };
        if FRAMES.begin() > 0 {
            // Nested: the section belongs to the outermost frame and ends with it.
            // SAFETY: the section that was just entered is the innermost.
            return unsafe { critical_section::release(restore) };
        }
        #[cfg(feature = "defmt-recorder")]
        ring::start();
        // SAFETY: in the critical section. Whatever interrupts here finds a frame in progress and does not reach this
        // line.
        unsafe { *MASK.0.get() = restore };
    }

    unsafe fn flush() {}

    unsafe fn write(bytes: &[u8]) {
        FRAMES.write(bytes);
    }

    unsafe fn release() {
        // SAFETY: in the critical section. Read before the frame ends: whatever interrupts after that is outermost and
        // writes it.
        let restore = unsafe { *MASK.0.get() };
        let is_outermost = FRAMES.end(|frame| match frame {
            // At the highest level, so that every level but "nothing" records it.
            Ok(frame) => ttlog_core::error!(target: "defmt", "defmt frame", frame = Bytes(frame)),
            Err(reason) => {
                if let Some(ring) = DEVICE.ring() {
                    ring.count_dropped(reason, 1);
                }
            }
        });
        if is_outermost {
            // SAFETY: entered by `acquire` of this frame, which was the outermost too.
            unsafe { critical_section::release(restore) };
        }
    }
}

/// Collects frames in one buffer, nested ones after those that they interrupt.
///
/// A nested frame ends before the interrupted code continues: one core, and no threads that take turns. So each context
/// finds everything as it left it, except for the bytes after `used`. Memory is claimed before it is used.
struct Frames<const N: usize> {
    room: UnsafeCell<[u8; N]>,
    /// Bytes used by all frames in progress.
    used: AtomicUsize,
    /// Frames in progress.
    depth: AtomicU8,
    /// Start of each frame, times two; plus one if it had no room.
    starts: [AtomicUsize; DEPTH_MAX],
}

// SAFETY: the contexts that share it are nested, as its users vouch, and each writes only to what it has claimed.
unsafe impl<const N: usize> Sync for Frames<N> {}

impl<const N: usize> Frames<N> {
    const fn new() -> Self {
        Frames {
            room: UnsafeCell::new([0; N]),
            used: AtomicUsize::new(0),
            depth: AtomicU8::new(0),
            starts: [const { AtomicUsize::new(0) }; DEPTH_MAX],
        }
    }

    /// Begins a frame, and returns how many were in progress before.
    fn begin(&self) -> u8 {
        let before = self.depth.load(Ordering::Relaxed);
        self.depth.store(before.saturating_add(1), Ordering::Relaxed);
        if let Some(start) = self.starts.get(usize::from(before)) {
            start.store(self.used.load(Ordering::Relaxed) * 2, Ordering::Relaxed);
        }
        before
    }

    /// The start of the innermost frame; `None` if there is none, or it is too deep.
    fn start(&self) -> Option<&AtomicUsize> {
        self.starts.get(usize::from(self.depth.load(Ordering::Relaxed)).checked_sub(1)?)
    }

    /// Appends to the innermost frame.
    fn write(&self, bytes: &[u8]) {
        let Some(start) = self.start() else { return };
        let value = start.load(Ordering::Relaxed);
        let used = self.used.load(Ordering::Relaxed);
        if value & 1 != 0 || bytes.len() > N - used {
            return start.store(value | 1, Ordering::Relaxed);
        }
        self.used.store(used + bytes.len(), Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst); // claim before writing
        // SAFETY: inside of the buffer, as checked, and this context's alone: nested frames begin after it. The
        // caller's bytes do not overlap the buffer, to which nobody outside has a reference, except in `end`.
        unsafe { self.room.get().cast::<u8>().add(used).copy_from(bytes.as_ptr(), bytes.len()) };
    }

    /// Ends the innermost frame and passes it to `take`, or the reason why it is lost. Returns whether it was the
    /// outermost.
    fn end(&self, take: impl FnOnce(Result<&[u8], DropReason>)) -> bool {
        let Some(depth) = self.depth.load(Ordering::Relaxed).checked_sub(1) else { return false };
        match self.start().map(|start| start.load(Ordering::Relaxed)) {
            None => take(Err(DropReason::Reentrant)),
            Some(value) => {
                let (start, used) = (value / 2, self.used.load(Ordering::Relaxed));
                if value & 1 == 0 {
                    // SAFETY: claimed and written by this context, inside of the buffer; nested frames write after it.
                    take(Ok(unsafe {
                        core::slice::from_raw_parts(self.room.get().cast::<u8>().add(start), used - start)
                    }));
                } else {
                    take(Err(DropReason::TooLarge));
                }
                compiler_fence(Ordering::SeqCst); // read before it is released
                self.used.store(start, Ordering::Relaxed);
            }
        }
        self.depth.store(depth, Ordering::Relaxed);
        depth == 0
    }
}

#[cfg(feature = "defmt-recorder")]
mod ring {
    //! The recorder of a firmware that has none of its own.

    use ttlog_core::Word;

    use crate::config::Config;
    use crate::recorder::{DEVICE, Recorder};

    const LEN: usize = 4096;

    // With a symbol of its own, so that the firmware may still declare a recorder: the one that starts first is used.
    #[unsafe(link_section = ".uninit.ttlog")]
    #[unsafe(export_name = "_TTLOG_DEFMT_RING")]
    static RING: [Word; LEN / 8] = [const { Word::new(0) }; LEN / 8];

    static RECORDER: Recorder = Recorder::new(&RING, Recorder::usual_config(LEN));

    pub(super) fn start() {
        if DEVICE.boot() == 0 {
            RECORDER.start(Config::DEFAULT);
        }
    }
}

#[cfg(test)]
mod tests;
