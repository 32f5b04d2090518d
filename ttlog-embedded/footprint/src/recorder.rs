//! The recorder that the features choose, and where it stands in its ring.

#[cfg(feature = "defmt-memory")]
pub use memory::*;
#[cfg(not(feature = "defmt"))]
pub use nothing::*;
#[cfg(feature = "defmt-rtt")]
pub use rtt::*;

/// Bytes of each recorder's ring.
pub const RING_LEN: u32 = 4096;

// From the 24-bit counter that also measures.
#[cfg(feature = "defmt-timestamp")]
defmt::timestamp!("{=u32}", cortex_m::peripheral::SYST::get_current());

/// No recorder.
#[cfg(not(feature = "defmt"))]
mod nothing {
    /// Makes the recorder ready.
    pub fn start() {}

    /// Offset in the ring at which the next event is written.
    pub fn position() -> u32 {
        0
    }
}

/// The logger that most firmware has. Without a debugger it overwrites what is old in its ring.
#[cfg(feature = "defmt-rtt")]
mod rtt {
    use defmt_rtt as _;

    unsafe extern "C" {
        /// The control block of RTT: at 32 the length of the ring, at 36 how far it is written.
        static _SEGGER_RTT: [u32; 12];
    }

    /// Makes the recorder ready.
    pub fn start() {}

    /// Offset in the ring at which the next event is written.
    pub fn position() -> u32 {
        // SAFETY: defmt-rtt exports it in this layout, which debug probes rely on, and a word is read at once.
        let read = |index: usize| unsafe { (&raw const _SEGGER_RTT).cast::<u32>().add(index).read_volatile() };
        assert_eq!(read(8), super::RING_LEN, "DEFMT_RTT_BUFFER_SIZE is not what is measured");
        read(9)
    }
}

/// What defmt needs at least: the structure of defmt-rtt (interrupts masked from acquire to release, a flag against re-entry), but
/// bytes go to the ring with a store each.
#[cfg(feature = "defmt-memory")]
mod memory {
    use core::cell::UnsafeCell;

    use critical_section::RestoreState;

    use super::RING_LEN;

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

    /// Makes the recorder ready.
    pub fn start() {
        // A ring that nobody reads would not be written either.
        core::hint::black_box(RING.0.get());
    }

    /// Offset in the ring at which the next event is written.
    pub fn position() -> u32 {
        // SAFETY: no frame is being written, see Masked.
        critical_section::with(|_| unsafe { (*STATE.0.get()).position as u32 })
    }
}
