//! Spans across interrupts, left in another order than they were entered in, and open at a reset; then reads what is
//! left.
//!
//! Each record is checked against the one expected: what it does, and to which span.
#![no_std]
#![no_main]

use core::future::Future;
use core::pin::pin;
use core::ptr;
use core::task::{Context, Poll, Waker};

use support::println;
use ttlog_core::RingImage;
use ttlog_core::ring::{Item, SegmentState};
use ttlog_embedded::{
    Config, InSpanExt as _, Level, Recovered, Span, debug_scope, info, info_scope, info_span, record,
};

support::entry!(main);
support::urgent_handler!(urgent);

const RING_LEN: usize = 2048;
ttlog_embedded::recorder!(static RECORDER: 2048, segment_len = 256);

/// Records in the order in which they are made: number of payload words, and the first half of the first.
const EXPECTED: [(usize, u32); 24] = [
    (1, 1),    // the main loop begins
    (1, 2),    // the interrupt begins
    (1, 0x77), // its event
    (1, 2),    // the interrupt finishes
    (1, 3),    // a span with a field starts
    (1, 3),    // is entered
    (1, 4),    // its child, with a named parent, begins
    (1, 3),    // is left before its child
    (1, 3),    // gets a value
    (1, 4),    // the child finishes
    (1, 3),    // ends
    (1, 5),    // a function begins
    (1, 5),    // finishes
    (1, 6),    // a future: starts
    (1, 6),    // is entered
    (1, 0x88), // its event
    (1, 6),    // is left
    (1, 6),    // is entered
    (1, 6),    // is left
    (1, 6),    // is entered, to be dropped
    (1, 6),    // is left
    (1, 6),    // ends
    (1, 7),    // the last one begins
    (0, 0),    // an event in it
];

/// The most urgent interrupt: NMI, on RISC-V the software interrupt.
fn urgent() {
    let _scope = info_scope!("interrupt");
    info!("in the interrupt", n = core::hint::black_box(0x77_u32));
}

#[ttlog_embedded::instrument]
fn function(x: u16) -> u16 {
    x + 1
}

/// Is ready at the second poll.
async fn twice() {
    info!("in the future", n = core::hint::black_box(0x88_u32));
    let mut polled = false;
    core::future::poll_fn(move |_| if core::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending })
        .await;
}

fn first_boot() {
    let main = info_scope!("main loop");
    support::pend_urgent();
    support::delay(100);
    let span = info_span!("work", size = core::hint::black_box(9_u16));
    let entered = span.enter();
    let child = info_scope!(parent: &span, "child");
    drop(entered);
    record!(span, result = core::hint::black_box(3_u16));
    drop(child);
    drop(span);
    assert_eq!(function(1), 2);
    {
        let mut future = pin!(twice().in_span(info_span!("future")));
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert!(future.as_mut().poll(&mut context).is_ready());
    }
    // Off: costs no id.
    ttlog_core::device::callsite::set_level(Some(Level::Info));
    let off = debug_scope!("off");
    assert!(off.is_none() && Span::current().is_none());
    drop(off);
    core::mem::forget(main);
    let _last = info_scope!("last");
    info!("before the reset");
    support::reset()
}

fn main() -> ! {
    let started = RECORDER.start(Config::DEFAULT);
    if started.boot == 1 {
        first_boot();
    }
    const ALL: u32 = EXPECTED.len() as u32;
    assert!(
        matches!(started.recovered, Recovered::Ring { event_count: ALL, abandoned_count: 0, damaged_count: 0 }),
        "{started:?}"
    );
    unsafe extern "C" {
        static _TTLOG_RING: [u8; RING_LEN];
    }
    // SAFETY: nothing logs meanwhile.
    let image = RingImage::parse(unsafe { &*ptr::addr_of!(_TTLOG_RING) }).expect("the ring was taken over");
    let (mut at, mut before) = (0, 0);
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
            let (words, half) = EXPECTED[at];
            assert_eq!(record.payload.len(), words * 8, "record {at}: {record:?}");
            if words > 0 {
                assert_eq!(record.payload[..4], u32::to_le_bytes(half), "record {at}: {record:?}");
            }
            at += 1;
        }
    }
    assert_eq!(at, EXPECTED.len());
    println!("{} records of spans and events in order", at);
    support::succeed()
}
