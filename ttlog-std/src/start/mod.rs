//! Starting the recorder.

pub(crate) mod builder;
mod init;
mod options;
mod ring;
mod sizes;
