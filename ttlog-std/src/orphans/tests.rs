use super::*;
use crate::mapping::create_ring_file;
use ttlog_core::{Ring, RingConfig, Word};

/// Leaves the ring file of a process that died, and gives its path.
fn dead_ring(directory: &Path, name: &str, ended: bool) -> PathBuf {
    let (region, ring) = ring_file(directory, &format!("{name}-alive"));
    if ended {
        ring.mark_ended();
    }
    // A mapping keeps its file locked until the process ends, so a copy stands for it.
    let (alive, dead) = (&region.file.as_ref().unwrap().path, directory.join(format!("{name}{RING_SUFFIX}")));
    std::fs::copy(alive, &dead).unwrap();
    std::fs::remove_file(alive).unwrap();
    dead
}

fn ring_file(directory: &Path, name: &str) -> (crate::mapping::Region, Ring<'static>) {
    let config = RingConfig { ring_id: 5, segment_len: 1024, table_len: 8192, anchor_count: 4, ..RingConfig::PLAIN };
    let len_words = (config.overhead_len() + 8 * 1024) / 8;
    create_ring_file(directory, name, len_words, |words: &'static [Word]| {
        let ring = Ring::create(words, &config)?;
        let item = crate::process::encode_item("../svc", &crate::clock::choose(false), 1).unwrap();
        ring.append_entry(&item).unwrap();
        Ok::<_, ttlog_core::RingError>(ring)
    })
    .unwrap()
}

fn scratch_directory() -> PathBuf {
    let path = std::env::temp_dir().join(format!("ttlog-orphan-{:x}", crate::names::random()));
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    path
}

fn recover_in(directory: &Path, path: &Path) -> Result<Outcome, OrphanError> {
    recover(path, &directory.join("snapshots"), 0, &mut Scratch::new(65_536))
}

fn snapshot_count(directory: &Path) -> usize {
    std::fs::read_dir(directory.join("snapshots")).map_or(0, Iterator::count)
}

#[test]
fn dead_ring_becomes_a_snapshot() {
    let directory = scratch_directory();
    let path = dead_ring(&directory, "ttlog-a", false);
    assert_eq!(candidates(&directory), std::slice::from_ref(&path));
    let Ok(Outcome::Recovered(snapshot)) = recover_in(&directory, &path) else { panic!("not recovered") };
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
    assert_eq!(recover_in(&directory, &path).unwrap(), Outcome::Removed);
    assert!(!path.exists());
    assert_eq!(snapshot_count(&directory), 0);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn locked_ring_is_left_alone() {
    let directory = scratch_directory();
    let (region, _) = ring_file(&directory, "ttlog-a");
    let path = region.file.as_ref().unwrap().path.clone();
    assert_eq!(recover_in(&directory, &path).unwrap(), Outcome::LeftAlone);
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
fn ring_cut_short_gives_what_is_left() {
    let directory = scratch_directory();
    let path = dead_ring(&directory, "ttlog-a", false);
    let len = std::fs::metadata(&path).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(len / 2).unwrap();
    assert!(matches!(recover_in(&directory, &path).unwrap(), Outcome::Recovered(_)));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn oversized_file_is_not_read() {
    let directory = scratch_directory();
    let path = directory.join("ttlog-huge.ring");
    std::fs::File::create(&path).unwrap().set_len(RING_MAX_LEN + 1).unwrap();
    assert!(matches!(recover_in(&directory, &path).unwrap_err(), OrphanError::TooLarge { .. }));
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
    assert_eq!(recover_in(&directory, &hard).unwrap(), Outcome::LeftAlone);
    std::fs::create_dir(directory.join("ttlog-directory.ring")).unwrap();
    assert_eq!(recover_in(&directory, &directory.join("ttlog-directory.ring")).unwrap(), Outcome::LeftAlone);
    assert_eq!(recover_in(&directory, &directory.join("ttlog-absent.ring")).unwrap(), Outcome::LeftAlone);
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
    assert_eq!(recover_in(&directory, &path).unwrap(), Outcome::LeftAlone);
    file.set_modified(SystemTime::now() - 2 * UNFINISHED_MIN_AGE).unwrap();
    assert_eq!(recover_in(&directory, &path).unwrap(), Outcome::Removed);
    assert!(!path.exists());
    std::fs::remove_dir_all(directory).unwrap();
}
