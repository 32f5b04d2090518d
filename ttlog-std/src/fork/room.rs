//! Room for the ring of a child: its part of the memory that all children share, if the process has that much left.

use std::fmt;

use crate::memory::budget;
use crate::state::forked::ChildRoom;

/// Share of the free memory that a single ring can take.
const FREE_SHARE: u64 = 4;
/// The same when other children make their rings at the same moment and might need all of it.
const CROWD_SHARE: u64 = 64;

/// Keys of [`is_first`](crate::sys::report::is_first), beside the error numbers of the operating system.
pub(crate) const NOTHING_RECORDED: usize = 0x1001;
pub(crate) const NO_SERVICE_THREAD: usize = 0x1002;
const NO_BUDGET: usize = 0x1003;
const NO_MEMORY: usize = 0x1004;
/// The same, as an error number.
pub(super) const OTHER_TROUBLE: u32 = 0x1005;

/// Why there is no room for a ring file.
pub(super) enum Shortage {
    /// The other children have it all.
    Budget {
        /// Bytes for all children.
        total: u64,
    },
    /// The memory limit is nearly reached.
    Memory {
        /// Free bytes.
        free: u64,
    },
}

impl Shortage {
    /// Returns the key of the warning.
    pub(super) fn key(&self) -> usize {
        match self {
            Shortage::Budget { .. } => NO_BUDGET,
            Shortage::Memory { .. } => NO_MEMORY,
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shortage::Budget { total } => {
                write!(f, "the rings of other children take all of the {total} bytes of children_bytes")
            }
            Shortage::Memory { free } => write!(f, "only {free} bytes are free under the memory limit"),
        }
    }
}

/// Room for a ring file.
pub(super) struct Claim {
    /// Length of the ring in bytes.
    pub(super) len: u64,
    /// `None` if nobody counts.
    of_budget: Option<budget::Claim>,
}

impl Claim {
    /// Ties the claim to its file.
    pub(super) fn settle(&self, inode: Option<u64>) {
        if let (Some(claim), Some(inode)) = (&self.of_budget, inode) {
            claim.settle(inode);
        }
    }

    /// Reduces it to `len` bytes, if it is more.
    fn shrink(&mut self, len: u64) {
        self.len = self.len.min(len);
        if let Some(claim) = &self.of_budget {
            claim.shrink(self.len);
        }
    }

    /// Returns it to the budget: there is no file.
    pub(super) fn release(&self) {
        if let Some(claim) = &self.of_budget {
            claim.release();
        }
    }
}

/// Claims `wanted` bytes for the ring of this process, or less, but not less than `least`. Async-signal-safe.
///
/// # Errors
/// [`Shortage`] if there is no room for the smallest ring.
pub(super) fn claim(room: &ChildRoom, wanted: u64, least: u64) -> Result<Claim, Shortage> {
    let least = least.min(wanted);
    let mut claim = match room.budget {
        Some(budget) => {
            let claim = budget.claim(wanted, least).ok_or(Shortage::Budget { total: budget.total() })?;
            Claim { len: claim.len, of_budget: Some(claim) }
        }
        None => Claim { len: wanted, of_budget: None },
    };
    // What others have claimed meanwhile can be memory in use already, or not yet: it counts as not yet.
    let others = room.budget.map_or(0, |budget| budget.in_flight().saturating_sub(claim.len));
    let enough = claim.len.saturating_mul(FREE_SHARE).saturating_add(others);
    let free = room.limit.as_ref().and_then(|limit| limit.free_bytes(enough));
    let Some(free) = free else { return Ok(claim) };
    let affordable = (free.saturating_sub(others) / FREE_SHARE).max(free / CROWD_SHARE);
    if affordable < least {
        claim.release();
        return Err(Shortage::Memory { free });
    }
    claim.shrink(affordable);
    Ok(claim)
}
