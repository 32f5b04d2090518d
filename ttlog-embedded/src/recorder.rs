//! The recorder of a firmware: a ring in memory that a reset does not clear, and the start of a session in it.

use core::fmt;

use ttlog_core::ring::{Ring, RingConfig, SessionStart, Started};
use ttlog_core::{Level, Loss, Word};

use crate::build_id::build_id;
use crate::config::Config;

/// The recorder that the macros write to.
#[cfg(target_os = "none")]
pub(crate) use ttlog_core::site::RECORDER as DEVICE;
/// On a host no macro writes to it; there it serves tests.
#[cfg(not(target_os = "none"))]
pub(crate) static DEVICE: ttlog_core::ring::DeviceRecorder = ttlog_core::ring::DeviceRecorder::new();

/// Makes the recorder of the firmware, with its ring in RAM that a reset does not clear.
///
/// ```
/// ttlog_embedded::recorder!(static RECORDER: 4096);
/// # fn main() {}
/// ```
///
/// The number is the size in bytes, 1,024 or more. By default segments have 128 bytes, from 4 KiB on 256, from 8 KiB on 512, from 32 KiB on
/// 1,024; and the ring remembers four sessions, two below 4 KiB. Both can be given; larger segments cost fewer instructions per event and more memory that is in
/// the act of being replaced:
///
/// ```
/// ttlog_embedded::recorder!(static RECORDER: 16384, segment_len = 1024, session_count = 8);
/// # fn main() {}
/// ```
///
/// The ring lies in the section `.uninit.ttlog`, which the linker scripts of cortex-m-rt and riscv-rt leave alone, under the symbol
/// `_TTLOG_RING`. It moves when the firmware's other variables do. So that it survives an update, or is shared by a bootloader and an
/// application, give it a place of its own: two linker symbols, aligned to 8, that both programs define alike, in `memory.x`, outside of what
/// they call RAM:
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
/// There is one recorder in a program. A ring whose size or segments differ from those it finds in memory starts afresh.
#[macro_export]
macro_rules! recorder {
    ($(#[$meta:meta])* $vis:vis static $name:ident: region $(, $key:ident = $value:expr)* $(,)?) => {
        $(#[$meta])*
        $vis static $name: $crate::Recorder = {
            unsafe extern "C" {
                static __ttlog_ring_start: $crate::__private::Word;
                static __ttlog_ring_end: $crate::__private::Word;
            }
            // SAFETY: who defines the symbols gives the memory between them to the recorder alone.
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
            // The value that it has in the program is never written to memory: the section is not loaded and not cleared.
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

/// The recorder of a firmware; made by [`recorder!`](crate::recorder!).
pub struct Recorder {
    memory: Memory,
    config: RingConfig,
}

#[derive(Clone, Copy)]
enum Memory {
    Static(&'static [Word]),
    /// Between two addresses that the linker knows. The memory is the recorder's alone.
    Region(*const Word, *const Word),
}

// SAFETY: the pointers are to memory of atomics, which may be used from everywhere.
unsafe impl Sync for Recorder {}

impl Recorder {
    /// Makes a recorder on memory of its own.
    ///
    /// # Panics
    /// At compile time, where [`recorder!`](crate::recorder!) uses it: if the memory has no room for such a ring, or the lengths are no
    /// multiples of 8 or out of range.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(words: &'static [Word], config: RingConfig) -> Self {
        assert!(
            config.check(words.len()).is_ok(),
            "no such ring: segment_len is a multiple of 8 from 128 to 2,048, session_count 1 to 28, and there must be room for a segment"
        );
        Recorder { memory: Memory::Static(words), config }
    }

    /// Makes a recorder on the memory from `start` to `end`.
    ///
    /// # Safety
    /// - The memory between both is aligned to 8 and used by nothing else for `'static`.
    #[doc(hidden)]
    #[must_use]
    pub const unsafe fn in_region(start: *const Word, end: *const Word, config: RingConfig) -> Self {
        Recorder { memory: Memory::Region(start, end), config }
    }

    /// Gives the layout of a ring of so many bytes, where nothing else is asked for.
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
            // SAFETY: the memory between both is words of this recorder alone, as the maker vouched; all of their bit patterns are words.
            Memory::Region(start, end) => unsafe {
                core::slice::from_raw_parts(start, (end as usize).saturating_sub(start as usize) / 8)
            },
        }
    }

    /// Begins a session: takes over the ring that a reset left, with all that was recorded before, or makes a new one; from then on
    /// the macros record.
    ///
    /// Takes time in proportion to the ring, some 20 instructions for each byte. To be called once, early, from one context, before
    /// interrupts log; events before it are not recorded, nor counted. Later calls, and those on a second recorder, change nothing and give
    /// what the first one gave, but for [`Found::Nothing`](crate::Found::Nothing).
    ///
    /// # Panics
    /// If the recorder is in a region of its own that has no room for its ring; the size of that is known no earlier.
    pub fn start(&self, config: Config) -> Started {
        let session = SessionStart {
            clock: config.clock.device(),
            build_id: build_id(),
            reset_reason: config.reset_reason,
            embedded_metadata: cfg!(feature = "embedded-metadata"),
        };
        let started = match DEVICE.start(self.words(), &self.config, &session) {
            Some(Ok(started)) => started,
            Some(Err(_)) => panic!("the region for the ring of TTLog is too small"),
            None => return Started { boot: DEVICE.boot(), found: crate::Found::Nothing },
        };
        self.set_level(config.level);
        config.after_failure.put_in_force();
        started
    }

    /// Records events of `level` and above from now on; `None`: nothing. Callable anywhere.
    pub fn set_level(&self, level: Option<Level>) {
        #[cfg(target_os = "none")]
        ttlog_core::site::set_level(level);
        #[cfg(not(target_os = "none"))]
        let _ = level; // on a host the macros have another recorder
    }

    /// Gives the ring, once the session has begun.
    #[must_use]
    pub fn ring(&self) -> Option<Ring<'static>> {
        DEVICE.ring()
    }

    /// Gives what was lost so far, in all sessions that the ring has seen.
    #[must_use]
    pub fn loss(&self) -> Loss {
        DEVICE.ring().map(|ring| ring.loss()).unwrap_or_default()
    }

    /// Keeps count of the turns of a 32-bit clock; see
    /// [`DeviceRecorder::keep_time`](ttlog_core::ring::DeviceRecorder::keep_time).
    pub fn keep_time(&self) {
        DEVICE.keep_time();
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("config", &self.config).finish_non_exhaustive()
    }
}
