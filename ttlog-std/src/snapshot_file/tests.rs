use super::*;
use ttlog_core::{RingConfig, Word};

/// A ring on the heap that holds nothing but its process item.
fn ring() -> Ring<'static> {
    let config = RingConfig { ring_id: 5, segment_len: 1024, table_len: 4096, anchor_count: 4 };
    let words = (0..(config.overhead_len() + 4 * 1024) / 8).map(|_| Word::new(0)).collect::<Vec<_>>().leak();
    let ring = Ring::create(words, &config).unwrap();
    ring.append_entry(&crate::process::encode_item("svc", &crate::clock::choose(false), 1).unwrap()).unwrap();
    ring
}

fn scratch_directory() -> PathBuf {
    let path = std::env::temp_dir().join(format!("ttlog-snapshot-{:x}", names::random()));
    std::fs::create_dir(&path).unwrap();
    path
}

fn write_to(directory: &Path) -> Result<PathBuf, SnapshotError> {
    let label = Label { service: "svc", pid: 7, reason: "a/b" };
    write(directory, label, Source::Live(ring()), 1, Scratch::new(1024).borrow())
}

fn names_in(directory: &Path) -> Vec<String> {
    let name = |entry: io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    std::fs::read_dir(directory).unwrap().map(name).collect()
}

#[test]
fn file_is_whole_private_and_alone() {
    let scratch = scratch_directory();
    let directory = scratch.join("made/on/demand");
    let path = write_to(&directory).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("ttlog-svc-7-2") && name.ends_with("Z-a_b.bin"), "{name}");
    assert_eq!(names_in(&directory), [name]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::metadata(&directory).unwrap().mode() & 0o7777, 0o700);
    }
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.starts_with(&[0xD9, 0xD9, 0xF7, 0x84, 0x64, b'T', b'T', b'L', b'G', 0]));
    std::fs::remove_dir_all(scratch).unwrap();
}

#[test]
fn same_second_same_reason_other_name() {
    let directory = scratch_directory();
    let paths: std::collections::HashSet<_> = (0..5).map(|_| write_to(&directory).unwrap()).collect();
    assert_eq!(paths.len(), 5);
    assert_eq!(names_in(&directory).len(), 5);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn stack_scratch_is_enough() {
    let directory = scratch_directory();
    let label = Label { service: "svc", pid: 7, reason: "panic" };
    write(&directory, label, Source::Live(ring()), 1, StackScratch::new().borrow()).unwrap();
    assert_eq!(names_in(&directory).len(), 1);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn file_in_place_of_the_directory() {
    let directory = scratch_directory();
    let file = directory.join("file");
    std::fs::write(&file, "x").unwrap();
    let error = write_to(&file).unwrap_err();
    assert!(matches!(&error, SnapshotError::Io { action: "create", .. }), "{error}");
    assert!(error.to_string().contains("file"), "{error}");
    std::fs::remove_dir_all(directory).unwrap();
}

/// Writes to a sink whose file may hold only `limit` bytes.
fn write_with_limit(limit: u64) -> (Result<(), SnapshotError>, u64) {
    let directory = scratch_directory();
    let temporary = Temporary::create(&directory, "x").unwrap();
    let mut sink = FileSink { file: &temporary.file, buffer: &mut [0; 100], filled: 0, written: 0, limit };
    let meta = SnapshotMeta { reason: "r", created_unix_ns: 1, ticks: 1 };
    let mut work = vec![0; snapshot::scratch_len(1024)];
    let result = snapshot::write_snapshot_of_ring(ring(), &meta, Codec::None, &mut work, &mut sink);
    let result = match result {
        Ok(_) => sink.flush().map_err(|cause| io_error("write", &directory, cause)),
        Err(snapshot::SnapshotError::Sink(cause)) => Err(io_error("write", &directory, cause)),
        Err(other) => panic!("{other}"),
    };
    let written = sink.written;
    drop(temporary);
    assert_eq!(names_in(&directory).len(), 0, "the temporary file is removed");
    std::fs::remove_dir_all(directory).unwrap();
    (result, written)
}

#[test]
fn file_size_limit_at_every_piece_is_an_error_that_leaves_nothing() {
    let (whole, len) = write_with_limit(u64::MAX);
    whole.unwrap();
    for limit in (0..len).step_by(7).chain([len - 1]) {
        assert!(write_with_limit(limit).0.is_err(), "limit {limit} of {len}");
    }
    write_with_limit(len).0.unwrap();
}
