//! Publishes a snapshot as a complete file, or not at all.
//!
//! A snapshot is written to a hidden temporary file and made durable. Only then does it get its final name, which no
//! other file has, and the directory is made durable. If any step fails, the temporary file is removed. This module
//! defines the order of the steps and the choice of the name; the caller implements the steps as a [`Directory`].

use core::fmt;

use super::file_name::{SnapshotName, SnapshotStem, TemporaryName};

/// A directory, as the target of one snapshot.
///
/// From [`create`](Self::create) to the end, it holds the open temporary file.
pub trait Directory {
    /// Error of a step.
    type Error;

    /// Creates the temporary file, accessible by its owner only, and locks it where locks exist. The file must not
    /// exist.
    ///
    /// # Errors
    /// Any failure to create it; nothing is left in that case.
    fn create(&mut self, temporary: &TemporaryName<'_>) -> Result<(), Self::Error>;

    /// Writes the snapshot to the temporary file.
    ///
    /// # Errors
    /// Any failure to write the snapshot.
    fn fill(&mut self) -> Result<(), Self::Error>;

    /// Makes the content of the temporary file durable.
    ///
    /// # Errors
    /// Any failure to make it durable.
    fn sync_file(&mut self) -> Result<(), Self::Error>;

    /// Renames the temporary file without ever replacing a file: in one step of the system, or by a link and the
    /// removal of the temporary name.
    ///
    /// # Errors
    /// Any failure to rename it, except for those that [`Renamed`] describes.
    fn rename_new(&mut self, from: &TemporaryName<'_>, to: &SnapshotName<'_>) -> Result<Renamed, Self::Error>;

    /// Returns whether a file of that name exists. Only called after [`Renamed::Unsupported`].
    fn exists(&mut self, name: &SnapshotName<'_>) -> bool;

    /// Renames the temporary file. Only called after [`exists`](Self::exists) returned `false` for the name.
    ///
    /// # Errors
    /// Any failure to rename it.
    fn rename(&mut self, from: &TemporaryName<'_>, to: &SnapshotName<'_>) -> Result<(), Self::Error>;

    /// Removes the temporary file. A failure is ignored, because an earlier error matters more.
    fn remove(&mut self, temporary: &TemporaryName<'_>);

    /// Makes the names in the directory durable.
    ///
    /// # Errors
    /// Any failure to make them durable.
    fn sync_directory(&mut self) -> Result<(), Self::Error>;
}

/// Result of an attempt to rename a file without replacing another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// The file has only the new name.
    Done,
    /// Another file has that name.
    Taken,
    /// The file system does not support this.
    Unsupported,
}

/// A snapshot that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published<'a, E> {
    /// Name of the snapshot.
    pub name: SnapshotName<'a>,
    /// Whether the directory is durable. If it is not, the file is complete and has its name, but the name can be lost
    /// in a crash of the machine.
    pub directory_sync: Result<(), E>,
}

/// Reason that a snapshot was not published. No file is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishError<E> {
    /// A step failed.
    Step(E),
    /// All names for this service, process, second and reason are taken.
    NamesTaken,
}

impl<E: fmt::Display> fmt::Display for PublishError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Step(error) => error.fmt(f),
            PublishError::NamesTaken => f.write_str("all names for this second are taken"),
        }
    }
}

impl<E: core::error::Error> core::error::Error for PublishError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            PublishError::Step(error) => error.source(),
            PublishError::NamesTaken => None,
        }
    }
}

impl<E> From<E> for PublishError<E> {
    fn from(error: E) -> Self {
        PublishError::Step(error)
    }
}

/// Publishes a snapshot in a directory, under the first free name of `stem`. `random` is a number that no other writer
/// uses.
///
/// # Errors
/// The error of the step that failed, or [`PublishError::NamesTaken`]; no file is left in either case.
pub fn publish<'a, D: Directory>(
    directory: &mut D,
    stem: SnapshotStem<'a>,
    random: u64,
) -> Result<Published<'a, D::Error>, PublishError<D::Error>> {
    let temporary = TemporaryName { stem, random };
    directory.create(&temporary)?;
    match fill_and_name(directory, &temporary) {
        Ok(name) => Ok(Published { name, directory_sync: directory.sync_directory() }),
        Err(error) => {
            directory.remove(&temporary);
            Err(error)
        }
    }
}

fn fill_and_name<'a, D: Directory>(
    directory: &mut D,
    temporary: &TemporaryName<'a>,
) -> Result<SnapshotName<'a>, PublishError<D::Error>> {
    directory.fill()?;
    directory.sync_file()?;
    for name in SnapshotName::all(temporary.stem) {
        match directory.rename_new(temporary, &name)? {
            Renamed::Done => return Ok(name),
            Renamed::Unsupported if !directory.exists(&name) => {
                directory.rename(temporary, &name)?;
                return Ok(name);
            }
            Renamed::Taken | Renamed::Unsupported => {}
        }
    }
    Err(PublishError::NamesTaken)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::string::{String, ToString as _};
    use std::vec::Vec;

    use super::super::file_name::{SAME_NAME_MAX, UtcStamp};
    use super::*;

    const STEM: SnapshotStem<'_> =
        SnapshotStem { service: "shop", id: 7, time: UtcStamp { unix_seconds: 0 }, reason: "panic" };
    const NAME: &str = "ttlog-shop-7-19700101T000000Z-panic.bin";
    const NAME_2: &str = "ttlog-shop-7-19700101T000000Z-panic-2.bin";

    /// The steps, in order.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Step {
        Create,
        Fill,
        SyncFile,
        RenameNew,
        Rename,
        SyncDirectory,
    }

    /// A directory in memory of which one step fails.
    #[derive(Default)]
    struct Fake {
        /// Contents by name.
        files: BTreeMap<String, &'static str>,
        steps: Vec<Step>,
        fails: Option<Step>,
        cannot_rename_new: bool,
        temporary: String,
    }

    impl Fake {
        fn step(&mut self, step: Step) -> Result<(), Step> {
            self.steps.push(step);
            if self.fails == Some(step) { Err(step) } else { Ok(()) }
        }

        fn names(&self) -> Vec<&str> {
            self.files.keys().map(String::as_str).collect()
        }

        fn moved(&mut self, from: &TemporaryName<'_>, to: &SnapshotName<'_>) {
            let content = self.files.remove(&from.to_string()).expect("the temporary file is there");
            assert_eq!(self.files.insert(to.to_string(), content), None, "no file is replaced");
        }
    }

    impl Directory for Fake {
        type Error = Step;

        fn create(&mut self, temporary: &TemporaryName<'_>) -> Result<(), Step> {
            self.step(Step::Create)?;
            self.temporary = temporary.to_string();
            assert_eq!(self.files.insert(self.temporary.clone(), ""), None);
            Ok(())
        }

        fn fill(&mut self) -> Result<(), Step> {
            self.files.insert(self.temporary.clone(), "half");
            self.step(Step::Fill)?;
            self.files.insert(self.temporary.clone(), "whole");
            Ok(())
        }

        fn sync_file(&mut self) -> Result<(), Step> {
            self.step(Step::SyncFile)
        }

        fn rename_new(&mut self, from: &TemporaryName<'_>, to: &SnapshotName<'_>) -> Result<Renamed, Step> {
            self.step(Step::RenameNew)?;
            if self.cannot_rename_new {
                return Ok(Renamed::Unsupported);
            }
            if self.files.contains_key(&to.to_string()) {
                return Ok(Renamed::Taken);
            }
            self.moved(from, to);
            Ok(Renamed::Done)
        }

        fn exists(&mut self, name: &SnapshotName<'_>) -> bool {
            self.files.contains_key(&name.to_string())
        }

        fn rename(&mut self, from: &TemporaryName<'_>, to: &SnapshotName<'_>) -> Result<(), Step> {
            self.step(Step::Rename)?;
            self.moved(from, to);
            Ok(())
        }

        fn remove(&mut self, temporary: &TemporaryName<'_>) {
            self.files.remove(&temporary.to_string());
        }

        fn sync_directory(&mut self) -> Result<(), Step> {
            self.step(Step::SyncDirectory)
        }
    }

    #[test]
    fn steps_come_in_their_order() {
        let mut directory = Fake::default();
        let published = publish(&mut directory, STEM, 1).unwrap();
        assert_eq!((published.name.to_string().as_str(), published.directory_sync), (NAME, Ok(())));
        assert_eq!(directory.steps, [Step::Create, Step::Fill, Step::SyncFile, Step::RenameNew, Step::SyncDirectory]);
        assert_eq!(directory.files, BTreeMap::from([(NAME.to_string(), "whole")]));
    }

    #[test]
    fn step_that_fails_leaves_nothing() {
        for cannot_rename_new in [false, true] {
            for step in [Step::Create, Step::Fill, Step::SyncFile, Step::RenameNew, Step::Rename] {
                if step == Step::Rename && !cannot_rename_new {
                    continue;
                }
                let mut directory = Fake { fails: Some(step), cannot_rename_new, ..Fake::default() };
                assert_eq!(publish(&mut directory, STEM, 1), Err(PublishError::Step(step)));
                assert_eq!(directory.steps.last(), Some(&step), "nothing is done after it");
                assert_eq!(directory.files.len(), 0, "{step:?}");
            }
        }
    }

    #[test]
    fn directory_that_is_not_durable_keeps_the_file() {
        let mut directory = Fake { fails: Some(Step::SyncDirectory), ..Fake::default() };
        let published = publish(&mut directory, STEM, 1).unwrap();
        assert_eq!(published.directory_sync, Err(Step::SyncDirectory));
        assert_eq!(directory.names(), [NAME]);
    }

    #[test]
    fn first_free_name_is_taken() {
        for cannot_rename_new in [false, true] {
            let mut directory = Fake { cannot_rename_new, ..Fake::default() };
            directory.files.insert(NAME.to_string(), "older");
            assert_eq!(publish(&mut directory, STEM, 1).unwrap().name.to_string(), NAME_2);
            assert_eq!(directory.names(), [NAME_2, NAME]);
            assert_eq!(directory.files[NAME], "older");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "safe code, and slow there")]
    fn names_run_out() {
        let mut directory = Fake::default();
        directory.files.extend(SnapshotName::all(STEM).map(|name| (name.to_string(), "older")));
        assert_eq!(publish(&mut directory, STEM, 1), Err(PublishError::NamesTaken));
        assert_eq!(directory.files.len(), SAME_NAME_MAX as usize);
    }
}
