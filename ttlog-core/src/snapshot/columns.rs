//! Converts the records of a segment to columns and back, so that LZ4 finds similar data side by side.
//!
//! Records with the same callsite and length (a *shape*) have the same word at the same position: a price, the start of
//! a text, a counter. Each such word of a shape becomes one column, in the form that suits it: a dictionary and byte
//! planes, differences, decimal fractions, or plain rows for long text. The form is chosen from a sample. All forms
//! decode to the same bytes, so a later encoder can choose better without a new format.
//!
//! Both directions work in the caller's buffers and on about 6 KiB of stack. The encoder overwrites its input: the
//! delta of each header becomes a link to the next record of the same shape. The decoder does the same in its output
//! until it fills in the deltas.
//!
//! # Format
//! docs/format.md §6.3.

mod bytes;
mod form;
mod shape;
mod turn;

use bytes::{CHUNK, Reader, Writer, put_word, read_planes, word};
use form::{Column, FORM_ROW, decode_column};
use shape::{Chain, SHAPE_MAX, Shapes};

use crate::record::packed::byte_sum;
use crate::record::{CONTROL, RESERVED};

/// Returns the maximum length in bytes of the columns for records of `raw_len` bytes.
#[must_use]
pub const fn columns_len_max(raw_len: usize) -> usize {
    raw_len + raw_len / 8 + 8
}

/// Writes `records` as columns to `out` and returns their length; this overwrites the records.
///
/// Returns `None`, and leaves the records unchanged, if they could not be restored exactly:
/// - if a record is incomplete or pending, its check does not hold for `lap`, or its length is encoded in an unusual
///   way;
/// - if they are not `event_count` events and at least one record;
/// - if there are more than 256 shapes;
/// - if `out` is shorter than [`columns_len_max`].
pub fn encode_columns(records: &mut [u8], lap: u8, event_count: u32, out: &mut [u8]) -> Option<usize> {
    if out.len() < columns_len_max(records.len()) || records.len() / 8 > usize::from(u16::MAX) {
        return None;
    }
    let mut shapes = Shapes::new();
    let (mut at, mut record_count, mut found) = (0, 0, 0);
    let mut last = None;
    while at * 8 < records.len() {
        let (callsite, words) = checked_record(records, at, lap)?;
        let shape = match last {
            Some((of, shape)) if of == (callsite, words) => shape,
            _ => shapes.find_or_add(callsite, words)?,
        };
        last = Some(((callsite, words), shape));
        out[4 + record_count] = shape;
        record_count += 1;
        found += u32::from(callsite != CONTROL);
        at += 1 + usize::from(words);
    }
    if record_count == 0 || found != event_count {
        return None;
    }
    out[..2].copy_from_slice(&(record_count as u16).to_le_bytes());
    out[2..4].copy_from_slice(&(shapes.count as u16).to_le_bytes());
    let (head, rest) = out.split_at_mut(4 + record_count);
    let shape_of = &head[4..];
    let mut writer = Writer { out: rest, len: 0 };
    let list = &shapes.list[..shapes.count];
    for (callsite, words) in list {
        writer.bytes(&callsite.to_le_bytes());
        writer.bytes(&words.to_le_bytes());
    }
    let mut chains = [Chain::EMPTY; SHAPE_MAX];
    let (mut at, mut before) = (0, 0u32);
    let differences = shape_of.iter().map(|&shape| {
        let shape = usize::from(shape);
        let delta = (word(records, at) >> 24) as u32;
        let difference = delta.wrapping_sub(before);
        before = delta;
        chains[shape].push(records, at);
        at += 1 + usize::from(list[shape].1);
        u64::from(difference)
    });
    writer.planes(record_count, 0, 4, differences);
    for (&(_, words), chain) in list.iter().zip(&chains) {
        encode_shape(records, chain, usize::from(words), &mut writer);
    }
    Some(4 + record_count + writer.len)
}

/// Decodes `columns` into `records`. Returns `None` if the columns are not well-formed or do not fill `records`
/// exactly.
///
/// Never panics, and takes time in proportion to both lengths, whatever the columns hold.
pub fn decode_columns(columns: &[u8], lap: u8, records: &mut [u8]) -> Option<()> {
    if records.len() / 8 > usize::from(u16::MAX) {
        return None;
    }
    let mut reader = Reader { rest: columns };
    let record_count = usize::from(reader.u16()?);
    let shape_count = usize::from(reader.u16()?);
    if shape_count > SHAPE_MAX {
        return None;
    }
    let shape_of = reader.take(record_count)?;
    let mut list = [(0u16, 0u16); SHAPE_MAX];
    let list = &mut list[..shape_count];
    for shape in &mut *list {
        *shape = (reader.u16()?, reader.u16()?);
    }
    let deltas = reader.take(4 * record_count)?;
    let mut chains = [Chain::EMPTY; SHAPE_MAX];
    let mut at = 0;
    for &shape in shape_of {
        let &(callsite, words) = list.get(usize::from(shape))?;
        let end = at + 1 + usize::from(words);
        if end * 8 > records.len() {
            return None;
        }
        put_word(records, at, u64::from(callsite) | u64::from(words.min(255)) << 16);
        chains[usize::from(shape)].push(records, at);
        at = end;
    }
    if at * 8 != records.len() {
        return None;
    }
    for (&(_, words), chain) in list.iter().zip(&chains) {
        decode_shape(records, chain, usize::from(words), &mut reader)?;
    }
    if !reader.rest.is_empty() {
        return None;
    }
    let (mut at, mut delta) = (0, 0u32);
    for (start, shapes) in (0..).step_by(CHUNK).zip(shape_of.chunks(CHUNK)) {
        let differences = read_planes(deltas, record_count, 0, 4, start);
        for (&shape, &difference) in shapes.iter().zip(&differences) {
            let words = usize::from(list[usize::from(shape)].1);
            delta = delta.wrapping_add(difference as u32);
            let header = word(records, at) & 0xFF_FFFF | u64::from(delta) << 24;
            // A payload of 255 words or more has its size in its first word.
            if words >= 255 && word(records, at + 1) != words as u64 {
                return None;
            }
            let mut xor = header ^ u64::from(lap);
            for k in 1..=words {
                xor ^= word(records, at + k);
            }
            put_word(records, at, header | u64::from(byte_sum(xor)) << 56);
            at += 1 + words;
        }
    }
    Some(())
}

/// Writes all payload words of one shape: the form of each, the columns, the rows.
fn encode_shape(records: &[u8], chain: &Chain, words: usize, writer: &mut Writer<'_>) {
    let forms_at = writer.skip(words);
    let mut rows = 0;
    for k in 0..words {
        let form = Column { records, chain, k: k + 1 }.encode(writer);
        writer.out[forms_at + k] = form;
        rows += usize::from(form == FORM_ROW);
    }
    if rows == 0 {
        return;
    }
    for at in chain.members(records) {
        for k in 0..words {
            if writer.out[forms_at + k] == FORM_ROW {
                writer.bytes(&word(records, at + 1 + k).to_le_bytes());
            }
        }
    }
}

/// Reads the output of [`encode_shape`].
fn decode_shape(records: &mut [u8], chain: &Chain, words: usize, reader: &mut Reader<'_>) -> Option<()> {
    let forms = reader.take(words)?;
    for (k, &form) in forms.iter().enumerate() {
        decode_column(records, chain, k + 1, form, reader)?;
    }
    if !forms.contains(&FORM_ROW) {
        return Some(());
    }
    let mut next = chain.first();
    while let Some(at) = next {
        next = chain.after(records, at);
        for (k, _) in forms.iter().enumerate().filter(|(_, form)| **form == FORM_ROW) {
            let value = u64::from_le_bytes(*reader.take(8)?.first_chunk()?);
            put_word(records, at + 1 + k, value);
        }
    }
    Some(())
}

/// Returns callsite and number of payload words (with the count of a long payload) of the record at word `at`, if
/// columns can hold it.
fn checked_record(records: &[u8], at: usize, lap: u8) -> Option<(u16, u16)> {
    let rest = records.get(at * 8..)?;
    let header = u64::from_le_bytes(*rest.first_chunk()?);
    let callsite = header as u16;
    if header == 0 || callsite == RESERVED {
        return None;
    }
    let words = match (header >> 16) as u8 {
        255 => u16::try_from(u64::from_le_bytes(*rest.get(8..)?.first_chunk()?)).ok().filter(|&words| words >= 255)?,
        words => u16::from(words),
    };
    let mut xor = header & !(0xFF << 56) ^ u64::from(lap);
    for word in rest.get(8..8 + usize::from(words) * 8)?.chunks_exact(8) {
        xor ^= u64::from_le_bytes(*word.first_chunk()?);
    }
    (byte_sum(xor) == (header >> 56) as u8).then_some((callsite, words))
}

#[cfg(all(test, feature = "lz4"))]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::record::encode_header;
    use crate::record::packed::{split_head, split_tail};

    /// Records of events of a text of few, a number of many, and one more word.
    fn records(text_count: u64, number_count: u64) -> (Vec<u8>, u32) {
        let mut state = 1_u64;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (state >> 33) % bound
        };
        let mut records = Vec::new();
        for index in 0..1000 {
            let (text, number) = (below(text_count), below(number_count));
            let letters = (text + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes().map(|byte| b'a' + byte % 26);
            let letters = &letters[..3 + text as usize % 3];
            let (tail, len) = split_tail(number);
            let mut bytes = vec![letters.len() as u8, split_head(number) as u8];
            bytes.extend(letters);
            bytes.extend(&tail.to_le_bytes()[..len]);
            bytes.resize(8, 0);
            let words = [index, u64::from_le_bytes(bytes.try_into().unwrap())];
            let header = encode_header(7, 2, index as u32 * 100, words[0] ^ words[1]);
            records.extend([header, words[0], words[1]].iter().flat_map(|word| word.to_le_bytes()));
        }
        (records, 1000)
    }

    /// Returns the length of the columns after LZ4, and asserts that they can be decoded.
    fn compressed_len(records: &[u8], count: u32) -> usize {
        let (mut clobbered, mut columns) = (records.to_vec(), vec![0; columns_len_max(records.len())]);
        let len = encode_columns(&mut clobbered, 0, count, &mut columns).unwrap();
        let mut decoded = vec![0; records.len()];
        assert_eq!(decode_columns(&columns[..len], 0, &mut decoded), Some(()));
        assert!(decoded == records);
        lz4_flex::block::compress_into(&columns[..len], &mut vec![0; 2 * len + 100]).unwrap()
    }

    #[test]
    fn text_with_a_number_takes_an_index_and_what_the_number_needs() {
        for text_count in [40, 64, 90] {
            let (records, count) = records(text_count, 8000);
            let len = compressed_len(&records, count);
            // The index, two bytes of the number, and some for where it ends. Without a turn, it is more than 7.
            assert!(len < 6 * count as usize, "{len} bytes for {text_count} texts");
        }
    }
}
