//! Kill points: places between the stores of the ring's protocols at which a test lets a context be cut off, as death, or a
//! signal handler that logs, would do. They exist under `--cfg ttlog_kill_points` alone (see `ci/checks/kill-points`); any other build
//! has not one instruction of them.

/// Tells the callback that this context passes a kill point. Without `--cfg ttlog_kill_points` it stands for nothing.
macro_rules! kill_point {
    ($site:ident) => {
        #[cfg(ttlog_kill_points)]
        $crate::memory::kill::pass($crate::memory::kill::Site::$site)
    };
    ($is_first:expr => $first:ident, else $second:ident) => {
        #[cfg(ttlog_kill_points)]
        $crate::memory::kill::pass(if $is_first {
            $crate::memory::kill::Site::$first
        } else {
            $crate::memory::kill::Site::$second
        })
    };
}
pub(crate) use kill_point;

/// Tells another callback of a *step*: a word, or half of one, was stored, or is about to be changed after something was loaded that the
/// change depends on. These are the kill points of devices, where all stores to memory outlive a reset, in their order. Without
/// `--cfg ttlog_kill_points` it stands for nothing.
macro_rules! kill_step {
    () => {
        #[cfg(ttlog_kill_points)]
        $crate::memory::kill::step()
    };
}
pub(crate) use kill_step;

#[cfg(ttlog_kill_points)]
pub use on::{Site, pass, set_callback, set_step_callback, step};

#[cfg(ttlog_kill_points)]
mod on {
    use core::sync::atomic::{AtomicPtr, Ordering};

    /// Declares the sites, and the list of all of them.
    macro_rules! sites {
        ($($(#[$doc:meta])* $site:ident,)*) => {
            /// A kill point: what was done last when it is passed.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum Site {
                $($(#[$doc])* $site,)*
            }

            impl Site {
                /// All kill points.
                pub const ALL: &'static [Site] = &[$(Site::$site,)*];
            }
        };
    }

    sites! {
        /// Hot path: the cursor is closed.
        HotClosed,
        /// Hot path: the commit half-word was read, and there is room.
        HotLoaded,
        /// Hot path: the segment is marked busy.
        HotMarked,
        /// Hot path: the record's header is stored.
        HotSealed,
        /// Hot path: the record is committed.
        HotCommitted,
        /// A word of a payload is stored.
        WordStored,
        /// Slow path: the cursor is closed.
        SlowClosed,
        /// Slow path: the cursor is open again.
        SlowOpened,
        /// The segment is marked busy.
        PutMarked,
        /// The record's header is stored.
        PutSealed,
        /// A control record is committed.
        ControlCommitted,
        /// An event is committed.
        PutCommitted,
        /// The cursor holds nothing any more, the segment is still owned.
        LeaveForgotten,
        /// The cursor counted the events of the segment that it leaves.
        LeaveCounted,
        /// The segment that is left has its closing time.
        LeaveClosed,
        /// The segment that is left is anybody's.
        LeaveFreed,
        /// Counted among the holders, not yet compared with the limit.
        HolderAdded,
        /// There were too many holders; not counted any more.
        HolderRefused,
        /// Not counted among the holders any more.
        HolderLeft,
        /// The cursor has all of a segment but its address.
        HoldPrepared,
        /// The cursor holds a segment.
        Held,
        /// A segment to adopt was found.
        AdoptFound,
        /// It is owned, and may have been replaced before.
        AdoptClaimed,
        /// A sequence was taken.
        OpenNumbered,
        /// The segment can be claimed.
        OpenFree,
        /// The segment is claimed.
        OpenClaimed,
        /// It was newer, and was given back.
        OpenReturned,
        /// Complete-from was raised.
        OpenRaised,
        /// Phase 1 is stored.
        OpenPhase1,
        /// The loss is stored in place of the base.
        OpenLossSaved,
        /// Phase 2 is stored.
        OpenPhase2,
        /// The loss is stored.
        OpenLossStored,
        /// The commit half-word is stored.
        OpenEmptied,
        /// Phase 3 is stored.
        OpenPhase3,
        /// The base is stored.
        OpenBase,
        /// Context and CRC are stored.
        OpenContext,
        /// The closing time is stored.
        OpenClose,
        /// A word for records is zeroed.
        OpenZeroed,
        /// Phase 0 is stored.
        OpenPhase0,
        /// The segment takes reservations.
        OpenShared,
        /// The index of the shared segment was read.
        SharedLoaded,
        /// A new shared segment is open, and not known to others.
        SharedOpened,
        /// The new shared segment is known to others.
        SharedPublished,
        /// Another context was quicker to open a shared segment.
        SharedSurplus,
        /// The commit half-word of the shared segment was read, to close it.
        CloseLoaded,
        /// The shared segment is closed.
        Closed,
        /// The commit half-word of the shared segment was read, to reserve.
        ReserveLoaded,
        /// The record's place is reserved.
        Reserved,
        /// The full segment is not the shared one any more.
        ReserveForgotten,
        /// Segment base and lap were read.
        FillBegun,
        /// The header that tells the reservation's length is stored.
        FillLength,
        /// Kept class: the context remembers that it is told in this segment.
        KeptTold,
        /// Kept class: no segment of it takes the event, which goes to another, and that is told.
        KeptStrayed,
        /// Kept class: the event's header is stored, the context record before it is not.
        FillUnnamed,
        /// The record's header is stored; of two records that of the first.
        FillSealed,
        /// The segment's closing time was raised.
        FillRaised,
        /// The reservation is done.
        FillDone,
        /// An event was counted as dropped.
        Dropped,
        /// A place in the table is claimed.
        EntryClaimed,
        /// A word of an entry is stored.
        EntryWord,
        /// The entry is committed.
        EntryCommitted,
        /// An anchor's slot is void.
        AnchorVoided,
        /// The anchor's ticks are stored.
        AnchorTicks,
        /// The anchor's wall clock is stored.
        AnchorTime,
        /// The anchor is valid.
        AnchorStamped,
        /// The anchor is counted.
        AnchorCounted,
        /// The end block is claimed.
        EndClaimed,
        /// A word of the end block is stored.
        EndWord,
        /// The CRC of the end block is stored.
        EndSealed,
        /// The end block is valid.
        EndStored,
        /// The time of a panic is stored.
        PanicTimed,
        /// The thread of a panic is stored.
        PanicTold,
        /// The panic is counted.
        PanicCounted,
        /// The text of the filter is void.
        FilterVoided,
        /// A word of the filter's text is stored.
        FilterWord,
        /// The text of the filter is valid.
        FilterTold,
        /// The result of a request is stored.
        AnswerTold,
        /// The request is answered.
        Answered,
    }

    static CALLBACK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
    static STEP_CALLBACK: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

    /// Sets what is called, on the passing context, at each kill point. It may unwind, log into the ring, or never return.
    pub fn set_callback(callback: fn(Site)) {
        CALLBACK.store(callback as *mut (), Ordering::Release);
    }

    /// Calls the callback.
    pub fn pass(site: Site) {
        let callback = CALLBACK.load(Ordering::Acquire);
        if !callback.is_null() {
            // SAFETY: nothing but a `fn(Site)` is ever stored.
            let callback = unsafe { core::mem::transmute::<*mut (), fn(Site)>(callback) };
            callback(site);
        }
    }

    /// Sets what is called, on the context that makes it, at each step. It may unwind, or log into the ring.
    pub fn set_step_callback(callback: fn()) {
        STEP_CALLBACK.store(callback as *mut (), Ordering::Release);
    }

    /// Calls the callback of steps.
    pub fn step() {
        let callback = STEP_CALLBACK.load(Ordering::Acquire);
        if !callback.is_null() {
            // SAFETY: nothing but a `fn()` is ever stored.
            let callback = unsafe { core::mem::transmute::<*mut (), fn()>(callback) };
            callback();
        }
    }
}
