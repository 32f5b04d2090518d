//! A byte stream that is being read, and that survives the loss of its port or connection.
//!
//! A separate thread opens, reads and opens again, so that waiting for bytes can time out whatever their source. It
//! holds a bounded number of blocks and stops reading while nobody takes them.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::place::{OpenError, Opened, Place};

/// Bytes read at a time.
const BLOCK_LEN: usize = 4096;
/// Maximum number of blocks held.
const BLOCKS_MAX: usize = 64;
/// Time between two attempts to open a source that is gone.
const RETRY: Duration = Duration::from_millis(200);

/// A byte stream that is being read. Dropping it closes a connection; any other source is read until its next bytes
/// arrive.
#[derive(Debug)]
pub struct Stream {
    arrivals: Receiver<Arrival>,
    link: Arc<Link>,
}

/// Result of waiting for bytes.
#[derive(Debug)]
pub enum Arrival {
    /// Bytes.
    Bytes(Vec<u8>),
    /// Nothing within the time-out.
    Nothing,
    /// The source was opened. What follows does not continue what came before.
    Opened,
    /// The open source is gone, for this reason, and is waited for.
    Lost(String),
    /// The source cannot be opened, and is waited for.
    Absent(OpenError),
    /// The stream ended.
    End,
    /// The stream failed, or could not be opened.
    Failed(String),
}

/// State shared with the reading thread.
#[derive(Debug, Default)]
struct Link {
    /// Whether nobody reads the stream any more.
    is_over: AtomicBool,
    /// The connection, if the source is one.
    connection: Mutex<Option<TcpStream>>,
}

impl Stream {
    /// Opens a source and reads it. If `waits`, a port or a connection that is not there, or vanishes, is waited for;
    /// otherwise it ends the stream.
    #[must_use]
    pub fn open(place: Place, waits: bool) -> Self {
        let (sender, arrivals) = sync_channel(BLOCKS_MAX);
        let link = Arc::new(Link::default());
        let reader = Reader { place, waits, link: Arc::clone(&link), arrivals: sender };
        // Ends with the stream, when the receiver is dropped, or with the program.
        std::thread::spawn(move || reader.run());
        Stream { arrivals, link }
    }

    /// Waits for bytes.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> Arrival {
        match self.arrivals.recv_timeout(timeout) {
            Ok(arrival) => arrival,
            Err(RecvTimeoutError::Timeout) => Arrival::Nothing,
            Err(RecvTimeoutError::Disconnected) => Arrival::End,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.link.is_over.store(true, Ordering::SeqCst);
        self.link.close();
    }
}

impl Link {
    /// Shares the connection that the reading thread is about to wait in.
    fn share(&self, connection: Option<TcpStream>) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
        if self.is_over.load(Ordering::SeqCst) {
            self.close();
        }
    }

    fn close(&self) {
        if let Some(connection) = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // If the connection is already closed, that is no problem.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// The reading thread's side.
struct Reader {
    place: Place,
    waits: bool,
    link: Arc<Link>,
    arrivals: SyncSender<Arrival>,
}

/// Nobody takes the bytes any more.
struct Unheard;

impl Reader {
    fn run(&self) {
        let mut is_first = true;
        while !self.link.is_over.load(Ordering::SeqCst) {
            let opened = if is_first { self.place.open() } else { self.place.open_again() };
            match self.turn(opened, is_first) {
                Ok(true) => std::thread::sleep(RETRY),
                Ok(false) | Err(Unheard) => return,
            }
            is_first = false;
        }
    }

    /// Reads a source to its end. Returns whether to open it again.
    fn turn(&self, opened: Result<Opened, OpenError>, is_first: bool) -> Result<bool, Unheard> {
        let is_once = matches!(opened, Ok(Opened::Once(_)));
        let read = match opened {
            Ok(opened) => {
                self.send(Arrival::Opened)?;
                match opened {
                    Opened::Once(reader) | Opened::Port(reader) => self.read(reader)?,
                    Opened::Connection(connection) => {
                        // Without the copy, dropping the stream does not close the connection until its next bytes.
                        self.link.share(connection.try_clone().ok());
                        let read = self.read(connection)?;
                        self.link.share(None);
                        read
                    }
                }
            }
            Err(error) if self.waits && (!is_first || matches!(error, OpenError::Absent(_))) => {
                self.send(Arrival::Absent(error))?;
                return Ok(true);
            }
            Err(error) => {
                self.send(Arrival::Failed(error.reason().to_owned()))?;
                return Ok(false);
            }
        };
        let waits = self.waits && !is_once;
        self.send(match read {
            Ok(()) if waits => Arrival::Lost("it was closed".to_owned()),
            Err(error) if waits => Arrival::Lost(error.to_string()),
            Ok(()) => Arrival::End,
            Err(error) => Arrival::Failed(error.to_string()),
        })?;
        Ok(waits)
    }

    /// Reads until the source ends or fails, and closes it: while it is open, the system can give its name to no other
    /// port.
    fn read(&self, mut reader: impl Read) -> Result<io::Result<()>, Unheard> {
        let mut block = vec![0; BLOCK_LEN];
        loop {
            match reader.read(&mut block) {
                Ok(0) => return Ok(Ok(())),
                Ok(len) => self.send(Arrival::Bytes(block[..len].to_vec()))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Err(error)),
            }
        }
    }

    fn send(&self, arrival: Arrival) -> Result<(), Unheard> {
        self.arrivals.send(arrival).map_err(|_| Unheard)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    /// Time for what happens at once.
    const SOON: Duration = Duration::from_secs(10);

    fn listener() -> (TcpListener, Place) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        let name = format!("tcp:{}", listener.local_addr().expect("it has an address"));
        (listener, Place { name, baud: 0 })
    }

    /// Returns the bytes up to the first other arrival, and that one.
    fn bytes_of(stream: &Stream) -> (Vec<u8>, Arrival) {
        let mut bytes = Vec::new();
        loop {
            match stream.wait(SOON) {
                Arrival::Bytes(more) => bytes.extend(more),
                Arrival::Opened => {}
                other => return (bytes, other),
            }
        }
    }

    #[test]
    fn a_connection_is_read_to_its_end() {
        let (listener, place) = listener();
        let sender = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().expect("somebody connects");
            connection.write_all(&[7; 10_000]).expect("somebody reads");
        });
        let (bytes, end) = bytes_of(&Stream::open(place, false));
        assert!(bytes == [7; 10_000] && matches!(end, Arrival::End), "{end:?}");
        sender.join().expect("all was sent");
    }

    #[test]
    fn a_server_that_restarts_is_connected_to_again() {
        let (listener, place) = listener();
        let address = listener.local_addr().expect("it has an address");
        let stream = Stream::open(place, true);
        for n in 0..3 {
            let (mut connection, _) = listener.accept().expect("somebody connects");
            connection.write_all(&[n; 100]).expect("somebody reads");
            drop(connection);
            let (bytes, end) = bytes_of(&stream);
            assert!(bytes == [n; 100] && matches!(end, Arrival::Lost(_)), "{end:?}");
        }
        drop(listener);
        while !matches!(stream.wait(SOON), Arrival::Absent(OpenError::Absent(_))) {}
        let listener = TcpListener::bind(address).expect("nobody else took the port");
        let (mut connection, _) = listener.accept().expect("somebody connects");
        connection.write_all(b"back").expect("somebody reads");
        loop {
            match stream.wait(SOON) {
                Arrival::Bytes(bytes) => break assert_eq!(bytes, b"back"),
                Arrival::Absent(_) | Arrival::Opened | Arrival::Lost(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_connection_is_closed_when_nobody_reads_it_any_more() {
        let (listener, place) = listener();
        let stream = Stream::open(place, true);
        let (mut connection, _) = listener.accept().expect("somebody connects");
        assert!(matches!(stream.wait(SOON), Arrival::Opened));
        assert!(matches!(stream.wait(Duration::from_millis(1)), Arrival::Nothing));
        drop(stream);
        connection.set_read_timeout(Some(SOON)).expect("not zero");
        assert_eq!(connection.read(&mut [0]).expect("it ends"), 0);
        listener.set_nonblocking(true).expect("it can be");
        std::thread::sleep(2 * RETRY);
        assert!(listener.accept().is_err(), "nobody connects again");
    }

    #[test]
    fn what_is_not_there_fails_unless_it_is_waited_for() {
        let place = Place { name: "tcp:127.0.0.1:1".to_owned(), baud: 0 };
        assert!(matches!(Stream::open(place.clone(), false).wait(SOON), Arrival::Failed(_)));
        assert!(matches!(Stream::open(place, true).wait(SOON), Arrival::Absent(_)));
        // Nothing makes a server of it.
        let place = Place { name: "tcp:nowhere".to_owned(), baud: 0 };
        assert!(matches!(Stream::open(place, true).wait(SOON), Arrival::Failed(_)));
    }
}
