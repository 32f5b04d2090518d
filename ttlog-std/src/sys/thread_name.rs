//! The operating system's name of a thread: set by whoever makes the thread, or by the thread itself, at any time.

/// Most bytes that the system keeps of a name, including the zero at its end.
const ROOM: usize = if cfg!(target_vendor = "apple") { 64 } else { 16 };

/// A name as the operating system keeps it: cut to a few bytes, which need not be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OsName {
    /// The name, then zeros, at least one.
    bytes: [u8; ROOM],
}

impl OsName {
    /// The empty name.
    pub(crate) const NONE: OsName = OsName { bytes: [0; ROOM] };

    /// Creates a name, cut to what the system would keep.
    pub(crate) fn new(name: &[u8]) -> Self {
        let mut bytes = [0; ROOM];
        bytes.iter_mut().zip(name).take(ROOM - 1).for_each(|(to, byte)| *to = *byte);
        OsName { bytes }
    }

    /// Asks for the name of this thread. Returns `None` if the system keeps none or refuses. One system call on Linux;
    /// async-signal-safe there.
    pub(crate) fn of_this_thread() -> Option<Self> {
        #[cfg(any(target_os = "linux", target_vendor = "apple"))]
        {
            let mut name = OsName::NONE;
            let place: *mut libc::c_char = name.bytes.as_mut_ptr().cast();
            // SAFETY: the place has the 16 bytes that the call fills.
            #[cfg(target_os = "linux")]
            let status = unsafe { libc::prctl(libc::PR_GET_NAME, place) };
            // SAFETY: the place has the stated number of bytes.
            #[cfg(target_vendor = "apple")]
            let status = unsafe { libc::pthread_getname_np(libc::pthread_self(), place, ROOM) };
            if status != 0 {
                return None;
            }
            // Whatever is behind the first zero does not belong to the name.
            Some(OsName::new(name.as_bytes()))
        }
        #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
        None
    }

    /// Returns the name that the system gives to the first thread of the process, and that other threads inherit unless
    /// somebody names them. No system call.
    pub(crate) fn of_process() -> Self {
        #[cfg(target_os = "linux")]
        {
            // SAFETY: takes a constant, touches nothing.
            let path = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
            if path.is_null() {
                return OsName::NONE;
            }
            // SAFETY: the kernel puts a path with a zero at its end there, for as long as the process lives.
            let path = unsafe { std::ffi::CStr::from_ptr(path) }.to_bytes();
            OsName::new(path.rsplit(|byte| *byte == b'/').next().unwrap_or_default())
        }
        #[cfg(not(target_os = "linux"))]
        OsName::NONE
    }

    /// Returns the bytes of the name.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Returns whether a longer name would look like this one.
    pub(crate) fn may_be_cut(&self) -> bool {
        self.as_bytes().len() == ROOM - 1
    }

    /// Returns whether this is what the system keeps of a text.
    pub(crate) fn is_of(&self, text: &str) -> bool {
        OsName::new(text.as_bytes()) == *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_as_the_system_cuts_them() {
        let long = "a name of a thread that is longer than any system keeps, by many bytes more";
        let cut = OsName::new(long.as_bytes());
        assert_eq!(cut.as_bytes(), &long.as_bytes()[..ROOM - 1]);
        assert!(cut.may_be_cut() && cut.is_of(long) && !cut.is_of("a name"));
        let short = OsName::new(b"short");
        assert!(!short.may_be_cut() && short.is_of("short") && !short.is_of("shorter"));
        assert_eq!(OsName::NONE.as_bytes(), b"");
    }

    #[test]
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    #[cfg_attr(miri, ignore = "asks the system")]
    fn name_of_this_thread() {
        let name = "worker of a test, with a name that is too long";
        let asked =
            std::thread::Builder::new().name(name.into()).spawn(OsName::of_this_thread).unwrap().join().unwrap();
        assert!(asked.unwrap().is_of(name), "{asked:?}");
    }
}
