//! The recorder that macros write to when they know none of their own: how a library logs under whichever recorder the
//! program installs.

pub(crate) mod enabled;
#[cfg(not(target_os = "none"))]
pub(crate) mod host;
pub(crate) mod install;
#[cfg(not(target_os = "none"))]
pub mod plugin;

pub use install::{AlreadyInstalled, install, installed, record_any};

use crate::event::callsite::Callsite;
use crate::event::fields::AnyFields;
use crate::event::metadata::Metadata;

/// Takes events of callsites that may be enabled.
pub trait Recorder: Sync {
    /// Returns whether events of such a callsite are to be recorded. Asked once per callsite and epoch: whoever changes the answer
    /// calls [`start_epoch`](crate::event::epoch::start_epoch) afterwards.
    ///
    /// Must not block, must not panic, and must be callable wherever the program logs.
    fn is_on(&self, metadata: &Metadata) -> bool;

    /// Records the event, or counts it as lost.
    ///
    /// Must not block, must not panic, and must be callable wherever the program logs.
    fn record(&self, callsite: &'static Callsite, fields: &dyn AnyFields);
}
