//! The recorder of a firmware: a ring in memory that a reset does not clear, and the start of a session.

use core::fmt;

use ttlog_core::device::{SessionStart, Started};
use ttlog_core::ring::{Ring, RingConfig};
use ttlog_core::{Level, Loss, Word};

use crate::build_id::build_id;
use crate::config::Config;

/// Recorder that the macros write to.
#[cfg(target_os = "none")]
pub(crate) use ttlog_core::device::callsite::RECORDER as DEVICE;
/// For tests: on a host no macro writes to it.
#[cfg(not(target_os = "none"))]
pub(crate) static DEVICE: ttlog_core::device::DeviceRecorder = ttlog_core::device::DeviceRecorder::new();

/// Declares the recorder of the firmware, with its ring in RAM that a reset does not clear.
///
/// ```
/// ttlog_embedded::recorder!(static RECORDER: 4096);
/// # fn main() {}
/// ```
///
/// The number is the size in bytes, at least 1,024. The default segment has 128 bytes, from 4 KiB on 256, from 8 KiB on
/// 512, from 32 KiB on 1,024; the ring remembers four sessions, below 4 KiB two. Both can be set. Larger segments cost
/// fewer instructions per event, but more events are replaced at a time:
///
/// ```
/// ttlog_embedded::recorder!(static RECORDER: 16384, segment_len = 1024, session_count = 8);
/// # fn main() {}
/// ```
///
/// The ring is in the section `.uninit.ttlog`, which the linker scripts of cortex-m-rt and riscv-rt do not clear, with
/// the symbol `_TTLOG_RING`. It moves when the firmware's other variables do. To keep it through updates, or to share
/// it between a boot loader and an application, give it a region of its own: two linker symbols, aligned to 8 and equal
/// in both programs, in `memory.x`, outside of `RAM`:
///
/// ```text
/// __ttlog_ring_start = ORIGIN(RETAINED);
/// __ttlog_ring_end = ORIGIN(RETAINED) + LENGTH(RETAINED);
/// ```
///
/// ```ignore
/// ttlog_embedded::recorder!(static RECORDER: region);
/// ```
///
/// A program has one recorder. If the size or the segments of the ring in memory differ from what is declared, a new
/// ring begins.
#[macro_export]
macro_rules! recorder {
    ($(#[$meta:meta])* $vis:vis static $name:ident: region $(, $key:ident = $value:expr)* $(,)?) => {
        $(#[$meta])*
        $vis static $name: $crate::Recorder = {
            unsafe extern "C" {
                static __ttlog_ring_start: $crate::__private::Word;
                static __ttlog_ring_end: $crate::__private::Word;
            }
            // SAFETY: whoever defines the symbols gives the memory between them to the recorder alone.
            unsafe {
                $crate::Recorder::in_region(
                    &raw const __ttlog_ring_start,
                    &raw const __ttlog_ring_end,
                    $crate::recorder!(@config 4096 $(, $key = $value)*),
                )
            }
        };
    };
    ($(#[$meta:meta])* $vis:vis static $name:ident: $bytes:expr $(, $key:ident = $value:expr)* $(,)?) => {
        $(#[$meta])*
        $vis static $name: $crate::Recorder = {
            const WORDS: usize = $bytes / 8;
            // The initial value is never written to memory: the section is neither loaded nor cleared.
            #[unsafe(link_section = ".uninit.ttlog")]
            #[unsafe(export_name = "_TTLOG_RING")]
            static RING: [$crate::__private::Word; WORDS] = [const { $crate::__private::Word::new(0) }; WORDS];
            $crate::Recorder::new(&RING, $crate::recorder!(@config $bytes $(, $key = $value)*))
        };
    };
    (@config $bytes:expr $(, $key:ident = $value:expr)*) => {
        $crate::__private::RingConfig { $($key: $value,)* ..$crate::Recorder::usual_config($bytes) }
    };
}

/// The recorder of a firmware; declared with [`recorder!`](crate::recorder!).
pub struct Recorder {
    memory: Memory,
    config: RingConfig,
}

#[derive(Clone, Copy)]
enum Memory {
    Static(&'static [Word]),
    /// Between two addresses that the linker knows. The memory belongs to the recorder alone.
    Region(*const Word, *const Word),
}

// SAFETY: the pointers point to atomics, which can be used from everywhere.
unsafe impl Sync for Recorder {}

impl Recorder {
    /// Makes a recorder on memory of its own.
    ///
    /// # Panics
    /// If the memory has no room for such a ring, or a length is out of range or no multiple of 8; at compile time if
    /// used by [`recorder!`](crate::recorder!).
    #[doc(hidden)]
    #[must_use]
    pub const fn new(words: &'static [Word], config: RingConfig) -> Self {
        assert!(
            config.check(words.len()).is_ok(),
            "invalid ring: segment_len is a multiple of 8 in 128..=2048, session_count in 1..=28, and a segment fits"
        );
        Recorder { memory: Memory::Static(words), config }
    }

    /// Makes a recorder on the memory from `start` to `end`.
    ///
    /// # Safety
    /// - The memory between both is aligned to 8, and nothing else uses it for `'static`.
    #[doc(hidden)]
    #[must_use]
    pub const unsafe fn in_region(start: *const Word, end: *const Word, config: RingConfig) -> Self {
        Recorder { memory: Memory::Region(start, end), config }
    }

    /// Returns the default layout of a ring of `bytes` bytes.
    #[doc(hidden)]
    #[must_use]
    pub const fn usual_config(bytes: usize) -> RingConfig {
        let segment_len = match bytes {
            0..4096 => 128,
            4096..8192 => 256,
            8192..32_768 => 512,
            _ => 1024,
        };
        RingConfig { segment_len, session_count: if bytes < 4096 { 2 } else { 4 }, ..RingConfig::PLAIN }
    }

    fn words(&self) -> &'static [Word] {
        match self.memory {
            Memory::Static(words) => words,
            // SAFETY: `in_region`'s caller vouched that the memory is this recorder's alone; every bit pattern is a
            // word.
            Memory::Region(start, end) => unsafe {
                core::slice::from_raw_parts(start, (end as usize).saturating_sub(start as usize) / 8)
            },
        }
    }

    /// Begins a session: takes over the ring that a reset left, with all of its events, or makes a new one. From then
    /// on the macros record.
    ///
    /// Call it once, early, from one context, before interrupts log; earlier events are neither recorded nor counted.
    /// Takes some 20 instructions per byte of the ring. Later calls, also on a second recorder, change nothing and
    /// return the same boot number, with [`Recovered::Nothing`](crate::Recovered::Nothing).
    ///
    /// # Panics
    /// If the recorder has a region of its own without room for its ring; the size of the region is known no earlier.
    pub fn start(&self, config: Config) -> Started {
        let session = SessionStart {
            clock: config.clock.device(),
            build_id: build_id(),
            reset_reason: config.reset_reason,
            embedded_metadata: cfg!(feature = "embedded-metadata"),
        };
        let started = match DEVICE.start(self.words(), &self.config, &session) {
            Some(Ok(started)) => started,
            Some(Err(_)) => panic!("the region for the TTLog ring is too small"),
            None => return Started { boot: DEVICE.boot(), recovered: crate::Recovered::Nothing },
        };
        self.set_level(config.level);
        config.after_failure.put_in_force();
        started
    }

    /// Sets the lowest level that is recorded from now on; `None` records nothing. Callable anywhere.
    pub fn set_level(&self, level: Option<Level>) {
        #[cfg(target_os = "none")]
        ttlog_core::device::callsite::set_level(level);
        #[cfg(not(target_os = "none"))]
        let _ = level; // on a host the macros have another recorder
    }

    /// Returns the ring; `None` before [`start`](Self::start).
    #[must_use]
    pub fn ring(&self) -> Option<Ring<'static>> {
        DEVICE.ring()
    }

    /// Returns how many events were lost so far, in all sessions of the ring.
    #[must_use]
    pub fn loss(&self) -> Loss {
        DEVICE.ring().map(|ring| ring.loss()).unwrap_or_default()
    }

    /// Counts the wraps of a 32-bit clock. Call it at least every half wrap, from a timer for example; see
    /// [`DeviceRecorder::keep_time`](ttlog_core::device::DeviceRecorder::keep_time).
    pub fn keep_time(&self) {
        DEVICE.keep_time();
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("config", &self.config).finish_non_exhaustive()
    }
}
