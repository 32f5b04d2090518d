//! A condition of a filter: a key, an operator and a value. [`Filter`](super::Filter) parses them.
//!
//! How values compare is in [`compare`](super::compare).

use ttlog_core::Level;
use ttlog_core::event::filter::is_within;

use super::compare::{Match, Operator};
use super::key::Key;
use super::list::List;
use super::number::Number;
use super::wanted::Wanted;
use crate::event::value::FieldValue;
use crate::source::SpanRef;

/// A condition that an event fulfills or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Left-hand side of the comparison.
    pub key: Key,
    /// Comparison.
    pub operator: Operator,
    /// Right-hand side of the comparison; empty for [`Operator::In`] and [`Operator::Exists`].
    pub wanted: Wanted,
    /// Right-hand side of [`Operator::In`]; empty for others.
    pub list: List,
    /// Whether events without the key fulfill it too.
    pub or_absent: bool,
}

impl Condition {
    /// Compares a level.
    #[must_use]
    pub fn match_level(&self, level: Option<Level>) -> Match {
        let Some(level) = level else { return self.match_nothing() };
        match (self.operator, self.wanted.level) {
            (Operator::In, _) => self.list.any(|wanted| Match::from_bool(wanted.level == Some(level))),
            (Operator::Exists, _) => Match::Yes,
            (Operator::Contains | Operator::Matches, _) | (_, None) => self.match_text(level.as_str()),
            (operator, Some(wanted)) => operator.apply(&level, &wanted),
        }
    }

    /// Compares a target: equal are the module path itself and the modules below it. A dash in a package's name also
    /// matches an underscore.
    #[must_use]
    pub fn match_target(&self, target: &str) -> Match {
        let is_in = |wanted: &Wanted| Match::from_bool(is_within(target, &wanted.text));
        match self.operator {
            Operator::Equal => is_in(&self.wanted),
            Operator::NotEqual => is_in(&self.wanted).negated(),
            Operator::In => self.list.any(is_in),
            _ => self.match_text(target),
        }
    }

    /// Compares text.
    #[must_use]
    pub fn match_text(&self, text: &str) -> Match {
        match self.operator {
            Operator::In => self.list.match_text(text),
            Operator::Exists => Match::Yes,
            operator => operator.compare_text(text, &self.wanted),
        }
    }

    /// Compares a number of up to 64 bits.
    #[must_use]
    pub fn match_number(&self, number: u64) -> Match {
        match self.operator {
            Operator::In => self.list.match_value(&FieldValue::Unsigned(number)),
            Operator::Exists => Match::Yes,
            operator => operator.compare_number(Number::Int(i128::from(number)), &self.wanted),
        }
    }

    /// Returns the outcome if there is nothing to compare: the field is absent.
    #[must_use]
    pub fn match_nothing(&self) -> Match {
        Match::from_bool(self.or_absent || self.operator == Operator::NotEqual)
    }

    /// Returns the outcome if the field is there, and its value is withheld or cannot be read.
    #[must_use]
    pub fn match_unknown(&self) -> Match {
        Match::from_bool(matches!(self.operator, Operator::NotEqual | Operator::Exists))
    }

    /// Compares a field's value.
    ///
    /// A withheld value equals nothing, and differs from everything. An error matches if any text of its chain does, a
    /// sequence if any element does. `!=` is the negation of `=` throughout.
    #[must_use]
    pub fn match_value(&self, value: &FieldValue<'_>) -> Match {
        match self.operator {
            Operator::NotEqual => self.match_positive(value).negated(),
            _ => self.match_positive(value),
        }
    }

    /// Compares a value with the operator, or with `=` if that is `!=`.
    fn match_positive(&self, value: &FieldValue<'_>) -> Match {
        match self.operator {
            Operator::In => self.list.match_value(value),
            Operator::Exists => Match::Yes,
            _ => self.positive().compare_value(value, &self.wanted),
        }
    }

    /// Compares the values inside a field's value that `path` leads to (see [`FieldValue::visit`]), of which any can
    /// match.
    #[must_use]
    pub fn match_path(&self, value: &FieldValue<'_>, path: &str) -> Match {
        if path.is_empty() {
            return self.match_value(value);
        }
        match self.match_inside(value, path) {
            None => self.match_nothing(),
            Some(outcome) => self.signed(outcome),
        }
    }

    /// Compares the values that `path` leads to, with the operator or with `=` if that is `!=`; `None`: there are none.
    fn match_inside(&self, value: &FieldValue<'_>, path: &str) -> Option<Match> {
        if path.is_empty() {
            return Some(self.match_positive(value));
        }
        let mut outcomes = Vec::new();
        let found = value.visit(path, &mut |value| outcomes.push(self.match_positive(value)));
        found.then(|| Match::any(outcomes.into_iter()))
    }

    /// Compares the spans that an event is in, for the keys that concern them. It matches if any of the spans does;
    /// `None`: there is nothing to compare.
    ///
    /// `#7` as the span is the one with this id.
    #[must_use]
    pub fn match_spans(&self, path: &[SpanRef<'_, '_>]) -> Option<Match> {
        let innermost_first = path.iter().rev();
        let outcomes: Vec<Match> = match (&self.key, self.span_id()) {
            (Key::Span | Key::SpanName, Some(id)) => {
                path.iter().map(|span| Match::from_bool(span.id() == id)).collect()
            }
            (Key::Span | Key::SpanName, None) => {
                innermost_first.filter_map(SpanRef::name).map(|name| self.match_positive_text(name)).collect()
            }
            (Key::TraceId, _) => {
                let recorded = path.last().and_then(SpanRef::trace_id).map(|id| self.match_trace_id(&id));
                let fields = innermost_first.filter_map(|span| span.field(Key::TraceId.name()));
                recorded.into_iter().chain(fields.map(|id| self.match_trace_field(&id))).collect()
            }
            (key, _) => {
                let values = innermost_first.filter_map(|span| span.find_field(key.span_field()?));
                values.filter_map(|(value, path)| self.match_inside(&value, path)).collect()
            }
        };
        (!outcomes.is_empty()).then(|| self.signed(Match::any(outcomes.into_iter())))
    }

    /// Combines the outcome for the spans of an event with that for its own field `trace_id`, if the condition is on
    /// the trace.
    pub(super) fn match_own_trace<'v>(
        &self,
        of_spans: Option<Match>,
        own: impl FnOnce() -> Option<FieldValue<'v>>,
    ) -> Match {
        let own = if self.key == Key::TraceId { own().map(|id| self.match_trace_field(&id)) } else { None };
        match (of_spans, own) {
            (None, None) => self.match_nothing(),
            (Some(of_spans), None) => of_spans,
            (of_spans, own) => {
                let of_spans = of_spans.map(|outcome| self.signed(outcome));
                self.signed(Match::any(of_spans.into_iter().chain(own)))
            }
        }
    }

    /// Returns the operator for each of several things to compare: `!=` is the negation of the whole.
    fn positive(&self) -> Operator {
        if self.operator == Operator::NotEqual { Operator::Equal } else { self.operator }
    }

    /// Compares a text with the operator, or with `=` if that is `!=`.
    fn match_positive_text(&self, text: &str) -> Match {
        if self.operator == Operator::NotEqual { self.match_text(text).negated() } else { self.match_text(text) }
    }

    /// Negates an outcome of the positive operator if the operator is `!=`.
    fn signed(&self, outcome: Match) -> Match {
        if self.operator == Operator::NotEqual { outcome.negated() } else { outcome }
    }

    /// Compares the id of a trace, always with the positive operator: as text, because its hexadecimal digits can look
    /// like a number.
    fn match_trace_id(&self, id: &str) -> Match {
        let is_id = |wanted: &Wanted| Match::from_bool(id.eq_ignore_ascii_case(&wanted.text));
        match self.positive() {
            Operator::Equal => is_id(&self.wanted),
            Operator::In => self.list.any(is_id),
            Operator::Exists => Match::Yes,
            operator => operator.compare_text(id, &self.wanted),
        }
    }

    fn match_trace_field(&self, id: &FieldValue<'_>) -> Match {
        if *id == FieldValue::Withheld {
            return Match::from_bool(self.operator == Operator::Exists);
        }
        let mut text = String::new();
        id.push_plain(&mut text);
        self.match_trace_id(&text)
    }

    /// Returns the id of the span that is wanted, if it is wanted by its id.
    fn span_id(&self) -> Option<u64> {
        let is_equality = matches!(self.operator, Operator::Equal | Operator::NotEqual);
        self.wanted.text.strip_prefix('#').filter(|_| is_equality)?.parse().ok()
    }

    /// Returns whether an event with this outcome is selected. What does not compare matches nothing, and so differs
    /// from everything.
    #[must_use]
    pub fn selects(&self, outcome: Match) -> bool {
        match outcome {
            Match::Yes => true,
            Match::No => false,
            Match::Incomparable(_) => self.operator == Operator::NotEqual,
        }
    }
}

#[cfg(test)]
mod tests {
    use ttlog_core::record::Text;

    use super::*;
    use crate::query::Filter;

    fn condition(text: &str) -> Condition {
        let filter: Filter = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        filter.conditions()[0].clone()
    }

    fn matches(text: &str, value: &FieldValue<'_>) -> bool {
        condition(text).match_value(value) == Match::Yes
    }

    #[test]
    fn expressions_are_split_at_the_first_operator() {
        let parsed = condition("user.name >= a=b");
        assert_eq!(parsed.key, Key::Field("user.name".into()));
        assert_eq!((parsed.operator, parsed.wanted.text.as_str()), (Operator::GreaterOrEqual, "a=b"));
        assert_eq!(condition("fields.level=x").key, Key::Field("level".into()));
        assert_eq!(condition("a=").wanted.text, "");
        for (text, operator) in [
            ("a!=1", Operator::NotEqual),
            ("a~=1", Operator::Contains),
            ("a<1", Operator::Less),
            ("a<=1", Operator::LessOrEqual),
            ("a>1", Operator::Greater),
        ] {
            assert_eq!(condition(text).operator, operator, "{text}");
        }
    }

    #[test]
    fn level_alone_is_exact_and_ordered_with_operators() {
        let with = |text: &str| {
            Level::ALL.into_iter().filter(|level| condition(text).match_level(Some(*level)) == Match::Yes).count()
        };
        assert_eq!(with("level=ERROR"), 1);
        assert_eq!(with("level=warn"), 1);
        assert_eq!(with("level=\"WARN\""), 1);
        assert_eq!(with("level>=WARN"), 2);
        assert_eq!(with("level<INFO"), 2);
        assert_eq!(with("level!=INFO"), 4);
        assert!(condition("level>=TRACE").match_level(None) == Match::No);
    }

    #[test]
    fn target_matches_on_module_boundaries() {
        let matches = |text: &str, target: &str| condition(text).match_target(target) == Match::Yes;
        assert!(matches("target=app::net", "app::net") && matches("target=app::net", "app::net::tcp"));
        assert!(!matches("target=app::net", "app::network") && !matches("target=app::net", "app"));
        assert!(matches("target!=app::net", "app::network") && matches("target~=net", "app::network"));
        assert!(matches("target=my-app", "my_app::net") && matches("target=my-app", "my-app"));
        assert!(!matches("target=my_app", "my-app") && !matches("target!=my-app", "my_app"));
    }

    #[test]
    fn integers_compare_exactly() {
        assert!(matches("n=18446744073709551615", &FieldValue::Unsigned(u64::MAX)));
        assert!(!matches("n=18446744073709551615", &FieldValue::Unsigned(u64::MAX - 1)));
        assert!(matches("n<18446744073709551616", &FieldValue::Unsigned(u64::MAX)));
        assert!(matches("n>=-5", &FieldValue::Signed { value: -5, bits: 8 }));
        assert!(matches("n=0xff", &FieldValue::Unsigned(255)) && matches("n=1_000", &FieldValue::Unsigned(1000)));
        assert!(matches("n>170141183460469231731687303715884105727", &FieldValue::U128(u128::MAX)));
        assert!(matches("n=340282366920938463463374607431768211455", &FieldValue::U128(u128::MAX)));
        assert!(matches("n>1e37", &FieldValue::I128(i128::MAX)) && matches("n<1e39", &FieldValue::U128(u128::MAX)));
    }

    #[test]
    fn numbers_of_different_kinds_compare_by_value() {
        assert!(matches("n>=2.5", &FieldValue::Unsigned(3)) && !matches("n>=2.5", &FieldValue::Unsigned(2)));
        assert!(
            matches("n<-2.5", &FieldValue::Signed { value: -3, bits: 64 })
                && !matches("n<-2.5", &FieldValue::Signed { value: -2, bits: 64 })
        );
        assert!(
            matches("n=2", &FieldValue::F64(2.0))
                && matches("n=0.1", &FieldValue::F32(0.1))
                && matches("n=0.1", &FieldValue::F64(0.1))
        );
        // 2^53 + 1 is no f64: rounding would make it equal to its neighbors.
        assert!(matches("n=9007199254740993.0", &FieldValue::Unsigned(9_007_199_254_740_993)));
        assert!(!matches("n=9007199254740993.0", &FieldValue::Unsigned(9_007_199_254_740_992)));
        assert!(!matches("n=9007199254740993", &FieldValue::F64(9_007_199_254_740_992.0)));
        assert!(matches("n<9007199254740992.7", &FieldValue::Unsigned(9_007_199_254_740_992)));
        // 2^24 + 1 is no f32, and 1e39 is beyond all of them.
        assert!(!matches("n=16777217", &FieldValue::F32(16_777_216.0)));
        assert!(matches("n<16777217", &FieldValue::F32(16_777_216.0)));
        assert!(
            !matches("n=1e39", &FieldValue::F32(f32::INFINITY)) && matches("n>1e39", &FieldValue::F32(f32::INFINITY))
        );
        assert!(
            !matches("n=1e400", &FieldValue::F64(f64::INFINITY)) && matches("n=inf", &FieldValue::F64(f64::INFINITY))
        );
        for text in ["n<0", "n>0", "n=0", "n>=0", "n=NaN"] {
            assert!(!matches(text, &FieldValue::F64(f64::NAN)), "{text}");
        }
        assert!(matches("n!=0", &FieldValue::F64(f64::NAN)));
    }

    #[test]
    fn text_options_errors_sequences_and_bytes() {
        let text = |text| Text { text, full_len: None };
        assert!(matches("s=AAPL", &FieldValue::Str(text("AAPL"))) && matches("s~=AP", &FieldValue::Str(text("AAPL"))));
        assert!(matches("s>=b", &FieldValue::Str(text("c"))) && matches("s=5", &FieldValue::Str(text("05"))));
        assert!(matches("b=true", &FieldValue::Bool(true)) && matches("c=x", &FieldValue::Char('x')));
        assert!(
            matches("o=None", &FieldValue::None)
                && matches("o=null", &FieldValue::None)
                && !matches("o=5", &FieldValue::None)
        );
        assert!(matches("o=5", &FieldValue::Some(Box::new(FieldValue::Unsigned(5)))));
        let error = FieldValue::Error(vec![text("outer"), text("disk full")], None);
        assert!(matches("e~=disk", &error) && matches("e=outer", &error) && !matches("e!=outer", &error));
        let list = FieldValue::Sequence(vec![FieldValue::Unsigned(1), FieldValue::Unsigned(2)], None);
        assert!(matches("l=2", &list) && !matches("l=3", &list) && !matches("l!=2", &list) && matches("l!=3", &list));
        assert!(
            matches("d=0xdead", &FieldValue::Bytes(&[0xde, 0xad], None))
                && matches("d~=ea", &FieldValue::Bytes(&[0xde, 0xad], None))
        );
    }
}
