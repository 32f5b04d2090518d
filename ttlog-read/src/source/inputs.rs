//! Reading the files, directories and patterns that the command line names.

use std::path::Path;

use ttlog_core::snapshot::Content;

use super::device::detect::{Detected, detect};
use super::device::load::Firmwares;
use super::device::sessions::Usability;
use super::file::{content, files_in, open, read, read_stdin};
use super::input::Input;
use super::model::Source;
use crate::event::secrets::Secrets;
use crate::text::escape::{error_line, escaped};

/// Inputs that the command line names: those that were read, and errors for the others.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Recordings that were read. A file can hold several; a recording of a device is replaced by one snapshot per
    /// session.
    pub read: Vec<Input>,
    /// Errors, one line each.
    pub errors: Vec<String>,
    /// Remarks about recordings of devices, one line each.
    pub remarks: Vec<String>,
    /// Usable share of the recordings of devices.
    pub usability: Usability,
}

impl Inputs {
    /// Reads files, the snapshots and rings in directories, and the matches of patterns. A file can hold several
    /// recordings, one after the other. A recording of a device is replaced by one snapshot per session, with names
    /// from `firmwares`.
    #[must_use]
    pub fn read<N: AsRef<str>>(names: &[N], firmwares: &Firmwares) -> Self {
        let mut inputs = Inputs::default();
        for name in names {
            inputs.add(name.as_ref(), firmwares);
        }
        inputs
    }

    /// Separates the recordings of a file whose contents were read already.
    #[must_use]
    pub fn of_file(path: &str, bytes: Vec<u8>, firmwares: &Firmwares) -> Self {
        let mut inputs = Inputs::default();
        inputs.take(Input::new(path.to_owned(), bytes.into()), firmwares);
        inputs
    }

    /// Creates a source for each recording.
    ///
    /// # Errors
    /// A line about the first recording that cannot be read. To use the others regardless, create each source with
    /// [`Source::with_secrets`].
    pub fn sources(&self, secrets: &Secrets) -> Result<Vec<Source<'_>>, String> {
        let read = self.read.iter();
        read.map(|input| Source::with_secrets(input, secrets).map_err(|error| error_line(input.path.as_ref(), &error)))
            .collect()
    }

    fn add(&mut self, name: &str, firmwares: &Firmwares) {
        if name == "-" {
            match read_stdin() {
                Ok(bytes) => self.take(Input::new("-".to_owned(), bytes), firmwares),
                Err(error) => self.errors.push(format!("standard input: {error}")),
            }
            return;
        }
        let path = Path::new(name);
        if path.is_dir() {
            self.add_directory(path, firmwares);
        } else if !path.exists() && name.contains(['*', '?', '[']) {
            self.add_pattern(name, firmwares);
        } else {
            self.add_file(path, firmwares);
        }
    }

    fn add_pattern(&mut self, pattern: &str, firmwares: &Firmwares) {
        let paths = match glob::glob(pattern) {
            Ok(paths) => paths,
            Err(error) => {
                return self.errors.push(format!("{}: bad pattern: {error}", escaped(pattern)));
            }
        };
        let before = self.count();
        for path in paths {
            match path {
                Ok(path) if path.is_dir() => {}
                Ok(path) => self.add_file(&path, firmwares),
                Err(error) => self.errors.push(error_line(error.path(), error.error())),
            }
        }
        if self.count() == before {
            self.errors.push(format!("{}: no file matches", escaped(pattern)));
        }
    }

    /// Adds the snapshots and rings in a directory. Reports other files only if they have a TTLog name.
    fn add_directory(&mut self, directory: &Path, firmwares: &Firmwares) {
        let entries = match files_in(directory) {
            Ok(entries) => entries,
            Err(error) => return self.errors.push(error_line(directory, &error)),
        };
        let before = self.count();
        for path in entries {
            let ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ttlog-"));
            match open(&path).and_then(|file| content(&file)) {
                Ok(Content::Frames | Content::Unknown) if !ours => {}
                Ok(_) => self.add_file(&path, firmwares),
                Err(error) if ours => self.errors.push(error_line(&path, &error)),
                Err(_) => {} // not a TTLog name, so not requested
            }
        }
        if self.count() == before {
            let directory = escaped(&directory.to_string_lossy());
            self.errors.push(format!("{directory}: no snapshots and no rings in this directory"));
        }
    }

    fn add_file(&mut self, path: &Path, firmwares: &Firmwares) {
        match open(path).and_then(|file| read(&file)) {
            Ok(bytes) => self.take(Input::new(path.to_string_lossy().into_owned(), bytes), firmwares),
            Err(error) => self.errors.push(error_line(path, &error)),
        }
    }

    /// Adds the recordings of a file; those of devices session by session.
    fn take(&mut self, input: Input, firmwares: &Firmwares) {
        let path = input.path.clone();
        for found in detect(input, firmwares) {
            match found {
                Detected::Process(input) => self.read.push(input),
                Detected::Refused(line) => self.remarks.push(error_line(path.as_ref(), &line)),
                Detected::LeftOut(line) => self.errors.push(error_line(path.as_ref(), &line)),
                Detected::Device(found) => {
                    for mut recordings in found {
                        self.usability = self.usability.max(recordings.usability(firmwares.are_named()));
                        self.remarks.append(&mut recordings.complaints);
                        self.read.append(&mut recordings.inputs);
                    }
                }
            }
        }
    }

    /// Returns the total number of entries, to detect whether something was added.
    fn count(&self) -> usize {
        self.read.len() + self.errors.len() + self.remarks.len()
    }
}
