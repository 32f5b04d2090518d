use super::*;
use crate::memory::ring_file::{RingFile, create_ring_file};
use ttlog_core::ring::file_name::{RING_SUFFIX, UNFINISHED_SUFFIX};
use ttlog_core::snapshot::{Codec, SnapshotOptions};
use ttlog_core::{Ring, RingConfig, Word};

/// Leaves the ring file of a dead process, and returns its path.
fn dead_ring(directory: &Path, name: &str, ended: bool) -> PathBuf {
    let (file, ring) = ring_file(directory, &format!("{name}-alive"));
    if ended {
        ring.mark_ended();
    }
    // A mapping keeps its file locked until the process ends, so a copy takes its place.
    let (alive, dead) = (&file.path, directory.join(format!("{name}{RING_SUFFIX}")));
    std::fs::copy(alive, &dead).unwrap();
    std::fs::remove_file(alive).unwrap();
    dead
}

fn ring_file(directory: &Path, name: &str) -> (RingFile, Ring<'static>) {
    let config = RingConfig { ring_id: 5, segment_len: 1024, table_len: 8192, anchor_count: 4, ..RingConfig::PLAIN };
    let len_words = (config.overhead_len() + 8 * 1024) / 8;
    let (_, file, ring) = create_ring_file(directory, name, len_words, |words: &'static [Word]| {
        let ring = Ring::create(words, &config)?;
        let item = crate::memory::process_item::encode_item("../svc", &crate::clock::choose(false), 1).unwrap();
        ring.append_entry(&item).unwrap();
        Ok::<_, ttlog_core::RingError>(ring)
    })
    .unwrap();
    (file, ring)
}

fn scratch_directory() -> PathBuf {
    let path = std::env::temp_dir().join(format!("ttlog-orphan-{:x}", crate::sys::random()));
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    path
}

fn recover_in(directory: &Path, path: &Path) -> Result<OrphanOutcome, OrphanError> {
    recover(path, &Rules::new(&directory.join("snapshots"), 0, 1 << 20), &mut scratch())
}

fn scratch() -> Scratch {
    Scratch::new(SnapshotOptions::new(Codec::Lz4), 65_536)
}

fn snapshot_count(directory: &Path) -> usize {
    std::fs::read_dir(directory.join("snapshots")).map_or(0, Iterator::count)
}

#[test]
fn dead_ring_becomes_a_snapshot() {
    let directory = scratch_directory();
    let path = dead_ring(&directory, "ttlog-a", false);
    assert_eq!(candidates(&directory), std::slice::from_ref(&path));
    let Ok(OrphanOutcome::Recovered(snapshot)) = recover_in(&directory, &path) else { panic!("not recovered") };
    let name = snapshot.file_name().unwrap().to_str().unwrap();
    let pid = std::process::id();
    assert!(name.starts_with(&format!("ttlog-_._svc-{pid}-")) && name.ends_with("-recovered.bin"), "{name}");
    assert!(!path.exists());
    assert_eq!(candidates(&directory), Vec::<PathBuf>::new());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn ring_that_ended_in_good_order_is_removed() {
    let directory = scratch_directory();
    let path = dead_ring(&directory, "ttlog-a", true);
    assert_eq!(recover_in(&directory, &path).unwrap(), OrphanOutcome::Removed);
    assert!(!path.exists());
    assert_eq!(snapshot_count(&directory), 0);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn locked_ring_is_left_alone() {
    let directory = scratch_directory();
    let (file, _) = ring_file(&directory, "ttlog-a");
    let path = file.path;
    assert_eq!(recover_in(&directory, path).unwrap(), OrphanOutcome::Locked);
    assert!(path.exists());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn ring_stays_when_the_snapshot_cannot_be_written() {
    let directory = scratch_directory();
    std::fs::write(directory.join("snapshots"), "a file").unwrap();
    let path = dead_ring(&directory, "ttlog-a", false);
    let error = recover_in(&directory, &path).unwrap_err();
    assert!(matches!(error, OrphanError::Snapshot { .. }), "{error}");
    assert!(path.exists());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn what_is_no_ring_is_looked_at_once() {
    let directory = scratch_directory();
    for (name, content) in [("ttlog-empty", &b""[..]), ("ttlog-noise", &[0xA5; 100_000])] {
        let path = directory.join(format!("{name}{RING_SUFFIX}"));
        std::fs::write(&path, content).unwrap();
        let error = recover_in(&directory, &path).unwrap_err();
        assert!(matches!(error, OrphanError::Damaged { .. }), "{error}");
        assert!(!path.exists());
    }
    assert_eq!(candidates(&directory), Vec::<PathBuf>::new());
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2, "both are kept under another name");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn ring_of_a_newer_recorder_is_left_to_it() {
    let directory = scratch_directory();
    let path = dead_ring(&directory, "ttlog-a", false);
    let mut bytes = std::fs::read(&path).unwrap();
    // Bytes 10 and 11 are the minimum version of the reader; bytes 0 to 55 and 60 to 63 are covered by the CRC at 56.
    bytes[10..12].copy_from_slice(&(ttlog_core::ring::FORMAT_VERSION + 1).to_le_bytes());
    let crc = ttlog_core::crc32(&[&bytes[..56], &bytes[60..64]].concat());
    bytes[56..60].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(recover_in(&directory, &path).unwrap(), OrphanOutcome::LeftAlone);
    assert!(path.exists());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn ring_cut_short_gives_what_is_left() {
    let directory = scratch_directory();
    let path = dead_ring(&directory, "ttlog-a", false);
    let len = std::fs::metadata(&path).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len / 2).unwrap();
    assert!(matches!(recover_in(&directory, &path).unwrap(), OrphanOutcome::Recovered(_)));
    std::fs::remove_dir_all(directory).unwrap();
}

/// A ring and something after it, such as another ring: the file would be removed with both.
#[test]
fn file_with_more_than_a_ring_is_set_aside() {
    let directory = scratch_directory();
    let (path, other) = (dead_ring(&directory, "ttlog-a", false), dead_ring(&directory, "ttlog-b", true));
    let both = [std::fs::read(&path).unwrap(), std::fs::read(&other).unwrap()].concat();
    for ended in [&path, &other] {
        std::fs::write(ended, &both).unwrap();
        let error = recover_in(&directory, ended).unwrap_err();
        assert!(matches!(error, OrphanError::Damaged { .. }) && !ended.exists(), "{error}");
        let renamed = ended.with_extension("ring.damaged");
        assert_eq!(std::fs::read(&renamed).unwrap(), both);
        std::fs::remove_file(renamed).unwrap();
    }
    // Zeros are padding.
    let path = dead_ring(&directory, "ttlog-c", false);
    let mut padded = std::fs::read(&path).unwrap();
    padded.resize(padded.len() + 4096, 0);
    std::fs::write(&path, padded).unwrap();
    assert!(matches!(recover_in(&directory, &path).unwrap(), OrphanOutcome::Recovered(_)));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn oversized_file_is_not_read() {
    let directory = scratch_directory();
    let path = directory.join("ttlog-huge.ring");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(RING_LEN_MAX_MIN + 1).unwrap();
    let error = recover_in(&directory, &path).unwrap_err();
    assert!(matches!(error, OrphanError::TooLarge { .. }) && path.exists(), "{error}");
    // A process with a ring of that size reads the file, and finds that it is not a ring.
    let rules = Rules::new(&directory, 0, RING_LEN_MAX_MIN as usize);
    let error = recover(&path, &rules, &mut scratch()).unwrap_err();
    assert!(matches!(error, OrphanError::Damaged { .. }), "{error}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn links_and_other_things_are_left_alone() {
    let directory = scratch_directory();
    let path = dead_ring(&directory, "ttlog-a", false);
    let (soft, hard) = (directory.join("ttlog-soft.ring"), directory.join("ttlog-hard.ring"));
    std::os::unix::fs::symlink(&path, &soft).unwrap();
    assert!(recover_in(&directory, &soft).is_err());
    std::fs::hard_link(&path, &hard).unwrap();
    assert_eq!(recover_in(&directory, &hard).unwrap(), OrphanOutcome::LeftAlone);
    std::fs::create_dir(directory.join("ttlog-directory.ring")).unwrap();
    assert_eq!(recover_in(&directory, &directory.join("ttlog-directory.ring")).unwrap(), OrphanOutcome::LeftAlone);
    assert_eq!(recover_in(&directory, &directory.join("ttlog-absent.ring")).unwrap(), OrphanOutcome::LeftAlone);
    assert!(path.exists());
    assert_eq!(snapshot_count(&directory), 0);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn unfinished_file_is_removed_when_it_is_old() {
    let directory = scratch_directory();
    let path = directory.join(format!("ttlog-a{UNFINISHED_SUFFIX}"));
    let file = std::fs::File::create(&path).unwrap();
    assert_eq!(candidates(&directory), std::slice::from_ref(&path));
    assert_eq!(recover_in(&directory, &path).unwrap(), OrphanOutcome::LeftAlone);
    file.set_modified(SystemTime::now() - 2 * UNFINISHED_MIN_AGE).unwrap();
    assert_eq!(recover_in(&directory, &path).unwrap(), OrphanOutcome::Removed);
    assert!(!path.exists());
    std::fs::remove_dir_all(directory).unwrap();
}

/// Every byte of a name or count is set to a value that a hostile file might have there. Whatever the outcome, the
/// process continues, and nothing is written outside the directory of snapshots.
#[test]
fn hostile_ring_stays_in_its_directory() {
    let directory = scratch_directory();
    let original = std::fs::read(dead_ring(&directory, "ttlog-original", false)).unwrap();
    let name_at = original.windows(6).position(|bytes| bytes == b"../svc").unwrap();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (state >> 33) as usize % below
    };
    for round in 0..400 {
        let mut bytes = original.clone();
        match round % 4 {
            // Sizes, counts and offsets in the header.
            0 => bytes[8 + random(148)] = [0x00, 0x7F, 0x80, 0xFF][random(4)],
            // The table: lengths, and the data about the process.
            1 => bytes[name_at - 40 + random(120)] = [0x00, 0x1B, 0x2F, 0x7F, 0xFF][random(5)],
            // Segments.
            2 => {
                let at = bytes.len() - 1 - random(8 * 1024);
                bytes[at] = 0xFF;
            }
            // Everywhere.
            _ => (0..50).for_each(|_| {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }),
        }
        let path = directory.join(format!("ttlog-{round}{RING_SUFFIX}"));
        std::fs::write(&path, &bytes).unwrap();
        match recover_in(&directory, &path) {
            Ok(OrphanOutcome::Recovered(snapshot)) => {
                assert_eq!(snapshot.parent().unwrap(), directory.join("snapshots"));
                assert!(snapshot.metadata().unwrap().len() < 2 * bytes.len() as u64);
            }
            Ok(OrphanOutcome::Removed | OrphanOutcome::LeftAlone | OrphanOutcome::Locked)
            | Err(OrphanError::Damaged { .. }) => {}
            Err(error) => panic!("round {round}: {error}"),
        }
    }
    for entry in std::fs::read_dir(&directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "snapshots" || name.ends_with(RING_SUFFIX) || name.ends_with(DAMAGED_SUFFIX), "{name}");
    }
    for entry in std::fs::read_dir(directory.join("snapshots")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with("ttlog-") && name.contains("-recovered") && name.ends_with(".bin"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{name}");
    }
    std::fs::remove_dir_all(directory).unwrap();
}

/// The name of a ring contains a pid. Another process might have it by now, and be alive; the lock decides, not the
/// pid.
#[test]
fn pid_that_was_given_to_another_process() {
    let directory = scratch_directory();
    let name = format!("ttlog-svc-{}-1-0123456789abcdef", std::process::id());
    let path = dead_ring(&directory, &name, false);
    assert!(matches!(recover_in(&directory, &path).unwrap(), OrphanOutcome::Recovered(_)));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn ring_of_another_user_is_left_alone() {
    if crate::sys::effective_uid() != 0 {
        return crate::skip::skip(
            "orphans::ring_of_another_user_is_left_alone",
            "making a file of another user takes root",
        );
    }
    let directory = scratch_directory();
    let path = dead_ring(&directory, "ttlog-a", false);
    std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
    assert_eq!(recover_in(&directory, &path).unwrap(), OrphanOutcome::LeftAlone);
    assert!(path.exists());
    std::fs::remove_dir_all(directory).unwrap();
}
