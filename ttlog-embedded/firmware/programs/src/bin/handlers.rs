//! Logs from handlers that interrupt each other, up to the fault handler, which resets the machine; then reads what is
//! left.
//!
//! The events are numbered in the order in which they happen: on the way up through the priorities, and on the way
//! back.
#![no_std]
#![no_main]

use core::ptr;

use support::println;
use ttlog_core::RingImage;
use ttlog_core::ring::{Item, SegmentState};
use ttlog_embedded::{Config, Recovered, error, info};

support::entry!(main);
support::timer_handler!(timer);
support::urgent_handler!(urgent);

const RING_LEN: usize = 2048;
ttlog_embedded::recorder!(static RECORDER: 2048);

#[unsafe(link_section = ".uninit.handlers")]
static mut NUMBER: core::mem::MaybeUninit<u32> = core::mem::MaybeUninit::uninit();

fn number() -> &'static mut u32 {
    // SAFETY: each use ends before the next handler runs; every bit pattern is a valid number.
    unsafe { &mut *(&raw mut NUMBER).cast() }
}

#[inline(never)]
fn mark() {
    *number() += 1;
    let n = *number();
    info!("mark", n);
}

/// The most urgent interrupt: NMI, on RISC-V the software interrupt.
fn urgent() {
    mark();
}

#[cfg(target_arch = "arm")]
mod lines {
    use super::mark;

    /// From the least urgent line to the most urgent one.
    const LINES: [(u16, u8); 3] = [(0, 3), (1, 2), (2, 1)];

    #[unsafe(export_name = "DefaultHandler")]
    extern "C" fn interrupted() {
        // SAFETY: a register of the core that names the exception in progress; reads have no side effects.
        let exception = unsafe { (0xE000_ED04 as *const u32).read_volatile() } & 0x1FF;
        mark();
        match exception {
            16 | 17 => support::pend_irq(LINES[exception as usize - 15].0),
            18 => support::pend_urgent(),
            _ => panic!("exception {exception}"),
        }
        mark();
    }

    pub(super) fn climb() {
        for (line, priority) in LINES {
            support::configure_irq(line, priority);
        }
        support::pend_irq(LINES[0].0);
    }

    #[unsafe(export_name = "HardFault")]
    extern "C" fn fault() -> ! {
        super::fault()
    }

    pub(super) fn cause_fault() -> ! {
        // SAFETY: an instruction that does not exist; the fault handler does not return.
        unsafe { core::arch::asm!("udf #1", options(noreturn)) }
    }
    /// Marks on the way.
    pub(super) const MARKS: u32 = 7;
}

#[cfg(target_arch = "riscv32")]
mod lines {
    pub(super) fn climb() {
        support::arm_timer(2);
        support::delay(1000);
    }

    #[unsafe(export_name = "ExceptionHandler")]
    extern "C" fn fault() -> ! {
        super::fault()
    }

    pub(super) fn cause_fault() -> ! {
        // SAFETY: an instruction that does not exist; the handler does not return.
        unsafe { core::arch::asm!("unimp", options(noreturn)) }
    }
    /// Marks on the way.
    pub(super) const MARKS: u32 = 3;
}

/// The least urgent interrupt on RISC-V.
fn timer() {
    mark();
    support::pend_urgent();
    mark();
}

fn fault() -> ! {
    *number() += 1;
    let n = *number();
    error!("fault", n, address = 0x1234_5678_u32, text = "from the fault handler");
    support::reset()
}

fn main() -> ! {
    let started = RECORDER.start(Config::DEFAULT);
    if started.boot == 1 {
        *number() = 0;
        mark();
        lines::climb();
        mark();
        lines::cause_fault();
    }
    const ALL: u32 = lines::MARKS + 3;
    assert_eq!(*number(), ALL);
    assert!(
        matches!(started.recovered, Recovered::Ring { event_count: ALL, abandoned_count: 0, damaged_count: 0 }),
        "{started:?}"
    );
    unsafe extern "C" {
        static _TTLOG_RING: [u8; RING_LEN];
    }
    // SAFETY: nothing logs meanwhile.
    let image = RingImage::parse(unsafe { &*ptr::addr_of!(_TTLOG_RING) }).expect("the ring was taken over");
    let mut expected = 0;
    let mut before = 0;
    for _ in 0..image.header().segment_count {
        let next = (0..image.header().segment_count)
            .filter_map(|index| match image.segment(index) {
                SegmentState::Valid(segment) if segment.header.sequence > before => Some(segment),
                _ => None,
            })
            .min_by_key(|segment| segment.header.sequence);
        let Some(segment) = next else { break };
        before = segment.header.sequence;
        for item in segment.items() {
            let Item::Event(record) = item else { panic!("{item:?}") };
            expected += 1;
            assert_eq!(record.payload[..4], u32::to_le_bytes(expected), "{record:?}");
        }
    }
    assert_eq!(expected, ALL);
    println!("{} events in order", ALL);
    support::succeed()
}
