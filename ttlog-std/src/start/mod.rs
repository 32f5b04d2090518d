//! Starting the recorder.

pub(crate) mod builder;
mod options;
