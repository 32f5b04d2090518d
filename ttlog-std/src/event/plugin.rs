//! Plugins: receives the events of libraries that were loaded at run time and have their own copies of all statics. See
//! [`ttlog_core::recorder::plugin`] for their side.

use ttlog_core::recorder::Recorder;
use ttlog_core::recorder::plugin::{Host, PluginHandle};
use ttlog_core::{AnyFields, Callsite, Metadata};

use super::record::record_from;
use crate::state;
use crate::state::registry::Origin;

/// This process's recorder, as seen by plugins.
struct Plugins;

impl Recorder for Plugins {
    fn is_on(&self, metadata: &Metadata) -> bool {
        state::current().is_some_and(|state| state.is_on(metadata))
    }

    fn record(&self, callsite: &'static Callsite, fields: &dyn AnyFields) {
        record_from(Origin::Plugin, callsite, fields);
    }
}

static HOST: Host = Host::new(&Plugins);

/// Returns the handle for plugins of this process.
pub(crate) fn handle() -> PluginHandle {
    PluginHandle::new(&HOST)
}
