//! Secrets: whose values are not shown, not exported, and not copied into snapshots.
//!
//! A field is secret when the program marked it as such, or when its name is that of a secret (`ttlog_core::event::secret` has the names,
//! and others can be added). Snapshots seldom have such values, for their writers withhold them too; rings
//! have them all. What is withheld is shown as such, and no filter finds it: else it could be guessed.

use ttlog_core::event::secret::SecretKeys;
use ttlog_core::snapshot::{Codec, SnapshotOptions, Withhold};
use ttlog_core::table::FieldInfo;

/// What stands in place of a withheld value in text.
pub const WITHHELD: &str = "<withheld>";

/// What is withheld.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Names beside the built-in ones.
    keys: Vec<String>,
    /// Nothing is withheld that is there.
    show: bool,
}

impl Secrets {
    /// Withholds fields of these names beside those of the built-in ones; with `show` none.
    #[must_use]
    pub fn new(keys: Vec<String>, show: bool) -> Self {
        Secrets { keys, show }
    }

    /// Returns whether secrets are shown.
    #[must_use]
    pub fn are_shown(&self) -> bool {
        self.show
    }

    /// Returns whether the value of a field is withheld, here or by who wrote the snapshot.
    #[must_use]
    pub fn withhold(&self, field: &FieldInfo<'_>) -> bool {
        field.withheld || !self.show && self.with_policy(|policy| policy.is_secret(field))
    }

    /// Runs `write` with the options by which snapshots are written.
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
