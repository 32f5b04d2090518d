//! Tests of secrets in snapshots: no byte of a secret leaks, everything else is there, and readers see that values were
//! withheld.
//!
//! Rings are built byte by byte with random types, values and damage. A secret is recognized by its *needle*, bytes
//! that appear nowhere else.
#![cfg(feature = "lz4")] // both codecs are tested

mod snapshot_support;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;
use snapshot_support::{
    CODECS, Event, META, TestSegment, Vector, content_of_image, content_of_snapshot, image, record,
};
use ttlog_core::event::LiteralRef;
use ttlog_core::event::secret::SecretKeys;
use ttlog_core::event::{AnyFields, Cons, Field, Literal, Metadata, Nil};
use ttlog_core::record::visit_members;
use ttlog_core::ring::{AppendOutcome, Cursor, DropReason, Ring, RingConfig, RingImage};
use ttlog_core::snapshot::{
    Codec, LeftOut, Sink, SnapshotItem, SnapshotOptions, SnapshotReader, SnapshotStats, Withhold, WriteError,
    unpack_len, write_snapshot_of_image, write_snapshot_of_ring,
};
use ttlog_core::table::{CallsiteInfo, TableItem, encode_callsite, encode_process};
use ttlog_core::{ContextInfo, Level, ProcessInfo, TypeList, ValueRef, Word};

const KEYS: &[&str] = &["iban"];

fn options(codec: Codec) -> SnapshotOptions<'static> {
    SnapshotOptions { withhold: Some(Withhold::new(SecretKeys::with(KEYS))), ..SnapshotOptions::new(codec) }
}

fn withheld_snapshot(bytes: &[u8], codec: Codec) -> (Vec<u8>, SnapshotStats) {
    let image = RingImage::parse(bytes).expect("the image has a header");
    let options = options(codec);
    let mut scratch = vec![0xEE; options.scratch_len(image.header().segment_len as usize)];
    let mut sink = Vector::default();
    let stats = write_snapshot_of_image(&image, &META, options, &mut scratch, &mut sink).expect("a vector takes all");
    (sink.0, stats)
}

/// Returns the decoded items of a snapshot, compressed or not, one after another.
fn unpacked(snapshot: &[u8]) -> Vec<u8> {
    let mut all = snapshot.to_vec();
    let mut scratch = vec![0; unpack_len(65_536)];
    for item in SnapshotReader::new(snapshot).items() {
        match item {
            SnapshotItem::Segment(packed) => {
                all.extend(packed.unpack(&mut scratch).expect("what was just written can be read").records);
            }
            SnapshotItem::Damaged { offset, reason, .. } => panic!("offset {offset}: {reason}"),
            _ => {}
        }
    }
    all
}

fn assert_absent(needles: &[Vec<u8>], snapshot: &[u8], what: &str) {
    let all = unpacked(snapshot);
    let mut places: HashMap<[u8; 6], Vec<&[u8]>> = HashMap::new();
    for needle in needles {
        places.entry(needle[..6].try_into().expect("six bytes or more")).or_default().push(needle);
    }
    for (at, start) in all.windows(6).enumerate() {
        if let Some(needles) = places.get(start) {
            for needle in needles {
                assert!(!all[at..].starts_with(needle), "{what}: {} is at byte {at}", needle.escape_ascii());
            }
        }
    }
}

// --------------------------------------------------------------------------------------------------- random callsites

/// Returns a CBOR head of this major type.
fn head(major: u8, number: u64) -> Vec<u8> {
    match number {
        0..24 => vec![major << 5 | number as u8],
        24..256 => vec![major << 5 | 24, number as u8],
        _ => [vec![major << 5 | 26], (number as u32).to_be_bytes().to_vec()].concat(),
    }
}

fn text(text: &str) -> Vec<u8> {
    [head(3, text.len() as u64), text.into()].concat()
}

#[derive(Clone, Debug)]
struct TestField {
    name: String,
    tags: Vec<u8>,
    literal: Option<String>,
    flagged: bool,
    secret: bool,
}

#[derive(Clone, Debug)]
struct TestCallsite {
    id: u16,
    fields: Vec<TestField>,
}

impl TestCallsite {
    fn entry(&self) -> Vec<u8> {
        let mut entry = [head(4, 8), head(0, 2), head(0, self.id.into()), head(0, 3)].concat();
        entry.extend([text("app::auth"), text("login {x}"), text("src/auth.rs"), head(0, 7)].concat());
        entry.extend(head(4, self.fields.len() as u64));
        for field in &self.fields {
            entry.extend(head(4, if field.flagged { 4 } else { 2 + u64::from(field.literal.is_some()) }));
            entry.extend([text(&field.name), head(2, field.tags.len() as u64), field.tags.clone()].concat());
            match &field.literal {
                Some(literal) => entry.extend(text(literal)),
                None if field.flagged => entry.push(0xF6),
                None => {}
            }
            if field.flagged {
                entry.push(1);
            }
        }
        entry
    }
}

fn random_tags(rng: &mut Rng, depth: usize) -> Vec<u8> {
    match rng.u8(..10) {
        0..3 if depth < 4 => {
            let inner = random_tags(rng, depth + 1);
            // A program cannot write sequences of units.
            let outer = if rng.bool() && inner != [20] { 33 } else { 32 };
            [vec![outer], inner].concat()
        }
        3 if depth < 4 => random_composite(rng, depth),
        // All but a value that carries its type.
        _ => {
            let tags = [rng.u8(1..21), rng.u8(22..27)];
            vec![*rng.choice(&tags).expect("two")]
        }
    }
}

/// Returns the type of a tuple, a struct or an enum, some of whose members have the mark or the name of a secret.
fn random_composite(rng: &mut Rng, depth: usize) -> Vec<u8> {
    let name = |name: &str| [&[name.len() as u8], name.as_bytes()].concat();
    let members = |rng: &mut Rng| {
        // A bool comes first, so that no composite is without bytes.
        let mut out = [vec![0], name("f"), vec![1]].concat();
        let count = rng.u8(..4);
        for _ in 0..count {
            out.push(u8::from(rng.u8(..4) == 0));
            out.extend(name(["f", "", "password", "fine", "iban"][rng.usize(..5)]));
            out.extend(random_tags(rng, depth + 1));
        }
        (count + 1, out)
    };
    match rng.u8(..3) {
        0 => [vec![34, 2, 1], random_tags(rng, depth + 1)].concat(),
        1 => {
            let (count, members) = members(rng);
            [vec![35], name("S"), vec![count], members].concat()
        }
        _ => {
            let count = rng.u8(1..4);
            let variants = (0..count).map(|index| {
                let (count, members) = members(rng);
                let bare = index == 0;
                [name("V"), if bare { vec![0] } else { [vec![count], members].concat() }].concat()
            });
            [vec![36], name("E"), vec![count], variants.collect::<Vec<_>>().concat()].concat()
        }
    }
}

/// Returns the length of the description of the first type.
fn type_len(tags: &[u8]) -> usize {
    let members = |at: usize| {
        let mut at = at + 1 + usize::from(tags[at]);
        let count = tags[at];
        at += 1;
        for _ in 0..count {
            at += 2 + usize::from(tags[at + 1]);
            at += type_len(&tags[at..]);
        }
        at
    };
    match tags[0] {
        32 | 33 => 1 + type_len(&tags[1..]),
        34 => (0..tags[1]).fold(2, |at, _| at + type_len(&tags[at..])),
        35 => members(1),
        36 => {
            let count_at = 2 + usize::from(tags[1]);
            (0..tags[count_at]).fold(count_at + 1, |at, _| members(at))
        }
        _ => 1,
    }
}

/// Appends the members of a struct or a variant, whose name is at the start of `tags`.
fn random_members(rng: &mut Rng, tags: &[u8], secret: bool, out: &mut Vec<u8>, needles: &mut Vec<Vec<u8>>) {
    let mut at = 1 + usize::from(tags[0]);
    let count = tags[at];
    at += 1;
    for _ in 0..count {
        let name = std::str::from_utf8(&tags[at + 2..][..usize::from(tags[at + 1])]).expect("our names");
        let is_secret = secret || tags[at] == 1 || is_secret_name(name);
        at += 2 + name.len();
        let of = &tags[at..at + type_len(&tags[at..])];
        at += of.len();
        random_value(rng, of, is_secret, out, needles);
    }
}

fn is_secret_name(name: &str) -> bool {
    !name.starts_with('f') && !name.is_empty()
}

fn random_callsite(rng: &mut Rng, id: u16, needles: &mut Vec<Vec<u8>>) -> TestCallsite {
    let count = rng.usize(..7);
    let fields = (0..count).map(|n| {
        let flagged = rng.u8(..6) == 0;
        let by_name = ["password", "user.api_key", "Set-Cookie", "IBAN", "payer.iban"];
        let name = if rng.u8(..6) == 0 { by_name[rng.usize(..5)].to_owned() } else { format!("f{n}") };
        let secret = flagged || !name.starts_with('f');
        let literal = (rng.u8(..5) == 0).then(|| random_text(rng, secret, needles));
        let tags = if literal.is_some() { vec![15] } else { random_tags(rng, 0) };
        TestField { secret: secret && tags != [20], name, tags, literal, flagged }
    });
    TestCallsite { id, fields: fields.collect() }
}

/// Returns a text in lowercase or, if it is secret, in capitals, which is a needle.
fn random_text(rng: &mut Rng, secret: bool, needles: &mut Vec<Vec<u8>>) -> String {
    let len = if rng.u8(..20) == 0 { rng.usize(200..700) } else { rng.usize(..20) };
    if !secret {
        return (0..len).map(|_| rng.lowercase()).collect();
    }
    let text: String = (0..len).map(|_| if rng.u8(..9) == 0 { 'Ö' } else { rng.uppercase() }).collect();
    if text.len() >= 6 {
        needles.push(text.clone().into());
    }
    text
}

fn length(out: &mut Vec<u8>, rng: &mut Rng, len: usize) {
    match rng.u8(..10) {
        0 => {
            out.push(251);
            out.extend((len as u32).to_le_bytes());
            out.extend((len as u32 + 5).to_le_bytes());
        }
        _ if len < 250 => out.push(len as u8),
        _ => {
            out.push(250);
            out.extend((len as u32).to_le_bytes());
        }
    }
}

/// Appends a random value as specified in docs/format.md §4.2.
fn random_value(rng: &mut Rng, tags: &[u8], secret: bool, out: &mut Vec<u8>, needles: &mut Vec<Vec<u8>>) {
    let fixed = |rng: &mut Rng, len: usize, out: &mut Vec<u8>, needles: &mut Vec<Vec<u8>>| {
        let bytes: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
        if secret && len >= 8 {
            needles.push(bytes.clone());
        }
        out.extend(bytes);
    };
    match tags[0] {
        34 => {
            let mut at = 2;
            for _ in 0..tags[1] {
                let of = &tags[at..at + type_len(&tags[at..])];
                at += of.len();
                random_value(rng, of, secret, out, needles);
            }
        }
        35 => random_members(rng, &tags[1..], secret, out, needles),
        36 => {
            let count_at = 2 + usize::from(tags[1]);
            let index = rng.u8(..tags[count_at]);
            out.push(index);
            let mut at = count_at + 1;
            for _ in 0..index {
                // As a struct is described, without its tag.
                at += type_len(&[&[35], &tags[at..]].concat()) - 1;
            }
            random_members(rng, &tags[at..], secret, out, needles);
        }
        1 => out.push(rng.u8(..2)),
        2 | 7 => fixed(rng, 1, out, needles),
        3 | 8 => fixed(rng, 2, out, needles),
        4 | 9 | 12 => fixed(rng, 4, out, needles),
        5 | 10 if rng.bool() => {
            out.push(7);
            fixed(rng, 8, out, needles);
        }
        5 | 10 => {
            let n = rng.u8(..7);
            let number = rng.u64(..1 << (8 * (u32::from(n) + 1) - 3)) << 3 | u64::from(n);
            out.extend(&number.to_le_bytes()[..usize::from(n) + 1]);
            if secret && n >= 5 {
                needles.push(number.to_le_bytes()[..usize::from(n) + 1].to_vec());
            }
        }
        6 | 11 => fixed(rng, 16, out, needles),
        13 => fixed(rng, 8, out, needles),
        14 => out.extend(u32::from(rng.alphanumeric()).to_le_bytes()),
        15 | 17 | 18 => {
            let text = random_text(rng, secret, needles);
            length(out, rng, text.len());
            out.extend(text.as_bytes());
        }
        16 => {
            let len = rng.usize(..30);
            length(out, rng, len);
            let start = out.len();
            out.extend((0..len).map(|_| rng.u8(..)));
            if secret && len >= 8 {
                needles.push(out[start..].to_vec());
            }
        }
        19 | 33 => {
            let inner = if tags[0] == 19 { &[15] } else { &tags[1..] };
            let count = rng.usize(..4);
            length(out, rng, count);
            for _ in 0..count {
                random_value(rng, inner, secret, out, needles);
            }
        }
        20 => {}
        32 => {
            let present = rng.bool();
            out.push(present.into());
            if present {
                random_value(rng, &tags[1..], secret, out, needles);
            }
        }
        22 => fixed(rng, 16, out, needles),
        23 | 24 => {
            let (first, address_len) = *rng.choice(&[(4, 4), (6, 16), (7, 16)]).expect("some");
            let first = if tags[0] == 23 { first & 6 } else { first };
            out.push(first);
            let port_len = if tags[0] == 23 { 0 } else { 2 };
            fixed(rng, address_len + port_len + if first == 7 { 8 } else { 0 }, out, needles);
        }
        25 | 26 => {
            let marker = if tags[0] == 25 { u64::MAX } else { 1 << 63 };
            out.extend((tags[0] == 25).then_some(7));
            if rng.bool() {
                out.extend(marker.to_le_bytes());
                fixed(rng, 8, out, needles);
                out.extend(rng.u32(..1_000_000_000).to_le_bytes());
            } else {
                let start = out.len();
                out.extend(rng.u64(1..1 << 63).to_le_bytes());
                if secret {
                    needles.push(out[start..].to_vec());
                }
            }
        }
        tag => panic!("no type has tag {tag}"),
    }
}

/// Returns the payload words of a record.
fn random_payload(rng: &mut Rng, callsite: &TestCallsite, needles: &mut Vec<Vec<u8>>) -> Vec<u64> {
    let is_wide = |field: &&TestField| matches!(field.tags[0], 6 | 11 | 13 | 22);
    let dynamic = || callsite.fields.iter().filter(|field| field.literal.is_none());
    let mut bytes = Vec::new();
    for field in dynamic().filter(is_wide).chain(dynamic().filter(|field| !is_wide(field))) {
        random_value(rng, &field.tags, field.secret, &mut bytes, needles);
    }
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.chunks(8).map(|word| u64::from_le_bytes(word.try_into().expect("whole words"))).collect()
}

/// Returns words that appear nowhere else.
fn random_secret_words(rng: &mut Rng, needles: &mut Vec<Vec<u8>>) -> Vec<u64> {
    let words: Vec<u64> = (0..rng.usize(1..6)).map(|_| rng.u64(..)).collect();
    needles.extend(words.iter().map(|word| word.to_le_bytes().to_vec()));
    words
}

struct TestRing {
    bytes: Vec<u8>,
    needles: Vec<Vec<u8>>,
    callsites: Vec<TestCallsite>,
}

/// Returns a ring with events of random callsites, of callsites that are not in the table, of some that do not decode,
/// reservations and, with `damage`, bytes that are not records.
fn random_ring(rng: &mut Rng, segment_len: usize, damage: bool) -> TestRing {
    let mut needles = Vec::new();
    let callsites: Vec<_> = (1..20).map(|id| random_callsite(rng, id, &mut needles)).collect();
    let room = segment_len / 8 - 6;
    let segments = (0..rng.usize(1..6)).map(|index| {
        let mut segment = TestSegment {
            sequence: index as u64 + 1,
            lap: rng.u8(..),
            mode: rng.u8(..3),
            base_ticks: rng.u64(..1 << 40),
            close_ticks: rng.u64(..1 << 41),
            ..TestSegment::default()
        };
        loop {
            let (mut id, mut kind) = (rng.u16(1..20), rng.u32(..1000));
            let mut words = random_payload(rng, &callsites[usize::from(id) - 1], &mut needles);
            match rng.u8(..40) {
                // Not in the table.
                0 => (id, words) = (rng.u16(100..), random_secret_words(rng, &mut needles)),
                // Does not match the callsite, with more bytes after it than allowed.
                1 if callsites[usize::from(id) - 1]
                    .fields
                    .iter()
                    .any(|field| field.secret && field.literal.is_none()) =>
                {
                    words.extend(random_secret_words(rng, &mut needles));
                }
                // A control record of an unknown kind.
                2 => (id, kind, words) = (0, 99, random_secret_words(rng, &mut needles)),
                // A new base.
                3 if segment.mode == 0 => (id, kind, words) = (0, 1, vec![segment.base_ticks + 5]),
                _ => {}
            }
            if id == 0xFFFF {
                continue;
            }
            if segment.mode == 2 && id != 0 {
                words.insert(0, 3);
            }
            if words.len() > 254 {
                words.insert(0, words.len() as u64 + 1);
            }
            let mut made = record(id, kind, &words, segment.lap);
            let is_event = id != 0;
            if damage && rng.u8(..20) == 0 {
                match rng.u8(..3) {
                    // A damaged record: its words are secrets of unknown meaning.
                    0 if words.len() > 1 && id != 0 => {
                        needles.extend(made[2..].iter().map(|word| word.to_le_bytes().to_vec()));
                        let at = rng.usize(1..made.len());
                        made[at] ^= 1 << rng.u32(..64);
                    }
                    // A reservation with words in it.
                    1 if segment.mode != 0 => {
                        let stale = random_secret_words(rng, &mut needles);
                        made = record(0xFFFF, stale.len() as u32, &[], segment.lap);
                        made.extend(stale);
                    }
                    // A reservation without a header.
                    _ if segment.mode != 0 => {
                        made[0] = 0;
                        needles.extend(made[1..].iter().map(|word| word.to_le_bytes().to_vec()));
                    }
                    _ => {}
                }
            }
            if segment.words.len() + made.len() > room || segment_len < 65_536 && rng.u8(..40) == 0 {
                break;
            }
            segment.words.extend(made);
            segment.count += u32::from(is_event);
        }
        segment.done = if segment.mode == 0 { 0 } else { segment.count };
        segment.busy = segment.mode == 0 && rng.u8(..4) == 0;
        if damage && segment.mode == 0 && rng.u8(..4) == 0 {
            segment.count = segment.count.saturating_sub(rng.u32(..3));
        }
        let mut bytes = segment.bytes(segment_len);
        if segment.busy {
            // A record that was being written.
            let at = 48 + segment.words.len() * 8;
            for word in random_secret_words(rng, &mut needles).iter().take((segment_len - at) / 8) {
                bytes.splice(at..at + 8, word.to_le_bytes());
            }
        }
        bytes
    });
    let segments: Vec<_> = segments.collect();
    let entries: Vec<_> = callsites.iter().map(TestCallsite::entry).collect();
    let bytes = image(segment_len, &[(1, 1000), (1 << 41, 1 << 41)], &entries, &segments);
    // A context, or the start of a text, can appear anywhere.
    needles.retain(|needle| needle.iter().collect::<HashSet<_>>().len() >= 5);
    TestRing { bytes, needles, callsites }
}

// --------------------------------------------------------------------------------------------------- what readers see

fn callsites(entries: &[Vec<u8>]) -> HashMap<u16, CallsiteInfo<'_>> {
    let items = entries.iter().filter_map(|entry| match TableItem::decode(entry).expect("an item") {
        TableItem::Callsite(info) => Some((info.id, info)),
        _ => None,
    });
    items.collect()
}

/// Compares an event of a ring with the same event in its snapshot.
fn compare(ring: &Event, snapshot: &Event, before: Option<&CallsiteInfo<'_>>, after: Option<&CallsiteInfo<'_>>) {
    assert_eq!(
        (ring.sequence, ring.callsite, ring.ticks, ring.context, ring.payload.len()),
        (snapshot.sequence, snapshot.callsite, snapshot.ticks, snapshot.context, snapshot.payload.len())
    );
    let (Some(before), Some(after)) = (before, after) else {
        assert!(before.is_none() && after.is_none());
        return assert!(snapshot.payload.iter().all(|&byte| byte == 0xFF), "{snapshot:?}");
    };
    let is_secret = |name: &str, flagged: bool| flagged || !name.starts_with('f');
    let is_wholly = !snapshot.payload.is_empty() && snapshot.payload.iter().all(|&byte| byte == 0xFF);
    let has_secret = after.fields().any(|field| {
        let mut withheld = field.withheld && field.literal.is_none();
        visit_members(field.name, field.type_tags, &mut |member, _| withheld |= member.withheld);
        withheld
    });
    if has_secret && is_wholly {
        let good: Result<Vec<_>, _> = before.values(&ring.payload).collect();
        let used = good.as_ref().map_or(0, |values| values.len());
        // Only if a reader would not have accepted it as complete, or if it has surplus bytes.
        return assert!(good.is_err() || used > 0 && ring.payload.len() > 8, "masked wholly: {ring:?}");
    }
    let (mut before, mut after) = (before.values(&ring.payload), after.values(&snapshot.payload));
    loop {
        let (field, value, field_after, value_after) = match (before.next(), after.next()) {
            (Some(Ok((field, value))), Some(Ok((field_after, value_after)))) => {
                (field, value, field_after, value_after)
            }
            (Some(Err(a)), Some(Err(b))) => return assert_eq!(a, b),
            (None, None) => return,
            other => panic!("{other:?}"),
        };
        let secret = is_secret(field.name, field.secret) && (field.literal.is_some() || field.type_tags != [20]);
        assert_eq!(
            (field_after.name, field_after.type_tags.len(), field_after.secret, field_after.withheld),
            (field.name, field.type_tags.len(), field.secret, secret)
        );
        assert_eq!(field_after.literal.is_some(), field.literal.is_some());
        if secret {
            assert_masked(&value_after);
        } else {
            compare_values(&value, &value_after);
        }
    }
}

/// Compares a value with that in a snapshot, whose secret members are withheld.
fn compare_values(before: &ValueRef<'_>, after: &ValueRef<'_>) {
    match (before, after) {
        (ValueRef::Composite(before), ValueRef::Composite(after)) => {
            assert_eq!((before.name, before.variant, before.len()), (after.name, after.variant, after.len()));
            for (before, after) in before.clone().zip(after.clone()) {
                let is_secret = before.secret || is_secret_name(before.name);
                // What is inside of a secret member is withheld with it.
                assert!(after.withheld == is_secret && before.name == after.name, "{before:?} {after:?}");
                if is_secret {
                    assert_masked(&after.value);
                } else {
                    compare_values(&before.value, &after.value);
                }
            }
        }
        (ValueRef::Sequence(before), ValueRef::Sequence(after)) => {
            assert_eq!((before.len(), before.full_len), (after.len(), after.full_len));
            before.clone().zip(after.clone()).for_each(|(before, after)| compare_values(&before, &after));
        }
        // Not NaN == NaN, but the same bits.
        _ => assert_eq!(format!("{after:?}"), format!("{before:?}")),
    }
}

fn assert_masked(value: &ValueRef<'_>) {
    match value {
        ValueRef::Bool(value) => assert!(!value),
        ValueRef::Unsigned(value) => assert_eq!(*value, 0),
        ValueRef::U128(value) => assert_eq!(*value, 0),
        ValueRef::Signed(value) => assert_eq!(*value, 0),
        ValueRef::I128(value) => assert_eq!(*value, 0),
        ValueRef::F32(value) => assert_eq!(value.to_bits(), 0),
        ValueRef::F64(value) => assert_eq!(value.to_bits(), 0),
        ValueRef::Char(value) => assert_eq!(*value, '\0'),
        ValueRef::Str(text) | ValueRef::Display(text) | ValueRef::Debug(text) => {
            assert!(text.text.bytes().all(|byte| byte == b'*'), "{text:?}");
        }
        ValueRef::Bytes(blob) => assert!(blob.bytes.iter().all(|&byte| byte == b'*')),
        ValueRef::Error(elements) | ValueRef::Sequence(elements) => {
            elements.clone().for_each(|element| assert_masked(&element));
        }
        ValueRef::Any(any) => assert_masked(&any.value()),
        ValueRef::Uuid(bytes) => assert_eq!(*bytes, [0; 16]),
        ValueRef::Ip(address) => assert!(address.is_unspecified()),
        ValueRef::Socket(address) => {
            assert!(address.ip().is_unspecified() && address.port() == 0, "{address}");
            assert!(matches!(address, SocketAddr::V4(_)) || address.to_string() == "[::]:0", "{address}");
        }
        ValueRef::Duration(duration) => assert!(duration.is_zero()),
        ValueRef::Time(time) => assert_eq!(time.as_nanos(), 0),
        ValueRef::Unit | ValueRef::None | ValueRef::SomeNone(_) | ValueRef::Absent | ValueRef::Withheld => {}
        ValueRef::Composite(parts) => {
            assert_eq!(parts.variant, None, "which variant it was");
            parts.clone().for_each(|member| assert_masked(&member.value));
        }
    }
}

/// Returns index, overwritten, retained, pending and damaged events of each segment in a snapshot.
fn counts(snapshot: &[u8]) -> Vec<(u32, u64, u32, u32, u32)> {
    let segments = SnapshotReader::new(snapshot).items().filter_map(|item| match item {
        SnapshotItem::Segment(packed) => {
            Some((packed.index, packed.lost, packed.count, packed.pending, packed.damaged))
        }
        _ => None,
    });
    segments.collect()
}

fn check(ring: &TestRing, what: &str) -> SnapshotStats {
    let before = content_of_image(&ring.bytes);
    // Without the option, everything is written.
    let open = snapshot_support::snapshot(&ring.bytes, Codec::None);
    let content = content_of_snapshot(&open);
    assert_eq!(content.entries, before.entries, "{what}");
    assert!(content.events == before.events, "{what}");
    let mut stats = SnapshotStats::default();
    for codec in CODECS {
        let what = format!("{what}, {codec:?}");
        let (snapshot, written) = withheld_snapshot(&ring.bytes, codec);
        assert_absent(&ring.needles, &snapshot, &what);
        let after = content_of_snapshot(&snapshot);
        assert_eq!(after.events.len(), before.events.len(), "{what}");
        assert_eq!((after.lost, after.entries.len()), (before.lost, before.entries.len()), "{what}");
        let (sites_before, sites_after) = (callsites(&before.entries), callsites(&after.entries));
        for (event, shown) in before.events.iter().zip(&after.events) {
            compare(event, shown, sites_before.get(&event.callsite), sites_after.get(&event.callsite));
        }
        assert_eq!(written.event_count, before.events.len() as u64, "{what}");
        assert_eq!(counts(&snapshot), counts(&open), "{what}");
        stats = written;
    }
    stats
}

#[test]
fn secrets_of_random_types() {
    let (mut withheld, mut needles, mut secret_fields) = (0, 0, 0);
    for seed in 0..100 {
        let mut rng = Rng::with_seed(seed);
        let segment_len = [512, 4096, 65_536][rng.usize(..20).saturating_sub(17)];
        let ring = random_ring(&mut rng, segment_len, false);
        let stats = check(&ring, &format!("seed {seed}"));
        withheld += stats.withheld_count;
        needles += ring.needles.len();
        secret_fields +=
            ring.callsites.iter().flat_map(|callsite| &callsite.fields).filter(|field| field.secret).count();
    }
    assert!(withheld > 2000 && needles > 2500 && secret_fields > 700, "{withheld} {needles} {secret_fields}");
}

#[test]
fn secrets_in_damaged_segments() {
    for seed in 0..120 {
        let mut rng = Rng::with_seed(seed);
        let segment_len = [512, 4096][rng.usize(..2)];
        check(&random_ring(&mut rng, segment_len, true), &format!("seed {seed}"));
    }
}

/// Whichever bit of the image is flipped, no secret leaks.
#[test]
fn secrets_behind_a_flipped_bit() {
    let mut looked_at = 0;
    for seed in 0..4 {
        let mut rng = Rng::with_seed(seed);
        let ring = random_ring(&mut rng, 512, false);
        for bit in (0..ring.bytes.len() * 8).step_by(67) {
            let mut bytes = ring.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if RingImage::parse(&bytes).is_ok() {
                let (snapshot, _) = withheld_snapshot(&bytes, Codec::None);
                assert_absent(&ring.needles, &snapshot, &format!("seed {seed}, bit {bit}"));
                looked_at += ring.needles.len();
            }
        }
    }
    assert!(looked_at > 20_000, "{looked_at}");
}

/// Two entries have the same id, so the callsite of a record is ambiguous.
#[test]
fn callsites_that_share_an_id() {
    let field = |name: &str, secret: bool| TestField {
        name: name.into(),
        tags: vec![15],
        literal: None,
        flagged: secret,
        secret,
    };
    let first = TestCallsite { id: 7, fields: vec![field("token", true), field("user", false)] };
    let second = TestCallsite { id: 7, fields: vec![field("user", false), field("f2", true)] };
    let plain = TestCallsite { id: 7, fields: vec![field("user", false), field("f2", false)] };
    let words: Vec<u64> = [*b"\x03AAA\x03BBB"].map(u64::from_le_bytes).to_vec();
    let segment = TestSegment { sequence: 1, count: 1, words: record(7, 1, &words, 0), ..TestSegment::default() };
    for entries in [[&first, &second], [&first, &plain], [&plain, &first]] {
        let entries = entries.map(TestCallsite::entry);
        let bytes = image(512, &[], &entries, &[segment.bytes(512)]);
        let (snapshot, stats) = withheld_snapshot(&bytes, Codec::None);
        assert_eq!(stats.withheld_count, 1);
        let content = content_of_snapshot(&snapshot);
        assert_eq!(content.events[0].payload, [0xFF; 8]);
        let last = TableItem::decode(&content.entries[1]).expect("an item");
        let TableItem::Callsite(last) = last else { panic!("{last:?}") };
        assert!(last.fields().all(|field| field.withheld), "the reader's callsite says that nothing is to be seen");
    }
}

/// With more callsites with secrets than there is room for, all of their values are withheld.
#[test]
fn callsites_beyond_the_room() {
    let field = |name: String| TestField { name, tags: vec![15], literal: None, flagged: false, secret: true };
    let plain = TestField { name: "f".into(), tags: vec![2], literal: None, flagged: false, secret: false };
    let table: Vec<_> = (1..=3000)
        .map(|id| TestCallsite { id, fields: [vec![plain.clone()], vec![field("password".into()); 8]].concat() })
        .collect();
    let entries: Vec<_> = table.iter().map(TestCallsite::entry).collect();
    let mut segment = TestSegment { sequence: 1, lap: 4, ..TestSegment::default() };
    for id in [1, 1500, 3000] {
        // A u8, one text and seven empty ones.
        let words = [*b"\x09\x06AAAAAA", *b"\0\0\0\0\0\0\0\0"].map(u64::from_le_bytes);
        segment.words.extend(record(id, 1, &words, 4));
        segment.count += 1;
    }
    let bytes = image(512, &[], &entries, &[segment.bytes(512)]);
    let (snapshot, stats) = withheld_snapshot(&bytes, Codec::Lz4);
    assert_eq!((stats.withheld_count, stats.entry_count), (3, 3000));
    let content = content_of_snapshot(&snapshot);
    let table = callsites(&content.entries);
    let first: Vec<_> = table[&1].values(&content.events[0].payload).map(|value| value.expect("good")).collect();
    assert!(!first[0].0.withheld && first[0].1 == ValueRef::Unsigned(9));
    assert!(first[1..].iter().all(|(field, _)| field.withheld));
    assert!(table[&3000].fields().all(|field| field.withheld));
    assert_eq!(content.events[2].payload, [0xFF; 16]);
    assert_absent(&[b"AAAAAA".to_vec()], &snapshot, "beyond the room");
}

// ------------------------------------------------------------------------------------------------------- live rings

fn words(len_bytes: usize) -> Vec<Word> {
    (0..len_bytes / 8).map(|_| Word::new(0)).collect()
}

fn config(segment_len: u32) -> RingConfig {
    RingConfig { ring_id: 7, segment_len, table_len: 16 * 1024, anchor_count: 2, ..RingConfig::PLAIN }
}

const WHO: ContextInfo<'static> = ContextInfo { context: 3, os_thread_id: 4, next_index: 0, name: "main" };

static LOGIN: [Field; 3] =
    [Field::dynamic("user"), Field::dynamic("password"), Field::literal("f", Literal::Str("LITERALSECRET")).secret()];

fn add_callsite(ring: &Ring<'_>, id: u16, types: TypeList) {
    let metadata =
        Metadata { level: Level::Info, target: "t", message: "{password}", file: "f.rs", line: 1, fields: &LOGIN };
    let mut entry = [0; 256];
    let len = encode_callsite(id, &metadata, types, &mut entry).expect("it fits");
    ring.append_entry(&entry[..len]).expect("it fits");
}

#[test]
fn live_ring() {
    let memory = words(64 * 1024);
    let ring = Ring::create(&memory, &config(1024)).expect("it fits");
    let mut process = [0; 256];
    let info = ProcessInfo { service: "shop", pid: 1, ..ProcessInfo::default() };
    let len = encode_process(&info, &mut process).expect("it fits");
    ring.append_entry(&process[..len]).expect("it fits");
    let fields = |n: u64| Cons(n, Cons("SECRETSECRET", Nil));
    add_callsite(&ring, 5, AnyFields::types(&fields(0)));
    let cursor = Cursor::new();
    for n in 0..500 {
        if n % 5 == 0 {
            assert_eq!(ring.append_shared(n, 9, 5, &fields(n), DropReason::Reentrant), AppendOutcome::Recorded);
        } else {
            assert_eq!(cursor.append_slow(&ring, &|| n, &WHO, 5, &fields(n)), AppendOutcome::Recorded);
        }
    }
    let needles = [b"SECRETSECRET".to_vec(), b"LITERALSECRET".to_vec()];
    for codec in CODECS {
        let options = options(codec);
        let mut scratch = vec![0; options.scratch_len(1024)];
        let mut sink = Vector::default();
        let stats = write_snapshot_of_ring(ring, &META, options, &mut scratch, &mut sink).expect("it takes all");
        assert_eq!((stats.event_count, stats.withheld_count, stats.entry_count), (500, 500, 2));
        assert_absent(&needles, &sink.0, "live");
        let content = content_of_snapshot(&sink.0);
        let table = callsites(&content.entries);
        let mut users = Vec::new();
        for event in &content.events {
            let values: Vec<_> = table[&5].values(&event.payload).map(|value| value.expect("good")).collect();
            let ValueRef::Unsigned(user) = values[0].1 else { panic!("{values:?}") };
            assert_eq!(user, event.ticks);
            users.push(user);
            assert!(!values[0].0.withheld && values[1].0.withheld && values[2].0.withheld);
            assert_eq!((values[1].0.secret, values[2].0.secret), (false, true));
            assert_eq!(values[2].0.literal, Some(LiteralRef::Text("")));
        }
        users.sort_unstable();
        assert_eq!(users, (0..500).collect::<Vec<_>>());
        let result = write_snapshot_of_ring(ring, &META, options, &mut scratch[1..], &mut Vector::default());
        assert_eq!(result, Err(WriteError::ScratchTooSmall { needed_bytes: options.scratch_len(1024) }));
    }
    // Without the option, everything is there.
    let mut sink = Vector::default();
    write_snapshot_of_ring(ring, &META, Codec::None, &mut [0; 64], &mut sink).expect("it takes all");
    assert!(needles.iter().all(|needle| sink.0.windows(needle.len()).any(|window| window == needle)));
}

/// Snapshots of a ring that another thread writes to, with a constant stream of new callsites.
#[test]
fn live_ring_under_way() {
    let memory = words(256 * 1024);
    let ring = Ring::create(&memory, &RingConfig { table_len: 64 * 1024, ..config(1024) }).expect("it fits");
    let done = AtomicBool::new(false);
    let (mut snapshots, mut events, mut withheld) = (0, 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let cursor = Cursor::new();
            let fields = |n: u64| Cons(n, Cons("SECRETSECRET", Nil));
            for n in 0..60_000_u64 {
                if n % 100 == 0 {
                    add_callsite(&ring, (n / 100) as u16 + 1, AnyFields::types(&fields(0)));
                }
                let id = (n / 100) as u16 + 1;
                let _outcome = if n % 7 == 0 {
                    ring.append_shared(n, 9, id, &fields(n), DropReason::Reentrant)
                } else {
                    cursor.append_slow(&ring, &|| n, &WHO, id, &fields(n))
                };
            }
            done.store(true, Ordering::Release);
        });
        loop {
            let last = done.load(Ordering::Acquire);
            for codec in CODECS {
                let options = options(codec);
                let mut scratch = vec![0; options.scratch_len(1024)];
                let mut sink = Vector::default();
                let stats = write_snapshot_of_ring(ring, &META, options, &mut scratch, &mut sink).expect("all");
                assert_absent(&[b"SECRETSECRET".to_vec(), b"LITERALSECRET".to_vec()], &sink.0, "under way");
                let content = content_of_snapshot(&sink.0);
                let table = callsites(&content.entries);
                for event in &content.events {
                    // Each callsite was known when its records were masked, so every value that is not secret is there.
                    let values: Vec<_> = table[&event.callsite].values(&event.payload).collect();
                    let first = values[0].as_ref().expect("a user");
                    assert_eq!(first.1, ValueRef::Unsigned(event.ticks), "{event:?}");
                }
                snapshots += 1;
                events += stats.event_count;
                withheld += stats.withheld_count;
            }
            if last {
                break;
            }
        }
    });
    assert!(snapshots >= 2 && events > 1000 && withheld == events, "{snapshots} {events} {withheld}");
}

// --------------------------------------------------------------------------------------------------- what is left out

/// Returns the numbers of retained, overwritten and left-out events in a snapshot.
fn account(snapshot: &[u8]) -> (u64, u64, u64) {
    let (mut lost, mut left_out) = (0, 0);
    for item in SnapshotReader::new(snapshot).items() {
        if let SnapshotItem::Segment(packed) = item {
            lost += packed.lost;
            left_out += u64::from(packed.left_out);
            assert!(packed.left_out == 0 || packed.sequence == 0 && packed.data.is_empty());
        }
    }
    (content_of_snapshot(snapshot).events.len() as u64, lost, left_out)
}

#[test]
fn old_segments_are_left_out_and_counted() {
    for (memory_len, kept) in [(64 * 1024, 0), (24 * 1024, 0), (64 * 1024, 2)] {
        let memory = words(memory_len);
        let config = RingConfig { priority_segment_count: kept, control: kept > 0, ..config(1024) };
        let ring = Ring::create(&memory, &config).expect("it fits");
        let cursor = Cursor::new();
        let told = core::cell::Cell::new(0);
        let mut emitted = 0;
        for n in 1..=2000_u64 {
            let outcome = match n % 10 {
                0 if kept > 0 && n <= 100 => {
                    ring.append_priority(n, &WHO, Some(&told), 5, &Cons(n, Nil), DropReason::Reentrant)
                }
                1 => ring.append_shared(n, 9, 5, &Cons(n, Nil), DropReason::Reentrant),
                _ => cursor.append_slow(&ring, &|| n, &WHO, 5, &Cons(n, Nil)),
            };
            assert_eq!(outcome, AppendOutcome::Recorded);
            emitted += 1;
        }
        let mut bytes = vec![0; ring.len_bytes()];
        ring.copy_image(&mut bytes);
        let image = RingImage::parse(&bytes).expect("a whole ring");
        for before in [0, 1, 300, 1500, 1999, u64::MAX] {
            let mut accounts = Vec::new();
            for (codec, withhold) in
                CODECS.into_iter().flat_map(|codec| [(codec, None), (codec, Some(Withhold::DEFAULT))])
            {
                let options = SnapshotOptions { codec, withhold, left_out_before_ticks: before, min_age_ns: 5_000 };
                let mut scratch = vec![0; options.scratch_len(1024)];
                let (mut of_ring, mut of_image) = (Vector::default(), Vector::default());
                let stats = write_snapshot_of_ring(ring, &META, options, &mut scratch, &mut of_ring).expect("all");
                write_snapshot_of_image(&image, &META, options, &mut scratch, &mut of_image).expect("all");
                for snapshot in [&of_ring.0, &of_image.0] {
                    let (retained, lost, left_out) = account(snapshot);
                    assert_eq!(retained + lost + left_out, emitted, "{memory_len} {before} {options:?}");
                    assert_eq!((stats.event_count, stats.left_out_count), (retained, left_out));
                    let header = SnapshotReader::new(snapshot).header().expect("a header");
                    let told = LeftOut { event_count: left_out, min_age_ns: 5_000 };
                    assert_eq!(header.left_out, (before > 0).then_some(told));
                    // Everything reported as complete is complete.
                    let shown: Vec<_> = content_of_snapshot(snapshot).events.iter().map(|event| event.ticks).collect();
                    let missing = (header.complete_from + 1..=2000).filter(|ticks| !shown.contains(ticks));
                    assert_eq!(missing.count(), 0, "{memory_len} {before}");
                    if kept > 0 {
                        assert!((10..=100).step_by(10).all(|ticks| shown.contains(&ticks)), "the priority class stays");
                    }
                    assert!(left_out == 0 || header.complete_from < before);
                    accounts.push((retained, lost, left_out));
                }
            }
            assert!(accounts.iter().all(|account| *account == accounts[0]), "{accounts:?}");
            match before {
                0 | 1 => assert_eq!(accounts[0].2, 0),
                1999.. => assert!(accounts[0].2 > 100, "{accounts:?}"),
                _ => {}
            }
        }
    }
}

/// Completes an entry of the table as soon as a segment is written.
struct Late<'r> {
    bytes: Vec<u8>,
    header: &'r Word,
    complete: u64,
}

impl Sink for Late<'_> {
    type Error = ();
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.bytes.extend(bytes);
        let segment = [0xD9, 0xD9, 0xF7, 0x84, 0x64, b'T', b'T', b'L', b'G', 2];
        if self.bytes.windows(10).any(|window| window == segment) {
            self.header.store(self.complete);
        }
        Ok(())
    }
}

/// A callsite whose entry is still being written when the table is read, but complete when its records are read.
#[test]
fn callsite_that_is_registered_meanwhile() {
    for withhold in [None, Some(Withhold::DEFAULT)] {
        let memory = words(32 * 1024);
        let ring = Ring::create(&memory, &config(1024)).expect("it fits");
        let fields = |n: u64| Cons(n, Cons("SECRETSECRET", Nil));
        for id in [5, 6] {
            add_callsite(&ring, id, AnyFields::types(&fields(0)));
        }
        let table = ring.header_now().table_offset as usize / 8;
        let header = &memory[table];
        let complete = header.load();
        header.store(complete & 0x7FFF_FFFF);
        for n in 0..200 {
            let id = if n < 50 { 6 } else { 5 };
            assert_eq!(ring.append_shared(n, 9, id, &fields(n), DropReason::Reentrant), AppendOutcome::Recorded);
        }
        let options = SnapshotOptions { codec: Codec::None, withhold, ..SnapshotOptions::new(Codec::None) };
        let mut sink = Late { bytes: Vec::new(), header, complete };
        let mut scratch = vec![0; options.scratch_len(1024)];
        let stats = write_snapshot_of_ring(ring, &META, options, &mut scratch, &mut sink).expect("it takes all");
        assert_eq!((stats.entry_count, stats.event_count), (2, 200));
        let content = content_of_snapshot(&sink.bytes);
        let table = callsites(&content.entries);
        let users = content.events.iter().map(|event| table[&event.callsite].values(&event.payload).next());
        let users = users.map(|user| match user {
            Some(Ok((_, ValueRef::Unsigned(user)))) => Some(user),
            _ => None,
        });
        assert_eq!(users.collect::<Vec<_>>(), (0..200).map(Some).collect::<Vec<_>>(), "{withhold:?}");
    }
}
