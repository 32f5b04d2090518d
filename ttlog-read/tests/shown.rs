//! Values marked with `%` and `?` are recorded natively, and read back as exactly the text that their `Display` and
//! `Debug` make.

#[path = "support/emitted.rs"]
mod emitted;
#[path = "support/recording.rs"]
mod recording;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::num::{NonZeroI128, NonZeroU8, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use emitted::snapshot_of;
use ttlog_core::{UnixTime, UuidBytes, Value, info};
use ttlog_read::{FieldValue, Query, Secrets, Timeline};

/// Values per type.
const COUNT: usize = 1000;

/// An event as read: its message, and its fields as text output shows them. A field is preceded by `native` if the
/// program did not format it.
type Seen = (String, Vec<String>);

/// Runs `events`, and returns what a reader sees of the file.
fn read_back(name: &str, events: impl FnOnce()) -> Vec<Seen> {
    let snapshot = snapshot_of(events);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("shown-{name}.bin"));
    std::fs::write(&path, snapshot).expect("the file can be written");
    let inputs = ttlog_read::open(&[path.to_str().expect("a path in UTF-8")]);
    let sources = inputs.sources(&Secrets::default()).expect("good sources");
    let mut timeline = Timeline::read(&sources, &Query::default(), &mut ());
    let mut events = timeline.events();
    let mut all = Vec::new();
    while let Some(event) = events.next_event() {
        assert_eq!(event.damage, None);
        let show = |(_, value): (&str, &FieldValue<'_>)| match value {
            FieldValue::Display(_) | FieldValue::Debug(_) => value.to_string(),
            value => format!("native {value}"),
        };
        all.push((event.message(), event.fields().map(show).collect()));
    }
    all
}

/// Records each value of an iterator with `?`, and with `%` if its type has a `Display`, and compares the messages that
/// show them with what std makes of the values.
macro_rules! assert_exact {
    ($name:literal, %?, $values:expr) => {
        let values: Vec<_> = $values.into_iter().collect();
        let seen = read_back($name, || {
            for value in &values {
                info!("{display}\u{1}{debug}", display = %value, debug = ?value);
            }
        });
        assert_eq!(seen.len(), values.len(), $name);
        for (value, (message, fields)) in values.iter().zip(seen) {
            assert_eq!(message, format!("{value}\u{1}{value:?}"), $name);
            assert!(fields.iter().all(|field| field.starts_with("native ")), "{}: {fields:?}", $name);
        }
    };
    ($name:literal, ?, $values:expr) => {
        let values: Vec<_> = $values.into_iter().collect();
        let seen = read_back($name, || {
            for value in &values {
                info!("{debug}", debug = ?value);
            }
        });
        assert_eq!(seen.len(), values.len(), $name);
        for (value, (message, fields)) in values.iter().zip(seen) {
            let debug = format!("{value:?}");
            assert_eq!(message, debug, $name);
            // Other than text of the program, it needs no quotes to be clear.
            assert_eq!(fields, [format!("native {}", ttlog_read::text::escape::escaped(&debug))], $name);
        }
    };
}

/// Random values, with the limits among them.
struct Random(fastrand::Rng);

impl Random {
    fn of<T>(&mut self, limits: impl IntoIterator<Item = T>, mut one: impl FnMut(&mut fastrand::Rng) -> T) -> Vec<T> {
        let mut values: Vec<T> = limits.into_iter().collect();
        values.extend((0..COUNT).map(|_| one(&mut self.0)));
        values
    }

    fn char(random: &mut fastrand::Rng) -> char {
        match random.u8(..8) {
            0 => *random
                .choice(&['\0', '\n', '\t', '\r', '\'', '"', '\\', '\u{7f}', '\u{301}', '\u{202e}'])
                .expect("some"),
            1..4 => random.char(..),
            _ => char::from(random.u8(0x20..0x7f)),
        }
    }

    fn text(random: &mut fastrand::Rng) -> String {
        (0..random.usize(..40)).map(|_| Self::char(random)).collect()
    }

    fn f64(random: &mut fastrand::Rng) -> f64 {
        match random.u8(..4) {
            0 => f64::from_bits(random.u64(..)),
            1 => random.i32(..).into(),
            2 => f64::from(random.i32(..)) / 1000.0,
            _ => random.f64() * 10_f64.powi(random.i32(-20..20)),
        }
    }

    fn u64(random: &mut fastrand::Rng) -> u64 {
        random.u64(..) >> random.u32(..64)
    }
}

fn random() -> Random {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    Random(fastrand::Rng::with_seed(seed))
}

#[test]
fn numbers_bools_and_chars() {
    let mut random = random();
    assert_exact!("bool", %?, [false, true]);
    assert_exact!("u8", %?, 0..=u8::MAX);
    assert_exact!("u16", %?, random.of([0, u16::MAX], |random| random.u16(..)));
    assert_exact!("u32", %?, random.of([0, u32::MAX], |random| random.u32(..)));
    assert_exact!("u64", %?, random.of([0, u64::MAX], Random::u64));
    assert_exact!("u128", %?, random.of([0, u128::MAX], |random| random.u128(..) >> random.u32(..128)));
    assert_exact!("usize", %?, random.of([0, usize::MAX], |random| random.usize(..)));
    assert_exact!("i8", %?, i8::MIN..=i8::MAX);
    assert_exact!("i16", %?, random.of([i16::MIN, -1, 0, i16::MAX], |random| random.i16(..)));
    assert_exact!("i32", %?, random.of([i32::MIN, -1, 0, i32::MAX], |random| random.i32(..)));
    assert_exact!("i64", %?, random.of([i64::MIN, -1, 0, i64::MAX], |random| random.i64(..) >> random.u32(..64)));
    assert_exact!("i128", %?, random.of([i128::MIN, -1, 0], |random| random.i128(..) >> random.u32(..128)));
    assert_exact!("isize", %?, random.of([isize::MIN, -1, 0, isize::MAX], |random| random.isize(..)));
    assert_exact!("NonZeroU8", %?, (1..=u8::MAX).filter_map(NonZeroU8::new));
    let one = |random: &mut fastrand::Rng| NonZeroU64::MIN.saturating_add(random.u64(..));
    assert_exact!("NonZeroU64", %?, random.of([NonZeroU64::MAX], one));
    assert_exact!("NonZeroI128", %?, [NonZeroI128::MIN, NonZeroI128::MAX]);
    assert_exact!("NonZeroUsize", %?, [NonZeroUsize::MIN, NonZeroUsize::MAX]);
    let floats = [0.0, -0.0, 1.0, 1e15, 1e16, 1e-5, 1e-4, 123_456_789.0, f64::MAX, f64::MIN_POSITIVE, 5e-324];
    let others = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1 + 0.2];
    assert_exact!("f64", %?, random.of(floats.into_iter().chain(others), Random::f64));
    let floats = [0.0, -0.0, 1e15, 1e16, 1e-5, 0.1, 16_777_216.0, f32::MAX, f32::MIN_POSITIVE, 1e-45, f32::NAN];
    assert_exact!("f32", %?, random.of(floats, |random| f32::from_bits(random.u32(..))));
    assert_exact!("char", %?, random.of(['\0', '\'', '"', char::MAX], Random::char));
}

#[test]
fn texts() {
    let mut random = random();
    let texts = random.of([String::new(), "plain".into(), "say \"hi\" \\ \n it's".into()], Random::text);
    assert_exact!("str", %?, texts.iter().map(String::as_str));
    assert_exact!("String", %?, texts.iter().cloned());
    assert_exact!("Box", %?, texts.iter().map(|text| Box::<str>::from(text.as_str())));
    assert_exact!("Rc", %?, texts.iter().map(|text| Rc::<str>::from(text.as_str())));
    assert_exact!("Arc", %?, texts.iter().map(|text| Arc::<str>::from(text.as_str())));
    assert_exact!("Cow", %?, texts.iter().map(|text| Cow::Borrowed(text.as_str())));
}

#[test]
fn options_and_sequences() {
    let mut random = random();
    let maybe = |random: &mut fastrand::Rng| random.bool().then(|| Random::u64(random));
    assert_exact!("unit", ?, [()]);
    assert_exact!("Option<u64>", ?, random.of([None], maybe));
    assert_exact!("Option<f64>", ?, random.of([None], |random| Some(Random::f64(random))));
    assert_exact!("Option<String>", ?, random.of([None, Some("None".into())], |random| Some(Random::text(random))));
    assert_exact!("Option<Option>", ?, random.of([Some(None), None], |random| Some(maybe(random))));
    assert_exact!("array", ?, random.of([[0; 16]], |random| [0; 16].map(|_: u8| random.u8(..))));
    let list = |random: &mut fastrand::Rng| -> Vec<i32> { (0..random.usize(..20)).map(|_| random.i32(..)).collect() };
    assert_exact!("Vec", ?, random.of([vec![]], list));
    let lists = random.of([vec![]], list);
    assert_exact!("slice", ?, lists.iter().map(Vec::as_slice));
    assert_exact!("Vec<String>", ?, random.of([vec![String::new()]], |random| vec![Random::text(random); 3]));
    assert_exact!("Vec<f64>", ?, random.of([vec![]], |random| vec![Random::f64(random), 1.0]));
    assert_exact!("Vec<Option>", ?, random.of([vec![None]], |random| vec![maybe(random), None]));
    assert_exact!("Vec<array>", ?, random.of([vec![]], |random| vec![[random.bool(); 2], [true, false]]));
    assert_exact!("Option<Vec>", ?, random.of([None], |random| Some(list(random))));
}

fn v6(random: &mut fastrand::Rng) -> Ipv6Addr {
    let mut segments = [0; 8].map(|_: u16| if random.bool() { 0 } else { random.u16(..) >> random.u8(..16) });
    if random.u8(..4) == 0 {
        segments[..6].copy_from_slice(&[0, 0, 0, 0, 0, 0xffff]);
    }
    Ipv6Addr::from(segments)
}

fn v4(random: &mut fastrand::Rng) -> Ipv4Addr {
    Ipv4Addr::from_bits(random.u32(..))
}

fn socket_v6(random: &mut fastrand::Rng) -> SocketAddrV6 {
    let number = |random: &mut fastrand::Rng| if random.bool() { 0 } else { random.u32(..) };
    SocketAddrV6::new(v6(random), random.u16(..), number(random), number(random))
}

fn duration(random: &mut fastrand::Rng) -> Duration {
    match random.u8(..4) {
        0 => Duration::new(random.u64(..), random.u32(..1_000_000_000)),
        1 => Duration::from_micros(random.u64(..1_000_000)),
        _ => Duration::from_nanos(Random::u64(random)),
    }
}

#[test]
fn addresses_and_ids() {
    let mut random = random();
    let (localhost, any) = (Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED);
    assert_exact!("Ipv4Addr", %?, random.of([Ipv4Addr::BROADCAST], v4));
    assert_exact!("Ipv6Addr", %?, random.of([localhost, any], v6));
    let ip = |random: &mut fastrand::Rng| if random.bool() { IpAddr::V4(v4(random)) } else { IpAddr::V6(v6(random)) };
    assert_exact!("IpAddr", %?, random.of([IpAddr::V6(localhost)], ip));
    assert_exact!("SocketAddrV4", %?, random.of([], |random| SocketAddrV4::new(v4(random), random.u16(..))));
    assert_exact!("SocketAddrV6", %?, random.of([SocketAddrV6::new(localhost, 0, 0, u32::MAX)], socket_v6));
    let socket = |random: &mut fastrand::Rng| SocketAddr::new(ip(random), random.u16(..));
    assert_exact!("SocketAddr", %?, random.of([SocketAddr::V6(SocketAddrV6::new(any, 1, 2, 3))], socket));
    assert_exact!("Vec<SocketAddr>", ?, random.of([], |random| vec![Some(socket(random)), None]));
    assert_exact!("Uuid", %?, random.of([uuid::Uuid::nil()], |random| uuid::Uuid::from_u128(random.u128(..))));
    assert_exact!("Option<Uuid>", ?, random.of([None], |random| Some(uuid::Uuid::from_u128(random.u128(..)))));
}

#[test]
fn durations() {
    let mut random = random();
    let limits = [0, 1, 999, 1000, (1 << 53) - 1, 1 << 53, u64::MAX - 1, u64::MAX].map(Duration::from_nanos);
    let long = [Duration::MAX, Duration::from_secs(u64::MAX / 1_000_000_000 + 1), Duration::from_secs(9_007_199)];
    assert_exact!("Duration", ?, random.of(limits.into_iter().chain(long), duration));
    assert_exact!("Option<Duration>", ?, random.of([None], |random| Some(duration(random))));
    assert_exact!("Vec<Duration>", ?, random.of([vec![]], |random| vec![duration(random), duration(random)]));
}

#[test]
fn durations_in_a_message_have_the_digits_that_it_asks_for() {
    let seen = read_back("formats-of-durations", || {
        let (took, peer) = (Duration::from_micros(1_234_567), SocketAddr::from(([10, 0, 0, 1], 80)));
        info!("{took}|{took:.1?}|{took:.0}|{took:>12?}|{took:+?}|{peer:>12}|{peer:?}", took, peer);
    });
    assert_eq!(seen[0].0, "1.234567s|1.2s|1s|   1.234567s|+1.234567s| 10.0.0.1:80|10.0.0.1:80");
}

#[test]
fn plain_natives_are_shown_as_people_write_them() {
    let id = UuidBytes(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8_u128.to_be_bytes());
    let shown = only("plain", || {
        let (ip, took) = (Ipv4Addr::LOCALHOST, Duration::from_millis(1500));
        info!("", id, ip, peer = SocketAddr::from((ip, 80)), took, some = Some(took), list = [ip]);
    });
    let expected = ["67e55044-10b1-426f-9247-bb680e5fe0c8", "127.0.0.1", "127.0.0.1:80", "1.5s", "1.5s", "[127.0.0.1]"];
    assert_eq!(shown, expected.map(|text| format!("native {text}")));
}

#[test]
fn times_are_shown_in_rfc_3339_whatever_their_mark() {
    for (secs, nanos, expected) in [
        (0, 0, "1970-01-01T00:00:00Z"),
        (1_769_828_340, 500_000_000, "2026-01-31T02:59:00.500Z"),
        (1_769_828_340, 1000, "2026-01-31T02:59:00.000001Z"),
        (-1, 999_999_999, "1969-12-31T23:59:59.999999999Z"),
        (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
        (-62_135_596_801, 0, "@-62135596801"),
        (253_370_764_799, 0, "9998-12-31T23:59:59Z"),
        (253_370_764_800, 1, "@253370764800.000000001"),
        (i64::MIN, 1, "@-9223372036854775807.999999999"),
        (i64::MAX, 999_999_999, "@9223372036854775807.999999999"),
    ] {
        let time = UnixTime::new(secs, nanos).expect("less than a second");
        assert_eq!(only("times", || info!("", time)), [format!("native {expected}")]);
        // Not every platform has all of these times.
        let after = UNIX_EPOCH.checked_add(Duration::new(secs.unsigned_abs(), nanos)).filter(|_| secs >= 0);
        let before = UNIX_EPOCH.checked_sub(Duration::from_secs(secs.unsigned_abs())).filter(|_| secs < 0);
        let before = before.and_then(|time| time.checked_add(Duration::from_nanos(nanos.into())));
        let Some(time) = after.or(before) else { continue };
        let shown = only("system-times", || info!("", time, debug = ?time, some = ?Some(time)));
        assert_eq!(shown, [expected, expected, &format!("Some({expected})")].map(|text| format!("native {text}")));
    }
}

/// A type with a native form and texts that say more.
#[derive(Clone, Copy)]
struct Cents(u64);

impl Value for Cents {
    type Native<'a> = u64;
    fn native(&self) -> u64 {
        self.0
    }
}

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}€", self.0 / 100, self.0 % 100)
    }
}

impl fmt::Debug for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "¢{}", self.0)
    }
}

fn log_generic<T: fmt::Display + fmt::Debug>(value: T) {
    info!("", display = %value, debug = ?value);
}

fn log_unsized<T: fmt::Display + fmt::Debug + ?Sized>(value: &T) {
    info!("", display = %value, debug = ?value);
}

fn log_dyn(value: &dyn fmt::Display, debug: Box<dyn fmt::Debug>) {
    info!("", display = %value, ?debug);
}

fn only(name: &str, event: impl FnOnce()) -> Vec<String> {
    let mut seen = read_back(name, event);
    assert_eq!(seen.len(), 1);
    seen.remove(0).1
}

#[test]
fn types_of_the_program_are_shown_by_their_own_impls() {
    let price = Cents(1999);
    let shown = only(
        "own",
        || info!("", plain = price, display = %price, debug = ?&price, list = ?[price], some = ?Some(price)),
    );
    assert_eq!(shown, ["native 1999", "19.99€", "¢1999", "[¢1999]", "Some(¢1999)"]);
}

#[test]
fn a_type_that_only_a_trait_describes_is_formatted() {
    assert_eq!(only("generic", || log_generic(7_u64)), ["7", "7"]);
    assert_eq!(only("generic", || log_generic("a b")), ["\"a b\"", r#""\"a b\"""#]);
    assert_eq!(only("unsized", || log_unsized("ab")), ["ab", r#""\"ab\"""#]);
    assert_eq!(only("dyn", || log_dyn(&7, Box::new(Some(7)))), ["7", "Some(7)"]);
    assert_eq!(only("impl", || info!("", arguments = %format_args!("{}", 5), range = ?(1..2))), ["5", "1..2"]);
}

#[test]
fn references_are_shown_as_what_they_point_to() {
    let (number, text) = (5, String::from("a b"));
    let shown = only("references", || {
        info!("", a = %&number, b = %&&number, c = ?&mut { number }, d = %*text, e = %&text[..], f = ?Box::new(&text));
    });
    assert_eq!(shown, ["native 5", "native 5", "native 5", "native \"a b\"", "native \"a b\"", "native \"a b\""]);
}

#[test]
fn a_text_that_does_not_show_where_it_ends_is_quoted() {
    let shown = only("quotes", || info!("", a = %"a b", b = %"", c = %"ab", d = %' ', e = ?"a b", f = ?[Some("x y")]));
    let expected =
        ["native \"a b\"", "native \"\"", "native ab", "native \" \"", "native \"a b\"", r#"native [Some("x y")]"#];
    assert_eq!(shown, expected);
}

#[test]
fn formats_in_a_message_apply_to_the_marked_value() {
    let (x, name, some) = (255_u8, "ab", Some(1.5));
    let seen = read_back("formats", || {
        info!("{x:>5}|{x:#x}|{x:?}|{name:>4}|{name:?}|{name}|{some:.2}|{some}", %x, ?name, ?some);
        info!("{name:?}|{name:.1}|{x:04}", %name, ?x);
    });
    assert_eq!(seen[0].0, "  255|0xff|255|\"ab\"|\"ab\"|\"ab\"|Some(1.50)|Some(1.5)");
    assert_eq!(seen[1].0, "ab|a|0255");
}

#[test]
fn a_capped_value_says_how_long_it_was() {
    let long = "x".repeat(20_000);
    let numbers = vec![7_u32; 20_000];
    let shown = only("capped", || info!("", a = %long, b = ?long, c = ?numbers));
    let marks = ["bytes)", "bytes)", "elements)"];
    for (text, mark) in shown.iter().zip(marks) {
        assert!(text.contains(" of 20000 ") && text.ends_with(mark), "{}", &text[text.len() - 60..]);
    }
    assert!(shown[1].starts_with("native \"xxx") && shown[1].contains("x\"…("), "{}", shown[1]);
}
