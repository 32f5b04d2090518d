//! Events as JSON, one object each. The documentation of the viewer describes the format; numbers are exact, whatever
//! their width.
//!
//! The JSON is written by hand: 64-bit and 128-bit numbers and floats keep all their digits, members are in the
//! documented order, and text goes straight to the output, without a tree of values for each event.

use std::io::{self, Write};

use ttlog_read::event::value::{FieldValue, Nested, push_hex};
use ttlog_read::source::SpanRef;
use ttlog_read::span::Action;
use ttlog_read::text::time::{TimeFormatter, When, push_time_to};
use ttlog_read::timeline::{Event, Timeline};

use super::chunks::Chunks;
use super::sink::EventSink;
use super::span::PathCache;

/// Placeholder for a withheld value; no real value looks like it.
const WITHHELD_JSON: &str = "{\"withheld\":true}";

/// Writes events as JSON objects.
#[derive(Debug)]
pub struct JsonRenderer {
    time: TimeFormatter,
    message: String,
    paths: PathCache,
}

impl JsonRenderer {
    /// Creates the renderer.
    #[must_use]
    pub fn new() -> Self {
        JsonRenderer { time: TimeFormatter::rfc3339(), message: String::new(), paths: PathCache::default() }
    }

    /// Appends an event, without a line break.
    pub fn push(&mut self, out: &mut String, event: &Event<'_, '_>) {
        if let When::Clock(unix_ns) = event.when {
            out.push_str("{\"time\":\"");
            self.time.push_clock(out, unix_ns);
            out.push_str("\",\"unix_ns\":");
            push_number(out, unix_ns);
        } else {
            out.push_str("{\"time\":null,\"unix_ns\":null");
        }
        if let Some(session) = event.source.session {
            out.push_str(",\"boot\":");
            push_number(out, session.boot);
        }
        if let When::Boot { ns, .. } = event.when {
            out.push_str(",\"since_boot_ns\":");
            push_number(out, ns);
        }
        if !event.entry.time_known {
            out.push_str(",\"time_known\":false");
        }
        out.push_str(",\"ticks\":");
        push_number(out, event.entry.ticks);
        if let Some(callsite) = event.callsite {
            push_member(out, "level", callsite.info.level.as_str());
            push_member(out, "target", callsite.info.target);
            self.message.clear();
            event.push_message(&mut self.message);
            push_member(out, "message", &self.message);
            push_member(out, "template", callsite.info.message);
            push_member(out, "file", callsite.info.file);
            out.push_str(",\"line\":");
            push_number(out, callsite.info.line);
        } else {
            out.push_str(
                ",\"level\":null,\"target\":null,\"message\":null,\"template\":null,\"file\":null,\"line\":null",
            );
        }
        out.push_str(",\"context\":");
        push_number(out, event.entry.context);
        out.push_str(",\"thread\":");
        match event.thread {
            Some((name, _)) if !name.is_empty() => push_string(out, name),
            _ => out.push_str("null"),
        }
        if let Some((_, id @ 1..)) = event.thread {
            out.push_str(",\"thread_id\":");
            push_number(out, id);
        }
        out.push_str(",\"callsite\":");
        push_number(out, event.entry.callsite);
        if let Some(process) = &event.source.process {
            push_member(out, "service", process.service);
            push_member(out, "host", process.host);
            out.push_str(",\"pid\":");
            push_number(out, process.pid);
        }
        push_member(out, "source", event.source.path);
        out.push_str(",\"fields\":");
        push_fields(out, event.fields());
        self.push_spans(out, event);
        if let Some(damage) = &event.damage {
            push_member(out, "damage", damage);
            out.push_str(",\"payload\":");
            if event.payload_withheld {
                out.push_str(WITHHELD_JSON);
            } else {
                out.push('"');
                push_hex(out, event.payload);
                out.push('"');
            }
        }
        out.push('}');
    }
}

impl JsonRenderer {
    /// Appends the spans that an event is in, if it is in any, in the form of the JSON of `tracing-subscriber`.
    fn push_spans(&mut self, out: &mut String, event: &Event<'_, '_>) {
        if event.span_id == 0 {
            return;
        }
        if let Some(action) = event.span_action() {
            push_member(out, "span_record", action_word(action));
        }
        out.push_str(",\"span_id\":");
        push_number(out, event.span_id);
        out.push_str(self.paths.text(event, |path| {
            let mut text = String::new();
            if let Some(trace) = path.last().and_then(SpanRef::trace_id) {
                push_member(&mut text, "trace_id", &trace);
            }
            push_path(&mut text, path);
            text
        }));
    }
}

/// Appends an object of fields.
fn push_fields<'v>(out: &mut String, fields: impl Iterator<Item = (&'v str, &'v FieldValue<'v>)>) {
    out.push('{');
    for (index, (name, value)) in fields.enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_string(out, name);
        out.push(':');
        push_value(out, value);
    }
    out.push('}');
}

/// Appends the innermost span and all spans of a path as members.
pub(super) fn push_path(out: &mut String, path: &[SpanRef<'_, '_>]) {
    if let Some(innermost) = path.last() {
        out.push_str(",\"span\":");
        push_span(out, innermost);
    }
    out.push_str(",\"spans\":[");
    for (index, span) in path.iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        push_span(out, span);
    }
    out.push(']');
}

/// Appends a span as an object: its name, and its fields. A field called `name` is `fields.name`.
pub(super) fn push_span(out: &mut String, span: &SpanRef<'_, '_>) {
    out.push_str("{\"name\":");
    match span.name() {
        Some(name) => push_string(out, name),
        None => out.push_str("null"),
    }
    for (name, value) in span.fields() {
        out.push(',');
        push_string(out, if name == "name" { "fields.name" } else { name });
        out.push(':');
        push_value(out, &value);
    }
    out.push('}');
}

fn action_word(action: Action) -> &'static str {
    match action {
        Action::Start { .. } => "start",
        Action::Begin { .. } => "begin",
        Action::Finish => "finish",
        Action::Enter => "enter",
        Action::Leave => "leave",
        Action::End => "end",
        Action::Repeat { .. } => "repeat",
        Action::Update { follows: 0 } => "update",
        Action::Update { .. } => "follows",
        Action::Mention => "event",
    }
}

impl Default for JsonRenderer {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes events as an array of JSON objects, or as one object per line.
#[derive(Debug)]
pub struct JsonSink<'o> {
    renderer: JsonRenderer,
    is_array: bool,
    is_first: bool,
    chunks: Chunks<'o>,
}

impl<'o> JsonSink<'o> {
    /// Creates a sink that writes to `out`, as an array or as lines.
    #[must_use]
    pub fn new(is_array: bool, out: &'o mut dyn Write) -> Self {
        let mut chunks = Chunks::new(out);
        chunks.text.push_str(if is_array { "[" } else { "" });
        JsonSink { renderer: JsonRenderer::new(), is_array, is_first: true, chunks }
    }
}

impl EventSink for JsonSink<'_> {
    fn event(&mut self, event: &Event<'_, '_>) -> io::Result<()> {
        let text = &mut self.chunks.text;
        match (self.is_array, std::mem::take(&mut self.is_first)) {
            (true, true) => text.push('\n'),
            (true, false) => text.push_str(",\n"),
            (false, _) => {}
        }
        self.renderer.push(text, event);
        if !self.is_array {
            text.push('\n');
        }
        self.chunks.write()
    }

    fn end(&mut self, _timeline: &Timeline<'_, '_>) -> io::Result<()> {
        self.chunks.text.push_str(if self.is_array { "\n]\n" } else { "" });
        self.chunks.finish()
    }
}

pub(super) fn push_number(out: &mut String, number: impl std::fmt::Display) {
    use std::fmt::Write as _;
    _ = write!(out, "{number}"); // cannot fail on a String
}

/// Appends `,"key":"value"`; the key must need no escapes.
pub(super) fn push_member(out: &mut String, key: &str, value: &str) {
    out.push_str(",\"");
    out.push_str(key);
    out.push_str("\":");
    push_string(out, value);
}

/// Appends a JSON string. Control characters are escaped, including bidirectional ones and the C1 set, so that the
/// output is harmless on a terminal.
pub fn push_string(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    out.push('"');
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\') {
        out.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if ttlog_read::text::escape::is_unsafe(c) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        _ = write!(out, "\\u{unit:04x}"); // cannot fail on a String
                    }
                }
                c => out.push(c),
            }
        }
    }
    out.push('"');
}

/// Appends a float as a number with the fewest digits that restore it, or as a string if JSON has no number for it.
fn push_float(out: &mut String, finite: bool, value: &dyn std::fmt::Debug) {
    use std::fmt::Write as _;
    _ = if finite { write!(out, "{value:?}") } else { write!(out, "\"{value:?}\"") }; // cannot fail on a String
}

/// Appends a value.
pub fn push_value(out: &mut String, value: &FieldValue<'_>) {
    match value {
        FieldValue::Withheld => out.push_str(WITHHELD_JSON),
        FieldValue::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        FieldValue::Unsigned(value) => push_number(out, value),
        FieldValue::U128(value) => push_number(out, value),
        FieldValue::Signed { value, .. } => push_number(out, value),
        FieldValue::I128(value) => push_number(out, value),
        FieldValue::F32(value) => push_float(out, value.is_finite(), value),
        FieldValue::F64(value) => push_float(out, value.is_finite(), value),
        FieldValue::Char(value) => push_string(out, value.encode_utf8(&mut [0; 4])),
        FieldValue::Str(text) | FieldValue::Display(text) | FieldValue::Debug(text) => match text.full_len {
            None => push_string(out, text.text),
            Some(full_len) => {
                out.push_str("{\"text\":");
                push_string(out, text.text);
                push_full_len(out, full_len);
            }
        },
        FieldValue::Bytes(bytes, full_len) => {
            out.push_str("{\"bytes\":\"");
            push_hex(out, bytes);
            out.push('"');
            match full_len {
                Some(full_len) => push_full_len(out, *full_len),
                None => out.push('}'),
            }
        }
        FieldValue::Error(texts, full_len) => {
            push_list(out, texts.iter().map(|text| FieldValue::Str(*text)), *full_len);
        }
        FieldValue::Uuid(_) | FieldValue::Ip(_) | FieldValue::Socket(_) => push_string(out, &value.to_string()),
        FieldValue::Duration(duration) => {
            out.push_str("{\"ns\":");
            push_number(out, duration.as_nanos());
            out.push('}');
        }
        FieldValue::Time(time) => {
            out.push('"');
            push_time_to(out, *time, 9);
            out.push('"');
        }
        FieldValue::Unit | FieldValue::None => out.push_str("null"),
        FieldValue::Some(value) | FieldValue::Shown(value, _) => push_value(out, value),
        FieldValue::Nested(nested) => push_nested(out, nested),
        FieldValue::Sequence(elements, full_len) => push_list(out, elements.iter().cloned(), *full_len),
    }
}

/// Appends a tuple, a struct or a variant in the form that is usual for JSON made from Rust: an object by name, or an
/// array; of a variant its name, or an object with its name and what it holds.
fn push_nested(out: &mut String, nested: &Nested<'_>) {
    let members = &nested.members;
    if let Some(variant) = nested.variant {
        if members.is_empty() {
            return push_string(out, variant);
        }
        out.push('{');
        push_string(out, variant);
        out.push(':');
    }
    if nested.has_names() {
        for (index, (name, value)) in members.iter().enumerate() {
            out.push(if index > 0 { ',' } else { '{' });
            push_string(out, name);
            out.push(':');
            push_value(out, value);
        }
        out.push('}');
    } else if let (Some(_), [(_, only)]) = (nested.variant, members.as_slice()) {
        push_value(out, only);
    } else if members.is_empty() {
        out.push_str("null");
    } else {
        push_list(out, members.iter().map(|(_, value)| value.clone()), None);
    }
    if nested.variant.is_some() {
        out.push('}');
    }
}

fn push_full_len(out: &mut String, full_len: u32) {
    out.push_str(",\"full_len\":");
    push_number(out, full_len);
    out.push('}');
}

fn push_list<'a>(out: &mut String, elements: impl Iterator<Item = FieldValue<'a>>, full_len: Option<u32>) {
    out.push_str(if full_len.is_some() { "{\"items\":[" } else { "[" });
    for (index, element) in elements.enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_value(out, &element);
    }
    out.push(']');
    if let Some(full_len) = full_len {
        push_full_len(out, full_len);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ttlog_core::event::Shown;
    use ttlog_core::record::{Text, UnixTime};

    use super::*;

    fn json(value: &FieldValue<'_>) -> String {
        let mut out = String::new();
        push_value(&mut out, value);
        serde_json::from_str::<serde_json::Value>(&out).expect("well-formed JSON");
        out
    }

    #[test]
    fn values_as_json() {
        let text = |text| Text { text, full_len: None };
        let capped = Text { text: "abc", full_len: Some(1000) };
        let cases: &[(FieldValue<'_>, &str)] = &[
            (FieldValue::Bool(false), "false"),
            (FieldValue::Unsigned(u64::MAX), "18446744073709551615"),
            (FieldValue::Signed { value: i64::MIN, bits: 64 }, "-9223372036854775808"),
            (FieldValue::U128(u128::MAX), "340282366920938463463374607431768211455"),
            (FieldValue::I128(i128::MIN), "-170141183460469231731687303715884105728"),
            (FieldValue::F64(0.1), "0.1"),
            (FieldValue::F64(1.0), "1.0"),
            (FieldValue::F64(-0.0), "-0.0"),
            (FieldValue::F64(1e300), "1e300"),
            (FieldValue::F32(0.1), "0.1"),
            (FieldValue::F64(f64::NAN), "\"NaN\""),
            (FieldValue::F32(f32::NEG_INFINITY), "\"-inf\""),
            (FieldValue::F64(f64::INFINITY), "\"inf\""),
            (FieldValue::Char('"'), "\"\\\"\""),
            (FieldValue::Str(text("a\n\u{1b}\u{202e}\u{e0001}é\\")), "\"a\\n\\u001b\\u202e\\udb40\\udc01é\\\\\""),
            (FieldValue::Str(capped), "{\"text\":\"abc\",\"full_len\":1000}"),
            (FieldValue::Bytes(&[0, 0xfe], None), "{\"bytes\":\"00fe\"}"),
            (FieldValue::Bytes(&[1], Some(2)), "{\"bytes\":\"01\",\"full_len\":2}"),
            (FieldValue::Error(vec![text("a"), text("b")], None), "[\"a\",\"b\"]"),
            (FieldValue::Unit, "null"),
            (FieldValue::None, "null"),
            (FieldValue::Some(Box::new(FieldValue::Unsigned(1))), "1"),
            (FieldValue::Sequence(vec![FieldValue::Unsigned(1), FieldValue::None], None), "[1,null]"),
            (FieldValue::Sequence(vec![], Some(3)), "{\"items\":[],\"full_len\":3}"),
            (FieldValue::Uuid([0xab; 16]), "\"abababab-abab-abab-abab-abababababab\""),
            (FieldValue::Ip([10, 0, 0, 1].into()), "\"10.0.0.1\""),
            (FieldValue::Socket(([0, 0, 0, 0, 0, 0, 0, 1], 80).into()), "\"[::1]:80\""),
            (FieldValue::Duration(Duration::MAX), "{\"ns\":18446744073709551615999999999}"),
            (FieldValue::Time(UnixTime::from_nanos(-1)), "\"1969-12-31T23:59:59.999999999Z\""),
            (FieldValue::Time(UnixTime::from_nanos(0)), "\"1970-01-01T00:00:00.000000000Z\""),
            (FieldValue::Time(UnixTime::new(i64::MIN, 0).expect("a time")), "\"@-9223372036854775808\""),
            (FieldValue::Shown(Box::new(FieldValue::Unsigned(7)), Shown::Display), "7"),
            (FieldValue::Shown(Box::new(FieldValue::Str(text("a\"b"))), Shown::Debug), "\"a\\\"b\""),
            (FieldValue::Shown(Box::new(FieldValue::Some(Box::new(FieldValue::None))), Shown::Debug), "null"),
        ];
        for (value, expected) in cases {
            assert_eq!(json(value), *expected);
        }
    }
}
