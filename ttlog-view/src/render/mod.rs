//! The output: text, JSON and counts.

pub mod chunks;
pub mod drive;
pub mod ending;
pub mod json;
mod owner;
pub mod sink;
mod span;
pub mod span_list;
pub mod stats;
pub(crate) mod style;
pub mod text;
pub mod words;

use ttlog_read::source::{Kind, Liveness, Source};

/// Reasons for which events are refused, as named in JSON and in text.
pub const DROP_REASONS: [(&str, &str); 4] = [
    ("too_large", "too large"),
    ("reentrant", "re-entrant"),
    ("no_segment", "no free segment"),
    ("unregistered", "table full"),
];

/// Returns one word for the kind of a source.
#[must_use]
pub fn kind_name(source: &Source<'_>) -> &'static str {
    match &source.kind {
        Kind::Snapshot { .. } if source.session.is_some() => "session of a device",
        Kind::Snapshot { .. } => "snapshot",
        Kind::Ring(Liveness::Running | Liveness::Elsewhere) => "ring of a running process",
        Kind::Ring(_) if source.ended => "ring, ended in good order",
        Kind::Ring(Liveness::LetGo) => "ring that its process has let go of",
        Kind::Ring(Liveness::Gone) => "ring of a dead process",
        Kind::Ring(Liveness::Unknown) => "ring",
    }
}
