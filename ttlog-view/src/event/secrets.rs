//! Secrets: whose values are not shown, not exported, and not copied into snapshots.
//!
//! A field is secret when the program marked it as such, or when its name is that of a secret (`ttlog_core::secret` has the names;
//! `--secret-key` and the variable [`VARIABLE`] add to them). Snapshots seldom have such values, for their writers withhold them too; rings
//! have them all. What is withheld is shown as such, and no filter finds it: else it could be guessed.

use clap::Args;
use ttlog_core::secret::SecretKeys;
use ttlog_core::snapshot::{Codec, SnapshotOptions, Withhold};
use ttlog_core::table::FieldInfo;

/// The environment variable with more names, separated by commas. Recorders obey it too.
pub const VARIABLE: &str = "TTLOG_SECRET_KEYS";

/// What stands in place of a withheld value in text.
pub const WITHHELD: &str = "<withheld>";

/// Options about secrets.
#[derive(Args, Clone, Debug, Default)]
pub struct SecretArgs {
    /// Withhold fields of this name too, as those named password, token, cookie and the like are; may be repeated
    #[arg(long = "secret-key", value_name = "NAME")]
    pub secret_keys: Vec<String>,

    /// Withhold nothing: for rings, and for what snapshots still have
    #[arg(long, conflicts_with = "secret_keys")]
    pub show_secrets: bool,
}

/// What is withheld.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Names beside the built-in ones.
    keys: Vec<String>,
    /// Nothing is withheld that is there.
    show: bool,
}

impl Secrets {
    /// Takes the options and the environment.
    #[must_use]
    pub fn new(options: &SecretArgs) -> Self {
        let of_environment = std::env::var(VARIABLE).unwrap_or_default();
        let of_environment = of_environment.split(',').map(|key| key.trim().to_owned());
        let keys = options.secret_keys.iter().cloned().chain(of_environment).filter(|key| !key.is_empty());
        Secrets { keys: keys.collect(), show: options.show_secrets }
    }

    /// Tells whether secrets are shown.
    #[must_use]
    pub fn are_shown(&self) -> bool {
        self.show
    }

    /// Tells whether the value of a field is withheld, here or by who wrote the snapshot.
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
