//! Ends of processes, as far as known.

use ttlog_core::ring::{EndKind, ProcessEnd};

use super::model::{Kind, Source};
use super::process::Liveness;

/// End of a process, as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The process is running.
    Running,
    /// The process is running, in another pid namespace, as in another container.
    RunningElsewhere,
    /// The process was running when the snapshot was made.
    RanThen,
    /// The process is running, but no longer uses the ring.
    LetGo,
    /// The process recorded how it ended.
    Told(ProcessEnd),
    /// Recording ended in good order. So did the process, or it recorded nothing more.
    ShutDown,
    /// The process is gone. It could have recorded its end, but did not.
    Silent,
    /// The process is gone, and could not record its end: the ring is of an older version, or of a device.
    Unrecorded,
    /// Nothing is known.
    Unknown,
}

impl Ending {
    /// Returns what is known of the end of a source's process.
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
            Kind::Ring(Liveness::Elsewhere) => Ending::RunningElsewhere,
            Kind::Ring(Liveness::LetGo) => Ending::LetGo,
            Kind::Ring(Liveness::Gone) => gone,
            Kind::Ring(Liveness::Unknown) => Ending::Unknown,
            Kind::Snapshot { reason, .. } if reason == "recovered" => gone,
            Kind::Snapshot { .. } if source.taken_at.is_some() => Ending::RanThen,
            // The ring was dead, or its recorder does not record the time.
            Kind::Snapshot { .. } if source.life.tells_end => Ending::Silent,
            Kind::Snapshot { .. } => Ending::Unknown,
        }
    }

    /// Returns whether this is an unwanted end: by a signal, or without a record.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        match self {
            Ending::Told(end) => end.kind != EndKind::Exit,
            Ending::Silent => true,
            _ => false,
        }
    }
}
