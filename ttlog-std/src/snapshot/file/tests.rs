use super::*;
use crate::config::settings::Settings;
use crate::snapshot::os::System;
use crate::snapshot::room::{BLOCK_LEN, Urgency, find_room};
use crate::snapshot::scratch::{Scratch, options};
use crate::sys::Disk;
use ttlog_core::snapshot::{Codec, SnapshotOptions};
use ttlog_core::{RingConfig, Word};

/// A ring on the heap that contains only its process item.
fn ring() -> Ring<'static> {
    let config = RingConfig { ring_id: 5, segment_len: 1024, table_len: 4096, anchor_count: 4, ..RingConfig::PLAIN };
    let words = (0..(config.overhead_len() + 4 * 1024) / 8).map(|_| Word::new(0)).collect::<Vec<_>>().leak();
    let ring = Ring::create(words, &config).unwrap();
    ring.append_entry(&crate::memory::process_item::encode_item("svc", &crate::clock::choose(false), 1).unwrap())
        .unwrap();
    ring
}

fn scratch_directory() -> PathBuf {
    let path = std::env::temp_dir().join(format!("ttlog-snapshot-{:x}", sys::random()));
    std::fs::create_dir(&path).unwrap();
    path
}

fn write_to(directory: &Path) -> Result<PathBuf, SnapshotError> {
    let label = Label { service: "svc", pid: 7, reason: "a/b" };
    write(
        &System,
        directory,
        Room::ALL,
        label,
        SnapshotSource::Live(ring()),
        1,
        Scratch::new(SnapshotOptions::new(Codec::Lz4), 1024).borrow(),
    )
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
fn spare_scratch_is_enough() {
    let directory = scratch_directory();
    let label = Label { service: "svc", pid: 7, reason: "panic" };
    let withholding = SnapshotOptions::new(Codec::Lz4);
    for options in [withholding, SnapshotOptions { withhold: None, ..withholding }] {
        let mut spare = Scratch::spare(options, 1024);
        write(&System, &directory, Room::ALL, label, SnapshotSource::Live(ring()), 1, spare.borrow()).unwrap();
    }
    assert_eq!(names_in(&directory).len(), 2);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn settings_say_what_is_withheld() {
    let settings = Settings { secret_keys: vec!["iban".into()], ..Settings::default() };
    let keys = options(&settings).withhold.expect("secrets are withheld").keys;
    assert!(keys.contains("payer.iban") && keys.contains("password") && !keys.contains("user"));
    assert_eq!(options(&Settings { withhold_secrets: false, ..settings }).withhold, None);
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

/// Writes to a sink whose file can hold only `limit` bytes.
fn write_with_limit(limit: u64) -> (Result<(), SnapshotError>, u64) {
    let directory = scratch_directory();
    let path = directory.join("x");
    let temporary = Temporary { file: System.create(&path).unwrap(), path, is_published: false };
    let mut sink = FileSink { os: &System, file: &temporary.file, buffer: &mut [0; 100], filled: 0, written: 0, limit };
    let meta = SnapshotMeta { reason: "r", created_unix_ns: 1, ticks: 1 };
    let mut work = vec![0; snapshot::scratch_len(1024)];
    let result = snapshot::write_snapshot_of_ring(ring(), &meta, Codec::None, &mut work, &mut sink);
    let result = match result {
        Ok(_) => sink.flush().map_err(|cause| SnapshotError::io("write", &directory, cause)),
        Err(snapshot::WriteError::Sink(cause)) => Err(SnapshotError::io("write", &directory, cause)),
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

/// The step at which a [`Faulty`] disk fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Create,
    /// Accepts this many bytes of each file and then no more.
    WriteAfter(u64),
    Sync,
    Rename,
    SyncDirectory,
}

/// A disk with a fault, a clock, and its own record of names.
struct Faulty {
    fault: Option<Fault>,
    errno: i32,
    written: std::cell::Cell<u64>,
    unix_ns: std::cell::Cell<i64>,
    last_named: std::sync::atomic::AtomicI64,
    disk: Option<Disk>,
}

impl Faulty {
    fn new(fault: Option<Fault>, errno: i32) -> Self {
        Faulty {
            fault,
            errno,
            written: std::cell::Cell::new(0),
            unix_ns: std::cell::Cell::new(1_800_000_000_000_000_000),
            last_named: std::sync::atomic::AtomicI64::new(0),
            disk: None,
        }
    }

    fn fail_if(&self, fault: Fault) -> io::Result<()> {
        if self.fault == Some(fault) { Err(io::Error::from_raw_os_error(self.errno)) } else { Ok(()) }
    }
}

impl Os for Faulty {
    fn unix_ns_now(&self) -> i64 {
        self.unix_ns.get()
    }

    fn last_named_unix_ns(&self) -> &std::sync::atomic::AtomicI64 {
        &self.last_named
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        self.fail_if(Fault::Create)?;
        self.written.set(0);
        System.create(path)
    }

    fn write_all(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let before = self.written.get();
        self.written.set(before + bytes.len() as u64);
        let room = match self.fault {
            Some(Fault::WriteAfter(most)) => most.saturating_sub(before),
            _ => u64::MAX,
        };
        if bytes.len() as u64 <= room {
            return System.write_all(file, bytes);
        }
        // As on a real disk, the part that fits is written, and then there is no more room.
        System.write_all(file, &bytes[..room as usize])?;
        Err(io::Error::from_raw_os_error(self.errno))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.fail_if(Fault::Sync)?;
        System.sync(file)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fail_if(Fault::Rename)?;
        System.rename(from, to)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.fail_if(Fault::SyncDirectory)?;
        System.sync_directory(path)
    }

    fn disk(&self, _directory: &Path) -> Option<Disk> {
        self.disk
    }
}

const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;
const EIO: i32 = 5;

fn write_on(os: &Faulty, directory: &Path) -> Result<PathBuf, SnapshotError> {
    let label = Label { service: "svc", pid: 7, reason: "a/b" };
    write(
        os,
        directory,
        Room::ALL,
        label,
        SnapshotSource::Live(ring()),
        1,
        Scratch::new(SnapshotOptions::new(Codec::Lz4), 1024).borrow(),
    )
}

#[test]
#[cfg(target_os = "linux")]
fn disk_that_is_full_at_every_byte_leaves_nothing_and_says_so() {
    let directory = scratch_directory();
    let whole = Faulty::new(None, 0);
    let path = write_on(&whole, &directory).unwrap();
    let len = whole.written.get();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), len);
    std::fs::remove_file(path).unwrap();
    for room in 0..len {
        let error = write_on(&Faulty::new(Some(Fault::WriteAfter(room)), ENOSPC), &directory).unwrap_err();
        let SnapshotError::Io { action: "write", path, cause } = &error else { panic!("{error}") };
        assert_eq!(cause.raw_os_error(), Some(ENOSPC));
        assert!(path.starts_with(&directory) && error.to_string().contains("No space left"), "{error}");
        assert_eq!(names_in(&directory), [""; 0], "after {room} of {len} bytes");
    }
    write_on(&Faulty::new(Some(Fault::WriteAfter(len)), ENOSPC), &directory).unwrap();
    assert_eq!(names_in(&directory).len(), 1);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn disk_that_fails_at_any_other_step_leaves_nothing_and_says_so() {
    let directory = scratch_directory();
    for (fault, action) in [(Fault::Create, "create"), (Fault::Sync, "make durable"), (Fault::Rename, "rename to")] {
        for errno in [ENOSPC, EDQUOT, EIO] {
            let error = write_on(&Faulty::new(Some(fault), errno), &directory).unwrap_err();
            let SnapshotError::Io { action: said, path, cause } = &error else { panic!("{error}") };
            assert_eq!((*said, cause.raw_os_error()), (action, Some(errno)), "{fault:?}");
            assert!(path.starts_with(&directory), "{error}");
            assert_eq!(names_in(&directory), [""; 0], "{fault:?}");
        }
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn snapshot_whose_name_may_not_be_durable_is_kept() {
    let directory = scratch_directory();
    let path = write_on(&Faulty::new(Some(Fault::SyncDirectory), EIO), &directory).unwrap();
    assert!(path.exists());
    assert_eq!(names_in(&directory).len(), 1);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn names_sort_when_the_clock_is_set_back() {
    let directory = scratch_directory();
    let os = Faulty::new(None, 0);
    let mut paths = Vec::new();
    for step_s in [0_i64, 5, -3600, 1, 86_400 * -400, 0, 3600 * 2] {
        os.unix_ns.set(os.unix_ns.get() + step_s * 1_000_000_000);
        paths.push(write_on(&os, &directory).unwrap());
    }
    assert_eq!(names_in(&directory).len(), paths.len());
    let stamps: Vec<_> = paths
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().split('-').nth(3).unwrap().to_owned())
        .collect();
    assert!(stamps.is_sorted() && stamps[0] != stamps[1], "{stamps:?}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn disk_that_is_almost_full_takes_last_words_only() {
    let directory = scratch_directory();
    let mut os = Faulty::new(None, 0);
    for (free, normal, last_words) in [(1500, true, true), (1499, false, true), (200, false, true), (199, false, false)]
    {
        os.disk = Some(Disk { free, total: 10_000 });
        let is_ok = |urgency| find_room(&os, &directory, urgency, 15).is_ok();
        assert_eq!((is_ok(Urgency::Normal), is_ok(Urgency::LastWords)), (normal, last_words), "{free} of 10,000 free");
    }
    let error = find_room(&os, &directory, Urgency::Normal, 15).unwrap_err().to_string();
    assert!(error.contains("1 % are free, 15 % must stay free"), "{error}");
    os.disk = Some(Disk { free: 0, total: 10_000 });
    assert!(find_room(&os, &directory, Urgency::Normal, 0).is_ok(), "switched off");
    assert!(find_room(&os, &directory, Urgency::LastWords, 0).is_ok(), "switched off");
    os.disk = None;
    assert!(find_room(&os, &directory, Urgency::Normal, 90).is_ok(), "nobody knows");
    assert!(System.disk(&directory.join("not/made/yet")).is_some() || cfg!(not(unix)));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
#[cfg(unix)]
fn temporary_file_is_locked_while_it_is_written() {
    let directory = scratch_directory();
    let path = directory.join("x");
    let temporary = Temporary { file: System.create(&path).unwrap(), path, is_published: false };
    assert!(!sys::try_lock(&sys::open_for_reading(&temporary.path).unwrap()).unwrap());
    drop(temporary);
    std::fs::remove_dir_all(directory).unwrap();
}

/// Somebody who can write to the directory knows the name of the next snapshot.
#[test]
#[cfg(unix)]
fn links_that_lie_in_wait_are_not_followed() {
    let directory = scratch_directory();
    let precious = directory.join("precious");
    std::fs::write(&precious, "theirs").unwrap();
    let os = Faulty::new(None, 0);
    let first = write_on(&os, &directory).unwrap();
    std::fs::remove_file(&first).unwrap();
    let second = first.to_str().unwrap().replace(".bin", "-2.bin");
    std::os::unix::fs::symlink(&precious, &first).unwrap();
    std::fs::hard_link(&precious, &second).unwrap();
    let third = write_on(&os, &directory).unwrap();
    assert!(third.to_str().unwrap().ends_with("-3.bin"), "{third:?}");
    assert_eq!(std::fs::read(&precious).unwrap(), b"theirs");
    assert!(std::fs::symlink_metadata(&first).unwrap().is_symlink());
    assert!(std::fs::symlink_metadata(&third).unwrap().is_file());
    std::fs::remove_dir_all(directory).unwrap();
}

/// A snapshot that would leave too little room is not finished, even if the disk would accept more.
#[test]
fn room_is_kept_while_it_is_written() {
    let directory = scratch_directory();
    let os = Faulty::new(None, 0);
    let label = Label { service: "svc", pid: 7, reason: "r" };
    let write_in = |room| {
        let mut scratch = Scratch::new(SnapshotOptions::new(Codec::Lz4), 1024);
        write(&os, &directory, room, label, SnapshotSource::Live(ring()), 1, scratch.borrow())
    };
    let len = std::fs::metadata(write_in(Room::ALL).unwrap()).unwrap().len();
    for len in [0, 1, len / 2, len - 1] {
        let error = write_in(Room { len, free_percent: 16, needed_percent: 15 }).unwrap_err();
        assert!(error.to_string().contains("16 % are free, 15 % must stay free"), "{error}");
        assert_eq!(names_in(&directory).len(), 1, "nothing is left of it");
    }
    write_in(Room { len, free_percent: 16, needed_percent: 15 }).unwrap();
    let mut full = Faulty::new(None, 0);
    full.disk = Some(Disk { free: 20 * BLOCK_LEN, total: 100 * BLOCK_LEN });
    let room = find_room(&full, &directory, Urgency::Normal, 15).unwrap();
    assert_eq!(room.len, 4 * BLOCK_LEN);
    std::fs::remove_dir_all(directory).unwrap();
}
