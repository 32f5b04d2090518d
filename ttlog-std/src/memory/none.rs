//! Stand-in for a ring file, its guard and the budget of children, on systems that map no file.

pub(crate) mod ring_file {
    use std::fmt;
    use std::io;
    use std::path::Path;

    use ttlog_core::Word;

    use super::super::directory::MappingError;

    /// The file behind a ring; there is none.
    #[derive(Debug)]
    pub(crate) struct RingFile {
        /// Path of the file.
        pub(crate) path: &'static Path,
    }

    impl RingFile {
        /// Removes the file's name.
        pub(crate) fn remove(&self) -> io::Result<()> {
            std::fs::remove_file(self.path)
        }
    }

    /// Fails: ring files are not available on this system.
    pub(crate) fn create_ring_file<T, E: fmt::Display>(
        directory: &Path,
        _stem: &str,
        _len_words: usize,
        _prepare: impl FnOnce(&'static [Word]) -> Result<T, E>,
    ) -> Result<(&'static [Word], RingFile, T), MappingError> {
        let cause = io::Error::new(io::ErrorKind::Unsupported, "this system is not supported yet");
        Err(MappingError::new("map a ring file in", directory, cause))
    }
}

pub(crate) mod guard {
    use std::io;

    use ttlog_core::Word;

    use super::ring_file::RingFile;

    /// Does nothing: there is no mapping to guard.
    pub(crate) fn guard(_words: &'static [Word], _file: &'static RingFile) -> io::Result<()> {
        Ok(())
    }

    /// Returns 0: no file was truncated.
    pub(crate) fn cut_len() -> usize {
        0
    }
}

pub(crate) mod budget {
    use std::path::Path;

    use crate::sys::report::Reported;

    /// The memory that children share; there is none.
    pub(crate) struct Budget {
        /// The trouble that was reported by any of them.
        pub(crate) reported: Reported,
    }

    impl Budget {
        /// Returns no budget: children have no rings of their own.
        pub(crate) fn new(_total: u64) -> Option<&'static Self> {
            None
        }

        /// Returns `false`: there are no claims.
        pub(crate) fn take_sweep(&self, _now_ns: u64) -> bool {
            false
        }

        /// Does nothing.
        pub(crate) fn free_gone(&self, _directory: &Path, _is_last: bool) {}
    }
}
