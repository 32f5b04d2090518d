//! Stand-in for the limits of memory, on systems where none is looked for.

/// A limit of memory; there is none.
#[derive(Debug, Clone)]
pub(crate) struct MemoryLimit {
    pub(crate) limit_bytes: u64,
}

impl MemoryLimit {
    /// Returns no limits.
    pub(crate) fn all() -> Vec<Self> {
        Vec::new()
    }

    /// Returns `None`: unknown.
    pub(crate) fn free_bytes(&self, _enough: u64) -> Option<u64> {
        None
    }
}

/// Returns `None`: unknown.
pub(crate) fn machine_memory_bytes() -> Option<u64> {
    None
}
