//! The clock of a device: a register, or functions.

/// The clock of a device.
///
/// Its lower 32 bits are recorded with each event. All of it is asked for once per segment; a clock of 32 bits alone is extended there,
/// with the help of [`DeviceRecorder::keep_time`](super::DeviceRecorder::keep_time).
#[derive(Clone, Copy, Debug)]
pub struct DeviceClock {
    source: ClockSource,
    /// Its rate; 0: unknown.
    pub ticks_per_second: u32,
}

#[derive(Clone, Copy, Debug)]
enum ClockSource {
    /// A register that counts up and turns around at 2^32. If `is_wide` the register behind it has the upper half.
    Register { low: *const u32, is_wide: bool },
    /// Functions. The second gives all bits, if there are more.
    Functions(fn() -> u32, Option<fn() -> u64>),
}

impl DeviceClock {
    /// No clock: all times are 0, the order of events remains.
    pub const NONE: Self = DeviceClock::new(|| 0, None, 0);

    /// A clock that is read by functions: `ticks` gives the lower 32 bits, `ticks64` all of it if there is more.
    ///
    /// Both may be called anywhere, also before the clock runs, in interrupts and in faults, and must neither block, panic nor log.
    #[must_use]
    pub const fn new(ticks: fn() -> u32, ticks64: Option<fn() -> u64>, ticks_per_second: u32) -> Self {
        DeviceClock { source: ClockSource::Functions(ticks, ticks64), ticks_per_second }
    }

    /// A clock that is a register which counts up; with the upper half in the register behind it, if `is_wide`.
    ///
    /// # Safety
    /// - The register, and the one behind it if `is_wide`, can be read at any time, from every context that logs, without an effect.
    #[must_use]
    pub const unsafe fn of_register(low: *const u32, is_wide: bool, ticks_per_second: u32) -> Self {
        DeviceClock { source: ClockSource::Register { low, is_wide }, ticks_per_second }
    }

    /// The register to read for each event, if there is one.
    pub(super) const fn register(&self) -> Option<*const u32> {
        match self.source {
            ClockSource::Register { low, .. } => Some(low),
            ClockSource::Functions(..) => None,
        }
    }

    pub(super) fn ticks(&self) -> u32 {
        match self.source {
            // SAFETY: it may be read from everywhere at any time, as the maker of the clock vouched.
            ClockSource::Register { low, .. } => unsafe { low.read_volatile() },
            ClockSource::Functions(ticks, _) => ticks(),
        }
    }

    /// Returns all of the clock. `turns` are the half turns of its lower 32 bits that were counted so far, which complete a clock that has
    /// no more bits: one that was not counted yet shows in the highest bit.
    pub(super) fn ticks64(&self, turns: u32) -> u64 {
        match self.source {
            ClockSource::Functions(_, Some(ticks64)) => ticks64(),
            ClockSource::Register { low, is_wide: true } => {
                // SAFETY: as above, for both registers.
                let read = || unsafe { (low.add(1).read_volatile(), low.read_volatile(), low.add(1).read_volatile()) };
                let (mut before, mut now, after) = read();
                if before != after {
                    (before, now, _) = read(); // the lower half has just turned around, and will not again so soon
                }
                u64::from(before) << 32 | u64::from(now)
            }
            _ => (u64::from(turns) << 31) + u64::from(self.ticks() ^ (turns & 1) << 31),
        }
    }
}
