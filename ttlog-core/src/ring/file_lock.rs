//! Lock of a ring's file, as proof that the ring is in use.
//!
//! A recorder holds an exclusive lock (`flock`) on its ring's file as long as it has the file mapped. The lock ends
//! with the process, whatever ends it. It is visible in all containers of a host, where process ids mean nothing. On a
//! file system that several hosts share, a lock held on one of them might be invisible to the others. There, a free
//! lock proves nothing about a process of another host until that process has been silent for long.

/// Time without a sign of life after which a process of another host counts as gone, in seconds.
///
/// Long, because the clocks of hosts differ, and because what a process stores into a mapping reaches other hosts late.
pub const SILENCE_MIN_S: u64 = 24 * 60 * 60;

/// Returns the name of a file system that several hosts can share, by its number (`f_type` of Linux's `statfs`); `None`
/// for all others.
#[must_use]
pub const fn shared_file_system(number: u32) -> Option<&'static str> {
    Some(match number {
        0x0000_6969 => "NFS",
        0x0000_517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x6573_5546 => "FUSE", // also virtiofs and sshfs
        0x0102_1997 => "9P",
        0x00c3_6400 => "Ceph",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x1983_0326 => "BeeGFS",
        0x2003_0528 => "OrangeFS",
        0x7863_75f5 => "Coda",
        0x786f_4256 => "VirtualBox shared folder",
        0xbacb_acbc => "VMware shared folder",
        _ => return None,
    })
}

/// Returns whether a free lock proves that no process uses the ring: for a file on a file system of this host alone,
/// for a ring that was recorded on this host, and for one without a sign of life for `silent_s` seconds, if that is
/// [long](SILENCE_MIN_S).
#[must_use]
pub const fn free_lock_is_proof(is_shared: bool, is_of_this_host: bool, silent_s: u64) -> bool {
    !is_shared || is_of_this_host || silent_s >= SILENCE_MIN_S
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_lock_proves_little_on_a_shared_file_system() {
        assert!(free_lock_is_proof(false, false, 0), "a container with another host name");
        assert!(free_lock_is_proof(true, true, 0));
        assert!(!free_lock_is_proof(true, false, SILENCE_MIN_S - 1));
        assert!(free_lock_is_proof(true, false, SILENCE_MIN_S));
        assert_eq!(shared_file_system(0x6969), Some("NFS"));
        assert_eq!(shared_file_system(0x0102_1994), None, "tmpfs");
        assert_eq!(shared_file_system(0xef53), None, "ext4");
    }
}
