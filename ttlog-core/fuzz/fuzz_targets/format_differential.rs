//! Checks that ttlog-core reads bytes as docs/format.md specifies. Decodes the same bytes with ttlog-core and with
//! [`naive`], which was written from the document and shares no code with it, and compares records of a segment,
//! values, and the items of a snapshot completely.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ttlog_core::ring::{Mode, RingConfig, RingImage, SegmentHeader, SegmentState};
use ttlog_core::snapshot::{SnapshotItem, SnapshotReader, unpack_len};
use ttlog_core::{Item, Ring, Segment, TableItem, ValueRef, Word};
use ttlog_core_fuzz::naive::{self, Value};

#[derive(Arbitrary, Debug)]
enum Input {
    Records(Records),
    Values(Vec<Type>, Vec<u8>, bool),
    Snapshot(Vec<Part>),
    LongHeader(LongHeader),
    Session(Session),
}

fuzz_target!(|input: Input| {
    match input {
        Input::Records(input) => records(&input),
        Input::Values(types, payload, split) => values(&types, &payload, split),
        Input::Snapshot(parts) => snapshot(&parts),
        Input::LongHeader(header) => long_header(&header),
        Input::Session(input) => session(&input),
    }
});

// --- the long ring header ---

#[derive(Arbitrary, Debug)]
struct LongHeader {
    /// Numbers of the end block, and whether its CRC is corrected.
    end: [u64; 6],
    is_sealed: bool,
    /// Error in the length of each text, in some cases.
    len_error: i8,
    texts: [Vec<u8>; 2],
    /// Bits to flip in and around the end block.
    flips: Vec<u16>,
}

fn long_header(input: &LongHeader) {
    let config = RingConfig { ring_id: 1, control: true, ..RingConfig::PLAIN };
    let memory: Vec<Word> = (0..(config.overhead_len() + 128) / 8).map(|_| Word::new(0)).collect();
    let ring = Ring::create(&memory, &config).expect("room for a segment");
    let mut bytes = vec![0; ring.len_bytes()];
    ring.copy_image(&mut bytes);

    for (word, place) in input.end.iter().zip(bytes[192..].chunks_exact_mut(8)) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    if input.is_sealed {
        let crc = naive::crc32(&bytes[192..240]);
        bytes[264..268].copy_from_slice(&crc.to_le_bytes());
    }
    for (at, text) in [352, 872].into_iter().zip(&input.texts) {
        let text = &text[..text.len().min(512)];
        bytes[at..at + 4]
            .copy_from_slice(&(text.len() as u32).wrapping_add_signed(input.len_error.into()).to_le_bytes());
        bytes[at + 4..at + 8].copy_from_slice(&naive::crc32(text).to_le_bytes());
        bytes[at + 8..at + 8 + text.len()].copy_from_slice(text);
    }
    for flip in input.flips.iter().take(3) {
        let bit = 192 * 8 + usize::from(*flip) % (1344 * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }

    let image = RingImage::parse(&bytes).expect("nothing of it was changed that never changes");
    let read = image.end().map(|end| {
        let who = [end.os_thread_id, end.context, end.sender_pid, end.sender_uid];
        (end.kind.number(), end.signal, end.code, end.address, end.ticks, end.unix_ns, who)
    });
    let part = |at: usize| bytes[at..].first_chunk().expect("it is in the header");
    assert_eq!(
        read,
        naive::end_block(bytes[192..].first_chunk().expect("as above")),
        "left: ttlog-core, right: the document"
    );
    let control = image.control().expect("the header is long");
    assert_eq!((control.request, control.filter), (naive::control_text(part(352)), naive::control_text(part(872))));
}

// --- the ring header of a device, and the header of a segment ---

#[derive(Arbitrary, Debug)]
struct Session {
    slot: [u8; 48],
    /// Sequence word, base, context, loss.
    segment: (u64, u64, u32, u64),
    is_sealed: bool,
    flips: Vec<u16>,
}

fn session(input: &Session) {
    let config = RingConfig { ring_id: 1, session_count: 1, ..RingConfig::PLAIN };
    let memory: Vec<Word> = (0..(config.overhead_len() + 128) / 8).map(|_| Word::new(0)).collect();
    let ring = Ring::create(&memory, &config).expect("room for a segment");
    let mut bytes = vec![0; ring.len_bytes()];
    ring.copy_image(&mut bytes);
    bytes[168..216].copy_from_slice(&input.slot);
    let (sequence, base, context, lost) = input.segment;
    let sequence = sequence & !(0xff << 56) | 3 << 56;
    let mut covered = [0; 28];
    covered[..8].copy_from_slice(&sequence.to_le_bytes());
    covered[8..16].copy_from_slice(&base.to_le_bytes());
    covered[16..20].copy_from_slice(&context.to_le_bytes());
    covered[20..].copy_from_slice(&lost.to_le_bytes());
    bytes[216..236].copy_from_slice(&covered[..20]);
    bytes[240..248].copy_from_slice(&covered[20..]);
    if input.is_sealed {
        let crc = naive::crc32(&[&input.slot[..4], &input.slot[8..]].concat());
        bytes[172..176].copy_from_slice(&crc.to_le_bytes());
        bytes[236..240].copy_from_slice(&naive::mix(&covered).to_le_bytes());
    }
    for flip in input.flips.iter().take(2) {
        let bit = 168 * 8 + usize::from(*flip) % (96 * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    let image = RingImage::parse(&bytes).expect("nothing of it was changed that never changes");
    let read: Vec<_> = image
        .sessions()
        .map(|of| {
            let flags = u32::from(of.embedded_metadata);
            (of.boot, of.build_id, of.reset_reason, of.ticks_per_second, flags, of.first_sequence)
        })
        .collect();
    let expected = naive::session(bytes[168..216].try_into().expect("48 bytes"))
        .map(|(boot, build_id, reason, rate, flags, first)| (boot, build_id, reason, rate, flags & 1, first));
    assert_eq!(read, expected.into_iter().collect::<Vec<_>>(), "left: ttlog-core, right: the document");
    if input.is_sealed && input.flips.is_empty() && sequence & 0xffff_ffff_ffff != 0 {
        let SegmentState::Valid(segment) = image.segment(0) else { panic!("the mix is that of the document") };
        let header = segment.header;
        assert_eq!((header.mode, header.context, header.base_ticks, header.lost), (Mode::Device, context, base, lost));
    }
}

// --- the records of a segment ---

#[derive(Arbitrary, Debug)]
struct Records {
    mode: u8,
    lap: u8,
    context: u32,
    base_ticks: u64,
    pieces: Vec<Piece>,
    /// Error in the true values, in some cases.
    offset_error: i8,
    count_error: i8,
    /// Bits to flip.
    flips: Vec<u16>,
}

#[derive(Arbitrary, Debug)]
enum Piece {
    Event {
        callsite: u16,
        delta: u32,
        payload: Vec<u64>,
    },
    Long {
        callsite: u16,
        delta: u32,
        words: u8,
        fill: u64,
    },
    Rebase(u64),
    Context(Vec<u64>),
    Reserved {
        words: u8,
        fill: u64,
    },
    /// An abandoned reservation on a device.
    Abandoned(Vec<u64>),
    Word(u64),
}

/// Returns a record with its check.
fn record(callsite: u16, len: u8, delta: u32, payload: &[u64], lap: u8) -> Vec<u64> {
    let header = u64::from(callsite) | u64::from(len) << 16 | u64::from(delta) << 24;
    let covered = if callsite == 0xffff { &[] } else { payload };
    let mixed = covered.iter().fold(header ^ u64::from(lap), |mixed, word| mixed ^ word);
    let check = mixed.wrapping_mul(0x0101_0101_0101_0101) >> 56;
    [&[header | check << 56], payload].concat()
}

fn records(input: &Records) {
    let (mut words, mut count) = (Vec::new(), 0);
    for piece in input.pieces.iter().take(64) {
        words.extend(match piece {
            Piece::Event { callsite, delta, payload } => {
                count += usize::from(*callsite != 0 && *callsite != 0xffff);
                let payload = &payload[..payload.len().min(254)];
                record(*callsite, payload.len() as u8, *delta, payload, input.lap)
            }
            Piece::Long { callsite, delta, words, fill } => {
                count += usize::from(*callsite != 0 && *callsite != 0xffff);
                let size = 256 + u64::from(*words);
                let payload: Vec<u64> = std::iter::once(size).chain((1..size).map(|i| fill.wrapping_mul(i))).collect();
                record(*callsite, 255, *delta, &payload, input.lap)
            }
            Piece::Rebase(ticks) => record(0, 1, 1, &[*ticks], input.lap),
            Piece::Context(payload) => {
                let payload = &payload[..payload.len().min(254)];
                record(0, payload.len() as u8, 2, payload, input.lap)
            }
            Piece::Reserved { words, fill } if input.mode % 4 == 3 => {
                let header = 0xffff | u64::from(*words) << 16 | fill << 24;
                [&[header], &vec![*fill; usize::from(*words)][..]].concat()
            }
            Piece::Abandoned(payload) => {
                let payload = &payload[..payload.len().min(254)];
                record(0, payload.len() as u8, 3, payload, input.lap)
            }
            Piece::Reserved { words, fill } => {
                record(0xffff, 0, u32::from(*words), &vec![*fill; usize::from(*words)], input.lap)
            }
            Piece::Word(word) => vec![*word],
        });
    }
    for flip in &input.flips {
        if let Some(word) = words.get_mut(usize::from(*flip) / 64) {
            *word ^= 1 << (flip % 64);
        }
    }
    let offset = words.len().saturating_add_signed(input.offset_error.into()).min(words.len()).min(0x3fff);
    let of = naive::Records {
        offset,
        count: count.saturating_add_signed(input.count_error.into()).min(0x3fff),
        mode: input.mode % 4,
        lap: input.lap,
        context: input.context,
        base_ticks: input.base_ticks,
        words,
    };
    let bytes: Vec<u8> = of.words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let segment = Segment {
        header: SegmentHeader {
            index: 0,
            sequence: 1,
            lap: of.lap,
            mode: [Mode::Exclusive, Mode::Shared, Mode::SharedContexts, Mode::Device][usize::from(of.mode)],
            context: of.context,
            base_ticks: of.base_ticks,
            lost: 0,
            offset_words: of.offset as u32,
            count: of.count as u32,
            done: 0,
            owned: false,
            busy: false,
            closed: false,
            close_ticks: 0,
        },
        records: &bytes,
    };
    let (expected, damage) = naive::walk(&of);
    let (mut read, mut behind) = (Vec::new(), 0);
    for item in segment.items() {
        match item {
            Item::Event(record) => {
                assert!(record.offset >= behind);
                behind = record.offset + 8;
                if damage.is_some_and(|at| record.offset >= at * 8) {
                    // A reader can choose which of them to return, but all of them must be records.
                    assert!(naive::is_event(&of, record.offset / 8), "no record at {}", record.offset);
                } else {
                    assert!(record.ticks_known);
                    read.push(naive::Item::Event {
                        offset: record.offset,
                        callsite: record.callsite,
                        ticks: record.ticks,
                        context: record.context,
                        payload: record.payload.to_vec(),
                    });
                }
            }
            Item::Context(context) if read.len() < expected.len() => {
                let name = context.name.to_owned();
                read.push(naive::Item::Context(context.context, context.os_thread_id, context.next_index, name));
            }
            Item::Damaged { offset, .. } => {
                assert!(damage.is_some_and(|at| offset >= at * 8), "damage at {offset}, and none at or before it");
                behind = offset;
            }
            Item::Context(_) | Item::Pending { .. } => {}
        }
    }
    assert_eq!(read, expected, "left: ttlog-core, right: the document; damage at word {damage:?}");
}

// --- values ---

/// A simple type within up to ten options and sequences, one inside the other. (Readers accept eight tags.)
#[derive(Arbitrary, Debug)]
struct Type {
    depth: u8,
    options: u16,
    tag: u8,
    /// Whether it is a tuple, a struct or an enum instead, with these members or variants.
    composite: u8,
    members: Vec<([u8; 2], Type)>,
}

impl Type {
    fn tags(&self) -> Vec<u8> {
        self.tags_within(12)
    }

    fn tags_within(&self, depth: u8) -> Vec<u8> {
        let mut tags: Vec<u8> =
            (0..self.depth % 18).map(|level| if self.options >> (level % 16) & 1 == 1 { 32 } else { 33 }).collect();
        let Some(kind @ 1..) = Some(self.composite % 8).filter(|kind| *kind < 4 && depth > 0) else {
            // Units are not valid elements, so readers can treat them in any way.
            tags.push(if self.tag % 31 == 20 && tags.last() == Some(&33) { 1 } else { self.tag % 31 });
            return tags;
        };
        let members = &self.members[..self.members.len().min(3)];
        let name = |name: &[u8; 2]| [&[1 + name[0] % 2][..], &name[..1 + usize::from(name[0] % 2)]].concat();
        // A bool comes first, because nor are composites of units only.
        let count = members.len() as u8 + 1;
        match kind {
            1 => tags.extend([34, count, 1]),
            2 => tags.extend([35, 0, count, 0, 0, 1]),
            _ => tags.extend([36, 1, b'E', count, 0, 0]),
        }
        for (member, of) in members {
            let of = of.tags_within(depth - 1);
            match kind {
                1 => tags.extend(of),
                2 => tags.extend([vec![0], name(member), of].concat()),
                _ => tags.extend([name(member), vec![1, 0], name(member), of].concat()),
            }
        }
        tags
    }
}

fn converted(value: &ValueRef<'_>) -> Value {
    match value {
        ValueRef::Bool(value) => Value::Bool(*value),
        ValueRef::Unsigned(value) => Value::Unsigned(*value),
        ValueRef::U128(value) => Value::U128(*value),
        ValueRef::Signed(value) => Value::Signed(*value),
        ValueRef::I128(value) => Value::I128(*value),
        ValueRef::F32(value) => Value::F32(value.to_bits()),
        ValueRef::F64(value) => Value::F64(value.to_bits()),
        ValueRef::Char(value) => Value::Char(*value),
        ValueRef::Str(text) | ValueRef::Display(text) | ValueRef::Debug(text) => {
            Value::Text(text.text.to_owned(), text.full_len)
        }
        ValueRef::Bytes(blob) => Value::Bytes(blob.bytes.to_vec(), blob.full_len),
        ValueRef::Unit => Value::Unit,
        ValueRef::None | ValueRef::SomeNone(_) => Value::None,
        ValueRef::Uuid(bytes) => Value::Uuid(*bytes),
        ValueRef::Ip(address) => Value::Ip(*address),
        ValueRef::Socket(address) => Value::Socket(*address),
        ValueRef::Duration(duration) => Value::Duration(duration.as_nanos()),
        ValueRef::Time(time) => Value::Time(time.as_nanos()),
        ValueRef::Any(any) => converted(&any.value()),
        ValueRef::Absent => Value::Absent,
        ValueRef::Withheld => Value::Withheld,
        ValueRef::Composite(composite) => {
            let mut names = Vec::new();
            let mut values = Vec::new();
            let (name, variant) = (composite.name, composite.variant);
            for member in composite.clone() {
                names.push(member.name.to_owned());
                values.push(converted(&member.value));
            }
            // A tuple has no names at all.
            let is_tuple = name.is_empty() && variant.is_none() && names.iter().all(String::is_empty);
            let own = [Some(name), variant].into_iter().flatten().map(str::to_owned);
            Value::Composite(if is_tuple { vec![] } else { own.chain(names).collect() }, values)
        }
        ValueRef::Error(elements) | ValueRef::Sequence(elements) => {
            Value::Sequence(elements.clone().map(|element| converted(&element)).collect(), elements.full_len)
        }
    }
}

fn values(types: &[Type], payload: &[u8], split: bool) {
    let payload = &payload[..payload.len().min(512)];
    let types: Vec<Vec<u8>> = types.iter().take(20).map(Type::tags).collect();

    // [2 or 3, 1, 3, "", "", "", 1, [["", tags], …]]
    let mut entry = vec![0x88, 2 + u8::from(split), 1, 3, 0x60, 0x60, 0x60, 1, 0x80 + types.len() as u8];
    for tags in &types {
        entry.extend([0x82, 0x60, 0x59]);
        entry.extend((tags.len() as u16).to_be_bytes());
        entry.extend(tags);
    }
    let Ok(TableItem::Callsite(callsite)) = TableItem::decode(&entry) else { panic!("a callsite") };
    let read: Result<Vec<Value>, _> = callsite
        .values(payload)
        .map(|value| value.map(|(_, value)| converted(&value)).map_err(|_| naive::Refused))
        .collect();
    let expected = naive::fields(payload, &types, split);
    assert_eq!(read.is_ok(), expected.is_ok(), "{types:?}: ttlog-core {read:?}, the document {expected:?}");
    if let (Ok(read), Ok(expected)) = (read, expected) {
        assert_eq!(read, expected, "left: ttlog-core, right: the document");
    }
}

// --- the items of a snapshot ---

#[derive(Arbitrary, Debug)]
enum Part {
    Item { kind: u8, body: Vec<u8>, crc: Crc },
    Segment { numbers: [u32; 11], codec: u8, raw_len: u16, data: Vec<u8>, left_out: Option<u32> },
    Junk(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Crc {
    Right,
    Void,
    Wrong(u32),
}

fn item(kind: u8, body: &[u8], crc: &Crc) -> Vec<u8> {
    let right = naive::crc32(&[body, &[kind]].concat());
    let crc = match crc {
        Crc::Right => right,
        Crc::Void => !right,
        Crc::Wrong(bits) => right ^ bits,
    };
    let mut out = b"\xd9\xd9\xf7\x84\x64TTLG".to_vec();
    out.extend([kind, 0x5a]);
    out.extend((body.len() as u32).to_be_bytes());
    out.extend(body);
    out.push(0x1a);
    out.extend(crc.to_be_bytes());
    out
}

fn snapshot(parts: &[Part]) {
    let mut bytes = Vec::new();
    for part in parts.iter().take(16) {
        match part {
            // Not kind 0: a header that needs a newer reader ends the reading, which is tested elsewhere.
            Part::Item { kind, body, crc } => bytes.extend(item(1 + kind % 23, body, crc)),
            Part::Segment { numbers, codec, raw_len, data, left_out } => {
                let mut body = vec![0x8e + u8::from(left_out.is_some())];
                for (place, number) in numbers.iter().enumerate() {
                    // Mode and lap are small.
                    let number = match place {
                        3 => number % 5,
                        4 => number % 256,
                        _ => *number,
                    };
                    body.push(0x1a);
                    body.extend(number.to_be_bytes());
                }
                body.extend([codec % 4, 0x19]);
                body.extend(raw_len.to_be_bytes());
                body.push(0x59);
                body.extend((data.len() as u16).to_be_bytes());
                body.extend(&data[..data.len().min(0xffff)]);
                if let Some(left_out) = left_out {
                    body.push(0x1a);
                    body.extend(left_out.to_be_bytes());
                }
                bytes.extend(item(2, &body, &Crc::Right));
            }
            Part::Junk(junk) => bytes.extend(junk),
        }
    }
    let intact = naive::items(&bytes);
    let (mut entries, mut unknown, mut segments) = (Vec::new(), Vec::new(), Vec::new());
    for found in SnapshotReader::new(&bytes).items() {
        match found {
            SnapshotItem::Entry(entry) => entries.push(entry.bytes.to_vec()),
            SnapshotItem::Unknown { kind, offset, .. } => unknown.push((offset, u64::from(kind))),
            SnapshotItem::Segment(segment) => {
                let mut scratch = vec![0; unpack_len(65_536)];
                segments
                    .push(segment.unpack(&mut scratch).ok().map(|read| (read.header.sequence, read.records.to_vec())));
            }
            SnapshotItem::Header(_) | SnapshotItem::End { .. } | SnapshotItem::Damaged { .. } => {}
        }
    }
    let of_kind = |wanted| intact.iter().filter(move |(_, kind, _)| *kind == wanted);
    assert_eq!(entries, of_kind(1).map(|(_, _, body)| body.clone()).collect::<Vec<_>>());
    let other: Vec<_> =
        intact.iter().filter(|(_, kind, _)| *kind > 3).map(|(offset, kind, _)| (*offset, *kind)).collect();
    assert_eq!(unknown, other);
    let read: Vec<_> = segments.into_iter().flatten().collect();
    let expected: Vec<_> = of_kind(2)
        .filter_map(|(_, _, body)| naive::segment(body).ok())
        .map(|segment| (segment.numbers[1], segment.records))
        .collect();
    assert_eq!(read, expected, "left: ttlog-core, right: the document");
}
