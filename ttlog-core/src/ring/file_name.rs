//! File names of rings, and sanitized texts within file names.
//!
//! A ring is in `ttlog-<service>-<pid>-<start>-<random>.ring`; `.new` is appended while it is being created. Names come
//! from the program, from the environment and, when a dead ring is recovered, from untrusted bytes. In a file name,
//! only ASCII letters, digits, `.`, `_` and `-` remain; everything else becomes `_`, so no name can leave its
//! directory, hide itself or carry terminal escapes. The original service name is in the ring's process item.
//!
//! No function allocates; formatting makes no system call.

use core::fmt::{self, Write as _};

/// Prefix of the names of all files that a recorder creates, except temporary ones.
pub const NAME_START: &str = "ttlog-";
/// Suffix of a ring's file name.
pub const RING_SUFFIX: &str = ".ring";
/// Suffix of the name of a ring file that is still being created.
pub const UNFINISHED_SUFFIX: &str = ".ring.new";
/// Maximum length of a service name in a file name, in bytes.
pub const SERVICE_LEN_MAX: usize = 64;

/// Displays a text as part of a file name: at most `len_max` bytes of `[A-Za-z0-9._-]`, never empty, never starting
/// with a dot or a dash.
#[derive(Clone, Copy, Debug)]
pub struct NamePart<'a> {
    text: &'a str,
    len_max: usize,
}

impl<'a> NamePart<'a> {
    /// Creates a part from a text, of which at most `len_max` characters go into the name.
    #[must_use]
    pub const fn new(text: &'a str, len_max: usize) -> Self {
        NamePart { text, len_max }
    }

    /// Creates a part from the name of a service.
    #[must_use]
    pub const fn service(text: &'a str) -> Self {
        NamePart::new(text, SERVICE_LEN_MAX)
    }

    /// Returns whether `found`, taken from a file name, equals this part.
    #[must_use]
    pub fn is(&self, found: &str) -> bool {
        let mut rest = Rest(found);
        write!(rest, "{self}").is_ok() && rest.0.is_empty()
    }
}

impl fmt::Display for NamePart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            return f.write_str("unnamed");
        }
        for (index, c) in self.text.chars().take(self.len_max).enumerate() {
            let leading = index == 0 && matches!(c, '.' | '-');
            let stays = !leading && (c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
            f.write_char(if stays { c } else { '_' })?;
        }
        Ok(())
    }
}

/// Part of a text that is not yet written; writing anything else fails.
struct Rest<'a>(&'a str);

impl fmt::Write for Rest<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(text).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// Displays the name of a ring file without its suffix: `ttlog-<service>-<pid>-<start>-<random>`.
///
/// [`RING_SUFFIX`] or [`UNFINISHED_SUFFIX`] follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingStem<'a> {
    /// Service name; sanitized when it is displayed.
    pub service: &'a str,
    /// Process id.
    pub pid: u32,
    /// Start time of the process, in the operating system's units.
    pub start: u64,
    /// Number that no other ring of the process has.
    pub random: u64,
}

impl fmt::Display for RingStem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RingStem { service, pid, start, random } = *self;
        write!(f, "{NAME_START}{}-{pid}-{start}-{random:016x}", NamePart::service(service))
    }
}

/// Returns whether a file with this name might be a ring, finished or not.
#[must_use]
pub fn is_ring_name(name: &[u8]) -> bool {
    name.starts_with(NAME_START.as_bytes()) && (name.ends_with(RING_SUFFIX.as_bytes()) || is_unfinished_ring_name(name))
}

/// Returns whether a file with this name or path is a ring that is still being created.
#[must_use]
pub fn is_unfinished_ring_name(name: &[u8]) -> bool {
    name.ends_with(UNFINISHED_SUFFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn hostile_names_stay_in_their_directory() {
        for (text, expected) in [
            ("api-server_2.1", "api-server_2.1"),
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("", "unnamed"),
            (".hidden", "_hidden"),
            ("-rf", "_rf"),
            ("a\u{1b}[31m\n\0b", "a__31m__b"),
            ("dienst-über", "dienst-_ber"),
        ] {
            let part = NamePart::service(text);
            assert_eq!(part.to_string(), expected, "{text:?}");
            assert_eq!(NamePart::service(expected).to_string(), expected, "a valid part stays unchanged");
            assert!(part.is(expected));
            assert!(!part.is(&expected[1..]) && !part.is(&std::format!("{expected}x")) && !part.is(""));
        }
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(NamePart::service(&"x".repeat(5000)).to_string().len(), SERVICE_LEN_MAX);
        assert_eq!(NamePart::new(&"ü".repeat(5000), 48).to_string().len(), 48);
    }

    #[test]
    fn names_of_rings() {
        let stem = RingStem { service: "a/b", pid: 7, start: 99, random: 0xAB };
        assert_eq!(stem.to_string(), "ttlog-a_b-7-99-00000000000000ab");
        for (name, is_ring, is_unfinished) in [
            ("ttlog-a_b-7-99-00000000000000ab.ring", true, false),
            ("ttlog-a_b-7-99-00000000000000ab.ring.new", true, true),
            ("ttlog-a_b-7-99-00000000000000ab.ring.damaged", false, false),
            ("other.ring", false, false),
            ("ttlog-a_b-7-20261122T214159Z-panic.bin", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_ring_name(name.as_bytes()), is_ring, "{name}");
            assert_eq!(is_unfinished_ring_name(name.as_bytes()), is_unfinished, "{name}");
        }
    }
}
