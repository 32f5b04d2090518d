//! Secrets by name: which fields are withheld although nobody marked them.
//!
//! A field is secret if its callsite marks it (`secret token` in a log macro), or if its name is that of a secret: one of
//! [`BUILT_IN`], or of the program's own list. A ring holds the values all the same, for a log call does not look at names; they are
//! withheld where a snapshot is written ([`Withhold`](crate::snapshot::Withhold)) and where a viewer shows or exports events.
//!
//! Nothing here allocates or blocks; all of it is callable in a panic hook and in a signal handler.

/// The names of secrets that are known without being told.
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
/// use ttlog_core::secret::is_secret_key;
///
/// assert!(is_secret_key("password") && is_secret_key("user.password") && is_secret_key("DB-Password"));
/// assert!(is_secret_key("http.request.Set-Cookie") && is_secret_key("accessToken"));
/// assert!(!is_secret_key("password_changed") && !is_secret_key("spin") && !is_secret_key("tokens"));
/// ```
#[must_use]
pub fn is_secret_key(name: &str) -> bool {
    SecretKeys::BUILT_IN.contains(name)
}

/// The built-in list and the program's own names beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecretKeys<'a> {
    extra: &'a [&'a str],
}

impl<'a> SecretKeys<'a> {
    /// The built-in list alone.
    pub const BUILT_IN: SecretKeys<'static> = SecretKeys { extra: &[] };

    /// The built-in list and `extra`, which is compared in the same way. Empty names in it mean nothing.
    #[must_use]
    pub const fn with(extra: &'a [&'a str]) -> Self {
        SecretKeys { extra }
    }

    /// Returns whether a field of this name is secret: whether the name, or what follows some separator in it, is on the list.
    ///
    /// Separators are all ASCII characters that are neither letters nor digits (`.`, `_`, `-`, …) and the step from a small
    /// letter or a digit to a capital, as in `userPassword`. Case does not count (of ASCII letters), `-` is the same as `_`, and
    /// a `_` of the list may be missing: `api_key` is `API-Key` and `apiKey`. Takes a time in proportion to the length of the
    /// lists.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        BUILT_IN.iter().chain(self.extra).any(|key| ends_in(name.as_bytes(), key.as_bytes()))
    }
}

/// Returns whether `name` is `key`, or ends in it after a separator.
fn ends_in(name: &[u8], key: &[u8]) -> bool {
    let is_line = |byte: u8| matches!(byte, b'_' | b'-');
    let mut rest = name;
    for &wanted in key.iter().rev() {
        match rest.split_last() {
            Some((&last, before)) if is_line(wanted) && is_line(last) => rest = before,
            _ if is_line(wanted) => {}
            Some((last, before)) if last.eq_ignore_ascii_case(&wanted) => rest = before,
            _ => return false,
        }
    }
    let Some(&before) = rest.last() else {
        return !name.is_empty();
    };
    let Some(&first) = name.get(rest.len()) else {
        return false; // an empty key
    };
    let separates = before.is_ascii() && !before.is_ascii_alphanumeric();
    let is_step = first.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit());
    separates || is_step
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
