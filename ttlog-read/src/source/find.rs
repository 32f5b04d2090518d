//! Finding the ring of a process.
//!
//! A target on the command line is a process id, or the path of a ring. (A file whose name is a number is `./4711`.) The ring of a process
//! is looked for first among the files that it has mapped, which is the surest, and then in the directories where recorders put
//! them. Wherever it is found, it counts only if its process item names that process and its start.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ttlog_core::ring::RingImage;
use ttlog_core::snapshot::Content;
use ttlog_core::table::ProcessInfo;

use crate::source::process::{Liveness, Mapping};
use crate::source::{Bytes, content, files_in, open, read};
use crate::text::escape::escaped;

/// Most files of one process that are looked at.
const MAPPINGS_MAX: usize = 256;

/// A ring that was found.
#[derive(Debug)]
pub struct ProcessRing {
    /// Its path, for people. It may have lost that name.
    pub path: PathBuf,
    /// The path under which it can be opened, which may be one below `/proc`.
    pub reach: PathBuf,
    /// Its bytes.
    pub bytes: Bytes,
}

impl ProcessRing {
    /// Reads the ring's header.
    ///
    /// # Errors
    /// A line that says what is wrong with the ring.
    pub fn image(&self) -> Result<RingImage<'_>, String> {
        RingImage::parse(&self.bytes.data).map_err(|error| format!("{}: {error}", self.name()))
    }

    /// Returns its path, fit to be shown.
    #[must_use]
    pub fn name(&self) -> String {
        escaped(&self.path.to_string_lossy())
    }

    /// Returns whether its process runs and has it.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        self.bytes.liveness.unwrap_or(Liveness::Unknown)
    }
}

/// Why there is no ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindError {
    /// The file cannot be read, or is no ring.
    File {
        /// It.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// No such process runs, and none of that id left a ring in these directories.
    NoProcess {
        /// Its id.
        pid: u64,
        /// Where its ring was looked for.
        searched: Vec<PathBuf>,
    },
    /// The process runs, but no ring of it was found.
    NoRing {
        /// Its id.
        pid: u64,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
        /// Whether the process belongs to somebody whose files cannot be read.
        hidden: bool,
    },
    /// The process has several.
    Several {
        /// Its id.
        pid: u64,
        /// The rings.
        paths: Vec<PathBuf>,
    },
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |paths: &[PathBuf]| {
            let names: Vec<_> = paths.iter().map(|path| escaped(&path.to_string_lossy())).collect();
            names.join(", ")
        };
        match self {
            FindError::File { path, cause } => write!(f, "{}: {cause}", escaped(&path.to_string_lossy())),
            FindError::NoProcess { pid, searched } => {
                write!(f, "no process {pid} runs here, and none left a ring in {}", list(searched))
            }
            FindError::NoRing { pid, searched, hidden } => {
                write!(f, "process {pid} runs, but has no ring that can be found: ")?;
                if *hidden {
                    f.write_str("its files cannot be seen (it belongs to another user, or is protected), and ")?;
                } else {
                    f.write_str("it has none mapped (no recorder, or one on the heap), and ")?;
                }
                write!(f, "there is none of it in {}", list(searched))
            }
            FindError::Several { pid, paths } => {
                write!(f, "process {pid} has several rings; name one: {}", list(paths))
            }
        }
    }
}

impl std::error::Error for FindError {}

/// Finds the ring that a target names: that of a process, running or dead, or a file.
///
/// Of dead processes of one id the one that started last is taken.
///
/// # Errors
/// [`FindError`].
pub fn find(target: &str) -> Result<ProcessRing, FindError> {
    match target.parse::<u64>() {
        Ok(pid) if target.bytes().all(|byte| byte.is_ascii_digit()) => find_of_process(pid),
        _ => ring_at(Path::new(target), Path::new(target)),
    }
}

fn ring_at(path: &Path, reach: &Path) -> Result<ProcessRing, FindError> {
    let failed = |cause: String| FindError::File { path: path.to_path_buf(), cause };
    let file = open(reach).map_err(|error| failed(error.to_string()))?;
    match content(&file).map_err(|error| failed(error.to_string()))? {
        Content::Ring => {}
        Content::Snapshot => return Err(failed("is a snapshot, not a ring".to_owned())),
        Content::Frames | Content::Unknown => return Err(failed("is not a ring".to_owned())),
    }
    let bytes = read(&file).map_err(|error| failed(error.to_string()))?;
    let ring = ProcessRing { path: path.to_path_buf(), reach: reach.to_path_buf(), bytes };
    ring.image()
        .map_err(|error| failed(error.rsplit_once(": ").map_or(error.clone(), |(_, cause)| cause.to_owned())))?;
    Ok(ring)
}

fn find_of_process(pid: u64) -> Result<ProcessRing, FindError> {
    let runs = Path::new(&format!("/proc/{pid}/stat")).exists();
    let ids = ids_of(pid);
    let (mapped, hidden) = match mapped_rings(pid) {
        Ok(rings) => (rings, false),
        Err(error) => (Vec::new(), runs && error.kind() == io::ErrorKind::PermissionDenied),
    };
    // What it has mapped is its own, unless it was made by another: a fork, before it has a ring, has its parent's no more.
    let own =
        |ring: &ProcessRing| ring.image().is_ok_and(|image| ids.contains(&image.process().unwrap_or_default().pid));
    let mut found: Vec<_> = mapped.into_iter().filter(own).collect();
    let searched = directories_of(pid);
    if found.is_empty() {
        found = searched.iter().flat_map(|directory| rings_of(directory, &ids)).collect();
        if found.iter().any(|ring| ring.liveness() == Liveness::Running) {
            found.retain(|ring| ring.liveness() == Liveness::Running);
        } else {
            let start =
                |ring: &ProcessRing| ring.image().map_or(0, |image| image.process().unwrap_or_default().start_unix_ns);
            let last = found.iter().map(start).max();
            found.retain(|ring| Some(start(ring)) == last);
        }
    }
    match (found.len(), runs) {
        (0, true) => Err(FindError::NoRing { pid, searched, hidden }),
        (0, false) => Err(FindError::NoProcess { pid, searched }),
        (1, _) => Ok(found.remove(0)),
        _ => Err(FindError::Several { pid, paths: found.into_iter().map(|ring| ring.path).collect() }),
    }
}

/// Returns the ids by which the process is known: its own here, and those in the containers that it is in.
fn ids_of(pid: u64) -> Vec<u64> {
    let mut ids = vec![pid];
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    if let Some(inner) = status.lines().find_map(|line| line.strip_prefix("NSpid:")) {
        ids.extend(inner.split_ascii_whitespace().filter_map(|id| id.parse::<u64>().ok()));
    }
    ids
}

/// Returns the rings that a process has mapped, to be written.
fn mapped_rings(pid: u64) -> io::Result<Vec<ProcessRing>> {
    let maps = std::fs::read(format!("/proc/{pid}/maps"))?;
    let maps = String::from_utf8_lossy(&maps);
    let mut seen = HashSet::new();
    let mut mappings: Vec<_> = maps
        .lines()
        .filter_map(Mapping::parse)
        .filter(|mapping| mapping.shared && mapping.offset == 0 && seen.insert(mapping.inode))
        .collect();
    // Those that look like rings first, in case there are too many.
    mappings.sort_by_key(|mapping| !mapping.path.ends_with(".ring"));
    Ok(mappings.iter().take(MAPPINGS_MAX).filter_map(|mapping| mapped_ring(pid, mapping)).collect())
}

fn mapped_ring(pid: u64, mapping: &Mapping<'_>) -> Option<ProcessRing> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let path = PathBuf::from(mapping.path);
    // By its name as we see it, by its name as the process sees it, and, if it has none any more, as an open file of the process.
    let named = [path.clone(), process.join("root").join(path.strip_prefix("/").unwrap_or(&path))];
    let mut reaches: Vec<PathBuf> = if mapping.deleted { Vec::new() } else { named.into() };
    reaches.push(process.join("map_files").join(mapping.range));
    let by_name = reaches.into_iter().find(|reach| is_inode(reach, mapping.inode));
    let reach = by_name.or_else(|| {
        let descriptors = std::fs::read_dir(process.join("fd")).ok()?;
        descriptors.flatten().map(|entry| entry.path()).find(|reach| is_inode(reach, mapping.inode))
    })?;
    let mut ring = ring_at(&path, &reach).ok()?;
    // It is mapped, whatever its table says (in a container the process has another id, and the host another name).
    ring.bytes.liveness = Some(Liveness::Running);
    Some(ring)
}

/// Returns whether the path leads to the file of this number, and that holds a ring.
fn is_inode(path: &Path, inode: u64) -> bool {
    open(path).is_ok_and(|file| inode_of(&file) == Some(inode) && matches!(content(&file), Ok(Content::Ring)))
}

#[cfg(unix)]
fn inode_of(file: &File) -> Option<u64> {
    file.metadata().ok().map(|metadata| std::os::unix::fs::MetadataExt::ino(&metadata))
}

#[cfg(not(unix))]
fn inode_of(_file: &File) -> Option<u64> {
    None
}

/// Returns the rings of a directory whose process has one of these ids.
fn rings_of(directory: &Path, ids: &[u64]) -> Vec<ProcessRing> {
    let mut rings = Vec::new();
    for path in files_in(directory).unwrap_or_default() {
        if !is_ring_name(&path) || !names_one_of(&path, ids) {
            continue;
        }
        rings.extend(ring_at(&path, &path).ok());
    }
    rings
}

/// Returns whether a file has a name such as recorders give to rings.
#[must_use]
pub fn is_ring_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "ring")
}

/// Returns whether the head of the ring at `path` names a process of one of these ids, without reading the whole.
fn names_one_of(path: &Path, ids: &[u64]) -> bool {
    open(path).and_then(|file| crate::source::read_head(&file)).is_ok_and(|head| {
        RingImage::parse(&head).is_ok_and(|image| {
            let process: ProcessInfo<'_> = image.process().unwrap_or_default();
            ids.contains(&process.pid)
        })
    })
}

/// Returns the directories where the rings of a process may be: where it was told to put them, if that can be seen, and the usual ones of
/// its user and of ours.
fn directories_of(pid: u64) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let owner = owner_of(Path::new(&format!("/proc/{pid}")));
    if let Some(told) = variable_of(pid, "TTLOG_DIR") {
        add_with_private(&mut directories, PathBuf::from(told), owner);
    }
    for user in [owner, own_user()].into_iter().flatten() {
        for directory in directories_of_user(user) {
            if !directories.contains(&directory) {
                directories.push(directory);
            }
        }
    }
    directories
}

/// Returns a variable of the environment with which a process was started; `None`: it is not set, is empty, or cannot be seen.
#[must_use]
pub fn variable_of(pid: u64, name: &str) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    Some(String::from_utf8_lossy(value).into_owned()).filter(|value| !value.is_empty())
}

/// Adds a directory, and the private one that recorders make in it where others can write to it.
fn add_with_private(directories: &mut Vec<PathBuf>, directory: PathBuf, user: Option<u32>) {
    if let Some(user) = user {
        directories.push(directory.join(format!("ttlog-{user}")));
    }
    directories.push(directory);
}

/// Returns the directories where recorders of this user put their rings, whether they are there or not: `$TTLOG_DIR`, shared memory,
/// the temporary directory.
#[must_use]
pub fn usual_directories() -> Vec<PathBuf> {
    directories_of_user(own_user().unwrap_or(0))
}

fn directories_of_user(user: u32) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    if let Some(told) = std::env::var_os("TTLOG_DIR").filter(|told| !told.is_empty()) {
        add_with_private(&mut directories, PathBuf::from(told), Some(user));
    }
    let name = format!("ttlog-{user}");
    directories.push(Path::new("/dev/shm").join(&name));
    directories.push(std::env::temp_dir().join(&name));
    directories
}

/// Returns the user that a file or a process belongs to.
fn owner_of(path: &Path) -> Option<u32> {
    user_of(&std::fs::metadata(path).ok()?)
}

/// Returns the user that a file belongs to.
#[cfg(unix)]
#[must_use]
pub fn user_of(metadata: &std::fs::Metadata) -> Option<u32> {
    Some(std::os::unix::fs::MetadataExt::uid(metadata))
}

/// Returns the user that a file belongs to.
#[cfg(not(unix))]
#[must_use]
pub fn user_of(_metadata: &std::fs::Metadata) -> Option<u32> {
    None
}

/// Returns the user that this program acts for.
#[cfg(unix)]
#[must_use]
pub fn own_user() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

/// Returns the user that this program acts for.
#[cfg(not(unix))]
#[must_use]
pub fn own_user() -> Option<u32> {
    None
}
