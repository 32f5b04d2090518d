//! The recorder that macros use by default: a library logs through whichever recorder the program installs.

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

/// A destination for the events of enabled callsites.
pub trait Recorder: Sync {
    /// Returns whether to record events of such a callsite. Called once per callsite and epoch: code that changes the
    /// answer must then call [`start_epoch`](crate::event::epoch::start_epoch).
    ///
    /// Must not block, must not panic, and must be callable wherever the program logs.
    fn is_on(&self, metadata: &Metadata) -> bool;

    /// Records the event, or counts it as lost.
    ///
    /// Must not block, must not panic, and must be callable wherever the program logs.
    fn record(&self, callsite: &'static Callsite, fields: &dyn AnyFields);
}
