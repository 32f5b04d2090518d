//! Reasons why there is no recorder.

use std::fmt;
use std::io;
use std::path::PathBuf;

use ttlog_core::FilterError;

use crate::memory::directory::MappingError;

/// Error of starting a recorder.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// This process already has a recorder; [`Recorder::current`](crate::Recorder::current) returns it.
    AlreadyInitialized,
    /// Something else is installed as the recorder of ttlog-core's macros.
    OtherRecorder,
    /// An option is out of range.
    OutOfRange {
        /// The option's name.
        option: &'static str,
        /// The requested value.
        value: usize,
        /// Smallest possible value.
        min: usize,
        /// Largest possible value.
        max: usize,
    },
    /// The value of an option that is not a size is invalid.
    Option {
        /// The option's name.
        option: &'static str,
        /// The requested value, in Rust's notation.
        value: String,
        /// The expected values.
        expected: &'static str,
    },
    /// The value of an environment variable is invalid.
    Environment {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
        /// The expected values.
        expected: String,
    },
    /// The directives of the [`filter`](crate::Builder::filter) are invalid.
    Filter {
        /// The requested value.
        directives: String,
        /// The error in it.
        error: FilterError,
    },
    /// The [required](crate::RingFileChoice::Required) ring file is not available.
    RingFile {
        /// The action that failed, as in "create directory".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// There is not enough memory for the ring.
    OutOfMemory,
}

impl From<BadVariable> for InitError {
    fn from(bad: BadVariable) -> Self {
        let BadVariable { variable, value, expected } = bad;
        InitError::Environment { variable, value, expected }
    }
}

impl From<MappingError> for InitError {
    fn from(error: MappingError) -> Self {
        let MappingError { action, path, cause } = error;
        InitError::RingFile { action, path, cause }
    }
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitError::AlreadyInitialized => f.write_str("this process already has a recorder"),
            InitError::OtherRecorder => f.write_str("another recorder is installed in this process"),
            InitError::OutOfRange { option, value, min, max } => {
                write!(f, "{option} {value} is not in {min} to {max}")
            }
            InitError::Option { option, value, expected } => write!(f, "{option} {value} is not {expected}"),
            InitError::Environment { variable, value, expected } => {
                write!(f, "environment variable {variable}={value:?}: expected {expected}")
            }
            InitError::Filter { directives, error } => write!(f, "filter {directives:?}: {error}"),
            InitError::RingFile { action, path, cause } => write!(f, "cannot {action} {path:?}: {cause}"),
            InitError::OutOfMemory => f.write_str("not enough memory for the ring"),
        }
    }
}

impl std::error::Error for InitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InitError::RingFile { cause, .. } => Some(cause),
            InitError::Filter { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// A variable with an invalid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadVariable {
    pub(crate) variable: &'static str,
    pub(crate) value: String,
    pub(crate) expected: String,
}

impl fmt::Display for BadVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "environment variable {}={:?}: expected {}", self.variable, self.value, self.expected)
    }
}
