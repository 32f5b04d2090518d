//! Paths of spans as text: `request{id=7}:query{table="orders"}:`.

use std::collections::HashMap;

use anstyle::Style;
use ttlog_read::source::SpanRef;
use ttlog_read::text::escape::{LineBreaks, push_escaped};

use ttlog_read::timeline::Event;

use super::style::{DIM, KEY};

const NAME: Style = Style::new().bold();

/// How paths are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathStyle {
    /// Whether they are colored.
    pub(super) colored: bool,
    /// Treatment of line breaks in values.
    pub(super) breaks: LineBreaks,
    /// Most columns that a path takes; `None`: any number. A longer one loses the fields of its outer spans, then these
    /// spans, and then the end of the last one.
    pub(super) columns: Option<usize>,
}

/// Texts of the paths that were written last, as events of one span follow one another.
#[derive(Debug, Default)]
pub(super) struct PathCache(HashMap<(usize, u64), String>);

/// Most paths in a cache.
const CACHED_MAX: usize = 1024;

impl PathCache {
    /// Returns the text for the path of an event, which `write` writes if it is new.
    pub(super) fn text(&mut self, event: &Event<'_, '_>, write: impl FnOnce(&[SpanRef<'_, '_>]) -> String) -> &str {
        if self.0.len() >= CACHED_MAX {
            self.0.clear();
        }
        let key = (event.source_index, event.span_id);
        self.0.entry(key).or_insert_with(|| write(&event.spans()))
    }
}

/// A span of a path.
struct Step {
    name: String,
    /// Names and values.
    fields: Vec<(String, String)>,
    /// Whether only a mark shows that it has fields.
    is_short: bool,
}

impl Step {
    fn new(span: &SpanRef<'_, '_>, breaks: LineBreaks) -> Self {
        let mut name = String::new();
        push_name(&mut name, span);
        let field = |(name, value): (&str, ttlog_read::FieldValue<'_>)| {
            let (mut key, mut shown) = (String::new(), String::new());
            push_escaped(&mut key, name, LineBreaks::Escape);
            value.push_shown(&mut shown, breaks);
            (key, shown)
        };
        Step { name, fields: span.fields().into_iter().map(field).collect(), is_short: false }
    }

    /// Returns its length in columns, with the colon after it.
    fn len(&self) -> usize {
        let count = |text: &str| text.chars().count();
        let fields = match (self.fields.is_empty(), self.is_short) {
            (true, _) => 0,
            (false, true) => "{…}".chars().count(),
            (false, false) => self.fields.iter().map(|(key, value)| count(key) + count(value) + 2).sum::<usize>() + 1,
        };
        count(&self.name) + fields + 1
    }

    /// Cuts the end so that it takes this number of columns if possible.
    fn cut(&mut self, columns: usize) {
        while self.len() > columns && self.fields.len() > 1 {
            self.fields.pop();
            if let Some((_, last)) = self.fields.last_mut() {
                if !last.ends_with(" …") {
                    last.push_str(" …");
                }
            }
        }
        let over = self.len().saturating_sub(columns);
        if let (1.., Some((_, value))) = (over, self.fields.last_mut()) {
            let keep = value.chars().count().saturating_sub(over + 1);
            *value = value.chars().take(keep).chain(['…']).collect();
        }
        if self.len() > columns {
            self.is_short = true;
        }
        let over = self.len().saturating_sub(columns);
        if over > 0 {
            let keep = self.name.chars().count().saturating_sub(over + 1);
            self.name = self.name.chars().take(keep).chain(['…']).collect();
        }
    }
}

/// Appends the name of a span, or its id if its start is overwritten.
pub(super) fn push_name(out: &mut String, span: &SpanRef<'_, '_>) {
    match span.name() {
        Some(name) => push_escaped(out, name, LineBreaks::Escape),
        None => out.push_str(&format!("?#{}", span.id())),
    }
}

impl PathStyle {
    /// Appends a path, outermost span first, with a colon after each span but the last.
    pub(super) fn push_path(&self, out: &mut String, path: &[SpanRef<'_, '_>]) {
        let mut steps: Vec<_> = path.iter().map(|span| Step::new(span, self.breaks)).collect();
        let is_cut = self.columns.is_some_and(|columns| fit(&mut steps, columns));
        if is_cut {
            self.styled(out, DIM, "…:");
        }
        for (index, step) in steps.iter().enumerate() {
            if index > 0 {
                self.styled(out, DIM, ":");
            }
            self.push_step(out, step);
        }
    }

    fn push_step(&self, out: &mut String, step: &Step) {
        self.styled(out, NAME, &step.name);
        if step.is_short && !step.fields.is_empty() {
            out.push_str("{…}");
            return;
        }
        for (index, (key, value)) in step.fields.iter().enumerate() {
            out.push_str(if index == 0 { "{" } else { " " });
            self.styled(out, KEY, key);
            out.push('=');
            out.push_str(value);
        }
        out.push_str(if step.fields.is_empty() { "" } else { "}" });
    }

    fn styled(&self, out: &mut String, style: Style, text: &str) {
        if self.colored {
            out.push_str(&format!("{style}{text}{style:#}"));
        } else {
            out.push_str(text);
        }
    }
}

/// Shortens a path to a number of columns. Returns whether spans are left out at its outer end.
fn fit(steps: &mut Vec<Step>, columns: usize) -> bool {
    let mut len: usize = steps.iter().map(Step::len).sum();
    let inner = steps.len().saturating_sub(1);
    for step in &mut steps[..inner] {
        if len <= columns {
            return false;
        }
        len -= step.len();
        step.is_short = true;
        len += step.len();
    }
    let mut left_out = 0;
    while len > columns && left_out < inner {
        len -= steps[left_out].len();
        // The mark for spans that are left out takes two columns.
        len += if left_out == 0 { 2 } else { 0 };
        left_out += 1;
    }
    steps.drain(..left_out);
    if let (true, [last]) = (len > columns, steps.as_mut_slice()) {
        last.cut(columns.saturating_sub(if left_out > 0 { 2 } else { 0 }));
    }
    left_out > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(columns: usize, steps: &[(&str, &[(&str, &str)])]) -> String {
        let step = |&(name, fields): &(&str, &[(&str, &str)])| {
            let fields = fields.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
            Step { name: name.to_owned(), fields, is_short: false }
        };
        let mut steps: Vec<_> = steps.iter().map(step).collect();
        let mut out = if fit(&mut steps, columns) { "…:".to_owned() } else { String::new() };
        let style = PathStyle { colored: false, breaks: LineBreaks::Escape, columns: None };
        for step in &steps {
            style.push_step(&mut out, step);
            out.push(':');
        }
        assert!(out.chars().count() <= columns.max(8), "{columns} columns: {out}");
        out
    }

    #[test]
    fn outer_spans_are_shortened_first() {
        let steps: &[(&str, &[(&str, &str)])] =
            &[("request", &[("id", "7"), ("who", "\"ann\"")]), ("load", &[]), ("query", &[("table", "\"orders\"")])];
        let full = r#"request{id=7 who="ann"}:load:query{table="orders"}:"#;
        let short = r#"request{…}:load:query{table="orders"}:"#;
        let (short_len, full_len) = (short.chars().count(), full.chars().count());
        assert_eq!(path(usize::MAX, steps), full);
        assert_eq!(path(full_len, steps), full);
        assert_eq!(path(full_len - 1, steps), short);
        assert_eq!(path(short_len, steps), short);
        assert_eq!(path(short_len - 1, steps), r#"…:load:query{table="orders"}:"#);
        assert_eq!(path(25, steps), r#"…:query{table="orders"}:"#);
        assert_eq!(path(20, steps), r#"…:query{table="or…}:"#);
        assert_eq!(path(8, steps), "…:q…{…}:");
    }

    #[test]
    fn one_long_span_loses_its_last_fields() {
        let steps: &[(&str, &[(&str, &str)])] = &[("request", &[("id", "7"), ("text", "\"abcdefghijklmnop\"")])];
        assert_eq!(path(20, steps), "request{id=7 …}:");
        assert_eq!(path(14, steps), "request{id=…}:");
        assert_eq!(path(12, steps), "request{…}:");
    }
}
