//! Numbers as conditions compare them: exactly, whatever their width and however they are written.

use std::cmp::Ordering;
use std::fmt;

/// A number, exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i128),
    /// Above `i128::MAX`.
    Big(u128),
    /// Not an integer of at most 128 bits.
    Decimal(Decimal),
    Float(f64),
}

/// A decimal number: `mantissa * 10^exponent`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decimal {
    negative: bool,
    /// Without zeros at the end, so that each number has one form.
    mantissa: u128,
    exponent: i64,
    /// The nearest float.
    nearest: f64,
}

const TWO_POW_127: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

impl Number {
    pub(super) fn from_u128(value: u128) -> Self {
        i128::try_from(value).map_or(Number::Big(value), Number::Int)
    }

    /// Parses an integer, a decimal number with or without an exponent, a hexadecimal number with `0x`, or one of
    /// `NaN`, `inf` and `-inf`, as Rust prints them. Beyond 38 digits, the nearest float is taken.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "NaN" => return Some(Number::Float(f64::NAN)),
            "inf" => return Some(Number::Float(f64::INFINITY)),
            "-inf" => return Some(Number::Float(f64::NEG_INFINITY)),
            _ => {}
        }
        if let Some(hex) = text.strip_prefix("0x").filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return u128::from_str_radix(hex, 16).ok().map(Self::from_u128);
        }
        // The words that are parsed as floats contain no digit.
        if !text.bytes().any(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let nearest = text.parse().ok()?;
        Some(Self::exact(text, nearest).unwrap_or(Number::Float(nearest)))
    }

    /// Reads the digits of a decimal number; `None` if there are too many.
    fn exact(text: &str, nearest: f64) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (digits, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let mut exponent = exponent.parse::<i32>().ok().map(i64::from)?;
        exponent -= i64::try_from(fraction.len()).ok()?;
        let (mut mantissa, mut zeros) = (0_u128, 0_i64);
        for digit in whole.bytes().chain(fraction.bytes()).map(|byte| u128::from(byte - b'0')) {
            if digit == 0 {
                zeros += 1;
                continue;
            }
            for _ in 0..if mantissa == 0 { 0 } else { zeros } {
                mantissa = mantissa.checked_mul(10)?;
            }
            mantissa = mantissa.checked_mul(10)?.checked_add(digit)?;
            zeros = 0;
        }
        Some(Self::from_parts(Decimal { negative, mantissa, exponent: exponent + zeros, nearest }))
    }

    /// Returns an integer, if the number is one.
    fn from_parts(decimal: Decimal) -> Self {
        let Decimal { negative, mantissa, exponent, .. } = decimal;
        if mantissa == 0 {
            return Number::Int(0);
        }
        let power = u32::try_from(exponent).ok().and_then(|exponent| 10_u128.checked_pow(exponent));
        let int = power.and_then(|power| mantissa.checked_mul(power)).and_then(|int| match negative {
            false => Some(Self::from_u128(int)),
            true => 0_i128.checked_sub_unsigned(int).map(Number::Int),
        });
        int.unwrap_or(Number::Decimal(decimal))
    }

    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (Number::Big(a), Number::Big(b)) => Some(a.cmp(&b)),
            (Number::Big(_), Number::Int(_)) => Some(Ordering::Greater),
            (Number::Int(_), Number::Big(_)) => Some(Ordering::Less),
            (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b),
            (Number::Float(a), b) => b.compare_float(a).map(Ordering::reverse),
            (a, Number::Float(b)) => a.compare_float(b),
            (Number::Decimal(a), Number::Decimal(b)) => Some(a.compare(b)),
            (Number::Decimal(a), Number::Int(b)) => Some(a.compare(Decimal::from_int(b < 0, b.unsigned_abs()))),
            (Number::Decimal(a), Number::Big(b)) => Some(a.compare(Decimal::from_int(false, b))),
            (a, Number::Decimal(_)) => other.compare(a).map(Ordering::reverse),
        }
    }

    /// Compares a number with a float. An integer is compared without rounding either; any other number that is
    /// written in decimal stands for the nearest float.
    fn compare_float(self, float: f64) -> Option<Ordering> {
        if float.is_nan() {
            return None;
        }
        // The casts are exact: each is of a whole number within the range of its target.
        Some(match self {
            Number::Int(_) if float >= TWO_POW_127 => Ordering::Less,
            Number::Int(_) if float < -TWO_POW_127 => Ordering::Greater,
            Number::Int(int) => {
                let whole = float.floor();
                int.cmp(&(whole as i128)).then(if float > whole { Ordering::Less } else { Ordering::Equal })
            }
            Number::Big(_) if float < TWO_POW_127 => Ordering::Greater,
            Number::Big(_) if float >= 2.0 * TWO_POW_127 => Ordering::Less,
            Number::Big(big) => big.cmp(&(float as u128)),
            Number::Decimal(_) if float == f64::INFINITY => Ordering::Less,
            Number::Decimal(_) if float == f64::NEG_INFINITY => Ordering::Greater,
            Number::Decimal(decimal) => decimal.nearest.partial_cmp(&float)?,
            Number::Float(own) => own.partial_cmp(&float)?,
        })
    }
}

impl Decimal {
    /// Returns an integer in decimal form. (It is compared with decimals only, so its nearest float does not matter.)
    fn from_int(negative: bool, int: u128) -> Self {
        let (mut mantissa, mut exponent) = (int, 0);
        while mantissa != 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        Decimal { negative, mantissa, exponent, nearest: 0.0 }
    }

    fn compare(self, other: Self) -> Ordering {
        let sign = |decimal: &Self| match (decimal.mantissa, decimal.negative) {
            (0, _) => 0,
            (_, false) => 1,
            (_, true) => -1,
        };
        let signs = sign(&self).cmp(&sign(&other));
        if signs.is_ne() || self.mantissa == 0 {
            return signs;
        }
        let magnitudes = self.compare_magnitude(other);
        if self.negative { magnitudes.reverse() } else { magnitudes }
    }

    /// Compares two numbers other than 0 without their signs.
    fn compare_magnitude(self, other: Self) -> Ordering {
        let (own_len, other_len) = (self.mantissa.ilog10(), other.mantissa.ilog10());
        let (own_top, other_top) = (self.exponent + i64::from(own_len), other.exponent + i64::from(other_len));
        if own_top != other_top {
            return own_top.cmp(&other_top);
        }
        // The last digit of a mantissa is not 0, so the longer of two that begin alike is the greater.
        match own_len.cmp(&other_len) {
            Ordering::Equal => self.mantissa.cmp(&other.mantissa),
            Ordering::Less => {
                self.mantissa.cmp(&(other.mantissa / 10_u128.pow(other_len - own_len))).then(Ordering::Less)
            }
            Ordering::Greater => {
                (self.mantissa / 10_u128.pow(own_len - other_len)).cmp(&other.mantissa).then(Ordering::Greater)
            }
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Int(value) => write!(f, "{value}"),
            Number::Big(value) => write!(f, "{value}"),
            Number::Decimal(value) => write!(f, "{:?}", value.nearest),
            Number::Float(value) => write!(f, "{value:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn integers_have_one_form_however_they_are_written() {
        for text in ["1000", "+1000", "01000", "1000.0", "1e3", "1E+3", "10.00e2", "0x3e8", "100000e-2", "1000."] {
            assert_eq!(number(text), Number::Int(1000), "{text}");
        }
        for text in ["0", "-0", "0.000", "0e99", ".0", "00"] {
            assert_eq!(number(text), Number::Int(0), "{text}");
        }
        assert_eq!(number("-170141183460469231731687303715884105728"), Number::Int(i128::MIN));
        assert_eq!(number("340282366920938463463374607431768211455"), Number::Big(u128::MAX));
        assert_eq!(number("9007199254740993.0"), Number::Int(9_007_199_254_740_993));
    }

    #[test]
    fn other_text_is_no_number() {
        for text in
            ["", "-", "+", ".", "e", "e5", "1e", "1 000", "1_000", "0x", "0x-1", "nan", "infinity", "1.2.3", "١"]
        {
            assert_eq!(Number::parse(text), None, "{text}");
        }
        assert_eq!(Number::parse("1,000"), None);
    }

    #[test]
    fn order_is_that_of_the_values() {
        let ascending = [
            "-inf",
            "-1e400",
            "-170141183460469231731687303715884105729",
            "-170141183460469231731687303715884105728",
            "-9007199254740993.5",
            "-9007199254740993",
            "-1.5",
            "-0.1",
            "0",
            "1e-400",
            "0.099",
            "0.1",
            "0.10000000000000000000000000000000001",
            "1",
            "1.5",
            "9.99",
            "10",
            "9007199254740992.7",
            "9007199254740993",
            "9007199254740993.1",
            "18446744073709551615",
            "18446744073709551615.5",
            "340282366920938463463374607431768211455",
            "1e39",
            "1e400",
            "inf",
        ];
        for (index, a) in ascending.iter().enumerate() {
            for (other, b) in ascending.iter().enumerate() {
                assert_eq!(number(a).compare(number(b)), Some(index.cmp(&other)), "{a} {b}");
            }
            assert_eq!(number(a).compare(Number::Float(f64::NAN)), None);
        }
    }

    #[test]
    fn huge_and_hostile_numbers_come_to_an_end() {
        let long = "9".repeat(60_000);
        assert_eq!(number(&long).compare(number("1")), Some(Ordering::Greater));
        assert_eq!(number(&format!("0.{long}")).compare(number("2")), Some(Ordering::Less));
        assert_eq!(number(&format!("{}1", "0".repeat(60_000))), Number::Int(1));
        assert_eq!(number(&format!("1{}", "0".repeat(60_000))).compare(number("2")), Some(Ordering::Greater));
        for text in ["1e99999999999", "1e-99999999999", "1e2147483647", "1e-2147483648", "0.1e-2147483648"] {
            _ = number(text).compare(number("0.5"));
            _ = number(text).compare(number(text));
        }
    }
}
