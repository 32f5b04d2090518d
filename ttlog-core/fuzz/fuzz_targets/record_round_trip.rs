//! Round trips of arbitrary values through the hot path, the slow path and the shared writer, with any length of text
//! and any size of segment. Values come back unchanged, or cut and marked so.

#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use ttlog_core::event::{Cons, Field, Nil};
use ttlog_core::ring::{AppendOutcome, Cursor};
use ttlog_core::{
    AnyFields, Bytes, CallsiteInfo, ContextInfo, DropReason, Fields, Item, Level, Metadata, Ring, RingConfig,
    RingImage, SegmentState, TableItem, UnixTime, UuidBytes, Value, ValueRef, Word, encode_callsite,
};

#[derive(Arbitrary, Debug)]
struct Input {
    segment_words: u8,
    events: Vec<(Path, u32, Event)>,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Path {
    /// The hot path, and the next slower one if that declines.
    Small,
    Plain,
    Slow,
    Shared,
}

/// Events of several shapes, so that wide and packed fields come in several orders.
#[derive(Arbitrary, Debug)]
enum Event {
    Empty,
    Unsigned(u8, u16, u32, u64, u128),
    Signed(i8, i16, i32, i64, i128),
    Floats(f32, f64, Option<f64>),
    Usual(String, u64, f64),
    Texts(String, Option<String>, char, Vec<u8>),
    Options(Option<u64>, Option<i128>, Option<bool>, Option<Option<u16>>),
    Sequences(Vec<u64>, Vec<String>, Vec<i128>, Vec<Option<f32>>),
    Nested(Vec<Vec<u8>>, bool, f64),
    Long(String, u16),
    /// A UUID, the parts of addresses, seconds and nanoseconds.
    Identified([u8; 16], Option<u32>, (u16, u32, u32)),
    Timed(u64, i64, u32),
    Request(String, String, u64, u16, i64, f64),
    Blocks(Vec<u16>, [u8; 16], Vec<f64>, Vec<bool>, String),
    Many(String, String, String, String, String, String, String, u64),
}

/// A value to compare with the value read.
trait Expected {
    fn is(&self, read: &ValueRef<'_>) -> bool;
}

macro_rules! expected {
    ($($rust:ty => $variant:ident, |$value:ident| $as:expr;)*) => {$(
        impl Expected for $rust {
            fn is(&self, read: &ValueRef<'_>) -> bool {
                let $value = *self;
                matches!(read, ValueRef::$variant(read) if *read == $as)
            }
        }
    )*};
}
expected! {
    bool => Bool, |v| v;
    u8 => Unsigned, |v| v.into();
    u16 => Unsigned, |v| v.into();
    u32 => Unsigned, |v| v.into();
    u64 => Unsigned, |v| v;
    u128 => U128, |v| v;
    i8 => Signed, |v| v.into();
    i16 => Signed, |v| v.into();
    i32 => Signed, |v| v.into();
    i64 => Signed, |v| v;
    i128 => I128, |v| v;
    char => Char, |v| v;
    UuidBytes => Uuid, |v| v.0;
    IpAddr => Ip, |v| v;
    SocketAddr => Socket, |v| v;
    Duration => Duration, |v| v;
    UnixTime => Time, |v| v;
}

impl Expected for f32 {
    fn is(&self, read: &ValueRef<'_>) -> bool {
        matches!(read, ValueRef::F32(read) if read.to_bits() == self.to_bits())
    }
}

impl Expected for f64 {
    fn is(&self, read: &ValueRef<'_>) -> bool {
        matches!(read, ValueRef::F64(read) if read.to_bits() == self.to_bits())
    }
}

/// Returns whether `kept` of `all` is all, or is marked as less.
fn capped(kept: usize, all: usize, full_len: Option<u32>) -> bool {
    match full_len {
        None => kept == all,
        Some(full_len) => kept < all && full_len as usize == all,
    }
}

impl Expected for String {
    fn is(&self, read: &ValueRef<'_>) -> bool {
        matches!(read, ValueRef::Str(read)
            if self.starts_with(read.text) && capped(read.text.len(), self.len(), read.full_len))
    }
}

impl Expected for Bytes<'_> {
    fn is(&self, read: &ValueRef<'_>) -> bool {
        matches!(read, ValueRef::Bytes(read)
            if self.0.starts_with(read.bytes) && capped(read.bytes.len(), self.0.len(), read.full_len))
    }
}

impl<T: Expected> Expected for Option<T> {
    fn is(&self, read: &ValueRef<'_>) -> bool {
        match self {
            Some(value) => value.is(read),
            None => matches!(read, ValueRef::None | ValueRef::SomeNone(_)),
        }
    }
}

impl<T: Expected, const N: usize> Expected for [T; N] {
    fn is(&self, read: &ValueRef<'_>) -> bool {
        let ValueRef::Sequence(read) = read else { return false };
        capped(read.len(), N, read.full_len) && read.clone().zip(self).all(|(read, value)| value.is(&read))
    }
}

impl<T: Expected> Expected for Vec<T> {
    fn is(&self, read: &ValueRef<'_>) -> bool {
        let ValueRef::Sequence(read) = read else { return false };
        capped(read.len(), self.len(), read.full_len) && read.clone().zip(self).all(|(read, value)| value.is(&read))
    }
}

/// Passes one event's list of fields, and the expected values, to `with`.
macro_rules! shaped {
    ($with:expr, $($field:expr),*) => {
        $with(&shaped!(@list $($field),*), &[$(&$field as &dyn Expected),*])
    };
    (@list) => { Nil };
    (@list $first:expr $(, $rest:expr)*) => { Cons(Value::native(&$first), shaped!(@list $($rest),*)) };
}

const FIELDS: [Field; 8] = [const { Field::dynamic("field") }; 8];

/// Returns the metadata of an event with this many fields.
fn metadata(fields: usize) -> Metadata {
    Metadata { level: Level::Info, target: "fuzz", message: "", file: "", line: 1, fields: &FIELDS[..fields] }
}

struct Recorder<'m> {
    ring: Ring<'m>,
    own: Cursor<'m>,
    ticks: u64,
    path: Path,
}

impl Recorder<'_> {
    fn record<F: Fields>(&self, callsite: u16, fields: &F) -> AppendOutcome {
        let who = ContextInfo { context: 3, os_thread_id: 9, next_index: 0, name: "fuzzer" };
        if self.path == Path::Small && self.own.append_small(callsite, self.ticks, fields) {
            return AppendOutcome::Recorded;
        }
        if matches!(self.path, Path::Small | Path::Plain) && self.own.append_plain(callsite, self.ticks, fields) {
            return AppendOutcome::Recorded;
        }
        if self.path == Path::Shared {
            return self.ring.append_shared(self.ticks, 4, callsite, fields, DropReason::Reentrant);
        }
        self.own.append_slow(&self.ring, &|| self.ticks, &who, callsite, fields)
    }
}

/// Records `event` under its own id, finds it in the ring and compares it.
fn check(recorder: &Recorder<'_>, words: &[Word], event: &Event, callsite: u16) {
    fn go<F: Fields>(recorder: &Recorder<'_>, words: &[Word], callsite: u16, fields: &F, expected: &[&dyn Expected]) {
        let mut entry = [0; 1024];
        let len = encode_callsite(callsite, &metadata(expected.len()), AnyFields::types(fields), &mut entry)
            .expect("1 KiB hold it");
        let Ok(TableItem::Callsite(info)) = TableItem::decode(&entry[..len]) else { panic!("its own entry") };

        let dropped = recorder.ring.loss().dropped_total();
        match recorder.record(callsite, fields) {
            AppendOutcome::Recorded => assert_eq!(recorder.ring.loss().dropped_total(), dropped),
            AppendOutcome::Dropped(_) => {
                assert_eq!(recorder.ring.loss().dropped_total(), dropped + 1);
                return;
            }
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.load().to_le_bytes()).collect();
        let image = RingImage::parse(&bytes).expect("its own ring");
        let found = (0..image.header().segment_count).any(|index| match image.segment(index) {
            SegmentState::Valid(segment) => segment.items().any(|item| match item {
                Item::Event(record) if record.callsite == callsite => {
                    compare(&info, record.payload, expected);
                    assert_eq!(record.ticks, recorder.ticks);
                    assert_eq!(record.context, if recorder.path == Path::Shared { 4 } else { 3 });
                    true
                }
                Item::Event(_) | Item::Context(_) => false,
                lost => panic!("{lost:?} in a ring at rest"),
            }),
            _ => false,
        });
        assert!(found, "recorded, and not in the ring");
    }

    fn compare(info: &CallsiteInfo<'_>, payload: &[u8], expected: &[&dyn Expected]) {
        let read: Vec<_> = info.values(payload).map(|value| value.expect("its own values").1).collect();
        assert_eq!(read.len(), expected.len());
        for (read, expected) in read.iter().zip(expected) {
            assert!(expected.is(read), "{read:?}");
        }
    }

    let with = (recorder, words, callsite);
    macro_rules! go {
        ($($field:expr),*) => {
            shaped!((|fields, expected: &[&dyn Expected]| go(with.0, with.1, with.2, fields, expected)), $($field),*)
        };
    }
    match event {
        Event::Empty => go(recorder, words, callsite, &Nil, &[]),
        Event::Unsigned(a, b, c, d, e) => go!(*a, *b, *c, *d, *e),
        Event::Signed(a, b, c, d, e) => go!(*e, *d, *c, *b, *a),
        Event::Floats(a, b, c) => go!(*a, *b, *c),
        Event::Usual(a, b, c) => go!(*a, *b, *c),
        Event::Texts(a, b, c, d) => go!(*a, *b, *c, Bytes(d)),
        Event::Options(a, b, c, d) => go!(*a, *b, *c, *d),
        Event::Sequences(a, b, c, d) => go!(*a, *b, *c, *d),
        Event::Nested(a, b, c) => go!(*a, *b, *c),
        Event::Identified(bytes, v4, (port, flow, scope)) => {
            let ip = v4.map_or(IpAddr::V6(Ipv6Addr::from(*bytes)), |bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
            let peer: SocketAddr = match ip {
                IpAddr::V4(_) => SocketAddr::new(ip, *port),
                IpAddr::V6(ip) => SocketAddrV6::new(ip, *port, *flow, *scope).into(),
            };
            go!(7_u8, ip, UuidBytes(*bytes), peer, Some(UuidBytes(*bytes)), Some(ip));
        }
        Event::Timed(unsigned, signed, nanos) => {
            let (short, long) = (Duration::from_nanos(*unsigned), Duration::new(*unsigned, nanos % 1_000_000_000));
            let (near, far) = (UnixTime::from_nanos(*signed), UnixTime::new(*signed, nanos % 1_000_000_000));
            go!(short, near, long, far, vec![short, long]);
        }
        Event::Request(a, b, c, d, e, f) => go!(*a, *b, *c, *d, *e, *f),
        Event::Blocks(a, b, c, d, e) => go!(*a, *b, *c, *d, *e),
        Event::Many(a, b, c, d, e, f, g, h) => go!(*a, *b, *c, *d, *e, *f, *g, *h),
        Event::Long(text, times) => {
            let long = text.repeat(usize::from(*times) % 4096);
            go!(7_u8, long, 1.5_f64);
        }
    }
}

fuzz_target!(|input: Input| {
    let segment_len = 128 + u32::from(input.segment_words) * 64;
    let words: Vec<Word> = (0..64 + 6 * segment_len as usize / 8).map(|_| Word::new(0)).collect();
    let config = RingConfig { ring_id: 1, segment_len, table_len: 0, anchor_count: 0, ..RingConfig::PLAIN };
    let Ok(ring) = Ring::create(&words, &config) else { panic!("room for a segment") };
    let mut recorder = Recorder { ring, own: Cursor::new(), ticks: 1, path: Path::Small };
    for (index, (path, passed, event)) in input.events.iter().take(200).enumerate() {
        recorder.path = *path;
        // In some cases too long for a delta of 32 bits.
        recorder.ticks += u64::from(*passed) * if passed % 7 == 0 { 1 << 16 } else { 1 };
        check(&recorder, &words, event, index as u16 + 1);
    }
});
