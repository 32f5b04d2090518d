//! Kill points: places between the stores of the ring's protocols at which a test can cut a context off, as death, or a
//! signal handler that logs, would. They exist only under `--cfg ttlog_kill_points` (see `ci/checks/kill-points`).
//! Other builds contain no instruction of them.

/// Calls the callback: this context passes a kill point. Expands to nothing without `--cfg ttlog_kill_points`.
macro_rules! kill_point {
    ($point:ident) => {
        #[cfg(ttlog_kill_points)]
        $crate::memory::kill::pass($crate::memory::kill::KillPoint::$point)
    };
    ($is_first:expr => $first:ident, else $second:ident) => {
        #[cfg(ttlog_kill_points)]
        $crate::memory::kill::pass(if $is_first {
            $crate::memory::kill::KillPoint::$first
        } else {
            $crate::memory::kill::KillPoint::$second
        })
    };
}
pub(crate) use kill_point;

/// Calls the step callback. A *step* is a store to a word or half of one, or the moment between a load and a change
/// that depends on it. Steps are the kill points of devices, where all stores to memory outlive a reset, in their
/// order. Expands to nothing without `--cfg ttlog_kill_points`.
macro_rules! kill_step {
    () => {
        #[cfg(ttlog_kill_points)]
        $crate::memory::kill::step()
    };
}
pub(crate) use kill_step;

#[cfg(ttlog_kill_points)]
pub use on::{KillPoint, pass, set_callback, set_step_callback, step};

#[cfg(ttlog_kill_points)]
mod on {
    use core::sync::atomic::{AtomicPtr, Ordering};

    /// Declares the kill points and the list of all of them.
    macro_rules! points {
        ($($(#[$doc:meta])* $point:ident,)*) => {
            /// A kill point, named after the action just completed.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum KillPoint {
                $($(#[$doc])* $point,)*
            }

            impl KillPoint {
                /// All kill points.
                pub const ALL: &'static [KillPoint] = &[$(KillPoint::$point,)*];
            }
        };
    }

    points! {
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
        /// The cursor no longer holds a segment; the segment is still owned.
        LeaveForgotten,
        /// The cursor has counted the events of the segment it leaves.
        LeaveCounted,
        /// The closing time of the segment being left is stored.
        LeaveClosed,
        /// The segment being left is free for any context.
        LeaveFreed,
        /// The context is counted as a holder; the count is not yet compared with the limit.
        HolderAdded,
        /// There were too many holders; the context is no longer counted.
        HolderRefused,
        /// The context is no longer counted as a holder.
        HolderLeft,
        /// The cursor has everything about a segment except its address.
        HoldPrepared,
        /// The cursor holds a segment.
        Held,
        /// A segment to adopt was found.
        AdoptFound,
        /// The segment is owned; it might have been replaced before that.
        AdoptClaimed,
        /// A sequence number was taken.
        OpenNumbered,
        /// The segment can be claimed.
        OpenFree,
        /// The segment is claimed.
        OpenClaimed,
        /// The segment was newer, and was returned.
        OpenReturned,
        /// Complete-from was raised.
        OpenRaised,
        /// Phase 1 is stored.
        OpenPhase1,
        /// The loss is stored in the base word.
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
        /// A word of the record area is zeroed.
        OpenZeroed,
        /// Phase 0 is stored.
        OpenPhase0,
        /// The segment accepts reservations.
        OpenShared,
        /// The index of the shared segment was read.
        SharedLoaded,
        /// A new shared segment is open; other contexts do not know it yet.
        SharedOpened,
        /// The new shared segment is published to other contexts.
        SharedPublished,
        /// Another context opened a shared segment first.
        SharedSurplus,
        /// The commit half-word of the shared segment was read, to close it.
        CloseLoaded,
        /// The shared segment is closed.
        Closed,
        /// The commit half-word of the shared segment was read, to reserve.
        ReserveLoaded,
        /// Space for the record is reserved.
        Reserved,
        /// The full segment is no longer the shared segment.
        ReserveForgotten,
        /// Segment base and lap were read.
        FillBegun,
        /// The header with the reservation's length is stored.
        FillLength,
        /// Priority class: the context has noted that its identity is recorded in this segment.
        PriorityTold,
        /// Priority class: no priority segment takes the event, so it goes to an ordinary one, and this is recorded.
        PriorityStrayed,
        /// Priority class: the event's header is stored, that of the context record before it is not.
        FillUnnamed,
        /// The record's header is stored; with two records, the first one's.
        FillSealed,
        /// The segment's closing time was raised.
        FillRaised,
        /// The reservation is complete.
        FillDone,
        /// An event was counted as dropped.
        Dropped,
        /// Space in the table is claimed.
        EntryClaimed,
        /// A word of an entry is stored.
        EntryWord,
        /// The entry is committed.
        EntryCommitted,
        /// The anchor's slot is invalidated.
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
        /// The text of the filter is invalidated.
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

    /// Sets the callback that runs at each kill point, on the context that passes it. The callback may unwind, log into
    /// the ring, or never return.
    pub fn set_callback(callback: fn(KillPoint)) {
        CALLBACK.store(callback as *mut (), Ordering::Release);
    }

    /// Calls the kill-point callback.
    pub fn pass(point: KillPoint) {
        let callback = CALLBACK.load(Ordering::Acquire);
        if !callback.is_null() {
            // SAFETY: only a `fn(KillPoint)` is ever stored.
            let callback = unsafe { core::mem::transmute::<*mut (), fn(KillPoint)>(callback) };
            callback(point);
        }
    }

    /// Sets the callback that runs at each step, on the context that makes it. The callback may unwind, or log into the
    /// ring.
    pub fn set_step_callback(callback: fn()) {
        STEP_CALLBACK.store(callback as *mut (), Ordering::Release);
    }

    /// Calls the step callback.
    pub fn step() {
        let callback = STEP_CALLBACK.load(Ordering::Acquire);
        if !callback.is_null() {
            // SAFETY: only a `fn()` is ever stored.
            let callback = unsafe { core::mem::transmute::<*mut (), fn()>(callback) };
            callback();
        }
    }
}
