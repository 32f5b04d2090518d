//! Logs with the clock `SysTick` from its handler before it counts, from the non-maskable interrupt above it, and from
//! the main program, which both interrupt at every instruction of its calls; then while the exception is masked, for up
//! to a whole round. Checks that time never goes back, and that handlers are dated in their round.
//!
//! Time goes back if an event has an earlier time than one that was complete before it began. Each event names the
//! latest such event.
#![no_std]
#![no_main]

support::entry!(main);

#[cfg(target_arch = "arm")]
fn main() -> ! {
    arm::main()
}

#[cfg(not(target_arch = "arm"))]
fn main() -> ! {
    support::println!("there is no SysTick");
    support::succeed()
}

#[cfg(target_arch = "arm")]
mod arm {
    use core::arch::asm;
    use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use support::println;
    use ttlog_core::RingImage;
    use ttlog_core::ring::{Item, SegmentState};
    use ttlog_embedded::clock::count_systick;
    use ttlog_embedded::{Clock, Config, info};

    const RING_LEN: usize = 2048;
    ttlog_embedded::recorder!(static RECORDER: 2048);

    /// Ticks of a round.
    const ROUND_TICKS: u32 = 150;
    /// Instructions of a row of calls, and more.
    const CALLS_LEN: u32 = 2500;
    /// Instructions from the beginning of a round to an event in it. An event that comes before its round is counted is
    /// dated exactly if the round before has an event at a later cycle.
    const MIDDLE: u32 = 2000;
    /// An event may be in any round.
    const ANY: u32 = u32::MAX;
    /// Most events that are compared.
    const EVENTS_MAX: usize = 64;

    /// Number of the events of a context: main program, handler, non-maskable interrupt.
    static NUMBERS: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];
    /// An event that is complete, and as good as the latest one.
    static COMPLETE: AtomicU32 = AtomicU32::new(0);
    /// Rounds whose handler has begun.
    static ROUND: AtomicU32 = AtomicU32::new(0);
    /// Whether the handler logs nothing.
    static IS_QUIET: AtomicU32 = AtomicU32::new(0);
    /// Whether the handler could not run at once.
    static IS_LATE: AtomicU32 = AtomicU32::new(0);
    /// Instructions that the handler takes before it is interrupted.
    static HANDLER_DELAY: AtomicU32 = AtomicU32::new(16);

    /// Logs an event of a context, dated in a round.
    #[inline(never)]
    fn log(context: usize, round: u32) {
        let number = NUMBERS[context].load(Relaxed) + 1;
        NUMBERS[context].store(number, Relaxed);
        let id = (context as u32) << 24 | number;
        let after = COMPLETE.load(Relaxed);
        info!("at", id, after, round);
        COMPLETE.store(id, Relaxed);
    }

    #[unsafe(export_name = "SysTick")]
    extern "C" fn handler() {
        let round = ROUND.load(Relaxed) + 1;
        ROUND.store(round, Relaxed);
        if IS_QUIET.load(Relaxed) == 1 {
            return count_systick();
        }
        // If it comes late, it can have passed over the cycles of the last event.
        let early = if IS_LATE.load(Relaxed) == 1 { ANY } else { round };
        log(1, early);
        support::delay(HANDLER_DELAY.load(Relaxed));
        support::pend_urgent();
        count_systick();
        log(1, round);
    }

    support::urgent_handler!(urgent);

    fn urgent() {
        log(2, if IS_LATE.load(Relaxed) == 1 { ANY } else { ROUND.load(Relaxed) });
    }

    /// Waits for the next run of the handler. The instruction after it has the same distance from the round's beginning
    /// each time.
    fn wait() {
        // SAFETY: sleeps until an interrupt.
        unsafe { asm!("wfi", options(nomem, nostack)) };
    }

    /// Keeps interrupts away, or lets them in.
    fn mask(is_masked: bool) {
        // SAFETY: the instructions change no memory.
        unsafe {
            if is_masked {
                asm!("cpsid i", options(nostack));
                IS_LATE.store(1, Relaxed);
            } else {
                asm!("cpsie i", "isb", options(nostack));
                IS_LATE.store(0, Relaxed);
            }
        }
    }

    /// Waits for the next run of the handler, after which handlers log.
    fn begin(point: u32) {
        HANDLER_DELAY.store(16 + point % 64, Relaxed);
        wait();
        IS_QUIET.store(0, Relaxed);
    }

    /// Returns the least delay after `wait` in which the next handler runs.
    fn calibrate() -> u32 {
        let (mut short, mut long) = (16, 200 * ROUND_TICKS);
        while short + 1 < long {
            let delay = (short + long) / 2;
            wait();
            let before = ROUND.load(Relaxed);
            support::delay(delay);
            if ROUND.load(Relaxed) == before { short = delay } else { long = delay }
        }
        long
    }

    /// Compares the events in the ring. Returns how many.
    fn check(point: u32) -> usize {
        unsafe extern "C" {
            static _TTLOG_RING: [u8; RING_LEN];
        }
        let ring = &raw const _TTLOG_RING;
        IS_QUIET.store(1, Relaxed);
        // SAFETY: one core, and nothing logs now.
        let image = RingImage::parse(unsafe { &*ring }).expect("a good ring");
        let mut events = [(0, 0, 0, 0); EVENTS_MAX];
        let mut count = 0;
        for index in 0..image.header().segment_count {
            let SegmentState::Valid(segment) = image.segment(index) else { continue };
            for item in segment.items() {
                let Item::Event(record) = item else { continue };
                let word = |at: usize| {
                    record
                        .payload
                        .get(at..at + 4)
                        .map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().unwrap_or([0; 4])))
                };
                assert!(record.ticks_known && count < EVENTS_MAX, "{} events", count);
                events[count] = (word(0), word(4), word(8), record.ticks);
                count += 1;
            }
        }
        for &(id, after, _, ticks) in &events[..count] {
            if let Some((_, _, _, before)) = events[..count].iter().find(|(id, ..)| *id == after) {
                assert!(ticks >= *before, "point {}: {:#x} at {}, but {:#x} at {}", point, id, ticks, after, before);
            }
        }
        for &(id, _, round, ticks) in &events[..count] {
            let first = u64::from(round) * u64::from(ROUND_TICKS);
            let is_in_round = round == ANY || (first..first + u64::from(ROUND_TICKS)).contains(&ticks);
            assert!(is_in_round, "point {}: {:#x} at {}, in round {} from {}", point, id, ticks, round, first);
        }
        count
    }

    pub fn main() -> ! {
        support::arm_timer(ROUND_TICKS - 1);
        RECORDER.start(Config { clock: Clock::systick(0), ..Config::DEFAULT });
        let round_len = calibrate();
        println!("a round takes {} instructions", round_len);
        assert!(round_len > MIDDLE + CALLS_LEN + 500, "the calls are longer than a round");
        let mut compared = 0;
        for point in 0..CALLS_LEN {
            begin(point);
            support::delay(MIDDLE);
            log(0, ANY);
            support::delay(round_len - MIDDLE - point);
            for _ in 0..4 {
                log(0, ANY);
            }
            compared += check(point);
        }
        for delay in (16..2 * round_len - 1500).step_by(29) {
            begin(delay);
            mask(true);
            let round = ROUND.load(Relaxed);
            log(0, round);
            support::delay(delay);
            log(0, if delay > round_len + 3000 { round + 1 } else { ANY });
            mask(false);
            log(0, ANY);
            compared += check(delay);
        }
        println!("{} points, {} events", CALLS_LEN, compared);
        support::succeed()
    }
}
