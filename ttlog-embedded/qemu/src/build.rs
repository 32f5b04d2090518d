//! Builds the test programs.

use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
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

/// Links a program with the linker script of its runtime after `edit` has changed it. Returns the ELF file.
///
/// # Errors
/// Returns the output of the linker if it refuses.
///
/// # Panics
/// If the program cannot be compiled.
pub fn link_with(machine: &Machine, name: &str, edit: impl FnOnce(&str) -> String) -> Result<PathBuf, String> {
    let _ = program(machine, Variant::Usual, name); // has the runtime write its script
    let usual = firmware_target_dir().join(Variant::Usual.name());
    let script = edit(&runtime_script(&usual.join(machine.target).join("release/build")));
    let target_dir = firmware_target_dir().join("other-script");
    // Named by its content: cargo links again only if an argument has changed.
    let mut hasher = DefaultHasher::new();
    script.hash(&mut hasher);
    let path = target_dir.join(format!("{}-{:016x}.x", machine.name, hasher.finish()));
    fs::create_dir_all(&target_dir)
        .and_then(|()| fs::write(&path, script))
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    let _lock = lock(&target_dir);

    let mut cargo = cargo_for(machine, "rustc", &package_of(name), &target_dir);
    // Replaces the flags in .cargo/config.toml.
    cargo.args(["--bin", name]).env("RUSTFLAGS", "-Clink-arg=--build-id").arg("--");
    // The runtime of RISC-V does not include memory.x.
    cargo.args(machine.target.starts_with("riscv").then_some("-Clink-arg=-Tmemory.x"));
    cargo.arg(format!("-Clink-arg=-T{}", path.display())).arg("-Clink-arg=-Tttlog.x");
    let output = cargo.output().unwrap_or_else(|error| panic!("cannot run {cargo:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(target_dir.join(machine.target).join("release").join(name));
    }
    assert!(errors.contains("linking with"), "{cargo:?} failed before the linker:\n{errors}");
    Err(errors)
}

/// Returns the linker script that the newest build of a runtime wrote.
fn runtime_script(builds: &Path) -> String {
    let folders = fs::read_dir(builds).unwrap_or_else(|error| panic!("cannot list {}: {error}", builds.display()));
    let scripts = folders.flatten().map(|folder| folder.path().join("out/link.x"));
    let newest =
        scripts.filter(|path| path.is_file()).max_by_key(|path| path.metadata().and_then(|it| it.modified()).ok());
    let path = newest.unwrap_or_else(|| panic!("no runtime wrote a script below {}", builds.display()));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn firmware_target_dir() -> PathBuf {
    let outer = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    outer.join("firmware")
}

/// Waits until no other process builds into the folder.
// `File::lock` is newer than the libraries' minimum Rust version; this crate is for our own tests.
#[allow(clippy::incompatible_msrv)]
fn lock(target_dir: &Path) -> File {
    let path = target_dir.join("programs.lock");
    let lock = File::create(&path).and_then(|file| file.lock().map(|()| file));
    lock.unwrap_or_else(|error| panic!("cannot lock {}: {error}", path.display()))
}

/// Returns a command of cargo that builds a package for a machine.
fn cargo_for(machine: &Machine, command: &str, package_folder: &Path, target_dir: &Path) -> Command {
    let package = package_folder.file_name().and_then(|name| name.to_str()).expect("a folder of ours");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([command, "--release", "--locked", "--quiet", "-p", package, "--target", machine.target]);
    cargo.args(["--features", &format!("{package}/{}", machine.feature)]);
    // Flags of the outer build would replace those of the firmware.
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    cargo.current_dir(package_folder).env("CARGO_TARGET_DIR", target_dir);
    cargo
}

fn build(machine: &Machine, variant: Variant, package_folder: &Path) -> PathBuf {
    let target_dir = firmware_target_dir().join(variant.name());
    fs::create_dir_all(&target_dir).unwrap_or_else(|error| panic!("cannot make {}: {error}", target_dir.display()));
    // All machines of a target build into one folder, from which the programs are copied while the lock is held.
    let _lock = lock(&target_dir);

    let mut cargo = cargo_for(machine, "build", package_folder, &target_dir);
    if variant == Variant::MutantCommitFirst {
        // Cargo joins this with the flags of .cargo/config.toml.
        cargo.arg("--config");
        cargo.arg(format!("target.'{}'.rustflags = [\"--cfg\", \"ttlog_mutant_commit_first\"]", machine.target));
    }
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
