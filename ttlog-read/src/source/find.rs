//! Finding the ring of a process.
//!
//! A target on the command line is a process id, or the path of a ring. (Write `./4711` for a file whose name is a
//! number.) The ring of a process is searched first among the files that it has mapped, which is the most reliable,
//! and then in the directories where recorders put their rings. In either case, a ring counts only if its process item
//! names that process. A ring of another process with the same id, an earlier one or one of another pid namespace, does
//! not: it has to be named by its path.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use ttlog_core::ring::RingImage;
use ttlog_core::snapshot::Content;
use ttlog_core::table::ProcessInfo;

use crate::source::holder::Holder;
use crate::source::owner::{own_user, owner_of, user_of_process};
use crate::source::process::{Liveness, Mapping, start_of};
use crate::source::{Bytes, content, files_in, open, read};
use crate::text::escape::escaped;

/// Most mapped files of one process that are examined.
const MAPPINGS_MAX: usize = 256;

/// A ring that was found.
#[derive(Debug)]
pub struct ProcessRing {
    /// Path for display. The file can have lost this name.
    pub path: PathBuf,
    /// Path to open the file, possibly one below `/proc`.
    pub reach: PathBuf,
    /// Its bytes.
    pub bytes: Bytes,
}

impl ProcessRing {
    /// Reads the ring's header.
    ///
    /// # Errors
    /// A line that describes what is wrong with the ring.
    pub fn image(&self) -> Result<RingImage<'_>, String> {
        RingImage::parse(&self.bytes.data).map_err(|error| format!("{}: {error}", self.name()))
    }

    /// Returns its path, escaped for display.
    #[must_use]
    pub fn name(&self) -> String {
        escaped(&self.path.to_string_lossy())
    }

    /// Returns which process has the ring.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.bytes.holder.unwrap_or(Holder::UNKNOWN)
    }

    fn process(&self) -> ProcessInfo<'_> {
        self.image().ok().and_then(|image| image.process()).unwrap_or_default()
    }
}

/// Reason that no ring was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindError {
    /// The file cannot be read, or is not a ring.
    File {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        cause: String,
    },
    /// No process with this id is running, and none left a ring in these directories.
    NoProcess {
        /// Process id.
        pid: u64,
        /// Directories that were searched.
        searched: Vec<PathBuf>,
        /// Rings of processes of other pid namespaces that have this id there.
        others: Vec<PathBuf>,
    },
    /// The process is running, but no ring of it was found.
    NoRing {
        /// Process id.
        pid: u64,
        /// Directories that were searched.
        searched: Vec<PathBuf>,
        /// Whether the files of the process cannot be seen.
        hidden: bool,
        /// User that owns the process, if that is not the one who asks.
        owner: Option<u32>,
        /// Rings of other processes with this id: earlier ones, or of other pid namespaces.
        others: Vec<PathBuf>,
    },
    /// The process has several rings.
    Several {
        /// Process id.
        pid: u64,
        /// Paths of the rings.
        paths: Vec<PathBuf>,
    },
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |paths: &[PathBuf]| {
            let names: Vec<_> = paths.iter().map(|path| escaped(&path.to_string_lossy())).collect();
            names.join(", ")
        };
        let push_others = |f: &mut fmt::Formatter<'_>, others: &[PathBuf]| match others {
            [] => Ok(()),
            others => write!(
                f,
                "; another process had or has this id (an earlier one, or one in another pid namespace) and a ring, \
                 which can be named by its path: {}",
                list(others)
            ),
        };
        match self {
            FindError::File { path, cause } => write!(f, "{}: {cause}", escaped(&path.to_string_lossy())),
            FindError::NoProcess { pid, searched, others } => {
                write!(f, "no process {pid} runs here, and none left a ring in {}", list(searched))?;
                push_others(f, others)
            }
            FindError::NoRing { pid, searched, hidden, owner, others } => {
                write!(f, "process {pid} runs, but has no ring that can be found: ")?;
                match (hidden, owner) {
                    (true, Some(owner)) => write!(f, "its files cannot be seen (it belongs to user {owner}), and ")?,
                    (true, None) => f.write_str("its files cannot be seen (it is protected), and ")?,
                    (false, _) => f.write_str("it has none mapped (no recorder, or one on the heap), and ")?,
                }
                write!(f, "there is none of it in {}", list(searched))?;
                push_others(f, others)
            }
            FindError::Several { pid, paths } => {
                write!(f, "process {pid} has several rings; name one: {}", list(paths))
            }
        }
    }
}

impl std::error::Error for FindError {}

/// Finds the ring that a target refers to: the ring of a running or dead process, or a file.
///
/// If several dead processes had this id, and no running one has it, the one that started last counts.
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
    // A mapped ring belongs to the process unless another process made it: a fork without a ring of its own still maps
    // its parent's.
    let own =
        |ring: &ProcessRing| ring.image().is_ok_and(|image| ids.contains(&image.process().unwrap_or_default().pid));
    let mut found: Vec<_> = mapped.into_iter().filter(own).collect();
    let searched = directories_of(pid);
    let mut others = Vec::new();
    if found.is_empty() {
        (found, others) = searched
            .iter()
            .flat_map(|directory| rings_of(directory, &ids))
            .partition(|ring| is_of_process(ring, pid, runs));
        if found.iter().any(|ring| ring.holder().liveness.is_running()) {
            found.retain(|ring| ring.holder().liveness.is_running());
        } else {
            let start = |ring: &ProcessRing| ring.process().start_unix_ns;
            let last = found.iter().map(start).max();
            found.retain(|ring| Some(start(ring)) == last);
        }
    }
    let paths = |rings: Vec<ProcessRing>| rings.into_iter().map(|ring| ring.path).collect();
    let owner = user_of_process(pid).filter(|owner| Some(*owner) != own_user());
    match (found.len(), runs) {
        (0, true) => Err(FindError::NoRing { pid, searched, hidden, owner, others: paths(others) }),
        (0, false) => Err(FindError::NoProcess { pid, searched, others: paths(others) }),
        (1, _) => Ok(found.remove(0)),
        _ => Err(FindError::Several { pid, paths: paths(found) }),
    }
}

/// Returns whether a ring whose process had this id belongs to that process of this pid namespace.
fn is_of_process(ring: &ProcessRing, pid: u64, runs: bool) -> bool {
    let Holder { liveness, local_pid, .. } = ring.holder();
    match local_pid {
        Some(local_pid) => local_pid == pid,
        None if liveness == Liveness::Elsewhere => false,
        None if runs => [0, start_of(pid).unwrap_or(0)].contains(&ring.process().process_start),
        None => true,
    }
}

/// Returns the ids of the process: its own here, and those in the containers that it is in.
fn ids_of(pid: u64) -> Vec<u64> {
    let mut ids = vec![pid];
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    if let Some(inner) = status.lines().find_map(|line| line.strip_prefix("NSpid:")) {
        ids.extend(inner.split_ascii_whitespace().filter_map(|id| id.parse::<u64>().ok()));
    }
    ids
}

/// Returns the rings that a process has mapped for writing.
fn mapped_rings(pid: u64) -> io::Result<Vec<ProcessRing>> {
    let maps = std::fs::read(format!("/proc/{pid}/maps"))?;
    let maps = String::from_utf8_lossy(&maps);
    let mut seen = HashSet::new();
    let mut mappings: Vec<_> = maps
        .lines()
        .filter_map(Mapping::parse)
        .filter(|mapping| mapping.shared && mapping.offset == 0 && seen.insert(mapping.inode))
        .collect();
    // Files that look like rings come first, in case there are too many.
    mappings.sort_by_key(|mapping| !mapping.path.ends_with(".ring"));
    Ok(mappings.iter().take(MAPPINGS_MAX).filter_map(|mapping| mapped_ring(pid, mapping)).collect())
}

/// Returns the rings of the current user that running processes have mapped and whose files cannot be found by name:
/// the file was removed, or something else is at its path. Processes whose mappings cannot be read are left out.
#[must_use]
pub fn nameless_rings() -> Vec<ProcessRing> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok());
    let mut seen = HashSet::new();
    let mut rings = Vec::new();
    for pid in pids {
        let maps = std::fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
        let maps = String::from_utf8_lossy(&maps);
        let nameless = maps.lines().filter_map(Mapping::parse).filter(|mapping| is_nameless(pid, mapping));
        let nameless = nameless.filter(|mapping| seen.insert(mapping.inode)).take(MAPPINGS_MAX);
        rings.extend(nameless.filter_map(|mapping| mapped_ring(pid, &mapping)));
    }
    let is_own = |ring: &ProcessRing| owner_of(&ring.reach).is_some_and(|owner| Some(owner) == own_user());
    rings.retain(is_own);
    rings.sort_by(|a, b| a.path.cmp(&b.path));
    rings
}

/// Returns whether the path of a mapped ring does not lead to its file, as far as that can be seen.
fn is_nameless(pid: u64, mapping: &Mapping<'_>) -> bool {
    let path = Path::new(mapping.path);
    if !mapping.shared || mapping.offset != 0 || !is_ring_name(path) {
        return false;
    }
    let as_seen_by_process = Path::new("/proc").join(pid.to_string()).join("root");
    mapping.deleted
        || match as_seen_by_process.join(path.strip_prefix("/").unwrap_or(path)).symlink_metadata() {
            Ok(metadata) => number_of(&metadata).is_some_and(|inode| inode != mapping.inode),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
}

fn mapped_ring(pid: u64, mapping: &Mapping<'_>) -> Option<ProcessRing> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let path = PathBuf::from(mapping.path);
    // By its name as this program sees it, by its name as the process sees it, and, if the name is gone, as an open
    // file of the process.
    let named = [path.clone(), process.join("root").join(path.strip_prefix("/").unwrap_or(&path))];
    let mut reaches: Vec<PathBuf> = if mapping.deleted { Vec::new() } else { named.into() };
    reaches.push(process.join("map_files").join(mapping.range));
    let by_name = reaches.into_iter().find(|reach| is_inode(reach, mapping.inode));
    let reach = by_name.or_else(|| {
        let descriptors = std::fs::read_dir(process.join("fd")).ok()?;
        descriptors.flatten().map(|entry| entry.path()).find(|reach| is_inode(reach, mapping.inode))
    })?;
    let mut ring = ring_at(&path, &reach).ok()?;
    // The ring is mapped, whatever its table names: in a container the process has another id, and the host another
    // name.
    ring.bytes.holder = Some(Holder::running(pid));
    Some(ring)
}

/// Returns whether the path leads to the file with this inode, and the file holds a ring.
fn is_inode(path: &Path, inode: u64) -> bool {
    open(path).is_ok_and(|file| inode_of(&file) == Some(inode) && matches!(content(&file), Ok(Content::Ring)))
}

fn inode_of(file: &File) -> Option<u64> {
    file.metadata().ok().as_ref().and_then(number_of)
}

#[cfg(unix)]
fn number_of(metadata: &std::fs::Metadata) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::ino(metadata))
}

#[cfg(not(unix))]
fn number_of(_metadata: &std::fs::Metadata) -> Option<u64> {
    None
}

/// Returns the rings in a directory whose process has one of these ids.
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

/// Returns whether a file has a name that recorders give to rings.
#[must_use]
pub fn is_ring_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "ring")
}

/// Returns whether the head of the ring at `path` names a process with one of these ids, without reading the whole
/// file.
fn names_one_of(path: &Path, ids: &[u64]) -> bool {
    open(path).and_then(|file| crate::source::read_head(&file)).is_ok_and(|head| {
        RingImage::parse(&head).is_ok_and(|image| {
            let process: ProcessInfo<'_> = image.process().unwrap_or_default();
            ids.contains(&process.pid)
        })
    })
}

/// Returns the directories that can hold the rings of a process: the configured one, if that can be seen, and the
/// usual ones of its user and of the current user.
fn directories_of(pid: u64) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    // The user that it was started as, if it has given up privileges, and its user now.
    let users = [user_of_process(pid), owner_of(Path::new(&format!("/proc/{pid}")))];
    if let Some(told) = variable_of(pid, "TTLOG_DIR") {
        for user in users.into_iter().flatten() {
            directories.push(PathBuf::from(&told).join(format!("ttlog-{user}")));
        }
        directories.push(PathBuf::from(told));
    }
    for user in users.into_iter().chain([own_user()]).flatten() {
        for directory in directories_of_user(user) {
            if !directories.contains(&directory) {
                directories.push(directory);
            }
        }
    }
    directories
}

/// Returns an environment variable with which a process was started; `None` if it is unset, empty, or cannot be seen.
#[must_use]
pub fn variable_of(pid: u64, name: &str) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    Some(String::from_utf8_lossy(value).into_owned()).filter(|value| !value.is_empty())
}

/// Returns the directories where recorders of this user put their rings, whether or not they exist: `$TTLOG_DIR`,
/// shared memory, the temporary directory.
#[must_use]
pub fn usual_directories() -> Vec<PathBuf> {
    directories_of_user(own_user().unwrap_or(0))
}

fn directories_of_user(user: u32) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    let name = format!("ttlog-{user}");
    if let Some(told) = std::env::var_os("TTLOG_DIR").filter(|told| !told.is_empty()) {
        // Recorders make a private one in it if others can write to it.
        directories.extend([Path::new(&told).join(&name), PathBuf::from(told)]);
    }
    directories.push(Path::new("/dev/shm").join(&name));
    directories.push(std::env::temp_dir().join(&name));
    directories
}
