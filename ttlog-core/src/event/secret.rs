//! Secrets by name: fields that are withheld although they are not marked.
//!
//! A field is secret if its callsite marks it (`secret token` in a log macro), or if it has the name of a secret: one
//! in [`BUILT_IN`] or in the program's own list. A ring contains the values all the same, because a log call does not
//! look at names. They are withheld when a snapshot is written ([`Withhold`](crate::snapshot::Withhold)) and when a
//! viewer shows or exports events.
//!
//! Nothing here allocates or blocks; all of it is callable from a panic hook and from a signal handler.

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
}

/// Returns whether `name` is `key`, or ends with it after a separator.
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
