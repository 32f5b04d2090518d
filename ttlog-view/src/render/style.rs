//! Colors of text output.

use anstyle::{AnsiColor, Color, Style};
use ttlog_core::Level;

const fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(color)))
}

pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const KEY: Style = color(AnsiColor::Cyan);
pub(crate) const GOOD: Style = color(AnsiColor::Green);
pub(crate) const MARK: Style = color(AnsiColor::Yellow);
pub(crate) const BAD: Style = color(AnsiColor::Red).bold();

pub(super) fn style_of(level: Level) -> Style {
    match level {
        Level::Trace => color(AnsiColor::Magenta),
        Level::Debug => color(AnsiColor::Blue),
        Level::Info => color(AnsiColor::Green),
        Level::Warn => color(AnsiColor::Yellow),
        Level::Error => BAD,
    }
}
