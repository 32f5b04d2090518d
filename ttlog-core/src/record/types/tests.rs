use std::vec;
use std::vec::Vec;

use super::*;
use crate::memory::kept::kept;
use crate::record::mask::mask_packed;
use crate::record::members::{mark_members, visit_members};
use crate::record::packed::Unpacker;
use crate::record::value::{ValueRef, decode_packed};

const POINT: Type = Type::Struct(&StructType {
    name: "P",
    members: &[
        Member { name: "x", secret: false, of: Type::U8 },
        Member { name: "", secret: true, of: Type::Option(&Type::Str) },
    ],
});
const STATE: Type = Type::Enum(&EnumType {
    name: "S",
    variants: &[
        StructType { name: "A", members: &[] },
        StructType { name: "B", members: &[Member { name: "", secret: false, of: Type::U32 }] },
        StructType { name: "C", members: &[Member { name: "t", secret: false, of: Type::Sequence(&Type::Str) }] },
    ],
});

fn described(of: Type) -> Vec<u8> {
    let mut out = [0; TYPE_LEN_MAX];
    let len = of.describe(&mut out).expect("a valid type");
    assert_eq!(of.describe(&mut out[..len - 1]), None, "one byte less is too short");
    out[..len].to_vec()
}

/// Nests a type in options.
fn nested(of: Type, depth: usize) -> Type {
    (0..depth).fold(of, |of, _| Type::Option(kept(of)))
}

#[test]
fn descriptions_are_those_of_the_format() {
    assert_eq!(described(Type::Tuple(&[Type::U16, Type::U64])), [34, 2, 3, 5]);
    assert_eq!(described(POINT), [35, 1, b'P', 2, 0, 1, b'x', 2, 1, 0, 32, 15]);
    let state = [36, 1, b'S', 3, 1, b'A', 0, 1, b'B', 1, 0, 0, 4, 1, b'C', 1, 0, 1, b't', 33, 15];
    assert_eq!(described(STATE), state);
    for of in [POINT, STATE, Type::Tuple(&[])] {
        let mut tags = described(of);
        tags.extend([7, 7]);
        assert_eq!(split_type(&tags).expect("valid").1, [7, 7]);
    }
}

#[test]
fn hashes_tell_types_apart() {
    let renamed = Type::Struct(&StructType {
        name: "P",
        members: &[
            Member { name: "y", secret: false, of: Type::U8 },
            Member { name: "", secret: true, of: Type::Option(&Type::Str) },
        ],
    });
    let types = [POINT, STATE, renamed, Type::Tuple(&[Type::U8]), Type::Tuple(&[Type::U8, Type::U8]), Type::U8];
    for (index, a) in types.iter().enumerate() {
        assert!(types[..index].iter().all(|b| a.hash(1) != b.hash(1)), "{a:?}");
    }
}

#[test]
fn what_is_too_deep_or_too_long_has_no_description() {
    assert!(nested(POINT, TYPE_DEPTH_MAX - 3).describe(&mut [0; TYPE_LEN_MAX]).is_some());
    let too_deep = nested(POINT, TYPE_DEPTH_MAX - 2);
    assert_eq!(too_deep.describe(&mut [0; TYPE_LEN_MAX]), None);
    assert!(std::panic::catch_unwind(|| too_deep.check()).is_err());
    let many: &'static [Type] = kept(vec![Type::U8; 256]);
    assert_eq!(Type::Tuple(many).describe(&mut [0; TYPE_LEN_MAX]), None);
    assert_eq!(described(Type::Tuple(&many[..255])).len(), 257);
    let long: &'static [Type] = kept(vec![Type::Tuple(&many[..250]); 9]);
    assert!(Type::Tuple(long).describe(&mut [0; TYPE_LEN_MAX]).is_none() && !Type::Tuple(&long[..8]).takes_no_bytes());
}

#[test]
#[cfg_attr(miri, ignore = "safe code, and slow there")]
fn hostile_descriptions_are_refused() {
    for of in [POINT, STATE, Type::Tuple(&[POINT, STATE, Type::Sequence(&POINT)])] {
        let tags = described(of);
        for len in 0..tags.len() {
            assert_eq!(split_type(&tags[..len]), None, "{of:?} cut to {len}");
            assert!(decode_packed(&tags[..len], &mut Unpacker::new(&[0; 64])).is_err());
            assert_eq!(mask_packed(&tags[..len], &mut [0; 64], true), None);
        }
        // No flip makes a reader panic, and none reads beyond its bytes.
        for bit in 0..tags.len() * 8 {
            let mut flipped = tags.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            for fill in [0, 1, 2, 254, 255] {
                let mut bytes = [fill; 64];
                let mut from = Unpacker::new(&bytes);
                let decoded = decode_packed(&flipped, &mut from).is_ok();
                let read = 64 - from.rest().len();
                visit_members("f", &flipped, &mut |_, path| _ = path.steps().count());
                mark_members("f", &mut flipped.clone(), &mut |_, _| true);
                let masked = if decoded { mask_packed(&flipped, &mut bytes, true) } else { None };
                assert_eq!(masked, decoded.then_some(read), "{flipped:?} {fill}");
            }
        }
    }
    let deep = |len: usize| [vec![TAG_OPTION; len], vec![2]].concat();
    assert!(split_type(&deep(TYPE_DEPTH_MAX - 1)).is_some() && split_type(&deep(TYPE_DEPTH_MAX)).is_none());
    assert_eq!(split_type(&deep(100_000)), None);
    let tuples: Vec<u8> = [TAG_TUPLE, 1].repeat(50_000);
    assert_eq!(split_type(&tuples), None);
    let long: Vec<u8> = [vec![TAG_TUPLE, 9], [vec![TAG_TUPLE, 255], vec![2; 255]].concat().repeat(9)].concat();
    assert!(split_type(&long).is_none(), "longer than allowed");
    let name = [&[TAG_STRUCT, 2, 0xFF, 0xFF, 0][..]].concat();
    assert!(decode_packed(&name, &mut Unpacker::new(&[])).is_err(), "a name that is not UTF-8");
    // A sequence of elements without bytes is as long as it says.
    let empty = [TAG_SEQUENCE, TAG_TUPLE, 2, TAG_UNIT, TAG_STRUCT, 0, 0];
    assert!(decode_packed(&empty, &mut Unpacker::new(&[64])).is_ok());
    assert!(decode_packed(&empty, &mut Unpacker::new(&[65])).is_err());
    assert!(decode_packed(&empty, &mut Unpacker::new(&[250, 255, 255, 255, 255])).is_err());
}

#[test]
fn variants_that_do_not_exist_are_refused() {
    let tags = described(STATE);
    for index in 0..=255 {
        let bytes = [index, 1, 0, 0, 0, 0, 0];
        let decoded = decode_packed(&tags, &mut Unpacker::new(&bytes));
        assert_eq!(decoded.is_ok(), !(3..254).contains(&index), "{index}");
    }
}

#[test]
fn masked_variants_can_be_read_and_hide_which_they_were() {
    let tags = described(Type::Tuple(&[STATE, Type::U16]));
    for len in [0, 1, 2, 240, 244, 245, 246, 247, 248, 249, 250, 251, 252, 253, 255, 256, 1000] {
        for (index, body) in [(0, vec![]), (1, vec![1, 2, 3, 4]), (2, text_of(len))] {
            let mut bytes = [vec![index], body, vec![0xAB, 0xCD]].concat();
            let mut twice = bytes.clone();
            assert_eq!(mask_packed(&tags, &mut bytes, true), Some(bytes.len()), "{index} {len}");
            assert!(bytes.first().is_some_and(|index| *index >= 254) && bytes.ends_with(&[0, 0]));
            let mut from = Unpacker::new(&bytes);
            let Ok(ValueRef::Composite(mut tuple)) = decode_packed(&tags, &mut from) else { panic!("{index} {len}") };
            assert!(from.rest().is_empty());
            assert_eq!(tuple.next().expect("a member").value, ValueRef::Withheld);
            assert_eq!(tuple.next().expect("another").value, ValueRef::Unsigned(0));
            // Masking again changes nothing.
            twice.copy_from_slice(&bytes);
            assert_eq!(mask_packed(&tags, &mut twice, true), Some(bytes.len()));
            assert_eq!(twice, bytes);
        }
    }
}

/// Returns a sequence with one text.
fn text_of(len: usize) -> Vec<u8> {
    let head = if len < 250 { vec![1, len as u8] } else { vec![1, 250, len as u8, (len >> 8) as u8, 0, 0] };
    [head, vec![b'x'; len]].concat()
}

#[test]
fn only_withheld_members_are_masked() {
    let mut tags = described(Type::Sequence(&POINT));
    mark_members("f", &mut tags, &mut |flags, _| {
        *flags |= if *flags & MEMBER_SECRET != 0 { MEMBER_WITHHELD } else { 0 };
        true
    });
    let mut bytes = [2, 7, 1, 2, b'a', b'b', 8, 0];
    assert_eq!(mask_packed(&tags, &mut bytes, false), Some(8));
    assert_eq!(bytes, [2, 7, 1, 2, b'*', b'*', 8, 0]);
}
