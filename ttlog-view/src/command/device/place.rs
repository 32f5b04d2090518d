//! Where a byte stream comes from: standard input, a file, a pipe, a serial port, a connection.
//!
//! Input, files and pipes end. Ports and connections vanish and return: a port at each reset of a chip whose USB is its
//! own, a connection when its server restarts.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Read};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use ttlog_read::text::escape::escaped;

/// How long a read from a serial port waits for a byte before it is retried.
const PORT_TIMEOUT: Duration = Duration::from_millis(100);
/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Silence after which a connection is checked, and the time between two checks.
#[cfg(unix)]
const KEEPALIVE: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(2)];

/// Where a byte stream comes from.
#[derive(Clone, Debug)]
pub struct Place {
    /// `-` for standard input, `tcp:HOST:PORT` for a connection, otherwise the path of a file or a serial port.
    pub name: String,
    /// Speed of a serial port, in bits per second.
    pub baud: u32,
}

/// An open source.
pub enum Opened {
    /// It ends and does not return: standard input, a file, a pipe.
    Once(Box<dyn Read + Send>),
    /// A serial port.
    Port(Box<dyn Read + Send>),
    /// A connection.
    Connection(TcpStream),
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Opened::Once(_) => "Once",
            Opened::Port(_) => "Port",
            Opened::Connection(_) => "Connection",
        })
    }
}

/// Why a source could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// It is not there, and can still come.
    Absent(String),
    /// It is there but cannot be used, or its name makes no sense.
    Unusable(String),
}

impl OpenError {
    /// Returns the reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            OpenError::Absent(reason) | OpenError::Unusable(reason) => reason,
        }
    }
}

impl Place {
    /// Opens the source for the first time.
    ///
    /// # Errors
    /// Returns [`OpenError`]. [`OpenError::Absent`] only if the name is that of a port or a connection: a file that is
    /// not there does not come.
    pub fn open(&self) -> Result<Opened, OpenError> {
        if self.name == "-" {
            return Ok(Opened::Once(Box::new(io::stdin())));
        }
        // A device is opened as a port because it has a speed.
        let is_file = |metadata: std::fs::Metadata| metadata.is_file() || is_pipe(&metadata);
        if self.address().is_none() && Path::new(&self.name).metadata().is_ok_and(is_file) {
            let file = File::open(&self.name).map_err(|error| OpenError::Unusable(error.to_string()))?;
            return Ok(Opened::Once(Box::new(file)));
        }
        self.open_again()
    }

    /// Opens a port or a connection, which may have been open before. A file that took its place is not opened.
    ///
    /// # Errors
    /// Returns [`OpenError`].
    pub fn open_again(&self) -> Result<Opened, OpenError> {
        match self.address() {
            Some(address) => connect(address).map(Opened::Connection),
            None => self.open_port(),
        }
    }

    fn address(&self) -> Option<&str> {
        self.name.strip_prefix("tcp:")
    }

    fn open_port(&self) -> Result<Opened, OpenError> {
        let opened = serialport::new(&self.name, self.baud).timeout(PORT_TIMEOUT).open();
        match opened {
            Ok(port) => Ok(Opened::Port(Box::new(Port(port)))),
            Err(error) if is_absent(&self.name, &error) => Err(OpenError::Absent(with_ports(&error))),
            Err(error) => Err(OpenError::Unusable(with_ports(&error))),
        }
    }
}

/// Adds the ports of this machine to an error.
fn with_ports(error: &dyn Display) -> String {
    let known = serialport::available_ports().unwrap_or_default();
    let names: Vec<_> = known.iter().map(|port| escaped(&port.port_name)).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    format!("{error}; serial ports here: {known}")
}

/// Returns whether a port is not there but can come: a name in /dev, or a link to one.
#[cfg(unix)]
fn is_absent(name: &str, _error: &serialport::Error) -> bool {
    let path = Path::new(name);
    let can_come = path.starts_with("/dev") || path.is_symlink();
    can_come && matches!(path.try_exists(), Ok(false))
}

/// Returns whether a port is not there but can come.
#[cfg(not(unix))]
fn is_absent(name: &str, error: &serialport::Error) -> bool {
    let is_port = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("COM")) || name.starts_with(r"\\.\");
    is_port && error.kind() == serialport::ErrorKind::NoDevice
}

/// Connects to the first address that answers.
fn connect(address: &str) -> Result<TcpStream, OpenError> {
    let addresses = address.to_socket_addrs().map_err(|error| OpenError::Unusable(error.to_string()))?;
    let mut last = OpenError::Unusable("the host has no address".to_owned());
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(connection) => {
                // Without it only the loss of a silent device goes unnoticed.
                let _ = keep_alive(&connection);
                return Ok(connection);
            }
            Err(error) => last = of_connect(&error),
        }
    }
    Err(last)
}

/// Classifies an error of a connect: a server that is not there yet, or something else.
fn of_connect(error: &io::Error) -> OpenError {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable,
        TimedOut,
    };
    match error.kind() {
        ConnectionAborted | ConnectionRefused | ConnectionReset | HostUnreachable | NetworkDown
        | NetworkUnreachable | TimedOut => OpenError::Absent(error.to_string()),
        _ => OpenError::Unusable(error.to_string()),
    }
}

/// Makes the system check a silent connection: a device that was reset does not close it, and this side only reads.
#[cfg(unix)]
fn keep_alive(connection: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    let [idle, interval] = KEEPALIVE;
    sockopt::set_socket_keepalive(connection, true)?;
    #[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
    {
        sockopt::set_tcp_keepidle(connection, idle)?;
        sockopt::set_tcp_keepintvl(connection, interval)?;
        sockopt::set_tcp_keepcnt(connection, 3)?;
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
    let _ = (idle, interval); // the system's own times
    Ok(())
}

#[cfg(not(unix))]
fn keep_alive(_connection: &TcpStream) -> io::Result<()> {
    Ok(())
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
    use super::*;

    fn error_of(name: &str) -> OpenError {
        match (Place { name: name.to_owned(), baud: 9600 }).open() {
            Ok(_) => panic!("{name} is there"),
            Err(error) => error,
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_port_can_come_and_a_file_cannot() {
        let port = error_of("/dev/no-such-port");
        assert!(matches!(&port, OpenError::Absent(line) if line.contains("serial ports here: ")), "{port:?}");
        let file = error_of("no-such-file");
        assert!(matches!(&file, OpenError::Unusable(line) if line.contains("serial ports here: ")), "{file:?}");
        let folder = error_of("/dev");
        assert!(matches!(folder, OpenError::Unusable(_)), "{folder:?}");
    }

    #[test]
    fn a_server_can_come_and_a_name_without_a_port_cannot() {
        assert!(matches!(error_of("tcp:127.0.0.1:1"), OpenError::Absent(_)));
        assert!(matches!(error_of("tcp:127.0.0.1"), OpenError::Unusable(_)));
    }
}
