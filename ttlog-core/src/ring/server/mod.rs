//! Parts of rings on servers only: anchors, the end of the process, external requests, and children of `fork`.

pub(crate) mod anchors;
pub(crate) mod control;
pub(crate) mod end;
pub(crate) mod inherit;
pub(crate) mod progress;
pub(crate) mod renewal;
