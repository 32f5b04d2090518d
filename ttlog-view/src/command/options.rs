//! Options that several commands have, as the command line knows them.

use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};
use ttlog_read::event::secrets::Secrets;
use ttlog_read::text::time::TimeStyle;

/// The environment variable with more names of secrets, separated by commas. Recorders obey it too.
pub const SECRET_KEYS_VARIABLE: &str = "TTLOG_SECRET_KEYS";

/// Options about secrets.
#[derive(Args, Clone, Debug, Default)]
pub struct SecretArgs {
    /// Also withhold fields of this name, as password, token, cookie and the like are (repeatable)
    #[arg(long = "secret-key", value_name = "NAME")]
    pub secret_keys: Vec<String>,

    /// Show secrets, as far as rings and snapshots still hold them
    #[arg(long, conflicts_with = "secret_keys")]
    pub show_secrets: bool,
}

impl SecretArgs {
    /// Returns what is withheld by these options and the environment.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        let of_environment = std::env::var(SECRET_KEYS_VARIABLE).unwrap_or_default();
        let of_environment = of_environment.split(',').map(|key| key.trim().to_owned());
        let keys = self.secret_keys.iter().cloned().chain(of_environment).filter(|key| !key.is_empty());
        Secrets::new(keys.collect(), self.show_secrets)
    }
}

/// How times are shown in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimeChoice {
    /// Date and time in the local time zone
    Local,
    /// Date and time in UTC
    Utc,
    /// Seconds before the last event
    Relative,
    /// The reading of the recording clock
    Ticks,
}

impl From<TimeChoice> for TimeStyle {
    fn from(choice: TimeChoice) -> Self {
        match choice {
            TimeChoice::Local => TimeStyle::Local,
            TimeChoice::Utc => TimeStyle::Utc,
            TimeChoice::Relative => TimeStyle::Relative,
            TimeChoice::Ticks => TimeStyle::Ticks,
        }
    }
}

/// When text is colored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal that can, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl ColorChoice {
    /// Returns whether text on standard output is colored.
    #[must_use]
    pub fn is_on(self) -> bool {
        match self {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                let stdout = io::stdout();
                stdout.is_terminal() && anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never
            }
        }
    }
}
