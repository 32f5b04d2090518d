//! Shared by the tests of this crate: child processes with directories of their own, and readers of the files that they
//! leave.
//!
//! A process has only one recorder, so every case runs in a child: the test binary, started again with the case's name
//! in [`CASE`].

#![allow(dead_code, unreachable_pub, unused_imports, reason = "not every test binary uses everything")]

pub mod ring;
#[cfg(target_os = "linux")]
pub mod seccomp;
mod skip;
pub mod spans;

pub use skip::skip;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use ttlog_core::event::Role;
use ttlog_core::snapshot::{SnapshotItem, SnapshotReader};
use ttlog_core::{CallsiteInfo, Item, Level, TableItem, ValueRef};

/// Environment variable with the case that a child runs.
pub const CASE: &str = "TTLOG_TEST_CASE";

/// Returns the case that this process is to run, if it is a child.
pub fn case() -> Option<String> {
    std::env::var(CASE).ok()
}

/// A case by its name.
pub type Case = (&'static str, fn());

/// Runs the case that this process is to run, if it is a child.
pub fn run_case<'c>(cases: impl IntoIterator<Item = &'c [Case]>) {
    let Some(wanted) = case() else { return };
    let (_, run) = cases.into_iter().flatten().find(|(name, _)| *name == wanted).expect("a case of this name");
    run();
}

/// A directory for one test, removed at its end, with places for rings and snapshots.
pub struct Place(PathBuf);

impl Place {
    pub fn new(test: &str) -> Self {
        let unique = format!("ttlog-test-{test}-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(unique.replace(['(', ')'], ""));
        std::fs::create_dir(&path).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Place(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn rings(&self) -> PathBuf {
        self.0.join("rings")
    }

    pub fn snapshots(&self) -> PathBuf {
        self.0.join("snapshots")
    }

    /// Returns the command that runs a case in a child.
    pub fn child(&self, case: &str) -> Command {
        self.child_of(&std::env::current_exe().unwrap(), case)
    }

    /// Like `child`, with another copy of the test binary.
    pub fn child_of(&self, executable: &Path, case: &str) -> Command {
        let mut command = Command::new(executable);
        command
            .args(["child", "--exact", "--nocapture", "--ignored", "--test-threads=1"])
            .env(CASE, case)
            .env("TTLOG_DIR", self.rings())
            .env("TTLOG_SNAPSHOT_DIR", self.snapshots())
            // Tests then do not wait for each other's snapshots, and do not depend on the free space of this machine's
            // disk. Tests of these options set them again.
            .env("TTLOG_SNAPSHOT_THROTTLE", "0s")
            .env("TTLOG_RETAIN_FREE_PERCENT", "0")
            .env("TTLOG_RETAIN_COUNT", "1000000")
            .stdin(Stdio::null())
            .current_dir("/");
        command
    }

    /// Runs a case as an unprivileged user, with a copy of the test binary that this user can reach.
    #[cfg(unix)]
    pub fn as_nobody(&self, case: &str) -> Command {
        use std::os::unix::{fs::MetadataExt as _, process::CommandExt as _};
        let executable = self.path().join("test-binary");
        // By a process of its own: a child that another test starts meanwhile would hold the file open for writing, and
        // a file that is being written cannot be executed.
        let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&executable).status();
        assert!(copied.unwrap().success());
        std::fs::set_permissions(&executable, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = self.child_of(&executable, case);
        if std::fs::metadata(self.path()).unwrap().uid() == 0 {
            command.uid(65_534).gid(65_534);
        }
        command
    }

    /// Runs a case, which must succeed within a minute.
    pub fn run(&self, case: &str) -> Output {
        let output = finish(self.child(case));
        assert!(output.status.success(), "{case}: {:?}\n{}", output.status, stderr(&output));
        output
    }

    /// Returns the ring files, sorted.
    pub fn ring_files(&self) -> Vec<PathBuf> {
        files(&self.rings())
    }

    /// Returns all files in the snapshot directory, sorted.
    pub fn snapshot_files(&self) -> Vec<PathBuf> {
        files(&self.snapshots())
    }

    /// Returns the whole snapshots, sorted. A process that ended while it wrote one leaves other files, too.
    pub fn whole_snapshots(&self) -> Vec<PathBuf> {
        self.snapshot_files().into_iter().filter(|path| path.extension().is_some_and(|end| end == "bin")).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0); // a leftover in the temp directory does no harm
        }
    }
}

/// Returns the files of a directory, including hidden ones, sorted; none if it does not exist.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Runs a command to its end. If it hangs for a minute, ends it and fails the test.
pub fn finish(mut command: Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let readers = [drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap())];
    // `TTLOG_TEST_SHORT` says that each step takes long: in ThreadSanitizer.
    let minutes = if std::env::var_os("TTLOG_TEST_SHORT").is_some() { 10 } else { 1 };
    let deadline = Instant::now() + Duration::from_secs(60 * minutes);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let [stdout, stderr] = readers.map(|reader| reader.join().unwrap());
    let status = status.unwrap_or_else(|| panic!("the child hung:\n{}", String::from_utf8_lossy(&stderr)));
    Output { status, stdout, stderr }
}

fn drain(mut from: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the recorder's own lines on stderr.
pub fn warnings(output: &Output) -> Vec<String> {
    stderr(output).lines().filter(|line| line.starts_with("ttlog: ")).map(str::to_owned).collect()
}

/// An event in a snapshot.
#[derive(Debug, Clone)]
pub struct Event {
    pub level: Level,
    pub target: String,
    pub message: String,
    pub file: String,
    pub line: u32,
    /// Plain fields, without ids of spans.
    pub fields: BTreeMap<String, String>,
    /// Fields in their order, with their roles, and values with their types.
    pub values: Vec<(String, Role, String)>,
}

impl Event {
    pub fn new<'a>(callsite: &CallsiteInfo<'a>, payload: &'a [u8]) -> Event {
        let values: Vec<_> = callsite.values(payload).map(|value| value.unwrap()).collect();
        Event {
            level: callsite.level,
            target: callsite.target.to_owned(),
            message: callsite.message.to_owned(),
            file: callsite.file.to_owned(),
            line: callsite.line,
            fields: values
                .iter()
                .filter(|(field, _)| field.role == Role::Value)
                .map(|(field, value)| (field.name.to_owned(), text(value.clone())))
                .collect(),
            values: values.iter().map(|(field, value)| (field.name.to_owned(), field.role, typed(value))).collect(),
        }
    }

    /// Returns the value of a field with its type.
    pub fn value(&self, name: &str) -> &str {
        &self.values.iter().find(|(field, ..)| field == name).unwrap_or_else(|| panic!("{name} in {self:?}")).2
    }

    /// Returns the id of the span that the event has in this role.
    pub fn span(&self, role: Role) -> Option<u64> {
        let (.., id) = self.values.iter().find(|(_, of, _)| *of == role)?;
        Some(id.strip_prefix("u64 ").unwrap().parse().unwrap())
    }
}

/// Content of a snapshot.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub reason: String,
    pub service: String,
    pub clock: String,
    pub anchor_count: usize,
    pub events: Vec<Event>,
    pub overwritten: u64,
    pub left_out: u64,
}

impl Snapshot {
    /// Reads a snapshot; panics unless it is whole.
    pub fn read(path: &Path) -> Snapshot {
        let bytes = std::fs::read(path).unwrap();
        let reader = SnapshotReader::new(&bytes);
        let mut snapshot = Snapshot::default();
        let mut callsites = BTreeMap::new();
        let mut segments = Vec::new();
        let mut ended = false;
        for item in reader.items() {
            match item {
                SnapshotItem::Header(header) => {
                    snapshot.reason = header.reason.to_owned();
                    snapshot.anchor_count = header.anchors().count();
                }
                SnapshotItem::Entry(entry) => match TableItem::decode(entry.bytes).unwrap() {
                    TableItem::Process(process) => {
                        snapshot.service = process.service.to_owned();
                        snapshot.clock = process.clock.to_owned();
                    }
                    TableItem::Callsite(callsite) => {
                        callsites.insert(callsite.id, callsite);
                    }
                    TableItem::Unknown(kind) => panic!("table item of kind {kind}"),
                },
                SnapshotItem::Segment(segment) => segments.push(segment),
                SnapshotItem::End { .. } => ended = true,
                other => panic!("{other:?} in {path:?}"),
            }
        }
        assert!(ended, "{path:?} was cut off");
        segments.sort_by_key(|segment| segment.sequence);
        for packed in segments {
            snapshot.overwritten += packed.lost;
            snapshot.left_out += u64::from(packed.left_out);
            let mut room = vec![0; ttlog_core::snapshot::unpack_len(65_536)];
            let segment = packed.unpack(&mut room).unwrap();
            for item in segment.items() {
                let Item::Event(record) = item else { continue };
                let callsite = &callsites[&record.callsite];
                snapshot.events.push(Event::new(callsite, record.payload));
            }
        }
        snapshot
    }

    /// Returns the events with this message.
    pub fn with_message(&self, message: &str) -> Vec<&Event> {
        self.events.iter().filter(|event| event.message == message).collect()
    }
}

pub fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Str(text) | ValueRef::Display(text) | ValueRef::Debug(text) => text.text.to_owned(),
        ValueRef::Unsigned(number) => number.to_string(),
        ValueRef::Signed(number) => number.to_string(),
        ValueRef::Sequence(values) | ValueRef::Error(values) => {
            let texts: Vec<_> = values.map(text).collect();
            format!("[{}]", texts.join(", "))
        }
        ValueRef::Any(any) => text(any.value()),
        other => format!("{other:?}"),
    }
}

/// Returns a value with its type.
pub fn typed(value: &ValueRef<'_>) -> String {
    let cut = |full_len: Option<u32>| full_len.map_or(String::new(), |len| format!(" of {len}"));
    match value {
        ValueRef::Any(any) => typed(&any.value()),
        ValueRef::Unsigned(number) => format!("u64 {number}"),
        ValueRef::Signed(number) => format!("i64 {number}"),
        ValueRef::Str(text) => format!("str{} {}", cut(text.full_len), text.text),
        ValueRef::Display(text) => format!("display{} {}", cut(text.full_len), text.text),
        ValueRef::Debug(text) => format!("debug{} {}", cut(text.full_len), text.text),
        ValueRef::Bytes(blob) => format!("bytes{} {:?}", cut(blob.full_len), blob.bytes),
        ValueRef::Error(texts) => {
            let chain: Vec<_> = texts.clone().map(text).collect();
            format!("error{} {}", cut(texts.full_len), chain.join(" <- "))
        }
        other => format!("{other:?}"),
    }
}

/// Waits until a condition holds, for at most half a minute.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Number of callsites of [`many_callsites`].
pub const MANY: u64 = 32;

/// Returns a function that logs one event at each of many callsites, each with a long message.
pub fn many_callsites() -> impl Fn() + Copy {
    macro_rules! log {
        ($($number:literal)*) => {
            || {
                $(ttlog_std::info!(
                    target: concat!("common::many::number_", $number),
                    "one of many callsites, whose message is long enough to fill a table of the smallest size",
                    number = $number
                );)*
            }
        };
    }
    log!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
}
