//! Building the test programs.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::Machine;

/// How the programs are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// As they are.
    Usual,
    /// With a recorder that publishes a record before its words are stored: what the sweeps must notice.
    MutantCommitFirst,
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Variant::Usual => "usual",
            Variant::MutantCommitFirst => "commit-first",
        }
    }
}

/// Gives the ELF file of a program of `ttlog-embedded/firmware`, and builds it before that. The programs of a machine are built together,
/// once per process.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn program(machine: &Machine, variant: Variant, program: &str) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<(&'static str, Variant), PathBuf>>> = Mutex::new(None);
    // A test that panicked in here left nothing half done: an entry is made when all is built.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    let folder = built.entry((machine.name, variant)).or_insert_with(|| build(machine, variant));
    let path = folder.join(program);
    assert!(path.is_file(), "there is no program {program} for {}", machine.name);
    path
}

// `File::lock` is newer than what the libraries promise; this crate is for our own tests.
#[allow(clippy::incompatible_msrv)]
fn build(machine: &Machine, variant: Variant) -> PathBuf {
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware");
    let outer = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    // Targets share it, for the sake of build scripts and macros; variants would rebuild each other's.
    let target_dir = outer.join("firmware").join(variant.name());
    fs::create_dir_all(&target_dir).unwrap_or_else(|error| panic!("cannot make {}: {error}", target_dir.display()));
    // All machines of a target put their programs into one folder, from which they are copied while nobody else builds.
    let lock_path = target_dir.join("programs.lock");
    let lock = File::create(&lock_path).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.unwrap_or_else(|error| panic!("cannot lock {}: {error}", lock_path.display()));

    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--quiet", "-p", "programs", "--target", machine.target]);
    cargo.args(["--features", &format!("programs/{}", machine.feature)]);
    if variant == Variant::MutantCommitFirst {
        // Cargo joins this to what .cargo/config.toml says.
        cargo.arg("--config");
        cargo.arg(format!("target.'{}'.rustflags = [\"--cfg\", \"ttlog_mutant_commit_first\"]", machine.target));
    }
    // Flags of the outer build would replace those of the firmware.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    cargo.current_dir(&firmware).env("CARGO_TARGET_DIR", &target_dir);
    let output = cargo.output().unwrap_or_else(|error| panic!("cannot run {cargo:?}: {error}"));
    assert!(output.status.success(), "{cargo:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));

    let folder = target_dir.join("programs").join(machine.name);
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("cannot make {}: {error}", folder.display()));
    let sources = firmware.join("programs/src/bin");
    for source in fs::read_dir(&sources).unwrap_or_else(|error| panic!("cannot list {}: {error}", sources.display())) {
        let source = source.unwrap_or_else(|error| panic!("cannot list {}: {error}", sources.display())).path();
        let Some(name) = source.file_stem() else { continue };
        let from = target_dir.join(machine.target).join("release").join(name);
        fs::copy(&from, folder.join(name)).unwrap_or_else(|error| panic!("cannot copy {}: {error}", from.display()));
    }
    folder
}
