//! Options shared by several commands.

use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};
use ttlog_read::event::secrets::Secrets;
use ttlog_read::text::time::TimeStyle;

/// Environment variable with additional names of secrets, separated by commas. Recorders read it too.
pub const SECRET_KEYS_VARIABLE: &str = "TTLOG_SECRET_KEYS";

/// Options about secrets.
#[derive(Args, Clone, Debug, Default)]
pub struct SecretArgs {
    /// Also withhold fields of this name, in addition to password, token, cookie and the like (repeatable)
    ///
    /// `order.customer.card`, or the end of it such as `customer.card`, is a value inside of the field `order`.
    #[arg(long = "secret-key", value_name = "NAME")]
    pub secret_keys: Vec<String>,

    /// Show secrets that rings and snapshots still contain
    #[arg(long, conflicts_with = "secret_keys")]
    pub show_secrets: bool,
}

impl SecretArgs {
    /// Returns which secrets these options and the environment withhold.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        let of_environment = std::env::var(SECRET_KEYS_VARIABLE).unwrap_or_default();
        let of_environment = of_environment.split(',').map(|key| key.trim().to_owned());
        let keys = self.secret_keys.iter().cloned().chain(of_environment).filter(|key| !key.is_empty());
        Secrets::new(keys.collect(), self.show_secrets)
    }
}

/// Time format in text output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimeChoice {
    /// Date and time in the local time zone
    Local,
    /// Date and time in UTC
    Utc,
    /// Seconds before the last event
    Relative,
    /// Reading of the recording clock
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
    /// On a terminal that supports it, unless NO_COLOR is set
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
