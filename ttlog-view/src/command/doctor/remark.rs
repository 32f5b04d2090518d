//! Remarks about rings and directories, with advice.

/// A remark about a ring or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Whether action is needed.
    pub attention: bool,
    /// Finding.
    pub text: String,
    /// Advice, if there is any.
    pub advice: Option<String>,
}

impl Remark {
    /// Creates a remark about something that needs attention.
    pub(super) fn problem(text: impl Into<String>, advice: impl Into<String>) -> Self {
        Remark { attention: true, text: text.into(), advice: Some(advice.into()) }
    }

    /// Creates a remark for information only.
    pub(super) fn note(text: impl Into<String>) -> Self {
        Remark { attention: false, text: text.into(), advice: None }
    }
}
