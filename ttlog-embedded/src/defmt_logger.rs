//! TTLog in the place of defmt's logger: what firmware logs with `defmt::info!` goes into the ring.
//!
//! ```ignore
//! use ttlog_embedded as _; // was: use defmt_rtt as _;
//! ```
//!
//! With the feature `defmt-recorder` that is all: the first log call starts a ring of 4 KiB, without a clock. Without that feature the
//! firmware has a [`recorder!`](crate::recorder!) and starts it, chooses its size and its clock; defmt's logs before that are not recorded.
//! `-Tdefmt.x` stays among the linker's arguments, beside `-Tttlog.x`. Native events and those of defmt may be mixed; `ttlog-view` shows them in
//! one timeline, with the firmware's ELF file.
//!
//! - **Each frame is an event** with the target `defmt`, the message `defmt frame` and the frame as its only field: its bytes as defmt gives
//!   them, whatever encoding is chosen for other loggers, for a record has a length and a check of its own.
//! - **Times** are those of the ring's clock; a `defmt::timestamp!` is not needed, and costs its bytes in each record.
//! - **Levels** are chosen as ever, by `DEFMT_LOG` when the firmware is built. Of the recorder's own level only "nothing" applies.
//! - **Interrupts are masked** while a frame is gathered, as in other loggers of defmt: by the crate critical-section, of which the firmware needs
//!   an implementation. What cannot be masked, or logs while it is being logged, is nested: it is recorded, before the frame that it
//!   interrupted.
//! - **Bounded**: the frames that are under way at a time share 256 bytes, or as many as the environment variable `TTLOG_DEFMT_FRAME_LEN` said when
//!   this crate was compiled. One that has no room is counted as too large; one that nests more than four deep as re-entrant. Of one that
//!   is longer than a segment its beginning is recorded, which cannot be decoded; choose segments that are longer than the frames.
//! - **Never panics**, and flushing is nothing: what was logged is in memory that survives.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering, compiler_fence};

use critical_section::RestoreState;
use ttlog_core::{Bytes, DropReason};

use crate::recorder::DEVICE;

/// Bytes for the frames that are under way.
const ROOM_LEN: usize = room_len(option_env!("TTLOG_DEFMT_FRAME_LEN"));
/// How many frames may be under way: the one of a context, and those of what interrupts it without a mask.
const DEPTH_MAX: usize = 4;

/// Reads the number, which is decimal; 256 if there is none.
const fn room_len(text: Option<&str>) -> usize {
    let Some(text) = text else { return 256 };
    let (bytes, mut len, mut at) = (text.as_bytes(), 0, 0);
    while at < bytes.len() {
        assert!(bytes[at].is_ascii_digit() && len < 10_000, "TTLOG_DEFMT_FRAME_LEN is a number of bytes");
        len = len * 10 + (bytes[at] - b'0') as usize;
        at += 1;
    }
    len
}

#[defmt::global_logger]
struct Logger;

static FRAMES: Frames<ROOM_LEN> = Frames::new();
static MASK: Mask = Mask(UnsafeCell::new(RestoreState::invalid()));

/// What the critical section of the outermost frame is to be ended with. Written and read only in that section, by the context that entered
/// it; what cannot be masked leaves it as it was, see [`Logger::release`].
struct Mask(UnsafeCell<RestoreState>);

// SAFETY: used in a critical section only.
unsafe impl Sync for Mask {}

// SAFETY: a critical section from acquire to release keeps other threads, interrupts and cores out; what gets in, on the same core, ends
// before what it interrupted goes on, as `Frames` wants it. Nothing here logs by defmt.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        // SAFETY: released once: below, or by `release` of the same frame.
        let restore = unsafe { critical_section::acquire() };
        if FRAMES.begin() > 0 {
            // Nested, so the section is that of the outermost frame, and is ended with that.
            // SAFETY: the section that was just entered is the innermost.
            return unsafe { critical_section::release(restore) };
        }
        #[cfg(feature = "defmt-recorder")]
        ring::start();
        // SAFETY: in the critical section. What interrupts here finds a frame under way, and does not come to this line.
        unsafe { *MASK.0.get() = restore };
    }

    unsafe fn flush() {}

    unsafe fn write(bytes: &[u8]) {
        FRAMES.write(bytes);
    }

    unsafe fn release() {
        // SAFETY: in the critical section. Read before the frame ends: what interrupts after that is outermost itself, and writes it.
        let restore = unsafe { *MASK.0.get() };
        let is_outermost = FRAMES.end(|frame| match frame {
            // At the highest level, so that it is recorded unless nothing is.
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

/// Gathers frames, those that are nested behind those that they interrupted, in one room.
///
/// Whoever begins a frame ends it before what it interrupted goes on: one core, and no threads that take turns. So each context finds
/// all as it left it, but for the bytes behind `used`. A step that claims something is made before what is claimed is used.
struct Frames<const N: usize> {
    room: UnsafeCell<[u8; N]>,
    /// Bytes that are used, by all frames under way.
    used: AtomicUsize,
    /// Frames under way.
    depth: AtomicU8,
    /// Where the frames begin, twice, and one more if they had no room.
    starts: [AtomicUsize; DEPTH_MAX],
}

// SAFETY: contexts that share it are nested, as its users vouch, and each writes to the part of the room that it has claimed.
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

    /// Begins a frame, and gives how many were under way before.
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
        compiler_fence(Ordering::SeqCst); // claimed before it is written
        // SAFETY: inside of the room, as checked, and of this context alone: what nests begins behind it. The bytes are the caller's, not of
        // the room, which nobody outside has a reference to but in `end`.
        unsafe { self.room.get().cast::<u8>().add(used).copy_from(bytes.as_ptr(), bytes.len()) };
    }

    /// Ends the innermost frame and hands it over, or says why it is lost. Gives whether it was the outermost.
    fn end(&self, take: impl FnOnce(Result<&[u8], DropReason>)) -> bool {
        let Some(depth) = self.depth.load(Ordering::Relaxed).checked_sub(1) else { return false };
        match self.start().map(|start| start.load(Ordering::Relaxed)) {
            None => take(Err(DropReason::Reentrant)),
            Some(value) => {
                let (start, used) = (value / 2, self.used.load(Ordering::Relaxed));
                if value & 1 == 0 {
                    // SAFETY: claimed and written by this context, inside of the room; what nests writes behind it.
                    take(Ok(unsafe {
                        core::slice::from_raw_parts(self.room.get().cast::<u8>().add(start), used - start)
                    }));
                } else {
                    take(Err(DropReason::TooLarge));
                }
                compiler_fence(Ordering::SeqCst); // read before it is given back
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

    // Under a name of its own, so that a firmware may have a recorder all the same: the one that is started first is used.
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
