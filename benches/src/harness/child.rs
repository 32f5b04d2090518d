//! Child processes: this program with a hidden subcommand that reports one line of JSON.
//!
//! A process has one recorder, so each case runs in a process of its own.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;

use crate::error::{Result, ensure};

/// Runs this program with `arguments` to its end and decodes its last line of output. Its stderr is ours.
///
/// # Errors
/// If it fails or prints no such line.
pub fn run<T: DeserializeOwned>(arguments: &[String]) -> Result<T> {
    run_with(arguments, &[])
}

/// As [`run`], with additions to the environment.
///
/// # Errors
/// As [`run`].
pub fn run_with<T: DeserializeOwned>(arguments: &[String], environment: &[(&str, &OsStr)]) -> Result<T> {
    let output = Command::new(std::env::current_exe()?)
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start a child process: {error}"))?;
    ensure!(output.status.success(), "{}: {}", arguments.join(" "), output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|error| format!("{} printed {line:?}: {error}", arguments.join(" ")).into())
}

/// Formats values as arguments.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => { [$($argument.to_string()),*] };
}
pub(crate) use arguments;
