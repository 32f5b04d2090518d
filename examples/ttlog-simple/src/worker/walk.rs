//! Finds the files of a tree.

use std::io;
use std::path::{Path, PathBuf};

/// Skipped directories: large, and written by tools.
const SKIPPED: [&str; 2] = [".git", "target"];

/// Returns the regular files below `root`, sorted by name. Does not follow links. Passes unreadable directories to
/// `trouble`.
pub(crate) fn files(root: &Path, trouble: &mut dyn FnMut(&Path, io::Error)) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                trouble(&directory, error);
                continue;
            }
        };
        for entry in entries {
            match entry.and_then(|entry| Ok((entry.file_type()?, entry))) {
                Ok((kind, entry)) if kind.is_file() => found.push(entry.path()),
                Ok((kind, entry)) if kind.is_dir() => {
                    if !SKIPPED.iter().any(|name| entry.file_name() == *name) {
                        directories.push(entry.path());
                    }
                }
                Ok(_) => {} // a link, a pipe or a device
                Err(error) => trouble(&directory, error),
            }
        }
    }
    found.sort();
    found
}

/// Returns the number of files below `root`, or why there is nothing to index.
pub(crate) fn check(root: &Path) -> Result<usize, String> {
    let of_root = |error: io::Error| format!("{}: {error}", root.display());
    if !std::fs::metadata(root).map_err(of_root)?.is_dir() {
        return Err(format!("{} is no directory", root.display()));
    }
    std::fs::read_dir(root).map_err(of_root)?;
    match files(root, &mut |_, _| {}).len() {
        0 => Err(format!("{} has no files to index", root.display())),
        count => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_is_walked_in_order_and_within_its_bounds() {
        let run = crate::place::Place::new().unwrap();
        let root = run.path();
        assert!(check(root).unwrap_err().ends_with("has no files to index"));
        for directory in ["b", "a/deep", ".git", "target/x"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        let names = ["a/deep/2", "b/1", "z"];
        for name in names.iter().chain(&[".git/no", "target/x/no"]) {
            std::fs::write(root.join(name), "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(root, root.join("loop")).unwrap();
        let found = files(root, &mut |path, error| panic!("{path:?}: {error}"));
        assert_eq!(found, names.map(|name| root.join(name)));
        assert_eq!(check(root), Ok(3));
        assert!(check(&root.join("z")).unwrap_err().ends_with("z is no directory"));
        assert!(check(&root.join("nothing")).is_err());
    }
}
