//! A second decoder, written only from docs/format.md, with no regard for speed: `Vec`s everywhere, one rule of the
//! document after the other. It shares no code with ttlog-core (not even its CBOR or LZ4 crates), so bytes that both
//! read alike are read as documented.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// Bytes were refused. The differential target only compares whether both sides refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

type Result<T> = core::result::Result<T, Refused>;

// --- CBOR (RFC 8949), the part that §3 and §6 use ---

/// A CBOR item.
#[derive(Debug, Clone, PartialEq)]
pub enum Cbor {
    /// Major types 0 and 1.
    Int(i128),
    /// Major type 2.
    Bytes(Vec<u8>),
    /// Major type 3.
    Text(String),
    /// Major type 4.
    Array(Vec<Cbor>),
    /// Major type 5.
    Map(Vec<(Cbor, Cbor)>),
    /// Major type 6.
    Tag(u64, Box<Cbor>),
    /// Major type 7: bool, null and other simple values as their number.
    Simple(u8),
    /// Major type 7: a float of any size.
    Float(f64),
}

/// Reads one item from the front of `data`, and advances `data`.
pub fn cbor(data: &mut &[u8], depth: usize) -> Result<Cbor> {
    let first = take(data, 1)?[0];
    let (major, info) = (first >> 5, first & 31);
    if depth > 16 {
        return Err(Refused);
    }
    if major == 7 {
        return Ok(match info {
            0..=23 => Cbor::Simple(info),
            24 => Cbor::Simple(take(data, 1)?[0]),
            25 => Cbor::Float(half(u16::from_be_bytes(array(data)?))),
            26 => Cbor::Float(f64::from(f32::from_be_bytes(array(data)?))),
            27 => Cbor::Float(f64::from_be_bytes(array(data)?)),
            _ => return Err(Refused),
        });
    }
    let argument = match info {
        0..=23 => u64::from(info),
        24 => u64::from(take(data, 1)?[0]),
        25 => u64::from(u16::from_be_bytes(array(data)?)),
        26 => u64::from(u32::from_be_bytes(array(data)?)),
        27 => u64::from_be_bytes(array(data)?),
        _ => return Err(Refused),
    };
    Ok(match major {
        0 => Cbor::Int(i128::from(argument)),
        1 => Cbor::Int(-1 - i128::from(argument)),
        2 => Cbor::Bytes(take(data, argument)?.to_vec()),
        3 => Cbor::Text(String::from_utf8(take(data, argument)?.to_vec()).map_err(|_| Refused)?),
        4 => Cbor::Array((0..argument).map(|_| cbor(data, depth + 1)).collect::<Result<_>>()?),
        5 => Cbor::Map(
            (0..argument).map(|_| Ok((cbor(data, depth + 1)?, cbor(data, depth + 1)?))).collect::<Result<_>>()?,
        ),
        _ => Cbor::Tag(argument, Box::new(cbor(data, depth + 1)?)),
    })
}

fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 => {
            if fraction == 0.0 {
                f64::INFINITY
            } else {
                f64::NAN
            }
        }
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

impl Cbor {
    /// Returns the number, if it is unsigned.
    pub fn uint(&self) -> Result<u64> {
        if let Cbor::Int(value) = self { u64::try_from(*value).map_err(|_| Refused) } else { Err(Refused) }
    }

    /// Returns the elements, if it is an array.
    pub fn array(&self) -> Result<&[Cbor]> {
        if let Cbor::Array(elements) = self { Ok(elements) } else { Err(Refused) }
    }

    /// Returns the bytes, if it is a byte string.
    pub fn bytes(&self) -> Result<&[u8]> {
        if let Cbor::Bytes(bytes) = self { Ok(bytes) } else { Err(Refused) }
    }

    /// Returns the text, if it is one.
    pub fn text(&self) -> Result<&str> {
        if let Cbor::Text(text) = self { Ok(text) } else { Err(Refused) }
    }
}

fn take<'a>(data: &mut &'a [u8], count: impl TryInto<usize>) -> Result<&'a [u8]> {
    let (front, rest) = data.split_at_checked(count.try_into().map_err(|_| Refused)?).ok_or(Refused)?;
    *data = rest;
    Ok(front)
}

fn array<const N: usize>(data: &mut &[u8]) -> Result<[u8; N]> {
    Ok(take(data, N)?.try_into().expect("N bytes were taken"))
}

// --- checksums and compression ---

/// Returns the CRC-32/ISO-HDLC, computed bit by bit.
pub fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// Decodes one LZ4 block to at most `limit` bytes.
pub fn lz4(mut data: &[u8], limit: usize) -> Result<Vec<u8>> {
    let data = &mut data;
    let mut out = Vec::new();
    let extended = |nibble: u8, data: &mut &[u8]| -> Result<usize> {
        let mut length = usize::from(nibble);
        if nibble == 15 {
            loop {
                let more = take(data, 1)?[0];
                length += usize::from(more);
                if more < 255 {
                    break;
                }
            }
        }
        Ok(length)
    };
    loop {
        let token = take(data, 1)?[0];
        let literals = extended(token >> 4, data)?;
        out.extend_from_slice(take(data, literals)?);
        if out.len() > limit {
            return Err(Refused);
        }
        if data.is_empty() {
            return Ok(out);
        }
        let distance = usize::from(u16::from_le_bytes(array(data)?));
        let length = extended(token & 15, data)? + 4;
        if distance == 0 || distance > out.len() || out.len() + length > limit {
            return Err(Refused);
        }
        for _ in 0..length {
            out.push(out[out.len() - distance]);
        }
    }
}

// --- the snapshot, §6 ---

const MARK: [u8; 9] = [0xd9, 0xd9, 0xf7, 0x84, 0x64, b'T', b'T', b'L', b'G'];

/// Returns whether an item or a ring can start at `at`, or the bytes end there.
fn can_start(data: &[u8], at: usize) -> bool {
    at == data.len() || data[at..].starts_with(&MARK) || data[at..].starts_with(b"TTLOGRNG")
}

/// Returns the end of the intact item at `at`, if there is one.
fn intact_end(data: &[u8], at: usize) -> Option<usize> {
    let mut rest = data[at..].starts_with(&MARK).then_some(&data[at..])?;
    let (kind, body, crc) = item(&mut rest).ok()?;
    (crc == crc32(&[body.as_slice(), &[kind as u8]].concat())).then_some(data.len() - rest.len())
}

/// Returns the intact items of a snapshot, as (offset, kind, body).
pub fn items(data: &[u8]) -> Vec<(usize, u64, Vec<u8>)> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut is_after_item = false;
    while at < data.len() {
        if std::mem::take(&mut is_after_item) && !can_start(data, at) {
            // The first bytes of the next item can be those that are missing of the one before.
            at = (at.saturating_sub(8)..at).find(|&mark| data[mark..].starts_with(&MARK)).unwrap_or(at);
        }
        if !data[at..].starts_with(&MARK) {
            at += 1;
            continue;
        }
        let mut rest = &data[at..];
        let Ok((kind, body)) = body_of_item(&mut rest) else {
            at += 1;
            continue;
        };
        // Damage can be in the checksum, which writers encode in five bytes.
        let written_end = data.len() - rest.len() + 5;
        let crc = cbor(&mut rest, 0).and_then(|crc| u32::try_from(crc.uint()?).map_err(|_| Refused)).ok();
        let end = data.len() - rest.len();
        let right = crc32(&[body.as_slice(), &[kind as u8]].concat());
        let ends = if crc.is_some() { vec![end, written_end] } else { vec![written_end] };
        let stated = ends.into_iter().find(|&end| end <= data.len() && can_start(data, end));
        if crc == Some(right) {
            found.push((at, kind, body));
            at = end;
            is_after_item = true;
        } else if crc == Some(!right) {
            at = end; // void
            is_after_item = true;
        } else if let Some(end) = stated.filter(|&end| (at + 1..end).all(|inner| intact_end(data, inner) != Some(end)))
        {
            at = end; // damaged, and its length can be trusted
        } else {
            at += 1;
        }
    }
    found
}

fn body_of_item(data: &mut &[u8]) -> Result<(u64, Vec<u8>)> {
    take(data, MARK.len())?;
    let kind = cbor(data, 0)?.uint()?;
    let Cbor::Bytes(body) = cbor(data, 0)? else { return Err(Refused) };
    if kind > 23 { Err(Refused) } else { Ok((kind, body)) }
}

fn item(data: &mut &[u8]) -> Result<(u64, Vec<u8>, u32)> {
    let (kind, body) = body_of_item(data)?;
    Ok((kind, body, u32::try_from(cbor(data, 0)?.uint()?).map_err(|_| Refused)?))
}

/// Numbers of an end block: kind (255: only known that there was one), signal, code, address, ticks, unix_ns, thread,
/// context, sender's process and user.
pub type End = (u8, u8, i32, u64, u64, i64, [u32; 4]);

/// Reads the end block of a long ring header, bytes 192 to 271 (§2.1).
pub fn end_block(block: &[u8; 80]) -> Option<End> {
    let stored = u32::from_le_bytes(block[72..76].try_into().expect("four bytes"));
    // All results that one flipped bit can have had, in the block or in its CRC.
    let with_flipped = |bit: Option<usize>| {
        let (mut words, mut crc) = (block[..48].to_vec(), stored);
        match bit {
            Some(bit) if bit < 384 => words[bit / 8] ^= 1 << (bit % 8),
            Some(bit) => crc ^= 1 << (bit - 384),
            None => {}
        }
        (crc32(&words) == crc).then_some(words)
    };
    let whole = std::iter::once(None).chain((384..416).map(Some)).chain((0..384).map(Some)).find_map(with_flipped);
    let low = |at: usize, words: &[u8]| u32::from_le_bytes(words[at..at + 4].try_into().expect("four bytes"));
    let word = |at: usize, words: &[u8]| u64::from_le_bytes(words[at..at + 8].try_into().expect("eight bytes"));
    let unfinished = (255, 0, 0, 0, 0, 0, [0; 4]);
    let Some(words) = whole else {
        let is_one = low(0, block) == u32::MAX || word(0, block) != 0 && stored != 0;
        return is_one.then_some(unfinished);
    };
    if words[0] == 0 {
        return None;
    }
    let who = [32, 36, 40, 44].map(|at| low(at, &words));
    Some((words[0], words[1], low(4, &words) as i32, word(8, &words), word(16, &words), word(24, &words) as i64, who))
}

/// Reads a text of the control block, starting at its length (§2.5); `None` if there is none or it is not intact.
pub fn control_text(block: &[u8; 520]) -> Option<&str> {
    let [len, crc] = [0, 4].map(|at| u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes")));
    let text = block[8..].get(..len as usize)?;
    if text.is_empty() || crc32(text) != crc {
        return None;
    }
    std::str::from_utf8(text).ok()
}

/// Returns the checksum of a device's segment header (§2.6).
pub fn mix(covered: &[u8; 28]) -> u32 {
    let mut sum = 0x5454_4C47_u32;
    for half in covered.chunks(4) {
        let product = (sum ^ u32::from_le_bytes(half.try_into().expect("four bytes"))).wrapping_mul(0x9E37_79B1);
        sum = product ^ product >> 15;
    }
    sum
}

/// Slot of a session: boot, build id, reset reason, ticks per second, flags, first sequence (§2.6). `None`: empty or
/// damaged.
pub type Session = (u32, [u8; 20], u32, u32, u32, u64);

/// Reads the slot of a session.
pub fn session(slot: &[u8; 48]) -> Option<Session> {
    let half = |at: usize| u32::from_le_bytes(slot[at..at + 4].try_into().expect("four bytes"));
    if half(0) == 0 || half(4) != crc32(&[&slot[..4], &slot[8..]].concat()) {
        return None;
    }
    let build_id = slot[8..28].try_into().expect("20 bytes");
    let first = u64::from_le_bytes(slot[40..].try_into().expect("eight bytes"));
    Some((half(0), build_id, half(28), half(32), half(36), first))
}

/// A segment item: the numbers before the codec, and the bytes of the records.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// Index, sequence, context, mode, lap, base_ticks, close_ticks, lost, count, pending, damaged.
    pub numbers: [u64; 11],
    /// Records, as in a ring.
    pub records: Vec<u8>,
}

/// Decodes the body of an item of kind 2.
pub fn segment(body: &[u8]) -> Result<Segment> {
    let data = &mut &body[..];
    let element = elements(data, 14)?;
    if array_len(&mut &body[..])? > 14 {
        u32::try_from(cbor(data, 0)?.uint()?).map_err(|_| Refused)?; // events that were left out
    }
    let mut numbers = [0; 11];
    for (number, element) in numbers.iter_mut().zip(&element) {
        *number = element.uint()?;
    }
    let (codec, raw_len, data) = (element[11].uint()?, element[12].uint()?, element[13].bytes()?);
    let lap = u8::try_from(numbers[4]).map_err(|_| Refused)?;
    if raw_len > 65_536 || raw_len % 8 != 0 || numbers[3] > 3 {
        return Err(Refused);
    }
    let raw_len = raw_len as usize;
    let records = match codec {
        0 => data.to_vec(),
        1 => lz4(data, raw_len)?,
        2 => return Ok(Segment { numbers, records: columns(&lz4(data, raw_len + raw_len / 8 + 8)?, raw_len, lap)? }),
        _ => return Err(Refused),
    };
    if records.len() != raw_len {
        return Err(Refused);
    }
    Ok(Segment { numbers, records })
}

/// Reads the length of an array.
fn array_len(data: &mut &[u8]) -> Result<u64> {
    Ok(match take(data, 1)?[0] {
        short @ 0x80..=0x97 => u64::from(short & 31),
        0x98 => u64::from(take(data, 1)?[0]),
        0x99 => u64::from(u16::from_be_bytes(array(data)?)),
        0x9a => u64::from(u32::from_be_bytes(array(data)?)),
        0x9b => u64::from_be_bytes(array(data)?),
        _ => return Err(Refused),
    })
}

/// Reads the first `count` elements of an array that can be longer.
fn elements(data: &mut &[u8], count: usize) -> Result<Vec<Cbor>> {
    if array_len(data)? < count as u64 {
        return Err(Refused);
    }
    (0..count).map(|_| cbor(data, 0)).collect()
}

/// Converts columns (§6.3) back to records.
pub fn columns(mut data: &[u8], raw_len: usize, lap: u8) -> Result<Vec<u8>> {
    let data = &mut data;
    let n = usize::from(u16::from_le_bytes(array(data)?));
    let s = usize::from(u16::from_le_bytes(array(data)?));
    if s > 256 {
        return Err(Refused);
    }
    let places: Vec<usize> = take(data, n)?.iter().map(|place| usize::from(*place)).collect();
    let mut shapes = Vec::new();
    for _ in 0..s {
        shapes.push((u16::from_le_bytes(array(data)?), usize::from(u16::from_le_bytes(array(data)?))));
    }
    let size: usize =
        places.iter().map(|place| Ok(8 + 8 * shapes.get(*place).ok_or(Refused)?.1)).sum::<Result<usize>>()?;
    if size != raw_len {
        return Err(Refused);
    }
    let deltas = planes(data, n, 4)?;
    let mut payloads = Vec::new();
    for (place, (_, words)) in shapes.iter().enumerate() {
        let count = places.iter().filter(|other| **other == place).count();
        let forms = take(data, *words)?;
        let mut found = Vec::new();
        for form in forms {
            found.push(if *form == 9 { vec![0; count] } else { column(data, *form, count)? });
        }
        let mut of_shape = std::collections::VecDeque::new();
        for record in 0..count {
            let mut payload = Vec::new();
            for (form, column) in forms.iter().zip(&found) {
                payload.push(if *form == 9 { u64::from_le_bytes(array(data)?) } else { column[record] });
            }
            of_shape.push_back(payload);
        }
        payloads.push(of_shape);
    }
    if !data.is_empty() {
        return Err(Refused);
    }
    let (mut out, mut delta) = (Vec::new(), 0u32);
    for (place, difference) in places.iter().zip(deltas) {
        let (callsite, words) = shapes[*place];
        let payload = payloads[*place].pop_front().expect("as many as there are records");
        if words >= 255 && payload[0] != words as u64 {
            return Err(Refused);
        }
        delta = delta.wrapping_add(difference as u32);
        let header = u64::from(callsite) | (words.min(255) as u64) << 16 | u64::from(delta) << 24;
        out.push(header | u64::from(check(header, &payload, lap)) << 56);
        out.extend(payload);
    }
    Ok(out.iter().flat_map(|word| word.to_le_bytes()).collect())
}

/// Reads `count` numbers of `width` bytes in planes.
fn planes(data: &mut &[u8], count: usize, width: usize) -> Result<Vec<u64>> {
    let bytes = take(data, count * width)?;
    Ok((0..count).map(|i| (0..width).map(|byte| u64::from(bytes[byte * count + i]) << (8 * byte)).sum()).collect())
}

/// Reads one column in one of its forms.
fn column(data: &mut &[u8], form: u8, count: usize) -> Result<Vec<u64>> {
    match form {
        0 => planes(data, count, 8),
        1..=8 => {
            let lower = usize::from(form);
            let entries = usize::from(take(data, 1)?[0]) + 1;
            let mut dictionary = Vec::new();
            for _ in 0..entries {
                dictionary
                    .push(take(data, lower)?.iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte)));
            }
            let places = take(data, count)?;
            let upper = planes(data, count, 8 - lower)?;
            places
                .iter()
                .zip(upper)
                .map(|(place, upper)| {
                    let upper = if lower == 8 { 0 } else { upper << (8 * lower) };
                    Ok(dictionary.get(usize::from(*place)).ok_or(Refused)? | upper)
                })
                .collect()
        }
        10 | 16..=31 => {
            let mut sum = 0i64;
            let sums = planes(data, count, 8)?.into_iter().map(|folded| {
                sum = sum.wrapping_add((folded >> 1) as i64 ^ -((folded & 1) as i64));
                if form == 10 { sum as u64 } else { (sum as f64 / 10f64.powi(i32::from(form) - 16)).to_bits() }
            });
            Ok(sums.collect())
        }
        32..=127 => {
            let (start, moved) = (usize::from((form - 32) / 24), usize::from((form - 32) % 24 / 8 + 1));
            let turned = column(data, (form - 32) % 8 + 1, count)?.into_iter().map(|word| {
                let turned = word.to_le_bytes();
                let bytes = [&turned[..start], &turned[8 - moved..], &turned[start..8 - moved]].concat();
                u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
            });
            Ok(turned.collect())
        }
        _ => Err(Refused),
    }
}

// --- records, §4 ---

fn check(header: u64, payload: &[u64], lap: u8) -> u8 {
    let mixed = payload.iter().fold(header & !(0xff << 56) ^ u64::from(lap), |mixed, word| mixed ^ word);
    (mixed.wrapping_mul(0x0101_0101_0101_0101) >> 56) as u8
}

/// Item at one position of a segment.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A record of a callsite.
    Event {
        /// Byte offset from the first record.
        offset: usize,
        /// Id of the callsite.
        callsite: u16,
        /// Clock reading.
        ticks: u64,
        /// Context of the event; 0: unknown.
        context: u32,
        /// Payload in bytes, without the length word and the context word.
        payload: Vec<u8>,
    },
    /// A context record: context, operating system's thread, next index, name.
    Context(u32, u64, u64, String),
}

/// Records of a segment, and the parts of its header that the walk needs.
#[derive(Debug, Clone)]
pub struct Records {
    /// All words of the room for records.
    pub words: Vec<u64>,
    /// Number of words that hold records.
    pub offset: usize,
    /// Number of events.
    pub count: usize,
    /// Mode: 0 exclusive, 1 shared, 2 shared with contexts, 3 of a device.
    pub mode: u8,
    /// Start value of the checks.
    pub lap: u8,
    /// Context that opened the segment.
    pub context: u32,
    /// Clock reading that deltas are relative to.
    pub base_ticks: u64,
}

/// Walks over the records of a segment up to its end or to the first damaged one. Returns the items, and the index of
/// the damaged word.
pub fn walk(of: &Records) -> (Vec<Item>, Option<usize>) {
    let (mut found, mut counted) = (Vec::new(), 0);
    // In a device's segment, `context` is the session, and `base` is the clock at the previous record (§2.6).
    let device = of.mode == 3;
    let (mut at, mut base, mut context) = (0, of.base_ticks, if device { 0 } else { of.context });
    let exclusive = of.mode == 0;
    let (mut in_zeros, mut doubts) = (false, 8);
    // "Where `offset` and `count` contradict each other although all records are valid, the valid records up to the
    // greater count."
    while at < of.offset || counted < of.count {
        let Some((mut size, header)) = record(of, at) else {
            if !exclusive && at < of.offset && of.words[at] == 0 {
                counted += usize::from(!in_zeros);
                in_zeros = true;
                at += 1;
                continue;
            }
            let events = found.iter().filter(|item| matches!(item, Item::Event { .. })).count();
            let damage = at < of.offset && !(exclusive && events >= of.count);
            return (found, damage.then_some(at));
        };
        in_zeros = false;
        let mut payload = &of.words[at + 1..at + size];
        if header >> 16 & 0xff == 255 && header as u16 != 0xffff {
            payload = &payload[1..];
        }
        let (callsite, mut delta) = (header as u16, header >> 24 & 0xffff_ffff);
        counted += usize::from(callsite != 0);
        match (callsite, delta) {
            (0xffff, _) if device && doubts > 0 && counted <= of.count => {
                // "If the records from its end on are not all valid, or fewer than `count` has"
                let missing = of.count - counted;
                if behind(of, at + size).is_none_or(|events| events < missing) {
                    doubts -= 1;
                    let ends = (at + 1..=of.offset.min(at + 256))
                        .filter(|end| of.words.get(*end) != Some(&0) || *end == of.offset);
                    size = ends.map(|end| end - at).find(|size| behind(of, at + size) == Some(missing)).unwrap_or(size);
                }
            }
            (0xffff, _) => {}
            // "a boot was cut short, and `count` says nothing yet"
            (0, 3) if device => doubts = 0,
            (0, 1) => base = payload.first().copied().unwrap_or(base),
            (0, 2) => {
                if let Ok(item) = context_record(payload) {
                    if let (Item::Context(named, ..), true) = (&item, exclusive) {
                        context = *named;
                    }
                    found.push(item);
                }
            }
            (0, _) => {}
            _ => {
                let mut whose = context;
                if of.mode == 2 {
                    let first = payload.first().copied().unwrap_or(0);
                    whose = first as u32;
                    delta |= first >> 32 << 32;
                    payload = payload.get(1..).unwrap_or(&[]);
                }
                if device {
                    let on = (delta as u32).wrapping_sub(base as u32);
                    base = if u64::from(on) >= (1 << 32) - (1 << 28) {
                        base.wrapping_sub((1 << 32) - u64::from(on))
                    } else {
                        base.wrapping_add(on.into())
                    };
                    delta = 0;
                }
                found.push(Item::Event {
                    offset: at * 8,
                    callsite,
                    ticks: base.wrapping_add(delta),
                    context: whose,
                    payload: payload.iter().flat_map(|word| word.to_le_bytes()).collect(),
                });
            }
        }
        at += size;
    }
    (found, None)
}

/// Returns the number of records from word `from` to the end, if all are valid.
fn behind(of: &Records, from: usize) -> Option<usize> {
    let (mut at, mut counted) = (from, 0);
    while at < of.offset {
        if of.words[at] == 0 {
            counted += 1;
            at += of.words[at..of.offset].iter().take_while(|word| **word == 0).count();
            continue;
        }
        let (size, header) = record(of, at)?;
        counted += usize::from(header as u16 != 0);
        at += size;
    }
    (at == of.offset).then_some(counted)
}

/// Returns whether there is a valid record of an event at word `at`, which a reader may still show after damage.
pub fn is_event(of: &Records, at: usize) -> bool {
    record(of, at).is_some_and(|(_, header)| !matches!(header as u16, 0 | 0xffff))
}

/// Returns the size in words and the header of the record at word `at`, committed or reserved; `None` if not valid.
fn record(of: &Records, at: usize) -> Option<(usize, u64)> {
    let (header, rest) = of.words.get(at..)?.split_first()?;
    let len = header >> 16 & 0xff;
    if of.mode == 3 && *header as u16 == 0xffff {
        return (len <= rest.len() as u64).then_some((1 + len as usize, *header));
    }
    let (size, payload) = if *header as u16 == 0xffff {
        (header >> 24 & 0xffff_ffff, &[][..])
    } else {
        let count = if len == 255 { *rest.first()? } else { len };
        (count, rest.get(..usize::try_from(count).ok()?)?)
    };
    let good = *header != 0
        && size <= rest.len() as u64
        && (len < 255 || *header as u16 == 0xffff || size >= 255)
        && u64::from(check(*header, payload, of.lap)) == header >> 56;
    good.then_some((1 + size as usize, *header))
}

fn context_record(payload: &[u64]) -> Result<Item> {
    let bytes: Vec<u8> = payload.iter().flat_map(|word| word.to_le_bytes()).collect();
    let data = &mut &bytes[..];
    let (context, thread, next) = (varint(data)?, varint(data)?, varint(data)?);
    match value(data, &[15])? {
        Value::Text(name, _) => Ok(Item::Context(u32::try_from(context).map_err(|_| Refused)?, thread, next, name)),
        _ => Err(Refused),
    }
}

// --- values, §4.2 and §4.3 ---

/// A decoded value. Values that can be capped have their original length.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A bool.
    Bool(bool),
    /// An integer from u8 to u64.
    Unsigned(u64),
    /// A u128.
    U128(u128),
    /// An integer from i8 to i64.
    Signed(i64),
    /// An i128.
    I128(i128),
    /// An f32, as bits.
    F32(u32),
    /// An f64, as bits.
    F64(u64),
    /// A char.
    Char(char),
    /// A str, display or debug.
    Text(String, Option<u32>),
    /// Bytes.
    Bytes(Vec<u8>, Option<u32>),
    /// A unit.
    Unit,
    Absent,
    /// An option without a value.
    None,
    Uuid([u8; 16]),
    Ip(IpAddr),
    Socket(SocketAddr),
    /// In nanoseconds.
    Duration(u128),
    /// In nanoseconds since 1970.
    Time(i128),
    /// A sequence or an error.
    Sequence(Vec<Value>, Option<u32>),
    /// A tuple, a struct or a variant: its names and its members.
    Composite(Vec<String>, Vec<Value>),
    /// A variant that was withheld.
    Withheld,
}

/// Decodes the fields of a payload, whose types are in source order; `split` is whether the callsite is of kind 3.
pub fn fields(payload: &[u8], types: &[Vec<u8>], split: bool) -> Result<Vec<Value>> {
    let data = &mut &payload[..];
    let mut values = vec![Value::Unit; types.len()];
    let wide = |tags: &[u8]| matches!(tags, [6 | 11 | 13 | 22, ..]);
    for (value_out, tags) in values.iter_mut().zip(types).filter(|(_, tags)| wide(tags)) {
        *value_out = value(data, tags)?;
    }
    let mut heads = Vec::new();
    for tags in types.iter().filter(|tags| !wide(tags)) {
        let head_len = match tags.first() {
            _ if !split => 0,
            Some(1 | 2 | 7 | 5 | 10 | 15..=18 | 33) => 1,
            Some(3 | 8) => 2,
            Some(4 | 9 | 12 | 14) => 4,
            _ => 0,
        };
        heads.push(take(data, head_len)?);
    }
    let mut heads = heads.into_iter();
    for (value_out, tags) in values.iter_mut().zip(types).filter(|(_, tags)| !wide(tags)) {
        let head = heads.next().expect("one for each");
        *value_out = match (tags[..].first().ok_or(Refused)?, head) {
            (_, []) => value(data, tags)?,
            (5 | 10, [head]) => {
                let (n, low) = (usize::from(head % 8), u128::from(head / 8));
                let n = if n == 7 { 8 } else { n };
                let mut bytes = [0; 16];
                bytes[..n].copy_from_slice(take(data, n)?);
                let number = u64::try_from(u128::from_le_bytes(bytes) * 32 + low).map_err(|_| Refused)?;
                if tags[0] == 5 { Value::Unsigned(number) } else { Value::Signed(unfolded(number)) }
            }
            (15..=18 | 33, [head]) => {
                // As when joined, with the head in front of the tail.
                let joined = [&[*head], &data[..]].concat();
                let rest = &mut &joined[..];
                let value = value(rest, tags)?;
                *data = &data[data.len() - rest.len()..];
                value
            }
            (_, mut head) => value(&mut head, tags)?,
        };
    }
    Ok(values)
}

fn unfolded(folded: u64) -> i64 {
    (folded >> 1) as i64 ^ -((folded & 1) as i64)
}

fn varint(data: &mut &[u8]) -> Result<u64> {
    let first = take(data, 1)?[0];
    let n = usize::from(first & 7);
    if n == 7 {
        return Ok(u64::from_le_bytes(array(data)?));
    }
    let mut bytes = [0; 8];
    bytes[0] = first;
    bytes[1..=n].copy_from_slice(take(data, n)?);
    Ok(u64::from_le_bytes(bytes) >> 3)
}

fn length(data: &mut &[u8]) -> Result<(usize, Option<u32>)> {
    match take(data, 1)?[0] {
        short @ 0..250 => Ok((usize::from(short), None)),
        250 => Ok((u32::from_le_bytes(array(data)?) as usize, None)),
        251 => Ok((u32::from_le_bytes(array(data)?) as usize, Some(u32::from_le_bytes(array(data)?)))),
        _ => Err(Refused),
    }
}

/// Less than a second.
fn nanos(data: &mut &[u8]) -> Result<u32> {
    Some(u32::from_le_bytes(array(data)?)).filter(|nanos| *nanos < 1_000_000_000).ok_or(Refused)
}

/// "A description has at most 2,048 bytes, and at most 16 types are nested in each other".
fn value(data: &mut &[u8], tags: &[u8]) -> Result<Value> {
    let rest = &mut &tags[..];
    let of = parse(rest, 16)?;
    if !rest.is_empty() || tags.len() > 2048 {
        return Err(Refused);
    }
    read(data, &of)
}

/// A parsed description.
#[derive(Debug, Clone, PartialEq)]
enum Of {
    Leaf(u8),
    Option(Box<Of>),
    Sequence(Box<Of>),
    Tuple(Vec<Of>),
    Struct(Members),
    Enum(Vec<u8>, Vec<Members>),
}

/// Name of a struct or a variant, and the names and types of its members.
type Members = (Vec<u8>, Vec<(Vec<u8>, Of)>);

fn parse(tags: &mut &[u8], depth: usize) -> Result<Of> {
    if depth == 0 {
        return Err(Refused);
    }
    Ok(match take(tags, 1)?[0] {
        0 => return Err(Refused),
        32 => Of::Option(parse(tags, depth - 1)?.into()),
        33 => Of::Sequence(parse(tags, depth - 1)?.into()),
        34 => Of::Tuple((0..take(tags, 1)?[0]).map(|_| parse(tags, depth - 1)).collect::<Result<_>>()?),
        35 => Of::Struct(members(tags, depth - 1)?),
        36 => {
            let (name, count) = (name(tags)?, take(tags, 1)?[0]);
            if count > 254 {
                return Err(Refused);
            }
            Of::Enum(name, (0..count).map(|_| members(tags, depth - 1)).collect::<Result<_>>()?)
        }
        leaf => Of::Leaf(leaf),
    })
}

fn members(tags: &mut &[u8], depth: usize) -> Result<Members> {
    let (own, count) = (name(tags)?, take(tags, 1)?[0]);
    let member = |_| {
        take(tags, 1)?;
        Ok((name(tags)?, parse(tags, depth)?))
    };
    Ok((own, (0..count).map(member).collect::<Result<_>>()?))
}

fn name(tags: &mut &[u8]) -> Result<Vec<u8>> {
    let len = usize::from(take(tags, 1)?[0]);
    Ok(take(tags, len)?.to_vec())
}

/// Names matter only where a value is read: those of other variants can be anything.
fn text(name: &[u8]) -> Result<String> {
    String::from_utf8(name.to_vec()).map_err(|_| Refused)
}

fn read(data: &mut &[u8], of: &Of) -> Result<Value> {
    let read_members = |data: &mut &[u8], mut names: Vec<String>, members: &[(Vec<u8>, Of)]| {
        let mut values = Vec::new();
        for (name, of) in members {
            names.push(text(name)?);
            values.push(read(data, of)?);
        }
        // Without any name it is as good as a tuple.
        let is_tuple = names.len() == values.len() + 1 && names.iter().all(String::is_empty);
        Ok(Value::Composite(if is_tuple { vec![] } else { names }, values))
    };
    match of {
        Of::Leaf(tag) => leaf(data, *tag),
        Of::Option(inner) => match take(data, 1)?[0] {
            0 => Ok(Value::None),
            1 => read(data, inner),
            _ => Err(Refused),
        },
        Of::Sequence(inner) => {
            let (len, full) = length(data)?;
            if is_empty(inner) {
                return Err(Refused);
            }
            Ok(Value::Sequence((0..len).map(|_| read(data, inner)).collect::<Result<_>>()?, full))
        }
        Of::Tuple(types) => {
            let values = types.iter().map(|of| read(data, of)).collect::<Result<_>>()?;
            Ok(Value::Composite(vec![], values))
        }
        Of::Struct((name, members)) => read_members(data, vec![text(name)?], members),
        Of::Enum(name, variants) => {
            let name = text(name)?;
            match take(data, 1)?[0] {
                254 => Ok(Value::Withheld),
                255 => {
                    let (len, _) = length(data)?;
                    take(data, len)?;
                    Ok(Value::Withheld)
                }
                index => {
                    let (variant, members) = variants.get(usize::from(index)).ok_or(Refused)?;
                    read_members(data, vec![name, text(variant)?], members)
                }
            }
        }
    }
}

/// Whether values take no bytes.
fn is_empty(of: &Of) -> bool {
    match of {
        Of::Leaf(tag) => *tag == 20,
        Of::Tuple(types) => types.iter().all(is_empty),
        Of::Struct((_, members)) => members.iter().all(|(_, of)| is_empty(of)),
        _ => false,
    }
}

fn leaf(data: &mut &[u8], tag: u8) -> Result<Value> {
    Ok(match tag {
        1 => match take(data, 1)?[0] {
            0 => Value::Bool(false),
            1 => Value::Bool(true),
            _ => return Err(Refused),
        },
        2 => Value::Unsigned(u64::from(take(data, 1)?[0])),
        3 => Value::Unsigned(u64::from(u16::from_le_bytes(array(data)?))),
        4 => Value::Unsigned(u64::from(u32::from_le_bytes(array(data)?))),
        5 => Value::Unsigned(varint(data)?),
        6 => Value::U128(u128::from_le_bytes(array(data)?)),
        7 => Value::Signed(i64::from(take(data, 1)?[0] as i8)),
        8 => Value::Signed(i64::from(i16::from_le_bytes(array(data)?))),
        9 => Value::Signed(i64::from(i32::from_le_bytes(array(data)?))),
        10 => Value::Signed(unfolded(varint(data)?)),
        11 => Value::I128(i128::from_le_bytes(array(data)?)),
        12 => Value::F32(u32::from_le_bytes(array(data)?)),
        13 => Value::F64(u64::from_le_bytes(array(data)?)),
        14 => Value::Char(char::from_u32(u32::from_le_bytes(array(data)?)).ok_or(Refused)?),
        15 | 17 | 18 => {
            let (len, full) = length(data)?;
            Value::Text(String::from_utf8(take(data, len)?.to_vec()).map_err(|_| Refused)?, full)
        }
        16 => {
            let (len, full) = length(data)?;
            Value::Bytes(take(data, len)?.to_vec(), full)
        }
        19 => {
            let (len, full) = length(data)?;
            Value::Sequence((0..len).map(|_| leaf(data, 15)).collect::<Result<_>>()?, full)
        }
        20 => Value::Unit,
        21 => {
            let outer = data.iter().take_while(|tag| matches!(tag, 32 | 33)).count();
            match data.get(outer) {
                Some(0) if outer == 0 => {
                    take(data, 1)?;
                    Value::Absent
                }
                None | Some(0 | 21 | 34 | 35 | 36) => return Err(Refused),
                Some(_) => {
                    let tags = take(data, outer + 1)?;
                    value(data, tags)?
                }
            }
        }
        22 => Value::Uuid(array(data)?),
        23 => match take(data, 1)?[0] {
            4 => Value::Ip(array::<4>(data)?.into()),
            6 => Value::Ip(array::<16>(data)?.into()),
            _ => return Err(Refused),
        },
        24 => match take(data, 1)?[0] {
            4 => Value::Socket((array::<4>(data)?, u16::from_le_bytes(array(data)?)).into()),
            form @ (6 | 7) => {
                let (address, port) = (array::<16>(data)?.into(), u16::from_le_bytes(array(data)?));
                let mut number = || if form == 7 { Ok(u32::from_le_bytes(array(data)?)) } else { Ok(0) };
                Value::Socket(SocketAddrV6::new(address, port, number()?, number()?).into())
            }
            _ => return Err(Refused),
        },
        25 => match varint(data)? {
            u64::MAX => {
                let secs = u64::from_le_bytes(array(data)?);
                Value::Duration(u128::from(secs) * 1_000_000_000 + u128::from(nanos(data)?))
            }
            ns => Value::Duration(ns.into()),
        },
        26 => match i64::from_le_bytes(array(data)?) {
            i64::MIN => {
                let secs = i64::from_le_bytes(array(data)?);
                Value::Time(i128::from(secs) * 1_000_000_000 + i128::from(nanos(data)?))
            }
            ns => Value::Time(ns.into()),
        },
        _ => return Err(Refused),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the blocks of docs/format.md marked as vectors of this name: the words of each line.
    fn vectors(name: &str) -> Vec<Vec<String>> {
        let document = include_str!("../../../docs/format.md");
        let mut lines = document.lines();
        let mut found = Vec::new();
        while lines.by_ref().any(|line| line == format!("```vector {name}")) {
            found.extend(
                lines
                    .by_ref()
                    .take_while(|line| *line != "```")
                    .map(|line| line.split(' ').map(str::to_owned).collect()),
            );
        }
        assert!(!found.is_empty(), "no vectors of {name}");
        found
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hexadecimal")).collect()
    }

    #[test]
    fn numbers_as_the_document_says() {
        for line in vectors("varint") {
            assert_eq!(varint(&mut &bytes(&line[1])[..]), Ok(line[0].parse().unwrap()), "{line:?}");
        }
        for line in vectors("zigzag") {
            assert_eq!(
                value(&mut &bytes(&line[1])[..], &[10]),
                Ok(Value::Signed(line[0].parse().unwrap())),
                "{line:?}"
            );
        }
        for line in vectors("length") {
            let (kept, full) = line[0]
                .split_once('/')
                .map_or((&line[0][..], None), |(kept, full)| (kept, Some(full.parse().unwrap())));
            assert_eq!(length(&mut &bytes(&line[1])[..]), Ok((kept.parse().unwrap(), full)), "{line:?}");
        }
    }

    #[test]
    fn nested_values_as_the_document_says() {
        for line in vectors("nested") {
            assert_eq!(in_words(&value(&mut &bytes(&line[1])[..], &bytes(&line[0])).unwrap()), line[2], "{line:?}");
        }
    }

    fn in_words(value: &Value) -> String {
        match value {
            Value::Composite(names, values) => {
                let own = names.len() - names.len().min(values.len());
                let (own, names) = names.split_at(own);
                let name = |index: usize| names.get(index).map_or("", |name| name);
                let members = values.iter().enumerate();
                let members: Vec<_> = members.map(|(at, value)| format!("{}:{}", name(at), in_words(value))).collect();
                let own: Vec<_> = (0..2).map(|index| own.get(index).map_or("", |name| name)).collect();
                // The mark of a secret is not read here.
                format!("{}({})", own.join("."), members.join(",")).replace(",:ab", ",!:ab")
            }
            Value::Sequence(elements, _) => {
                format!("[{}]", elements.iter().map(in_words).collect::<Vec<_>>().join(","))
            }
            Value::Unsigned(value) => value.to_string(),
            Value::Text(text, _) => text.clone(),
            Value::Withheld => "withheld".to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn payloads_as_the_document_says() {
        let text = |text: &str| Value::Text(text.to_owned(), None);
        let float = || Value::F64(0.5_f64.to_bits());
        for line in vectors("payload") {
            let (types, expected): (&[&[u8]], Vec<Value>) = match &line[0][..] {
                "order" => (&[&[15], &[5], &[13]], vec![text("SYMBOL"), Value::Unsigned(70_000), float()]),
                "web" => (
                    &[&[15], &[15], &[5], &[3], &[5], &[13]],
                    vec![
                        text("GET"),
                        text("/a/longer/path/of/24"),
                        Value::Unsigned(7),
                        Value::Unsigned(200),
                        Value::Unsigned(u64::MAX),
                        float(),
                    ],
                ),
                "numbers" => (
                    &[&[5], &[5], &[10], &[10], &[1], &[8]],
                    vec![
                        Value::Unsigned(15),
                        Value::Unsigned(16),
                        Value::Signed(-2048),
                        Value::Signed(2048),
                        Value::Bool(true),
                        Value::Signed(-1),
                    ],
                ),
                "bytes" => (
                    &[&[33, 3], &[16], &[33, 13], &[15], &[33, 5]],
                    vec![
                        Value::Sequence(vec![Value::Unsigned(1), Value::Unsigned(2)], None),
                        Value::Bytes(vec![3], None),
                        Value::Sequence(vec![float()], None),
                        text(""),
                        Value::Sequence(vec![Value::Unsigned(5)], None),
                    ],
                ),
                _ => (
                    &[&[32, 15], &[32, 5], &[32, 2], &[15]],
                    vec![text("ab"), Value::Unsigned(31), Value::None, text("cd")],
                ),
            };
            let types: Vec<Vec<u8>> = types.iter().map(|tags| tags.to_vec()).collect();
            assert_eq!(fields(&bytes(&line[1]), &types, true), Ok(expected), "{line:?}");
        }
    }

    #[test]
    fn items_as_the_document_says() {
        for line in vectors("item") {
            let body = bytes(&line[1]);
            assert_eq!(items(&bytes(&line[2..].concat())), [(0, line[0].parse().unwrap(), body)], "{line:?}");
        }
    }

    #[test]
    fn headers_of_devices_as_the_document_says() {
        for line in vectors("device-segment") {
            let segment = bytes(line.last().expect("the bytes"));
            let mut covered = [&segment[..20], &segment[24..32]].concat();
            covered[7] &= 0x0f;
            let stored = u32::from_le_bytes(segment[20..24].try_into().unwrap());
            assert_eq!(mix(covered[..].try_into().unwrap()), stored, "{line:?}");
        }
        for line in vectors("device-header") {
            let header = bytes(line.last().expect("the bytes"));
            let build_id = bytes(&line[5]).try_into().unwrap();
            let [boot, reason, rate, flag, first] = [0, 1, 2, 3, 4].map(|at| line[at].parse::<u32>().unwrap());
            let found = session(header[8..].try_into().unwrap());
            assert_eq!(found, Some((boot, build_id, reason, rate, flag, first.into())), "{line:?}");
        }
    }

    #[test]
    fn check_values() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        // 4 literals, then a match of 5 from 4 back, then the last literals.
        assert_eq!(lz4(&[0x41, b'a', b'b', b'c', b'd', 4, 0, 0x10, b'!'], 64), Ok(b"abcdabcda!".to_vec()));
        assert_eq!(lz4(&[0x41, b'a', b'b', b'c', b'd', 5, 0, 0x10, b'!'], 64), Err(Refused));
    }
}
