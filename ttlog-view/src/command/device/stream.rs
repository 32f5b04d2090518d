//! Byte streams: a serial port, a connection, a file, standard input.
//!
//! A separate thread reads, so that waiting for bytes can time out whatever their source. It holds a bounded number
//! of blocks and stops reading while nobody takes them.

use std::fs::File;
use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use ttlog_read::text::escape::escaped;

/// Bytes read at a time.
const BLOCK_LEN: usize = 4096;
/// Maximum number of blocks held.
const BLOCKS_MAX: usize = 64;
/// How long a read from a serial port waits for a byte before it is retried.
const PORT_TIMEOUT: Duration = Duration::from_millis(100);

/// A byte stream that is being read. Dropping it closes a connection; any other source is read until its next bytes
/// arrive.
#[derive(Debug)]
pub struct Stream {
    blocks: Receiver<io::Result<Vec<u8>>>,
    /// The connection, if the source is one.
    connection: Option<TcpStream>,
    /// Whether the stream is a file and therefore ends soon.
    pub is_file: bool,
}

/// Result of waiting for bytes.
#[derive(Debug)]
pub enum Arrival {
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nothing within the time-out.
    Nothing,
    /// The stream ended.
    End,
    /// The stream failed.
    Failed(io::Error),
}

impl Stream {
    /// Opens `name`: `-` for standard input, `tcp:HOST:PORT` for a connection, otherwise a file or a serial port.
    ///
    /// # Errors
    /// Returns a message that says why it cannot be opened.
    pub fn open(name: &str, baud: u32) -> Result<Self, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", escaped(name));
        if name == "-" {
            return Ok(Self::of(io::stdin(), false));
        }
        if let Some(address) = name.strip_prefix("tcp:") {
            let connection = TcpStream::connect(address).map_err(|error| failed(&error))?;
            let reader = connection.try_clone().map_err(|error| failed(&error))?;
            let mut stream = Self::of(reader, false);
            stream.connection = Some(connection);
            return Ok(stream);
        }
        // A file or a named pipe; a device is opened as a port because it has a speed.
        if let Ok(metadata) = Path::new(name).metadata() {
            if metadata.is_file() || is_pipe(&metadata) {
                let file = File::open(name).map_err(|error| failed(&error))?;
                return Ok(Self::of(file, metadata.is_file()));
            }
        }
        let port = serialport::new(name, baud).timeout(PORT_TIMEOUT).open().map_err(|error| {
            let known = serialport::available_ports().unwrap_or_default();
            let names: Vec<_> = known.iter().map(|port| escaped(&port.port_name)).collect();
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            format!("{}: {error}; serial ports here: {known}", escaped(name))
        })?;
        Ok(Self::of(Port(port), false))
    }

    /// Reads from any source.
    pub(super) fn of(reader: impl Read + Send + 'static, is_file: bool) -> Self {
        let (sender, blocks) = sync_channel(BLOCKS_MAX);
        // Ends with the stream, when the receiver is dropped, or with the program.
        std::thread::spawn(move || read_all(reader, &sender));
        Stream { blocks, connection: None, is_file }
    }

    /// Waits for bytes.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> Arrival {
        match self.blocks.recv_timeout(timeout) {
            Ok(Ok(bytes)) => Arrival::Bytes(bytes),
            Ok(Err(error)) => Arrival::Failed(error),
            Err(RecvTimeoutError::Timeout) => Arrival::Nothing,
            Err(RecvTimeoutError::Disconnected) => Arrival::End,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection {
            // The reading thread waits in it. If the connection is already closed, that is no problem.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(unix)]
fn is_pipe(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    metadata.file_type().is_fifo()
}

#[cfg(not(unix))]
fn is_pipe(_metadata: &std::fs::Metadata) -> bool {
    false
}

fn read_all(mut reader: impl Read, blocks: &SyncSender<io::Result<Vec<u8>>>) {
    let mut block = vec![0; BLOCK_LEN];
    loop {
        let read = match reader.read(&mut block) {
            Ok(0) => return,
            Ok(len) => Ok(block[..len].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = read.is_err();
        if blocks.send(read).is_err() || failed {
            return;
        }
    }
}

/// A serial port, which can be silent for a while.
struct Port(Box<dyn serialport::SerialPort>);

impl Read for Port {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(out) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                // An empty read from a port means that it is gone.
                other => return other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    fn all(stream: &Stream) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            match stream.wait(Duration::from_secs(10)) {
                Arrival::Bytes(more) => bytes.extend(more),
                Arrival::End => return bytes,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_connection_is_read_to_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        let address = listener.local_addr().expect("it has an address");
        let sender = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().expect("somebody connects");
            connection.write_all(&[7; 10_000]).expect("somebody reads");
        });
        let stream = Stream::open(&format!("tcp:{address}"), 0).expect("somebody listens");
        assert_eq!(all(&stream), [7; 10_000]);
        sender.join().expect("all was sent");
    }

    #[test]
    fn a_connection_is_closed_when_nobody_reads_it_any_more() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        let address = listener.local_addr().expect("it has an address");
        let stream = Stream::open(&format!("tcp:{address}"), 0).expect("somebody listens");
        let (mut connection, _) = listener.accept().expect("somebody connects");
        assert!(matches!(stream.wait(Duration::from_millis(1)), Arrival::Nothing));
        drop(stream);
        connection.set_read_timeout(Some(Duration::from_secs(10))).expect("not zero");
        assert_eq!(connection.read(&mut [0]).expect("it ends"), 0);
    }

    #[test]
    fn waiting_for_nothing_ends() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let stream = Stream::of(reader, false);
        assert!(matches!(stream.wait(Duration::from_millis(10)), Arrival::Nothing));
        drop(writer);
        assert!(matches!(stream.wait(Duration::from_secs(10)), Arrival::End));
    }

    #[test]
    fn what_is_not_there_is_said_with_what_is() {
        let error = Stream::open("/dev/no-such-port", 9600).expect_err("there is none");
        assert!(error.starts_with("/dev/no-such-port: ") && error.contains("serial ports here: "), "{error}");
        assert!(Stream::open("tcp:127.0.0.1:1", 0).is_err());
    }
}
