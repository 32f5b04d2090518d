//! What is known of the end of a process.

use ttlog_core::ring::{EndKind, ProcessEnd};

use super::model::{Kind, Source};
use super::process::Liveness;

/// What is known of the end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It runs.
    Running,
    /// It ran when the snapshot was made.
    RanThen,
    /// It runs, but has no use for the ring any more.
    LetGo,
    /// It said how it ended.
    Told(ProcessEnd),
    /// Recording was ended in good order, and the process, too, or it did not say more.
    ShutDown,
    /// It is gone, and could have said why, but did not get to.
    Silent,
    /// It is gone, and recorded nothing of its end: the ring is of an older version, or of a device.
    Unrecorded,
    /// Nothing is known.
    Unknown,
}

impl Ending {
    /// Finds out what is known of the end of a source's process.
    #[must_use]
    pub fn of(source: &Source<'_>) -> Self {
        if let Some(end) = source.life.end {
            return Ending::Told(end);
        }
        if source.ended {
            return Ending::ShutDown;
        }
        let gone = if source.life.tells_end { Ending::Silent } else { Ending::Unrecorded };
        match &source.kind {
            Kind::Ring(Liveness::Running) => Ending::Running,
            Kind::Ring(Liveness::LetGo) => Ending::LetGo,
            Kind::Ring(Liveness::Gone) => gone,
            Kind::Ring(Liveness::Unknown) => Ending::Unknown,
            Kind::Snapshot { reason, .. } if reason == "recovered" => gone,
            Kind::Snapshot { .. } if source.taken_at.is_some() => Ending::RanThen,
            // Made of a dead ring, or by a recorder that does not tell the time.
            Kind::Snapshot { .. } if source.life.tells_end => Ending::Silent,
            Kind::Snapshot { .. } => Ending::Unknown,
        }
    }

    /// Returns whether this is an end that nobody wished: by a signal, or without a word.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        match self {
            Ending::Told(end) => end.kind != EndKind::Exit,
            Ending::Silent => true,
            _ => false,
        }
    }
}
