//! Builds the test programs.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::machine::Machine;

/// How the programs are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// As they are.
    Usual,
    /// With a recorder that publishes a record before it stores the words, which the sweeps must detect.
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

/// Builds a program of `ttlog-embedded/firmware` and returns its ELF file. The programs of a package are built together
/// for a machine, once per process. Packages are built apart, because their features of libraries differ.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn program(machine: &Machine, variant: Variant, program: &str) -> PathBuf {
    /// Folders of programs, by machine, variant and package.
    type Built = HashMap<(&'static str, Variant, PathBuf), PathBuf>;
    static BUILT: Mutex<Option<Built>> = Mutex::new(None);
    let package = package_of(program);
    // A test that panicked in here left nothing half done: an entry is made only after the build.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    let key = (machine.name, variant, package.clone());
    let folder = built.entry(key).or_insert_with(|| build(machine, variant, &package));
    let path = folder.join(program);
    assert!(path.is_file(), "there is no program {program} for {}", machine.name);
    path
}

/// Returns the folder of the package that contains a program.
fn package_of(program: &str) -> PathBuf {
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware");
    let entries = fs::read_dir(&firmware).unwrap_or_else(|error| panic!("cannot list {}: {error}", firmware.display()));
    let mut packages = entries.flatten().map(|entry| entry.path());
    let package = packages.find(|package| package.join("src/bin").join(program).with_extension("rs").is_file());
    package.unwrap_or_else(|| panic!("no package has a program {program}"))
}

// `File::lock` is newer than the libraries' minimum Rust version; this crate is for our own tests.
#[allow(clippy::incompatible_msrv)]
fn build(machine: &Machine, variant: Variant, package_folder: &Path) -> PathBuf {
    let package = package_folder.file_name().and_then(|name| name.to_str()).expect("a folder of ours");
    let outer = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let target_dir = outer.join("firmware").join(variant.name());
    fs::create_dir_all(&target_dir).unwrap_or_else(|error| panic!("cannot make {}: {error}", target_dir.display()));
    // All machines of a target build into one folder, from which the programs are copied while the lock is held.
    let lock_path = target_dir.join("programs.lock");
    let lock = File::create(&lock_path).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.unwrap_or_else(|error| panic!("cannot lock {}: {error}", lock_path.display()));

    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--quiet", "-p", package, "--target", machine.target]);
    cargo.args(["--features", &format!("{package}/{}", machine.feature)]);
    if variant == Variant::MutantCommitFirst {
        // Cargo joins this with the flags of .cargo/config.toml.
        cargo.arg("--config");
        cargo.arg(format!("target.'{}'.rustflags = [\"--cfg\", \"ttlog_mutant_commit_first\"]", machine.target));
    }
    // Flags of the outer build would replace those of the firmware.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    cargo.current_dir(package_folder).env("CARGO_TARGET_DIR", &target_dir);
    let output = cargo.output().unwrap_or_else(|error| panic!("cannot run {cargo:?}: {error}"));
    assert!(output.status.success(), "{cargo:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));

    let folder = target_dir.join("programs").join(machine.name);
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("cannot make {}: {error}", folder.display()));
    let sources = package_folder.join("src/bin");
    for source in fs::read_dir(&sources).unwrap_or_else(|error| panic!("cannot list {}: {error}", sources.display())) {
        let source = source.unwrap_or_else(|error| panic!("cannot list {}: {error}", sources.display())).path();
        let Some(name) = source.file_stem() else { continue };
        let from = target_dir.join(machine.target).join("release").join(name);
        let to = folder.join(name);
        fs::copy(&from, &to).unwrap_or_else(|error| panic!("cannot copy {}: {error}", from.display()));
        if machine.flash.1 > 0 {
            let image = flash_image(&to, machine.flash).and_then(|image| {
                fs::write(to.with_extension("flash"), image.as_slice()).map_err(|error| error.to_string())
            });
            image.unwrap_or_else(|error| panic!("cannot make a flash image of {}: {error}", to.display()));
        }
    }
    folder
}

/// Returns the flash image of a 32-bit little-endian ELF file.
fn flash_image(elf: &Path, (base, len): (u32, u64)) -> Result<Vec<u8>, String> {
    let elf = fs::read(elf).map_err(|error| error.to_string())?;
    let bytes = |at: usize, len: usize| elf.get(at..at.checked_add(len)?);
    let number = |at: usize, len: usize| {
        let bytes = bytes(at, len).ok_or("it is cut off")?;
        Ok::<_, String>(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    if bytes(0, 6) != Some(b"\x7FELF\x01\x01") {
        return Err("it is no 32-bit little-endian ELF file".to_owned());
    }
    let (headers, header_len, header_count) = (number(28, 4)?, number(42, 2)?, number(44, 2)?);
    let mut image = vec![0; usize::try_from(len).map_err(|error| error.to_string())?];
    for header in (0..header_count).map(|index| headers + index * header_len) {
        let (kind, from, to, len) =
            (number(header, 4)?, number(header + 4, 4)?, number(header + 12, 4)?, number(header + 16, 4)?);
        const LOAD: usize = 1;
        if kind == LOAD && len > 0 {
            let start = to.checked_sub(base as usize).ok_or("it loads something outside of the flash")?;
            let room = image.get_mut(start..start + len).ok_or("it loads something outside of the flash")?;
            room.copy_from_slice(bytes(from, len).ok_or("it is cut off")?);
        }
    }
    Ok(image)
}
