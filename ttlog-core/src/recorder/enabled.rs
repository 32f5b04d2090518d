//! Whether a callsite is on: its cached answer for this epoch, or else the recorder's.

use portable_atomic::Ordering;

use super::install::installed;
use crate::event::callsite::Callsite;
use crate::event::epoch::EPOCH;
#[cfg(not(target_os = "none"))]
use crate::event::epoch::FOREIGN;

impl Callsite {
    /// Returns whether to record the event. Costs two loads and a compare if not, one more of each if so. Asks the
    /// recorder once per epoch. Does not block; callable anywhere.
    #[inline(always)]
    pub fn is_enabled(&self) -> bool {
        let epoch = EPOCH.load(Ordering::Relaxed);
        self.off_epoch.load(Ordering::Relaxed) != epoch
            && (self.on_epoch.load(Ordering::Relaxed) == epoch || self.ask())
    }

    /// Asks the recorder, and caches the answer for this epoch.
    #[cold]
    #[inline(never)]
    fn ask(&self) -> bool {
        // Loaded before the recorder is asked: if the filter changes in between, this callsite asks again.
        let epoch = EPOCH.load(Ordering::Acquire);
        #[cfg(not(target_os = "none"))]
        let epoch = if epoch == FOREIGN {
            let Some(host) = super::host::host() else { return false };
            let epoch = host.epoch();
            if self.off_epoch.load(Ordering::Relaxed) == epoch {
                return false;
            }
            if self.on_epoch.load(Ordering::Relaxed) == epoch {
                return true;
            }
            epoch
        } else {
            epoch
        };
        let on = installed().is_some_and(|recorder| recorder.is_on(self.metadata));
        let known = if on { &self.on_epoch } else { &self.off_epoch };
        known.store(epoch, Ordering::Relaxed);
        on
    }
}
