//! Makes text from a file harmless before a terminal sees it.
//!
//! Logged text can hold escape sequences, line breaks or characters that change the writing direction. Shown
//! unchanged, they could move the cursor, forge lines or hide others. Here each becomes visible: a line break as
//! `\n`, an escape as `\u{1b}`.

use std::path::Path;

/// Whether line breaks and tabs inside values stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineBreaks {
    /// They are shown as `\n`, `\r` and `\t`.
    Escape,
    /// Line feeds and tabs are written unchanged; everything else is still escaped.
    Keep,
}

/// Returns whether `c` must not reach a terminal: control characters, controls of the writing direction, line and
/// paragraph separators, and characters that are invisible by definition.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Appends `text` to `out` with everything unsafe made visible.
pub fn push_escaped(out: &mut String, text: &str, breaks: LineBreaks) {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        push_char(out, c, breaks);
    }
}

fn push_char(out: &mut String, c: char, breaks: LineBreaks) {
    match c {
        '\n' | '\t' if breaks == LineBreaks::Keep => out.push(c),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_unsafe(c) => out.extend(c.escape_unicode()),
        c => out.push(c),
    }
}

/// Appends `text` in double quotes, with quotes and backslashes escaped too, so that it is clear where it ends.
pub fn push_quoted(out: &mut String, text: &str, breaks: LineBreaks) {
    out.push('"');
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\') {
        out.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                c => push_char(out, c, breaks),
            }
        }
    }
    out.push('"');
}

/// Returns `text` with everything unsafe made visible.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_escaped(&mut out, text, LineBreaks::Escape);
    out
}

/// Formats an error as `path: error`.
#[must_use]
pub fn error_line(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", escaped(&path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_escape_becomes_visible() {
        assert_eq!(escaped("a\x1b[2Jb\x07\u{9b}31m"), "a\\u{1b}[2Jb\\u{7}\\u{9b}31m");
    }

    #[test]
    fn direction_controls_become_visible() {
        assert_eq!(escaped("x\u{202e}y\u{2066}z\u{200f}"), "x\\u{202e}y\\u{2066}z\\u{200f}");
    }

    #[test]
    fn line_breaks_are_kept_only_on_demand() {
        assert_eq!(escaped("a\nb\tc\r"), "a\\nb\\tc\\r");
        let mut kept = String::new();
        push_escaped(&mut kept, "a\nb\tc\rd\x1b", LineBreaks::Keep);
        assert_eq!(kept, "a\nb\tc\\rd\\u{1b}");
    }

    #[test]
    fn ordinary_text_of_any_script_stays() {
        for text in ["plain", "grüße", "日本語", "🙂", "a\\b", ""] {
            assert_eq!(escaped(text), text);
        }
    }

    #[test]
    fn quotes_and_backslashes_are_escaped_in_quoted_text() {
        let mut out = String::new();
        push_quoted(&mut out, "say \"hi\" \\ \n", LineBreaks::Escape);
        assert_eq!(out, r#""say \"hi\" \\ \n""#);
    }
}
