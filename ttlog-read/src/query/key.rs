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
    /// The field with this name.
    Field(String),
}

impl Key {
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
            Key::Field(name) => name,
        }
    }
}
