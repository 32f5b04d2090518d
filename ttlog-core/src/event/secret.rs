//! Secrets by name: fields that are withheld although they are not marked.
//!
//! A field is secret if its callsite marks it (`secret token` in a log macro), or if it has the name of a secret: one
//! in [`BUILT_IN`] or in the program's own list. A ring contains the values all the same, because a log call does not
//! look at names. They are withheld when a snapshot is written ([`Withhold`](crate::snapshot::Withhold)) and when a
//! viewer shows or exports events.
//!
//! Nothing here allocates or blocks; all of it is callable from a panic hook and from a signal handler.

use crate::record::{MemberPath, PathStep};

/// Built-in names of secrets.
pub const BUILT_IN: [&str; 26] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "set_cookie",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "secret_key",
    "credential",
    "credentials",
    "auth_token",
    "access_token",
    "refresh_token",
    "session_id",
    "jwt",
    "pin",
    "otp",
    "ssn",
    "cvv",
    "card_number",
];

/// Returns whether a field of this name is secret by the [`BUILT_IN`] list alone; see [`SecretKeys::contains`].
///
/// ```
/// use ttlog_core::event::secret::is_secret_key;
///
/// assert!(is_secret_key("password") && is_secret_key("user.password") && is_secret_key("DB-Password"));
/// assert!(is_secret_key("http.request.Set-Cookie") && is_secret_key("accessToken"));
/// assert!(!is_secret_key("password_changed") && !is_secret_key("spin") && !is_secret_key("tokens"));
/// ```
#[must_use]
pub fn is_secret_key(name: &str) -> bool {
    SecretKeys::BUILT_IN.contains(name)
}

/// The built-in list and the program's own names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecretKeys<'a> {
    extra: &'a [&'a str],
}

impl<'a> SecretKeys<'a> {
    /// Built-in list without other names.
    pub const BUILT_IN: SecretKeys<'static> = SecretKeys { extra: &[] };

    /// Creates a list of the built-in names and `extra`, which are compared in the same way. Empty names are ignored.
    #[must_use]
    pub const fn with(extra: &'a [&'a str]) -> Self {
        SecretKeys { extra }
    }

    /// Returns whether a field of this name is secret: whether the name, or its part after some separator, is on the
    /// list.
    ///
    /// Separators are all ASCII characters that are neither letters nor digits (`.`, `_`, `-`, …), and the step from a
    /// lowercase letter or a digit to a capital, as in `userPassword`. The case of ASCII letters does not matter, `-`
    /// equals `_`, and a `_` of the list can be missing: `api_key` matches `API-Key` and `apiKey`. Takes time in
    /// proportion to the length of the lists.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        BUILT_IN.iter().chain(self.extra).any(|key| ends_in(name.as_bytes(), key.as_bytes()))
    }

    /// Returns whether a member of a field's value is secret: whether its path, the names of the field and of the
    /// members on the way joined by dots, or the end of the path after some separator, is on the list.
    ///
    /// `customer.card` is the member `order.customer.card`. A member without a name has its position, as in `place.0`.
    /// The name of a variant can stand before the name of its member (`payment.Card.number`), or be missing
    /// (`payment.number`). Names compare as in [`contains`](Self::contains).
    #[must_use]
    pub fn contains_path(&self, path: &MemberPath<'_>) -> bool {
        let is_path = |key: &&str| path_ends_in(path.field(), path.steps().rev(), key.as_bytes());
        BUILT_IN.iter().chain(self.extra).any(is_path)
    }
}

/// Returns whether `name` is `key`, or ends with it after a separator.
fn ends_in(name: &[u8], key: &[u8]) -> bool {
    match strip(name, key) {
        Stripped::Key(ends_there) => ends_there,
        Stripped::Name(_) => false,
    }
}

/// Returns whether the names of a path, joined by dots, are `key` or end with it after a separator. Those of variants
/// can be missing in `key`.
fn path_ends_in<'t>(field: &str, mut inner_first: impl Iterator<Item = PathStep<'t>> + Clone, key: &[u8]) -> bool {
    let Some(step) = inner_first.next() else { return ends_in(field.as_bytes(), key) };
    let mut digits = [0; 3];
    let name = if step.name.is_empty() { decimal(step.position, &mut digits) } else { step.name.as_bytes() };
    let before = match strip(name, key) {
        Stripped::Key(ends_there) => return ends_there,
        Stripped::Name(before) => before.strip_suffix(b"."),
    };
    let before_variant = before.zip(step.variant).map(|(key, variant)| strip(variant.as_bytes(), key));
    match (before, before_variant) {
        (_, Some(Stripped::Key(true))) => true,
        (_, Some(Stripped::Name([key @ .., b'.']))) if path_ends_in(field, inner_first.clone(), key) => true,
        (Some(key), _) => path_ends_in(field, inner_first, key),
        (None, _) => false,
    }
}

fn decimal(number: u8, digits: &mut [u8; 3]) -> &[u8] {
    *digits = [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit);
    let zeros = digits.iter().take(2).take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

/// Outcome of comparing the ends of a key and of a name.
enum Stripped<'k> {
    /// The name ends with the key; whether the name begins there, or a separator stands before it.
    Key(bool),
    /// The key ends with the whole name; what is before it in the key.
    Name(&'k [u8]),
}

/// Compares the ends of a name and of a key.
fn strip<'k>(name: &[u8], key: &'k [u8]) -> Stripped<'k> {
    let is_line = |byte: u8| matches!(byte, b'_' | b'-');
    let differs = Stripped::Key(false);
    let (mut rest, mut before_key) = (name, key);
    while let Some((&wanted, key)) = before_key.split_last() {
        match rest.split_last() {
            Some((&last, before)) if is_line(wanted) && is_line(last) => rest = before,
            _ if is_line(wanted) => {}
            Some((last, before)) if last.eq_ignore_ascii_case(&wanted) => rest = before,
            Some(_) => return differs,
            None => return Stripped::Name(before_key),
        }
        before_key = key;
    }
    let Some(&before) = rest.last() else {
        return Stripped::Key(!name.is_empty());
    };
    let Some(&first) = name.get(rest.len()) else {
        return differs; // an empty key
    };
    let separates = before.is_ascii() && !before.is_ascii_alphanumeric();
    let is_step = first.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit());
    Stripped::Key(separates || is_step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_name_alone_and_at_the_end() {
        for key in BUILT_IN {
            for name in [
                key.into(),
                key.to_ascii_uppercase(),
                key.replace('_', "-"),
                std::format!("user.{key}"),
                std::format!("x_{key}"),
                std::format!("X-{key}"),
                std::format!("any text {key}"),
            ] {
                assert!(is_secret_key(&name), "{name}");
            }
            for name in [std::format!("{key}_count"), std::format!("{key}s1")] {
                assert!(!is_secret_key(&name), "{name}");
            }
            if key != "set_cookie" && !key.ends_with("_token") {
                assert!(!is_secret_key(&std::format!("x{key}")), "{key}");
            }
        }
    }

    #[test]
    fn names_in_camel_case() {
        for name in ["accessToken", "apiKey", "sessionId", "userPassword", "sha256Secret", "http.xApiKey", "cardNumber"]
        {
            assert!(is_secret_key(name), "{name}");
        }
        for name in ["TOKENIZER", "spin", "Spin", "mytoken", "stoken"] {
            assert!(!is_secret_key(name), "{name}");
        }
    }

    #[test]
    fn names_that_are_short_or_not_ascii() {
        for name in ["", "x", "pi", "ä", "größe", "密码", "äpin", "_", "pi_n"] {
            assert!(!is_secret_key(name), "{name}");
        }
        assert!(is_secret_key("ä.pin") && is_secret_key("_pin"));
    }

    #[test]
    fn paths_to_members() {
        use crate::record::types::{EnumType, Member, StructType, TYPE_LEN_MAX, Type};
        use crate::record::visit_members;
        const fn member(name: &'static str, of: Type) -> Member {
            Member { name, secret: false, of }
        }
        const CUSTOMER: StructType = StructType {
            name: "Customer",
            members: &[member("id", Type::U64), member("home_address", Type::Str), member("apiKey", Type::Str)],
        };
        const PAYMENT: EnumType = EnumType {
            name: "Payment",
            variants: &[
                StructType { name: "Cash", members: &[] },
                StructType { name: "Card", members: &[member("number", Type::U64), member("", Type::U8)] },
            ],
        };
        const ORDER: StructType = StructType {
            name: "Order",
            members: &[
                member("customers", Type::Sequence(&Type::Option(&Type::Struct(&CUSTOMER)))),
                member("payment", Type::Tuple(&[Type::U8, Type::Enum(&PAYMENT)])),
                member("a.b", Type::U8),
            ],
        };
        let mut tags = [0; TYPE_LEN_MAX];
        let len = Type::Struct(&ORDER).describe(&mut tags).expect("a valid type");
        let found = |key: &str| {
            let mut found = std::string::String::new();
            visit_members("the.order", &tags[..len], &mut |_, path| {
                let last = path.steps().next_back().expect("a member");
                if last.name != "apiKey" && SecretKeys::with(&[key]).contains_path(path) {
                    found += &std::format!("{} {} {};", last.variant.unwrap_or("-"), last.name, last.position);
                }
            });
            found
        };
        for (key, expected) in [
            ("the.order.customers.id", "- id 0;"),
            ("order.customers.id", "- id 0;"),
            ("customers.ID", "- id 0;"),
            ("id", "- id 0;"),
            ("mers.id", ""),
            ("order.id", ""),
            ("x.the.order.customers.id", ""),
            ("customers", "- customers 0;"),
            ("Order-Customers", ""),
            ("customers.address", ""),
            ("customers.home-address", "- home_address 1;"),
            ("order.payment.1.number", "Card number 0;"),
            ("order.payment.1.Card.number", "Card number 0;"),
            ("card.number", "Card number 0;"),
            ("payment.1.Cash.number", ""),
            ("payment.number", ""),
            ("payment.1.1", "Card  1;"),
            ("payment.1.card.1", "Card  1;"),
            ("order.payment.0", "-  0;"),
            ("order.a.b", "- a.b 2;"),
            ("the.order", ""),
            ("", ""),
            (".", ""),
        ] {
            assert_eq!(found(key), expected, "{key}");
        }
        let mut built_in = 0;
        visit_members("f", &tags[..len], &mut |_, path| {
            built_in += usize::from(SecretKeys::BUILT_IN.contains_path(path));
        });
        assert_eq!(built_in, 1, "the last name is on the list: apiKey");
        assert!(SecretKeys::with(&["order.card"]).contains_path(&MemberPath::of_field("an.order.card")));
        let mut digits = [0; 3];
        for (number, text) in [(0, "0"), (7, "7"), (10, "10"), (105, "105"), (255, "255")] {
            assert_eq!(decimal(number, &mut digits), text.as_bytes());
        }
    }

    #[test]
    fn own_names_beside_the_built_in_ones() {
        let keys = SecretKeys::with(&["iban", "Customer-Name", "", "密码"]);
        for name in ["iban", "payer.IBAN", "customer_name", "last-customer-name", "密码", "user.密码", "token"] {
            assert!(keys.contains(name), "{name}");
        }
        assert!(keys.contains("customerName"));
        for name in ["", "ibans", "newcustomername", "name", "user密码"] {
            assert!(!keys.contains(name), "{name}");
        }
        assert!(!SecretKeys::BUILT_IN.contains("iban"));
    }
}
