//! Plugins: a `cdylib` that logs into the recorder of the program that loads it.
//!
//! A `cdylib` has copies of its own of all statics, so its macros know nothing of the program's recorder. The program hands it a
//! [`PluginHandle`], and the plugin [attaches](attach) itself with it: its events then go to the program's recorder, under the
//! program's filter, and a change of the filter reaches its callsites at their next event. They cost several times what those
//! of the program do, and a disabled one a function call. The program keeps nothing that points into the plugin, so that it can be unloaded.
//!
//! The program and the plugin share Rust types, whose layout is the compiler's affair: both must be built from the same version of
//! this crate by the same compiler, which the handle carries a fingerprint of. Others are refused.
//!
//! ```
//! // In the plugin, a crate of type cdylib:
//! use std::sync::Mutex;
//! use ttlog_core::plugin::{Attached, PluginHandle, attach};
//!
//! static ATTACHED: Mutex<Option<Attached>> = Mutex::new(None);
//!
//! /// # Safety
//! /// `handle` is that of the program which loaded this library.
//! #[unsafe(no_mangle)]
//! pub unsafe extern "C" fn plugin_start(handle: PluginHandle) -> bool {
//!     // SAFETY: the caller's promise, and `plugin_stop` comes before the library is unloaded.
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

/// The way to the recorder of a program, for its plugins. Has the same layout whatever built it, so that it can be an argument of an
/// `extern "C"` function.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PluginHandle {
    /// [`MAGIC`].
    magic: u64,
    /// [`FINGERPRINT`] of the program.
    fingerprint: u64,
    /// The program's [`Host`]; null: it has no recorder.
    host: *const core::ffi::c_void,
}

// SAFETY: what it points to is shared and never changes.
unsafe impl Send for PluginHandle {}
// SAFETY: as above.
unsafe impl Sync for PluginHandle {}

/// What a handle begins with.
const MAGIC: u64 = u64::from_le_bytes(*b"TTLogPH1");

impl PluginHandle {
    /// Makes the handle of a recorder.
    #[must_use]
    pub fn new(host: &'static Host) -> Self {
        PluginHandle { magic: MAGIC, fingerprint: FINGERPRINT, host: ptr::from_ref(host).cast() }
    }

    /// Makes the handle of a program without a recorder: plugins that attach with it record nothing.
    #[must_use]
    pub const fn off() -> Self {
        PluginHandle { magic: MAGIC, fingerprint: FINGERPRINT, host: ptr::null() }
    }
}

/// Hash of what must be equal in a program and its plugins: the version of this crate, the compiler, and the layout of what they
/// share.
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

/// The compiler's version, commit and host; empty if the build did not find them out.
const COMPILER: &str = env!("TTLOG_COMPILER");

/// FNV-1a.
const fn hash_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(0x100_0000_01B3);
        index += 1;
    }
    hash
}

/// Has the events of this library go to the recorder of the program that gave the handle, until the result is dropped.
///
/// Where the library and the program share one copy of this crate (a `dylib` that both link to) there is nothing to do, and
/// nothing is done. Does not block or allocate.
///
/// # Errors
/// [`AttachError`]; nothing was changed then.
///
/// # Safety
/// - `handle` was made in this process, by [`PluginHandle::new`] or [`PluginHandle::off`] of a program with this or another
///   version of this crate.
/// - The [`Attached`] is dropped before the library is unloaded, and no code of the library runs then.
pub unsafe fn attach(handle: PluginHandle) -> Result<Attached, AttachError> {
    if handle.magic != MAGIC {
        return Err(AttachError::NoHandle);
    }
    if handle.fingerprint != FINGERPRINT || COMPILER.is_empty() {
        return Err(AttachError::OtherBuild);
    }
    let host = handle.host.cast::<Host>().cast_mut();
    // SAFETY: null, or a `Host` that lives as long as the process, by the caller's promise; that it has the layout that this
    // copy of the crate believes in is what the fingerprint says.
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

/// A library that is attached to the recorder of the program. Detaches it when dropped: its events are then recorded nowhere.
#[derive(Debug)]
#[must_use = "the library is detached when this is dropped"]
pub struct Attached {
    /// Whether there is something to undo.
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

/// Why a library cannot log into the program's recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachError {
    /// That is no handle.
    NoHandle,
    /// The program was built from another version of this crate or by another compiler.
    OtherBuild,
    /// The library is attached already.
    AlreadyAttached,
    /// The library has a recorder of its own.
    OwnRecorder,
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AttachError::NoHandle => "not a plugin handle of TTLog",
            AttachError::OtherBuild => {
                "program and plugin were built from other versions of ttlog-core or by other compilers"
            }
            AttachError::AlreadyAttached => "the plugin is attached already",
            AttachError::OwnRecorder => "the plugin has a recorder of its own",
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
        for (spoilt, error) in [
            (PluginHandle { magic: good.magic + 1, ..good }, AttachError::NoHandle),
            (PluginHandle { fingerprint: good.fingerprint ^ 1, ..good }, AttachError::OtherBuild),
        ] {
            // SAFETY: it is refused before anything of it is used.
            assert_eq!(unsafe { attach(spoilt) }.map(drop), Err(error));
        }
        assert!(!COMPILER.is_empty());
    }

    #[test]
    fn attaching_to_oneself_or_to_nobody_does_nothing() {
        for handle in [PluginHandle::new(&SELF), PluginHandle::off()] {
            // SAFETY: the handle is of this process, and this library is never unloaded.
            let attached = unsafe { attach(handle) }.unwrap();
            assert!(!attached.undo && host().is_none());
        }
    }
}
