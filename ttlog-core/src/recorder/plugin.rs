//! A plugin: a `cdylib` that logs into the recorder of the program that loads it.
//!
//! A `cdylib` has its own copies of all statics, so its macros do not see the program's recorder. The program passes it
//! a [`PluginHandle`], and the plugin [attaches](attach) itself with that handle. Its events then go to the program's
//! recorder, under the program's filter, and a change of the filter reaches its callsites at their next event. Events
//! of a plugin cost several times as much as those of the program, and a disabled one costs a function call. The
//! program keeps no pointer into the plugin, so the plugin can be unloaded.
//!
//! The program and the plugin share Rust types, whose layout is up to the compiler. Both must therefore be built from
//! the same version of this crate by the same compiler. The handle carries a fingerprint of these; plugins of another
//! build are refused.
//!
//! ```
//! // In the plugin, a crate of type cdylib:
//! use std::sync::Mutex;
//! use ttlog_core::recorder::plugin::{Attached, PluginHandle, attach};
//!
//! static ATTACHED: Mutex<Option<Attached>> = Mutex::new(None);
//!
//! /// # Safety
//! /// `handle` is the handle of the program that loaded this library.
//! #[unsafe(no_mangle)]
//! pub unsafe extern "C" fn plugin_start(handle: PluginHandle) -> bool {
//!     // SAFETY: guaranteed by the caller; `plugin_stop` is called before the library is unloaded.
//!     let attached = unsafe { attach(handle) };
//!     let is_attached = attached.is_ok();
//!     *ATTACHED.lock().unwrap() = attached.ok();
//!     is_attached
//! }
//!
//! #[unsafe(no_mangle)]
//! pub extern "C" fn plugin_stop() {
//!     *ATTACHED.lock().unwrap() = None;
//! }
//! ```

use core::fmt;
use core::mem::{align_of, offset_of, size_of};
use core::ptr;

use portable_atomic::Ordering;

use super::host::HOST;
pub use super::host::Host;
use super::install::has_own_recorder;
use crate::event::callsite::{self, Callsite};
use crate::event::epoch;
use crate::event::fields::{AnyFields, TypeList};
use crate::event::metadata::{Field, Literal, Metadata};

/// A handle to a program's recorder, for its plugins. Its layout does not depend on the compiler, so it can be an
/// argument of an `extern "C"` function.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PluginHandle {
    /// [`MAGIC`].
    magic: u64,
    /// [`FINGERPRINT`] of the program.
    fingerprint: u64,
    /// The program's [`Host`]; null if it has no recorder.
    host: *const core::ffi::c_void,
}

// SAFETY: the pointee is shared and never changes.
unsafe impl Send for PluginHandle {}
// SAFETY: as above.
unsafe impl Sync for PluginHandle {}

/// First bytes of a handle.
const MAGIC: u64 = u64::from_le_bytes(*b"TTLogPH1");

impl PluginHandle {
    /// Creates the handle of a recorder.
    #[must_use]
    pub fn new(host: &'static Host) -> Self {
        PluginHandle { magic: MAGIC, fingerprint: FINGERPRINT, host: ptr::from_ref(host).cast() }
    }

    /// Creates the handle of a program without a recorder. Plugins that attach with it record nothing.
    #[must_use]
    pub const fn off() -> Self {
        PluginHandle { magic: MAGIC, fingerprint: FINGERPRINT, host: ptr::null() }
    }
}

/// Hash of everything that must match in a program and its plugins: the version of this crate, the compiler, and the
/// layout of shared types.
const FINGERPRINT: u64 = {
    let mut hash = hash_bytes(0xCBF2_9CE4_8422_2325, env!("CARGO_PKG_VERSION").as_bytes());
    hash = hash_bytes(hash, COMPILER.as_bytes());
    let layout = [
        size_of::<Metadata>(),
        offset_of!(Metadata, level),
        offset_of!(Metadata, target),
        offset_of!(Metadata, message),
        offset_of!(Metadata, file),
        offset_of!(Metadata, line),
        offset_of!(Metadata, fields),
        size_of::<Field>(),
        offset_of!(Field, name),
        offset_of!(Field, literal),
        size_of::<Literal>(),
        size_of::<Callsite>(),
        callsite::METADATA_OFFSET,
        size_of::<TypeList>(),
        align_of::<TypeList>(),
        size_of::<&dyn AnyFields>(),
        size_of::<Host>(),
        offset_of!(Host, recorder),
        offset_of!(Host, epoch),
    ];
    let mut index = 0;
    while index < layout.len() {
        hash = hash_bytes(hash, &(layout[index] as u64).to_le_bytes());
        index += 1;
    }
    hash
};

/// The compiler's version, commit and host; empty if the build could not determine them.
const COMPILER: &str = env!("TTLOG_COMPILER");

/// Hashes bytes with FNV-1a.
const fn hash_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x100_0000_01B3);
        index += 1;
    }
    hash
}

/// Sends the events of this library to the recorder of the program that created the handle, until the result is
/// dropped.
///
/// If the library and the program share one copy of this crate (a `dylib` that both link to), this does nothing. Does
/// not block or allocate.
///
/// # Errors
/// [`AttachError`]; nothing has changed then.
///
/// # Safety
/// - `handle` was created in this process, by [`PluginHandle::new`] or [`PluginHandle::off`] of a program with this or
///   another version of this crate.
/// - The [`Attached`] is dropped before the library is unloaded, and no code of the library runs then.
pub unsafe fn attach(handle: PluginHandle) -> Result<Attached, AttachError> {
    if handle.magic != MAGIC {
        return Err(AttachError::NoHandle);
    }
    if handle.fingerprint != FINGERPRINT || COMPILER.is_empty() {
        return Err(AttachError::OtherBuild);
    }
    let host = handle.host.cast::<Host>().cast_mut();
    // SAFETY: null, or a `Host` that lives as long as the process, guaranteed by the caller. The fingerprint ensures
    // that it has the layout that this copy of the crate assumes.
    let Some(found) = (unsafe { host.as_ref() }) else { return Ok(Attached { undo: false }) };
    if ptr::eq(found.epoch, epoch::epoch_place()) {
        return Ok(Attached { undo: false });
    }
    if has_own_recorder() {
        return Err(AttachError::OwnRecorder);
    }
    HOST.compare_exchange(ptr::null_mut(), host, Ordering::AcqRel, Ordering::Relaxed)
        .map_err(|_| AttachError::AlreadyAttached)?;
    epoch::follow_host();
    Ok(Attached { undo: true })
}

/// A library's attachment to the program's recorder. Detaches the library when dropped; its events are no longer
/// recorded then.
#[derive(Debug)]
#[must_use = "the library is detached when this is dropped"]
pub struct Attached {
    /// Whether dropping this has to detach the library.
    undo: bool,
}

impl Drop for Attached {
    fn drop(&mut self) {
        if self.undo {
            epoch::follow_nobody();
            HOST.store(ptr::null_mut(), Ordering::Release);
        }
    }
}

/// Reason why a library cannot log into the program's recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachError {
    /// The value is not a handle.
    NoHandle,
    /// The program was built from another version of this crate or by another compiler.
    OtherBuild,
    /// The library is already attached.
    AlreadyAttached,
    /// The library has its own recorder.
    OwnRecorder,
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AttachError::NoHandle => "not a plugin handle of TTLog",
            AttachError::OtherBuild => {
                "program and plugin were built from different versions of ttlog-core or by different compilers"
            }
            AttachError::AlreadyAttached => "the plugin is already attached",
            AttachError::OwnRecorder => "the plugin has its own recorder",
        })
    }
}

impl core::error::Error for AttachError {}

#[cfg(test)]
mod tests {
    use super::super::Recorder;
    use super::super::host::host;
    use super::*;

    struct Silent;

    impl Recorder for Silent {
        fn is_on(&self, _metadata: &Metadata) -> bool {
            false
        }

        fn record(&self, _callsite: &'static Callsite, _fields: &dyn AnyFields) {}
    }

    static SELF: Host = Host::new(&Silent);

    #[test]
    fn what_is_no_handle_or_of_another_build_is_refused() {
        let good = PluginHandle::new(&SELF);
        for (spoiled, error) in [
            (PluginHandle { magic: good.magic + 1, ..good }, AttachError::NoHandle),
            (PluginHandle { fingerprint: good.fingerprint ^ 1, ..good }, AttachError::OtherBuild),
        ] {
            // SAFETY: the handle is refused before any of its content is used.
            assert_eq!(unsafe { attach(spoiled) }.map(drop), Err(error));
        }
        assert!(!COMPILER.is_empty());
    }

    #[test]
    fn attaching_to_oneself_or_to_nobody_does_nothing() {
        for handle in [PluginHandle::new(&SELF), PluginHandle::off()] {
            // SAFETY: the handle belongs to this process, and this library is never unloaded.
            let attached = unsafe { attach(handle) }.unwrap();
            assert!(!attached.undo && host().is_none());
        }
    }
}
