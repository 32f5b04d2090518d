//! Runs commands of ttlog-view on the snapshot, in this process, with the same output as the printed commands.

use std::io::{self, Write};
use std::path::Path;

use clap::Parser as _;
use ttlog_view::Outcome;
use ttlog_view::command::cli::Cli;
use ttlog_view::command::show;

/// ttlog-view for a snapshot.
#[derive(Debug)]
pub(crate) struct Viewer {
    snapshot: String,
}

impl Viewer {
    pub(crate) fn new(snapshot: &Path) -> Self {
        Viewer { snapshot: snapshot.to_string_lossy().into_owned() }
    }

    /// Returns the snapshot's path, quoted for a shell.
    pub(crate) fn quoted(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
        if self.snapshot.chars().all(plain) {
            self.snapshot.clone()
        } else {
            format!("'{}'", self.snapshot.replace('\'', r"'\''"))
        }
    }

    /// Prints a command and its output.
    pub(crate) fn show(&self, arguments: &[&str]) -> Result<(), String> {
        crate::output::say(format_args!("$ ttlog-view {} {}", self.quoted(), arguments.join(" ")))?;
        let line = ["ttlog-view", &self.snapshot].into_iter().chain(arguments.iter().copied());
        let cli = Cli::try_parse_from(line).map_err(|error| error.to_string())?;
        let mut out = io::BufWriter::new(io::stdout().lock());
        let outcome = show::run(&cli.view, &mut out).and_then(|outcome| out.flush().map(|()| outcome));
        match outcome {
            Ok(Outcome::Good) => Ok(()),
            Ok(Outcome::Partial | Outcome::Failed) => Err("the snapshot cannot be shown in full".to_owned()),
            Err(error) => Err(format!("standard output: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_are_quoted() {
        let quoted = |path: &str| Viewer::new(path.as_ref()).quoted();
        assert_eq!(quoted("/tmp/a-b_1.bin"), "/tmp/a-b_1.bin");
        assert_eq!(quoted("/tmp/it's here"), r"'/tmp/it'\''s here'");
    }
}
