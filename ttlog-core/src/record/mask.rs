//! Overwrites values in place, so that they can still be read.
//!
//! # Format
//! docs/format.md §4.3.

use super::packed::{Unpacker, tail_len_of};
use super::types::{TAG_ABSENT, TAG_ANY, TAG_SEQUENCE, TYPE_DEPTH_MAX, split_carried_type};
use super::value::head_len;

/// Returns the length of the packed value at the start of `bytes`, of the type that starts `tags`, as
/// [`decode_packed`](super::value::decode_packed) reads it. If `mask` is set, overwrites the value: texts and bytes
/// with asterisks, numbers with zeros. Lengths, carried types, and whether an option has a value, do not change, so the
/// value can still be read. Returns `None` for bytes that `decode_packed` rejects; some of them might be changed.
pub(crate) fn mask_packed(tags: &[u8], bytes: &mut [u8], mask: bool) -> Option<usize> {
    let (&tag, inner) = tags.split_first().filter(|_| tags.len() <= TYPE_DEPTH_MAX)?;
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
        32 => {
            let (&mut present, rest) = bytes.split_first_mut()?;
            return match present {
                0 => Some(1),
                1 => mask_packed(inner, rest, mask).map(|len| len + 1),
                _ => None,
            };
        }
        TAG_ANY if bytes.first() == Some(&TAG_ABSENT) => return Some(1),
        TAG_ANY => {
            let mut carried = [0; TYPE_DEPTH_MAX];
            let len = split_carried_type(bytes)?.0.len();
            carried[..len].copy_from_slice(&bytes[..len]);
            return mask_packed(&carried[..len], &mut bytes[len..], mask).map(|value_len| len + value_len);
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
        19 | 33 => {
            let inner = if tag == 19 { &[15] } else { inner };
            mask_elements(inner, count, &mut bytes[start..], mask).map(|len| start + len)
        }
        _ => None,
    }
}

/// As [`mask_packed`], of a value that is split: its head is at the start of `heads` and its tail at the start of `tails`.
/// Returns the lengths of both.
pub(crate) fn mask_split(tags: &[u8], heads: &mut [u8], tails: &mut [u8], mask: bool) -> Option<(usize, usize)> {
    let (&tag, inner) = tags.split_first().filter(|_| tags.len() <= TYPE_DEPTH_MAX)?;
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
        _ if head_len > 0 => return mask_packed(tags, head, mask).map(|_| (head_len, 0)),
        _ => mask_packed(tags, tails, mask)?,
    };
    Some((head_len, tail_len))
}

/// Masks the elements of a sequence at the start of `bytes`, and returns their length.
fn mask_elements(tags: &[u8], count: usize, bytes: &mut [u8], mask: bool) -> Option<usize> {
    if tags == [20] {
        return Some(0); // elements without a byte
    }
    let mut at = 0;
    for _ in 0..count {
        at += mask_packed(tags, bytes.get_mut(at..)?, mask)?;
    }
    Some(at)
}
