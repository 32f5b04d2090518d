//! Interrupts log calls at every instruction in turn, and checks the ring each time.
//!
//! The timer fires after a fixed number of instructions; a delay before the calls, one instruction shorter each time,
//! moves it through them. The first argument chooses what happens then:
//!
//! - 0: the machine is reset. The next start takes over the ring.
//! - 1: the interrupt reads the ring, as a probe would, logs, and the calls continue.
//! - 2: the interrupt logs and resets the machine.
//! - 3: the interrupt logs, a more urgent one interrupts it and logs, and the calls continue.
//!
//! Calls are numbered, separately in the main program and in interrupts. A call that a reset cut off and that is not in
//! the ring is repeated under its number. So the numbers in the ring have no gaps, and the highest is that of the last
//! call that returned, or of the one that was cut off. All events ever are those in the ring and those that it counts
//! as replaced.
//!
//! The second argument is the number of passes. Prints the number of `points`, how many of them were inside of calls,
//! and how many of the calls that were cut off left nothing, a reservation, and an event.
#![no_std]
#![no_main]

use core::ptr;
use core::sync::atomic::{Ordering, compiler_fence};

use support::println;
use ttlog_core::RingImage;
use ttlog_core::ring::{Item, Segment, SegmentState};
use ttlog_embedded::{Clock, Config, Level, Recovered, info, warn};

support::entry!(main);
support::timer_handler!(timer);
support::urgent_handler!(urgent);

const RING_LEN: usize = 1024;
ttlog_embedded::recorder!(static RECORDER: 1024);

/// Most segments in a ring of this length.
const SEGMENTS_MAX: usize = 8;
/// Approximate instructions until the interrupt: more than the calls take.
const UNTIL_INTERRUPT: u32 = 6000;
/// Calls in a row.
const BURST: u32 = 5;
const KINDS: usize = 7;
/// Kinds of the main program; the others are those of interrupts.
const MAIN_KINDS: usize = 5;
const MAGIC: u32 = 0x5EE9_0001;

/// State that survives resets. Accessed only with `get!` and `set!`, so that each access happens where it is written.
#[repr(C)]
#[derive(Clone, Copy)]
struct State {
    magic: u32,
    mode: u32,
    passes_left: u32,
    /// Ticks of the timer until the interrupt, and a delay that is longer than they are.
    ticks: u32,
    first_delay: u32,
    delay: u32,
    /// Whether a point is being tried: the timer runs.
    is_trying: u32,
    /// Whether the timer has interrupted.
    has_fired: u32,
    /// Numbers of the last calls of main program and interrupts: begun, and returned.
    begun: [u32; 2],
    returned: [u32; 2],
    callsites: [u32; KINDS],
    points: u32,
    inside: u32,
    /// Calls that were cut off and left: nothing, a reservation, an event.
    outcomes: [u32; 3],
    /// Reservations without an event in the ring, at the last check.
    pending: u32,
}

#[unsafe(link_section = ".uninit.sweep")]
static mut STATE: core::mem::MaybeUninit<State> = core::mem::MaybeUninit::uninit();

macro_rules! get {
    ($($field:tt)+) => {
        // SAFETY: one core; an interrupt leaves no half-written word, and the words are numbers.
        unsafe { ptr::read_volatile(&raw const (*(&raw const STATE).cast::<State>()).$($field)+) }
    };
}
macro_rules! set {
    ($value:expr => $($field:tt)+) => {{
        let value = $value;
        compiler_fence(Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { ptr::write_volatile(&raw mut (*(&raw mut STATE).cast::<State>()).$($field)+, value) };
        compiler_fence(Ordering::SeqCst);
    }};
}

const TEXT: &str = "the quick brown fox jumps over the lazy dog";

fn text_of(number: u32) -> &'static str {
    &TEXT[..number as usize % 20]
}

fn long_of(number: u32) -> u64 {
    u64::from(number) << 20 | 0xA_BCDE
}

fn kind_of(stream: usize, number: u32) -> usize {
    match stream {
        0 => number as usize % MAIN_KINDS,
        _ => MAIN_KINDS + number as usize % (KINDS - MAIN_KINDS),
    }
}

/// The only place of each call, so that each kind has one callsite.
#[inline(never)]
fn log(kind: usize, number: u32) {
    match kind {
        0 => info!("none"),
        1 => info!("two", number, inverse = !number),
        2 => info!("four", number, triple = number.wrapping_mul(3), mixed = number ^ 0x5555_5555, inverse = !number),
        3 => info!("text", number, text = text_of(number)),
        4 => info!("long", long = long_of(number)),
        5 => warn!("interrupt", number),
        _ => warn!("interrupt with text", text = text_of(number), number),
    }
}

/// Whether the values are those of the call.
fn is_payload_of(kind: usize, number: u32, payload: &[u8]) -> bool {
    let mut expected = [0; 40];
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        expected[len..len + bytes.len()].copy_from_slice(bytes);
        len += bytes.len();
    };
    let text = text_of(number).as_bytes();
    match kind {
        0 => {}
        1 => [number, !number].iter().for_each(|value| put(&value.to_le_bytes())),
        2 => [number, number.wrapping_mul(3), number ^ 0x5555_5555, !number]
            .iter()
            .for_each(|value| put(&value.to_le_bytes())),
        3 => {
            put(&number.to_le_bytes());
            put(&[text.len() as u8]);
            put(text);
        }
        4 => {
            // A number whose lowest bits are the count of bytes that follow; it has fewer than 53 bits.
            let value = long_of(number) << 3;
            let top_bit = (value | 1).ilog2();
            put(&(value | u64::from(top_bit / 8)).to_le_bytes()[..top_bit as usize / 8 + 1]);
        }
        5 => put(&number.to_le_bytes()),
        _ => {
            put(&[text.len() as u8]);
            put(text);
            put(&number.to_le_bytes());
        }
    }
    // Records end with a whole word.
    payload == &expected[..len.next_multiple_of(8)]
}

/// Makes the next call of a stream.
fn call(stream: usize) {
    let number = get!(begun[stream]) + 1;
    set!(number => begun[stream]);
    log(kind_of(stream, number), number);
    set!(number => returned[stream]);
}

fn ring_bytes() -> &'static [u8] {
    unsafe extern "C" {
        static _TTLOG_RING: [u8; RING_LEN];
    }
    let ring = &raw const _TTLOG_RING;
    // SAFETY: one core, and no writer interrupts a reader.
    unsafe { &*ring }
}

/// The events found in the ring.
struct Seen {
    events: u32,
    pending: u32,
    /// Highest number of each stream in the ring; the last that returned, if the ring has none of the stream.
    newest: [u32; 2],
}

/// The number that the next older event of a stream must have.
#[derive(Clone, Copy)]
enum Next {
    /// The newest: that of the last call that returned, or of one that has begun since.
    Newest,
    Exactly(u32),
    /// A segment in between was replaced before older ones. `is_after_none`: an event of the kind without a number
    /// followed.
    Below {
        bound: u32,
        is_after_none: bool,
    },
}

/// Returns the number in an event of the main program or an interrupt; `None` if its kind has none.
fn number_in(kind: usize, payload: &[u8]) -> Option<u32> {
    let at = match kind {
        0 => return None,
        4 => {
            let word = u64::from_le_bytes(payload.get(..8)?.try_into().ok()?);
            let len = 8 * ((word & 7) as u32 + 1);
            return Some(((word & u64::MAX >> (64 - len)) >> 3 >> 20) as u32);
        }
        6 => 1 + usize::from(*payload.first()?),
        _ => 0,
    };
    Some(u32::from_le_bytes(payload.get(at..at + 4)?.try_into().ok()?))
}

/// Checks the next older event of a stream. `Err` holds the number that it should have.
fn step(stream: usize, next: Next, kind: usize, payload: &[u8]) -> Result<Next, u32> {
    let number = match next {
        Next::Newest => {
            let (returned, begun) = (get!(returned[stream]), get!(begun[stream]));
            if kind_of(stream, begun) == kind { begun } else { returned }
        }
        Next::Exactly(number) => number,
        Next::Below { bound, is_after_none } => match number_in(kind, payload) {
            None if is_after_none => return Err(bound), // no two of them in a row
            None => return Ok(Next::Below { bound, is_after_none: true }),
            Some(number) if is_after_none && kind_of(stream, number + 1) != 0 => return Err(number + 1),
            Some(number) if number + u32::from(is_after_none) > bound => return Err(bound),
            Some(number) => number,
        },
    };
    let is_right = number > 0 && kind_of(stream, number) == kind && is_payload_of(kind, number, payload);
    if is_right { Ok(Next::Exactly(number - 1)) } else { Err(number) }
}

/// Returns the segments that hold records, newest first.
fn segments<'a>(image: &RingImage<'a>, view: &str) -> [Option<Segment<'a>>; SEGMENTS_MAX] {
    let mut segments = [const { None }; SEGMENTS_MAX];
    for (index, place) in (0..image.header().segment_count).zip(&mut segments) {
        *place = match image.segment(index) {
            SegmentState::Unused | SegmentState::Opening { .. } => None,
            SegmentState::Damaged(error) => panic!("{view}: segment {index}: {error}"),
            SegmentState::Valid(segment) => Some(segment),
        };
    }
    segments.sort_unstable_by_key(|segment| !segment.as_ref().map_or(0, |segment: &Segment| segment.header.sequence));
    segments
}

/// Reads the ring, and panics if anything is wrong. `view` says when that is.
fn check(view: &str) -> Seen {
    let image = RingImage::parse(ring_bytes()).unwrap_or_else(|error| panic!("{view}: {error}"));
    let mut seen = Seen { events: 0, pending: 0, newest: [get!(returned[0]), get!(returned[1])] };
    let mut next = [Next::Newest; 2];
    let mut before = u64::MAX;
    let mut reserved = 0;
    for segment in segments(&image, view).into_iter().flatten() {
        let is_gap = before != u64::MAX && segment.header.sequence + 1 != before;
        before = segment.header.sequence;
        for next in &mut next {
            if let (Next::Exactly(bound), true) = (*next, is_gap) {
                *next = Next::Below { bound, is_after_none: false };
            }
        }
        reserved += segment.header.count;
        let mut records = [None; 16];
        let mut count = 0;
        let mut items = segment.items();
        for item in &mut items {
            match item {
                Item::Event(record) => {
                    records[count] = Some(record);
                    count += 1;
                }
                Item::Pending { .. } => seen.pending += 1,
                other => panic!("{view}: {other:?} in the segment of sequence {before}"),
            }
        }
        assert_eq!(items.missing(), 0, "{view}: missing in the segment of sequence {before}");
        for record in records[..count].iter().rev().flatten() {
            seen.events += 1;
            let kind = (0..KINDS).find(|kind| get!(callsites[*kind]) == u32::from(record.callsite));
            let Some(kind) = kind else { panic!("{view}: an event of callsite {}", record.callsite) };
            let stream = usize::from(kind >= MAIN_KINDS);
            let is_newest = matches!(next[stream], Next::Newest);
            next[stream] = step(stream, next[stream], kind, record.payload).unwrap_or_else(|number| {
                panic!(
                    "{view}, delay {}: in place of number {number} of stream {stream} there is {kind}: {:02x?}",
                    get!(delay),
                    record.payload
                )
            });
            if let (Next::Exactly(number), true) = (next[stream], is_newest) {
                seen.newest[stream] = number + 1;
            }
        }
    }
    let loss = image.loss();
    let all = u64::from(seen.events) + loss.overwritten + loss.dropped_total();
    let calls = u64::from(seen.newest[0]) + u64::from(seen.newest[1]);
    assert_eq!(
        all,
        calls,
        "{view}, delay {}: {} events, {loss:?}, {} pending; of {calls} calls",
        get!(delay),
        seen.events,
        seen.pending
    );
    assert!(reserved >= seen.events, "{view}: {reserved} reserved, {} events", seen.events);
    assert_eq!(loss.dropped_total(), 0, "{view}: {loss:?}");
    seen
}

fn timer() {
    set!(1 => has_fired);
    if get!(is_trying) == 0 {
        return; // calibrating
    }
    match get!(mode) {
        0 => support::reset(),
        1 => {
            check("in the interrupt");
            call(1);
        }
        2 => {
            call(1);
            support::reset();
        }
        _ => {
            call(1);
            support::pend_urgent();
            call(1);
        }
    }
}

fn urgent() {
    call(1);
}

/// Returns the least delay during which a timer of `ticks` interrupts.
fn calibrate(ticks: u32) -> u32 {
    set!(0 => is_trying);
    let (mut short, mut long) = (16, 60_000);
    while short + 1 < long {
        let delay = (short + long) / 2;
        set!(0 => has_fired);
        support::arm_timer(ticks);
        support::delay(delay);
        let has_fired = get!(has_fired) == 1;
        support::stop_timer();
        if has_fired { long = delay } else { short = delay }
    }
    long
}

/// Finds the ids of the callsites.
fn learn() {
    for kind in 0..KINDS {
        log(kind, 0);
        let image = RingImage::parse(ring_bytes()).expect("a ring that was just made");
        let newest = (0..image.header().segment_count)
            .filter_map(|index| match image.segment(index) {
                SegmentState::Valid(segment) => Some(segment),
                _ => None,
            })
            .max_by_key(|segment| segment.header.sequence)
            .expect("a segment");
        let last = newest.items().filter_map(|item| match item {
            Item::Event(record) => Some(record.callsite),
            _ => None,
        });
        set!(u32::from(last.last().expect("the event")) => callsites[kind]);
    }
}

fn main() -> ! {
    let config = Config { clock: Clock::NONE, level: Some(Level::Trace), ..Config::DEFAULT };
    if get!(magic) != MAGIC {
        // SAFETY: the state is this program's, and nothing interrupts yet.
        unsafe { (&raw mut STATE).write(core::mem::MaybeUninit::zeroed()) };
        set!(support::argument(0) => mode);
        set!(support::argument(1).max(1) => passes_left);
        RECORDER.start(config);
        learn();
        set!(UNTIL_INTERRUPT * 16 / calibrate(16) => ticks);
        set!(calibrate(get!(ticks)) + 40 => first_delay);
        set!(get!(first_delay) => delay);
        set!(MAGIC => magic);
        // Starts from an empty ring, so that the first numbers are the first events.
        // SAFETY: nothing logs until the reset.
        unsafe { (ring_bytes().as_ptr().cast_mut()).write_bytes(0, RING_LEN) };
        support::reset();
    }
    let is_first = get!(points) == 0 && get!(is_trying) == 0;
    if get!(is_trying) == 1 && get!(has_fired) == 1 {
        after_reset(config);
    } else {
        let started = RECORDER.start(config);
        assert!(is_first && started.recovered == Recovered::Nothing, "{started:?}");
    }
    loop {
        point();
    }
}

/// Checks the ring that a reset left.
fn after_reset(config: Config) {
    let raw = check("before the start");
    let started = RECORDER.start(config);
    let taken = check("after the start");
    let Recovered::Ring { event_count, abandoned_count, damaged_count } = started.recovered else {
        panic!("the ring was not taken over: {started:?}")
    };
    assert_eq!((event_count, damaged_count), (taken.events, 0), "{started:?}");
    assert_eq!((raw.events, raw.newest), (taken.events, taken.newest), "the start changed what is there");
    assert_eq!((abandoned_count, raw.pending), (taken.pending, taken.pending), "{started:?}");
    // The ring replaces them eventually, so there may be fewer than before.
    assert!(taken.pending <= get!(pending) + 1, "{} pending, after {}", taken.pending, get!(pending));
    for stream in 0..2 {
        let (begun, returned) = (get!(begun[stream]), get!(returned[stream]));
        if begun == returned {
            continue;
        }
        let outcome = if taken.newest[stream] == begun {
            2
        } else if taken.pending > get!(pending) {
            1
        } else {
            0
        };
        set!(get!(outcomes[outcome]) + 1 => outcomes[outcome]);
        set!(get!(inside) + 1 => inside);
        // A call in the ring counts as returned; otherwise it is repeated.
        set!(taken.newest[stream] => begun[stream]);
        set!(taken.newest[stream] => returned[stream]);
    }
    set!(taken.pending => pending);
    next_point(true);
}

/// Tries a point. Does not return if it ends with a reset.
fn point() {
    for _ in 0..get!(points) % 4 {
        call(0);
    }
    set!(0 => has_fired);
    set!(1 => is_trying);
    support::arm_timer(get!(ticks));
    support::delay(get!(delay));
    for _ in 0..BURST {
        let fired_before = get!(has_fired);
        call(0);
        if get!(has_fired) != fired_before {
            set!(get!(inside) + 1 => inside);
        }
    }
    let has_fired = get!(has_fired) == 1;
    support::stop_timer();
    set!(0 => is_trying);
    set!(check("after").pending => pending);
    next_point(has_fired);
}

fn next_point(has_fired: bool) {
    set!(0 => is_trying);
    set!(get!(points) + 1 => points);
    set!(get!(delay) - 1 => delay);
    if has_fired {
        assert!(get!(delay) > 16, "the calls are longer than the time until the interrupt");
        return;
    }
    // End of the pass: the calls were over before the timer fired.
    set!(get!(passes_left) - 1 => passes_left);
    set!(get!(first_delay) => delay);
    if get!(passes_left) == 0 {
        let [nothing, reservation, event] = get!(outcomes);
        println!(
            "points {} inside {} nothing {} reservation {} event {}",
            get!(points),
            get!(inside),
            nothing,
            reservation,
            event
        );
        support::succeed();
    }
}
