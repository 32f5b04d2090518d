//! Keys of conditions and of statistics.

/// Property of an event that a condition compares.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each name is the key in lower case
pub enum Key {
    Level,
    Target,
    /// The message with its template filled in.
    Message,
    Template,
    File,
    Line,
    Callsite,
    /// The name of the thread or task.
    Thread,
    /// The number of the context in its ring.
    Context,
    Service,
    Pid,
    Host,
    /// The session number of a device.
    Boot,
    /// The spans that the event is in.
    Span,
    /// Their names.
    SpanName,
    /// A field of these spans, as `span.NAME`.
    SpanField(String),
    /// The id of the trace that the event belongs to.
    TraceId,
    /// The field with this name.
    Field(String),
}

impl Key {
    /// Names of the keys that are not fields.
    pub(super) const NAMES: [&str; 17] = [
        "level",
        "target",
        "message",
        "template",
        "file",
        "line",
        "callsite",
        "thread",
        "context",
        "service",
        "pid",
        "host",
        "boot",
        "session",
        "span",
        "span.name",
        "trace_id",
    ];

    /// Returns the key with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "level" => Key::Level,
            "target" => Key::Target,
            "message" => Key::Message,
            "template" => Key::Template,
            "file" => Key::File,
            "line" => Key::Line,
            "callsite" => Key::Callsite,
            "thread" => Key::Thread,
            "context" => Key::Context,
            "service" => Key::Service,
            "pid" => Key::Pid,
            "host" => Key::Host,
            "boot" | "session" => Key::Boot,
            "span" => Key::Span,
            "span.name" => Key::SpanName,
            "trace_id" => Key::TraceId,
            name if name.starts_with("span.") => Key::SpanField(name.to_owned()),
            name => Key::Field(name.strip_prefix("fields.").unwrap_or(name).to_owned()),
        }
    }

    /// Returns the name of the key; a field's name stands alone.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Key::Level => "level",
            Key::Target => "target",
            Key::Message => "message",
            Key::Template => "template",
            Key::File => "file",
            Key::Line => "line",
            Key::Callsite => "callsite",
            Key::Thread => "thread",
            Key::Context => "context",
            Key::Service => "service",
            Key::Pid => "pid",
            Key::Host => "host",
            Key::Boot => "boot",
            Key::Span => "span",
            Key::SpanName => "span.name",
            Key::TraceId => "trace_id",
            Key::SpanField(name) | Key::Field(name) => name,
        }
    }

    /// Returns whether its value depends on the spans of the event.
    #[must_use]
    pub fn concerns_spans(&self) -> bool {
        matches!(self, Key::Span | Key::SpanName | Key::SpanField(_) | Key::TraceId)
    }

    /// Returns the name of the field of spans.
    #[must_use]
    pub fn span_field(&self) -> Option<&str> {
        let Key::SpanField(name) = self else { return None };
        let name = name.strip_prefix("span.").unwrap_or(name);
        Some(name.strip_prefix("fields.").unwrap_or(name))
    }
}
