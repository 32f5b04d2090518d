//! Secrets: values that are not shown, not exported, and not copied into snapshots.
//!
//! A field is secret if the program marked it as such, or if its name is that of a secret (`ttlog_core::event::secret`
//! has the names, and others can be added). Snapshots seldom contain such values, because their writers withhold them
//! too; rings contain them all. A withheld value is shown as withheld, and no filter matches it: otherwise it could be
//! guessed.

use ttlog_core::event::secret::SecretKeys;
use ttlog_core::snapshot::{Codec, SnapshotOptions, Withhold};
use ttlog_core::table::FieldInfo;

/// Placeholder for a withheld value in text.
pub const WITHHELD: &str = "<withheld>";

/// The set of fields to withhold.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Names in addition to the built-in ones.
    keys: Vec<String>,
    /// Whether values that are present are shown.
    show: bool,
}

impl Secrets {
    /// Withholds fields with these names in addition to the built-in ones. With `show`, withholds none.
    #[must_use]
    pub fn new(keys: Vec<String>, show: bool) -> Self {
        Secrets { keys, show }
    }

    /// Returns whether secrets are shown.
    #[must_use]
    pub fn are_shown(&self) -> bool {
        self.show
    }

    /// Returns whether the value of a field is withheld, here or by the writer of the snapshot.
    #[must_use]
    pub fn withhold(&self, field: &FieldInfo<'_>) -> bool {
        field.withheld || !self.show && self.with_policy(|policy| policy.is_secret(field))
    }

    /// Runs `write` with the options for writing snapshots.
    pub fn with_options<T>(&self, write: impl FnOnce(SnapshotOptions<'_>) -> T) -> T {
        self.with_policy(|policy| {
            let withhold = (!self.show).then_some(policy);
            write(SnapshotOptions { withhold, ..SnapshotOptions::new(Codec::Lz4) })
        })
    }

    fn with_policy<T>(&self, run: impl FnOnce(Withhold<'_>) -> T) -> T {
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        run(Withhold::new(SecretKeys::with(&keys)))
    }
}
