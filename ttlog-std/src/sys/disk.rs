//! Free room on a disk.

use std::path::Path;

/// Sizes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Bytes that this user can still fill.
    pub(crate) free: u64,
    /// Bytes that this user could fill on an empty disk.
    pub(crate) total: u64,
}

impl Disk {
    /// Returns the disk of `directory`; `None` if that is unknown, and then there are no limits.
    pub(crate) fn of(directory: &Path) -> Option<Disk> {
        disk_room(directory).filter(|disk| disk.total > 0)
    }

    /// Returns whether at least `percent` of the disk and `bytes` in addition are free.
    pub(crate) fn has_free(&self, percent: u8, bytes: u64) -> bool {
        u128::from(self.free.saturating_sub(bytes)) * 100 >= u128::from(self.total) * u128::from(percent)
    }

    /// Returns the free bytes in addition to `percent` of the disk.
    pub(crate) fn spare(&self, percent: u8) -> u64 {
        let kept = (u128::from(self.total) * u128::from(percent)).div_ceil(100);
        self.free.saturating_sub(u64::try_from(kept).unwrap_or(u64::MAX))
    }

    /// Returns the percentage that is free, rounded down.
    pub(crate) fn free_percent(&self) -> u8 {
        u8::try_from((u128::from(self.free) * 100).checked_div(self.total.into()).unwrap_or(100)).unwrap_or(100)
    }
}

/// Returns whether the files of a directory are in memory; `false` if that is unknown.
pub(crate) fn is_in_memory(directory: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt as _;
        const TMPFS: i64 = 0x0102_1994;
        const RAMFS: i64 = 0x8584_58f6;
        let Ok(path) = std::ffi::CString::new(directory.as_os_str().as_bytes()) else { return false };
        let mut status = std::mem::MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: the path is a terminated string that outlives the call, and `status` a valid place.
        if unsafe { libc::statfs(path.as_ptr(), status.as_mut_ptr()) } != 0 {
            return false;
        }
        // SAFETY: the call succeeded, so it was written.
        let status = unsafe { status.assume_init() };
        #[allow(clippy::unnecessary_cast, reason = "the type differs between systems")]
        let kind = status.f_type as i64;
        matches!(kind, TMPFS | RAMFS)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = directory;
        false
    }
}

/// Returns the sizes of the disk of `path`, as `df` computes them: without the part reserved for root. Returns `None`
/// if that is unknown.
fn disk_room(path: &Path) -> Option<Disk> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
        let mut status = std::mem::MaybeUninit::<libc::statvfs>::uninit();
        // SAFETY: the path is a terminated string that outlives the call, and `status` a valid place.
        if unsafe { libc::statvfs(path.as_ptr(), status.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: the call succeeded, so it was written.
        let status = unsafe { status.assume_init() };
        #[allow(clippy::unnecessary_cast, reason = "the types differ between systems")]
        let (block, blocks, free, available) =
            (status.f_frsize as u64, status.f_blocks as u64, status.f_bfree as u64, status.f_bavail as u64);
        let total = blocks.saturating_sub(free).saturating_add(available);
        Some(Disk { free: available.saturating_mul(block), total: total.saturating_mul(block) })
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}
