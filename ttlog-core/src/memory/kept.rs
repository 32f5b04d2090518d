//! Values of tests that live until the process ends.

use std::any::Any;
use std::boxed::Box;
use std::sync::Mutex;
use std::vec::Vec;

/// Keeps a value for ever. Unlike with `Box::leak` alone, Miri does not take it for a leak.
pub(crate) fn kept<T: Send + Sync + 'static>(value: T) -> &'static T {
    static KEPT: Mutex<Vec<&'static (dyn Any + Send + Sync)>> = Mutex::new(Vec::new());
    let kept: &'static T = Box::leak(Box::new(value));
    KEPT.lock().expect("nothing panics while it is held").push(kept);
    kept
}
