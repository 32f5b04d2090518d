//! Parts of rings on servers only: anchors, the end of the process, external requests, children of `fork`, and moves
//! to other memory.

pub(crate) mod anchors;
pub(crate) mod control;
pub(crate) mod end;
pub(crate) mod gate;
pub(crate) mod inherit;
pub(crate) mod progress;
pub(crate) mod relocation;
pub(crate) mod renewal;
