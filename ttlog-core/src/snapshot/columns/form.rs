//! Forms of a column: one word of all records of a shape, as it is written and read.

use super::bytes::{CHUNK, Reader, Writer, put_word, read_planes, word};
use super::shape::{Chain, SLOT_COUNT};
use crate::record::packed::{unzigzag, zigzag};

/// Number of words examined to choose the form of a column.
const SAMPLE_MAX: usize = 64;

/// Form: the word stays in its record's row.
pub(super) const FORM_ROW: u8 = 9;
/// Form: differences.
const FORM_DIFFERENCE: u8 = 10;
/// Form: decimal fractions without digits after the point; the digits are added.
const FORM_DECIMAL: u8 = 16;
/// Maximum number of digits after the point in the format.
const DIGITS_MAX: u8 = 15;
/// Maximum number of digits after the point that the encoder tries.
const DIGITS_TRIED: u8 = 9;
/// Powers of ten, exact as f64.
const TEN: [f64; DIGITS_MAX as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// One word of all records of a shape, to be written.
pub(super) struct Column<'a> {
    pub(super) records: &'a [u8],
    pub(super) chain: &'a Chain,
    /// Index of the word in the record; 0 is the header.
    pub(super) k: usize,
}

impl Column<'_> {
    fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.chain.members(self.records).map(|at| word(self.records, at + self.k))
    }

    /// Writes the column in the most promising form, unless that is the row, and returns the form.
    pub(super) fn encode(&self, writer: &mut Writer<'_>) -> u8 {
        let count = usize::from(self.chain.count);
        let start = writer.len;
        let form = self.choose();
        let done = match form {
            FORM_ROW => true,
            FORM_DIFFERENCE => {
                writer.planes(count, 0, 8, differences(self.words()));
                true
            }
            0 => {
                writer.planes(count, 0, 8, self.words());
                true
            }
            1..=8 => {
                let prefix = usize::from(form);
                let fits = self.write_dictionary(prefix, writer);
                if fits {
                    writer.planes(count, prefix, 8, self.words());
                }
                fits
            }
            decimal => {
                let digits = decimal - FORM_DECIMAL;
                let mut exact = true;
                let scaled = self.words().map(|bits| {
                    let scaled = decimal_of(bits, digits);
                    exact &= scaled.is_some();
                    scaled.unwrap_or(0)
                });
                writer.planes(count, 0, 8, differences(scaled));
                exact
            }
        };
        debug_assert!(writer.len - start <= 8 * count, "a column takes more than its words");
        if done {
            return form;
        }
        // A property of the sample did not hold for all words.
        writer.len = start;
        FORM_ROW
    }

    /// Writes a dictionary of the lower `prefix` bytes of the words, and the index of each word in it. Returns `false`
    /// if there are too many different ones.
    fn write_dictionary(&self, prefix: usize, writer: &mut Writer<'_>) -> bool {
        let count = usize::from(self.chain.count);
        // The dictionary must fit into the bytes it saves, so that columns stay within their bound.
        let entries_max = ((count * (prefix - 1)).saturating_sub(1) / prefix).min(256);
        let mask = u64::MAX >> (64 - 8 * prefix);
        let mut slots = [0u16; SLOT_COUNT];
        let mut entries = [0u64; 256];
        let mut entry_count = 0;
        // Position of the indices after a dictionary of the largest size; they move down once its size is known.
        let places_at = writer.len + 1 + entries_max * prefix;
        for (place, value) in writer.out[places_at..][..count].iter_mut().zip(self.words()) {
            let value = value & mask;
            let mut slot = (value.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 55) as usize;
            let entry = loop {
                match usize::from(slots[slot]) {
                    0 if entry_count == entries_max => return false,
                    0 => {
                        entries[entry_count] = value;
                        entry_count += 1;
                        slots[slot] = entry_count as u16;
                        break entry_count - 1;
                    }
                    used if entries[used - 1] == value => break used - 1,
                    _ => slot = (slot + 1) % SLOT_COUNT,
                }
            };
            *place = entry as u8;
        }
        writer.bytes(&[(entry_count - 1) as u8]);
        for entry in &entries[..entry_count] {
            writer.bytes(&entry.to_le_bytes()[..prefix]);
        }
        let to = writer.skip(count);
        writer.out.copy_within(places_at..places_at + count, to);
        true
    }

    /// Chooses a form by its estimated cost in bytes for the first records.
    fn choose(&self) -> u8 {
        let mut sample = [0u64; SAMPLE_MAX];
        let mut size = 0;
        for (place, value) in sample.iter_mut().zip(self.words()) {
            *place = value;
            size += 1;
        }
        let sample = &mut sample[..size];
        if size < 8 {
            return FORM_ROW;
        }
        // A match costs 3 bytes, and rarely covers the whole word.
        let mut best = (4 * size, FORM_ROW);
        let mut offer = |cost: usize, form: u8| {
            if cost < best.0 {
                best = (cost, form);
            }
        };
        let noise = noise_of(sample.iter().copied());
        offer(noise.planes.iter().sum(), 0);
        offer(noise_of(differences(sample.iter().copied())).planes.iter().sum(), FORM_DIFFERENCE);
        if let Some(digits) = digits_of(sample) {
            let scaled = sample.iter().map(|&bits| decimal_of(bits, digits).unwrap_or(0));
            offer(noise_of(differences(scaled)).planes.iter().sum(), FORM_DECIMAL + digits);
        }
        // If sorted by the lowest byte first, words that share a prefix are adjacent.
        for value in &mut *sample {
            *value = value.swap_bytes();
        }
        sample.sort_unstable();
        let mut distinct = [1; 9];
        for pair in sample.windows(2) {
            let same = (pair[0] ^ pair[1]).leading_zeros() as usize / 8;
            for count in &mut distinct[(same + 1).min(9)..] {
                *count += 1;
            }
        }
        for (prefix, &distinct) in distinct.iter().enumerate().skip(2) {
            if distinct * 2 <= size {
                let dictionary = distinct * prefix * size / usize::from(self.chain.count);
                let rest: usize = noise.planes[prefix..].iter().sum();
                offer(noise.prefixes[prefix] + dictionary + rest, prefix as u8);
            }
        }
        best.1
    }
}

/// Reads a column into word `k` of the records of a shape; word 0 is the header.
pub(super) fn decode_column(
    records: &mut [u8],
    chain: &Chain,
    k: usize,
    form: u8,
    reader: &mut Reader<'_>,
) -> Option<()> {
    let count = usize::from(chain.count);
    match form {
        0..=8 => {
            let prefix = usize::from(form);
            let mut dictionary = [0u64; 256];
            let mut indexes: &[u8] = &[];
            if prefix > 0 {
                let entry_count = usize::from(reader.take(1)?[0]) + 1;
                for entry in &mut dictionary[..entry_count] {
                    let mut bytes = [0; 8];
                    bytes[..prefix].copy_from_slice(reader.take(prefix)?);
                    *entry = u64::from_le_bytes(bytes);
                }
                indexes = reader.take(count)?;
                if indexes.iter().any(|&index| usize::from(index) >= entry_count) {
                    return None;
                }
            }
            let planes = reader.take((8 - prefix) * count)?;
            fill(records, chain, k, |start| {
                let mut values = read_planes(planes, count, prefix, 8, start);
                for (value, &index) in values.iter_mut().zip(indexes.get(start..).unwrap_or(&[])) {
                    *value |= dictionary[usize::from(index)];
                }
                values
            });
        }
        FORM_ROW => {}
        FORM_DIFFERENCE | FORM_DECIMAL..=31 => {
            let planes = reader.take(8 * count)?;
            let mut sum = 0u64;
            fill(records, chain, k, |start| {
                read_planes(planes, count, 0, 8, start).map(|difference| {
                    sum = sum.wrapping_add(unzigzag(difference) as u64);
                    match form.checked_sub(FORM_DECIMAL) {
                        None => sum,
                        Some(digits) => (sum as i64 as f64 / TEN[usize::from(digits)]).to_bits(),
                    }
                })
            });
        }
        _ => return None,
    }
    Some(())
}

/// Stores values into word `k` of the records of a shape; `values` returns those of the records `start..start + CHUNK`.
fn fill(records: &mut [u8], chain: &Chain, k: usize, mut values: impl FnMut(usize) -> [u64; CHUNK]) {
    let mut next = chain.first();
    for start in (0..usize::from(chain.count)).step_by(CHUNK) {
        for value in values(start) {
            let Some(at) = next else { return };
            next = chain.after(records, at);
            put_word(records, at + k, value);
        }
    }
}

/// Estimated number of bytes that LZ4 leaves.
struct Noise {
    /// Bytes left of the plane of each byte.
    planes: [usize; 8],
    /// Bytes left of the indices into a dictionary of the lower 0 to 8 bytes.
    prefixes: [usize; 9],
}

/// Counts changes from word to word: a change costs one byte if there are many, and a short copy if there are few.
fn noise_of(words: impl Iterator<Item = u64>) -> Noise {
    let (mut planes, mut prefixes) = ([0; 8], [0; 9]);
    let (mut before, mut size) = (None, 0);
    for value in words {
        size += 1;
        let changed = value ^ before.unwrap_or(value);
        before = Some(value);
        if changed == 0 {
            continue;
        }
        for (byte, count) in planes.iter_mut().enumerate() {
            *count += usize::from(changed >> (8 * byte) & 0xFF != 0);
        }
        for count in &mut prefixes[changed.trailing_zeros() as usize / 8 + 1..] {
            *count += 1;
        }
    }
    let cost = |changes: usize| (4 * changes).min(size);
    Noise { planes: planes.map(cost), prefixes: prefixes.map(cost) }
}

/// Returns the smallest number of digits after the point with which all of `sample`, read as f64, are decimal
/// fractions; `None` if there is none.
fn digits_of(sample: &[u64]) -> Option<u8> {
    let mut digits = 0;
    for &bits in sample {
        digits = (digits..=DIGITS_TRIED).find(|&digits| decimal_of(bits, digits).is_some())?;
    }
    Some(digits)
}

/// Returns the integer that, divided by 10 to the power of `digits`, is exactly the f64 of these bits.
#[inline(always)]
fn decimal_of(bits: u64, digits: u8) -> Option<u64> {
    let scale = TEN[usize::from(digits)];
    let scaled = f64::from_bits(bits) * scale;
    if !(scaled > -1e15 && scaled < 1e15) {
        return None;
    }
    let rounded = (scaled + if scaled < 0.0 { -0.5 } else { 0.5 }) as i64;
    ((rounded as f64 / scale).to_bits() == bits).then_some(rounded as u64)
}

/// Returns the difference of each word to the previous one (the first: to 0), in zigzag form.
fn differences(words: impl Iterator<Item = u64>) -> impl Iterator<Item = u64> {
    let mut before = 0u64;
    words.map(move |value| zigzag(value.wrapping_sub(core::mem::replace(&mut before, value)) as i64))
}
