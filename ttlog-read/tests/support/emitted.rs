//! Events of the log macros, in a ring of their own for each test.

use std::collections::HashMap;
use std::sync::Mutex;

use ttlog_core::event::{Callsite, Metadata};
use ttlog_core::ring::DropReason;
use ttlog_core::snapshot::Codec;
use ttlog_core::{AnyFields, encode_callsite, recorder};

use super::recording::{Recording, SECOND};

/// Records the events of one test after the other in a ring of its own.
struct ToRing(Mutex<Option<State>>);

struct State {
    recording: Recording,
    /// Ids by callsite and types.
    ids: HashMap<(usize, u32), u16>,
    last_span: u64,
}

static TO_RING: ToRing = ToRing(Mutex::new(None));
/// Held by the test that records.
static TURN: Mutex<()> = Mutex::new(());

impl recorder::Recorder for ToRing {
    fn is_on(&self, _metadata: &Metadata) -> bool {
        true
    }

    fn new_span_id(&self) -> u64 {
        self.0.lock().expect("no panic while it is held").as_mut().map_or(0, |state| {
            state.last_span += 1;
            state.last_span
        })
    }

    fn record(&self, callsite: &'static Callsite, fields: &dyn AnyFields) {
        let mut state = self.0.lock().expect("no panic while it is held");
        let State { recording, ids, .. } = state.as_mut().expect("a test records");
        let known = ids.len() as u16;
        let id = *ids.entry((std::ptr::from_ref(callsite).addr(), fields.types_hash())).or_insert_with(|| {
            let mut entry = [0; 4096];
            let len = encode_callsite(known + 1, callsite.metadata(), fields.types(), &mut entry).expect("it fits");
            recording.ring.append_entry(&entry[..len]).expect("it fits");
            known + 1
        });
        let outcome = recording.ring.append_shared(SECOND, 1, id, fields, DropReason::NoSegment);
        assert_eq!(outcome, ttlog_core::ring::AppendOutcome::Recorded);
    }
}

/// Runs `events` and returns the bytes of a snapshot of them.
pub(crate) fn snapshot_of(events: impl FnOnce()) -> Vec<u8> {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    _ = recorder::install(&TO_RING); // by whichever test is first
    let recording = Recording::new(5, 64, 16_384);
    *TO_RING.0.lock().expect("as above") = Some(State { recording, ids: HashMap::new(), last_span: 0 });
    events();
    let State { recording, .. } = TO_RING.0.lock().expect("as above").take().expect("set above");
    recording.snapshot("test", 100 * SECOND, Codec::Lz4)
}
