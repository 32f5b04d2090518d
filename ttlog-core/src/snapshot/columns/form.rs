//! Forms of a column: one word of all records of a shape, as it is written and read.

use super::bytes::{CHUNK, Reader, Writer, put_word, read_planes, word};
use super::shape::{Chain, SLOT_COUNT};
use super::turn::{FORM_TURNED, FORM_TURNED_MAX, Turn};
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
/// Turns that the encoder tries: for one or two numbers after or before a text, whose heads part its length from it, or
/// are in front of both.
const TURNS_TRIED: [Turn; 4] =
    [Turn { start: 1, len: 1 }, Turn { start: 0, len: 1 }, Turn { start: 1, len: 2 }, Turn { start: 0, len: 2 }];
/// Powers of ten, exact as f64.
const TEN: [f64; DIGITS_MAX as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Returns the number of bytes in the dictionary of a form, if it has one.
const fn prefix_of(form: u8) -> Option<u8> {
    match form {
        1..=8 => Some(form),
        _ => match Turn::of_form(form) {
            Some((_, prefix)) => Some(prefix),
            None => None,
        },
    }
}

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
        let start = writer.len;
        let form = self.choose();
        // A property of the sample might not hold for all words. The byte that makes too many entries is the last one.
        let shorter = match prefix_of(form) {
            Some(4..) => form - 1,
            _ => FORM_ROW,
        };
        for form in [form, shorter] {
            let done = self.write(form, writer);
            debug_assert!(writer.len - start <= 8 * usize::from(self.chain.count), "longer than its words");
            if done {
                return form;
            }
            writer.len = start;
        }
        FORM_ROW
    }

    /// Writes the column in this form. Returns `false` if that is impossible; what was written is meaningless then.
    fn write(&self, form: u8, writer: &mut Writer<'_>) -> bool {
        let count = usize::from(self.chain.count);
        match form {
            FORM_ROW => true,
            FORM_DIFFERENCE => {
                writer.planes(count, 0, 8, differences(self.words()));
                true
            }
            0 => {
                writer.planes(count, 0, 8, self.words());
                true
            }
            1..=8 => self.write_prefixes(form, |word| word, writer),
            FORM_TURNED.. => Turn::of_form(form)
                .is_some_and(|(turn, prefix)| self.write_prefixes(prefix, |word| turn.apply(word), writer)),
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
        }
    }

    /// Writes the words, turned by `turn`: the lower `prefix` bytes by dictionary, the upper ones as planes.
    fn write_prefixes(&self, prefix: u8, turn: impl Fn(u64) -> u64, writer: &mut Writer<'_>) -> bool {
        let prefix = usize::from(prefix);
        let fits = self.write_dictionary(prefix, &turn, writer);
        if fits {
            writer.planes(usize::from(self.chain.count), prefix, 8, self.words().map(turn));
        }
        fits
    }

    /// Writes a dictionary of the lower `prefix` bytes of the words, and the index of each word in it. Returns `false`
    /// if there are too many different ones.
    fn write_dictionary(&self, prefix: usize, turn: impl Fn(u64) -> u64, writer: &mut Writer<'_>) -> bool {
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
            let value = turn(value) & mask;
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
        let sample = &sample[..size];
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
        offer(noise_of(sample.iter().copied()).planes.iter().sum(), 0);
        offer(noise_of(differences(sample.iter().copied())).planes.iter().sum(), FORM_DIFFERENCE);
        if let Some(digits) = digits_of(sample) {
            let scaled = sample.iter().map(|&bits| decimal_of(bits, digits).unwrap_or(0));
            offer(noise_of(differences(scaled)).planes.iter().sum(), FORM_DECIMAL + digits);
        }
        if best.1 == FORM_ROW {
            best.0 = best.0.max(row_cost(sample));
        }
        let mut offer = |cost: usize, form: u8| {
            if cost < best.0 {
                best = (cost, form);
            }
        };
        let count = usize::from(self.chain.count);
        offer_prefixes(sample, count, |prefix| prefix, &mut offer);
        for turn in TURNS_TRIED {
            let mut turned = [0; SAMPLE_MAX];
            let turned = &mut turned[..size];
            turned.iter_mut().zip(sample).for_each(|(turned, &word)| *turned = turn.apply(word));
            offer_prefixes(turned, count, |prefix| turn.form(prefix), &mut offer);
        }
        best.1
    }
}

/// Returns the estimated cost of the words in their rows, if they have few texts between numbers: what earlier words do
/// not have at the same place for at least four bytes, and three bytes for a match.
fn row_cost(sample: &[u64]) -> usize {
    let half = sample.len() / 2;
    let cost_of = |index: usize| {
        let same_len = |earlier: &u64| longest_zeros(earlier ^ sample[index]);
        let longest = sample[..index].iter().map(same_len).max().unwrap_or(0);
        if longest < 4 { 8 } else { 8 - longest + 3 }
    };
    (half..sample.len()).map(cost_of).sum::<usize>() * sample.len() / (sample.len() - half)
}

/// Returns the number of zero bytes in the longest run.
fn longest_zeros(word: u64) -> usize {
    let (mut longest, mut run) = (0, 0);
    for byte in word.to_le_bytes() {
        run = if byte == 0 { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Offers the forms of a column of `count` words by dictionary, estimated from a sample. `form` returns that for a
/// number of lower bytes.
fn offer_prefixes(sample: &[u64], count: usize, form: impl Fn(u8) -> u8, offer: &mut impl FnMut(usize, u8)) {
    let size = sample.len();
    let noise = noise_of(sample.iter().copied());
    let mut sorted = [0u64; SAMPLE_MAX];
    let sorted = &mut sorted[..size];
    // If sorted by the lowest byte first, words that share a prefix are adjacent.
    sorted.iter_mut().zip(sample).for_each(|(sorted, word)| *sorted = word.swap_bytes());
    sorted.sort_unstable();
    let mut distinct = [1; 9];
    for pair in sorted.windows(2) {
        let same = (pair[0] ^ pair[1]).leading_zeros() as usize / 8;
        for count in &mut distinct[(same + 1).min(9)..] {
            *count += 1;
        }
    }
    for (prefix, &distinct) in distinct.iter().enumerate().skip(2) {
        if distinct * 4 <= size * 3 {
            let dictionary = distinct * prefix * size / count;
            let rest: usize = noise.planes[prefix..].iter().sum();
            offer(noise.prefixes[prefix] + dictionary + rest, form(prefix as u8));
        }
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
        0..=8 | FORM_TURNED..=FORM_TURNED_MAX => {
            let turn = Turn::of_form(form);
            let prefix = usize::from(turn.map_or(form, |(_, prefix)| prefix));
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
                if let Some((turn, _)) = turn {
                    values.iter_mut().for_each(|value| *value = turn.undo(*value));
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
