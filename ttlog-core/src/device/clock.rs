//! Clock of a device: a register or a pair of functions.

/// Clock of a device.
///
/// Its lower 32 bits are recorded with each event. The full value is read once per segment. A 32-bit clock is extended
/// there, with the help of [`DeviceRecorder::keep_time`](super::DeviceRecorder::keep_time).
#[derive(Clone, Copy, Debug)]
pub struct DeviceClock {
    source: ClockSource,
    /// Ticks per second; 0: unknown.
    pub ticks_per_second: u32,
}

#[derive(Clone, Copy, Debug)]
enum ClockSource {
    /// A register that counts up and wraps at 2^32. If `is_wide`, the next register holds the upper half.
    Register { low: *const u32, is_wide: bool },
    /// Functions. The second returns all 64 bits, if there are more than 32.
    Functions(fn() -> u32, Option<fn() -> u64>),
}

impl DeviceClock {
    /// No clock: all times are 0, but the order of events is preserved.
    pub const NONE: Self = DeviceClock::new(|| 0, None, 0);

    /// Creates a clock that is read by functions: `ticks` returns the lower 32 bits, `ticks64` the full value if it is
    /// wider.
    ///
    /// Both can be called from any context, including before the clock runs, in interrupts and in faults. They must not
    /// block, panic or log.
    #[must_use]
    pub const fn new(ticks: fn() -> u32, ticks64: Option<fn() -> u64>, ticks_per_second: u32) -> Self {
        DeviceClock { source: ClockSource::Functions(ticks, ticks64), ticks_per_second }
    }

    /// Creates a clock from a register that counts up. If `is_wide`, the next register holds the upper half.
    ///
    /// # Safety
    /// - The register, and the next one if `is_wide`, can be read without side effects at any time, from every context
    ///   that logs.
    #[must_use]
    pub const unsafe fn of_register(low: *const u32, is_wide: bool, ticks_per_second: u32) -> Self {
        DeviceClock { source: ClockSource::Register { low, is_wide }, ticks_per_second }
    }

    /// Returns the register to read for each event, if there is one.
    pub(super) const fn register(&self) -> Option<*const u32> {
        match self.source {
            ClockSource::Register { low, .. } => Some(low),
            ClockSource::Functions(..) => None,
        }
    }

    pub(super) fn ticks(&self) -> u32 {
        match self.source {
            // SAFETY: the creator of the clock guaranteed that the register can be read from any context at any time.
            ClockSource::Register { low, .. } => unsafe { low.read_volatile() },
            ClockSource::Functions(ticks, _) => ticks(),
        }
    }

    /// Returns the full clock value. `turns` is the number of half turns of the lower 32 bits counted so far. It
    /// extends a clock of only 32 bits; a half turn not counted yet shows in the highest bit.
    pub(super) fn ticks64(&self, turns: u32) -> u64 {
        match self.source {
            ClockSource::Functions(_, Some(ticks64)) => ticks64(),
            ClockSource::Register { low, is_wide: true } => {
                // SAFETY: as above, for both registers.
                let read = || unsafe { (low.add(1).read_volatile(), low.read_volatile(), low.add(1).read_volatile()) };
                let (mut before, mut now, after) = read();
                if before != after {
                    (before, now, _) = read(); // the lower half has just wrapped and cannot wrap again so soon
                }
                u64::from(before) << 32 | u64::from(now)
            }
            _ => (u64::from(turns) << 31) + u64::from(self.ticks() ^ (turns & 1) << 31),
        }
    }
}
