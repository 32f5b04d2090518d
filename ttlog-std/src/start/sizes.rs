//! Sizes of rings that nobody has set: chosen by the memory that the process can have, and by the file system.
//!
//! Ring files in `/dev/shm` are memory that counts against the limits of the process's cgroups from the moment they are
//! allocated, and exceeding a limit ends a process. So the ring of the first process and those of all its children take
//! a 16th of the memory each, and a quarter of the file system. The documentation of the
//! [options](crate::Builder::capacity_bytes) states the rule.

use std::path::Path;

use crate::config::settings::{CAPACITY_BYTES_DEFAULT, CAPACITY_BYTES_MIN, Settings};
use crate::sys::{self, Disk, MemoryLimit, report};

/// Share of the memory that a ring, or those of all children, take by default.
const MEMORY_SHARE: u64 = 16;
/// Share of the file system for the same.
const DISK_SHARE: u64 = 4;
/// Share of the children's bytes that a single one takes by default.
const CHILD_SHARE: u64 = 64;
/// Capacity with which a file system is better than the next one with more room.
const GOOD_CAPACITY: usize = 1 << 20;

/// Memory that the process can have.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    /// Bytes in total; the largest number if unknown.
    pub(super) total: u64,
    /// Bytes that are free under the limits of the cgroups; the largest number if there are none.
    free: u64,
    /// The smallest limit of a cgroup.
    pub(super) limit: Option<MemoryLimit>,
}

impl Memory {
    /// Returns the memory of this process.
    pub(super) fn of_process() -> Self {
        let limits = MemoryLimit::all();
        let free = limits.iter().filter_map(|limit| limit.free_bytes(u64::MAX)).min().unwrap_or(u64::MAX);
        let limit = limits.into_iter().min_by_key(|limit| limit.limit_bytes);
        let machine = sys::machine_memory_bytes().unwrap_or(u64::MAX);
        Memory { total: limit.as_ref().map_or(machine, |limit| limit.limit_bytes.min(machine)), free, limit }
    }
}

/// A place for a ring: a directory, or the heap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Sizes of its file system; `None` if unknown, and for the heap.
    disk: Option<Disk>,
    /// Whether everything in it is memory.
    pub(super) is_memory: bool,
}

impl Room {
    /// The heap.
    pub(super) const HEAP: Room = Room { disk: None, is_memory: true };

    /// Examines a directory, or the nearest one above it that exists.
    pub(super) fn of(directory: &Path) -> Self {
        let there = directory.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
        Room { disk: Disk::of(there), is_memory: sys::is_in_memory(there) }
    }

    /// Returns the capacity for events of a ring here: as set, or as memory and disk suggest.
    pub(super) fn capacity(&self, settings: &Settings, memory: &Memory) -> usize {
        let Some(asked) = settings.capacity_bytes else { return self.usual_capacity(memory) };
        if !self.is_memory || asked as u64 <= memory.free / 2 {
            return asked;
        }
        let taken = narrow(memory.free / 4).max(CAPACITY_BYTES_MIN).min(asked);
        report::warn(format_args!(
            "a ring of {asked} bytes could exceed the memory limit, of which {} bytes are free; {taken} bytes are used",
            memory.free
        ));
        taken
    }

    fn usual_capacity(&self, memory: &Memory) -> usize {
        let by_disk = self.disk.map_or(u64::MAX, |disk| (disk.total / DISK_SHARE).min(disk.free / 2));
        narrow(by_memory(memory).min(by_disk)).max(CAPACITY_BYTES_MIN)
    }

    /// Returns whether a ring here is as large as the memory allows, or large enough to be useful.
    pub(super) fn is_good(&self, settings: &Settings, memory: &Memory) -> bool {
        settings.capacity_bytes.is_some()
            || self.usual_capacity(memory) >= narrow(by_memory(memory)).clamp(CAPACITY_BYTES_MIN, GOOD_CAPACITY)
    }

    /// Returns the bytes that the rings of all children take together here.
    pub(super) fn children_bytes(&self, settings: &Settings, memory: &Memory) -> u64 {
        let by_disk = self.disk.map_or(u64::MAX, |disk| disk.total / DISK_SHARE);
        settings.children_bytes.map_or((memory.total / MEMORY_SHARE).min(by_disk), |bytes| bytes as u64)
    }
}

/// Returns the bytes that the ring of a child takes when nothing else is set, of those of all children.
pub(super) fn usual_child_bytes(children_bytes: u64) -> u64 {
    children_bytes / CHILD_SHARE
}

/// Returns the capacity that the memory suggests.
fn by_memory(memory: &Memory) -> u64 {
    (CAPACITY_BYTES_DEFAULT as u64).min(memory.total / MEMORY_SHARE).min(memory.free / 4)
}

fn narrow(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn memory(total_mib: u64, free_mib: u64) -> Memory {
        Memory { total: total_mib * MIB, free: free_mib * MIB, limit: None }
    }

    fn room(total_mib: u64, free_mib: u64) -> Room {
        Room { disk: Some(Disk { total: total_mib * MIB, free: free_mib * MIB }), is_memory: true }
    }

    fn plenty() -> Memory {
        Memory { total: 64 << 30, free: u64::MAX, limit: None }
    }

    #[test]
    fn sizes_that_are_not_set_follow_memory_and_disk() {
        let settings = Settings::default();
        for (memory, room, capacity_kib, children_kib) in [
            (plenty(), room(32 << 10, 32 << 10), 16 << 10, 4 << 20),
            (plenty(), room(64, 64), 16 << 10, 16 << 10),
            (plenty(), room(64, 10), 5 << 10, 16 << 10),
            (memory(256, 250), room(32 << 10, 32 << 10), 16 << 10, 16 << 10),
            (memory(64, 60), room(64, 64), 4 << 10, 4 << 10),
            (memory(256, 8), room(64, 64), 2 << 10, 16 << 10),
            (memory(1, 0), room(64, 64), 16, 64),
            (memory(256, 250), Room::HEAP, 16 << 10, 16 << 10),
        ] {
            let found = (room.capacity(&settings, &memory) / 1024, room.children_bytes(&settings, &memory) / 1024);
            assert_eq!(found, (capacity_kib, children_kib), "{memory:?} {room:?}");
        }
        assert_eq!(usual_child_bytes(16 * MIB), 256 << 10);
    }

    #[test]
    fn sizes_that_are_set_are_kept_unless_they_would_be_fatal() {
        let settings = Settings { capacity_bytes: Some(64 << 20), children_bytes: Some(5), ..Settings::default() };
        let capacity = |room: Room, memory: &Memory| room.capacity(&settings, memory) as u64 / MIB;
        assert_eq!(capacity(room(64, 1), &plenty()), 64);
        assert_eq!(capacity(room(64, 64), &memory(256, 128)), 64);
        assert_eq!(capacity(room(64, 64), &memory(256, 127)), 31);
        let disk = Room { is_memory: false, ..room(1000, 500) };
        assert_eq!(capacity(disk, &memory(32, 30)), 64, "the kernel can write it to the disk");
        assert_eq!(room(64, 64).children_bytes(&settings, &plenty()), 5);
    }

    #[test]
    fn file_system_that_is_nearly_full_is_not_good() {
        let settings = Settings::default();
        assert!(room(64, 64).is_good(&settings, &plenty()) && room(64, 2).is_good(&settings, &plenty()));
        assert!(!room(64, 1).is_good(&settings, &plenty()));
        assert!(room(64, 1).is_good(&settings, &memory(8, 8)), "memory does not allow more than half a MiB anyway");
        assert!(Room::HEAP.is_good(&settings, &memory(1, 0)));
    }
}
