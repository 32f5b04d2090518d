//! What only rings on servers have: anchors, the end of the process, requests from outside, and children of `fork`.

pub(crate) mod anchors;
pub(crate) mod control;
pub(crate) mod end;
pub(crate) mod inherit;
pub(crate) mod progress;
pub(crate) mod renewal;
