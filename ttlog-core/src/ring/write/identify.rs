//! The identity of a context, as the writers ask for it: they record it once in each segment.

use crate::record::{CONTEXT_NAME_MAX, ContextInfo};

/// Room for a copy of a context's name.
pub type NameRoom = [u8; CONTEXT_NAME_MAX];

/// A context that appends, and whose name can change. A [`ContextInfo`] is one whose name does not.
pub trait Identify {
    /// Returns the number of the context within the ring.
    fn context(&self) -> u32;

    /// Returns the identity as it was last known. `room` is for the name, if that has to be copied.
    fn known<'r>(&'r self, room: &'r mut NameRoom) -> ContextInfo<'r>;

    /// Returns the identity as it is now. Called when it is about to be recorded: at most once per segment and class.
    fn renewed<'r>(&'r self, room: &'r mut NameRoom) -> ContextInfo<'r> {
        self.known(room)
    }
}

impl Identify for ContextInfo<'_> {
    fn context(&self) -> u32 {
        self.context
    }

    fn known<'r>(&'r self, _room: &'r mut NameRoom) -> ContextInfo<'r> {
        *self
    }
}
