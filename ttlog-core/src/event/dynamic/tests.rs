use std::format;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::*;
use crate::memory::kept::kept;
use crate::record::packed::Unpacker;
use crate::record::types::Type;
use crate::record::value::{ValueRef, decode_packed};

/// Reads a payload of values that carry their types, and returns each as text.
fn read(payload: &[u8]) -> Vec<String> {
    const ANY: [u8; 1] = [Type::Any.tag()];
    let mut from = Unpacker::new(payload);
    let mut shown = Vec::new();
    while !from.rest().is_empty() {
        shown.push(match decode_packed(&ANY, &mut from).expect("a value") {
            ValueRef::Absent => "absent".into(),
            ValueRef::Any(any) => match any.value() {
                ValueRef::Str(text) | ValueRef::Display(text) | ValueRef::Debug(text) => {
                    format!("{}|{:?}", text.text, text.full_len)
                }
                ValueRef::Bytes(blob) => format!("{:?}|{:?}", blob.bytes, blob.full_len),
                ValueRef::Error(texts) => {
                    let full_len = texts.full_len;
                    let texts: Vec<_> = texts
                        .map(|text| match text {
                            ValueRef::Str(text) => format!("{}|{:?}", text.text, text.full_len),
                            other => panic!("{other:?}"),
                        })
                        .collect();
                    format!("{texts:?}|{full_len:?}")
                }
                value => format!("{value:?}"),
            },
            other => panic!("{other:?}"),
        });
    }
    shown
}

/// Encodes `count` fields into a buffer of `len` bytes and the padding.
fn encoded(len: usize, count: usize, encode: impl FnOnce(&mut DynamicValues<'_>)) -> Vec<u8> {
    let mut out = vec![u64::MAX; len / 8 + 1];
    let mut values = DynamicValues::new(&mut out, count);
    encode(&mut values);
    while values.left() > 0 {
        values.absent();
    }
    let len_bytes = values.len_bytes();
    let mut payload: Vec<u8> = values.finish().iter().flat_map(|word| word.to_le_bytes()).collect();
    assert!(payload.len().next_multiple_of(8) == payload.len() && payload.len() - len_bytes < 8);
    assert!(payload.drain(len_bytes..).all(|padding| padding == 0));
    payload
}

#[derive(Debug)]
struct Chain(usize);

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "level {}", self.0)
    }
}

impl Error for Chain {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        (self.0 > 0).then(|| kept(Chain(self.0 - 1)) as &(dyn Error + 'static))
    }
}

#[test]
fn every_value_is_read_back() {
    let payload = encoded(512, 12, |values| {
        values.bool(true);
        values.u64(u64::MAX);
        values.i64(-1);
        values.u128(u128::MAX);
        values.i128(i128::MIN);
        values.f64(0.5);
        values.char('λ');
        values.unit();
        values.str("text");
        values.blob(&[1, 2]);
        values.absent();
        values.error(&Chain(2));
        assert_eq!(values.left(), 0);
    });
    assert_eq!(
        read(&payload),
        [
            "Bool(true)",
            "Unsigned(18446744073709551615)",
            "Signed(-1)",
            "U128(340282366920938463463374607431768211455)",
            "I128(-170141183460469231731687303715884105728)",
            "F64(0.5)",
            "Char('λ')",
            "Unit",
            "text|None",
            "[1, 2]|None",
            "absent",
            "[\"level 2|None\", \"level 1|None\", \"level 0|None\"]|None",
        ]
    );
}

#[test]
fn missing_values_are_absent_and_surplus_ones_ignored() {
    assert_eq!(read(&encoded(64, 3, |values| values.u64(1))), ["Unsigned(1)", "absent", "absent"]);
    let payload = encoded(64, 1, |values| {
        values.u64(1);
        values.u64(2);
        values.str("three");
        values.display(&4);
        values.error(&Chain(1));
        values.blob(&[5]);
        values.id(6);
    });
    assert_eq!(read(&payload), ["Unsigned(1)"]);
}

#[test]
fn texts_are_cut_where_the_room_ends() {
    let long = "λ".repeat(400);
    for len in (32..900).step_by(if cfg!(miri) { 96 } else { 8 }) {
        for kind in 0..4 {
            let payload = encoded(len, 3, |values| {
                match kind {
                    0 => values.str(&long),
                    1 => values.display(&long),
                    2 => values.message(&format_args!("{}{}", &long[..400], &long[400..])),
                    _ => values.blob(long.as_bytes()),
                }
                values.u64(7);
                values.bool(false);
            });
            assert!(payload.len() <= len);
            let shown = read(&payload);
            assert_eq!(shown[1..], ["Unsigned(7)", "Bool(false)"], "{len} {kind}");
            let (text, full_len) = shown[0].rsplit_once('|').expect("a text");
            if kind < 3 {
                assert!(long.starts_with(text));
                let is_whole = text.len() == long.len();
                assert_eq!(full_len, if is_whole { "None" } else { "Some(800)" }, "{len} {kind}");
                assert!(is_whole || text.len() + 32 + 20 >= len.min(800), "{} of {len} are used", text.len());
            }
        }
    }
}

#[test]
fn short_long_and_formatted_texts_have_the_same_lengths() {
    for len in [0, 1, 7, 8, 248, 249, 250, 251, 1000] {
        let text = "x".repeat(len);
        let payload = encoded(4096, 3, |values| {
            values.str(&text);
            values.display(&text);
            values.debug(&format_args!("{text}"));
        });
        assert_eq!(read(&payload), vec![format!("{text}|None"); 3], "{len}");
    }
}

#[test]
fn a_number_without_room_states_its_length() {
    let payload = encoded(24, 2, |values| {
        values.u128(5);
        values.i128(6);
    });
    assert_eq!(read(&payload), ["|Some(16)", "|Some(16)"]);
}

#[test]
fn long_chains_are_counted() {
    let shown = read(&encoded(1024, 1, |values| values.error(&Chain(20)))).remove(0);
    assert!(shown.starts_with("[\"level 20|None\", \"level 19|None\""), "{shown}");
    assert!(shown.contains("level 13|None") && !shown.contains("level 12|") && shown.ends_with("|Some(21)"), "{shown}");
    for len in (16..150).step_by(8) {
        let payload = encoded(len, 1, |values| values.error(&Chain(20)));
        assert!(payload.len() <= len);
        assert_eq!(read(&payload).len(), 1, "{len}");
    }
}

#[test]
fn impls_that_fail_leave_what_they_wrote() {
    struct Fails;
    impl fmt::Display for Fails {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("before")?;
            Err(fmt::Error)
        }
    }
    assert_eq!(read(&encoded(64, 1, |values| values.display(&Fails))), ["before|None"]);
}

#[test]
fn any_buffer_and_any_order_is_read_back() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..if cfg!(miri) { 20 } else { 20_000 } {
        let (len, count) = (random.usize(0..200), random.usize(0..12));
        let mut expected = 0;
        let payload = encoded(len, count, |values| {
            for _ in 0..random.usize(0..14) {
                match random.u8(0..10) {
                    0 => values.absent(),
                    1 => values.u64(random.u64(..) >> random.u32(0..64)),
                    2 => values.i64(random.i64(..) >> random.u32(0..64)),
                    3 => values.u128(random.u128(..)),
                    4 => values.f64(f64::from_bits(random.u64(..))),
                    5 => values.str(&"ß".repeat(random.usize(0..300))),
                    6 => values.display(&random.u64(..)),
                    7 => values.blob(&vec![1; random.usize(0..300)]),
                    8 => values.error(&Chain(random.usize(0..12))),
                    _ => values.debug(&"\n".repeat(random.usize(0..100)).to_string()),
                }
            }
            expected = count.min(len / 8 * 8 / VALUE_LEN_MIN);
        });
        assert_eq!(read(&payload).len(), expected, "{len} bytes, {count} fields");
    }
}

#[test]
fn carried_types_do_not_nest() {
    let reject = |bytes: &[u8]| decode_packed(&[Type::Any.tag()], &mut Unpacker::new(bytes)).is_err();
    assert!(reject(&[21, 1, 1]));
    assert!(reject(&[33, 21, 1, 0]));
    assert!(reject(&[32, 0, 0]));
    assert!(reject(&[33; 9]));
    assert!(reject(&[]));
    assert!(reject(&[5]));
    assert!(reject(&[99, 0]));
    // A sequence of values with types of their own.
    let mut from = Unpacker::new(&[3, 0, 1, 1, 5, 8]);
    let ValueRef::Sequence(elements) = decode_packed(&[33, 21], &mut from).unwrap() else { panic!("a sequence") };
    let shown: Vec<_> = elements
        .map(|element| match element {
            ValueRef::Any(any) => format!("{:?}", any.value()),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(shown, ["Absent", "Bool(true)", "Unsigned(1)"]);
}

#[test]
fn masked_values_keep_their_length_and_type() {
    use crate::record::mask::mask_packed;
    let mut payload = encoded(512, 7, |values| {
        values.str("secret");
        values.absent();
        values.u64(1 << 60);
        values.error(&Chain(1));
        values.f64(2.5);
        values.blob(b"secret");
        values.unit();
    });
    let mut at = 0;
    while at < payload.len() {
        let whole = mask_packed(&[21], &mut payload[at..], false).expect("a value");
        assert_eq!(mask_packed(&[21], &mut payload[at..], true), Some(whole));
        at += whole;
    }
    assert_eq!(
        read(&payload),
        [
            "******|None",
            "absent",
            "Unsigned(0)",
            "[\"*******|None\", \"*******|None\"]|None",
            "F64(0.0)",
            "[42, 42, 42, 42, 42, 42]|None",
            "Unit",
        ]
    );
    for bytes in [&[21, 1, 1][..], &[33; 9], &[], &[5]] {
        assert_eq!(mask_packed(&[21], &mut bytes.to_vec(), true), None, "{bytes:?}");
    }
}
