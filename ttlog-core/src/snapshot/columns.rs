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

use crate::record::packed::{byte_sum, unzigzag, zigzag};
use crate::record::{CONTROL, RESERVED};

/// Maximum number of shapes in columns.
const SHAPE_MAX: usize = 256;
/// Number of slots in the hash tables: twice the number of entries, so that searches are short.
const SLOT_COUNT: usize = 512;
/// Number of words examined to choose the form of a column.
const SAMPLE_MAX: usize = 64;
/// Number of words split at a time.
const CHUNK: usize = 64;

/// Form: the word stays in its record's row.
const FORM_ROW: u8 = 9;
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

/// Reads a column into word `k` of the records of a shape; word 0 is the header.
fn decode_column(records: &mut [u8], chain: &Chain, k: usize, form: u8, reader: &mut Reader<'_>) -> Option<()> {
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

/// One word of all records of a shape, to be written.
struct Column<'a> {
    records: &'a [u8],
    chain: &'a Chain,
    /// Index of the word in the record; 0 is the header.
    k: usize,
}

impl Column<'_> {
    fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.chain.members(self.records).map(|at| word(self.records, at + self.k))
    }

    /// Writes the column in the most promising form, unless that is the row, and returns the form.
    fn encode(&self, writer: &mut Writer<'_>) -> u8 {
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

/// Records of one shape: the first, and the others linked through the delta of the headers.
///
/// Each record is pushed once, in order, so a walk ends after `count` steps.
#[derive(Clone, Copy)]
struct Chain {
    first: u16,
    last: u16,
    count: u16,
}

impl Chain {
    const EMPTY: Self = Chain { first: 0, last: 0, count: 0 };

    fn push(&mut self, records: &mut [u8], at: usize) {
        if self.count == 0 {
            self.first = at as u16;
        } else {
            let link = usize::from(self.last) * 8 + 3;
            records[link..link + 2].copy_from_slice(&(at as u16).to_le_bytes());
        }
        self.last = at as u16;
        self.count += 1;
    }

    fn first(&self) -> Option<usize> {
        (self.count > 0).then_some(usize::from(self.first))
    }

    #[inline(always)]
    fn after(&self, records: &[u8], at: usize) -> Option<usize> {
        (at != usize::from(self.last)).then(|| (word(records, at) >> 24 & 0xFFFF) as usize)
    }

    fn members<'a>(&'a self, records: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        core::iter::successors(self.first(), move |&at| self.after(records, at))
    }
}

/// Shapes met so far, with a hash table to find them.
struct Shapes {
    list: [(u16, u16); SHAPE_MAX],
    count: usize,
    /// Index in the list plus 1; 0: free.
    slots: [u16; SLOT_COUNT],
}

impl Shapes {
    fn new() -> Self {
        Shapes { list: [(0, 0); SHAPE_MAX], count: 0, slots: [0; SLOT_COUNT] }
    }

    fn find_or_add(&mut self, callsite: u16, words: u16) -> Option<u8> {
        let key = u32::from(callsite) | u32::from(words) << 16;
        let mut slot = (key.wrapping_mul(0x9E37_79B1) >> 23) as usize;
        loop {
            match usize::from(self.slots[slot]) {
                0 if self.count == SHAPE_MAX => return None,
                0 => {
                    self.list[self.count] = (callsite, words);
                    self.count += 1;
                    self.slots[slot] = self.count as u16;
                    return Some((self.count - 1) as u8);
                }
                used if self.list[used - 1] == (callsite, words) => return Some((used - 1) as u8),
                _ => slot = (slot + 1) % SLOT_COUNT,
            }
        }
    }
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

/// Returns the word at `at`, counted in words.
#[inline(always)]
fn word(records: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&records[at * 8..at * 8 + 8]);
    u64::from_le_bytes(bytes)
}

#[inline(always)]
fn put_word(records: &mut [u8], at: usize, value: u64) {
    records[at * 8..at * 8 + 8].copy_from_slice(&value.to_le_bytes());
}

/// Reads bytes `from..to` of the values `start..start + CHUNK` from planes of `count` values; missing bytes are 0.
#[inline(always)]
fn read_planes(planes: &[u8], count: usize, from: usize, to: usize, start: usize) -> [u64; CHUNK] {
    let mut values = [0; CHUNK];
    let len = (count - start).min(CHUNK);
    for k in from..to {
        let plane = &planes[(k - from) * count + start..][..len];
        for (value, &byte) in values.iter_mut().zip(plane) {
            *value |= u64::from(byte) << (8 * k);
        }
    }
    values
}

struct Writer<'a> {
    out: &'a mut [u8],
    /// At most the length of `out`, which is [`columns_len_max`] minus the bytes before it.
    len: usize,
}

impl Writer<'_> {
    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) {
        let at = self.skip(bytes.len());
        self.out[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Reserves `len` bytes and returns their position.
    fn skip(&mut self, len: usize) -> usize {
        self.len += len;
        self.len - len
    }

    /// Writes bytes `from..to` of `count` values as planes.
    #[inline(always)]
    fn planes(&mut self, count: usize, from: usize, to: usize, values: impl Iterator<Item = u64>) {
        let at = self.skip((to - from) * count);
        let out = &mut self.out[at..self.len];
        let mut values = values.take(count);
        for start in (0..count).step_by(CHUNK) {
            let mut chunk = [0u64; CHUNK];
            for (place, value) in chunk.iter_mut().zip(&mut values) {
                *place = value;
            }
            let len = (count - start).min(CHUNK);
            for k in from..to {
                let plane = &mut out[(k - from) * count + start..][..len];
                for (byte, value) in plane.iter_mut().zip(&chunk) {
                    *byte = (value >> (8 * k)) as u8;
                }
            }
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(*self.take(2)?.first_chunk()?))
    }
}
