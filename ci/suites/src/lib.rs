//! Our layer and our subscriber beside those of a test of `tracing`; with the feature `inert` a layer of
//! tracing-subscriber in their place, which does nothing and has a filter as ours has.
#![cfg_attr(feature = "inert", allow(dead_code, unused_imports, reason = "what is ours is not used"))]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Event, Interest, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::layer::Layered;
use tracing_subscriber::prelude::*;
use tracing_subscriber::Registry;
use ttlog_std::tracing::{RecorderLayer, RecorderSubscriber, layer, subscriber};

/// Starts the recorder of the process, with the filter of the environment (`BESIDE_FILTER`).
fn start() {
    static RECORDER: OnceLock<ttlog_std::Recorder> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let filter = std::env::var("BESIDE_FILTER").unwrap_or_else(|_| "trace".into());
        let builder = ttlog_std::Recorder::builder().filter(&filter).panic_hook(false).recover_orphans(false);
        let recorder = builder.build().expect("a recorder");
        assert!(recorder.is_recording());
        // It asks the filters of all layers once more soon after its start, which some tests would count.
        std::thread::sleep(std::time::Duration::from_millis(500));
        recorder
    });
}

/// Returns a registry that has our layer already.
#[cfg(not(feature = "inert"))]
pub fn registry() -> Layered<RecorderLayer<Registry>, Registry> {
    start();
    tracing_subscriber::registry().with(layer())
}

/// Returns a subscriber that passes everything on to the test's, whose answers count, and to ours.
#[cfg(not(feature = "inert"))]
pub fn beside<S: Subscriber>(theirs: S) -> Beside<S> {
    start();
    Beside { theirs, ours: subscriber(), ids: Mutex::default(), made: AtomicU64::new(0) }
}

#[cfg(feature = "inert")]
pub use inert::{beside, registry};

#[cfg(feature = "inert")]
mod inert {
    use tracing_subscriber::filter::Filtered;
    use tracing_subscriber::layer::Identity;

    use super::*;

    pub fn registry() -> Layered<Filtered<Identity, LevelFilter, Registry>, Registry> {
        let filter = std::env::var("BESIDE_FILTER").unwrap_or_else(|_| "trace".into());
        let filter: LevelFilter = filter.parse().expect("a level");
        tracing_subscriber::registry().with(Identity::new().with_filter(filter))
    }

    pub fn beside<S: Subscriber>(theirs: S) -> S {
        theirs
    }
}

/// See [`beside`].
pub struct Beside<S> {
    theirs: S,
    ours: RecorderSubscriber,
    /// Their ids of spans, with ours and the number of handles.
    ids: Mutex<HashMap<u64, (Id, usize)>>,
    made: AtomicU64,
}

impl<S> Beside<S> {
    fn ours(&self, id: &Id) -> Option<Id> {
        self.ids.lock().unwrap().get(&id.into_u64()).map(|(ours, _)| ours.clone())
    }
}

impl<S: Subscriber> Subscriber for Beside<S> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.ours.register_callsite(metadata);
        self.theirs.register_callsite(metadata)
    }
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.ours.enabled(metadata);
        self.theirs.enabled(metadata)
    }
    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.theirs.event_enabled(event)
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.ours.max_level_hint();
        self.theirs.max_level_hint()
    }
    fn on_register_dispatch(&self, dispatch: &tracing_core::Dispatch) {
        self.theirs.on_register_dispatch(dispatch);
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = self.theirs.new_span(attributes);
        let (metadata, values) = (attributes.metadata(), attributes.values());
        let ours = match attributes.parent().map(|parent| self.ours(parent)) {
            Some(Some(parent)) => self.ours.new_span(&Attributes::child_of(parent, metadata, values)),
            None if attributes.is_contextual() => self.ours.new_span(&Attributes::new(metadata, values)),
            _ => self.ours.new_span(&Attributes::new_root(metadata, values)),
        };
        self.made.fetch_add(1, Ordering::Relaxed);
        self.ids.lock().unwrap().insert(id.into_u64(), (ours, 1));
        id
    }
    fn record(&self, id: &Id, values: &Record<'_>) {
        self.theirs.record(id, values);
        self.ours(id).iter().for_each(|id| self.ours.record(id, values));
    }
    fn record_follows_from(&self, id: &Id, from: &Id) {
        self.theirs.record_follows_from(id, from);
        if let (Some(id), Some(from)) = (self.ours(id), self.ours(from)) {
            self.ours.record_follows_from(&id, &from);
        }
    }
    fn event(&self, event: &Event<'_>) {
        self.ours.event(event);
        self.theirs.event(event);
    }
    fn enter(&self, id: &Id) {
        self.theirs.enter(id);
        self.ours(id).iter().for_each(|id| self.ours.enter(id));
    }
    fn exit(&self, id: &Id) {
        self.theirs.exit(id);
        self.ours(id).iter().for_each(|id| self.ours.exit(id));
    }
    fn clone_span(&self, id: &Id) -> Id {
        if let Some((ours, handles)) = self.ids.lock().unwrap().get_mut(&id.into_u64()) {
            *handles += 1;
            self.ours.clone_span(ours);
        }
        self.theirs.clone_span(id)
    }
    fn try_close(&self, id: Id) -> bool {
        if let Some(ours) = self.ours(&id) {
            self.ours.try_close(ours);
        }
        self.theirs.try_close(id)
    }
    fn current_span(&self) -> Current {
        self.ours.current_span();
        self.theirs.current_span()
    }
    unsafe fn downcast_raw(&self, id: std::any::TypeId) -> Option<*const ()> {
        // SAFETY: the caller's promise.
        unsafe { self.theirs.downcast_raw(id) }
    }
}
