//! Numbers as conditions compare them: exactly, whatever their width.

use std::cmp::Ordering;
use std::fmt;

/// A number, exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Int(i128),
    /// Above `i128::MAX`.
    Big(u128),
    Float(f64),
}

const TWO_POW_127: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

impl Number {
    pub(super) fn from_u128(value: u128) -> Self {
        i128::try_from(value).map_or(Number::Big(value), Number::Int)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.replace('_', "");
        if let Some(hex) = digits.strip_prefix("0x") {
            return u128::from_str_radix(hex, 16).ok().map(Self::from_u128);
        }
        let int = digits.parse().ok().map(Number::Int);
        int.or_else(|| digits.parse().ok().map(Number::Big)).or_else(|| digits.parse().ok().map(Number::Float))
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
        }
    }

    /// Compares an integer with a float without rounding either.
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
            Number::Float(own) => own.partial_cmp(&float)?,
        })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Int(value) => write!(f, "{value}"),
            Number::Big(value) => write!(f, "{value}"),
            Number::Float(value) => write!(f, "{value:?}"),
        }
    }
}
