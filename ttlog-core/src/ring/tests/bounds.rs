//! Nothing is stored behind a segment, however its last record ends.

use super::*;
use crate::event::capture::Elements;
use crate::event::fields::Fields;
use crate::record::Bytes;

const CANARY: u64 = 0xCA9A_4CA9_A4CA_9A4C;

/// Fills the only segment of a ring several times with events, and compares what is behind it.
fn fill<F: Fields>(fields: impl Fn(usize) -> F) {
    let len = CONFIG.overhead_len() + CONFIG.segment_len as usize;
    for first in 0..rounds(24) {
        let memory = words(len + 64);
        let (words, behind) = memory.split_at(len / 8);
        behind.iter().for_each(|word| word.store(CANARY));
        let ring = Ring::create(words, &CONFIG).unwrap();
        let (cursor, who) = (Cursor::new(), who(1));
        let mut emitted = 0;
        for round in 0..rounds(200) {
            // As good as random, so that records end anywhere.
            let number = (first * 1000 + round).wrapping_mul(0x9E37_79B9) >> 8;
            let fields = fields(number & 0xFFFF);
            if !cursor.append_small(9, emitted, &fields) && !cursor.append_plain(9, emitted, &fields) {
                cursor.append_slow(&ring, &|| emitted, &who, 9, &fields);
            }
            emitted += 1;
            assert!(behind.iter().all(|word| word.load() == CANARY), "event {emitted} of {:?}", F::TYPES);
        }
        let loss = ring.loss();
        assert_eq!(retained(&ring) + loss.overwritten + loss.dropped_total(), emitted);
    }
}

/// Returns the number of events in the ring, of which nothing is damaged.
fn retained(ring: &Ring<'_>) -> u64 {
    let image = image_of(ring);
    let image = RingImage::parse(&image).unwrap();
    let SegmentState::Valid(segment) = image.segment(0) else { panic!("its header is damaged") };
    segment.items().fold(0, |count, item| match item {
        Item::Event(_) => count + 1,
        Item::Context(_) => count,
        other => panic!("{other:?}"),
    })
}

const TEXT: &str = "a text from which tests take as many letters as they want, up to a hundred or so, and no more";

const NUMBERS: [u16; 20] = [7; 20];

/// Returns a text, mostly a short one: these leave the most room behind them.
fn text(number: usize) -> &'static str {
    &TEXT[..if number.is_multiple_of(16) { number / 16 % TEXT.len() } else { number / 16 % 20 }]
}

#[test]
fn nothing_is_stored_behind_a_segment() {
    fill(|_| Nil);
    fill(|number| Cons(number as u16, Nil));
    fill(|number| Cons(1_u64.rotate_left(number as u32 * 11), Nil));
    fill(|number| Cons(text(number), Nil));
    fill(|number| Cons(Bytes(text(number).as_bytes()), Nil));
    fill(|number| Cons(text(number), Cons(text(number / 3), Nil)));
    fill(|number| Cons(number as u8, Cons(text(number), Nil)));
    fill(|number| Cons(text(number), Cons(1_u64 << (number % 64), Cons(0.5_f64, Nil))));
    fill(|number| Cons(Some(text(number)), Nil));
    fill(|number| Cons(Elements(&NUMBERS[..number % NUMBERS.len()]), Nil));
}
