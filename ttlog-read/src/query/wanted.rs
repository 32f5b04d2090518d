//! The right-hand side of a condition, as typed.

use std::cmp::Ordering;

use jiff::tz::TimeZone;
use ttlog_core::{Level, UnixTime};

use super::address::{Address, parse_uuid};
use super::clock::ClockText;
use super::number::Number;
use super::period::Period;
use super::scalar::{Kind, Scalar};

/// Right-hand side of a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Value as typed, without the quotes around it.
    pub text: String,
    /// Whether it was in double quotes, and so is text whatever it looks like.
    pub(super) is_quoted: bool,
    scalar: Option<Scalar>,
    /// The nearest `f32` to a number with a fraction or an exponent.
    nearest_f32: Option<f32>,
    pub(super) level: Option<Level>,
    pub(super) uuid: Option<[u8; 16]>,
    pub(super) address: Option<Address>,
    /// The regular expression.
    pub(super) pattern: Option<Pattern>,
    /// Period of a date and time, in UTC unless it says otherwise.
    time: Option<Period>,
}

impl Wanted {
    pub(super) fn new(typed: &str) -> Self {
        let quoted = typed.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let scalar = if quoted.is_some() { None } else { parse(typed) };
        let nearest_f32 = match scalar {
            Some(Scalar::Number(Number::Decimal(_))) => {
                typed.replace('_', "").parse().ok().filter(|f: &f32| f.is_finite())
            }
            _ => None,
        };
        let text = quoted.map_or_else(|| typed.to_owned(), unescaped);
        let time = ClockText::parse(&text).and_then(|clock| Some(clock.on(clock.date?, &TimeZone::UTC)));
        Wanted {
            level: text.parse().ok(),
            uuid: parse_uuid(&text),
            address: Address::parse(&text),
            pattern: None,
            time,
            text,
            is_quoted: quoted.is_some(),
            scalar,
            nearest_f32,
        }
    }

    /// Parses a regular expression.
    pub(super) fn pattern(typed: &str) -> Result<Self, String> {
        let wanted = Wanted { scalar: None, nearest_f32: None, ..Wanted::new(typed) };
        let pattern = regex::RegexBuilder::new(&wanted.text).size_limit(PATTERN_BYTES_MAX).build();
        let pattern = pattern.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "this regular expression is too large".to_owned(),
            error => format!("this is no regular expression: {error}"),
        })?;
        Ok(Wanted { pattern: Some(Pattern(pattern)), ..wanted })
    }

    /// Returns the value as a number, a duration or a size, if it is one and not quoted.
    pub(super) fn scalar(&self) -> Option<Scalar> {
        self.scalar
    }

    /// Returns what the value is.
    pub(super) fn kind(&self) -> Kind {
        self.scalar.map_or(Kind::Text, Scalar::kind)
    }

    /// Compares a number with the value, if that is a number.
    pub(super) fn order_of(&self, number: Number) -> Result<Option<Ordering>, Kind> {
        self.scalar.map_or(Err(Kind::Number), |wanted| Scalar::Number(number).compare(wanted))
    }

    /// Compares an `f32` with the value. 0.1 as typed is the `f32` nearest to it, not the `f64`.
    pub(super) fn order_of_f32(&self, value: f32) -> Result<Option<Ordering>, Kind> {
        match self.nearest_f32 {
            Some(wanted) => Ok(value.partial_cmp(&wanted)),
            None => self.order_of(Number::Float(f64::from(value))),
        }
    }

    /// Compares a time with the value, if that is one: the whole unit of its last digit is equal to it.
    pub(super) fn order_of_time(&self, time: UnixTime) -> Option<Ordering> {
        let Period { first, last } = self.time?;
        let ns = time.as_nanos();
        Some(if ns < first.into() {
            Ordering::Less
        } else if ns > last.into() {
            Ordering::Greater
        } else {
            Ordering::Equal
        })
    }

    /// Returns the value as the hexadecimal form of bytes, without `0x`, if it is one.
    pub(super) fn hex(&self) -> Option<String> {
        let hex = self.text.strip_prefix("0x").unwrap_or(&self.text);
        hex.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| hex.to_ascii_lowercase())
    }
}

/// Most bytes that a compiled regular expression takes. It is searched for in linear time, whatever it is.
const PATTERN_BYTES_MAX: usize = 4 << 20;

/// A regular expression, equal to those that were written the same.
#[derive(Clone, Debug)]
pub(super) struct Pattern(regex::Regex);

impl Pattern {
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// Parses a typed value: as logged text, and more leniently.
fn parse(typed: &str) -> Option<Scalar> {
    let is_hex = typed.starts_with("0x");
    let is_digit = |byte: Option<&u8>| {
        byte.is_some_and(|byte| if is_hex { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() })
    };
    let bytes = typed.as_bytes();
    let between_digits =
        |at: usize| is_digit(bytes.get(at + 1)) && at > 0 && (is_digit(bytes.get(at - 1)) || is_hex && at == 2);
    let separates = typed.bytes().enumerate().all(|(at, byte)| byte != b'_' || between_digits(at));
    let plain = if separates { typed.replace('_', "") } else { typed.to_owned() };
    Scalar::parse(&plain).or_else(|| {
        // Other spellings of NaN and infinity.
        let has_digit = plain.bytes().any(|byte| byte.is_ascii_digit());
        plain.parse().ok().filter(|_| !has_digit).map(|float| Scalar::Number(Number::Float(float)))
    })
}

/// Returns quoted text with `\"` and `\\` resolved.
pub(super) fn unescaped(quoted: &str) -> String {
    let mut out = String::with_capacity(quoted.len());
    let mut chars = quoted.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(&next @ ('"' | '\\'))) => {
                out.push(next);
                chars.next();
            }
            (c, _) => out.push(c),
        }
    }
    out
}
