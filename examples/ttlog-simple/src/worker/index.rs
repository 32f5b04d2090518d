//! Reads one file and logs what it holds.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Instant;

use ttlog_std::{error, info, trace, warn};

use crate::counters::{Counter, counted};

/// Summary of a file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    bytes: u64,
    lines: u64,
    /// Whether it has a zero byte, which texts do not have.
    binary: bool,
}

/// Reads a file of the tree `root` and logs its summary.
pub(crate) fn index_file(root: &Path, path: &Path, counter: &Counter) {
    let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
    let start = Instant::now();
    counted!(counter, trace!("reading", path = name));
    let contents = File::open(path).and_then(examine);
    let microseconds = start.elapsed().as_micros() as u64;
    match contents {
        Ok(Contents { bytes, binary: true, .. }) => {
            counted!(counter, warn!("not a text", path = name, bytes, microseconds));
        }
        Ok(Contents { bytes, lines, .. }) => {
            counted!(counter, info!("{path}: {lines} lines", path = name, lines, bytes, microseconds));
        }
        Err(cause) => counted!(counter, error!("cannot read {path}", path = name, cause, microseconds)),
    }
}

/// Reads to the end, with bounded memory.
fn examine(mut from: impl Read) -> io::Result<Contents> {
    let mut buffer = [0; 16 * 1024];
    let mut contents = Contents::default();
    let mut last = b'\n';
    loop {
        let len = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let read = &buffer[..len];
        contents.bytes += len as u64;
        contents.lines += read.iter().filter(|byte| **byte == b'\n').count() as u64;
        contents.binary |= read.contains(&0);
        last = read[len - 1];
    }
    // A last line without line end counts too.
    contents.lines += u64::from(last != b'\n');
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_with_and_without_an_end() {
        let lines = |text: &str| examine(text.as_bytes()).unwrap().lines;
        assert_eq!(["", "a", "a\n", "a\nb", "\n\n"].map(lines), [0, 1, 1, 2, 2]);
        let long = "x\n".repeat(100_000);
        assert_eq!(examine(long.as_bytes()).unwrap(), Contents { bytes: 200_000, lines: 100_000, binary: false });
        assert!(examine(&b"a\0b"[..]).unwrap().binary);
    }
}
