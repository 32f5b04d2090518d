//! What is to be said of a ring or a directory, and what to do about it.

/// Something to be said of a ring or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Whether somebody should do something.
    pub attention: bool,
    /// What there is.
    pub text: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Remark {
    /// Something that wants attention.
    pub(super) fn problem(text: impl Into<String>, advice: impl Into<String>) -> Self {
        Remark { attention: true, text: text.into(), advice: Some(advice.into()) }
    }

    /// Something good to know.
    pub(super) fn note(text: impl Into<String>) -> Self {
        Remark { attention: false, text: text.into(), advice: None }
    }
}
