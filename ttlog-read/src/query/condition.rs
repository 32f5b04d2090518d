//! Filter expressions: `level>=WARN`, `target=my_app::net`, `message~=refused`, `bytes>1000`.
//!
//! An expression is `KEY OPERATOR VALUE`. The keys `level`, `target`, `message`, `template`, `file`, `line`,
//! `callsite`, `thread`, `context`, `service`, `pid`, `host` and `boot` (or `session`) refer to properties of every
//! event. Any other key is a field, and so is `fields.KEY` for any KEY. Values are compared by type: numbers as
//! numbers (exactly, to 128 bits), levels by severity, text as text.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use ttlog_core::Level;

use super::key::Key;
use super::number::Number;
use crate::event::value::{FieldValue, push_hex};

/// A condition that an event fulfills or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Left-hand side of the comparison.
    pub key: Key,
    /// Comparison.
    pub operator: Operator,
    /// Right-hand side of the comparison.
    pub wanted: Wanted,
}

/// Comparison operator of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each name is the operator it stands for
pub enum Operator {
    Equal,
    /// The negation of `Equal`: also true if there is nothing to compare.
    NotEqual,
    /// Contains the text.
    Contains,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Right-hand side of a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Value as typed.
    pub text: String,
    number: Option<Number>,
    level: Option<Level>,
}

/// Reason that a filter expression is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionError {
    /// The expression has no operator.
    NoOperator,
    /// The expression has nothing before the operator.
    NoKey,
    /// The value of `level` is not a level.
    UnknownLevel(String),
}

impl fmt::Display for ConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConditionError::NoOperator => f.write_str("no operator; write KEY=VALUE, or one of != ~= > >= < <="),
            ConditionError::NoKey => f.write_str("nothing before the operator"),
            ConditionError::UnknownLevel(text) => {
                write!(f, "`{text}` is no level; the levels are TRACE, DEBUG, INFO, WARN and ERROR")
            }
        }
    }
}

impl std::error::Error for ConditionError {}

/// The operators, longest first.
const OPERATORS: [(&str, Operator); 7] = [
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("!=", Operator::NotEqual),
    ("~=", Operator::Contains),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
];

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        let at = text.find(['=', '!', '~', '<', '>']).ok_or(ConditionError::NoOperator)?;
        let (key, rest) = text.split_at(at);
        let (symbol, operator) =
            OPERATORS.into_iter().find(|(symbol, _)| rest.starts_with(symbol)).ok_or(ConditionError::NoOperator)?;
        let key = match key.trim() {
            "" => return Err(ConditionError::NoKey),
            key => Key::from_name(key),
        };
        let wanted = Wanted::new(rest[symbol.len()..].trim());
        if key == Key::Level && wanted.level.is_none() {
            return Err(ConditionError::UnknownLevel(wanted.text));
        }
        Ok(Condition { key, operator, wanted })
    }
}

impl Operator {
    fn accepts(self, ordering: Option<Ordering>) -> bool {
        match self {
            Operator::Equal => ordering == Some(Ordering::Equal),
            Operator::NotEqual => ordering != Some(Ordering::Equal),
            Operator::Contains => false,
            Operator::Less => ordering == Some(Ordering::Less),
            Operator::LessOrEqual => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            Operator::Greater => ordering == Some(Ordering::Greater),
            Operator::GreaterOrEqual => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

impl Wanted {
    fn new(text: &str) -> Self {
        Wanted { text: text.to_owned(), number: Number::parse(text), level: text.parse().ok() }
    }
}

impl Condition {
    /// Compares a level.
    #[must_use]
    pub fn accepts_level(&self, level: Option<Level>) -> bool {
        match (level, self.wanted.level) {
            (Some(level), Some(wanted)) if self.operator != Operator::Contains => {
                self.operator.accepts(Some(level.cmp(&wanted)))
            }
            (Some(level), _) => self.accepts_text(level.as_str()),
            (None, _) => self.accepts_nothing(),
        }
    }

    /// Compares a target: equal are the module path itself and the modules below it.
    #[must_use]
    pub fn accepts_target(&self, target: &str) -> bool {
        let below = || {
            target.strip_prefix(self.wanted.text.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        match self.operator {
            Operator::Equal => below(),
            Operator::NotEqual => !below(),
            _ => self.accepts_text(target),
        }
    }

    /// Compares text.
    #[must_use]
    pub fn accepts_text(&self, text: &str) -> bool {
        match self.operator {
            Operator::Contains => text.contains(self.wanted.text.as_str()),
            operator => operator.accepts(Some(text.cmp(self.wanted.text.as_str()))),
        }
    }

    /// Compares a number of up to 64 bits.
    #[must_use]
    pub fn accepts_number(&self, number: u64) -> bool {
        self.accepts_any_number(Number::Int(i128::from(number)))
    }

    fn accepts_any_number(&self, number: Number) -> bool {
        match (self.operator, self.wanted.number) {
            (Operator::Contains, _) => number.to_string().contains(self.wanted.text.as_str()),
            (operator, Some(wanted)) => operator.accepts(number.compare(wanted)),
            (operator, None) => operator == Operator::NotEqual,
        }
    }

    /// Returns the verdict if there is nothing to compare: the field is absent, or its value cannot be read.
    #[must_use]
    pub fn accepts_nothing(&self) -> bool {
        self.operator == Operator::NotEqual
    }

    /// Compares a field's value.
    ///
    /// A withheld value equals nothing, and differs from everything. An error matches if any text of its chain does, a
    /// sequence if any element does. `!=` is the negation of `=` throughout.
    #[must_use]
    pub fn accepts_value(&self, value: &FieldValue<'_>) -> bool {
        if self.operator == Operator::NotEqual {
            return !Condition { operator: Operator::Equal, ..self.clone() }.accepts_value(value);
        }
        match value {
            // Otherwise it could be guessed, one comparison after another.
            FieldValue::Withheld => false,
            FieldValue::Unsigned(value) => self.accepts_number(*value),
            FieldValue::Signed { value, .. } => self.accepts_any_number(Number::Int(i128::from(*value))),
            FieldValue::U128(value) => self.accepts_any_number(Number::from_u128(*value)),
            FieldValue::I128(value) => self.accepts_any_number(Number::Int(*value)),
            FieldValue::F64(value) => self.accepts_any_number(Number::Float(*value)),
            // 0.1 as typed is the f32 nearest to it, not the f64.
            FieldValue::F32(value) => match (self.operator, self.wanted.text.parse::<f32>()) {
                (Operator::Contains, _) | (_, Err(_)) => self.accepts_any_number(Number::Float(f64::from(*value))),
                (operator, Ok(wanted)) => operator.accepts(value.partial_cmp(&wanted)),
            },
            FieldValue::Str(text) | FieldValue::Display(text) | FieldValue::Debug(text) => self.accepts_text(text.text),
            FieldValue::Char(value) => self.accepts_text(value.encode_utf8(&mut [0; 4])),
            FieldValue::Bool(value) => self.accepts_text(if *value { "true" } else { "false" }),
            FieldValue::Unit => self.accepts_text("()"),
            FieldValue::None => {
                self.accepts_text("None") || (self.operator == Operator::Equal && self.wanted.text == "null")
            }
            FieldValue::Some(value) => self.accepts_value(value),
            FieldValue::Bytes(bytes, _) => {
                let mut hex = String::from("0x");
                push_hex(&mut hex, bytes);
                self.accepts_text(&hex) || self.accepts_text(&hex[2..])
            }
            FieldValue::Error(texts, _) => texts.iter().any(|text| self.accepts_text(text.text)),
            FieldValue::Sequence(elements, _) => elements.iter().any(|element| self.accepts_value(element)),
        }
    }
}

#[cfg(test)]
mod tests {
    use ttlog_core::record::Text;

    use super::*;

    fn condition(text: &str) -> Condition {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn matches(text: &str, value: &FieldValue<'_>) -> bool {
        condition(text).accepts_value(value)
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
    fn nonsense_is_refused() {
        assert_eq!("abc".parse::<Condition>(), Err(ConditionError::NoOperator));
        assert_eq!("a!b".parse::<Condition>(), Err(ConditionError::NoOperator));
        assert_eq!("=5".parse::<Condition>(), Err(ConditionError::NoKey));
        assert_eq!("level=loud".parse::<Condition>(), Err(ConditionError::UnknownLevel("loud".into())));
    }

    #[test]
    fn level_alone_is_exact_and_ordered_with_operators() {
        let with =
            |text: &str| Level::ALL.into_iter().filter(|level| condition(text).accepts_level(Some(*level))).count();
        assert_eq!(with("level=ERROR"), 1);
        assert_eq!(with("level=warn"), 1);
        assert_eq!(with("level>=WARN"), 2);
        assert_eq!(with("level<INFO"), 2);
        assert_eq!(with("level!=INFO"), 4);
        assert!(!condition("level>=TRACE").accepts_level(None));
    }

    #[test]
    fn target_matches_on_module_boundaries() {
        let target = condition("target=app::net");
        assert!(target.accepts_target("app::net") && target.accepts_target("app::net::tcp"));
        assert!(!target.accepts_target("app::network") && !target.accepts_target("app"));
        assert!(condition("target!=app::net").accepts_target("app::network"));
        assert!(condition("target~=net").accepts_target("app::network"));
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
        // 2^53 + 1 is no f64: rounding would make these equal.
        assert!(!matches("n=9007199254740993.0", &FieldValue::Unsigned(9_007_199_254_740_993)));
        for text in ["n<0", "n>0", "n=0", "n>=0", "n=NaN"] {
            assert!(!matches(text, &FieldValue::F64(f64::NAN)), "{text}");
        }
        assert!(matches("n!=0", &FieldValue::F64(f64::NAN)));
    }

    #[test]
    fn a_number_is_not_equal_to_other_text() {
        assert!(!matches("n=abc", &FieldValue::Unsigned(5)) && matches("n!=abc", &FieldValue::Unsigned(5)));
        assert!(!matches("n>=abc", &FieldValue::Unsigned(5)));
    }

    #[test]
    fn text_options_errors_sequences_and_bytes() {
        let text = |text| Text { text, full_len: None };
        assert!(matches("s=AAPL", &FieldValue::Str(text("AAPL"))) && matches("s~=AP", &FieldValue::Str(text("AAPL"))));
        assert!(matches("s>=b", &FieldValue::Str(text("c"))) && !matches("s=5", &FieldValue::Str(text("05"))));
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
