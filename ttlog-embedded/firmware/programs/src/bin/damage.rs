//! Starts on damaged memory: must take over the ring or make a new one, and never hang, fault, or show an event that
//! never happened.
//!
//! The first argument chooses the damage before each reset; the second is the number of trials, 0 for all:
//!
//! - 0: all memory of the ring is random, or one value.
//! - 1: one bit is flipped, each in turn.
//! - 2: one word of the headers of ring and segments is replaced by one of a few values, each in turn.
//! - 3: the header is intact, the segments are random.
#![no_std]
#![no_main]

use support::println;
use ttlog_core::RingImage;
use ttlog_core::ring::{Item, SegmentState};
use ttlog_embedded::{Config, Recovered, info};

support::entry!(main);

const RING_LEN: usize = 1024;
const RING_WORDS: usize = RING_LEN / 8;
ttlog_embedded::recorder!(static RECORDER: 1024);

const MAGIC: u32 = 0xDA3A_6E01;
/// Events before each reset; more than fit into the ring.
const EVENTS: u32 = 60;
/// Events after it.
const MORE: u32 = 3;
const PATTERNS: u32 = 6;

#[repr(C)]
struct State {
    magic: u32,
    mode: u32,
    trials: u32,
    trial: u32,
    random: u64,
    taken: u32,
    fresh: u32,
    /// Events in the undamaged ring, and the fewest that were left after damage.
    whole: u32,
    fewest: u32,
    callsite: u32,
    /// The undamaged ring.
    ring: [u64; RING_WORDS],
}

#[unsafe(link_section = ".uninit.damage")]
static mut STATE: core::mem::MaybeUninit<State> = core::mem::MaybeUninit::uninit();

fn ring() -> *mut u64 {
    unsafe extern "C" {
        static _TTLOG_RING: u64;
    }
    (&raw const _TTLOG_RING).cast_mut()
}

fn mix(n: u32) -> u32 {
    n.wrapping_mul(0x9E37_79B9) ^ 0x1234_5678
}

#[inline(never)]
fn mark(n: u32) {
    info!("mark", n, mixed = mix(n));
}

/// Counts the events in the ring below `split`, and from `split` on. Panics if one of them never happened.
fn count(state: &State, split: u32) -> (u32, u32) {
    // SAFETY: nothing logs meanwhile.
    let bytes = unsafe { &*ring().cast::<[u8; RING_LEN]>() };
    let image = RingImage::parse(bytes).unwrap_or_else(|error| panic!("trial {}: {error}", state.trial));
    let (mut old, mut new) = (0, 0);
    let mut before = 0;
    let mut last = 0;
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
            let Item::Event(record) = item else { continue };
            // Every reader detects a length that is not that of the callsite's fields.
            let is_known = u32::from(record.callsite) == state.callsite;
            if is_known && record.payload.len() != 8 {
                continue;
            }
            let word = u64::from_le_bytes(record.payload.try_into().unwrap_or_default());
            let (n, mixed) = (word as u32, (word >> 32) as u32);
            let is_true = is_known && mixed == mix(n) && n > last && n <= EVENTS + MORE;
            assert!(is_true, "trial {}: no such event: {record:02x?} after {last}", state.trial);
            last = n;
            if n < split {
                old += 1;
            } else {
                new += 1;
            }
        }
    }
    (old, new)
}

fn random(state: &mut State) -> u64 {
    // Xorshift.
    state.random ^= state.random << 13;
    state.random ^= state.random >> 7;
    state.random ^= state.random << 17;
    state.random
}

/// Writes the ring to memory with the damage of the trial.
fn damage(state: &mut State) {
    let mut words = state.ring;
    let trial = state.trial;
    match state.mode {
        0 => {
            let value = [0, u64::MAX, 0xAAAA_AAAA_AAAA_AAAA, 0x5555_5555_5555_5555].get(trial as usize).copied();
            words.fill_with(|| value.unwrap_or_else(|| random(state)));
        }
        1 => words[trial as usize / 64] ^= 1 << (trial % 64),
        2 => {
            let word = header_word(trial as usize / PATTERNS as usize);
            words[word] = match trial % PATTERNS {
                0 => 0,
                1 => u64::MAX,
                2 => !words[word],
                3 => words[word].wrapping_add(1),
                4 => words[word].rotate_left(32),
                _ => random(state),
            };
        }
        _ => words[HEADER_WORDS..].fill_with(|| random(state)),
    }
    for (index, word) in words.iter().enumerate() {
        // SAFETY: nothing logs until the reset.
        unsafe { ring().add(index).write_volatile(*word) };
    }
}

/// Header of a ring that remembers two sessions.
const HEADER_WORDS: usize = (168 + 2 * 48) / 8;
const SEGMENT_WORDS: usize = 128 / 8;
const SEGMENT_HEADER_WORDS: usize = 6;
const SEGMENTS: usize = (RING_WORDS - HEADER_WORDS) / SEGMENT_WORDS;

/// Returns the position of the word at `index` of all headers.
fn header_word(index: usize) -> usize {
    match index.checked_sub(HEADER_WORDS) {
        None => index,
        Some(rest) => HEADER_WORDS + rest / SEGMENT_HEADER_WORDS * SEGMENT_WORDS + rest % SEGMENT_HEADER_WORDS,
    }
}

fn main() -> ! {
    // SAFETY: used only here; every bit pattern is valid for numbers.
    let state = unsafe { &mut *(&raw mut STATE).cast::<State>() };
    let started = RECORDER.start(Config::DEFAULT);
    if state.magic != MAGIC {
        state.mode = support::argument(0);
        state.trials = match (support::argument(1), state.mode) {
            (0, 1) => RING_LEN as u32 * 8,
            (0, 2) => (HEADER_WORDS + SEGMENTS * SEGMENT_HEADER_WORDS) as u32 * PATTERNS,
            (0, _) => 1000,
            (some, _) => some,
        };
        (state.trial, state.taken, state.fresh, state.fewest) = (0, 0, 0, u32::MAX);
        state.random = 0x9E37_79B9_7F4A_7C15;
        state.callsite = 1; // the only one
        for n in 1..=EVENTS {
            mark(n);
        }
        state.whole = count(state, EVENTS + 1).0;
        for (index, word) in state.ring.iter_mut().enumerate() {
            // SAFETY: nothing logs meanwhile.
            *word = unsafe { ring().add(index).read_volatile() };
        }
        state.magic = MAGIC;
    } else {
        let (old, _) = count(state, EVENTS + 1);
        match started.recovered {
            Recovered::Nothing => {
                assert_eq!((old, started.boot), (0, 1), "trial {}", state.trial);
                state.fresh += 1;
            }
            Recovered::Ring { event_count, .. } => {
                // In a damaged segment it counts up to the damage.
                assert!(event_count <= old, "trial {}: {old}, {started:?}", state.trial);
                state.taken += 1;
                state.fewest = state.fewest.min(old);
            }
        }
        // Whatever it found, it records.
        for n in EVENTS + 1..=EVENTS + MORE {
            mark(n);
        }
        assert_eq!(count(state, EVENTS + 1).1, MORE, "trial {}: {started:?}", state.trial);
        state.trial += 1;
    }
    if state.trial == state.trials {
        println!(
            "trials {} taken {} fresh {} whole {} fewest {}",
            state.trials, state.taken, state.fresh, state.whole, state.fewest
        );
        support::succeed();
    }
    damage(state);
    support::reset()
}
