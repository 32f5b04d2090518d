//! A plugin: a library that a program loads while it runs (`dlopen`), and that logs into the program's recorder.
//!
//! The program calls `plugin_start` with `Recorder::plugin_handle()` after it has loaded the library, and
//! `plugin_stop` before it unloads it.

use std::sync::{Mutex, PoisonError};

use ttlog_core::recorder::plugin::{AttachError, Attached, PluginHandle, attach};

static ATTACHED: Mutex<Option<Attached>> = Mutex::new(None);

/// Attaches the library to the program's recorder. Returns 0 if attached, 1 if refused, 2 if already attached.
///
/// # Safety
/// - `handle` is that of the program that loaded this library.
/// - `plugin_stop` is called before the library is unloaded, and nothing else of it runs at that time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_start(handle: PluginHandle) -> u32 {
    // SAFETY: the caller's promises.
    match unsafe { attach(handle) } {
        Ok(attached) => {
            keep(Some(attached));
            0
        }
        Err(AttachError::AlreadyAttached) => 2,
        Err(error) => {
            eprintln!("plugin: {error}");
            1
        }
    }
}

/// Logs `count` events of each kind, through the macros of both crates.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_work(count: u32) {
    for number in 0..count {
        ttlog_std::debug!("plugin one debug", number);
        ttlog_std::info!("plugin one info", number, text = "small");
        ttlog_core::info!("plugin one core", number, long = "a text that does not fit a word");
        ttlog_core::error!("plugin one error", number);
        generic(number);
        generic(f64::from(number));
    }
}

/// One callsite with two lists of types.
fn generic(value: impl ttlog_std::Value) {
    ttlog_std::info!("plugin one generic", value);
}

/// Replaces the current attachment.
fn keep(attached: Option<Attached>) {
    *ATTACHED.lock().unwrap_or_else(PoisonError::into_inner) = attached;
}

/// Detaches the library.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_stop() {
    keep(None);
}
