//! The stack of this thread: how much of it is left.

/// Returns how many bytes of the stack in use are left, or `None` if that is unknown, as for a stack that the program
/// itself switches to. Can allocate, and reads a file in the first thread of a process.
pub(crate) fn stack_left() -> Option<usize> {
    #[cfg(target_os = "linux")]
    {
        let here = 0_u8;
        let here = &raw const here as usize;
        alternate_stack().or_else(thread_stack).filter(|stack| stack.contains(&here)).map(|stack| here - stack.start)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Returns the stack of signal handlers, if a handler is running on it.
#[cfg(target_os = "linux")]
fn alternate_stack() -> Option<std::ops::Range<usize>> {
    let mut present = std::mem::MaybeUninit::<libc::stack_t>::uninit();
    // SAFETY: no stack is set, and `present` is a valid location for the current one, read only if it was written.
    let present = unsafe {
        if libc::sigaltstack(std::ptr::null(), present.as_mut_ptr()) != 0 {
            return None;
        }
        present.assume_init()
    };
    let start = present.ss_sp as usize;
    (present.ss_flags & libc::SS_ONSTACK != 0).then(|| start..start + present.ss_size)
}

/// Returns the stack that this thread was started with.
#[cfg(target_os = "linux")]
fn thread_stack() -> Option<std::ops::Range<usize>> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut start, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes are read and destroyed only if they were initialized, and all places are valid.
    let status = unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let status = libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut len);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        status
    };
    (status == 0).then(|| start as usize..start as usize + len)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "asks the C library")]
    fn rest_of_a_stack_is_known() {
        let left = |len: usize| {
            std::thread::Builder::new().stack_size(len).spawn(stack_left).unwrap().join().unwrap().unwrap()
        };
        let (small, large) = (left(128 << 10), left(4 << 20));
        assert!((32 << 10..160 << 10).contains(&small), "{small}");
        assert!((3 << 20..5 << 20).contains(&large), "{large}");
    }
}
