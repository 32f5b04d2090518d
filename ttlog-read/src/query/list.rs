//! The values of `in (a, b)` and `in @FILE`.

use std::collections::HashSet;

use super::compare::{Match, Operator};
use super::number::Number;
use super::scalar::{Kind, Scalar};
use super::wanted::Wanted;
use crate::event::value::FieldValue;

/// Values of which one is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List {
    values: Vec<Wanted>,
    /// Their texts, so that a long list of names is not compared one by one.
    texts: HashSet<String>,
    /// The integers among them, for the same reason.
    integers: HashSet<i128>,
    /// Whether all are text that is no number, duration, size or address.
    is_all_letters: bool,
    /// Whether all are integers.
    is_all_integers: bool,
}

impl List {
    pub(super) fn new(values: Vec<Wanted>) -> Self {
        let integer = |wanted: &Wanted| match wanted.scalar() {
            Some(Scalar::Number(Number::Int(value))) => Some(value),
            _ => None,
        };
        List {
            texts: values.iter().map(|wanted| wanted.text.clone()).collect(),
            integers: values.iter().filter_map(integer).collect(),
            is_all_letters: values.iter().all(|wanted| wanted.kind() == Kind::Text && wanted.address.is_none()),
            is_all_integers: values.iter().all(|wanted| integer(wanted).is_some()),
            values,
        }
    }

    /// Returns the values, in the order in which they were written.
    #[must_use]
    pub fn values(&self) -> &[Wanted] {
        &self.values
    }

    /// Compares with each value until one matches.
    pub(super) fn any(&self, compare: impl Fn(&Wanted) -> Match) -> Match {
        Match::any(self.values.iter().map(compare))
    }

    /// Compares a text: equal to one of the texts, or by value.
    pub(super) fn match_text(&self, text: &str) -> Match {
        if self.texts.contains(text) {
            return Match::Yes;
        }
        if self.is_all_letters {
            return Match::No;
        }
        self.any(|wanted| Operator::Equal.compare_text(text, wanted))
    }

    /// Compares a field's value.
    pub(super) fn match_value(&self, value: &FieldValue<'_>) -> Match {
        let integer = match value {
            FieldValue::Unsigned(value) => Some(i128::from(*value)),
            FieldValue::Signed { value, .. } => Some(i128::from(*value)),
            FieldValue::Str(text) if text.full_len.is_none() => return self.match_text(text.text),
            _ => None,
        };
        match integer {
            Some(value) if self.integers.contains(&value) => Match::Yes,
            Some(_) if self.is_all_integers => Match::No,
            _ => self.any(|wanted| Operator::Equal.compare_value(value, wanted)),
        }
    }
}
