//! Comparison of a value with what a condition wants: the only place that decides how they compare.
//!
//! - Numbers compare with numbers, durations with durations, sizes with sizes: exactly, and whether a field has that
//!   type or holds text that is one (`404`, `1.5s`, `10KB`).
//! - Values of different kinds have no order: a text that is no number and a number, a number (in which unit?) and a
//!   duration. That is neither a match nor a mere difference, but [`Match::Incomparable`], which is counted and
//!   reported.
//! - If a text is wanted, or anything in double quotes, letters compare with letters.

use std::cmp::Ordering;

use ttlog_core::event::Shown;

use super::number::Number;
use super::scalar::{Kind, Scalar};
use super::wanted::Wanted;
use crate::event::value::{FieldValue, Nested, StdText, push_hex};

/// Comparison operator of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each name is the operator it stands for
pub enum Operator {
    Equal,
    /// The negation of `Equal`: also true if there is nothing to compare.
    NotEqual,
    /// Contains the text.
    Contains,
    /// Contains a match of the regular expression.
    Matches,
    /// Equal to one of a list.
    In,
    /// Is there, whatever its value.
    Exists,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A value and what is wanted are of kinds that do not compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    pub(super) found: Kind,
    pub(super) wanted: Kind,
}

/// Outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The condition holds.
    Yes,
    /// The condition does not hold.
    No,
    /// The value and what is wanted are of kinds that do not compare.
    Incomparable(Mismatch),
}

impl Match {
    pub(super) fn from_bool(holds: bool) -> Self {
        if holds { Match::Yes } else { Match::No }
    }

    /// Returns the first that holds, else the first that does not compare.
    pub(super) fn any(matches: impl Iterator<Item = Match>) -> Self {
        let mut found = Match::No;
        for one in matches {
            match (one, found) {
                (Match::Yes, _) => return Match::Yes,
                (Match::Incomparable(_), Match::No) => found = one,
                _ => {}
            }
        }
        found
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Match::Yes => Match::No,
            Match::No => Match::Yes,
            incomparable @ Match::Incomparable(_) => incomparable,
        }
    }
}

impl Operator {
    fn accepts(self, ordering: Option<Ordering>) -> Match {
        Match::from_bool(match self {
            Operator::Equal => ordering == Some(Ordering::Equal),
            Operator::NotEqual => ordering != Some(Ordering::Equal),
            Operator::Contains | Operator::Matches | Operator::In | Operator::Exists => false,
            Operator::Less => ordering == Some(Ordering::Less),
            Operator::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            Operator::Greater => ordering == Some(Ordering::Greater),
            Operator::GreaterOrEqual => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        })
    }

    fn is_equality(self) -> bool {
        matches!(self, Operator::Equal | Operator::NotEqual)
    }

    /// Returns whether the operator searches in the text of a value, of whatever kind that is.
    fn is_search(self) -> bool {
        matches!(self, Operator::Contains | Operator::Matches)
    }

    fn search(self, text: &str, wanted: &Wanted) -> Match {
        Match::from_bool(match &wanted.pattern {
            Some(pattern) if self == Operator::Matches => pattern.is_match(text),
            _ => text.contains(wanted.text.as_str()),
        })
    }

    /// Applies the operator to things of an order of their own, such as levels.
    pub(super) fn apply<T: Ord>(self, value: &T, wanted: &T) -> Match {
        self.accepts(Some(value.cmp(wanted)))
    }

    /// Compares a text.
    pub(super) fn compare_text(self, text: &str, wanted: &Wanted) -> Match {
        self.compare_capped(text, false, wanted)
    }

    /// Compares a text, of which the end can be missing.
    fn compare_capped(self, text: &str, is_capped: bool, wanted: &Wanted) -> Match {
        if self.is_search() {
            return self.search(text, wanted);
        }
        if let Some(order) = wanted.address.and_then(|address| address.order_of_text(text)) {
            return self.accepts(Some(order));
        }
        let letters = text.cmp(wanted.text.as_str());
        let Some(scalar) = wanted.scalar() else { return self.accepts(Some(letters)) };
        if self.is_equality() && letters.is_eq() {
            return self.accepts(Some(letters));
        }
        let own = if is_capped { None } else { Scalar::parse(text) };
        match own.map(|own| own.compare(scalar)) {
            Some(Ok(ordering)) => self.accepts(ordering),
            Some(Err(found)) => incomparable(found, wanted),
            // Certainly not equal.
            None if self.is_equality() => self.accepts(None),
            None => incomparable(Kind::Text, wanted),
        }
    }

    /// Compares a number.
    pub(super) fn compare_number(self, number: Number, wanted: &Wanted) -> Match {
        self.compare_order(&|| number.to_string(), wanted.order_of(number), wanted)
    }

    /// Compares a number by its text, or by its order relative to what is wanted.
    fn compare_order(self, text: &dyn Fn() -> String, order: Result<Option<Ordering>, Kind>, wanted: &Wanted) -> Match {
        match order {
            _ if self.is_search() => self.search(&text(), wanted),
            Ok(ordering) => self.accepts(ordering),
            Err(_) if self.is_equality() && wanted.kind() == Kind::Text => {
                let is_same = wanted.is_quoted && text() == wanted.text;
                self.accepts(is_same.then_some(Ordering::Equal))
            }
            Err(found) => incomparable(found, wanted),
        }
    }

    fn compare_bool(self, value: bool, wanted: &Wanted) -> Match {
        match wanted.text.as_str() {
            _ if self.is_search() => self.search(if value { "true" } else { "false" }, wanted),
            "true" => self.apply(&value, &true),
            "false" => self.apply(&value, &false),
            _ if self.is_equality() => self.accepts(None),
            _ => incomparable(Kind::Bool, wanted),
        }
    }

    fn compare_bytes(self, bytes: &[u8], wanted: &Wanted) -> Match {
        let mut hex = String::from("0x");
        push_hex(&mut hex, bytes);
        match wanted.hex() {
            _ if self.is_search() => self.search(&hex, wanted),
            Some(wanted) => self.accepts(Some(hex[2..].cmp(&wanted))),
            None if self.is_equality() => self.accepts(None),
            None => incomparable(Kind::Bytes, wanted),
        }
    }

    /// Compares a field's value. An error matches if any text of its chain does, a sequence if any element does.
    ///
    /// With `NotEqual`, elements would be negated one by one; the caller negates the whole.
    pub(super) fn compare_value(self, value: &FieldValue<'_>, wanted: &Wanted) -> Match {
        match value {
            // Otherwise it could be guessed, one comparison after another.
            FieldValue::Withheld => Match::No,
            FieldValue::Unsigned(value) => self.compare_number(Number::Int(i128::from(*value)), wanted),
            FieldValue::Signed { value, .. } => self.compare_number(Number::Int(i128::from(*value)), wanted),
            FieldValue::U128(value) => self.compare_number(Number::from_u128(*value), wanted),
            FieldValue::I128(value) => self.compare_number(Number::Int(*value), wanted),
            FieldValue::F64(value) => self.compare_number(Number::Float(*value), wanted),
            FieldValue::F32(value) => self.compare_order(&|| format!("{value:?}"), wanted.order_of_f32(*value), wanted),
            FieldValue::Str(text) | FieldValue::Display(text) | FieldValue::Debug(text) => {
                self.compare_capped(text.text, text.full_len.is_some(), wanted)
            }
            FieldValue::Char(value) => self.compare_text(value.encode_utf8(&mut [0; 4]), wanted),
            FieldValue::Bool(value) => self.compare_bool(*value, wanted),
            FieldValue::Uuid(bytes) => {
                self.compare_native(value, wanted.uuid.map(|wanted| bytes.cmp(&wanted)), Kind::Uuid, wanted)
            }
            FieldValue::Ip(address) => self.compare_native(
                value,
                wanted.address.and_then(|wanted| wanted.order_of_ip(*address)),
                Kind::Address,
                wanted,
            ),
            FieldValue::Socket(address) => self.compare_native(
                value,
                wanted.address.map(|wanted| wanted.order_of(*address)),
                Kind::Address,
                wanted,
            ),
            FieldValue::Time(time) => self.compare_native(value, wanted.order_of_time(*time), Kind::Time, wanted),
            FieldValue::Duration(duration) => self.compare_order(
                &|| value.to_string(),
                wanted.scalar().map_or(Err(Kind::Duration), |wanted| Scalar::from(*duration).compare(wanted)),
                wanted,
            ),
            FieldValue::Unit => self.compare_absent("()", wanted),
            FieldValue::None if wanted.text == "null" => self.compare_absent("null", wanted),
            FieldValue::None => self.compare_absent("None", wanted),
            FieldValue::Some(value) => self.compare_value(value, wanted),
            FieldValue::Shown(value, shown) => self.compare_shown(value, *shown, wanted),
            FieldValue::Bytes(bytes, _) => self.compare_bytes(bytes, wanted),
            FieldValue::Error(texts, _) => {
                let each = texts.iter().map(|text| self.compare_capped(text.text, text.full_len.is_some(), wanted));
                Match::any(each)
            }
            FieldValue::Nested(nested) => self.compare_nested(nested, value, wanted),
            FieldValue::Sequence(elements, _) => {
                Match::any(elements.iter().map(|element| self.compare_value(element, wanted)))
            }
        }
    }

    /// Compares a tuple, a struct or a variant: the name of the variant, or all of it as text. It has no order.
    fn compare_nested(self, nested: &Nested<'_>, value: &FieldValue<'_>, wanted: &Wanted) -> Match {
        let mut text = String::new();
        value.push_plain(&mut text);
        let texts = nested.variant.into_iter().chain([text.as_str()]);
        Match::any(texts.map(|text| self.compare_absent(text, wanted)))
    }

    /// Compares a value by its order relative to what is wanted, `None` if that is of another kind.
    fn compare_native(self, value: &FieldValue<'_>, order: Option<Ordering>, kind: Kind, wanted: &Wanted) -> Match {
        match order {
            _ if self.is_search() => self.search(&value.to_string(), wanted),
            Some(order) => self.accepts(Some(order)),
            // Certainly not equal.
            None if self.is_equality() => self.accepts(None),
            None => incomparable(kind, wanted),
        }
    }

    /// Compares a value, or else its text as it is shown: `Some(5)` matches where 5 does.
    fn compare_shown(self, value: &FieldValue<'_>, shown: Shown, wanted: &Wanted) -> Match {
        let by_value = self.compare_value(value, wanted);
        if by_value == Match::Yes || wanted.kind() != Kind::Text || matches!(value, FieldValue::Withheld) {
            return by_value;
        }
        let text = match shown {
            Shown::Debug => format!("{:?}", StdText(value)),
            Shown::Display | Shown::Plain => StdText(value).to_string(),
        };
        match self {
            Operator::Equal if text == wanted.text => Match::Yes,
            _ if self.is_search() => self.search(&text, wanted),
            _ => by_value,
        }
    }

    /// Compares the word for a value that is not there, which has no order.
    fn compare_absent(self, word: &str, wanted: &Wanted) -> Match {
        if self.is_equality() || self.is_search() { self.compare_text(word, wanted) } else { Match::No }
    }
}

fn incomparable(found: Kind, wanted: &Wanted) -> Match {
    Match::Incomparable(Mismatch { found, wanted: wanted.kind() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ttlog_core::record::{Text, UnixTime};

    use super::*;

    const OPERATORS: [(&str, Operator); 5] = [
        ("=", Operator::Equal),
        ("<", Operator::Less),
        ("<=", Operator::LessOrEqual),
        (">", Operator::Greater),
        (">=", Operator::GreaterOrEqual),
    ];

    fn str(text: &str) -> FieldValue<'_> {
        FieldValue::Str(Text { text, full_len: None })
    }

    /// Returns the operators that hold, or the kinds that do not compare (then all operators agree).
    fn holding(value: &FieldValue<'_>, wanted: &str) -> Result<Vec<&'static str>, (Kind, Kind)> {
        let wanted = Wanted::new(wanted);
        let outcomes = OPERATORS.map(|(name, operator)| (name, operator.compare_value(value, &wanted)));
        if let (_, Match::Incomparable(mismatch)) = outcomes[4] {
            let ordered = outcomes[1..].iter().all(|(_, outcome)| *outcome == outcomes[4].1);
            assert!(ordered && outcomes[0].1 != Match::Yes, "{value:?} {wanted:?}");
            return Err((mismatch.found, mismatch.wanted));
        }
        Ok(outcomes.into_iter().filter(|(_, outcome)| *outcome == Match::Yes).map(|(name, _)| name).collect())
    }

    #[test]
    fn text_that_is_a_number_duration_or_size_compares_as_one() {
        let (less, equal, greater) = (Ok(vec!["<", "<="]), Ok(vec!["=", "<=", ">="]), Ok(vec![">", ">="]));
        for (value, wanted, expected) in [
            ("1000", "400", &greater),
            ("99", "400", &less),
            ("404", "404", &equal),
            ("404.0", "404", &equal),
            ("-5", "-40", &greater),
            ("0x1f4", "500", &equal),
            ("18446744073709551615", "18446744073709551614", &greater),
            ("0.30000000000000004", "0.3", &greater),
            ("1000", "1_000", &equal),
            ("1000", "0x3_e8", &equal),
            ("inf", "1e300", &greater),
            ("99ms", "500ms", &less),
            ("1.5s", "500ms", &greater),
            ("3µs", "7ns", &greater),
            ("2m", "120s", &equal),
            ("1h30m", "90m", &equal),
            ("10KB", "4MiB", &less),
            ("1.5GB", "1500MB", &equal),
            (" 404 ", "404", &equal),
        ] {
            assert_eq!(&holding(&str(value), wanted), expected, "{value} {wanted}");
        }
        for value in ["NaN", "5"] {
            assert_eq!(holding(&str(value), if value == "5" { "NaN" } else { "5" }), Ok(vec![]), "{value}");
        }
    }

    #[test]
    fn values_of_different_kinds_do_not_compare() {
        let number = FieldValue::Unsigned(5);
        for (value, wanted, kinds) in [
            (str("OK"), "400", (Kind::Text, Kind::Number)),
            (str("404 not found"), "400", (Kind::Text, Kind::Number)),
            (str(""), "1", (Kind::Text, Kind::Number)),
            (str("slow"), "500ms", (Kind::Text, Kind::Duration)),
            (str("large"), "1KB", (Kind::Text, Kind::Size)),
            (str("99ms"), "50", (Kind::Duration, Kind::Number)),
            (str("99"), "50ms", (Kind::Number, Kind::Duration)),
            (str("10KB"), "5s", (Kind::Size, Kind::Duration)),
            (number.clone(), "99ms", (Kind::Number, Kind::Duration)),
            (number.clone(), "1KB", (Kind::Number, Kind::Size)),
            (number.clone(), "abc", (Kind::Number, Kind::Text)),
            (number, "\"5\"", (Kind::Number, Kind::Text)),
            (FieldValue::F32(5.0), "99ms", (Kind::Number, Kind::Duration)),
            (FieldValue::F64(f64::NAN), "99ms", (Kind::Number, Kind::Duration)),
            (FieldValue::Bool(true), "0", (Kind::Bool, Kind::Number)),
            (FieldValue::Bytes(&[1], None), "5s", (Kind::Bytes, Kind::Duration)),
            // The rest of the digits is missing.
            (FieldValue::Display(Text { text: "404", full_len: Some(9) }), "400", (Kind::Text, Kind::Number)),
        ] {
            // Whether a quoted 5 equals 5 is known, whether 5 is 99ms is not.
            if wanted != "\"5\"" {
                assert_eq!(holding(&value, wanted), Err(kinds), "{value:?} {wanted}");
            }
            let ordered = Operator::Less.compare_value(&value, &Wanted::new(wanted));
            let mismatch = Mismatch { found: kinds.0, wanted: kinds.1 };
            assert_eq!(ordered, Match::Incomparable(mismatch), "{value:?} {wanted}");
        }
    }

    #[test]
    fn equality_is_decided_where_it_can_be() {
        let equal = |value: &FieldValue<'_>, wanted: &str| Operator::Equal.compare_value(value, &Wanted::new(wanted));
        let number = FieldValue::Unsigned(5);
        assert_eq!(equal(&str("OK"), "404"), Match::No);
        assert_eq!(equal(&number, "OK"), Match::No);
        assert_eq!((equal(&number, "\"5\""), equal(&number, "\"05\"")), (Match::Yes, Match::No));
        assert_eq!((equal(&str("05"), "5"), equal(&str("05"), "\"5\"")), (Match::Yes, Match::No));
        assert_eq!(equal(&FieldValue::Bool(true), "1"), Match::No);
        assert!(matches!(equal(&number, "5ms"), Match::Incomparable(_)));
        assert!(matches!(equal(&str("5ms"), "5"), Match::Incomparable(_)));
    }

    #[test]
    fn letters_compare_if_text_is_wanted() {
        assert_eq!(holding(&str("web-3"), "web-2"), Ok(vec![">", ">="]));
        assert_eq!(holding(&str("99"), "\"400\""), Ok(vec![">", ">="]));
        assert_eq!(holding(&str("say \"a\" \\ b"), r#""say \"a\" \\ b""#), Ok(vec!["=", "<=", ">="]));
        let contains = |value, wanted| Operator::Contains.compare_value(&value, &Wanted::new(wanted)) == Match::Yes;
        assert!(contains(str("99ms"), "9m") && contains(FieldValue::Unsigned(1500), "50"));
        assert!(contains(str("a b"), "\"a b\"") && contains(str("\""), "\""));
    }

    #[test]
    fn what_is_not_there_has_no_order() {
        for value in [FieldValue::None, FieldValue::Unit, FieldValue::Withheld] {
            assert_eq!(holding(&value, "5"), Ok(vec![]), "{value:?}");
            assert_eq!(holding(&value, "A"), Ok(vec![]), "{value:?}");
        }
        assert_eq!(holding(&FieldValue::Bytes(&[0xde, 0xad], None), "0xDE"), Ok(vec![">", ">="]));
        assert_eq!(holding(&FieldValue::Bytes(&[0xde, 0xad], None), "dead"), Ok(vec!["=", "<=", ">="]));
        assert_eq!(holding(&FieldValue::Bool(true), "false"), Ok(vec![">", ">="]));
    }

    #[test]
    fn a_match_counts_before_an_element_that_does_not_compare() {
        let sequence = FieldValue::Sequence(vec![str("x"), str("9"), str("1000")], None);
        let greater = |wanted| Operator::Greater.compare_value(&sequence, &Wanted::new(wanted));
        assert_eq!(greater("400"), Match::Yes);
        assert!(matches!(greater("4000"), Match::Incomparable(_)));
    }

    #[test]
    fn identifiers_addresses_durations_and_times_compare_by_value() {
        let (less, equal, greater) = (Ok(vec!["<", "<="]), Ok(vec!["=", "<=", ">="]), Ok(vec![">", ">="]));
        let ip = |text: &str| FieldValue::Ip(text.parse().expect(text));
        let socket = |text: &str| FieldValue::Socket(text.parse().expect(text));
        let duration = |ns| FieldValue::Duration(Duration::from_nanos(ns));
        let time = |ns| FieldValue::Time(UnixTime::from_nanos(ns));
        let id = FieldValue::Uuid(0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8_u128.to_be_bytes());
        const NEW_YEAR: i64 = 1_767_225_600_000_000_000;
        for (value, wanted, expected) in [
            (ip("10.0.0.1"), "10.0.0.1", &equal),
            (ip("10.0.0.9"), "10.0.0.10", &less),
            (ip("::1"), "0:0:0:0:0:0:0:1", &equal),
            (ip("::1"), "[::1]", &equal),
            (ip("::1"), "10.0.0.1", &greater),
            (socket("10.0.0.1:80"), "10.0.0.1:80", &equal),
            (socket("10.0.0.1:80"), "10.0.0.1:443", &less),
            (socket("10.0.0.1:80"), "10.0.0.1", &equal),
            (socket("[::1]:80"), "::1", &equal),
            (socket("[::1%3]:80"), "[::1]:80", &greater),
            (id.clone(), "67e55044-10b1-426f-9247-bb680e5fe0c8", &equal),
            (id.clone(), "67E5504410B1426F9247BB680E5FE0C8", &equal),
            (id.clone(), "{67e55044-10b1-426f-9247-bb680e5fe0c9}", &less),
            (id.clone(), "urn:uuid:00000000-0000-0000-0000-000000000000", &greater),
            (duration(1_500_000_000), "1.5s", &equal),
            (duration(1_500_000_000), "1500ms", &equal),
            (duration(90_000_000_000), "1m", &greater),
            (duration(999), "1µs", &less),
            (FieldValue::Duration(Duration::MAX), "1000000d", &greater),
            (time(NEW_YEAR), "2026-01-01T00:00:00Z", &equal),
            (time(NEW_YEAR), "2026-01-01 01:00+01:00", &equal),
            (time(NEW_YEAR), "2026-01-01", &equal),
            (time(NEW_YEAR - 1), "2026-01-01", &less),
            (time(NEW_YEAR + 86_400_000_000_000), "2026-01-01", &greater),
            (time(NEW_YEAR + 1), "2026-01-01T00:00:00.000000000Z", &greater),
            (time(-1), "1970-01-01", &less),
        ] {
            assert_eq!(&holding(&value, wanted), expected, "{value:?} {wanted}");
            let shown = FieldValue::Shown(Box::new(FieldValue::Some(Box::new(value))), Shown::Debug);
            assert_eq!(&holding(&shown, wanted), expected, "{shown:?} {wanted}");
        }
        for (value, wanted, kinds) in [
            (ip("10.0.0.1"), "10.0.0.1:80", (Kind::Address, Kind::Text)),
            (ip("10.0.0.1"), "10", (Kind::Address, Kind::Number)),
            (duration(5), "5", (Kind::Duration, Kind::Number)),
            (duration(5), "5KB", (Kind::Duration, Kind::Size)),
            (time(5), "12:00", (Kind::Time, Kind::Text)),
            (time(5), "5", (Kind::Time, Kind::Number)),
            (id.clone(), "67e5504x", (Kind::Uuid, Kind::Text)),
            (id.clone(), "67e5504410b1426f9247bb680e5fe0cg", (Kind::Uuid, Kind::Text)),
        ] {
            let ordered = Operator::Less.compare_value(&value, &Wanted::new(wanted));
            assert_eq!(
                ordered,
                Match::Incomparable(Mismatch { found: kinds.0, wanted: kinds.1 }),
                "{value:?} {wanted}"
            );
            assert_ne!(Operator::Equal.compare_value(&value, &Wanted::new(wanted)), Match::Yes, "{value:?} {wanted}");
        }
        let contains = |value: &FieldValue<'_>, text| Operator::Contains.compare_value(value, &Wanted::new(text));
        assert_eq!(contains(&ip("10.0.0.1"), "10.0."), Match::Yes);
        assert_eq!((contains(&id, "-426f-"), contains(&id, "426F")), (Match::Yes, Match::No));
    }

    #[test]
    fn marked_values_compare_by_value_and_as_shown() {
        let equal = |value: &FieldValue<'_>, wanted: &str| Operator::Equal.compare_value(value, &Wanted::new(wanted));
        let shown = |value, shown| FieldValue::Shown(Box::new(value), shown);
        let some = shown(FieldValue::Some(Box::new(FieldValue::Unsigned(5))), Shown::Debug);
        for (wanted, expected) in
            [("5", Match::Yes), ("5.0", Match::Yes), ("Some(5)", Match::Yes), ("Some(6)", Match::No)]
        {
            assert_eq!(equal(&some, wanted), expected, "{wanted}");
        }
        assert_eq!(holding(&some, "4"), Ok(vec![">", ">="]));
        let text = shown(str("a b"), Shown::Debug);
        assert_eq!((equal(&text, "a b"), equal(&text, "\"\\\"a b\\\"\"")), (Match::Yes, Match::Yes));
        let list = FieldValue::Sequence(vec![FieldValue::Unsigned(1), FieldValue::Unsigned(2)], None);
        let list = shown(list, Shown::Debug);
        assert_eq!(
            (equal(&list, "2"), equal(&list, "[1, 2]"), equal(&list, "[1]")),
            (Match::Yes, Match::Yes, Match::No)
        );
        assert_eq!(Operator::Contains.compare_value(&list, &Wanted::new("1, 2")), Match::Yes);
        assert_eq!(equal(&shown(FieldValue::Withheld, Shown::Debug), "[withheld]"), Match::No);
    }
}
