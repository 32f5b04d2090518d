//! Overwrites values in place, so that they can still be read.
//!
//! # Format
//! docs/format.md §4.3.

use super::native::mask_native;
use super::packed::{LONG_LEN, Unpacker, put_length, tail_len_of};
use super::types::{
    CARRIED_LEN_MAX, MEMBER_WITHHELD, Rest, TAG_ABSENT, TAG_ANY, TAG_ENUM, TAG_OPTION, TAG_SEQUENCE, TAG_STRUCT,
    TAG_TUPLE, VARIANTS_MAX, split_carried_type, split_type, takes_no_bytes,
};
use super::value::{WITHHELD_BYTES, WITHHELD_INDEX, head_len};

/// Returns the length of the packed value at the start of `bytes`, of the type that starts `tags`, as
/// [`decode_packed`](super::value::decode_packed) reads it. If `mask` is set, overwrites the value: texts and bytes
/// with asterisks, numbers with zeros, variants of enums with bytes of no meaning; otherwise only the members that are
/// marked as withheld in `tags`. Lengths, carried types, and whether an option has a value, do not change, so the value
/// can still be read. Returns `None` for bytes that `decode_packed` rejects; some of them might be changed.
pub(crate) fn mask_packed(tags: &[u8], bytes: &mut [u8], mask: bool) -> Option<usize> {
    let (of, _) = split_type(tags)?;
    mask_valid(of, bytes, mask)
}

fn mask_valid(tags: &[u8], bytes: &mut [u8], mask: bool) -> Option<usize> {
    let (&tag, inner) = tags.split_first()?;
    let fixed_len = match tag {
        1 | 2 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 12 | 14 => 4,
        13 => 8,
        6 | 11 => 16,
        5 | 10 => {
            let more = usize::from(bytes.first()? & 7);
            let len = if more == 7 { 9 } else { more + 1 };
            if mask {
                bytes.get_mut(..len)?.fill(0);
                bytes[0] = more as u8;
            }
            return (len <= bytes.len()).then_some(len);
        }
        20 => return Some(0),
        22..=26 => return mask_native(tag, bytes, mask),
        TAG_OPTION => {
            let (&mut present, rest) = bytes.split_first_mut()?;
            return match present {
                0 => Some(1),
                1 => mask_valid(inner, rest, mask).map(|len| len + 1),
                _ => None,
            };
        }
        TAG_TUPLE => return mask_members(Rest(inner), false, bytes, mask),
        TAG_STRUCT => {
            let mut rest = Rest(inner);
            rest.name()?;
            return mask_members(rest, true, bytes, mask);
        }
        TAG_ENUM => return mask_variant(Rest(inner), bytes, mask),
        TAG_ANY if bytes.first() == Some(&TAG_ABSENT) => return Some(1),
        TAG_ANY => {
            let mut carried = [0; CARRIED_LEN_MAX];
            let len = split_carried_type(bytes)?.0.len();
            carried[..len].copy_from_slice(&bytes[..len]);
            return mask_valid(&carried[..len], &mut bytes[len..], mask).map(|value_len| len + value_len);
        }
        _ => 0,
    };
    if fixed_len > 0 {
        let value = bytes.get_mut(..fixed_len)?;
        if mask {
            value.fill(0);
        }
        return Some(fixed_len);
    }
    let mut from = Unpacker::new(bytes);
    let count = from.length()?.kept;
    let start = bytes.len() - from.rest().len();
    match tag {
        15..=18 => {
            let value = bytes.get_mut(start..start.checked_add(count)?)?;
            if mask {
                value.fill(b'*');
            }
            Some(start + count)
        }
        19 | TAG_SEQUENCE => {
            let inner = if tag == 19 { &[15] } else { inner };
            mask_elements(inner, count, &mut bytes[start..], mask).map(|len| start + len)
        }
        _ => None,
    }
}

/// As [`mask_packed`], of a value that is split: its head is at the start of `heads` and its tail at the start of `tails`.
/// Returns the lengths of both.
pub(crate) fn mask_split(tags: &[u8], heads: &mut [u8], tails: &mut [u8], mask: bool) -> Option<(usize, usize)> {
    let (tags, _) = split_type(tags)?;
    let (&tag, inner) = tags.split_first()?;
    let head_len = head_len(tags);
    let head = heads.get_mut(..head_len)?;
    let tail_len = match tag {
        5 | 10 => {
            Unpacker::new(tails).split_tail(head[0])?;
            let len = tail_len_of(head[0]);
            if mask {
                head[0] &= 7;
                tails[..len].fill(0);
            }
            len
        }
        15..=18 | TAG_SEQUENCE => {
            let mut from = Unpacker::new(tails);
            let count = from.length_tail(head[0])?.kept;
            let start = tails.len() - from.rest().len();
            if tag == TAG_SEQUENCE {
                start + mask_elements(inner, count, &mut tails[start..], mask)?
            } else {
                let value = tails.get_mut(start..start.checked_add(count)?)?;
                if mask {
                    value.fill(b'*');
                }
                start + count
            }
        }
        _ if head_len > 0 => return mask_valid(tags, head, mask).map(|_| (head_len, 0)),
        _ => mask_valid(tags, tails, mask)?,
    };
    Some((head_len, tail_len))
}

/// Masks the elements of a sequence at the start of `bytes`, and returns their length.
fn mask_elements(tags: &[u8], count: usize, bytes: &mut [u8], mask: bool) -> Option<usize> {
    if takes_no_bytes(tags) {
        return Some(0);
    }
    let mut at = 0;
    for _ in 0..count {
        at += mask_valid(tags, bytes.get_mut(at..)?, mask)?;
    }
    Some(at)
}

/// Masks the members that `tags` describes, from their number on. Those of a tuple have no flags and names.
fn mask_members(mut tags: Rest<'_>, have_names: bool, bytes: &mut [u8], mask: bool) -> Option<usize> {
    let mut at = 0;
    for _ in 0..tags.byte()? {
        let mut flags = 0;
        if have_names {
            flags = tags.byte()?;
            tags.name()?;
        }
        at += mask_valid(tags.split_type()?, bytes.get_mut(at..)?, mask || flags & MEMBER_WITHHELD != 0)?;
    }
    Some(at)
}

/// Masks a variant of the enum that `tags` describes, from its name on.
fn mask_variant(mut tags: Rest<'_>, bytes: &mut [u8], mask: bool) -> Option<usize> {
    let (&mut index, rest) = bytes.split_first_mut()?;
    if index == WITHHELD_INDEX {
        return Some(1);
    }
    if index == WITHHELD_BYTES {
        let mut from = Unpacker::new(rest);
        let len = from.length()?.kept;
        from.bytes(len)?;
        return Some(1 + rest.len() - from.rest().len());
    }
    tags.name()?;
    if index >= tags.byte()? {
        return None;
    }
    tags.skip_variants(index)?;
    tags.name()?;
    let len = 1 + mask_members(tags, true, rest, mask)?;
    if mask {
        hide_variant(bytes.get_mut(..len)?);
    }
    Some(len)
}

/// Overwrites a variant, so that even which one it was is hidden, as far as its length permits.
fn hide_variant(bytes: &mut [u8]) {
    const _: () = assert!(WITHHELD_INDEX as usize >= VARIANTS_MAX);
    let Some((index, rest)) = bytes.split_first_mut() else { return };
    *index = if rest.is_empty() { WITHHELD_INDEX } else { WITHHELD_BYTES };
    rest.fill(0);
    let head_len = if rest.len() <= 250 { 1 } else { 5 };
    let kept = rest.len().saturating_sub(head_len);
    if head_len == 1 {
        put_length(kept, None, rest);
    } else {
        // In the long form even if the short one would do, which readers accept.
        rest[0] = LONG_LEN;
        rest[1..5].copy_from_slice(&(kept as u32).to_le_bytes());
    }
}
