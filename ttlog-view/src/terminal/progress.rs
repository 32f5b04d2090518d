//! A progress line for long operations; nothing is shown if standard error is not a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use ttlog_read::timeline::Progress;

/// Time before the first progress line.
const PATIENCE: Duration = Duration::from_millis(700);
/// Time between two progress lines.
const PERIOD: Duration = Duration::from_millis(100);

/// Progress of one command.
#[derive(Debug)]
pub struct ProgressLine {
    next: Option<Instant>,
    shown: bool,
}

impl ProgressLine {
    /// Starts the progress of a command. It is shown only if standard error is a terminal.
    #[must_use]
    pub fn new() -> Self {
        ProgressLine { next: std::io::stderr().is_terminal().then(|| Instant::now() + PATIENCE), shown: false }
    }

    /// Clears the line.
    pub fn finish(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K"); // as above
            self.shown = false;
        }
        self.next = None;
    }
}

impl Progress for ProgressLine {
    fn step(&mut self, index: usize, total: usize, events: usize) {
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now < next {
            return;
        }
        self.next = Some(now + PERIOD);
        self.shown = true;
        let percent = 100 * (index + 1) / total.max(1);
        // A closed terminal needs no progress.
        let _ = write!(std::io::stderr(), "\rreading: {percent} %, {events} events \x1b[K");
    }
}

impl Default for ProgressLine {
    fn default() -> Self {
        Self::new()
    }
}
