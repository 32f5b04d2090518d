//! Reading the values of environment variables: words, numbers, bytes, times, shares.

use std::time::Duration;

use super::settings::{INTERVAL_MAX, INTERVAL_MIN};

pub(super) fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

/// Looks a word up, whatever its case.
pub(super) fn word<T: Copy>(text: &str, choices: &[(&str, T)]) -> Option<T> {
    choices.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}

pub(super) fn on_off(text: &str) -> Option<bool> {
    word(text, &[("on", true), ("off", false)])
}

/// Reads `none`, or what `read` reads.
pub(super) fn or_none<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if text.eq_ignore_ascii_case("none") { Some(None) } else { read(text).map(Some) }
}

/// Reads decimal digits and nothing else: no sign, no blank.
pub(super) fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

pub(super) fn number(text: &str, min: usize, max: usize) -> Option<usize> {
    digits(text).and_then(|number| usize::try_from(number).ok()).filter(|number| (min..=max).contains(number))
}

/// Splits a number from its unit.
pub(super) fn with_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((digits(&text[..end])?, text[end..].trim_start()))
}

/// Reads bytes: a number, or one with K, M or G, which are powers of 1024.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = with_unit(text)?;
    let factor = if unit.is_empty() { 1 } else { word(unit, &[("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)])? };
    number.checked_mul(factor)
}

pub(super) fn size(text: &str, min: usize, max: usize) -> Option<usize> {
    bytes(text).and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| (min..=max).contains(bytes))
}

/// Reads a time: a number with ms, s, m, h or d.
pub(super) fn time(text: &str) -> Option<Duration> {
    let (number, unit) = with_unit(text)?;
    let unit_ms = word(unit, &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)])?;
    number.checked_mul(unit_ms).map(Duration::from_millis)
}

pub(super) fn interval(text: &str) -> Option<Duration> {
    time(text).filter(|time| (INTERVAL_MIN..=INTERVAL_MAX).contains(time))
}

/// Reads whole percents, with or without the sign.
pub(super) fn percent(text: &str) -> Option<u8> {
    digits(text.strip_suffix('%').unwrap_or(text).trim_end()).and_then(|number| u8::try_from(number).ok())
}
