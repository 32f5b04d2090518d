use std::vec;
use std::vec::Vec;

use super::*;
use crate::event::fields::{AnyFields, Cons, Fields, JoinedFields, Nil};
use crate::memory::kept::kept;
use crate::memory::word::Word;
use crate::record::packed::LOOSE_LEN;

#[derive(ttlog_macros::Value, Clone)]
struct Line {
    sku: &'static str,
    count: u16,
    price: f64,
    tags: &'static [u8],
}

#[derive(ttlog_macros::Value, Clone)]
enum Step {
    Start,
    Wait(u64, Option<i64>),
    Stop { why: &'static str, when: core::time::Duration },
}

#[derive(ttlog_macros::Value, Clone)]
struct Number<T>(T);

#[derive(ttlog_macros::Value, Clone)]
struct Shown(#[value(display)] &'static str, u8);

/// Packs what `put` puts, and returns the words.
fn packed(room_words: usize, put: impl FnOnce(&mut Packer)) -> Vec<u64> {
    let words: Vec<Word> = (0..room_words).map(|_| Word::new(0)).collect();
    // SAFETY: each caller states as many words as it has room for, and `words` outlives the packer.
    let mut packer = unsafe { Packer::new(words.as_ptr(), 0) };
    put(&mut packer);
    let (len, check) = packer.finish();
    checked(&words[..len], check)
}

/// As [`packed`], on the hot path, with room behind.
fn packed_small<F: Fields>(room_words: usize, fields: &F) -> Vec<u64> {
    let words: Vec<Word> = (0..1 + room_words + LOOSE_LEN / 8).map(|_| Word::new(0)).collect();
    // SAFETY: as in `packed`, with a word for the header and room behind.
    let mut packer = unsafe { Packer::loose_behind(words.as_ptr(), 0) };
    fields.put_small(&mut packer);
    let (len, check) = packer.finish_loose();
    checked(&words[1..1 + len], check)
}

/// Returns the words, whose exclusive or is `check`.
fn checked(words: &[Word], check: u64) -> Vec<u64> {
    assert_eq!(words.iter().fold(0, |xor, word| xor ^ word.load()), check);
    words.iter().map(Word::load).collect()
}

/// Compares the hot path with the general one, and both with the lengths that they promise.
fn assert_same<V: Value + ?Sized>(value: &V) {
    let fields = Cons(5_u16, Cons(value.native(), Cons("after", Nil)));
    let words = AnyFields::payload_words(&fields, usize::MAX);
    let whole = packed(words, |packer| AnyFields::put(&fields, packer, usize::MAX));
    assert_eq!(whole.len(), words);
    if fields.are_small() {
        fn bound<F: Fields>(fields: &F) -> usize {
            assert!(fields.content_len() <= F::CONTENT_LEN_MAX, "{:?}", F::TYPES);
            F::WIDE_WORDS + (F::SMALL_LEN_MAX + fields.content_len()).div_ceil(8)
        }
        let bound = bound(&fields);
        assert!(words <= bound, "{words} words, at most {bound} promised");
        let small = packed_small(bound, &fields);
        assert_eq!(small, whole);
    }
    let joined_words = JoinedFields::payload_words(&fields, usize::MAX);
    let joined = packed(joined_words, |packer| JoinedFields::put(&fields, packer, usize::MAX));
    assert_eq!(joined.len(), joined_words);
    // A cap applies to each text and sequence inside.
    let capped_words = AnyFields::payload_words(&fields, 3);
    assert_eq!(packed(capped_words, |packer| AnyFields::put(&fields, packer, 3)).len(), capped_words);
}

#[test]
fn both_paths_store_the_same() {
    // Miri is a thousand times slower.
    let lens = if cfg!(miri) { &[9, 250][..] } else { &[0, 1, 7, 8, 31, 249, 250, 600] };
    let numbers = if cfg!(miri) { &[15, u64::MAX][..] } else { &[0, 1, 15, 16, 1 << 20, 1 << 52, 1 << 53, u64::MAX] };
    for &len in lens {
        let text: &'static str = kept("x".repeat(len));
        let tags: &'static [u8] = kept(vec![7; len]);
        for &number in numbers {
            let line = Line { sku: text, count: number as u16, price: number as f64, tags };
            assert_same(&line);
            assert_same(&Some((line.clone(), number)));
            assert_same(&[Some(line)][..]);
            assert_same(&Step::Wait(number, Some(number.cast_signed())));
            assert_same(&(number, (text, Some(number), [number; 2], [1_u32, 2])));
            assert_same(&Number(number));
            assert_same(&Number(number.cast_signed()));
            assert_same(&Number(number as f64));
            assert_same(&Number(u128::from(number) << 64));
            assert_same(&Number(text));
            assert_same(&Number(Some(text)));
            assert_same(&Number(number as u16));
            assert_same(&Number([text, ""]));
            assert_same(&Number(Number((number, number as u8))));
        }
        assert_same(&Step::Start);
        assert_same(&Step::Stop { why: text, when: core::time::Duration::from_millis(len as u64) });
        #[cfg(feature = "alloc")]
        assert_same(&(std::string::String::from(text), tags.to_vec(), vec![Some(text); len / 8]));
        assert_same(&Shown(text, 9));
        assert_same(&(Shown(text, 9), Some(Shown(text, 8))));
    }
    assert_same(&(1_u8, core::net::IpAddr::from([0; 16]), core::net::SocketAddr::from(([1; 16], 5))));
    assert_same(&Some(core::time::Duration::MAX));
    assert_same(&(1_u8, 2_u16, 3_u32, 'c', true, 0.5_f32, -1_i8, -1_i16, -1_i32, 1_u128, 1_i128, ()));
}

#[test]
fn types_agree_with_their_native_values() {
    fn assert_agrees<T: Element + 'static>() {
        assert_eq!(<T as Element>::TYPE, <T::Native<'static> as Native>::TYPE);
        assert!(small_len_max(T::TYPE) >= <T::Native<'static> as Native>::SMALL_LEN_MAX);
        assert!(content_len_max(T::TYPE) >= <T::Native<'static> as Native>::CONTENT_LEN_MAX);
    }
    assert_agrees::<(bool, u8, u16, u32, u64)>();
    assert_agrees::<(u128, i8, i16, i32, i64, i128, f32, f64)>();
    assert_agrees::<(char, &'static str, &'static [u32], Option<[u64; 2]>)>();
    #[cfg(feature = "alloc")]
    assert_agrees::<(std::string::String, Vec<u32>, Vec<(Line, Step)>)>();
    assert_agrees::<(core::net::IpAddr, core::net::SocketAddr, core::time::Duration)>();
    assert_agrees::<(crate::record::UuidBytes, crate::record::UnixTime, Bytes)>();
    assert_agrees::<&'static [(Line, Step)]>();
    type Bytes = crate::record::Bytes<'static>;
}
