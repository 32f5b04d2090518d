//! Owners of files and processes, and refusals that name them.

use std::io;
use std::path::Path;

/// Returns the user that owns a file.
pub(super) fn owner_of(path: &Path) -> Option<u32> {
    user_of(&std::fs::metadata(path).ok()?)
}

/// Returns the user that owns a file.
#[cfg(unix)]
#[must_use]
pub fn user_of(metadata: &std::fs::Metadata) -> Option<u32> {
    Some(std::os::unix::fs::MetadataExt::uid(metadata))
}

/// Returns the user that owns a file.
#[cfg(not(unix))]
#[must_use]
pub fn user_of(_metadata: &std::fs::Metadata) -> Option<u32> {
    None
}

/// Returns the user that this program runs as.
#[cfg(unix)]
#[must_use]
pub fn own_user() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

/// Returns the user that this program runs as.
#[cfg(not(unix))]
#[must_use]
pub fn own_user() -> Option<u32> {
    None
}

/// Returns the user whose rights a process has. (The owner of its files in `/proc` is root if the process is protected,
/// as one that has given up privileges is.)
pub(super) fn user_of_process(pid: u64) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    effective_user(&status)
}

/// Returns the effective user from the text of `/proc/PID/status`.
fn effective_user(status: &str) -> Option<u32> {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Adds to a refusal whose file or directory it is about; returns other errors unchanged.
#[must_use]
pub fn with_owner(path: &Path, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    // What cannot be examined is in a directory that cannot be searched.
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let Some((at, owner)) = absolute.ancestors().find_map(|at| Some((at, owner_of(at)?))) else { return error };
    let what = if at == absolute { "it".to_owned() } else { crate::text::escape::escaped(&at.to_string_lossy()) };
    let text = match own_user() {
        Some(own) if own == owner => format!("{error}; {what} belongs to you, user {own}"),
        Some(own) => format!("{error}; {what} belongs to user {owner}, and you are user {own}"),
        None => format!("{error}; {what} belongs to user {owner}"),
    };
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_owner() {
        let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
        let own = own_user().expect("this is Unix");
        let text = with_owner(Path::new("/"), refused()).to_string();
        let whose =
            if own == 0 { "belongs to you, user 0".to_owned() } else { format!("user 0, and you are user {own}") };
        assert!(text.contains("; it belongs to ") && text.contains(&whose), "{text}");
        let text = with_owner(Path::new("/no such directory/ring"), refused()).to_string();
        assert!(text.contains("; / belongs to "), "{text}");
        let other = io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(with_owner(Path::new("/"), other).to_string(), io::ErrorKind::NotFound.to_string());
    }

    #[test]
    fn effective_user_of_a_status() {
        assert_eq!(effective_user("Name:\tx\nUid:\t0\t1000\t0\t1000\nGid:\t1\t2\t3\t4\n"), Some(1000));
        for status in ["", "Uid:", "Uid:\t0", "Uid:\tx\ty"] {
            assert_eq!(effective_user(status), None, "{status}");
        }
    }
}
