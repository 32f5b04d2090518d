//! The recorder chosen by the features, and its position in its ring.

#[cfg(feature = "defmt-memory")]
pub use memory::*;
#[cfg(not(any(feature = "defmt", feature = "ttlog")))]
pub use nothing::*;
#[cfg(feature = "defmt-rtt")]
pub use rtt::*;
#[cfg(feature = "ttlog")]
pub use ttlog::*;

/// Where the next event is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Sequence of the segment; 0 if the ring has no segments.
    pub segment: u32,
    /// Bytes from the beginning of the ring or segment.
    pub offset: u32,
}

/// Without segments, the ring counts as one.
#[cfg(not(feature = "ttlog"))]
pub const SEGMENT_LEN: u32 = RING_LEN;
/// Bytes of each recorder's ring.
pub const RING_LEN: u32 = 4096;

// From the 24-bit counter that also measures.
#[cfg(feature = "defmt-timestamp")]
defmt::timestamp!("{=u32}", cortex_m::peripheral::SYST::get_current());

/// No recorder.
#[cfg(not(any(feature = "defmt", feature = "ttlog")))]
mod nothing {
    use super::Position;

    /// Starts the recorder.
    #[inline(never)] // its size is looked up by its name
    pub fn start() {}

    /// Does nothing: the content of the ring makes no difference.
    #[inline(never)]
    pub fn fill() {}

    /// Returns a dummy that the compiler does not know, so that the code around the calls is the same for all
    /// recorders.
    #[inline(never)]
    pub fn position() -> Position {
        core::hint::black_box(Position { segment: 0, offset: 0 })
    }
}

/// Ours.
#[cfg(feature = "ttlog")]
mod ttlog {
    use ttlog_embedded::{Clock, Config};

    use super::Position;

    ttlog_embedded::recorder!(static RECORDER: 4096);
    const _: () = assert!(super::RING_LEN == 4096);
    /// Bytes of a segment: the default for this size.
    pub const SEGMENT_LEN: u32 = 256;

    unsafe extern "C" {
        /// The ring, in the layout of docs/format.md, section 2.
        static _TTLOG_RING: [u32; 1024];
    }

    /// Starts the recorder.
    #[inline(never)] // its size is looked up by its name
    pub fn start() {
        const SYST_CVR: *const u32 = 0xE000_E018 as *const u32;
        // The counter that also measures. That it counts down does not matter here.
        // SAFETY: reading it has no effect.
        let clock = unsafe { Clock::of_register(SYST_CVR, 0) };
        RECORDER.start(Config { clock, ..Config::DEFAULT });
    }

    /// Fills the ring with the shortest events: replacing a segment takes longest if it holds the most events.
    #[inline(never)]
    pub fn fill() {
        for _ in 0..super::RING_LEN / 8 {
            ttlog_embedded::info!("filler");
        }
    }

    /// Returns where the next event is written: in the segment with the highest sequence.
    #[inline(never)]
    pub fn position() -> Position {
        // SAFETY: the index is below 1024 where it is used, and a word is read at once.
        let read =
            |offset: u32| unsafe { (&raw const _TTLOG_RING).cast::<u32>().add(offset as usize / 4).read_volatile() };
        let (segment_count, segments) = (read(28), read(32));
        let newest = (0..segment_count).map(|index| segments + index * SEGMENT_LEN).max_by_key(|&at| read(at));
        newest.map_or(Position { segment: 0, offset: 0 }, |at| Position {
            segment: read(at),
            offset: (read(at + 32) & 0x3FFF) * 8,
        })
    }
}

/// The usual transport of defmt. Without a debugger it overwrites old events in its ring.
#[cfg(feature = "defmt-rtt")]
mod rtt {
    use defmt_rtt as _;

    use super::Position;

    unsafe extern "C" {
        /// The control block of RTT: at 32 the length of the ring, at 36 its write offset.
        static _SEGGER_RTT: [u32; 12];
    }

    /// Starts the recorder.
    #[inline(never)] // its size is looked up by its name
    pub fn start() {}

    /// Does nothing: the content of the ring makes no difference.
    #[inline(never)]
    pub fn fill() {}

    /// Returns where the next event is written.
    #[inline(never)]
    pub fn position() -> Position {
        // SAFETY: defmt-rtt exports it in this layout, which debug probes rely on, and a word is read at once.
        let read = |index: usize| unsafe { (&raw const _SEGGER_RTT).cast::<u32>().add(index).read_volatile() };
        assert_eq!(read(8), super::RING_LEN, "DEFMT_RTT_BUFFER_SIZE is not what is measured");
        Position { segment: 0, offset: read(9) }
    }
}

/// The minimum for defmt: the structure of defmt-rtt (interrupts masked from acquire to release, a flag against
/// re-entry), but with one store per byte.
#[cfg(feature = "defmt-memory")]
mod memory {
    use core::cell::UnsafeCell;

    use critical_section::RestoreState;

    use super::{Position, RING_LEN};

    #[defmt::global_logger]
    struct Logger;

    struct State {
        taken: bool,
        restore: RestoreState,
        encoder: defmt::Encoder,
        position: usize,
    }

    /// Only touched with interrupts masked, and by one frame at a time.
    struct Masked<T>(UnsafeCell<T>);

    // SAFETY: see the type; there is one core.
    unsafe impl<T> Sync for Masked<T> {}

    static STATE: Masked<State> = Masked(UnsafeCell::new(State {
        taken: false,
        restore: RestoreState::invalid(),
        encoder: defmt::Encoder::new(),
        position: 0,
    }));
    static RING: Masked<[u8; RING_LEN as usize]> = Masked(UnsafeCell::new([0; RING_LEN as usize]));

    fn put(position: &mut usize, bytes: &[u8]) {
        for &byte in bytes {
            // SAFETY: called within a frame, see the type; the position is below the length.
            unsafe { RING.0.get().cast::<u8>().add(*position).write(byte) };
            *position = (*position + 1) % RING_LEN as usize;
        }
    }

    // SAFETY: interrupts are masked between acquire and release, and a second acquire in between panics.
    unsafe impl defmt::Logger for Logger {
        fn acquire() {
            // SAFETY: released by release().
            let restore = unsafe { critical_section::acquire() };
            // SAFETY: interrupts are masked, see Masked.
            let State { taken, restore: kept, encoder, position } = unsafe { &mut *STATE.0.get() };
            assert!(!*taken, "logged while logging");
            *taken = true;
            *kept = restore;
            encoder.start_frame(|bytes| put(position, bytes));
        }

        unsafe fn flush() {}

        unsafe fn release() {
            // SAFETY: interrupts are masked since acquire(), see Masked.
            let State { taken, restore, encoder, position } = unsafe { &mut *STATE.0.get() };
            encoder.end_frame(|bytes| put(position, bytes));
            *taken = false;
            let restore = *restore;
            // SAFETY: the state that acquire() got.
            unsafe { critical_section::release(restore) };
        }

        unsafe fn write(bytes: &[u8]) {
            // SAFETY: as in release().
            let State { encoder, position, .. } = unsafe { &mut *STATE.0.get() };
            encoder.write(bytes, |bytes| put(position, bytes));
        }
    }

    /// Starts the recorder.
    #[inline(never)] // its size is looked up by its name
    pub fn start() {
        // The compiler would drop the writes to a ring that is never read.
        core::hint::black_box(RING.0.get());
    }

    /// Does nothing: the content of the ring makes no difference.
    #[inline(never)]
    pub fn fill() {}

    /// Returns where the next event is written.
    #[inline(never)]
    pub fn position() -> Position {
        // SAFETY: no frame is being written, see Masked.
        let offset = critical_section::with(|_| unsafe { (*STATE.0.get()).position as u32 });
        Position { segment: 0, offset }
    }
}
