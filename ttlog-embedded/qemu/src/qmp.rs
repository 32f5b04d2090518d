//! QEMU's control channel (QMP), as far as needed here.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A connection that sends commands to QEMU.
#[derive(Debug)]
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        let mut qmp = Qmp { stream: BufReader::new(stream) };
        qmp.execute("qmp_capabilities", "{}")?;
        Ok(qmp)
    }

    /// Executes a command and waits for its answer. `arguments` is a JSON object.
    ///
    /// # Errors
    /// If QEMU refuses the command (with its message), or the connection is lost.
    pub fn execute(&mut self, command: &str, arguments: &str) -> io::Result<()> {
        let line = format!("{{\"execute\": \"{command}\", \"arguments\": {arguments}}}\n");
        self.stream.get_mut().write_all(line.as_bytes())?;
        loop {
            let mut answer = String::new();
            if self.stream.read_line(&mut answer)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // Skips the greeting and events.
            if answer.starts_with("{\"return\"") {
                return Ok(());
            }
            if answer.starts_with("{\"error\"") {
                return Err(io::Error::other(answer));
            }
        }
    }

    /// Writes `len` bytes of the guest's memory from `address` on to a file, while the guest runs: as its core sees the
    /// memory if `as_core`, else as the machine's bus does.
    ///
    /// # Errors
    /// As for [`execute`](Self::execute).
    pub fn save_memory(&mut self, address: u32, len: u32, as_core: bool, path: &Path) -> io::Result<()> {
        let path = path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
        let command = if as_core { "memsave" } else { "pmemsave" };
        self.execute(command, &format!("{{\"val\": {address}, \"size\": {len}, \"filename\": \"{path}\"}}"))
    }

    /// Resets the machine, like a reset button.
    ///
    /// # Errors
    /// As for [`execute`](Self::execute).
    pub fn reset(&mut self) -> io::Result<()> {
        self.execute("system_reset", "{}")
    }

    /// Ends QEMU.
    ///
    /// # Errors
    /// As for [`execute`](Self::execute).
    pub fn quit(&mut self) -> io::Result<()> {
        self.execute("quit", "{}")
    }
}
