//! How a snapshot becomes a file that is whole or not there.
//!
//! It is written to a hidden temporary file, made durable, and only then gets its name, which no other file has; then the
//! directory is made durable. Whatever fails on the way, the temporary file is removed. The order of these steps and the choice
//! of the name are here; whoever writes snapshots brings the steps themselves, as a [`Directory`].

use core::fmt;

use super::file_name::{SnapshotName, SnapshotStem, TemporaryName};

/// A directory as it is seen while one snapshot is published in it.
///
/// Between [`create`](Self::create) and the end it holds the file that is being written open.
pub trait Directory {
    /// What can go wrong.
    type Error;

    /// Creates the temporary file, which must not exist, for its owner alone; where there are locks, locked.
    ///
    /// # Errors
    /// Whatever keeps it from being created; nothing is left then.
    fn create(&mut self, temporary: &TemporaryName<'_>) -> Result<(), Self::Error>;

    /// Writes the snapshot to it.
    ///
    /// # Errors
    /// Whatever keeps the snapshot from being written.
    fn fill(&mut self) -> Result<(), Self::Error>;

    /// Makes its content durable.
    ///
    /// # Errors
    /// Whatever keeps it from being durable.
    fn sync_file(&mut self) -> Result<(), Self::Error>;

    /// Gives the temporary file another name, and never replaces a file that has it: by one step of the system, or by a link
    /// and the removal of the temporary name.
    ///
    /// # Errors
    /// Whatever keeps it from being renamed, except for what [`Renamed`] says.
    fn rename_new(&mut self, from: &TemporaryName<'_>, to: &SnapshotName<'_>) -> Result<Renamed, Self::Error>;

    /// Returns whether there is a file of that name. Asked only where [`Renamed::Unsupported`] came before.
    fn exists(&mut self, name: &SnapshotName<'_>) -> bool;

    /// Gives the temporary file another name. Asked only after [`exists`](Self::exists) said that it is free.
    ///
    /// # Errors
    /// Whatever keeps it from being renamed.
    fn rename(&mut self, from: &TemporaryName<'_>, to: &SnapshotName<'_>) -> Result<(), Self::Error>;

    /// Removes the temporary file. That this fails is of no interest: an error came before, which matters more.
    fn remove(&mut self, temporary: &TemporaryName<'_>);

    /// Makes the names in the directory durable.
    ///
    /// # Errors
    /// Whatever keeps them from being durable.
    fn sync_directory(&mut self) -> Result<(), Self::Error>;
}

/// What became of an attempt to rename a file without replacing another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renamed {
    /// It has the new name, and no other.
    Done,
    /// Another file has that name.
    Taken,
    /// This file system cannot do it.
    Unsupported,
}

/// A snapshot that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published<'a, E> {
    /// Its name.
    pub name: SnapshotName<'a>,
    /// Whether the directory is durable. Where it is not, the file is whole and has its name, but a crash of the machine may
    /// take the name away.
    pub directory_sync: Result<(), E>,
}

/// Why a snapshot was not published. No file is left.
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

/// Publishes a snapshot in a directory, under the first free name of `stem`. `random` is a number that no other writer has.
///
/// # Errors
/// That of the step that failed, or [`PublishError::NamesTaken`]; no file is left then.
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

    /// The steps, in their order.
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
    fn names_run_out() {
        let mut directory = Fake::default();
        directory.files.extend(SnapshotName::all(STEM).map(|name| (name.to_string(), "older")));
        assert_eq!(publish(&mut directory, STEM, 1), Err(PublishError::NamesTaken));
        assert_eq!(directory.files.len(), SAME_NAME_MAX as usize);
    }
}
